"""A generated day of any size, as a chain and an archive would show it: see `bitwatt bench audit`.

Everything an auditor checks is made for real: signatures of orders, offers, committee and devices, evidence,
bundles, trees, proofs, outcomes, payments, certificates, views. Only the chain is not run: its logs and
transactions are encoded with the published ABIs (`recording`) and shown by `recorded_node`. Every order is
filled at its first slot.
"""

from __future__ import annotations

import functools
import itertools
import json
import multiprocessing
import pickle
import random
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import coincurve
import numpy as np
from eth_abi.abi import encode

import backend.chain.artifacts
from audit.eip712 import STRUCTS, digest, domain_separator, keccak, struct_hash
from audit.formulas import GREEN, credit_mg, green_factor, largest_remainder, pay_run_slot
from backend.chain.packing import PriceTable, pack_prices, pack_profile, pack_runs, pack_sold, split_parts
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
from oracle.wire.bundle import DeviceRecord, OutcomeEntry, encode_bundle, make_bundle, make_report
from oracle.wire.merkle import MerkleTree
from oracle.wire.outcomes import PlantPosition, RunPosition, agreement_bytes, slot_outcomes, slot_readings
from oracle.wire.publication import CarbonDocument
from oracle.wire.reading import NO_AGREEMENT, Reading, seal
from oracle.wire.typed import DeviceAttestation, Publication
from tests.bench.recording import Day, Json
from tests.faults.world import (
    ADDRESSES,
    BLOCK_0,
    CHAIN_ID,
    CONFIG,
    FEED,
    MEMBERS,
    NAMES,
    START,
    ZERO,
    account,
    device_key,
    quorum,
    secret,
)

SLOT, SLOTS, ZONES, CLASSES = 300, 288, 4, 2
SITES_A_ZONE, PLANTS_A_ZONE = 8, 5
CHUNK, MAKERS = 250, 2_000
ENERGY_WH, ASK, LIMIT = 100, 50, 30_000
COMPUTE_PRICE = {0: 10_050, 1: 1_050}
ENERGY_PRICE = {0: 100_000, 1: 10_000}
CARBON, FACTOR = 500, 41
SURPLUS_WH = 10
NAMEPLATE_W = 4_000_000_000
DEPOSIT = 10**15
NEVER = START + 30 * 86_400
GRID_PLANT = 1_000
MEASUREMENT = {role: dev_root.MEASUREMENTS[role] for role in ("meter", "workload")}
SITES = ZONES * SITES_A_ZONE
PLANTS = ZONES * PLANTS_A_ZONE
MEASURED = [("import", site) for site in range(SITES)] + [("jobs", site) for site in range(SITES)]
MEASURED += [("plant", plant) for plant in range(PLANTS)]
"""What each meter measures; its id is its place plus one."""


@dataclass(frozen=True)
class Cleared:
    """An order as it was filled: all its lanes at one site from its first slot on."""

    terms: Json
    hashed: bytes
    signature: bytes
    offer: int
    mode: int
    start: int
    end: int
    lanes: int
    chunk: int = 0
    index: int = 0

    @property
    def zone(self) -> int:
        """Zone of its site."""
        return self.offer // CLASSES // SITES_A_ZONE


@functools.cache
def address(name: str) -> str:
    """Lower-case address of a name."""
    return account(name)


@functools.cache
def _secret(name: str) -> Any:
    return coincurve.PrivateKey(secret(name))


def sign(kind: str, name: str, terms: Json) -> tuple[bytes, bytes]:
    """EIP-712 digest and signature of an order or offer."""
    separator = domain_separator("BitWatt", "1", CHAIN_ID, ADDRESSES["BundleMarket"])
    message = digest(separator, struct_hash(STRUCTS[kind], terms))
    raw = _secret(name).sign_recoverable(message, hasher=None)
    return message, raw[:64] + bytes([raw[64] + 27])


def published_abis() -> dict[str, list[Json]]:
    """ABIs of the compiled contracts, by name."""
    folder = Path(backend.chain.artifacts.__file__).parent
    return {name: json.loads((folder / f"{name}.json").read_text())["abi"] for name in NAMES}


