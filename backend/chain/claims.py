"""What the solver of an optimistic batch commits to: a row per order, a step per change of load, running
sums.

The layout is that of contracts/libraries/Claims.sol. Trees: leaf = keccak256(keccak256(words)), node =
keccak256(left, right) by position, padding leaves are zero. Rows ascend by maker and nonce, steps by
their key; every sum that the claim states is carried along the leaves, so that one wrong leaf is enough
to refute it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

import numpy as np

from backend.chain.eip712 import Domain, order_digest
from backend.chain.errors import FieldError
from backend.chain.keccak import address_bytes, keccak
from backend.chain.orders import BundleOrder
from backend.chain.packing import IntArray, PriceTable, pack_runs
from backend.market.certificate import shape_prices
from backend.market.domain import GREEN, GREY, Book, Run, Solution
from backend.market.lanes import filled_lanes
from backend.market.runs import runs_of_fills
from backend.market.selling import need_of
from backend.market.tables import tables_of

OPTIMISTIC_DOMAIN_NAME = "BitWatt Optimistic"
LANES, ENERGY = 0, 1
MOST_RUNS, LONGEST_RUN, MARK_BYTES = 16, 96, 25
NO_KEY = (1 << 256) - 1
"""`next_key` of the last row and the last step."""
ZERO = b"\0" * 32


@dataclass(frozen=True, slots=True)
class Row:
    """One order's leaf; `cum_*` add up the rows so far. Units as in the contract: micro, milli-micro,
    lanes."""

    order_hash: bytes
    sig_hash: bytes
    runs_hash: bytes
    marks_hash: bytes
    maker: str
    nonce: int
    next_key: int
    order_lanes: int
    lanes: int
    cost_micro: int
    welfare_milli: int
    best_milli: int
    cum_welfare: int
    cum_best: int

    @property
    def key(self) -> int:
        """maker << 64 | nonce, by which rows ascend."""
        return row_key(self.maker, self.nonce)

    def leaf(self) -> bytes:
        """Leaf hash."""
        return _leaf([getattr(self, f.name) for f in fields(self)])


@dataclass(frozen=True, slots=True)
class Step:
    """A change of the load of one cell at one slot, and the load after it."""

    key: int
    next_key: int
    delta: int
    load: int

    def leaf(self) -> bytes:
        """Leaf hash."""
        return _leaf([self.key, self.next_key, self.delta, self.load])

    @property
    def cell(self) -> tuple[int, int]:
        """(kind, cell)."""
        return self.key >> 88, self.key >> 72 & 0xFFFF

    @property
    def slot(self) -> int:
        """The slot from which the load holds."""
        return self.key >> 56 & 0xFFFF


Leaf = TypeVar("Leaf", Row, Step)


@dataclass(frozen=True, slots=True)
class Entry:
    """The data behind a row, which the archive keeps: signed order, runs and marks."""

    order: BundleOrder
    signature: bytes
    runs: bytes
    marks: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What is posted on chain: the batch's grid as the market has it, roots, counts and sums."""

    start: int
    slot_seconds: int
    slots: int
    zones: int
    classes: int
    compute_offers: int
    rows_root: bytes
    steps_root: bytes
    rows: int
    steps: int
    chunk_bits: int
    welfare_milli: int
    best_milli: int
    data_hash: bytes


@dataclass(frozen=True, slots=True)
class Commitment:
    """A claim with all the leaves and data behind it."""

    claim: Claim
    rows: tuple[Row, ...]
    steps: tuple[Step, ...]
    entries: tuple[Entry, ...]

    row_levels: list[list[bytes]] = field(repr=False, compare=False)
    step_levels: list[list[bytes]] = field(repr=False, compare=False)

    def row_path(self, index: int) -> list[bytes]:
        """Siblings from row `index` up."""
        return _path(self.row_levels, index)

    def step_path(self, index: int) -> list[bytes]:
        """Siblings from step `index` up."""
        return _path(self.step_levels, index)


