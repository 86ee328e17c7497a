"""Local search on firm lanes: a few neighbours are taken off and placed anew; what adds to welfare stays.

Small pools power few lanes, so that which lanes share a slot is a packing, and moves of one lane at a time
get stuck in it.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np

from backend.market.choose import accepts
from backend.market.firm import restless, take_off, try_place
from backend.market.jit import njit

FEW, MANY = 10, 40  # lots that are taken off at once; to make room for one


@njit(cache=True)
def _draw(state, most):
    """A number in 0..most-1 (xorshift; the same on every machine)."""
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return np.int64(x >> np.uint64(1)) % most


@njit(cache=True)
def supply_cost(f, z, t):
    """What the sites and plants of a zone and slot ask for what they give, micro."""
    total = 0.0
    for k in range(f.sites.shape[0]):
        for n in range(f.sites.shape[2]):
            i = f.sites[k, z, n]
            if i < 0:
                break
            total += f.ask[i] * (f.used[i, 0, t] + f.used[i, 1, t])
    for m in range(2):
        below = 0.0
        for n in range(f.pool_steps[z, m, t]):
            take = min(f.burnt[z, m, t] / 1000.0, f.pool_top[z, m, t, n]) - below
            if take <= 0:
                break
            total += take * f.pool_ask[z, m, t, n]
            below += take
    return total


@njit(cache=True)
def _worth(f, lots, k, p):
    """Value of a placed lot to its buyer, less its own price of carbon."""
    total = 0.0
    for strand in range(2):
        lanes = lots.lanes[p, strand]
        if lanes > 0:
            z, first = lots.home[p, strand], lots.first[p, strand]
            total += lanes * lots.limit[p] * lots.duration[p]
            for n in range(first, first + lots.duration[p]):
                total -= lanes * lots.carbon_cost[p] * f.carbon[z, lots.at[n] % 2, lots.at[n] // 2]
    return total


@njit(cache=True)
def _copy(a, b, z, t):
    """Makes state `a` what `b` is in a zone and slot."""
    for m in range(2):
        a.burnt[z, m, t] = b.burnt[z, m, t]
        for k in range(a.sites.shape[0]):
            a.over[k, z, m, t] = b.over[k, z, m, t]
            a.fit[k, z, m, t] = b.fit[k, z, m, t]
            a.room[k, z, m, t] = b.room[k, z, m, t]
            a.saved[k, z, m, t] = b.saved[k, z, m, t]
            for n in range(1, 3):
                a.price[n, k, z, m, t] = b.price[n, k, z, m, t]
            for n in range(a.sites.shape[2]):
                i = a.sites[k, z, n]
                if i < 0:
                    break
                a.used[i, m, t] = b.used[i, m, t]


@njit(cache=True)
def _mark(lots, p, touched, count, seen):
    """Adds the zone-slots of a lot to `touched`."""
    for strand in range(2):
        if lots.lanes[p, strand] > 0:
            z, first = lots.home[p, strand], lots.first[p, strand]
            for n in range(first, first + lots.duration[p]):
                t = lots.at[n] // 2
                if not seen[z, t]:
                    seen[z, t] = True
                    touched[count, 0], touched[count, 1] = z, t
                    count += 1
    return count


@njit(cache=True)
def _meets(lots, p, z, low, high):
    """True if lot p stands in zone z in slots low..high-1."""
    for strand in range(2):
        if lots.lanes[p, strand] > 0 and lots.home[p, strand] == z:
            first = lots.first[p, strand]
            for n in range(first, first + lots.duration[p]):
                if low <= lots.at[n] // 2 < high:
                    return True
    return False


@njit(cache=True)
def _fair(j, kind, lanes, green, least, placed):
    """True if what is placed of order j is what its kind and its green share allow."""
    filled = placed[j, 0] + placed[j, 1]
    if placed[j, 0] * (lanes[j] - green[j]) < placed[j, 1] * green[j]:
        return False
    if kind[j] == 1:
        return filled == 0 or filled >= least[j]
    return kind[j] == 0 or kind[j] == 3 or filled == 0 or filled == lanes[j]


@njit(cache=True)
def _clear_away(f, lots, kind_of, some, was, old, n, touched, marks, seen):
    """Takes lot some[n] off and notes where it stood; returns the marks and what it was worth."""
    p = some[n]
    was[n] = lots.on[p]
    if not was[n]:
        return marks, 0.0
    for strand in range(2):
        if lots.lanes[p, strand] > 0:
            old[n, strand, 0] = lots.home[p, strand]
            for e in range(lots.duration[p]):
                old[n, strand, 1 + e] = lots.at[lots.first[p, strand] + e]
    marks = _mark(lots, p, touched, marks, seen)
    lost = _worth(f, lots, kind_of[p], p)
    take_off(f, lots, kind_of[p], p)
    return marks, lost


@njit(cache=True)
def _neighbours(f, lots, lead, some, state):
    """The lead and lots that stand in some slots of its window; returns how many."""
    count, zones = len(lots.order), f.fit.shape[1]
    z = _draw(state, zones)
    while not accepts(lots, lead, z):
        z = (z + 1) % zones
    low = lots.start[lead] + _draw(state, lots.deadline[lead] - lots.start[lead])
    wide, most, begin = 1 + _draw(state, 4), 2 + _draw(state, FEW - 1), _draw(state, count)
    some[0], size = lead, 1
    for n in range(count):
        p = (begin + n) % count
        if p != lead and lots.on[p] and _meets(lots, p, z, low, low + wide):
            some[size] = p
            size += 1
            if size > most:
                break
    return size


@njit(cache=True)
def _blur(f, lots, p, rough, state):
    """Makes the slots of lot p's window seem dearer by up to 1000 times `rough`."""
    for t in range(lots.start[p], lots.deadline[p]):
        f.jitter[t] = rough * _draw(state, 1000) if rough > 0.0 else 0.0