def make(root: Path, abis: dict[str, list[Json]], orders: int, readings: int, seed: int = 0) -> Json:
    """Writes archive and recording under `root`; gives {"orders", "readings", "blocks", "logs"}."""
    day = Day(root / "archive", abis)
    world = _World(day, orders, readings, random.Random(seed))
    world.run()
    book = {
        "chain_id": CHAIN_ID,
        "deploy_block": 0,
        "contracts": {name: {"address": ADDRESSES[name], "abi": abis[name]} for name in NAMES},
    }
    (day.root / "addresses.json").write_text(json.dumps(book))
    recording = {
        "head": {"number": hex(day.block), "timestamp": hex(day.time)},
        "chain_id": hex(CHAIN_ID),
        "logs": day.logs,
        "transactions": day.transactions,
        "views": day.views,
        "contracts": sorted(ADDRESSES.values()),
    }
    (root / "recording.pickle").write_bytes(pickle.dumps(recording, protocol=5))
    return {"orders": orders, "readings": world.count, "blocks": day.block, "logs": len(day.logs)}


@dataclass
class _World:
    day: Day
    orders: int
    readings: int
    chance: random.Random
    count: int = 0

    def run(self) -> None:
        """The whole day in chain order."""
        self._registry()
        self._devices()
        self._sign()
        self._market()
        self._oracle()
        self._settlement()
        self._views()

    def _registry(self) -> None:
        day = self.day
        for site in range(SITES):
            args = {"siteId": site + 1, "owner": address(f"site-{site}"), "zoneId": site // SITES_A_ZONE}
            day.send(None, ("Registry", "SiteAdded", {**args, "nameplateW": NAMEPLATE_W}))
        for plant in range(PLANTS):
            self._plant(plant + 1, f"plant-{plant}", plant // PLANTS_A_ZONE, 1, FACTOR)
        for zone in range(ZONES):
            self._plant(GRID_PLANT + zone, f"grid-{zone}", zone, 0, 0)
        self.policy = bytes(32)
        for measurement in MEASUREMENT.values():
            values = [self.policy, measurement, 0, True]
            self.policy = keccak(encode(["bytes32", "bytes32", "uint256", "bool"], values))
            args = {"measurement": measurement, "evidenceKind": 0, "allowed": True}
            day.send(None, ("Registry", "MeasurementSet", {**args, "policyHash": self.policy}))
        for maker in range(min(MAKERS, self.orders)):
            who = address(f"maker-{maker}")
            day.move(who, DEPOSIT, 0)
            day.send(None, ("Treasury", "Deposited", {"payer": who, "account": who, "amountMicro": DEPOSIT}))

    def _plant(self, plant: int, owner: str, zone: int, source: int, factor: int) -> None:
        args = {"plantId": plant, "owner": address(owner), "zoneId": zone, "source": source}
        more = {"nameplateW": NAMEPLATE_W, "emissionFactor": factor}
        self.day.send(None, ("Registry", "PlantAdded", {**args, **more}))

    def _devices(self) -> None:
        day = self.day
        collateral = dev_root.collateral(BLOCK_0 - 86_400)
        day.put("collateral", collateral, "json")
        self.records: list[DeviceRecord] = []
        for meter, (what, number) in enumerate(MEASURED, start=1):
            role = "workload" if what == "jobs" else "meter"
            public = device_key(meter).public
            document = attest(role, public, meter, bytes(32), collateral, CHAIN_ID)
            hashed = day.put("evidence", document.encode(), "cbor")
            terms = {
                "meterId": meter,
                "assetKind": {"import": 0, "jobs": 1, "plant": 2}[what],
                "assetId": number + 1,
                "x": public.x,
                "y": public.y,
                "measurement": MEASUREMENT[role],
                "attestedUntil": NEVER,
                "evidenceHash": hashed,
                "evidenceKind": 0,
                "configDigest": CONFIG,
            }
            sigs = quorum(DeviceAttestation(*terms.values()).struct_hash())
            attested = {"meterId": meter, "evidenceHash": hashed, "signerBitmap": 7}
            day.send(
                ("DeliveryOracle", "attestDevice", {"a": terms, "sigs": sigs}),
                ("Registry", "DeviceRecorded", {"meterId": meter, "device": terms}),
                ("DeliveryOracle", "DeviceAttested", attested),
            )
            self.records.append(DeviceRecord(meter, public.x, public.y, hashed))

    # --- market -------------------------------------------------------------------
    def _sign(self) -> None:
        """Orders long enough that, with the meters, so many readings come about."""
        window = {"epoch": 0, "expiry": START}
        mean = max(2.0, (self.readings - SLOTS * (SITES + PLANTS)) / 2 / self.orders)
        found = []
        for number in range(self.orders):
            length = min(SLOTS // 2, int(mean) + (self.chance.random() < mean % 1))
            start = self.chance.randrange(SLOTS - length + 1)
            lanes, mode = self.chance.randrange(1, 9), self.chance.randrange(2)
            offer = self.chance.randrange(SITES * CLASSES)
            maker = f"maker-{number % MAKERS}"
            terms = {
                "maker": address(maker),
                "classId": offer % CLASSES,
                "zoneMask": 1 << offer // CLASSES // SITES_A_ZONE,
                "lanes": lanes,
                "minLanes": 0,
                "durationSlots": length,
                "start": START + start * SLOT,
                "deadline": START + (start + length) * SLOT,
                "limitPrice": LIMIT,
                "minGreenBps": 10_000 * mode,
                "maxCarbon": 0xFFFFFFFF,
                "carbonPrice": 0,
                "kind": 0,
                "nonce": number // MAKERS,
                **window,
            }
            hashed, signed = sign("order", maker, terms)
            found.append(Cleared(terms, hashed, signed, offer, mode, start, start + length, lanes))
        found.sort(key=lambda order: (order.start, order.hashed))
        self.cleared = [replace(order, chunk=at // CHUNK, index=at % CHUNK) for at, order in enumerate(found)]
        demand = np.zeros((ZONES, 2, SLOTS), dtype=np.int64)
        for order in self.cleared:
            demand[order.zone, order.mode, order.start : order.end] += order.lanes * ENERGY_WH
        self.sold: dict[str, list[int]] = {}
        self.sellers = [f"plant-{number}" for number in range(PLANTS)]
        self.sellers += [f"grid-{zone}" for zone in range(ZONES)]
        for zone in range(ZONES):
            self.sold[f"grid-{zone}"] = demand[zone, 0].tolist()
            shares = [largest_remainder(wh, [1] * PLANTS_A_ZONE) for wh in demand[zone, 1].tolist()]
            for at in range(PLANTS_A_ZONE):
                self.sold[f"plant-{zone * PLANTS_A_ZONE + at}"] = [row[at] for row in shares]
        self.offers, self.powers = self._offers(window)

    def _offers(self, window: Json) -> tuple[list[tuple[Json, bytes, bytes]], list[Any]]:
        offers, powers = [], []
        for offer in range(SITES * CLASSES):
            site = offer // CLASSES
            terms = {
                "maker": address(f"site-{site}"),
                "siteId": site + 1,
                "classId": offer % CLASSES,
                "zoneId": site // SITES_A_ZONE,
                "capacity": 100_000,
                "energyWhPerVcuSlot": ENERGY_WH,
                "askPrice": ASK,
                "start": START,
                "end": START + SLOTS * SLOT,
                "nonce": offer % CLASSES,
                **window,
            }
            offers.append((terms, *sign("compute offer", f"site-{site}", terms)))
        for name in self.sellers:
            number = int(name.split("-")[1])
            grid = name.startswith("grid")
            asked = ENERGY_PRICE[not grid]
            profile = pack_profile(np.full((SLOTS, 1), 10**8), np.full((SLOTS, 1), asked))
            terms = {
                "maker": address(name),
                "plantId": GRID_PLANT + number if grid else number + 1,
                "zoneId": number if grid else number // PLANTS_A_ZONE,
                "source": 0 if grid else 1,
                "tranches": 1,
                "start": START,
                "slots": SLOTS,
                "profileHash": keccak(profile),
                "nonce": 0,
                **window,
            }
            powers.append((terms, *sign("power offer", name, terms), profile, self.sold[name]))
        return offers, powers

    def _book(self) -> tuple[Book, Solution]:
        orders = [
            Order(
                "0x" + order.hashed.hex(),
                order.terms["classId"],
                order.terms["zoneMask"],
                order.lanes,
                order.end - order.start,
                order.start,
                order.end,
                LIMIT,
                min_green_bps=order.terms["minGreenBps"],
            )
            for order in self.cleared
        ]
        compute = [
            ComputeOffer("0x" + hashed.hex(), t["siteId"], t["classId"], t["zoneId"], t["capacity"],
                         ENERGY_WH, ASK, 0, SLOTS) for t, hashed, _ in self.offers
        ]  # fmt: skip
        offered = np.full((SLOTS, 1), 10**8)
        asks = [np.full((SLOTS, 1), ENERGY_PRICE[mode]) for mode in (0, 1)]
        power = [
            PowerOffer("0x" + hashed.hex(), t["plantId"], t["zoneId"], t["source"], offered,
                       asks[t["source"]], FACTOR * t["source"]) for t, hashed, _, _, _ in self.powers
        ]  # fmt: skip
        grid = SlotGrid(START, SLOT, SLOTS)
        zones = [Zone(zone, f"zone {zone}") for zone in range(ZONES)]
        classes = [ComputeClass(number, f"class {number}", ENERGY_WH) for number in range(CLASSES)]
        book = Book.of(grid, zones, classes, compute, power, [[CARBON] * SLOTS] * ZONES, orders)
        row = {str(name): at for at, name in enumerate(book.orders.id)}
        column = {offer.id: at for at, offer in enumerate(book.compute_offers)}
        fills: list[tuple[int, int, int, int, int]] = []
        for order in self.cleared:
            at = row["0x" + order.hashed.hex()], column["0x" + self.offers[order.offer][1].hex()], order.mode
            fills += [(*at, slot, order.lanes) for slot in range(order.start, order.end)]
        sold = {"0x" + hashed.hex(): wh for _, hashed, _, _, wh in self.powers}
        ones = np.ones(SLOTS, dtype=np.int64)
        prices = np.array([COMPUTE_PRICE[mode] * ones for mode in (0, 1)])
        self.compute_price = np.broadcast_to(prices, (CLASSES, ZONES, 2, SLOTS)).copy()
        prices = np.array([ENERGY_PRICE[mode] * ones for mode in (0, 1)])
        self.energy_price = np.broadcast_to(prices, (ZONES, 2, SLOTS)).copy()
        table = np.array(fills, dtype=np.int64)
        solution = Solution(
            "joint",
            self.compute_price,
            self.energy_price,
            Fills.of(*(table[:, at] for at in range(5))),
            np.array([sold[offer.id] for offer in book.power_offers]),
        )
        return book, replace(solution, certificate=certify(book, solution))

    def _market(self) -> None:
        day = self.day
        carbon = CarbonDocument(START, SLOT, ((CARBON,) * SLOTS,) * ZONES, ("generated",) * ZONES)
        day.put("publication", carbon.encode(), "json")
        published = {"start": START, "contentHash": carbon.content_hash(), "configDigest": CONFIG}
        sigs = quorum(Publication(START, carbon.content_hash(), CONFIG).struct_hash())
        day.send(
            ("DeliveryOracle", "publish", {"p": published, "sigs": sigs}),
            ("DeliveryOracle", "Published", {"start": START, "contentHash": carbon.content_hash()}),
        )
        book, solution = self._book()
        assert solution.certificate is not None
        header = {
            "start": START,
            "slotSeconds": SLOT,
            "slots": SLOTS,
            "zones": ZONES,
            "classes": CLASSES,
            "publicationHash": carbon.content_hash(),
            "bookHash": day.put("book", book_to_json(book), "json"),
            "solutionHash": day.put("solution", solution_to_json(solution), "json"),
            "welfareMicro": solution.certificate.welfare_milli // 1000,
            "dualBoundMicro": -(-solution.certificate.bound_milli // 1000),
        }
        opened = {"batchId": 1, "solver": address("solver"), "header": header}
        day.send(None, ("BundleMarket", "BatchOpened", opened))
        self._post()
        for chunk, orders in itertools.groupby(self.cleared, key=lambda order: order.chunk):
            self._chunk(chunk, list(orders))
        day.send(None, ("BundleMarket", "BatchFinalised", {"batchId": 1}))

    def _factor(self, zone: int, slot: int) -> int:
        rows = [(t, wh) for t, _, _, _, wh in self.powers if t["zoneId"] == zone and t["source"] and wh[slot]]
        return green_factor([(wh[slot], FACTOR) for _, wh in rows])

    def _post(self) -> None:
        day = self.day
        self.factor = np.array([[self._factor(zone, slot) for slot in range(SLOTS)] for zone in range(ZONES)])
        carbon = np.full((ZONES, SLOTS), CARBON, dtype=np.int64)
        table = pack_prices(PriceTable(self.compute_price, self.energy_price, carbon, self.factor))
        for part, data in enumerate(split_parts(table)):
            args = {"batchId": 1, "part": part}
            day.send(
                ("BundleMarket", "postPrices", {**args, "data": data}),
                ("BundleMarket", "PricesPosted", {**args, "pointer": ZERO, "dataHash": keccak(data)}),
            )
        terms, sigs = [offer[0] for offer in self.offers], [offer[2] for offer in self.offers]
        day.send(
            ("BundleMarket", "addComputeOffers", {"batchId": 1, "offers": terms, "sigs": sigs}),
            *(
                ("BundleMarket", "ComputeOfferAdded",
                 {"batchId": 1, "offerIndex": at, "offerHash": hashed, "offer": terms_})
                for at, (terms_, hashed, _) in enumerate(self.offers)
            ),
        )  # fmt: skip
        sold = [pack_sold(np.array(wh)) for _, _, _, _, wh in self.powers]
        sent = {"offers": [p[0] for p in self.powers], "sigs": [p[2] for p in self.powers]}
        sent |= {"profiles": [p[3] for p in self.powers], "sold": sold}
        day.send(
            ("BundleMarket", "addPowerOffers", {"batchId": 1, **sent}),
            *(
                ("BundleMarket", "PowerOfferAdded",
                 {"batchId": 1, "offerIndex": at, "offerHash": power[1], "offer": power[0], "sold": sold[at]})
                for at, power in enumerate(self.powers)
            ),
        )  # fmt: skip

    def _chunk(self, chunk: int, orders: list[Cleared]) -> None:
        day = self.day
        runs = [(o.index, o.offer, o.mode, o.start, o.end, o.lanes) for o in orders]
        raw = pack_runs(runs)
        makers = b"".join(bytes.fromhex(order.terms["maker"][2:]) for order in orders)
        hashes = b"".join(order.hashed for order in orders)
        costs = [o.lanes * (o.end - o.start) * COMPUTE_PRICE[o.mode] for o in orders]
        fills = b"".join(struct.pack(">IQ", o.lanes, cost) for o, cost in zip(orders, costs, strict=True))
        locked: dict[str, int] = defaultdict(int)
        for order, cost in zip(orders, costs, strict=True):
            locked[order.terms["maker"]] += cost
        for who, cost in locked.items():
            day.move(who, -cost, cost)
        entries = b"".join(struct.pack(">20sQ", bytes.fromhex(who[2:]), cost) for who, cost in locked.items())
        packed = b"".join(map(_packed_order, orders))
        cleared = {"batchId": 1, "chunkIndex": chunk, "makers": makers, "orderHashes": hashes}
        day.send(
            ("BundleMarket", "clearChunk", {"batchId": 1, "orders": packed, "runs": raw}),
            ("BundleMarket", "ChunkCleared", {**cleared, "fills": fills, "runs": raw}),
            ("Treasury", "Locked", {"entries": entries}),
        )
        commitment = keccak(keccak(makers) + keccak(hashes) + keccak(raw))
        day.view("BundleMarket", "chunkCommitment", [1, chunk], commitment)

    # --- delivery -------------------------------------------------------------------
    def active(self) -> list[list[Cleared]]:
        """Orders by slot, in chunk and run order."""
        found: list[list[Cleared]] = [[] for _ in range(SLOTS)]
        for order in self.cleared:
            for slot in range(order.start, order.end):
                found[slot].append(order)
        return found

    def _oracle(self) -> None:
        """Bundles are made and signed on all cores; reports follow in order, as each names the one before."""
        self.by_slot = self.active()
        self.plans = list(self._plans())
        global _world
        _world = self
        previous = bytes(32)
        self.outcomes: dict[tuple[int, int], bytes] = {}
        self.shown: dict[tuple[int, int], tuple[Json, list[bytes]]] = {}
        with multiprocessing.get_context("fork").Pool() as pool:
            for slot, (report, encoded, outcomes, shown) in enumerate(pool.imap(_epoch, range(SLOTS))):
                self.day.time = START + (slot + 1) * SLOT + 5
                report = replace(report, policy_hash=self.policy, prev_hash=previous, config_digest=CONFIG)
                self.day.put("readings", encoded, "cbor")
                previous = report.struct_hash()
                fields = self.day.inputs("DeliveryOracle", "submit")[0]["components"]
                values = {p["name"]: v for p, v in zip(fields, report.abi_tuple(), strict=True)}
                args = {"feedId": FEED, "epoch": slot, "reportHash": previous, "signerBitmap": 7}
                self.day.send(
                    ("DeliveryOracle", "submit", {"report": values, "sigs": quorum(previous)}),
                    ("DeliveryOracle", "ReportSubmitted", {**args, "report": values}),
                )
                self.count += report.count
                for chunk, packed in outcomes.items():
                    self.outcomes[slot, chunk] = packed
                for plant, leaf in shown.items():
                    self.shown[slot, plant] = leaf

    def _plans(self) -> Iterator[tuple[list[int], list[int], dict[int, int]]]:
        """Per slot: last seq of every meter, and the registers of every import and plant meter."""
        seq = [0] * (len(MEASURED) + 1)
        imported, made = [0] * SITES, dict.fromkeys(range(PLANTS), 0)
        for slot in range(SLOTS):
            yield list(seq), list(imported), dict(made)
            for order in self.by_slot[slot]:
                site = order.offer // CLASSES
                seq[SITES + site + 1] += 2
                imported[site] += order.lanes * ENERGY_WH * 1000
            for meter in (*range(1, SITES + 1), *range(2 * SITES + 1, len(MEASURED) + 1)):
                seq[meter] += 1
            for plant in range(PLANTS):
                made[plant] += (self.sold[f"plant-{plant}"][slot] + SURPLUS_WH) * 1000

    # --- settlement --------------------------------------------------------------------
    def _settlement(self) -> None:
        self.day.time += 900
        for slot in range(SLOTS):
            for zone in range(ZONES):
                self._meter(slot, zone)
            rows = itertools.groupby(self.by_slot[slot], key=lambda order: order.chunk)
            paid = {zone: [0, 0] for zone in range(ZONES)}
            for chunk, orders in rows:
                self._settle(slot, chunk, list(orders), paid)
            for zone in range(ZONES):
                self._pay(slot, zone, *paid[zone])

    def _certificate(self, zone: int) -> int:
        return 1 << 248 | 201710 << 224 | zone << 208 | 1 << 200 | int(ADDRESSES["Settlement"], 16)

    def _plants(self, zone: int) -> range:
        return range(zone * PLANTS_A_ZONE, (zone + 1) * PLANTS_A_ZONE)

    def _meter(self, slot: int, zone: int) -> None:
        day, pool = self.day, {"batchId": 1, "slot": slot}
        emitted: list[tuple[str, str, Json]] = []
        positions, delivered = [], 0
        for plant in self._plants(zone):
            sold = self.sold[f"plant-{plant}"][slot]
            words, proof = self.shown[slot, plant]
            positions.append({"missing": False, "reading": words, "proof": proof})
            args = {**pool, "powerOfferIndex": plant, "soldWh": sold, "meteredWh": sold + SURPLUS_WH}
            emitted.append(("Settlement", "PlantMetered", {**args, "deliveredWh": sold, "penaltyMicro": 0}))
            emitted.append(day.mint(address(f"plant-{plant}"), self._certificate(zone), SURPLUS_WH))
            delivered += sold
        emitted.append(("Settlement", "PoolMetered", {**pool, "zoneId": zone, "deliveredWh": delivered}))
        day.send(("Settlement", "meterPool", {**pool, "zoneId": zone, "positions": positions}), *emitted)

    def _settle(self, slot: int, chunk: int, orders: list[Cleared], paid: dict[int, list[int]]) -> None:
        compute = power = 0
        rows: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
        packed = self.outcomes[slot, chunk]
        for order, (delivered, matched) in zip(orders, struct.iter_unpack(">II", packed), strict=True):
            mode, zone = order.mode, order.zone
            pay = pay_run_slot(
                order.lanes, ENERGY_WH, mode, COMPUTE_PRICE[mode], ENERGY_PRICE[mode], delivered, matched
            )
            compute, power = compute + pay.pay_compute, power + pay.pay_power
            key = (zone << 12 | (2017 - 1970) * 12 + 9) if mode == GREEN else 0
            buyer = rows[order.terms["maker"], key]
            buyer[0] += pay.refund
            buyer[1] -= pay.bundle
            rows[address(f"site-{order.offer // CLASSES}"), 0][0] += pay.pay_compute
            if mode == GREEN:
                buyer[2] += credit_mg(matched, CARBON, int(self.factor[zone, slot]))
                paid[zone][0] += pay.pay_power
                paid[zone][1] += matched
            receiver = ADDRESSES["Settlement"] if mode == GREEN else address(f"grid-{zone}")
            rows[receiver, 0][0] += pay.pay_power
        args = {"batchId": 1, "chunkIndex": chunk, "slot": slot, "outcomes": packed, "computeMicro": compute}
        args |= {"powerMicro": power, "refundMicro": 0, "penaltyMicro": 0}
        self.day.send(None, ("Settlement", "SlotSettled", args), self.day.settled(rows))

    def _pay(self, slot: int, zone: int, money: int, matched: int) -> None:
        day, plants = self.day, self._plants(zone)
        weights = [self.sold[f"plant-{plant}"][slot] for plant in plants]
        moneys, energies = largest_remainder(money, weights), largest_remainder(matched, weights)
        rows: dict[tuple[str, int], list[int]] = {(ADDRESSES["Settlement"], 0): [-money, 0, 0]}
        emitted: list[tuple[str, str, Json]] = []
        number = self._certificate(zone)
        for plant, micro, wh in zip(plants, moneys, energies, strict=True):
            rows[address(f"plant-{plant}"), 0] = [micro, 0, 0]
            args = {"batchId": 1, "slot": slot, "powerOfferIndex": plant, "moneyMicro": micro}
            emitted.append(("Settlement", "PlantPaid", {**args, "matchedWh": wh, "mintedWh": 0}))
        day.minted[number] += matched
        day.retired[number] += matched
        retired = {"account": ADDRESSES["Settlement"], "id": number, "amount": matched, "beneficiary": ZERO}
        if matched:
            emitted.append(("Certificates", "Retired", {**retired, "purposeHash": bytes(32)}))
        pool = {"batchId": 1, "slot": slot, "zoneId": zone, "moneyMicro": money, "matchedWh": matched}
        day.send(None, *emitted, ("Settlement", "PoolPaid", pool), day.settled(rows))

    def _views(self) -> None:
        day = self.day
        for who, (available, locked) in day.ledger.items():
            day.view("Treasury", "ledger", [who], available, locked)
        total = sum(sum(word) for word in day.ledger.values())
        day.view("Treasury", "totalMicro", [], total)
        for contract, names in {
            "Treasury": ("token",),
            "BundleMarket": ("registry", "treasury"),
            "Settlement": ("treasury", "registry", "oracle", "market", "certificates"),
        }.items():
            for name in names:
                if (contract, "function", name) in day._entry:
                    target = {"token": "DevToken", "oracle": "DeliveryOracle", "market": "BundleMarket"}
                    day.view(contract, name, [], ADDRESSES[target.get(name, name.capitalize())])
        balance = "0x70a08231" + ADDRESSES["Treasury"][2:].rjust(64, "0")
        day.views[ADDRESSES["DevToken"], balance] = f"0x{total:064x}"
        for number, amount in day.minted.items():
            day.view("Certificates", "mintedOf", [number], amount)
            day.view("Certificates", "retiredOf", [number], day.retired[number])
            day.view("Certificates", "totalSupply", [number], amount - day.retired[number])
        for (who, number), amount in day.held.items():
            day.view("Certificates", "balanceOf", [who, number], amount)
        for (who, key), mg in day.credits.items():
            day.view("Treasury", "creditMgOf", [who, key], mg)
        members = [address(member) for member in MEMBERS]
        for name, value in (("members", members), ("quorum", 3), ("configDigest", CONFIG), ("bondMicro", 0)):
            day.view("DeliveryOracle", name, [], value)
        day.view("DeliveryOracle", "disputeWindow", [], 900)
        day.view("DeliveryOracle", "disputeBondMicro", [], 100)
        day.view("Settlement", "feedId", [], FEED)
        day.view("Settlement", "refundDelay", [], 3 * 86_400)
        day.view("Registry", "policyHash", [], self.policy)
        day.view("Registry", "owner", [], address("operator"))


def _packed_order(order: Cleared) -> bytes:
    """One order signed alone, as clearChunk takes it."""
    t = order.terms
    head = struct.pack(">20sBIH", bytes.fromhex(t["maker"][2:]), 1, 1, len(order.signature))
    names = ("classId", "zoneMask", "lanes", "minLanes", "durationSlots", "start", "deadline", "limitPrice")
    names += ("minGreenBps", "maxCarbon", "carbonPrice", "kind", "epoch", "nonce", "expiry")
    return head + order.signature + struct.pack(">IQIIHQQQHIIBIQQ", *(t[name] for name in names))


_world: _World | None = None
LEAF = ("kind", "meterId", "agreementId", "seq", "start", "end", "quantity", "register", "quality", "keyId")


def _epoch(slot: int) -> Any:
    """The report of a slot (without its place in the chain), its bundle, its outcomes, its plants' leaves."""
    world = _world
    assert world is not None
    seq, imported, made = (list(world.plans[slot][0]), world.plans[slot][1], world.plans[slot][2])
    start, end = START + slot * SLOT, START + (slot + 1) * SLOT
    entries = []

    def add(meter: int, kind: int, agreement: bytes, quantity: int, register: int) -> None:
        seq[meter] += 1
        reading = Reading(CHAIN_ID, meter, kind, agreement, seq[meter], start, end, quantity, register)
        entries.append((seal(device_key(meter), reading), 0, world.records[meter - 1]))

    used = [0] * SITES
    for order in world.by_slot[slot]:
        site, agreement = order.offer // CLASSES, agreement_bytes(1, order.chunk, order.index)
        since = slot - order.start + 1
        it_mwh, compute = order.lanes * ENERGY_WH * 800, order.lanes * 1000 * SLOT
        add(SITES + site + 1, 3, agreement, it_mwh, it_mwh * since)
        add(SITES + site + 1, 4, agreement, compute, compute * since)
        used[site] += order.lanes * ENERGY_WH * 1000
    for site in range(SITES):
        add(site + 1, 2, NO_AGREEMENT, used[site], imported[site] + used[site])
    for plant in range(PLANTS):
        quantity = (world.sold[f"plant-{plant}"][slot] + SURPLUS_WH) * 1000
        add(2 * SITES + plant + 1, 1, NO_AGREEMENT, quantity, made[plant] + quantity)
    bundle = make_bundle(CHAIN_ID, FEED, slot, start, end, entries, [])
    leaves = bundle.leaves()
    readings = slot_readings(
        leaves,
        start,
        end,
        {site + 1: site + 1 for site in range(SITES)},
        {2 * SITES + plant + 1: plant + 1 for plant in range(PLANTS)},
    )
    runs = [
        RunPosition(o.chunk, o.index, o.offer // CLASSES + 1, o.zone, o.mode, o.lanes, ENERGY_WH)
        for o in world.by_slot[slot]
    ]
    plants = [
        PlantPosition(plant + 1, plant // PLANTS_A_ZONE, world.sold[f"plant-{plant}"][slot])
        for plant in range(PLANTS)
    ]
    outcomes = slot_outcomes(1, SLOT, runs, plants, readings)
    rows = [OutcomeEntry(1, chunk, slot, packed) for chunk, packed in outcomes.items()]
    bundle = replace(bundle, outcomes=tuple(sorted(rows, key=lambda row: row.chunk_index)))
    encoded = encode_bundle(bundle)
    report = make_report(bundle, encoded, leaves, bytes(32), bytes(32), CONFIG)
    tree, shown = MerkleTree.of(leaf.hash() for leaf in leaves), {}
    for leaf in leaves:
        if leaf.reading.kind == 1:
            r = leaf.reading
            words = (1, r.meter_id, 0, r.seq, r.start, r.end, r.quantity, r.register, 0, leaf.key_id)
            named = dict(zip(LEAF, words, strict=True))
            named |= {"evidenceHash": leaf.evidence_hash, "payloadHash": leaf.payload_hash}
            shown[r.meter_id - 2 * SITES - 1] = (named, tree.proof(leaf.hash()))
    return report, encoded, outcomes, shown