@dataclass(frozen=True, slots=True)
class Offer:
    """A compute offer as the contract keeps it."""

    zone: int
    class_id: int
    start_slot: int
    end_slot: int
    capacity: int
    energy_wh: int
    ask_micro: int


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What the chain knows of a batch, by which every leaf is judged; `sold_wh` [zone][mode][slot].

    Zones and classes are numbered from 0 without gaps, as on chain.
    """

    start: int
    slot_seconds: int
    slots: int
    offers: tuple[Offer, ...]
    table: PriceTable
    class_wh: tuple[int, ...]
    sold_wh: IntArray
    domain: Domain

    def carbon(self, zone: int, mode: int) -> IntArray:
        """g/kWh by slot."""
        return (self.table.green_factor if mode == GREEN else self.table.grid_carbon)[zone]


def facts_of(book: Book, solution: Solution, table: PriceTable, domain: Domain) -> Facts:
    """The facts of `book` and the prices of `solution`. Raises FieldError where ids have gaps."""
    for name, ids in (("zone", book.zones), ("class", book.classes)):
        if [one.id for one in ids] != list(range(len(ids))):
            raise FieldError(f"{name} ids", [one.id for one in ids], "number them from 0")
    return Facts(
        book.slots.start,
        book.slots.slot_seconds,
        book.slots.count,
        tuple(
            Offer(
                o.zone_id,
                o.class_id,
                o.start_slot,
                o.end_slot,
                o.capacity,
                o.energy_wh_per_vcu_slot,
                o.ask_micro_per_vcu_slot,
            )
            for o in book.compute_offers
        ),
        table,
        tuple(c.energy_wh_per_vcu_slot for c in book.classes),
        need_of(book, tables_of(book), solution.fills),
        domain,
    )


def commit(
    book: Book,
    solution: Solution,
    facts: Facts,
    signed: Mapping[str, tuple[BundleOrder, bytes]],
    chunk_bits: int = 6,
    data_hash: bytes = ZERO,
) -> Commitment:
    """The commitment to `solution`; `signed` gives the signed order and signature of each order id of the
    book.

    Raises FieldError for an order with more runs than a row can carry.
    """
    mine: dict[int, list[Run]] = {}
    for run in runs_of_fills(solution.fills):
        mine.setdefault(run.order, []).append(run)
    lanes = filled_lanes(book, solution.fills)
    best = best_of_whole_orders(book, solution, facts)
    rank = sorted(range(len(book.orders)), key=lambda j: _order_key(signed[str(book.orders.id[j])][0]))
    rows, entries, cum_welfare, cum_best = [], [], 0, 0
    for index, j in enumerate(rank):
        order, signature = signed[str(book.orders.id[j])]
        here = [
            (index % (1 << chunk_bits), r.offer, r.mode, r.start_slot, r.end_slot, r.lanes)
            for r in sorted(
                cut_long(mine.get(j, [])), key=lambda r: (facts.offers[r.offer].zone, r.offer, r.mode)
            )
        ]
        if len(here) > MOST_RUNS:
            raise FieldError(
                f"runs of order {book.orders.id[j]}", len(here), f"at most {MOST_RUNS} fit a row"
            )
        marks = [mark_of(facts, order, run) for run in here]
        packed = b"".join(pack_mark(*mark) for mark in marks)
        runs = pack_runs(here)
        welfare = sum(mark[2] for mark in marks)
        cum_welfare, cum_best = cum_welfare + welfare, cum_best + best[j]
        rows.append(
            Row(
                order_hash=order_digest(order, facts.domain),
                sig_hash=keccak(signature),
                runs_hash=keccak(runs),
                marks_hash=keccak(packed),
                maker=order.maker,
                nonce=order.nonce,
                next_key=NO_KEY,
                order_lanes=order.lanes,
                lanes=int(lanes[j]),
                cost_micro=sum(mark[1] for mark in marks),
                welfare_milli=welfare,
                best_milli=best[j],
                cum_welfare=cum_welfare,
                cum_best=cum_best,
            )
        )
        entries.append(Entry(order, signature, runs, packed))
    steps = steps_of(facts, entries)
    zones, classes = facts.table.energy_price.shape[0], len(facts.class_wh)
    grid = (facts.start, facts.slot_seconds, facts.slots, zones, classes, len(facts.offers))
    return sealed(Claim(*grid, ZERO, ZERO, 0, 0, chunk_bits, 0, 0, data_hash), rows, steps, entries)


def sealed(claim: Claim, rows: Sequence[Row], steps: Sequence[Step], entries: Sequence[Entry]) -> Commitment:
    """The commitment with the links, roots, counts and sums of these leaves."""
    rows = _linked(rows)
    steps = _linked(steps)
    last = rows[-1] if rows else None
    row_levels = _levels([row.leaf() for row in rows], row_height(len(rows), claim.chunk_bits))
    step_levels = _levels([step.leaf() for step in steps], _bits(len(steps)))
    made = replace(
        claim,
        rows_root=_root(row_levels),
        steps_root=_root(step_levels) if steps else ZERO,
        rows=len(rows),
        steps=len(steps),
        welfare_milli=last.cum_welfare if last else 0,
        best_milli=last.cum_best if last else 0,
    )
    return Commitment(made, tuple(rows), tuple(steps), tuple(entries), row_levels, step_levels)


def _linked(leaves: Sequence[Leaf]) -> list[Leaf]:
    """The leaves, each with the key of the next."""
    keys = [*(leaf.key for leaf in leaves[1:]), NO_KEY]
    return [replace(leaf, next_key=key) for leaf, key in zip(leaves, keys, strict=True)] if leaves else []


def steps_of(facts: Facts, entries: Sequence[Entry]) -> list[Step]:
    """The steps of all runs in order, with the load after each."""
    changes = sorted(
        step_of(facts, row, number, run, part)
        for row, entry in enumerate(entries)
        for number, run in enumerate(read_runs(entry.runs))
        for part in range(4)
    )
    steps: list[Step] = []
    for key, delta in changes:
        same = bool(steps) and steps[-1].key >> 72 == key >> 72
        load = delta + (steps[-1].load if same else 0)
        steps.append(Step(key, NO_KEY, delta, load))
    return _linked(steps)


def step_of(
    facts: Facts, row: int, number: int, run: tuple[int, int, int, int, int, int], part: int
) -> tuple[int, int]:
    """(key, delta) of a part of a run: 0 enters its offer, 1 leaves it, 2 enters its pool, 3 leaves it."""
    _, at, mode, start, end, lanes = run
    kind, enters = part >> 1, part & 1 == 0
    offer = facts.offers[at]
    cell, size = (at, lanes) if kind == LANES else (2 * offer.zone + mode, lanes * offer.energy_wh)
    slot = start if enters else end
    key = kind << 88 | cell << 72 | slot << 56 | int(enters) << 48 | row << 16 | number
    return key, size if enters else -size


def mark_of(
    facts: Facts, order: BundleOrder, run: tuple[int, int, int, int, int, int]
) -> tuple[int, int, int]:
    """(zone, cost in micro, welfare in milli-micro) of a run at the posted prices."""
    _, at, mode, start, end, lanes = run
    offer = facts.offers[at]
    price = int(facts.table.compute_price[order.class_id, offer.zone, mode, start:end].sum())
    grams = int(facts.carbon(offer.zone, mode)[start:end].sum())
    surplus = 1000 * (order.limit_price - offer.ask_micro) * (end - start)
    felt = order.carbon_price * facts.class_wh[order.class_id] * grams
    return offer.zone, lanes * price, lanes * (surplus - felt)


def pack_mark(zone: int, cost_micro: int, welfare_milli: int) -> bytes:
    """25 bytes: zone u8, cost u64, welfare i128."""
    return bytes([zone]) + cost_micro.to_bytes(8, "big") + welfare_milli.to_bytes(16, "big", signed=True)


def read_marks(data: bytes) -> list[tuple[int, int, int]]:
    """The marks that `pack_mark` packed."""
    cut = [data[at : at + MARK_BYTES] for at in range(0, len(data), MARK_BYTES)]
    return [(m[0], int.from_bytes(m[1:9], "big"), int.from_bytes(m[9:25], "big", signed=True)) for m in cut]


def read_runs(data: bytes) -> list[tuple[int, int, int, int, int, int]]:
    """The runs of a row."""
    from backend.chain.packing import unpack_runs

    return unpack_runs(data)


def cut_long(runs: Sequence[Run]) -> list[Run]:
    """Runs of at most `LONGEST_RUN` slots."""
    return [
        replace(run, start_slot=at, end_slot=min(at + LONGEST_RUN, run.end_slot))
        for run in runs
        for at in range(run.start_slot, run.end_slot, LONGEST_RUN)
    ]


def best_of_whole_orders(book: Book, solution: Solution, facts: Facts) -> list[int]:
    """Best profit (milli-micro) of each order at the posted prices and carbon, all its lanes taken as
    fillable."""
    if len(book.orders) == 0:
        return []
    tab = tables_of(book)
    carbon = tab.carbon.copy()
    carbon[:, GREY], carbon[:, GREEN] = facts.table.grid_carbon, facts.table.green_factor
    o = book.orders
    green, mixed = shape_prices(book, replace(tab, carbon=carbon), solution.compute_price)
    value = 1000 * o.lanes.astype(object) * o.limit_micro_per_vcu_slot * o.duration_slots
    few = tab.green_lanes.astype(object)
    return [max(0, int(v)) for v in value - few * green - (o.lanes - few) * mixed]


def row_key(maker: str, nonce: int) -> int:
    """maker << 64 | nonce."""
    return int.from_bytes(address_bytes(maker), "big") << 64 | nonce


def row_height(rows: int, chunk_bits: int) -> int:
    """Height of the rows' tree: chunks are subtrees of it."""
    return max(chunk_bits, _bits(rows))