@njit(cache=True)
def _force(f, lots, kind_of, lead, some, was, old, touched, seen, state, cost, mode, rest):
    """Places the lead where it would like to be, and takes off who is in its way there."""
    some[0], size, k, count = lead, 1, kind_of[lead], len(lots.order)
    marks, lost = _clear_away(f, lots, kind_of, some, was, old, 0, touched, 0, seen)
    if not try_place(f, lots, k, lead, 2, 1e300, cost, mode, rest):
        if lots.lanes[lead, 0] > 0 and lots.lanes[lead, 1] > 0:
            marks = _mark(lots, lead, touched, marks, seen)
        return size, marks, -lost
    marks = _mark(lots, lead, touched, marks, seen)
    begin = _draw(state, count)
    for n in range(count):
        if size > MANY or not restless(f, lots, k, lead):
            break
        p = (begin + n) % count
        if p != lead and lots.on[p] and restless(f, lots, kind_of[p], p):
            some[size] = p
            marks, more = _clear_away(f, lots, kind_of, some, was, old, size, touched, marks, seen)
            lost += more
            size += 1
    if restless(f, lots, k, lead):
        take_off(f, lots, k, lead)
    return size, marks, -lost


@njit(cache=True)
def shake(f, kept, lots, kind_of, kind, lanes, green, least, tries, seed):
    """Tries `tries` times; `kept` is a copy of state `f`. Returns the welfare that was added, micro."""
    count, zones, slots = len(lots.order), f.fit.shape[1], f.fit.shape[3]
    state = np.array([seed], np.uint64)
    cost, mode, rest = np.empty((2, slots)), np.empty((2, slots), np.int8), np.empty(slots)
    touched, seen = np.empty((zones * slots, 2), np.int64), np.zeros((zones, slots), np.bool_)
    bill = np.empty((zones, slots))
    for z in range(zones):
        for t in range(slots):
            bill[z, t] = supply_cost(f, z, t)
    placed = np.zeros((len(lanes), 2), np.int64)
    for p in range(count):
        if lots.on[p]:
            placed[lots.order[p], 0] += lots.lanes[p, 0]
            placed[lots.order[p], 1] += lots.lanes[p, 1]
    some, old = np.empty(MANY + 2, np.int64), np.empty((MANY + 2, 2, slots + 1), np.int32)
    was = np.zeros(MANY + 2, np.bool_)
    added = 0.0
    for _ in range(tries):
        lead = _draw(state, count)
        for _ in range(3):  # who has no place leads more often
            if lots.on[lead]:
                lead = _draw(state, count)
        price = np.int64(_draw(state, 2))
        rough = lots.limit[lead] * 0.5 ** _draw(state, 8) / 1000.0 if _draw(state, 2) == 0 else 0.0
        _blur(f, lots, lead, rough, state)
        if _draw(state, 4) == 0:
            size, marks, gain = _force(
                f, lots, kind_of, lead, some, was, old, touched, seen, state, cost, mode, rest
            )
        else:
            size = _neighbours(f, lots, lead, some, state)
            marks, gain = 0, 0.0
            for n in range(size):
                marks, lost = _clear_away(f, lots, kind_of, some, was, old, n, touched, marks, seen)
                gain -= lost
        for n in range(size):
            if was[n]:
                p = some[n]
                placed[lots.order[p], 0] -= lots.lanes[p, 0]
                placed[lots.order[p], 1] -= lots.lanes[p, 1]
        if not lots.on[lead] and _draw(state, 4) == 0:  # not always the lead first
            n = _draw(state, size)
            some[0], some[n] = some[n], some[0]
            swap = was[0]
            was[0] = was[n]
            was[n] = swap
            for strand in range(2):
                for e in range(slots + 1):
                    keep = old[0, strand, e]
                    old[0, strand, e] = old[n, strand, e]
                    old[n, strand, e] = keep
        for n in range(size):
            p = some[n]
            if rough > 0.0:
                _blur(f, lots, p, rough, state)
            if lots.on[p]:  # forced in already
                gain += _worth(f, lots, kind_of[p], p)
                placed[lots.order[p], 0] += lots.lanes[p, 0]
                placed[lots.order[p], 1] += lots.lanes[p, 1]
            elif try_place(f, lots, kind_of[p], p, price, 1e300, cost, mode, rest):
                marks = _mark(lots, p, touched, marks, seen)
                gain += _worth(f, lots, kind_of[p], p)
                placed[lots.order[p], 0] += lots.lanes[p, 0]
                placed[lots.order[p], 1] += lots.lanes[p, 1]
            elif lots.lanes[p, 0] > 0 and lots.lanes[p, 1] > 0:  # its first strand came and went
                marks = _mark(lots, p, touched, marks, seen)
        for n in range(marks):
            gain -= supply_cost(f, touched[n, 0], touched[n, 1]) - bill[touched[n, 0], touched[n, 1]]
        good = gain >= 0.0
        for n in range(size):
            good = good and _fair(lots.order[some[n]], kind, lanes, green, least, placed)
        if good:
            added += gain
            for n in range(marks):
                z, t = touched[n, 0], touched[n, 1]
                bill[z, t] = supply_cost(f, z, t)
                _copy(kept, f, z, t)
        else:
            for n in range(marks):
                _copy(f, kept, touched[n, 0], touched[n, 1])
            for n in range(size):
                p = some[n]
                if lots.on[p] != was[n]:
                    sign = 1 if was[n] else -1
                    placed[lots.order[p], 0] += sign * lots.lanes[p, 0]
                    placed[lots.order[p], 1] += sign * lots.lanes[p, 1]
                lots.on[p] = was[n]
                for strand in range(2):
                    if was[n] and lots.lanes[p, strand] > 0:
                        lots.home[p, strand] = old[n, strand, 0]
                        for e in range(lots.duration[p]):
                            lots.at[lots.first[p, strand] + e] = old[n, strand, 1 + e]
        for n in range(marks):
            seen[touched[n, 0], touched[n, 1]] = False
    f.jitter[:] = 0.0
    return added
