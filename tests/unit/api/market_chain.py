"""A small real market on Anvil: contracts, three buyers, a provider, a supplier, one cleared batch,
settlements.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from backend.chain.addressbook import AddressBook
from backend.chain.anvil import DevClock, give_gas_money, start_anvil
from backend.chain.clients import (
    BatchHeader,
    ChunkData,
    Market,
    Oracle,
    Registry,
    Settlement,
    Token,
    Treasury,
)
from backend.chain.deploy import DeploySettings, deploy
from backend.chain.eip712 import Domain, order_digest, sign_digest, sign_order
from backend.chain.orders import BundleOrder, ComputeOffer, PowerOffer
from backend.chain.packing import PriceTable, pack_carbon, pack_prices, pack_profile, pack_runs, pack_sold
from backend.chain.packing import publication_hash as publication_hash_of
from backend.chain.plan import Call, Receipt, Sender
from backend.chain.rpc import Rpc
from oracle.wire.bundle import Bundle, DeviceRecord, OutcomeEntry, encode_bundle, make_bundle
from oracle.wire.keys import DeviceKey, join_signatures, keccak256
from oracle.wire.reading import Reading, seal
from oracle.wire.typed import Publication, digest, domain_separator, feed_id
from tests.unit.api.callers import Key

GENESIS = 1_508_190_000
START = 1_508_198_400
SLOT, SLOTS = 900, 8
ENERGY_WH, TARIFF = 110, 100_000
PV, GRID, SITE = 7, 8, 1
BUYERS = ("buyer 0", "buyer 1", "buyer 2")
MEMBERS = ("member 0", "member 1", "member 2", "member 3")
DEPOSIT = 10**10
ANVIL = 31337


def account(name: str) -> str:
    """Checksum address of a name."""
    return Key.of(name).address


@dataclass
class MarketChain:
    """A market on its own Anvil; green orders are in chunk 0, grey ones in chunk 1."""

    folder: Path
    senders: dict[str, Sender] = field(default_factory=dict)
    chunks: dict[int, ChunkData] = field(default_factory=dict)
    order_hashes: list[str] = field(default_factory=list)
    head_hash: bytes = bytes(32)

    def __post_init__(self) -> None:
        anvil = start_anvil(self.folder / "anvil.log", GENESIS)
        self.pid, self.url = anvil.pid, anvil.url
        self.rpc = Rpc(self.url)
        self.clock = DevClock(self.rpc)
        names = ("owner", "provider", "supplier", *BUYERS)
        give_gas_money(self.rpc, [account(name) for name in names])
        members = tuple(sorted((account(name) for name in MEMBERS), key=str.lower))
        owner = Sender(self.rpc, Key.of("owner").private.secret, ANVIL, 0)
        self.book, _ = deploy(owner, ANVIL, DeploySettings(members, 3, bond_micro=0))
        owner.errors = self.book.errors
        self.senders["owner"] = owner
        for name in names[1:]:
            self.senders[name] = Sender(self.rpc, Key.of(name).private.secret, ANVIL, 0, self.book.errors)
        self.market, self.oracle = Market(self.book), Oracle(self.book, self.rpc)

    @property
    def domain(self) -> Domain:
        """EIP-712 domain of orders."""
        return Domain(ANVIL, self.book["BundleMarket"].address)

    def close(self) -> None:
        """Ends the chain."""
        self.rpc.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def send(self, name: str, *calls: Call) -> list[Receipt]:
        """Sends calls one by one, each in a block of its own."""
        return [receipt for call in calls for receipt in self.senders[name].send([call])]

    def register(self) -> None:
        """Zones, classes, assets, roles and deposits."""
        token, treasury, registry = Token(self.book), Treasury(self.book), Registry(self.book)
        self.send(
            "owner",
            token.mint(account("owner"), 10**15),
            token.approve(treasury.address),
            *(treasury.deposit(account(name), DEPOSIT) for name in ("provider", "supplier", *BUYERS)),
            registry.set_solver(account("owner")),
            registry.set_operator(account("owner")),
            registry.add_zone(0, "north"),
            registry.add_class(0, "gpu-training"),
            registry.add_site(SITE, account("provider"), 0, 1_000_000),
            registry.add_plant(PV, account("supplier"), 0, 1, 1_000_000, 43),
            registry.add_plant(GRID, account("supplier"), 0, 0, 100_000_000, 500),
        )

    # --- the batch ----------------------------------------------------------------
    def orders(self) -> list[tuple[BundleOrder, int, str]]:
        """(order, start slot of its run, maker's name); order i has i + 1 lanes, even ones are green."""
        end = START + SLOTS * SLOT
        return [
            (
                BundleOrder(
                    account(BUYERS[i % 3]), 0, 1, i + 1, 0, 4, START, end, 60_000, 10_000 if i % 2 == 0
                    else 0, 0xFFFFFFFF, 0, 0, 0, i // 3, end,
                ),
                0 if i < 3 else 4,
                BUYERS[i % 3],
            )
            for i in range(6)
        ]  # fmt: skip

    def table(self) -> PriceTable:
        """Prices that rise by slot; green is dearer."""
        slots = np.arange(SLOTS)
        compute = np.stack([30_000 + 1_000 * slots, 31_000 + 1_000 * slots])
        return PriceTable(
            compute.reshape(1, 1, 2, SLOTS),
            np.stack([np.full(SLOTS, TARIFF), np.full(SLOTS, TARIFF + 500)]).reshape(1, 2, SLOTS),
            np.full((1, SLOTS), 550),
            np.full((1, SLOTS), 43),
        )

    def clear(self) -> None:
        """Publishes, opens, posts, fills and finalises batch 1."""
        self.open_batch()
        self.post_chunks()
        self.send("owner", self.market.finalize(1))

    def open_batch(self) -> None:
        """Up to the offers."""
        table = self.table()
        content = publication_hash_of(START, SLOT, SLOTS, 1, pack_carbon(table.grid_carbon))
        publication = Publication(START, content, self.oracle.config_digest())
        signatures = self.signed_by_committee(publication.struct_hash())
        header = BatchHeader(START, SLOT, SLOTS, 1, 1, content, b"\x0b" * 32, b"\x05" * 32, 990, 1000)
        self.send(
            "owner",
            self.oracle.publish(publication.abi_tuple(), signatures),
            self.market.open_batch(header),
            self.market.post_prices(1, 0, pack_prices(table)),
            self._compute_offer(),
            self._power_offers(),
        )

    def signed_by_committee(self, struct_hash: bytes) -> bytes:
        """Three signatures, ascending."""
        separator = domain_separator(ANVIL, self.book["DeliveryOracle"].address)
        what = digest(separator, struct_hash)
        return join_signatures(what, [sign_digest(what, Key.of(name).private) for name in MEMBERS[:3]])

    def _compute_offer(self) -> Call:
        end = START + SLOTS * SLOT
        offer = ComputeOffer(account("provider"), SITE, 0, 0, 100, ENERGY_WH, 5_000, START, end, 0, 0, end)
        return self.market.add_compute_offers(
            1, [offer], [sign_order(offer, self.domain, Key.of("provider").private)]
        )

    def _power_offers(self) -> Call:
        end = START + SLOTS * SLOT
        offers, signatures, profiles, rows = [], [], [], []
        for plant, source in ((PV, 1), (GRID, 0)):
            wh = np.full((SLOTS, 2), 50_000)
            profile = pack_profile(wh, np.stack([np.full(SLOTS, 50_000), np.full(SLOTS, 90_000)], axis=1))
            offer = PowerOffer(
                account("supplier"), plant, 0, source, 2, START, SLOTS, keccak256(profile), 0, plant, end
            )
            offers.append(offer)
            signatures.append(sign_order(offer, self.domain, Key.of("supplier").private))
            profiles.append(profile)
            rows.append(pack_sold(self.bought_wh(source == 1)))
        return self.market.add_power_offers(1, offers, signatures, profiles, rows)

    def bought_wh(self, green: bool) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Wh that the orders of one pool buy in each slot."""
        bought = np.zeros(SLOTS, np.int64)
        for order, first, _ in self.orders():
            if (order.min_green_bps > 0) == green:
                bought[first : first + 4] += order.lanes * ENERGY_WH
        return bought

    def post_chunks(self) -> None:
        """Chunk 0 with the green orders, chunk 1 with the grey ones."""
        for chunk, green in enumerate((True, False)):
            mine = [item for item in self.orders() if (item[0].min_green_bps > 0) == green]
            mine.sort(key=lambda item: item[0].maker.lower())
            runs = pack_runs(
                [
                    (n, 0, int(green), first, first + 4, order.lanes)
                    for n, (order, first, _) in enumerate(mine)
                ]
            )
            messages = [order for order, _, _ in mine]
            signatures = [sign_order(order, self.domain, Key.of(name).private) for order, _, name in mine]
            self.send("owner", self.market.clear_chunk(1, chunk, messages, signatures, runs))
            digests = tuple(order_digest(order, self.domain) for order in messages)
            self.chunks[chunk] = _chunk_data(messages, digests, runs)
            self.order_hashes += ["0x" + value.hex() for value in digests]

    # --- delivery -------------------------------------------------------------------
    def outcomes(self, slot: int) -> bytes:
        """What chunk 1 delivered: its first active run 95 % in even slots, 60 % in odd ones; the rest all."""
        lanes = [2] if slot < 4 else [4, 6]
        share = 950 if slot % 2 == 0 else 600
        packed = b""
        for position, count in enumerate(lanes):
            delivered = count * (share if position == 0 else 1000)
            packed += delivered.to_bytes(4) + bytes(4)
        return packed

    @property
    def archive(self) -> Path:
        """Where the bundles are."""
        folder = self.folder / "archive" / "readings"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def bundle(self, slot: int) -> Bundle:
        """The slot's bundle: two meters' readings of the plant and the outcomes of chunk 1."""
        first, last = START + slot * SLOT, START + (slot + 1) * SLOT
        entries = []
        for meter in (11, 12):
            key = DeviceKey.from_seed(f"meter {meter}".encode())
            wh, seq = 1000 * meter, slot + 1
            reading = Reading(ANVIL, meter, 1, bytes(32), seq, first, last, wh, wh * seq)
            device = DeviceRecord(meter, key.public.x, key.public.y, b"\x0e" * 32)
            entries.append((seal(key, reading), 0, device))
        outcome = OutcomeEntry(1, 1, slot, self.outcomes(slot))
        return make_bundle(ANVIL, feed_id("main"), slot, first, last, entries, [outcome])

    def report(self, slot: int) -> None:
        """Moves the clock behind the slot and posts its report, with outcomes of chunk 1 only."""
        self.clock.advance_to(START + (slot + 1) * SLOT)
        bundle = self.bundle(slot)
        report = bundle.report(bytes(32), self.head_hash, self.oracle.config_digest())
        self.archive.joinpath(f"{report.archive_hash.hex()}.cbor").write_bytes(encode_bundle(bundle))
        self.send(
            "owner",
            self.oracle.call("submit", report.abi_tuple(), self.signed_by_committee(report.struct_hash())),
        )
        self.head_hash = report.struct_hash()

    def settle(self, slot: int) -> None:
        """Settles one slot of chunk 1, whose report must be final."""
        settlement = Settlement(self.book)
        self.send("owner", settlement.settle_chunk(1, 1, self.chunks[1], [slot], [self.outcomes(slot)], [[]]))

    def deliver(self, slots: int) -> None:
        """Reports and settles the first slots."""
        for slot in range(slots):
            self.report(slot)
        self.clock.advance_to(START + slots * SLOT + 1000)
        for slot in range(slots):
            self.settle(slot)


def _chunk_data(messages: list[BundleOrder], digests: tuple[bytes, ...], runs: bytes) -> ChunkData:
    makers = tuple(order.maker for order in messages)
    return ChunkData(makers, digests, runs)


def full_market(folder: Path) -> MarketChain:
    """A market with a cleared batch and six of eight slots settled."""
    chain = MarketChain(folder)
    chain.register()
    chain.clear()
    chain.deliver(6)
    return chain


def book_of(chain: MarketChain) -> AddressBook:
    """The address book."""
    return chain.book
