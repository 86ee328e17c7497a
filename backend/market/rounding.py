"""From prices to a firm clearing: integer prices, integer lanes, every limit and every ask kept.

Prices are posted first and not touched again. Then the places that the orders would like are made firm: who
stands where there is no room moves to what costs it least, those first who lose least by it; what finds no
place is taken off and tries once more, the strongest first; then whatever adds to welfare moves.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from backend.market.cells import Cells, cells_of
from backend.market.certificate import best_of_orders, certify
from backend.market.coordinate import Effort
from backend.market.domain import Book, Ints, Solution
from backend.market.firm import POSTED, TRUE, Firm, calm, evict, firm_of, improve, negotiate, take_off
from backend.market.handing import fills_of
from backend.market.lanes import lane_faults
from backend.market.lots import Lots
from backend.market.orders import KIND_DIVISIBLE
from backend.market.posting import post
from backend.market.selling import sell
from backend.market.shake import shake
from backend.market.tables import Tables, tables_of

PATIENCE = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0)  # of a lot's limit, to leave an overfull cell
MANY_LOTS = 50_000


def round_at(
    book: Book, tab: Tables, c: Cells, lots: Lots, effort: Effort, mechanism: str = "joint"
) -> Solution:
    """Posts the prices of `c` and fills the book at them, keeping what is placed where that is allowed."""
    compute, energy = post(book, tab, c)
    return fill_at(book, tab, c, lots, effort, compute, energy, None, mechanism)


def fill_at(
    book: Book, tab: Tables, c: Cells, lots: Lots, effort: Effort, compute: Ints, energy: Ints,
    scarcity: Ints | None = None, mechanism: str = "joint",
) -> Solution:  # fmt: skip
    """Fills the book at posted prices (`scarcity`: see `firm_of`)."""
    f = firm_of(tab, c, lots, compute, energy, scarcity)
    kind_of = tab.class_row[lots.order]
    surplus = best_of_orders(book, tab, compute).astype(np.float64)[lots.order]
    weakest = np.lexsort((lots.order, surplus))
    banned = np.zeros(len(lots.order), dtype=np.bool_)
    turns = np.random.default_rng(20_171_020)
    for _ in range(effort.rounds if len(lots.order) <= MANY_LOTS else effort.rounds_many):
        if effort.late() or not negotiate(f, lots, kind_of, turns.permutation(len(lots.order))):
            break
    for patience in PATIENCE:
        if not calm(f, lots, kind_of, weakest, patience):
            break
    evict(f, lots, kind_of, weakest)
    strongest = weakest[::-1]
    improve(f, lots, kind_of, strongest[~lots.on[strongest]], POSTED, banned)
    for n in range(effort.firm_sweeps):
        if effort.late() or not improve(
            f, lots, kind_of, strongest if n == 0 else turns.permutation(len(lots.order)), TRUE, banned
        ):
            break
        if n == 0:
            restore_shares(book, tab, f, lots, kind_of, banned)
    evict(f, lots, kind_of, weakest)
    restore_shares(book, tab, f, lots, kind_of, banned)
    if scarcity is not None and not effort.late():
        kept = Firm(**{name: array.copy() for name, array in f._asdict().items()})
        o = book.orders
        shake(
            f, kept, lots, kind_of, o.kind, o.lanes, tab.green_lanes, o.min_lanes, effort.shakes, 88_172_645
        )
    fills = fills_of(f, lots, kind_of, len(book.orders))
    bare = Solution(mechanism, compute, energy, fills, sell(book, tab, fills))
    return replace(bare, certificate=certify(book, bare))


def restore_shares(
    book: Book, tab: Tables, f: Firm, lots: Lots, kind_of: Ints, banned: npt.NDArray[np.bool_]
) -> None:
    """Takes free lanes from orders whose green-only lanes did not fill in proportion (or break another
    rule); what was taken off must stay off."""
    faults = lane_faults(book, tab, fills_of(f, lots, kind_of, len(book.orders)))
    if not faults:
        return
    rank = np.argsort(lots.order, kind="stable")
    begin = np.searchsorted(lots.order[rank], np.arange(len(book.orders) + 1))
    for j, _ in faults:
        mine = rank[begin[j] : begin[j + 1]]
        placed = mine[lots.on[mine]]
        green = int(lots.lanes[placed, 0].sum())
        whole, free = int(tab.green_lanes[j]), int(book.orders.lanes[j] - tab.green_lanes[j])
        room = green * free // whole if whole else free
        for p in placed[np.argsort(lots.lanes[placed, 1], kind="stable")]:
            if lots.lanes[p, 0] == 0 and lots.lanes[p, 1] > room:
                take_off(f, lots, kind_of[p], p)
                banned[p] = True
            else:
                room -= int(lots.lanes[p, 1])
        if room < 0 or book.orders.kind[j] != KIND_DIVISIBLE:
            for p in placed[lots.on[placed]]:
                take_off(f, lots, kind_of[p], p)
            banned[mine] = True


def closing_prices(book: Book) -> tuple[Ints, Ints]:
    """Prices at which nothing trades: energy at its lowest ask (none: the top of the band), compute to
    cover it."""
    tab = tables_of(book)
    c = cells_of(book, tab)
    ceiling = min(book.bands.energy_max, 1_000_000_000)
    c.centre[:] = np.where(c.pool_steps > 0, np.minimum(c.pool_ask[..., 0], ceiling), ceiling)
    return post(book, tab, c)
