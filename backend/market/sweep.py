"""One sweep: every part in turn gives up what it holds and takes the cheapest lanes it sees.

With smoothed supply (`hard` 0) this is coordinate descent on the market's potential and finds prices. With
posted prices it rounds, and nothing is placed that a site, a tranche or the buyer's own limit would refuse:
POSTED takes what is cheapest at posted prices, TRUE_COST what supply really asks least for; CROWDED may still
overfill, at a price that grows where it is crowded.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backend.market.jit import njit
from backend.market.supply import pool_price, site_price, soft_cell

SOFT, POSTED, TRUE_COST, CROWDED = 0, 1, 2, 3
LAZY = 2e-4  # a part does not move for less than this share of its limit


class Posted(NamedTuple):
    """Published integer prices as floats, and who is willing at them."""

    compute: npt.NDArray[np.float64]  # [k][z][m][t]
    willing: npt.NDArray[np.bool_]  # [i][m][t]
    willing_wh: npt.NDArray[np.float64]  # [z][m][t]


@njit(cache=True, inline="always")
def _true_step(s, z, m, t, wh):
    """Ask (micro per kWh) of the tranche that serves the Wh-th watt-hour."""
    for n in range(s.steps[z, m, t]):
        if wh <= s.step_top[z, m, t, n]:
            return s.step_ask[z, m, t, n]
    return 1e30


@njit(cache=True)
def hard_cell(s, posted, k, z, m, t, lanes, hard):
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


@njit(cache=True)
def see_cell(s, posted, k, z, t, lanes, hard):
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


@njit(cache=True)
def kth_smallest(values, size, k):
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


@njit(cache=True)
def cheapest_stretch(cost, room, duration):
    """Least sum of `duration` neighbours in cost[:room], and where it begins."""
    best, begin = 1e32, 0
    for first in range(room - duration + 1):
        total = 0.0
        for n in range(first, first + duration):
            total += cost[n]
            if total >= best:
                break
        if total < best:
            best, begin = total, first
    return best, begin


@njit(cache=True)
def move(s, p, strand, parts, sign):
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


@njit(cache=True)
def _choose(s, posted, parts, p, strand, hard, work, place, chosen):
    """The cheapest strand of part p, written to chosen[0] (places) and chosen[1] (slots).

    Returns the perceived cost and the posted payment of one lane; a cost above 1e29 means that none fits.
    work[0..2] and place are scratch.
    """
    cost, pay, rest = work[0], work[1], work[2]
    k, start, room = parts.kind[p], parts.start[p], parts.deadline[p] - parts.start[p]
    lanes, duration = parts.lanes[p, strand], parts.duration[p]
    best, best_pay = 1e30, 0.0
    for z in range(s.load.shape[0]):
        if (parts.bits[p] >> np.uint64(z)) & np.uint64(1) == np.uint64(0):
            continue
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
            rest[n] = c
        if parts.contiguous[p]:
            total, begin = cheapest_stretch(cost, room, duration)
            if total < best:
                best, best_pay = total, 0.0
                for n in range(duration):
                    chosen[0, n], chosen[1, n] = place[begin + n], start + begin + n
                    best_pay += pay[begin + n]
            continue
        edge = kth_smallest(rest, room, duration)
        total, below = 0.0, 0
        for n in range(room):
            if cost[n] < edge:
                total += cost[n]
                below += 1
        total += edge * (duration - below)
        if total >= best:
            continue
        best, best_pay = total, 0.0
        ties, at = duration - below, 0
        for n in range(room):
            take = cost[n] < edge
            if not take and cost[n] == edge and ties > 0:
                take = True
                ties -= 1
            if take:
                chosen[0, at], chosen[1, at] = place[n], start + n
                best_pay += pay[n]
                at += 1
    return best, best_pay


@njit(cache=True)
def _own_cost(s, parts, p, strand, own):
    """What a placed strand costs where it is, its own weight not counted; own[t] gets each slot's share."""
    first, lanes = parts.first[p, strand], parts.lanes[p, strand]
    total = 0.0
    for n in range(first, first + parts.duration[p]):
        i, m, t = parts.place[n] // 2, parts.place[n] % 2, parts.when[n]
        z = s.offer_zone[i]
        energy = pool_price(s, z, m, t, s.load[z, m, t] - 0.5 * lanes * s.energy[i]) / 1000.0
        c = site_price(s, i, t, s.used[i, 0, t] + s.used[i, 1, t] - 0.5 * lanes) + s.energy[i] * energy
        c += parts.carbon_cost[p] * s.carbon[z, m, t]
        own[t] = c
        total += c
    return total


