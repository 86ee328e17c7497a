"""Reference mechanisms without a market: first come, first served, as compute is leased today.

Orders are served one by one as they were submitted (ties by id), lane by lane, and each takes free
capacity at once; nothing is ever moved again. Buyers pay what the suppliers ask.

fcfs    takes the earliest free slots of its window, in each at the cheapest free site, and among its zones
        the one where that costs least. Green-only lanes take green energy of the zone as long as there is
        some; other lanes take whichever energy is cheaper at that moment.
greedy  the same, but shifts inside the window to the slots that are cheapest for it (ask, energy and its own
        price of carbon) at the moment it arrives.

An order is served as far as its cost stays within its limit. Both are generous: lanes may be interrupted and
change sites, and every buyer knows all asks.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np

from backend.market.domain import Book, Fills, Solution
from backend.market.jit import njit
from backend.market.lanes import lane_faults
from backend.market.parts import fills_of_parts, parts_of
from backend.market.selling import sell
from backend.market.supply import BLOCKED, Supply, supply_of
from backend.market.sweep import Asks, cheapest_site, move, serve
from backend.market.tables import tables_of


def clear_fcfs(book: Book) -> Solution:
    """First come, first served: the earliest slots, at the cheapest site that is free."""
    return _lease(book, "fcfs")


def clear_greedy(book: Book) -> Solution:
    """First come, first served, shifted to the cheapest slots inside each window."""
    return _lease(book, "greedy")


def _lease(book: Book, mechanism: str) -> Solution:
    tab = tables_of(book)
    supply, parts = supply_of(book, tab), parts_of(book, tab, 1)
    queue = np.lexsort((parts.order, book.orders.submitted_at[parts.order]))
    asks = asking(supply)
    if mechanism == "fcfs":
        _first_come(supply, asks, parts, queue)
    else:
        serve(supply, asks, parts, queue)
    fills = without_faults(book, fills_of_parts(parts))
    return pay_as_asked(book, mechanism, fills)


def pay_as_asked(book: Book, mechanism: str, fills: Fills) -> Solution:
    """A reference solution: no prices, suppliers receive what they ask."""
    kinds, zones, slots = len(book.classes), len(book.zones), book.slots.count
    return Solution(
        mechanism=mechanism,
        compute_price=np.zeros((kinds, zones, 2, slots), dtype=np.int64),
        energy_price=np.zeros((zones, 2, slots), dtype=np.int64),
        fills=fills,
        sold=sell(book, tables_of(book), fills),
        uniform=False,
    )


def without_faults(book: Book, fills: Fills) -> Fills:
    """`fills` without the orders whose lanes break their kind or green share (green ran out on the way)."""
    bad = np.array([j for j, _ in lane_faults(book, tables_of(book), fills)], dtype=np.int64)
    keep = ~np.isin(fills.order, bad)
    return Fills(*(getattr(fills, name)[keep] for name in ("order", "offer", "mode", "slot", "lanes")))


def asking(s: Supply) -> Asks:
    """Everybody sells at its own ask: no posted price, all capacity willing."""
    top = np.where(s.step_ask < BLOCKED / 2, np.diff(s.step_top, axis=3, prepend=0.0), 0.0).sum(axis=3)
    willing = np.repeat(s.capacity[:, None, :] > 0, 2, axis=1)
    return Asks(willing, top)


@njit(cache=True)
def _first_come(s, asks, parts, queue):
    """Places single-lane parts in the order of `queue`, each in the earliest free slots of its cheapest
    zone."""
    size = s.load.shape[2]
    place, when = np.empty(size, np.int32), np.empty(size, np.int32)
    for p in queue:
        strand = 0 if parts.lanes[p, 0] > 0 else 1
        k, duration, first = parts.kind[p], parts.duration[p], parts.first[p, strand]
        best = parts.limit[p] * duration
        for z in range(s.load.shape[0]):
            if (parts.bits[p] >> np.uint64(z)) & np.uint64(1) == np.uint64(0):
                continue
            total, got, t = 0.0, 0, parts.start[p]
            while t < parts.deadline[p] and got < duration:
                c, i = cheapest_site(s, asks, k, z, 1, t, 1)
                c += parts.carbon_cost[p] * s.carbon[z, 1, t]
                where = 2 * i + 1
                if strand == 1 and s.carbon[z, 0, t] <= parts.carbon_cap[p]:
                    grey, other = cheapest_site(s, asks, k, z, 0, t, 1)
                    grey += parts.carbon_cost[p] * s.carbon[z, 0, t]
                    if grey < c:
                        c, where = grey, 2 * other
                if c < 1e29:
                    place[got], when[got] = where, t
                    total += c
                    got += 1
                elif parts.contiguous[p]:
                    total, got = 0.0, 0
                t += 1
            if got == duration and total < best:
                best = total
                parts.on[p] = True
                parts.place[first : first + duration] = place[:duration]
                parts.when[first : first + duration] = when[:duration]
        if parts.on[p]:
            move(s, p, strand, parts, 1)
