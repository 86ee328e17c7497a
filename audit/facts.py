"""What the auditor knows: frozen records of what stands on chain. No record here was judged yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from audit.abi import Call, Event
from audit.archive import Archive, Document
from audit.bundle import Parsed
from audit.memo import Memo
from oracle.wire.typed import Report

Terms = Mapping[str, Any]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something happened on chain; ordered by block and log index. `timestamp` in unix seconds."""

    block: int
    index: int
    timestamp: int
    tx: str = ""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed order or offer as it was sent to the chain: EIP-712 field values by their Solidity names.

    `together` is the struct hash of the list of orders it was signed in, empty where it was signed alone."""

    kind: Literal["order", "compute offer", "power offer"]
    terms: Terms
    signature: bytes
    batch_id: int
    index: int
    place: Place
    chunk: int = -1
    profile: bytes = b""
    sold: bytes = b""
    together: bytes = b""

    @property
    def maker(self) -> str:
        """Lower-case address of the signer."""
        return str(self.terms["maker"]).lower()


@dataclass(frozen=True, slots=True)
class Run:
    """One agreement: constant lanes of an order at an offer in [start_slot, end_slot)."""

    index: int
    order: int
    offer: int
    mode: int
    start_slot: int
    end_slot: int
    lanes: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """One ChunkCleared event with the calldata that made it; `orders` is empty if it cannot be seen."""

    batch_id: int
    index: int
    makers: tuple[str, ...]
    order_hashes: tuple[bytes, ...]
    runs: tuple[Run, ...]
    runs_raw: bytes
    orders: tuple[Signed, ...]
    place: Place
    lanes_filled: Mapping[bytes, tuple[int, int]] = field(default_factory=dict)

    def name(self) -> str:
        """How findings call this chunk."""
        return f"batch {self.batch_id} chunk {self.index}"


@dataclass(frozen=True, slots=True)
class Prices:
    """The posted table: micro per VCU-slot [class, zone, mode, slot], micro per kWh [zone, mode, slot],
    grid carbon and green supply factor in g/kWh [zone, slot]."""

    compute: Ints
    energy: Ints
    grid_carbon: Ints
    green_factor: Ints
    carbon_raw: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of BundleMarket: its header, posted table, offers and chunks."""

    id: int
    header: Terms
    place: Place
    table: bytes
    prices: Prices | None
    compute_offers: tuple[Signed, ...]
    power_offers: tuple[Signed, ...]
    chunks: tuple[Chunk, ...]
    finalised: Place | None = None
    voided: Place | None = None

    @property
    def start(self) -> int:
        """Unix second of slot 0."""
        return int(self.header["start"])

    @property
    def slot_seconds(self) -> int:
        """Seconds of one slot."""
        return int(self.header["slotSeconds"])

    @property
    def slots(self) -> int:
        """Number of slots."""
        return int(self.header["slots"])


def parse_runs(raw: bytes) -> tuple[Run, ...] | None:
    """The runs of a chunk (13 bytes each, big-endian), or None if the length does not fit."""
    if len(raw) % 13:
        return None
    kind = np.dtype(
        [
            ("order", ">u2"),
            ("offer", ">u2"),
            ("mode", "u1"),
            ("start", ">u2"),
            ("end", ">u2"),
            ("lanes", ">u4"),
        ]
    )
    rows = np.frombuffer(raw, dtype=kind).tolist()
    return tuple(Run(index, *row) for index, row in enumerate(rows))


def parse_prices(table: bytes, classes: int, zones: int, slots: int) -> Prices | None:
    """The posted price table cut into its four sections, or None if its length does not fit."""
    cells = zones * slots
    sizes = (classes * cells * 2 * 4, cells * 2 * 4, cells * 2, cells * 2)
    if len(table) != sum(sizes):
        return None
    ends = np.cumsum((0, *sizes))
    part = [table[ends[at] : ends[at + 1]] for at in range(4)]
    compute = np.frombuffer(part[0], dtype=">u4").astype(np.int64).reshape(classes, zones, 2, slots)
    energy = np.frombuffer(part[1], dtype=">i4").astype(np.int64).reshape(zones, 2, slots)
    carbon = np.frombuffer(part[2], dtype=">u2").astype(np.int64).reshape(zones, slots)
    factor = np.frombuffer(part[3], dtype=">u2").astype(np.int64).reshape(zones, slots)
    return Prices(compute, energy, carbon, factor, part[2])


def parse_profile(profile: bytes, slots: int, tranches: int) -> list[list[tuple[int, int]]] | None:
    """Per slot the (Wh, ask micro/kWh) tranches of a power offer, or None if the length does not fit."""
    if len(profile) != slots * tranches * 8 or not tranches:
        return None
    rows = np.frombuffer(profile, dtype=np.dtype([("wh", ">u4"), ("ask", ">i4")])).tolist()
    return [rows[at : at + tranches] for at in range(0, len(rows), tranches)]


def parse_sold(sold: bytes) -> list[int] | None:
    """Sold Wh per batch slot, or None if the length does not fit."""
    return np.frombuffer(sold, dtype=">u4").tolist() if len(sold) % 4 == 0 else None


@dataclass(frozen=True, slots=True)
class Committee:
    """A committee of the DeliveryOracle. `bond_micro` 0: no bond is asked."""

    members: tuple[str, ...]
    quorum: int
    digest: bytes
    bond_micro: int


