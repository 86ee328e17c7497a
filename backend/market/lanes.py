"""Whole lanes: do the VCU-slots of an order add up to lanes, each in one zone, green where promised?

In a zone, VCU-slots u[t] are n whole lanes exactly if sum u = n x duration and max u <= n. Of these, g can be
green-only exactly if max grey <= n - g and sum over t of min(green[t], g) >= g x duration; both sides are
monotone, so the most green-only lanes of a zone are found by bisection. An order filled with f lanes needs
green x (lanes - G) >= (f - green) x G for its G green-only lanes: green-only lanes fill at least in
proportion.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np

from backend.market.domain import Book, Fills, Ints, rank_rows
from backend.market.jit import njit
from backend.market.tables import Tables

_FAULTS = (
    "",
    "is not made of whole lanes",
    "has more lanes in a slot than are filled in that zone",
    "is filled above its lanes",
    "has too few green-only lanes",
    "is filled below its minimum",
    "is not filled completely, nor left out",
    "has a lane that is interrupted",
)


def lane_faults(book: Book, tab: Tables, fills: Fills) -> list[tuple[int, str]]:
    """Orders whose fills are not whole lanes of their kind, with what is wrong."""
    if len(fills) == 0:
        return []
    zone = tab.offer_zone[fills.offer]
    rank = rank_rows(fills.order, zone, fills.slot, fills.mode)
    o = book.orders
    found = lane_faults_of_rows(
        fills.order[rank], zone[rank], fills.mode[rank], fills.slot[rank], fills.lanes[rank],
        o.lanes, tab.green_lanes, o.min_lanes, o.duration_slots, o.kind, tab.slots,
    )  # fmt: skip
    return [(j, what) for j, what in enumerate(found) if what]


def lane_faults_of_rows(
    order: Ints, zone: Ints, mode: Ints, slot: Ints, amount: Ints, lanes: Ints, green_lanes: Ints,
    least: Ints, duration: Ints, kind: Ints, slots: int,
) -> list[str]:  # fmt: skip
    """What is wrong with each order, "" where nothing is; rows sorted by (order, zone, slot, mode)."""
    fault = _faults(
        np.ascontiguousarray(order), np.ascontiguousarray(zone), np.ascontiguousarray(mode),
        np.ascontiguousarray(slot), np.ascontiguousarray(amount),
        lanes, green_lanes, least, duration, kind, slots,
    )  # fmt: skip
    return [_FAULTS[n] for n in fault.tolist()]


def filled_lanes(book: Book, fills: Fills) -> Ints:
    """Whole lanes given to each order."""
    total = np.zeros(len(book.orders), dtype=np.int64)
    np.add.at(total, fills.order, fills.lanes)
    return total // np.maximum(book.orders.duration_slots, 1)


@njit(cache=True)
def green_only_lanes(used, green, lanes, duration):
    """The most lanes, of `lanes` in a zone, that can be read as green-only (slots as given)."""
    grey = 0
    for t in range(len(used)):
        grey = max(grey, used[t] - green[t])
    low, high = 0, lanes - grey
    while low < high:
        g = (low + high + 1) // 2
        total = 0
        for t in range(len(used)):
            total += min(green[t], g)
        if total >= g * duration:
            low = g
        else:
            high = g - 1
    return low


@njit(cache=True)
def _contiguous(used, slot, duration):
    """True if the skyline is a sum of stretches of exactly `duration` slots (greedy from the left is
    exact)."""
    last = len(used)
    left = used.copy()
    for n in range(last):
        amount = left[n]
        if amount == 0:
            continue
        if amount < 0 or n + duration > last:
            return False
        for k in range(duration):
            if slot[n + k] != slot[n] + k or left[n + k] < amount:
                return False
            left[n + k] -= amount
    return True


@njit(cache=True)
def _faults(order, zone, mode, slot, amount, lanes, green_lanes, least, duration, kind, slots):
    fault = np.zeros(len(lanes), np.int64)
    used, green, when = np.zeros(slots, np.int64), np.zeros(slots, np.int64), np.zeros(slots, np.int64)
    n, rows = 0, len(order)
    while n < rows:
        j = order[n]
        filled = 0
        promised = 0
        while n < rows and order[n] == j:
            z, size, total, top = zone[n], 0, 0, 0
            while n < rows and order[n] == j and zone[n] == z:
                if size == 0 or when[size - 1] != slot[n]:
                    when[size], used[size], green[size] = slot[n], 0, 0
                    size += 1
                used[size - 1] += amount[n]
                if mode[n] == 1:
                    green[size - 1] += amount[n]
                total += amount[n]
                top = max(top, used[size - 1])
                n += 1
            if total % duration[j] != 0:
                fault[j] = 1
            whole = total // duration[j]
            if top > whole:
                fault[j] = 2
            filled += whole
            promised += green_only_lanes(used[:size], green[:size], whole, duration[j])
            if kind[j] >= 3 and not _contiguous(used[:size], when[:size], duration[j]):
                fault[j] = 7
        if filled > lanes[j]:
            fault[j] = 3
        elif promised * (lanes[j] - green_lanes[j]) < (filled - promised) * green_lanes[j]:
            fault[j] = 4
        elif kind[j] == 1 and filled < least[j]:
            fault[j] = 5
        elif (kind[j] == 2 or kind[j] == 4) and filled != lanes[j]:
            fault[j] = 6
    return fault
