"""One soft sweep: every lot in turn gives up what it holds and takes the cheapest lanes it sees.

This is coordinate descent on the market's smoothed potential. Classes are swept at the same time, each seeing
the others' use of energy as it was when the sweep began; so the result does not depend on how many threads
there are.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np

from backend.market.cells import pool_price, shift, site_price
from backend.market.choose import cheapest, write_slots
from backend.market.jit import njit, prange

LAZY = 1e-4  # a lot does not move for less than this share of its limit


@njit(cache=True)
def put(c, lots, k, p, strand):
    """Places a strand at the cells it has noted, at the sites that are cheapest there."""
    lanes = lots.lanes[p, strand]
    if lanes == 0:
        return
    z, first = lots.home[p, strand], lots.first[p, strand]
    for n in range(first, first + lots.duration[p]):
        m, t = lots.at[n] % 2, lots.at[n] // 2
        lots.site[n] = c.best[k, z, m, t]
        shift(c, k, z, m, t, lots.site[n], lanes)


@njit(cache=True)
def lift(c, lots, k, p, strand):
    """Takes a strand away from where it is."""
    lanes = lots.lanes[p, strand]
    if lanes == 0:
        return
    z, first = lots.home[p, strand], lots.first[p, strand]
    for n in range(first, first + lots.duration[p]):
        shift(c, k, z, lots.at[n] % 2, lots.at[n] // 2, lots.site[n], -lanes)


@njit(cache=True)
def _held(c, lots, k, p, strand):
    """What a lane of a placed strand costs where it is, its own weight on the prices not counted."""
    z, first = lots.home[p, strand], lots.first[p, strand]
    weight, half = lots.carbon_cost[p], 0.5 * lots.lanes[p, strand]
    total = 0.0
    for n in range(first, first + lots.duration[p]):
        m, t, i = lots.at[n] % 2, lots.at[n] // 2, lots.site[n]
        total += site_price(c, k, i, t, c.used[i, 0, t] + c.used[i, 1, t] - half) + weight * c.carbon[z, m, t]
        total += c.energy[i] * pool_price(c, k, z, m, t, -half * c.energy[i])
    return total


@njit(cache=True)
def _seek(c, lots, k, p, cost, mode, rest):
    """Re-places lot p of class k."""
    each = lots.limit[p] * lots.duration[p]
    value = each * (lots.lanes[p, 0] + lots.lanes[p, 1])
    if lots.on[p]:
        held, settled = 0.0, True
        for strand in range(2):
            if lots.lanes[p, strand] > 0:
                mine = _held(c, lots, k, p, strand)
                best, _, _ = cheapest(c.price[k], c.carbon, lots, p, strand, cost, mode, rest)
                held += mine * lots.lanes[p, strand]
                if mine > best + LAZY * each:
                    settled = False
                    break
        if settled and held < value:
            return
        lift(c, lots, k, p, 0)
        lift(c, lots, k, p, 1)
        lots.on[p] = False
    total = 0.0
    for strand in range(2):
        if lots.lanes[p, strand] > 0:
            best, zone, row = cheapest(c.price[k], c.carbon, lots, p, strand, cost, mode, rest)
            total += best * lots.lanes[p, strand]
            if total >= value:
                if strand == 1:
                    lift(c, lots, k, p, 0)
                return
            write_slots(lots, p, strand, zone, cost[row], mode[row], rest)
            put(c, lots, k, p, strand)
    lots.on[p] = True


@njit(cache=True, parallel=True)
def sweep(c, lots, kinds, low, high):
    """Sweeps lots low[k]..high[k] of every class k; `kinds` says in which order threads take the classes."""
    for b in prange(len(kinds)):
        k = kinds[b]
        size = c.rent.shape[1]
        cost, mode, rest = np.empty((2, size)), np.empty((2, size), np.int8), np.empty(size)
        for p in range(low[k], high[k]):
            _seek(c, lots, k, p, cost, mode, rest)
