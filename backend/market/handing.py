"""Which site runs which lane: lots name cells, a firm state says how many lanes of a cell each site runs.

Orders are served one by one in the order of the book; an order stays on the site it had in its previous slot
as long as that has lanes to give, so that its agreements are few.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np

from backend.market.domain import Fills, Ints
from backend.market.firm import Firm
from backend.market.jit import njit
from backend.market.lots import Lots


def fills_of(f: Firm, lots: Lots, kind_of: Ints, orders: int) -> Fills:
    """The canonical fills of the lots that are placed."""
    rank = np.argsort(lots.order, kind="stable")
    begin = np.searchsorted(lots.order[rank], np.arange(orders + 1))
    placed = ((lots.lanes > 0) & lots.on[:, None]).sum(axis=1) * lots.duration
    bound = int(placed.sum()) + int(np.count_nonzero(f.used))
    order, offer, mode, slot, lanes = (np.empty(bound, dtype=np.int64) for _ in range(5))
    size = _fill(f, lots, kind_of, rank, begin, f.used.copy(), order, offer, mode, slot, lanes)
    return Fills(*(column[:size].copy() for column in (order, offer, mode, slot, lanes)))


@njit(cache=True)
def _fill(f, lots, kind_of, rank, begin, left, order, offer, mode, slot, lanes):
    slots = left.shape[2]
    at = 0
    key = np.empty(len(order), np.int64)  # of the rows, to sort those of one order
    for j in range(len(begin) - 1):
        head = at
        for n in range(begin[j], begin[j + 1]):
            p = rank[n]
            if not lots.on[p]:
                continue
            k = kind_of[p]
            for strand in range(2):
                if lots.lanes[p, strand] == 0:
                    continue
                z, first = lots.home[p, strand], lots.first[p, strand]
                last = -1
                for e in range(first, first + lots.duration[p]):
                    m, t = lots.at[e] % 2, lots.at[e] // 2
                    want = np.int64(lots.lanes[p, strand])
                    while want > 0:
                        if last < 0 or left[last, m, t] < want:
                            last = -1
                            for s in range(f.sites.shape[2]):
                                i = f.sites[k, z, s]
                                if i < 0:
                                    break
                                if last < 0 or left[i, m, t] > left[last, m, t]:
                                    last = i
                        take = min(want, left[last, m, t])
                        left[last, m, t] -= take
                        want -= take
                        key[at] = (2 * last + m) * slots + t
                        lanes[at] = take
                        at += 1
        at = _canonical(key, lanes, head, at)
        for n in range(head, at):
            order[n] = j
            offer[n] = key[n] // slots // 2
            mode[n] = key[n] // slots % 2
            slot[n] = key[n] % slots
    return at


@njit(cache=True)
def _canonical(key, lanes, head, end):
    """Sorts rows head..end by key and adds up equal ones; returns the new end."""
    size = end - head
    if size <= 1:
        return end
    if size <= 64:
        for n in range(head + 1, end):
            a, b, m = key[n], lanes[n], n
            while m > head and key[m - 1] > a:
                key[m], lanes[m] = key[m - 1], lanes[m - 1]
                m -= 1
            key[m], lanes[m] = a, b
    else:
        rank = np.argsort(key[head:end])
        key[head:end] = key[head:end][rank]
        lanes[head:end] = lanes[head:end][rank]
    at = head
    for n in range(head + 1, end):
        if key[n] == key[at]:
            lanes[at] += lanes[n]
        else:
            at += 1
            key[at], lanes[at] = key[n], lanes[n]
    return at + 1