def _order_key(order: BundleOrder) -> int:
    return row_key(order.maker, order.nonce)


def _bits(count: int) -> int:
    return max(count - 1, 0).bit_length()


def _leaf(words: Sequence[object]) -> bytes:
    return keccak(keccak(b"".join(_word(word) for word in words)))


def _word(value: object) -> bytes:
    if isinstance(value, bytes):
        return value.rjust(32, b"\0")
    if isinstance(value, str):
        return address_bytes(value).rjust(32, b"\0")
    assert isinstance(value, (int, np.integer))
    return (int(value) % (1 << 256)).to_bytes(32, "big")


def _levels(leaves: Sequence[bytes], height: int) -> list[list[bytes]]:
    """Levels from the leaves up; only as wide as there are leaves, the rest of a level is its padding."""
    levels, empty = [list(leaves)], ZERO
    for _ in range(height):
        row = levels[-1] + ([empty] if len(levels[-1]) % 2 else [])
        levels.append([keccak(row[n] + row[n + 1]) for n in range(0, len(row), 2)] or [])
        empty = keccak(empty + empty)
    return levels


def _padding(height: int) -> list[bytes]:
    empty = [ZERO]
    for _ in range(height):
        empty.append(keccak(empty[-1] + empty[-1]))
    return empty


def _root(levels: list[list[bytes]]) -> bytes:
    return levels[-1][0] if levels[-1] else _padding(len(levels))[len(levels) - 1]


def _path(levels: list[list[bytes]], index: int) -> list[bytes]:
    empty = _padding(len(levels))
    path = []
    for level, row in enumerate(levels[:-1]):
        other = (index >> level) ^ 1
        path.append(row[other] if other < len(row) else empty[level])
    return path