@njit(cache=True)
def _best_cost(s, posted, parts, p, strand, own, work):
    """The least a lane of the strand could cost, what it holds valued at `own`."""
    k, start, room = parts.kind[p], parts.start[p], parts.deadline[p] - parts.start[p]
    lanes, duration = parts.lanes[p, strand], parts.duration[p]
    home = s.offer_zone[parts.place[parts.first[p, strand]] // 2]
    best = 1e30
    for z in range(s.load.shape[0]):
        if (parts.bits[p] >> np.uint64(z)) & np.uint64(1) == np.uint64(0):
            continue
        for n in range(room):
            t = start + n
            if s.cell_stamp[k, z, t] != s.stamp[z, t] or s.cell_lanes[k, z, t] != lanes:
                see_cell(s, posted, k, z, t, lanes, SOFT)
            c = s.cell_price[k, z, 1, t] + parts.carbon_cost[p] * s.carbon[z, 1, t]
            if strand == 1 and s.carbon[z, 0, t] <= parts.carbon_cap[p]:
                c = min(c, s.cell_price[k, z, 0, t] + parts.carbon_cost[p] * s.carbon[z, 0, t])
            work[n] = min(c, own[t]) if z == home else c
        total = 0.0
        if parts.contiguous[p]:
            total, _ = cheapest_stretch(work, room, duration)
            best = min(best, total)
            continue
        if duration < room:
            kth_smallest(work, room, duration)
        for n in range(duration):
            total += work[n]
        best = min(best, total)
    return best


@njit(cache=True)
def _stays(s, posted, parts, p, own, work):
    """True if a placed part pays less than its limit and could gain next to nothing by moving."""
    value = parts.limit[p] * parts.duration[p]
    total = 0.0
    for strand in range(2):
        if parts.lanes[p, strand] > 0:
            held = _own_cost(s, parts, p, strand, own)
            best = _best_cost(s, posted, parts, p, strand, own, work)
            first = parts.first[p, strand]
            for n in range(first, first + parts.duration[p]):
                own[parts.when[n]] = 1e30
            if held > best + LAZY * value:
                return False
            total += held * parts.lanes[p, strand]
    return total < value * (parts.lanes[p, 0] + parts.lanes[p, 1])


@njit(cache=True)
def _keep(parts, p, strand, chosen):
    first = parts.first[p, strand]
    for n in range(parts.duration[p]):
        parts.place[first + n], parts.when[first + n] = chosen[0, n], chosen[1, n]


@njit(cache=True)
def _try(s, posted, parts, p, hard, work, place, chosen):
    """Places part p where it is cheapest, both strands or none; returns (placed, could be placed at all)."""
    value = (parts.lanes[p, 0] + parts.lanes[p, 1]) * parts.limit[p] * parts.duration[p]
    total, paid = 0.0, 0.0
    for strand in range(2):
        if parts.lanes[p, strand] > 0:
            one, own = _choose(s, posted, parts, p, strand, hard, work, place, chosen)
            total += parts.lanes[p, strand] * one
            paid += parts.lanes[p, strand] * own
            if total >= value or (hard != SOFT and paid > value):
                if strand == 1:
                    move(s, p, 0, parts, -1)
                return False, total < 1e29
            _keep(parts, p, strand, chosen)
            move(s, p, strand, parts, 1)
    return True, True


@njit(cache=True)
def sweep(s, posted, parts, turn, hard):
    """Re-places the parts in the order of `turn`; returns how many changed between placed and not."""
    size = s.load.shape[2]
    work, chosen, place = np.empty((3, size)), np.empty((2, size), np.int32), np.empty(size, np.int32)
    own = np.full(size, 1e30)
    changed = 0
    for p in turn:
        was = parts.on[p]
        if was:
            if hard == SOFT and _stays(s, posted, parts, p, own, work[0]):
                continue
            move(s, p, 0, parts, -1)
            move(s, p, 1, parts, -1)
        ok, possible = _try(s, posted, parts, p, hard, work, place, chosen)
        if not ok and possible and hard == TRUE_COST:
            s.stamp[:] += 1  # another kind of price: forget what is cached
            ok, _ = _try(s, posted, parts, p, POSTED, work, place, chosen)
            s.stamp[:] += 1
        parts.on[p] = ok
        if ok != was:
            changed += 1
    return changed


@njit(cache=True)
def crowd(s, posted, step_site, step_pool):
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


@njit(cache=True)
def restless(s, posted, parts):
    """Which parts must move: those on an overfull or unwilling cell, above their limit, or without a
    place."""
    out = np.zeros(len(parts.order), np.bool_)
    for p in range(len(parts.order)):
        if not parts.on[p]:
            out[p] = True
            continue
        paid = 0.0
        for strand in range(2):
            if parts.lanes[p, strand] == 0:
                continue
            first = parts.first[p, strand]
            k = parts.kind[p]
            for n in range(first, first + parts.duration[p]):
                i, m, t = parts.place[n] // 2, parts.place[n] % 2, parts.when[n]
                z = s.offer_zone[i]
                paid += parts.lanes[p, strand] * posted.compute[k, z, m, t]
                if (
                    not posted.willing[i, m, t]
                    or s.used[i, 0, t] + s.used[i, 1, t] > s.capacity[i, t]
                    or s.load[z, m, t] > posted.willing_wh[z, m, t]
                ):
                    out[p] = True
                    break
            if out[p]:
                break
        if paid > (parts.lanes[p, 0] + parts.lanes[p, 1]) * parts.limit[p] * parts.duration[p]:
            out[p] = True
    return out
