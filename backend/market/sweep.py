"""One sweep: every part in turn gives up what it holds and takes the cheapest lanes it sees.

With smoothed supply (`hard` 0) this is coordinate descent on the market's potential and finds prices. With
posted prices and firm capacities (`hard` 1: cheapest by posted price, 2: cheapest by what supply really asks)
it rounds: nothing is placed that a site, a tranche or the buyer's own limit would refuse.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backend.market.jit import njit
from backend.market.supply import soft_cell

SOFT, POSTED, TRUE_COST = 0, 1, 2


class Posted(NamedTuple):
    """Published integer prices as floats, and who is willing at them."""

    compute: npt.NDArray[np.float64]  # [k][z][m][t]
    willing: npt.NDArray[np.bool_]  # [i][m][t]
    willing_wh: npt.NDArray[np.float64]  # [z][m][t]


@njit(cache=True, inline="always")  # type: ignore[misc]
def _true_step(s, z, m, t, wh):  # type: ignore[no-untyped-def]
    """Ask (micro per kWh) of the tranche that serves the Wh-th watt-hour."""
    for n in range(s.steps[z, m, t]):
        if wh <= s.step_top[z, m, t, n]:
            return s.step_ask[z, m, t, n]
    return 1e30


@njit(cache=True)  # type: ignore[misc]
def hard_cell(s, posted, k, z, m, t, lanes, hard):  # type: ignore[no-untyped-def]
    """Cheapest (price, offer) with room for `lanes` more lanes at posted prices; ranks sites by true cost."""
    best, chosen = 1e30, -1
    for n in range(s.members.shape[2]):
        i = s.members[k, z, n]
        if i < 0:
            break
        if not posted.willing[i, m, t] or s.used[i, 0, t] + s.used[i, 1, t] + lanes > s.capacity[i, t]:
            continue
        wh = s.load[z, m, t] + lanes * s.energy[i]
        if wh > posted.willing_wh[z, m, t]:
            continue
        cost = s.ask[i] + s.energy[i] * _true_step(s, z, m, t, wh) / 1000.0
        if cost < best:
            best, chosen = cost, i
    if chosen >= 0 and hard == 1:
        best = posted.compute[k, z, m, t]
    return best, chosen


@njit(cache=True)  # type: ignore[misc]
def kth_smallest(values, size, k):  # type: ignore[no-untyped-def]
    """The k-th smallest (from 1) of values[:size]; permutes them."""
    low, high, want = 0, size - 1, k - 1
    while low < high:
        pivot = values[(low + high) // 2]
        a, b = low, high
        while a <= b:
            while values[a] < pivot:
                a += 1
            while values[b] > pivot:
                b -= 1
            if a <= b:
                values[a], values[b] = values[b], values[a]
                a += 1
                b -= 1
        if want <= b:
            high = b
        elif want >= a:
            low = a
        else:
            return values[want]
    return values[want]


@njit(cache=True)  # type: ignore[misc]
def move(s, p, strand, parts, sign):  # type: ignore[no-untyped-def]
    lanes = parts.lanes[p, strand] * sign
    if lanes == 0:
        return
    first = parts.first[p, strand]
    for n in range(first, first + parts.duration[p]):
        place, t = parts.place[n], parts.when[n]
        i, m = place // 2, place % 2
        s.used[i, m, t] += lanes
        s.load[s.offer_zone[i], m, t] += lanes * s.energy[i]


@njit(cache=True)  # type: ignore[misc]
def _choose(s, posted, parts, p, strand, hard, cost, pay, place, work):  # type: ignore[no-untyped-def]
    """Writes the cheapest strand of part p into its entries; returns (perceived cost, posted payment) of a lane."""
    k, start, room = parts.kind[p], parts.start[p], parts.deadline[p] - parts.start[p]
    lanes, duration, first = parts.lanes[p, strand], parts.duration[p], parts.first[p, strand]
    best, best_pay = 1e29, 0.0
    for z in range(s.load.shape[0]):
        if (parts.bits[p] >> np.uint64(z)) & np.uint64(1) == np.uint64(0):
            continue
        free = 0
        for n in range(room):
            t = start + n
            if hard == 0:
                c, i = soft_cell(s, k, z, 1, t, lanes)
            else:
                c, i = hard_cell(s, posted, k, z, 1, t, lanes, hard)
            c += parts.carbon_cost[p] * s.carbon[z, 1, t]
            cost[n], place[n], pay[n] = c, 2 * i + 1, posted.compute[k, z, 1, t]
            if strand == 1 and s.carbon[z, 0, t] <= parts.carbon_cap[p]:
                if hard == 0:
                    c, i = soft_cell(s, k, z, 0, t, lanes)
                else:
                    c, i = hard_cell(s, posted, k, z, 0, t, lanes, hard)
                c += parts.carbon_cost[p] * s.carbon[z, 0, t]
                if c < cost[n]:
                    cost[n], place[n], pay[n] = c, 2 * i, posted.compute[k, z, 0, t]
            work[n] = cost[n]
            if cost[n] < 1e29:
                free += 1
        if free < duration:
            continue
        edge = kth_smallest(work, room, duration)
        total, below = 0.0, 0
        for n in range(room):
            if cost[n] < edge:
                total += cost[n]
                below += 1
        total += edge * (duration - below)
        if total >= best:
            continue
        best, best_pay = total, 0.0
        ties, at = duration - below, first
        for n in range(room):
            take = cost[n] < edge
            if not take and cost[n] == edge and ties > 0:
                take = True
                ties -= 1
            if take:
                parts.place[at], parts.when[at] = place[n], start + n
                best_pay += pay[n]
                at += 1
    return best, best_pay


@njit(cache=True)  # type: ignore[misc]
def sweep(s, posted, parts, turn, hard):  # type: ignore[no-untyped-def]
    """Re-places the parts in the order of `turn`; returns how many changed between placed and not."""
    size = s.load.shape[2]
    cost, pay, work = np.empty(size), np.empty(size), np.empty(size)
    place = np.empty(size, np.int32)
    changed = 0
    for p in turn:
        was = parts.on[p]
        if was:
            move(s, p, 0, parts, -1)
            move(s, p, 1, parts, -1)
        ok = False
        for attempt in range(2 if hard == 2 else 1):
            how = hard - attempt
            value = (parts.lanes[p, 0] + parts.lanes[p, 1]) * parts.limit[p] * parts.duration[p]
            total, paid = 0.0, 0.0
            if parts.lanes[p, 0] > 0:
                one, own = _choose(s, posted, parts, p, 0, how, cost, pay, place, work)
                total += parts.lanes[p, 0] * one
                paid += parts.lanes[p, 0] * own
                if hard > 0:
                    move(s, p, 0, parts, 1 if one < 1e29 else 0)
            green_placed = hard > 0 and parts.lanes[p, 0] > 0 and total < 1e29
            if parts.lanes[p, 1] > 0 and total < 1e29:
                one, own = _choose(s, posted, parts, p, 1, how, cost, pay, place, work)
                total += parts.lanes[p, 1] * one
                paid += parts.lanes[p, 1] * own
            ok = total < value and (hard == 0 or paid <= value)
            if ok:
                if not green_placed:
                    move(s, p, 0, parts, 1)
                move(s, p, 1, parts, 1)
                break
            if green_placed:
                move(s, p, 0, parts, -1)
        parts.on[p] = ok
        if ok != was:
            changed += 1
    return changed
