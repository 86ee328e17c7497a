"""A whole tiny market made by hand: one zone, one site, one plant, two orders, two slots.

`World` writes a real archive folder and lists the events and calls a chain would show; `facts()` brings them
together as the auditor does. Tests change one thing and look which check notices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import coincurve
import numpy as np
from eth_abi.abi import encode

from audit.abi import Call, Event
from audit.archive import Archive
from audit.eip712 import STRUCTS, digest, domain_separator, keccak, struct_hash
from audit.facts import Committee, Facts, Head, Views
from audit.gather import Progress, Window, collect, sort_out
from backend.market.certificate import certify
from backend.market.codec import book_to_json, solution_to_json
from backend.market.domain import (
    Book,
    ComputeClass,
    ComputeOffer,
    Fills,
    PowerOffer,
    SlotGrid,
    Solution,
    Zone,
)
from backend.market.orders import Order
from oracle.evidence import dev_root
from oracle.evidence.simulated import attest
from oracle.wire.bundle import DeviceRecord, OutcomeEntry, encode_bundle, make_bundle
from oracle.wire.keys import DeviceKey, address_of, join_signatures, sign_digest
from oracle.wire.merkle import MerkleTree
from oracle.wire.outcomes import PlantPosition, RunPosition, agreement_bytes, slot_outcomes, slot_readings
from oracle.wire.publication import CarbonDocument
from oracle.wire.reading import NO_AGREEMENT, Envelope, Leaf, Reading, seal
from oracle.wire.typed import DeviceAttestation, Publication, feed_id
from oracle.wire.typed import digest as oracle_digest
from oracle.wire.typed import domain_separator as oracle_domain

CHAIN_ID = 31337
CREDIT_KEY = 47 * 12 + 9
"""Credits of zone 0 in October 2017."""
START, SLOT, SLOTS = 1_508_198_400, 900, 2
BLOCK_0 = START - 10_000
CARBON, FACTOR = 500, 43
ZERO = "0x" + "0" * 40
NAMES = (
    "Treasury",
    "Registry",
    "BundleMarket",
    "DeliveryOracle",
    "Settlement",
    "Certificates",
    "DevToken",
    "FlexMarket",
)
ADDRESSES = {name: "0x" + f"{at + 0xC0:040x}" for at, name in enumerate(NAMES)}
ESCROWS = {"escrow": ADDRESSES["Settlement"], "flex": ADDRESSES["FlexMarket"]}
GREEN_PRICE, GREY_PRICE = 1_050, 10_050
GREEN_ENERGY, GREY_ENERGY = 10_000, 100_000
RUNS = ((0, 0, 1, 0, 2, 4), (1, 0, 0, 0, 1, 2))  # order, offer, mode, start, end, lanes
SOLD = {"plant": (400, 400), "grid": (200, 0)}
GENERATED_MWH = (700_000, 150_999)
PREPAID = 1_000_000


def secret(name: str) -> bytes:
    """A secp256k1 secret for a name."""
    return hashlib.sha256(f"audit-world/{name}".encode()).digest()


def account(name: str) -> str:
    """Lower-case address of a name."""
    return address_of(secret(name))


MEMBERS = sorted((f"member-{number}" for number in range(4)), key=account)
FEED = feed_id("main")
CONFIG = keccak(
    encode(
        ["uint256", "address", "address[]", "uint256"],
        [CHAIN_ID, ADDRESSES["DeliveryOracle"], [account(member) for member in MEMBERS], 3],
    )
)
ORACLE_DOMAIN = oracle_domain(CHAIN_ID, ADDRESSES["DeliveryOracle"])
DEVICES = {101: (0, 1, "meter"), 102: (1, 1, "workload"), 103: (2, 7, "meter")}
Change = Callable[[Any], Any]


def quorum(struct: bytes, members: list[str] | None = None) -> bytes:
    """Joined signatures of three members."""
    message = oracle_digest(ORACLE_DOMAIN, struct)
    return join_signatures(message, [sign_digest(secret(name), message) for name in members or MEMBERS[:3]])


def device_key(meter: int) -> DeviceKey:
    """The key of a meter."""
    return DeviceKey.from_seed(f"audit-world/{meter}".encode())


@dataclass
class World:
    """Builds events, calls and archive. `changes` alters parts while they are made, by name."""

    root: Path
    changes: dict[str, Change] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    calls: dict[str, Call] = field(default_factory=dict)
    ledger: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.block = 0
        self.time = BLOCK_0
        self._registry()
        self._devices()
        self._market()
        self._oracle()
        self._settlement()
        from tests.faults.flexibility import happen  # it is written with this world's own parts

        happen(self)

    # --- plumbing -----------------------------------------------------------------
    def changed(self, name: str, value: Any) -> Any:
        """The value of a part, altered if the test asks for it."""
        return self.changes[name](value) if name in self.changes else value

    def put(self, kind: str, content: bytes, extension: str) -> bytes:
        """Writes a file into the archive under its hash."""
        name = hashlib.sha256(content).digest()
        folder = self.root / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name.hex()}.{extension}").write_bytes(content)
        return name

    def send(
        self, call: tuple[str, str, dict[str, Any]] | None, *emitted: tuple[str, str, dict[str, Any]]
    ) -> str:
        """One transaction: its call and its events."""
        self.block += 1
        self.time += 1
        tx = f"0x{self.block:064x}"
        # the contracts post last, after what caused it
        for index, (contract, name, args) in enumerate(sorted(emitted, key=lambda one: one[0] == "Treasury")):
            self.events.append(Event(contract, name, args, self.block, index, tx, self.time))
        if call is not None:
            self.calls[tx] = Call(call[0], call[1], call[2], account("driver"), self.block, tx)
        return tx

    def post(self, **moves: tuple[int, int]) -> list[tuple[str, str, dict[str, Any]]]:
        """Treasury postings by account name, as events."""
        found = []
        for name, (available, locked) in moves.items():
            who = ESCROWS.get(name) or account(name)
            word = self.ledger.setdefault(who, [0, 0])
            word[0] += available
            word[1] += locked
            args = {"account": who, "available": available, "locked": locked}
            found.append(("Treasury", "Posted", args))
        return found

    def sign(self, kind: str, name: str, terms: dict[str, Any]) -> tuple[bytes, bytes]:
        """EIP-712 digest and signature of an order or offer."""
        separator = domain_separator("BitWatt", "1", CHAIN_ID, ADDRESSES["BundleMarket"])
        message = digest(separator, struct_hash(STRUCTS[kind], terms))  # type: ignore[index]
        raw = coincurve.PrivateKey(secret(name)).sign_recoverable(message, hasher=None)
        return message, raw[:64] + bytes([raw[64] + 27])

    # --- tampering ------------------------------------------------------------------
    def edit(self, contract: str, name: str, index: int = 0, **args: Any) -> None:
        """Changes arguments of the index-th event of a kind."""
        places = [
            at for at, event in enumerate(self.events) if (event.contract, event.name) == (contract, name)
        ]
        event = self.events[places[index]]
        self.events[places[index]] = replace(event, args={**event.args, **args})

    def repeat(self, contract: str, name: str, index: int = 0, **args: Any) -> None:
        """The same event once more, in a later transaction, with changed arguments."""
        event = [event for event in self.events if (event.contract, event.name) == (contract, name)][index]
        self.send(None, (contract, name, {**event.args, **args}))

    def drop(self, contract: str, name: str, index: int = 0) -> None:
        """Removes the index-th event of a kind."""
        found = [event for event in self.events if (event.contract, event.name) == (contract, name)]
        self.events.remove(found[index])

    def edit_call(self, name: str, change: Change, index: int = 0) -> None:
        """Changes arguments of the index-th call of a function."""
        found = [tx for tx, call in self.calls.items() if call.name == name]
        call = self.calls[found[index]]
        self.calls[found[index]] = replace(call, args=change(call.args))

    def file(self, kind: str, index: int = 0) -> Path:
        """The index-th file of a kind in the archive, in the order they were written."""
        paths = sorted((self.root / kind).iterdir(), key=lambda path: path.stat().st_mtime_ns)
        return paths[index]

    def rewrite(self, kind: str, old: bytes, new: bytes, index: int = 0) -> str:
        """Replaces bytes in an archived file, which keeps its name; gives its path in the archive."""
        path = self.file(kind, index)
        content = path.read_bytes()
        assert content.count(old) >= 1, f"{old!r} is not in {path}"
        path.write_bytes(content.replace(old, new, 1))
        return path.relative_to(self.root).as_posix()

    # --- parts ----------------------------------------------------------------------
    def _registry(self) -> None:
        site = {"siteId": 1, "owner": account("site"), "zoneId": 0, "nameplateW": 5_000}
        plant = {"plantId": 7, "owner": account("plant"), "zoneId": 0, "source": 1}
        grid = {"plantId": 1, "owner": account("grid"), "zoneId": 0, "source": 0}
        self.send(None, ("Registry", "SiteAdded", site))
        self.send(None, ("Registry", "PlantAdded", {**plant, "nameplateW": 4_000, "emissionFactor": FACTOR}))
        self.send(None, ("Registry", "PlantAdded", {**grid, "nameplateW": 10**9, "emissionFactor": 0}))
        policy = bytes(32)
        for role in ("meter", "workload"):
            values = [policy, dev_root.MEASUREMENTS[role], 0, True]
            policy = keccak(encode(["bytes32", "bytes32", "uint256", "bool"], values))
            args = {"measurement": dev_root.MEASUREMENTS[role], "evidenceKind": 0, "allowed": True}
            self.send(None, ("Registry", "MeasurementSet", {**args, "policyHash": policy}))
        self.policy = policy
        for name in ("buyer-a", "buyer-b", "site", "plant", "grid"):
            self.ledger[account(name)] = [PREPAID, 0]
            args = {"payer": account(name), "account": account(name), "amountMicro": PREPAID}
            self.send(None, ("Treasury", "Deposited", args))

    def _devices(self) -> None:
        collateral = dev_root.collateral(BLOCK_0 - 86_400)
        self.put("collateral", collateral, "json")
        self.evidence: dict[int, bytes] = {}
        for meter, (asset_kind, asset_id, role) in DEVICES.items():
            public = device_key(meter).public
            document = attest(role, public, meter, bytes(32), collateral, CHAIN_ID)
            document = self.changed("evidence", document) if meter == 103 else document
            hashed = self.evidence[meter] = self.put("evidence", document.encode(), "cbor")
            terms = {
                "meterId": meter,
                "assetKind": asset_kind,
                "assetId": asset_id,
                "x": public.x,
                "y": public.y,
                "measurement": dev_root.MEASUREMENTS[role],
                "attestedUntil": self.changed("attested_until", START + 86_400),
                "evidenceHash": hashed,
                "evidenceKind": 0,
                "configDigest": CONFIG,
            }
            sigs = quorum(DeviceAttestation(*terms.values()).struct_hash())
            self.send(
                ("DeliveryOracle", "attestDevice", {"attestation": terms, "sigs": sigs}),
                ("Registry", "DeviceRecorded", {"meterId": meter, "device": terms}),
                ("DeliveryOracle", "DeviceAttested", {"meterId": meter, "evidenceHash": hashed}),
            )

    def _market(self) -> None:
        carbon = CarbonDocument(START, SLOT, ((CARBON, CARBON),), ("by hand",))
        self.put("publication", carbon.encode(), "json")
        published = {"start": START, "contentHash": carbon.content_hash(), "configDigest": CONFIG}
        sigs = quorum(Publication(START, carbon.content_hash(), CONFIG).struct_hash())
        self.send(
            (
                "DeliveryOracle",
                "publish",
                {"publication": published, "sigs": self.changed("publish_sigs", sigs)},
            ),
            ("DeliveryOracle", "Published", {"start": START, "contentHash": carbon.content_hash()}),
        )
        self._signed()
        book, solution = self._book()
        certificate = solution.certificate
        assert certificate is not None
        self.header = {
            "start": START,
            "slotSeconds": SLOT,
            "slots": SLOTS,
            "zones": 1,
            "classes": 1,
            "publicationHash": carbon.content_hash(),
            "bookHash": self.put("book", book_to_json(book), "json"),
            "solutionHash": self.put("solution", solution_to_json(solution), "json"),
            "welfareMicro": certificate.welfare_milli // 1000,
            "dualBoundMicro": -(-certificate.bound_milli // 1000),
        }
        self.header = self.changed("header", self.header)
        args = {"batchId": 1, "solver": account("solver"), "header": self.header}
        self.send(None, ("BundleMarket", "BatchOpened", args))
        table = self.changed("table", self._table())
        posted = {"batchId": 1, "part": 0, "pointer": ZERO, "dataHash": keccak(table)}
        self.send(
            ("BundleMarket", "postPrices", {"batchId": 1, "part": 0, "data": table}),
            ("BundleMarket", "PricesPosted", posted),
        )
        self._offers()
        self._chunk()
        self.send(None, ("BundleMarket", "BatchFinalised", {"batchId": 1}))

    def _signed(self) -> None:
        window = {"epoch": 0, "nonce": 0, "expiry": START}
        common = {"classId": 0, "zoneMask": 1, "start": START, "deadline": START + SLOTS * SLOT, "kind": 0}
        order_a = {"maker": account("buyer-a"), **common, "lanes": 4, "minLanes": 0, "durationSlots": 2}
        order_b = {"maker": account("buyer-b"), **common, "lanes": 2, "minLanes": 0, "durationSlots": 1}
        green = {"limitPrice": 30_000, "minGreenBps": 10_000, "maxCarbon": 0xFFFFFFFF, "carbonPrice": 0}
        grey = {"limitPrice": 30_000, "minGreenBps": 0, "maxCarbon": 600, "carbonPrice": 0}
        end = START + SLOTS * SLOT
        offer = {"maker": account("site"), "siteId": 1, "classId": 0, "zoneId": 0, "capacity": 10}
        offer |= {"energyWhPerVcuSlot": 100, "askPrice": 50, "start": START, "end": end, **window}
        self.profiles = {
            "plant": encode_profile([(1_000, 10_000)] * SLOTS),
            "grid": encode_profile([(1_000_000, 100_000)] * SLOTS),
        }
        power = {
            name: {
                "maker": account(name),
                "plantId": plant,
                "zoneId": 0,
                "source": source,
                "tranches": 1,
                "start": START,
                "slots": SLOTS,
                "profileHash": keccak(self.profiles[name]),
                **window,
            }
            for name, plant, source in (("plant", 7, 1), ("grid", 1, 0))
        }
        self.terms = {
            "buyer-a": self.changed("order", {**order_a, **green, **window}),
            "buyer-b": {**order_b, **grey, **window},
            "site": self.changed("offer", offer),
            "plant": self.changed("power", power["plant"]),
            "grid": power["grid"],
        }
        self.kinds = dict.fromkeys(("buyer-a", "buyer-b"), "order") | {"site": "compute offer"}
        self.kinds |= dict.fromkeys(("plant", "grid"), "power offer")
        self.signed = {name: self.sign(self.kinds[name], name, terms) for name, terms in self.terms.items()}

    def id_of(self, name: str) -> str:
        """The id of an order or offer in the archived book."""
        return "0x" + self.signed[name][0].hex()

    def _book(self) -> tuple[Book, Solution]:
        orders = [
            Order(self.id_of("buyer-a"), 0, 1, 4, 2, 0, SLOTS, 30_000, min_green_bps=10_000),
            Order(self.id_of("buyer-b"), 0, 1, 2, 1, 0, SLOTS, 30_000, max_carbon_g_per_kwh=600),
        ]
        power = [
            PowerOffer(self.id_of("plant"), 7, 0, 1, [[1_000]] * 2, [[10_000]] * 2, FACTOR),  # type: ignore[arg-type]
            PowerOffer(self.id_of("grid"), 1, 0, 0, [[1_000_000]] * 2, [[100_000]] * 2),  # type: ignore[arg-type]
        ]
        book = Book.of(
            SlotGrid(START, SLOT, SLOTS),
            [Zone(0, "z")],
            [ComputeClass(0, "gpu", 100)],
            [ComputeOffer(self.id_of("site"), 1, 0, 0, 10, 100, 50, 0, SLOTS)],
            power,
            [[CARBON] * SLOTS],
            orders,
        )
        row = {str(name): at for at, name in enumerate(book.orders.id)}
        a, b = row[self.id_of("buyer-a")], row[self.id_of("buyer-b")]
        fills = Fills.of(*(np.array(c) for c in ([a, a, b], [0] * 3, [1, 1, 0], [0, 1, 0], [4, 4, 2])))
        sold = [SOLD["plant"] if offer.source else SOLD["grid"] for offer in book.power_offers]
        compute = np.array([[[[GREY_PRICE] * SLOTS, [GREEN_PRICE] * SLOTS]]])
        energy = np.array([[[GREY_ENERGY] * SLOTS, [GREEN_ENERGY] * SLOTS]])
        solution = Solution("joint", compute, energy, fills, np.array(sold))
        return book, replace(solution, certificate=certify(book, solution))

    def _table(self) -> bytes:
        compute = np.array([GREY_PRICE] * SLOTS + [GREEN_PRICE] * SLOTS, dtype=">u4").tobytes()
        energy = np.array([GREY_ENERGY] * SLOTS + [GREEN_ENERGY] * SLOTS, dtype=">i4").tobytes()
        carbon = np.array([CARBON] * SLOTS, dtype=">u2").tobytes()
        return compute + energy + carbon + np.array([FACTOR] * SLOTS, dtype=">u2").tobytes()

    def _offers(self) -> None:
        message, sig = self.signed["site"]
        added = {"batchId": 1, "offerIndex": 0, "offerHash": message, "offer": self.terms["site"]}
        self.send(
            (
                "BundleMarket",
                "addComputeOffers",
                {"batchId": 1, "offers": (self.terms["site"],), "sigs": (sig,)},
            ),
            ("BundleMarket", "ComputeOfferAdded", added),
        )
        names = ("plant", "grid")
        sold = {name: np.array(SOLD[name], dtype=">u4").tobytes() for name in names}
        sold = self.changed("sold", sold)
        emitted = [
            {"batchId": 1, "offerIndex": at, "offerHash": self.signed[name][0], "offer": self.terms[name]}
            for at, name in enumerate(names)
        ]
        profiles = self.changed("profiles", tuple(self.profiles[name] for name in names))
        sent = {"sigs": tuple(self.signed[name][1] for name in names), "profiles": profiles}
        self.send(
            ("BundleMarket", "addPowerOffers", {"batchId": 1, **sent}),
            *(
                ("BundleMarket", "PowerOfferAdded", {**args, "sold": sold[name]})
                for args, name in zip(emitted, names, strict=True)
            ),
        )

    def _chunk(self) -> None:
        runs = self.changed("runs", RUNS)
        raw = b"".join(
            b"".join(value.to_bytes(size, "big") for value, size in zip(run, (2, 2, 1, 2, 2, 4), strict=True))
            for run in runs
        )
        self.costs = {"buyer-a": 8 * GREEN_PRICE, "buyer-b": 2 * GREY_PRICE}
        names = ("buyer-a", "buyer-b")
        hashes = tuple(self.signed[name][0] for name in names)
        makers = tuple(account(name) for name in names)
        chunk = {"makers": makers, "orderHashes": hashes, "runs": raw}
        packed = b"".join(bytes.fromhex(maker[2:]) for maker in makers)
        self.commitment = keccak(keccak(packed) + keccak(b"".join(hashes)) + keccak(raw))
        cleared = [
            ("BundleMarket", "OrderCleared", {"batchId": 1, "orderHash": self.signed[name][0]} | values)
            for name, values in (
                ("buyer-a", {"maker": account("buyer-a"), "lanesFilled": 4, "costMicro": 8 * GREEN_PRICE}),
                ("buyer-b", {"maker": account("buyer-b"), "lanesFilled": 2, "costMicro": 2 * GREY_PRICE}),
            )
        ]
        sigs = self.changed("order_sigs", tuple(self.signed[name][1] for name in names))
        orders = tuple(self.terms[name] for name in names)
        locks = {name: (-cost, cost) for name, cost in self.costs.items()}
        self.send(
            ("BundleMarket", "clearChunk", {"batchId": 1, "orders": orders, "sigs": sigs, "runs": raw}),
            *self.post(**locks),
            *cleared,
            ("BundleMarket", "ChunkCleared", {"batchId": 1, "chunkIndex": 0, **chunk}),
        )

    # --- delivery --------------------------------------------------------------------
    def _readings(self, slot: int) -> list[tuple[Envelope, int, DeviceRecord]]:
        share = (1_000, 800)[slot]
        start, end = START + slot * SLOT, START + (slot + 1) * SLOT
        rows: list[tuple[int, int, bytes, int]] = [(103, 1, NO_AGREEMENT, GENERATED_MWH[slot])]
        it_total = 0
        for number, run in enumerate(RUNS):
            if run[3] <= slot < run[4]:
                agreement = agreement_bytes(1, 0, number)
                it_mwh = run[5] * 80 * share
                it_total += it_mwh
                rows.append((102, 3, agreement, it_mwh))
                rows.append((102, 4, agreement, run[5] * SLOT * share))
        rows.append((101, 2, NO_AGREEMENT, it_total * 5 // 4))
        found = []
        for meter, kind, agreement, quantity in rows:
            self.seq[meter] = self.seq.get(meter, 0) + 1
            key = (meter, kind, agreement)
            self.register[key] = self.register.get(key, 0) + quantity
            reading = Reading(
                CHAIN_ID, meter, kind, agreement, self.seq[meter], start, end, quantity, self.register[key]
            )
            reading = self.changed("reading", reading)
            envelope = self.changed("envelope", seal(device_key(meter), reading))
            public = device_key(meter).public
            quality = self.changed("quality", reading.quality)
            found.append((envelope, quality, DeviceRecord(meter, public.x, public.y, self.evidence[meter])))
        return found

    def _oracle(self) -> None:
        self.seq: dict[int, int] = {}
        self.register: dict[tuple[int, int, bytes], int] = {}
        self.outcomes: dict[int, bytes] = {}
        self.leaves: dict[int, list[Leaf]] = {}
        previous = bytes(32)
        runs = [(run, RunPosition(0, number, 1, 0, run[2], run[5], 100)) for number, run in enumerate(RUNS)]
        for slot in range(SLOTS):
            start, end = START + slot * SLOT, START + (slot + 1) * SLOT
            self.time = end + 5
            entries = self._readings(slot)
            bundle = make_bundle(CHAIN_ID, FEED, slot, start, end, entries, [])
            readings = slot_readings(bundle.leaves(), start, end, {101: 1}, {103: 7})
            active = [position for run, position in runs if run[3] <= slot < run[4]]
            plants = [PlantPosition(7, 0, SOLD["plant"][slot])]
            packed = slot_outcomes(1, SLOT, active, plants, readings)[0]
            packed = self.outcomes[slot] = self.changed("outcomes", packed)
            bundle = make_bundle(
                CHAIN_ID, FEED, slot, start, end, entries, [OutcomeEntry(1, 0, slot, packed)]
            )
            self.leaves[slot] = bundle.leaves()
            self.put("readings", encode_bundle(bundle), "cbor")
            report = self.changed("report", bundle.report(self.policy, previous, CONFIG))
            previous = report.struct_hash()
            names = (
                "feedId",
                "epoch",
                "start",
                "end",
                "root",
                "count",
                "totals",
                "outcomesRoot",
                "evidenceRoot",
            )
            names += ("policyHash", "archiveHash", "prevHash", "configDigest")
            values = dict(zip(names, report.abi_tuple(), strict=True))
            sigs = self.changed("report_sigs", quorum(report.struct_hash()))
            args = {"feedId": FEED, "epoch": report.epoch, "reportHash": previous, "report": values}
            self.send(
                ("DeliveryOracle", "submit", {"report": values, "sigs": sigs}),
                ("DeliveryOracle", "ReportSubmitted", args),
            )

    def _settlement(self) -> None:
        self.minted: dict[int, int] = {}
        self.retired: dict[int, int] = {}
        self.held: dict[tuple[str, int], int] = {}
        self.time += self.changed("wait", 900)
        self._slot_0()
        self._slot_1()

    def _meter(self, slot: int, metered: int, delivered: int, penalty: int, *more: Any) -> None:
        leaf = next(leaf for leaf in self.leaves[slot] if leaf.reading.kind == 1)
        proof = tuple(MerkleTree.of(item.hash() for item in self.leaves[slot]).proof(leaf.hash()))
        reading = leaf.reading
        words = {
            "kind": 1,
            "meterId": reading.meter_id,
            "agreementId": 0,
            "seq": reading.seq,
            "start": reading.start,
            "end": reading.end,
            "quantity": reading.quantity,
            "register": reading.register,
            "quality": leaf.quality,
            "keyId": leaf.key_id,
            "evidenceHash": leaf.evidence_hash,
            "payloadHash": leaf.payload_hash,
        }
        position = self.changed("position", {"missing": False, "reading": words, "proof": proof})
        pool = {"batchId": 1, "slot": slot}
        plant = {**pool, "powerOfferIndex": 0, "soldWh": 400, "meteredWh": metered}
        plant |= {"deliveredWh": delivered, "penaltyMicro": penalty}
        self.send(
            ("Settlement", "meterPool", {**pool, "zoneId": 0, "positions": (position,)}),
            ("Settlement", "PlantMetered", plant),
            *more,
            ("Settlement", "PoolMetered", {**pool, "zoneId": 0, "deliveredWh": delivered}),
        )

    def _certificate(self, amount: int) -> tuple[str, str, dict[str, Any]]:
        number = 1 << 248 | 201710 << 224 | 1 << 200 | int(ADDRESSES["Settlement"], 16)
        return self._mint("plant", number, amount)

    def _earn(self, mg: int) -> tuple[str, str, dict[str, Any]]:
        return "Treasury", "Earned", {"account": account("buyer-a"), "key": CREDIT_KEY, "mg": mg}

    def _claim(self, grams: int) -> None:
        number = 2 << 248 | 201710 << 224 | int(ADDRESSES["Settlement"], 16)
        args = {"account": account("buyer-a"), "id": number, "grams": grams}
        self.send(None, self._mint("buyer-a", number, grams), ("Settlement", "Credited", args))

    def _mint(self, name: str, number: int, amount: int) -> tuple[str, str, dict[str, Any]]:
        self.minted[number] = self.minted.get(number, 0) + amount
        key = account(name), number
        self.held[key] = self.held.get(key, 0) + amount
        args = {"operator": ADDRESSES["Settlement"], "from": ZERO, "to": account(name)}
        return ("Certificates", "TransferSingle", {**args, "id": number, "value": amount})

    def _pay(self, slot: int, money: int, matched: int, minted: int) -> None:
        pool = {"batchId": 1, "slot": slot}
        number = 1 << 248 | 201710 << 224 | 1 << 200 | int(ADDRESSES["Settlement"], 16)
        self.minted[number] = self.minted.get(number, 0) + matched
        self.retired[number] = self.retired.get(number, 0) + matched
        retired = {"account": ADDRESSES["Settlement"], "id": number, "amount": matched}
        plant = {**pool, "powerOfferIndex": 0, "moneyMicro": money, "matchedWh": matched, "mintedWh": minted}
        self.send(
            None,
            *self.post(escrow=(-money, 0), plant=(money, 0)),
            ("Certificates", "Retired", {**retired, "beneficiary": ZERO, "purposeHash": bytes(32)}),
            *([self._certificate(minted)] if minted else []),
            ("Settlement", "PlantPaid", plant),
            ("Settlement", "PoolPaid", {**pool, "zoneId": 0, "moneyMicro": money, "matchedWh": matched}),
        )

    def _settle(self, slot: int, money: tuple[int, int, int, int], posts: list[Any], *more: Any) -> None:
        names = ("computeMicro", "powerMicro", "refundMicro", "penaltyMicro")
        args = {"batchId": 1, "chunkIndex": 0, "slot": slot, "outcomes": self.outcomes[slot]}
        settled = ("Settlement", "SlotSettled", {**args, **dict(zip(names, money, strict=True))})
        self.send(None, *posts, *more, settled)

    def _slot_0(self) -> None:
        """All delivered: order A pays 200 + 4000, order B pays 100 + 20000, by hand."""
        self._meter(0, 700, 400, 0, self._certificate(300))
        posts = {"buyer-a": (0, -4_200), "buyer-b": (0, -20_100), "site": (300, 0)}
        posts |= {"grid": (20_000, 0), "escrow": (4_000, 0)}
        self._settle(0, (300, 24_000, 0, 0), self.post(**posts), self._earn(182_800))
        self._pay(0, 4_000, 400, 0)

    def _slot_1(self) -> None:
        """Order A gets 80 % of compute and 150 of 400 Wh; the site owes 40, the plant 1.5 x 2500, by hand."""
        self._meter(1, 150, 150, 3_750, *self.post(plant=(-3_750, 0), grid=(3_750, 0)))
        refund = 4_200 - 160 - 1_500
        posts = {"buyer-a": (refund + 40, -4_200), "site": (160 - 40, 0), "escrow": (1_500, 0)}
        self._settle(1, (160, 1_500, refund, 40), self.post(**posts), self._earn(68_550))
        self._claim(251)
        self._pay(1, 1_500, 150, 0)

    # --- facts ------------------------------------------------------------------------
    def views(self) -> Views:
        """What the contracts would say."""
        members = tuple(account(member) for member in MEMBERS)
        total = sum(sum(word) for word in self.ledger.values())
        ids = self.minted.keys()
        return Views(
            chain_id=CHAIN_ID,
            code_bytes=dict.fromkeys(NAMES, 1_000),
            wiring={"Settlement.treasury": ADDRESSES["Treasury"], "Treasury.token": ADDRESSES["DevToken"]},
            committee=Committee(members, 3, CONFIG, 0),
            ledger={who: (word[0], word[1]) for who, word in self.ledger.items()},
            total_micro=total,
            token_balance_micro=total,
            minted=dict(self.minted),
            retired={number: self.retired.get(number, 0) for number in ids},
            supply={number: self.minted[number] - self.retired.get(number, 0) for number in ids},
            holdings=dict(self.held),
            credits_mg={(account("buyer-a"), CREDIT_KEY): 350},
            commitments={(1, 0): self.commitment},
            feed_id=FEED,
            refund_delay=86_400,
            dispute_window=900,
            policy_hash=self.policy,
            registry_owner=account("operator"),
            dispute_bond_micro=100,
        )

    def facts(self) -> Facts:
        """What the auditor sees."""
        head = Head(self.block, START + 10 * 86_400)
        log = sort_out(self.events)
        archive, views = Archive(self.root), self.changed("views", self.views())
        return collect(CHAIN_ID, ADDRESSES, log, self.calls, archive, views, head, Window(), Progress())


def encode_profile(rows: list[tuple[int, int]]) -> bytes:
    """One tranche a slot: uint32 Wh, int32 ask."""
    return b"".join(wh.to_bytes(4, "big") + ask.to_bytes(4, "big", signed=True) for wh, ask in rows)
