"""One sweep: every part in turn gives up what it holds and takes the cheapest lanes it sees.

With smoothed supply (`hard` 0) this is coordinate descent on the market's potential and finds prices. With
posted prices it rounds, and nothing is placed that a site, a tranche or the buyer's own limit would refuse:
POSTED takes what is cheapest at posted prices, TRUE_COST what supply really asks least for; CROWDED may still
overfill, at a price that grows where it is crowded.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backend.market.jit import njit
from backend.market.supply import soft_cell

SOFT, POSTED, TRUE_COST, CROWDED = 0, 1, 2, 3


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
    """Cheapest (price, offer) for `lanes` more lanes at posted prices; ranks sites by true cost."""
    best, chosen = 1e30, -1
    for n in range(s.members.shape[2]):
        i = s.members[k, z, n]
        if i < 0:
            break
        if not posted.willing[i, m, t]:
            continue
        over = s.used[i, 0, t] + s.used[i, 1, t] + lanes - s.capacity[i, t]
        wh = s.load[z, m, t] + lanes * s.energy[i]
        lack = wh - posted.willing_wh[z, m, t]
        if hard == CROWDED:
            cost = s.over_site[i, t] + s.over_pool[z, m, t] * s.energy[i]
            if over > 0:
                cost += s.slope_site[i] * over
            if lack > 0:
                cost += s.slope_pool[z, m] * lack * s.energy[i]
        elif over > 0 or lack > 0:
            continue
        else:
            cost = s.ask[i] + s.energy[i] * _true_step(s, z, m, t, wh) / 1000.0
        if cost < best:
            best, chosen = cost, i
    if chosen >= 0:
        if hard == POSTED:
            best = posted.compute[k, z, m, t]
        elif hard == CROWDED:
            best += posted.compute[k, z, m, t]
    return best, chosen


@njit(cache=True)  # type: ignore[misc]
def see_cell(s, posted, k, z, t, lanes, hard):  # type: ignore[no-untyped-def]
    """Brings the cached cells (both modes) of class k, zone z, slot t up to date for `lanes` lanes."""
    for m in range(2):
        if hard == SOFT:
            price, i = soft_cell(s, k, z, m, t, lanes)
        else:
            price, i = hard_cell(s, posted, k, z, m, t, lanes, hard)
        s.cell_price[k, z, m, t] = price
        s.cell_offer[k, z, m, t] = i
    s.cell_stamp[k, z, t] = s.stamp[z, t]
    s.cell_lanes[k, z, t] = lanes


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
        z = s.offer_zone[i]
        s.used[i, m, t] += lanes
        s.load[z, m, t] += lanes * s.energy[i]
        s.stamp[z, t] += 1


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
            if s.cell_stamp[k, z, t] != s.stamp[z, t] or s.cell_lanes[k, z, t] != lanes:
                see_cell(s, posted, k, z, t, lanes, hard)
            c = s.cell_price[k, z, 1, t] + parts.carbon_cost[p] * s.carbon[z, 1, t]
            m = 1
            if strand == 1 and s.carbon[z, 0, t] <= parts.carbon_cap[p]:
                grey = s.cell_price[k, z, 0, t] + parts.carbon_cost[p] * s.carbon[z, 0, t]
                if grey < c:
                    c, m = grey, 0
            cost[n], place[n], pay[n] = c, 2 * s.cell_offer[k, z, m, t] + m, posted.compute[k, z, m, t]
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
        value = (parts.lanes[p, 0] + parts.lanes[p, 1]) * parts.limit[p] * parts.duration[p]
        for how in (hard, POSTED):
            if how != hard:
                if hard != TRUE_COST:
                    break
                s.stamp[:] += 1  # another kind of price: forget what is cached
            total, paid = 0.0, 0.0
            if parts.lanes[p, 0] > 0:
                one, own = _choose(s, posted, parts, p, 0, how, cost, pay, place, work)
                total += parts.lanes[p, 0] * one
                paid += parts.lanes[p, 0] * own
            moved = how != SOFT and parts.lanes[p, 0] > 0 and total < 1e29
            if moved:
                move(s, p, 0, parts, 1)
            if parts.lanes[p, 1] > 0 and total < 1e29:
                one, own = _choose(s, posted, parts, p, 1, how, cost, pay, place, work)
                total += parts.lanes[p, 1] * one
                paid += parts.lanes[p, 1] * own
            ok = total < value and (how == SOFT or paid <= value)
            if ok:
                if not moved:
                    move(s, p, 0, parts, 1)
                move(s, p, 1, parts, 1)
            elif moved:
                move(s, p, 0, parts, -1)
            if how != hard:
                s.stamp[:] += 1
            if ok or total >= 1e29:
                break
        parts.on[p] = ok
        if ok != was:
            changed += 1
    return changed


@njit(cache=True)  # type: ignore[misc]
def crowd(s, posted, step_site, step_pool):  # type: ignore[no-untyped-def]
    """Raises the price of crowding where more is placed than firm supply has; returns overfull site-slots."""
    full = 0
    for i in range(s.capacity.shape[0]):
        for t in range(s.capacity.shape[1]):
            over = s.used[i, 0, t] + s.used[i, 1, t] - s.capacity[i, t]
            if over > 0:
                s.over_site[i, t] += step_site[i] * over
                full += 1
    for z in range(s.load.shape[0]):
        for m in range(2):
            for t in range(s.load.shape[2]):
                lack = s.load[z, m, t] - posted.willing_wh[z, m, t]
                if lack > 0:
                    s.over_pool[z, m, t] += step_pool[z, m] * lack
                    full += 1
    s.stamp[:] += 1
    return full


@njit(cache=True)  # type: ignore[misc]
def restless(s, posted, parts):  # type: ignore[no-untyped-def]
    """Which parts should move: those on an overfull or unwilling cell, and those without a place."""
    out = np.zeros(len(parts.order), np.bool_)
    for p in range(len(parts.order)):
        if not parts.on[p]:
            out[p] = True
            continue
        for strand in range(2):
            if parts.lanes[p, strand] == 0:
                continue
            first = parts.first[p, strand]
            for n in range(first, first + parts.duration[p]):
                i, m, t = parts.place[n] // 2, parts.place[n] % 2, parts.when[n]
                z = s.offer_zone[i]
                if (
                    not posted.willing[i, m, t]
                    or s.used[i, 0, t] + s.used[i, 1, t] > s.capacity[i, t]
                    or s.load[z, m, t] > posted.willing_wh[z, m, t]
                ):
                    out[p] = True
                    break
            if out[p]:
                break
    return out
