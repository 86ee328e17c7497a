"""A rolling horizon: every gate clears the slots that are left, and keeps what earlier gates sold.

What is sold is a fixed position of the next book: its lanes and its energy are not on offer again, unless its
holder sells it back. The last prices, moved to the new grid, are where the next clearing starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.market.assets import ComputePosition, Ints, Positions, PowerPosition
from backend.market.clearing import EffortName, clear
from backend.market.domain import Book, Fills, Solution
from backend.market.errors import MechanismError
from backend.market.lanes import filled_lanes
from backend.market.orders import NUMERIC_FIELDS, OrderTable
from backend.market.runs import runs_of_fills


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """One clearing of a rolling horizon: the slot it was made at, its book (fixed positions included), its
    solution."""

    slot: int
    book: Book
    solution: Solution


def roll(
    book: Book, gates: Sequence[int], effort: EffortName = "quick", resale: Mapping[str, int] | None = None
) -> Iterator[Gate]:
    """Clears `book` at each of `gates` (slots, ascending), knowing only orders submitted by then.

    `submitted_at` counts seconds as the book's slots do, or is below the book's start for orders known
    from the beginning. `resale` gives holders (order ids) the price at which they would sell back each
    VCU-slot. Raises MechanismError for a book with storage, lines or flexibility: what they are to do
    would have to be kept.
    """
    if book.assets:
        raise MechanismError(
            "a rolling horizon takes no storage, lines or flexibility: clear the horizon at once"
        )
    fixed, at = Positions(), 0
    done: dict[str, int] = {}
    last: Gate | None = None
    for gate in gates:
        moved = gate - at
        if last is not None:
            fixed = positions_after(last.book, last.solution, moved, resale or {})
        for name, lanes in _lanes_by_order(last).items():
            done[name] = done.get(name, 0) + lanes
        now = seen_at(book, gate, fixed, done)
        start = moved_prices(last.solution, moved, now.slots.count) if last is not None else None
        last = Gate(gate, now, clear(now, effort=effort, last=start))
        at = gate
        yield last


def positions_after(book: Book, solution: Solution, from_slot: int, resale: Mapping[str, int]) -> Positions:
    """What is sold from `from_slot` on after `solution`, on a grid that begins there."""
    compute, number = [], 0
    sold_back = [p for p in book.positions.compute if p.resale_ask_micro_per_vcu_slot is not None]
    sites = [o.id for o in book.compute_offers] + [p.offer_id for p in sold_back]
    for fills, holders, asks in (
        (_held(book, solution), [p.id for p in book.positions.compute],
         [p.resale_ask_micro_per_vcu_slot for p in book.positions.compute]),
        (solution.fills, book.orders.id.tolist(), [resale.get(name) for name in book.orders.id.tolist()]),
    ):  # fmt: skip
        for run in runs_of_fills(fills):
            start, end = run.start_slot - from_slot, run.end_slot - from_slot
            if end <= 0:
                continue
            name, number = holders[run.order].split("#")[0], number + 1
            compute.append(
                ComputePosition(
                    f"{name}#{book.slots.start + number}",
                    sites[run.offer],
                    run.mode,
                    max(start, 0),
                    end,
                    run.lanes,
                    asks[run.order],
                )
            )
    taken = {offer.id: solution.sold[n].copy() for n, offer in enumerate(book.power_offers)}
    for position in book.positions.power:
        taken[position.offer_id] = taken[position.offer_id] + position.wh
    power = tuple(
        PowerPosition(f"{name}#sold", name, wh[from_slot:])
        for name, wh in taken.items()
        if wh[from_slot:].any()
    )
    return Positions(tuple(compute), power)


def seen_at(book: Book, slot: int, fixed: Positions, done: Mapping[str, int]) -> Book:
    """`book` as a gate at `slot` sees it: the slots left, the orders known and still open, `fixed` positions.

    `done` are lanes that orders have already; an order that was begun is not asked again for its minimum.
    """
    left = book.slots.count - slot
    grid = replace(book.slots, start=book.slots.start + slot * book.slots.slot_seconds, count=left)
    o = book.orders
    given = np.array([done.get(name, 0) for name in o.id.tolist()], dtype=np.int64)
    start = np.maximum(o.start_slot - slot, 0)
    deadline = o.deadline_slot - slot
    known = o.submitted_at <= grid.start
    open_ = known & (o.lanes > given) & (deadline - start >= o.duration_slots) & (given * (o.kind != 0) == 0)
    columns = {name: getattr(o, name)[open_] for name in NUMERIC_FIELDS}
    columns |= {
        "start_slot": start[open_],
        "deadline_slot": deadline[open_],
        "lanes": (o.lanes - given)[open_],
    }
    return Book.of(
        grid,
        book.zones,
        book.classes,
        [
            replace(c, start_slot=max(c.start_slot - slot, 0), end_slot=max(c.end_slot - slot, 0))
            for c in book.compute_offers
        ],
        [replace(p, wh=p.wh[slot:], ask_micro_per_kwh=p.ask_micro_per_kwh[slot:]) for p in book.power_offers],
        book.grid_carbon[:, slot:],
        OrderTable(id=o.id[open_], **columns),
        book.bands,
        None,
        fixed,
    )


def moved_prices(last: Solution, by: int, slots: int) -> Solution:
    """The prices of `last` for a grid of `slots` slots that begins `by` slots later; the last column goes
    on."""

    def moved(table: Ints) -> Ints:
        column = np.minimum(np.arange(slots) + by, table.shape[-1] - 1)
        return table[..., column]

    return replace(
        last,
        compute_price=moved(last.compute_price),
        energy_price=moved(last.energy_price),
        fills=Fills.empty(),
    )


def _held(book: Book, solution: Solution) -> Fills:
    """Lanes that the holders of positions keep, as fills whose `order` counts the book's positions."""
    positions = book.positions.compute
    rows = {o.id: n for n, o in enumerate(book.compute_offers)}
    kept = np.zeros((len(positions), book.slots.count), dtype=np.int64)
    for row, position in enumerate(positions):
        kept[row, position.start_slot : position.end_slot] = position.lanes
    for_sale = [n for n, p in enumerate(positions) if p.resale_ask_micro_per_vcu_slot is not None]
    f, first = solution.fills, len(book.compute_offers)
    back = f.offer >= first
    owner = np.array(for_sale, dtype=np.int64)[f.offer[back] - first] if back.any() else f.offer[back]
    np.subtract.at(kept, (owner, f.slot[back]), f.lanes[back])
    n, t = np.nonzero(kept)
    offer = np.array([rows[p.offer_id] for p in positions], dtype=np.int64)
    mode = np.array([p.mode for p in positions], dtype=np.int64)
    return Fills.of(n, offer[n], mode[n], t, kept[n, t]) if len(n) else Fills.empty()


def _lanes_by_order(last: Gate | None) -> dict[str, int]:
    if last is None:
        return {}
    lanes = filled_lanes(last.book, last.solution.fills)
    return {name: int(n) for name, n in zip(last.book.orders.id.tolist(), lanes, strict=True) if n}
