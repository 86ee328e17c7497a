"""First come, first served, one part after another: each takes the cheapest lanes it sees and stays.

Nothing is placed that a site, a tranche or the buyer's own limit would refuse.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backend.market.choose import cheapest_stretch, kth_smallest
from backend.market.jit import njit


class Asks(NamedTuple):
    """Who sells at its own ask: sites by mode and slot, and Wh of every pool."""

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
def cheapest_site(s, asks, k, z, m, t, lanes):
    """Least that the suppliers of `lanes` more lanes in a cell ask, per lane, and the site (-1: no room)."""
    best, chosen = 1e30, -1
    for n in range(s.members.shape[2]):
        i = s.members[k, z, n]
        if i < 0:
            break
        if not asks.willing[i, m, t] or s.used[i, 0, t] + s.used[i, 1, t] + lanes > s.capacity[i, t]:
            continue
        wh = s.load[z, m, t] + lanes * s.energy[i]
        if wh > asks.willing_wh[z, m, t]:
            continue
        cost = s.ask[i] + s.energy[i] * _true_step(s, z, m, t, wh) / 1000.0
        if cost < best:
            best, chosen = cost, i
    return best, chosen


@njit(cache=True)
def _see_cell(s, asks, k, z, t, lanes):
    """Brings the cached cells (both modes) of class k, zone z, slot t up to date for `lanes` lanes."""
    for m in range(2):
        s.cell_price[k, z, m, t], s.cell_offer[k, z, m, t] = cheapest_site(s, asks, k, z, m, t, lanes)
    s.cell_stamp[k, z, t] = s.stamp[z, t]
    s.cell_lanes[k, z, t] = lanes


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
def _choose(s, asks, parts, p, strand, work, place, chosen):
    """The cheapest strand of part p, written to chosen[0] (places) and chosen[1] (slots).

    Returns the perceived cost of one lane; above 1e29 means that none fits. work[0..1] and place are scratch.
    """
    cost, rest = work[0], work[1]
    k, start, room = parts.kind[p], parts.start[p], parts.deadline[p] - parts.start[p]
    lanes, duration = parts.lanes[p, strand], parts.duration[p]
    best = 1e30
    for z in range(s.load.shape[0]):
        if (parts.bits[p] >> np.uint64(z)) & np.uint64(1) == np.uint64(0):
            continue
        for n in range(room):
            t = start + n
            if s.cell_stamp[k, z, t] != s.stamp[z, t] or s.cell_lanes[k, z, t] != lanes:
                _see_cell(s, asks, k, z, t, lanes)
            c = s.cell_price[k, z, 1, t] + parts.carbon_cost[p] * s.carbon[z, 1, t]
            m = 1
            if strand == 1 and s.carbon[z, 0, t] <= parts.carbon_cap[p]:
                grey = s.cell_price[k, z, 0, t] + parts.carbon_cost[p] * s.carbon[z, 0, t]
                if grey < c:
                    c, m = grey, 0
            cost[n], place[n] = c, 2 * s.cell_offer[k, z, m, t] + m
            rest[n] = c
        if parts.contiguous[p]:
            total, begin = cheapest_stretch(cost, room, duration)
            if total < best:
                best = total
                for n in range(duration):
                    chosen[0, n], chosen[1, n] = place[begin + n], start + begin + n
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
        best = total
        ties, at = duration - below, 0
        for n in range(room):
            take = cost[n] < edge
            if not take and cost[n] == edge and ties > 0:
                take = True
                ties -= 1
            if take:
                chosen[0, at], chosen[1, at] = place[n], start + n
                at += 1
    return best


@njit(cache=True)
def _keep(parts, p, strand, chosen):
    first = parts.first[p, strand]
    for n in range(parts.duration[p]):
        parts.place[first + n], parts.when[first + n] = chosen[0, n], chosen[1, n]


@njit(cache=True)
def _try(s, asks, parts, p, work, place, chosen):
    """Places part p where it is cheapest, both strands or none."""
    value = (parts.lanes[p, 0] + parts.lanes[p, 1]) * parts.limit[p] * parts.duration[p]
    total = 0.0
    for strand in range(2):
        if parts.lanes[p, strand] > 0:
            total += parts.lanes[p, strand] * _choose(s, asks, parts, p, strand, work, place, chosen)
            if total >= value:
                if strand == 1:
                    move(s, p, 0, parts, -1)
                return False
            _keep(parts, p, strand, chosen)
            move(s, p, strand, parts, 1)
    return True


@njit(cache=True)
def serve(s, asks, parts, queue):
    """Places the parts in the order of `queue`, each where it is cheapest for it at that moment."""
    size = s.load.shape[2]
    work, chosen, place = np.empty((2, size)), np.empty((2, size), np.int32), np.empty(size, np.int32)
    for p in queue:
        parts.on[p] = _try(s, asks, parts, p, work, place, chosen)