@dataclass(frozen=True, slots=True)
class ReportFact:
    """One submitted report, its signatures (None where the call cannot be seen) and its archived bundle."""

    report: Report
    signatures: bytes | None
    place: Place
    document: Document
    bundle: Parsed
    inside: bool = True

    def name(self) -> str:
        """How findings call this report."""
        return f"report feed 0x{self.report.feed_id.hex()[:8]} epoch {self.report.epoch}"


@dataclass(frozen=True, slots=True)
class DeviceFact:
    """One device as the Registry recorded it (as it was sent, where it has no record), and its evidence."""

    terms: Terms
    sent: Terms | None
    signatures: bytes | None
    place: Place
    document: Document
    recorded: bool = True

    @property
    def meter_id(self) -> int:
        """The meter this key belongs to."""
        return int(self.terms["meterId"])

    def name(self) -> str:
        """How findings call this device."""
        return f"device of meter {self.meter_id} attested in block {self.place.block}"


@dataclass(frozen=True, slots=True)
class PublicationFact:
    """A carbon publication: the event, the struct that was sent, and its signatures."""

    terms: Terms
    sent: Terms | None
    signatures: bytes | None
    place: Place


@dataclass(frozen=True, slots=True)
class BatchFiles:
    """The archived book and solution of a batch, with their JSON objects as far as they can be read."""

    book: Document
    solution: Document
    book_json: Mapping[str, Any]
    solution_json: Mapping[str, Any]
    book_problem: str = ""
    solution_problem: str = ""


@dataclass(frozen=True, slots=True)
class Asset:
    """A site or a plant as registered from `place` on: fields by their Solidity names."""

    place: Place
    terms: Terms


History = Mapping[int, tuple[Asset, ...]]


def asset_at(history: History, asset_id: int, place: Place) -> Terms | None:
    """The registration of an asset that held at `place`, or None."""
    held = [asset for asset in history.get(asset_id, ()) if asset.place <= place]
    return held[-1].terms if held else None


@dataclass(frozen=True, slots=True)
class Head:
    """The block at which the audit stands still."""

    number: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class Views:
    """What the contracts say at the head block; None or absent where the endpoint gave no answer.

    `ledger` is (available, locked) micro-units by account; ids are ERC-1155 ids."""

    chain_id: int = 0
    code_bytes: Mapping[str, int] = field(default_factory=dict)
    wiring: Mapping[str, str] = field(default_factory=dict)
    committee: Committee | None = None
    ledger: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    total_micro: int | None = None
    token_balance_micro: int | None = None
    minted: Mapping[int, int] = field(default_factory=dict)
    retired: Mapping[int, int] = field(default_factory=dict)
    supply: Mapping[int, int] = field(default_factory=dict)
    holdings: Mapping[tuple[str, int], int] = field(default_factory=dict)
    credits_mg: Mapping[tuple[str, int], int] = field(default_factory=dict)
    commitments: Mapping[tuple[int, int], bytes] = field(default_factory=dict)
    feed_id: bytes | None = None
    refund_delay: int | None = None
    dispute_window: int | None = None
    policy_hash: bytes | None = None
    registry_owner: str | None = None
    dispute_bond_micro: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """Everything read from chain and archive; compared by identity, so that derived tables can be cached.

    `step` moves the progress bar of long checks; `memo` remembers what an earlier audit found good."""

    chain_id: int
    addresses: Mapping[str, str]
    events: Mapping[tuple[str, str], tuple[Event, ...]] = field(default_factory=dict)
    calls: Mapping[str, Call] = field(default_factory=dict)
    odd_logs: tuple[str, ...] = ()
    head: Head = Head(0, 0)
    views: Views = Views()
    batches: tuple[Batch, ...] = ()
    contract_signatures: Mapping[tuple[str, bytes], bool] = field(default_factory=dict)
    unknown_signers: frozenset[str] = frozenset()
    cancelled: Mapping[tuple[str, int], Place] = field(default_factory=dict)
    epochs: Mapping[str, tuple[tuple[Place, int], ...]] = field(default_factory=dict)
    reports: tuple[ReportFact, ...] = ()
    devices: tuple[DeviceFact, ...] = ()
    publications: tuple[PublicationFact, ...] = ()
    sites: History = field(default_factory=dict)
    plants: History = field(default_factory=dict)
    files: Mapping[int, BatchFiles] = field(default_factory=dict)
    archive: Archive | None = None
    step: Callable[[int], None] | None = None
    memo: Memo = field(default_factory=Memo)

    def address(self, contract: str) -> str:
        """Address of a contract of the book."""
        return self.addresses[contract]

    def log(self, contract: str, name: str) -> tuple[Event, ...]:
        """Events of one kind, in chain order."""
        return self.events.get((contract, name), ())

    def batch(self, batch_id: int) -> Batch | None:
        """A batch of the audited time."""
        return next((batch for batch in self.batches if batch.id == batch_id), None)

    def emission_factor(self, offer: Signed) -> int:
        """g/kWh of the plant behind a power offer when it was added; 0 if it is not registered."""
        plant = asset_at(self.plants, offer.terms["plantId"], offer.place)
        return int(plant["emissionFactor"]) if plant else 0
