"""Compute prices at which the bound on whole lanes is least, for books whose green pools power few lanes.

The bound that `whole.py` sharpens is convex in the compute prices: where more lanes are wanted in a cell than
its sites and pool would sell, the price is too low, and the other way round. Prices walk down along that
difference (a subgradient, smoothed over the last steps), each step as long as the bound is above a target.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np

from backend.market.choose import cheapest, write_slots
from backend.market.domain import GREEN, GREY, Book, Ints, Solution
from backend.market.jit import njit
from backend.market.lots import Lots, scale_of
from backend.market.supply import Floats
from backend.market.tables import Tables
from backend.market.whole import small_pools

MEMORY = 0.8  # of earlier steps in the direction of the next
BELOW = 0.07  # the target is that much below the best bound so far
LONG, SHORT = 2.0, 0.01  # of a step, first and last
DEAREST = 100.0  # usual limits: the price of a cell that cannot sell a lane


def can_descend(book: Book, tab: Tables) -> bool:
    """True if every green pool of `book` is small and every seller burns energy in either mode."""
    small, wh, _ = small_pools(tab)
    return bool(
        small.all() and wh.any() and tab.offer_modes.all() and (tab.offer_energy_wh > 0).all()
        and len(tab.offer_zone) and not tab.lively.any()
    )  # fmt: skip


def descend(
    book: Book,
    tab: Tables,
    lots: Lots,
    start: Solution,
    steps: int,
    accepted: Ints | None = None,
    long: float = LONG,
) -> Floats:
    """The best compute prices found from those of `start` on.

    Grey energy keeps its price; no price goes below `accepted`; the lots' places are used as scratch space.
    """
    _, wh, ask = small_pools(tab)
    scale = scale_of(lots)
    top = min(DEAREST * scale, float(book.bands.compute_max))
    price = np.minimum(start.compute_price.astype(np.float64), top)
    can = np.zeros(price.shape, dtype=np.bool_)
    floor = np.full(price.shape, top)  # nobody sells below, so a lower price only costs
    room = wh.sum(axis=2)
    first = np.where(wh > 0, ask, np.iinfo(np.int64).max).min(axis=2)
    for i in range(len(tab.offer_zone)):
        k, z = tab.offer_class[i], tab.offer_zone[i]
        can[k, z, GREY] |= tab.offer_capacity[i] > 0
        can[k, z, GREEN] |= (tab.offer_capacity[i] > 0) & (room[z] >= tab.offer_energy_wh[i])
        for m, least in (
            (GREY, start.energy_price[z, GREY]),
            (GREEN, np.where(can[k, z, GREEN], first[z], 0)),
        ):
            need = -(-(1000 * tab.offer_ask[i] + tab.offer_energy_wh[i] * least) // 1000)
            open_ = can[k, z, m] & (tab.offer_capacity[i] > 0)
            floor[k, z, m] = np.where(open_, np.minimum(floor[k, z, m], need), floor[k, z, m])
    floor = np.maximum(floor, 0 if accepted is None else accepted)
    price = np.where(can, np.clip(price, np.maximum(floor, 0), top), top)
    weight = np.array([_usual(book, tab, k, scale) for k in range(len(book.classes))])[:, None, None, None]
    grey = start.energy_price[:, GREY].astype(np.float64)
    want, sell = np.zeros(price.shape, np.int64), np.zeros(price.shape, np.int64)
    least, best, direction = np.inf, price.copy(), np.zeros(price.shape)
    carbon = tab.carbon.astype(np.float64)
    for n in range(steps):
        bound = _wanted(price, carbon, lots, want)
        bound += _sold(
            price, grey, wh, ask, tab.offer_class, tab.offer_zone, tab.offer_energy_wh, tab.offer_ask,
            tab.offer_capacity, want, sell, 1e-6 * scale,
        )  # fmt: skip
        if bound < least:
            least = bound
            best[:] = price
        lack = np.where(can, sell - want, 0).astype(np.float64)
        norm = float((weight * lack * lack).sum())
        if norm == 0.0:
            break
        direction = lack if n == 0 else MEMORY * direction + (1 - MEMORY) * lack
        step = long * (SHORT / long) ** (n / steps) * (bound - least * (1 - BELOW)) / norm
        price = np.where(can, np.clip(price - step * weight * direction, np.maximum(floor, 0.0), top), top)
    return best


def _usual(book: Book, tab: Tables, k: int, scale: float) -> float:
    mine = tab.class_row == k
    return float(book.orders.limit_micro_per_vcu_slot[mine].mean()) / scale if mine.any() else 1.0


@njit(cache=True)
def _wanted(price, carbon, lots, want):
    """Lanes that the lots would like to have in every cell; returns what they would gain."""
    want[:] = 0
    total = 0.0
    slots = price.shape[3]
    cost, mode, rest = np.empty((2, slots)), np.empty((2, slots), np.int8), np.empty(slots)
    for k in range(len(lots.begin) - 1):
        for p in range(lots.begin[k], lots.begin[k + 1]):
            value = lots.limit[p] * lots.duration[p] * (lots.lanes[p, 0] + lots.lanes[p, 1])
            spent = 0.0
            for strand in range(2):
                if lots.lanes[p, strand] > 0 and spent < value:
                    each, z, row = cheapest(price[k], carbon, lots, p, strand, cost, mode, rest)
                    spent += each * lots.lanes[p, strand]
                    if spent < value:
                        write_slots(lots, p, strand, z, cost[row], mode[row], rest)
            if spent >= value:
                continue
            total += value - spent
            for strand in range(2):
                lanes = lots.lanes[p, strand]
                if lanes > 0:
                    z, first = lots.home[p, strand], lots.first[p, strand]
                    for n in range(first, first + lots.duration[p]):
                        want[k, z, lots.at[n] % 2, lots.at[n] // 2] += lanes
    return total


@njit(cache=True)
def _sold(price, grey, wh, ask, kind, zone, energy, site_ask, capacity, want, sell, near):
    """Lanes that sites and green pools would sell in every cell, as many as are wanted where that is all the
    same to them (within `near`); returns what they would gain."""
    sell[:] = 0
    total = 0.0
    zones, slots, _ = wh.shape
    sites = len(zone)
    widest = 0
    for z in range(zones):
        for t in range(slots):
            widest = max(widest, wh[z, t].sum())
    best, items = np.empty(widest + 1), np.empty((16 * sites, 3), np.int64)
    taken, reached = np.empty((16 * sites, widest + 1), np.bool_), np.empty(16 * sites, np.int64)
    on_green, extra = np.empty(sites, np.int64), np.empty(sites)
    for z in range(zones):
        for t in range(slots):
            room, base = wh[z, t].sum(), 0.0
            for n in range(wh.shape[2]):
                if wh[z, t, n] > 0:
                    base = min(base, ask[z, t, n] / 1000.0)
            best[: room + 1] = -1.0
            best[0] = 0.0
            reach, count = 0, 0
            for i in range(sites):
                on_green[i] = 0
                if zone[i] != z or capacity[i, t] == 0:
                    continue
                k = kind[i]
                extra[i] = price[k, z, 0, t] - site_ask[i] - energy[i] * grey[z, t] / 1000.0
                total += max(extra[i], 0.0) * capacity[i, t]
                value = price[k, z, 1, t] - site_ask[i] - max(extra[i], 0.0) - energy[i] * base
                left, lot = min(capacity[i, t], room // energy[i]), 1
                while value > 0.0 and left > 0:
                    lot = min(lot, left)
                    w = lot * energy[i]
                    reach = min(room, reach + w)
                    items[count, 0], items[count, 1], items[count, 2] = i, lot, w
                    reached[count] = reach
                    taken[count, : reach + 1] = False
                    for s in range(reach, w - 1, -1):
                        if best[s - w] >= 0.0 and best[s - w] + lot * value > best[s]:
                            best[s] = best[s - w] + lot * value
                            taken[count, s] = True
                    count += 1
                    left -= lot
                    lot *= 2
            top, at, cost, n = 0.0, 0, 0.0, 0
            upto = wh[z, t, 0] if wh.shape[2] > 0 else 0
            for w in range(1, reach + 1):
                while w > upto:
                    n += 1
                    upto += wh[z, t, n]
                cost += ask[z, t, n] / 1000.0 - base
                if best[w] >= 0.0 and best[w] - cost > top:
                    top, at = best[w] - cost, w
            total += top
            for n in range(count - 1, -1, -1):
                if at <= reached[n] and taken[n, at]:
                    on_green[items[n, 0]] += items[n, 1]
                    at -= items[n, 2]
            for i in range(sites):
                if zone[i] != z or capacity[i, t] == 0:
                    continue
                k = kind[i]
                sell[k, z, 1, t] += on_green[i]
                left = capacity[i, t] - on_green[i]
                if extra[i] > near:
                    sell[k, z, 0, t] += left
                elif extra[i] > -near:
                    sell[k, z, 0, t] += min(left, max(0, want[k, z, 0, t] - sell[k, z, 0, t]))
    return total
