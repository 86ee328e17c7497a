"""Firm lanes at posted prices: whole lanes on real sites and real watt-hours, every limit kept to the unit.

A lane is added only where a willing site has room and a willing tranche has the energy. `POSTED` looks for
what is cheapest for the buyer, `TRUE` for what asks the least of the suppliers: each such move adds to
welfare.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from backend.market.cells import Cells
from backend.market.choose import NOWHERE, accepts, least_of, write_slots
from backend.market.domain import GREEN, Ints
from backend.market.jit import njit
from backend.market.lots import Lots, scale_of
from backend.market.supply import BLOCKED, Floats
from backend.market.tables import Tables
from backend.market.whole import offer_margins

POSTED, TRUE, CROWDED = 0, 1, 2
STEEP = 10.0  # of a usual limit that crowding adds to the price where twice as many want to be as can
LEAST = 200  # lanes that a cell or pool counts at least in this


class Firm(NamedTuple):
    """One state of a firm clearing; k class, z zone, m mode, t slot, i offer, n member or step."""

    sites: Ints  # [k][z][n]
    ask: Ints  # [i] micro per VCU-slot
    wh: Ints  # [i] per VCU-slot
    capacity: Ints  # [i][t]
    pool_steps: Ints  # [z][m][t]
    pool_ask: Floats  # [z][m][t][n] micro per kWh
    pool_top: Floats  # [z][m][t][n] kWh
    carbon: Floats  # [z][m][t]
    posted: Ints  # [k][z][m][t] micro per VCU-slot
    margin: Ints  # [i][m][t] milli-micro that a VCU-slot earns; below 0 the site is not willing
    used: Ints  # [i][m][t] lanes
    over: Ints  # [k][z][m][t] lanes placed here that no site has room for
    burnt: Ints  # [z][m][t] Wh
    willing: Ints  # [z][m][t] Wh on offer at the posted price
    fit: Ints  # [k][z][m][t] lanes that could be added now
    room: Ints  # [k][z][m][t] lanes that willing sites have room for, whatever the energy
    price: Floats  # [3][k][z][m][t] posted, what the suppliers of one more lane ask, posted and crowding
    press: Floats  # [k][z][m][t] micro per lane that crowding has put on a cell
    press_pool: Floats  # [z][m][t] micro per Wh that crowding has put on a pool
    slope_cell: Floats  # [k][z] by what the price of crowding grows per lane too many, micro
    slope_pool: Floats  # [z][m] and per Wh, micro per Wh
    saved: Floats  # [k][z][m][t] what the suppliers of the last lane ask
    jitter: Floats  # [t] micro by which a slot seems dearer, for a search that looks elsewhere too


def firm_of(
    tab: Tables, c: Cells, lots: Lots, compute: Ints, energy: Ints, scarcity: Ints | None = None
) -> Firm:
    """The state of the lots where they stand, at these prices; lanes without a willing site count as over.

    With `scarcity`, milli-micro per green Wh [zone][slot] that it is worth beyond its price, every site and
    plant counts as willing, and sites that need little come first: prices that they accept come afterwards.
    """
    margin = offer_margins(tab, compute, energy)
    if scarcity is not None:
        ranked = margin.copy()
        ranked[:, GREEN] -= tab.offer_energy_wh[:, None] * scarcity[tab.offer_zone]
        margin = ranked - min(int(ranked.min(initial=0)), 0)
    least = energy[..., None] if scarcity is None else np.inf
    size = np.diff(np.rint(1000 * c.pool_top).astype(np.int64), axis=3, prepend=0)
    asks = np.where(c.pool_ask < BLOCKED / 2, c.pool_ask, np.inf)
    price = np.full((3, *c.price.shape), NOWHERE)
    price[POSTED] = compute
    kinds, zones = c.sites.shape[:2]
    wh = max(float(np.mean(tab.offer_energy_wh)), 1.0) if len(tab.offer_energy_wh) else 1.0
    lanes = np.ones((kinds, zones))
    np.add.at(lanes, (tab.offer_class, tab.offer_zone), tab.offer_capacity.mean(axis=1))
    lanes_of_pool = np.where(c.pool_top < 1e9, c.pool_top, 0).max(axis=3).mean(axis=2) * 1000 / wh
    steep = scale_of(lots) * STEEP
    f = Firm(
        c.sites, tab.offer_ask, tab.offer_energy_wh, tab.offer_capacity, c.pool_steps, c.pool_ask, c.pool_top,
        c.carbon, compute, np.where(tab.offer_capacity[:, None, :] > 0, margin, -1), np.zeros_like(c.used),
        np.zeros_like(compute), np.zeros_like(energy),
        np.where((asks <= least) & (asks < np.inf), size, 0).sum(axis=3), np.zeros_like(compute),
        np.zeros_like(compute), price, np.zeros(c.price.shape), np.zeros(c.centre.shape),
        steep / np.maximum(lanes, LEAST), steep / wh**2 / np.maximum(lanes_of_pool, LEAST),
        np.zeros(c.price.shape), np.zeros(c.price.shape[3]),
    )  # fmt: skip
    _count(f, lots)
    _hand_out(f)
    return f


@njit(cache=True)
def _count(f, lots):
    """Puts the lanes of every placed lot down as over in its cells."""
    for k in range(len(lots.begin) - 1):
        for p in range(lots.begin[k], lots.begin[k + 1]):
            for strand in range(2):
                if lots.on[p] and lots.lanes[p, strand] > 0:
                    z, first = lots.home[p, strand], lots.first[p, strand]
                    for n in range(first, first + lots.duration[p]):
                        f.over[k, z, lots.at[n] % 2, lots.at[n] // 2] += lots.lanes[p, strand]


@njit(cache=True)
def settle(margin, room, want, use):
    """Hands out want[m] lanes of both modes to sites with `room` so that they earn the most [n][m]; leaves in
    `want` what nobody willing has room for."""
    for m in range(2):
        while want[m] > 0:
            direct, other, swap = -1, -1, -1
            for n in range(len(room)):
                mine, rival = margin[n, m], margin[n, 1 - m]
                if room[n] > 0:
                    if mine >= 0 and (direct < 0 or mine > margin[direct, m]):
                        direct = n
                    if rival >= 0 and (other < 0 or rival > margin[other, 1 - m]):
                        other = n
                better = swap < 0 or mine - rival > margin[swap, m] - margin[swap, 1 - m]
                if use[n, 1 - m] > 0 and mine >= 0 and better:
                    swap = n
            through = swap >= 0 and other >= 0
            if through and direct >= 0:
                gain = margin[swap, m] - margin[swap, 1 - m] + margin[other, 1 - m]
                through = gain > margin[direct, m]
            if through:
                take = min(want[m], min(use[swap, 1 - m], room[other]))
                use[swap, 1 - m] -= take
                use[swap, m] += take
                use[other, 1 - m] += take
                room[other] -= take
            elif direct >= 0:
                take = min(want[m], room[direct])
                use[direct, m] += take
                room[direct] -= take
            else:
                break
            want[m] -= take


@njit(cache=True)
def _hand_out(f):
    """Gives the lanes of every cell to its sites, as far as they have room; looks at every cell afresh."""
    kinds, zones, _, slots = f.fit.shape
    width = f.sites.shape[2]
    margin, use = np.empty((width, 2), np.int64), np.empty((width, 2), np.int64)
    room, want = np.empty(width, np.int64), np.empty(2, np.int64)
    for k in range(kinds):
        for z in range(zones):
            for t in range(slots):
                size = 0
                for n in range(width):
                    i = f.sites[k, z, n]
                    if i < 0:
                        break
                    room[n] = f.capacity[i, t]
                    for m in range(2):
                        margin[n, m], use[n, m] = f.margin[i, m, t], 0
                    size += 1
                for m in range(2):
                    want[m] = f.over[k, z, m, t]
                settle(margin[:size], room[:size], want, use[:size])
                for m in range(2):
                    f.over[k, z, m, t] = want[m]
                    for n in range(size):
                        i = f.sites[k, z, n]
                        f.used[i, m, t] = use[n, m]
                        f.burnt[z, m, t] += use[n, m] * f.wh[i]
    for k in range(kinds):
        for z in range(zones):
            for m in range(2):
                for t in range(slots):
                    _look(f, k, z, m, t)


@njit(cache=True)
def _step_ask(f, z, m, t, wh):
    """Ask (micro per kWh) of the tranche that serves the wh-th watt-hour."""
    for n in range(f.pool_steps[z, m, t]):
        if wh <= 1000.0 * f.pool_top[z, m, t, n] + 0.5:
            return f.pool_ask[z, m, t, n]
    return 1e30


@njit(cache=True)
def _before(f, i, other, m, t, left):
    """True if a lane goes to site i rather than to `other`: who needs no more than the `left` Wh comes first,
    then who earns most."""
    if other < 0:
        return True
    fits, rival = f.wh[i] <= left, f.wh[other] <= left
    return fits if fits != rival else f.margin[i, m, t] > f.margin[other, m, t]


@njit(cache=True)
def _look(f, k, z, m, t):
    """Brings fit, true price and saving of a cell up to date."""
    room, heavy = np.int64(0), np.int64(0)
    best, worst, able = -1, -1, False
    left = f.willing[z, m, t] - f.burnt[z, m, t]
    for n in range(f.sites.shape[2]):
        i = f.sites[k, z, n]
        if i < 0:
            break
        if f.margin[i, m, t] < 0:
            continue
        able = True
        free = f.capacity[i, t] - f.used[i, 0, t] - f.used[i, 1, t]
        if free > 0:
            room += free
            heavy = max(heavy, f.wh[i])
            if _before(f, i, best, m, t, left):
                best = i
        if f.used[i, m, t] > 0 and (worst < 0 or f.margin[i, m, t] < f.margin[worst, m, t]):
            worst = i
    f.room[k, z, m, t] = room
    crowd = f.press[k, z, m, t]
    if room < 1:
        crowd += f.slope_cell[k, z] * (1 + f.over[k, z, m, t])
    weight = f.wh[best] if best >= 0 else f.wh[f.sites[k, z, 0]] if f.sites[k, z, 0] >= 0 else 0
    crowd += weight * (f.press_pool[z, m, t] + f.slope_pool[z, m] * max(0, weight - left))
    f.price[2, k, z, m, t] = f.price[0, k, z, m, t] + crowd if able else 1e30
    if f.over[k, z, m, t] > 0 or left < 0:
        room = np.int64(0)
    elif heavy > 0:
        room = min(room, max(left // heavy, np.int64(f.wh[best] <= left)))
    f.fit[k, z, m, t] = room
    f.price[1, k, z, m, t] = 1e30
    if room > 0:
        f.price[1, k, z, m, t] = f.ask[best]
        if f.wh[best] > 0:
            f.price[1, k, z, m, t] += (
                f.wh[best] * _step_ask(f, z, m, t, f.burnt[z, m, t] + f.wh[best]) / 1000.0
            )
    f.saved[k, z, m, t] = 0.0
    if worst >= 0:
        f.saved[k, z, m, t] = f.ask[worst]
        if f.wh[worst] > 0:
            f.saved[k, z, m, t] += f.wh[worst] * _step_ask(f, z, m, t, f.burnt[z, m, t]) / 1000.0


@njit(cache=True)
def _shift(f, k, z, m, t, lanes):
    """Adds lanes to a cell, best sites first, what finds no room to `over`; takes them off the other way
    round if negative."""
    swapped = False
    if lanes < 0:
        take = min(f.over[k, z, m, t], -lanes)
        f.over[k, z, m, t] -= take
        lanes += take
    while lanes != 0:
        chosen = -1
        for n in range(f.sites.shape[2]):
            i = f.sites[k, z, n]
            if i < 0:
                break
            if f.margin[i, m, t] < 0:
                continue
            if lanes > 0:
                free = f.capacity[i, t] - f.used[i, 0, t] - f.used[i, 1, t]
                if free > 0 and _before(f, i, chosen, m, t, f.willing[z, m, t] - f.burnt[z, m, t]):
                    chosen = i
            elif f.used[i, m, t] > 0 and (chosen < 0 or f.margin[i, m, t] < f.margin[chosen, m, t]):
                chosen = i
        if chosen < 0:
            f.over[k, z, m, t] += lanes
            break
        if lanes > 0:
            take = min(lanes, f.capacity[chosen, t] - f.used[chosen, 0, t] - f.used[chosen, 1, t])
        else:
            take = -min(-lanes, f.used[chosen, m, t])
        f.used[chosen, m, t] += take
        f.burnt[z, m, t] += take * f.wh[chosen]
        lanes -= take
        rival = f.over[k, z, 1 - m, t]
        if take < 0 and rival > 0 and f.margin[chosen, 1 - m, t] >= 0:
            give = min(rival, -take)
            f.over[k, z, 1 - m, t] -= give
            f.used[chosen, 1 - m, t] += give
            f.burnt[z, 1 - m, t] += give * f.wh[chosen]
            swapped = True
    for other in range(f.fit.shape[0]):
        _look(f, other, z, m, t)
        if swapped:
            _look(f, other, z, 1 - m, t)
    _look(f, k, z, 1 - m, t)


@njit(cache=True)
def place(f, lots, k, p, strand, sign):
    """Adds (sign 1) or takes away (sign -1) a strand at the cells it has noted."""
    lanes = np.int64(lots.lanes[p, strand]) * sign
    if lanes == 0:
        return
    z, first = lots.home[p, strand], lots.first[p, strand]
    for n in range(first, first + lots.duration[p]):
        _shift(f, k, z, lots.at[n] % 2, lots.at[n] // 2, lanes)


@njit(cache=True)
def take_off(f, lots, k, p):
    """Removes a placed lot."""
    place(f, lots, k, p, 0, -1)
    place(f, lots, k, p, 1, -1)
    lots.on[p] = False


@njit(cache=True)
def _line(f, lots, k, p, strand, z, price, lanes, keep, own, line, modes):
    """Cost of every slot of lot p's window in zone z where `lanes` fit; what it holds, if `keep` and not
    overfull, at its price in `own`."""
    start, room = lots.start[p], lots.deadline[p] - lots.start[p]
    weight, cap = lots.carbon_cost[p], lots.carbon_cap[p]
    for n in range(room):
        t = start + n
        line[n] = 1e30
        modes[n] = 1
        if f.fit[k, z, 1, t] >= lanes:
            line[n] = price[k, z, 1, t] + weight * f.carbon[z, 1, t]
        if strand == 1 and f.fit[k, z, 0, t] >= lanes and f.carbon[z, 0, t] <= cap:
            grey = price[k, z, 0, t] + weight * f.carbon[z, 0, t]
            if grey < line[n]:
                line[n] = grey
                modes[n] = 0
        line[n] += f.jitter[t]
    if keep and z == lots.home[p, strand]:
        for n in range(lots.first[p, strand], lots.first[p, strand] + lots.duration[p]):
            m, t = lots.at[n] % 2, lots.at[n] // 2
            if f.over[k, z, m, t] == 0 and f.burnt[z, m, t] <= f.willing[z, m, t]:
                line[t - start] = min(line[t - start], own[k, z, m, t] + weight * f.carbon[z, m, t])


@njit(cache=True)
def _cheapest(f, lots, k, p, strand, kind, keep, own, cost, mode, rest):
    price, lanes = f.price[kind], lots.lanes[p, strand] if kind != 2 else 0
    room, duration = lots.deadline[p] - lots.start[p], lots.duration[p]
    best, zone, row = 1e30, -1, 0
    for z in range(f.fit.shape[1]):
        if not accepts(lots, p, z):
            continue
        here = 1 - row
        _line(f, lots, k, p, strand, z, price, lanes, keep, own, cost[here], mode[here])
        total = least_of(cost[here], room, duration, lots.contiguous[p], rest)
        if total < best:
            best, zone, row = total, z, here
    return best, zone, row


@njit(cache=True)
def paid(f, lots, k, p, strand):
    """Micro-units that one lane of a strand pays where it has noted its cells."""
    z, first = lots.home[p, strand], lots.first[p, strand]
    total = np.int64(0)
    for n in range(first, first + lots.duration[p]):
        total += f.posted[k, z, lots.at[n] % 2, lots.at[n] // 2]
    return total


@njit(cache=True)
def _perceived(f, lots, k, p, strand, price):
    z, first = lots.home[p, strand], lots.first[p, strand]
    total = 0.0
    for n in range(first, first + lots.duration[p]):
        m, t = lots.at[n] % 2, lots.at[n] // 2
        total += price[k, z, m, t] + lots.carbon_cost[p] * f.carbon[z, m, t]
    return total


@njit(cache=True)
def try_place(f, lots, k, p, kind, most, cost, mode, rest):
    """Places lot p where it is cheapest by `kind` of price, both strands or none, for at most
    `most` in all."""
    lanes = np.int64(lots.lanes[p, 0]) + lots.lanes[p, 1]
    value = lots.limit[p] * lots.duration[p] * lanes
    total, pays = 0.0, np.int64(0)
    for strand in range(2):
        if lots.lanes[p, strand] > 0:
            best, zone, row = _cheapest(f, lots, k, p, strand, kind, False, f.saved, cost, mode, rest)
            total += best * lots.lanes[p, strand]
            fits = total < min(value, most)
            if fits:
                write_slots(lots, p, strand, zone, cost[row], mode[row], rest)
                pays += paid(f, lots, k, p, strand) * lots.lanes[p, strand]
                fits = pays <= value
            if not fits:
                if strand == 1:
                    place(f, lots, k, p, 0, -1)
                return False
            place(f, lots, k, p, strand, 1)
    lots.on[p] = True
    return True


@njit(cache=True)
def restless(f, lots, k, p):
    """True if lot p stands on a cell or a pool that is overfull, or pays above its limit."""
    pays, lanes = np.int64(0), np.int64(0)
    for strand in range(2):
        if lots.lanes[p, strand] == 0:
            continue
        z, first = lots.home[p, strand], lots.first[p, strand]
        for n in range(first, first + lots.duration[p]):
            m, t = lots.at[n] % 2, lots.at[n] // 2
            if f.over[k, z, m, t] > 0 or f.burnt[z, m, t] > f.willing[z, m, t]:
                return True
        pays += paid(f, lots, k, p, strand) * lots.lanes[p, strand]
        lanes += lots.lanes[p, strand]
    return pays > lots.limit[p] * lots.duration[p] * lanes


@njit(cache=True)
def _note(lots, p, old):
    """Copies where lot p stands."""
    for strand in range(2):
        if lots.lanes[p, strand] > 0:
            old[strand, 0] = lots.home[p, strand]
            for n in range(lots.duration[p]):
                old[strand, 1 + n] = lots.at[lots.first[p, strand] + n]


@njit(cache=True)
def _back(f, lots, k, p, old):
    """Places lot p where it stood."""
    for strand in range(2):
        if lots.lanes[p, strand] > 0:
            lots.home[p, strand] = old[strand, 0]
            for n in range(lots.duration[p]):
                lots.at[lots.first[p, strand] + n] = old[strand, 1 + n]
            place(f, lots, k, p, strand, 1)
    lots.on[p] = True


@njit(cache=True)
def calm(f, lots, kind_of, turn, patience):
    """Moves restless lots to cells with room, if that costs no more than `patience` of their limit; returns
    how many stay restless."""
    slots = f.fit.shape[3]
    cost, mode, rest = np.empty((2, slots)), np.empty((2, slots), np.int8), np.empty(slots)
    old = np.empty((2, slots + 1), np.int32)
    left = 0
    for p in turn:
        k = kind_of[p]
        if not lots.on[p] or not restless(f, lots, k, p):
            continue
        lanes = lots.lanes[p, 0] + lots.lanes[p, 1]
        held, best = 0.0, 0.0
        for strand in range(2):
            if lots.lanes[p, strand] > 0:
                held += _perceived(f, lots, k, p, strand, f.price[0]) * lots.lanes[p, strand]
                one, _, _ = _cheapest(f, lots, k, p, strand, 0, True, f.price[0], cost, mode, rest)
                best += one * lots.lanes[p, strand]
        most = held + patience * lots.limit[p] * lots.duration[p] * lanes
        if best > most:
            left += 1
            continue
        _note(lots, p, old)
        take_off(f, lots, k, p)
        if not try_place(f, lots, k, p, 0, most, cost, mode, rest):
            left += 1
            _back(f, lots, k, p, old)
    return left


@njit(cache=True)
def negotiate(f, lots, kind_of, turn):
    """One round: who is restless or has no place takes what is cheapest where crowding has its price, which
    then grows wherever there are still too many. Returns how many cells and pools are overfull."""
    slots = f.fit.shape[3]
    cost, mode, rest = np.empty((2, slots)), np.empty((2, slots), np.int8), np.empty(slots)
    for p in turn:
        k = kind_of[p]
        if lots.on[p]:
            if not restless(f, lots, k, p):
                continue
            take_off(f, lots, k, p)
        try_place(f, lots, k, p, 2, 1e300, cost, mode, rest)
    kinds, zones, _, _ = f.fit.shape
    full = 0
    for z in range(zones):
        for m in range(2):
            for t in range(slots):
                lack = f.burnt[z, m, t] - f.willing[z, m, t]
                if lack > 0:
                    f.press_pool[z, m, t] += f.slope_pool[z, m] * lack
                    full += 1
                for k in range(kinds):
                    if f.over[k, z, m, t] > 0:
                        f.press[k, z, m, t] += f.slope_cell[k, z] * f.over[k, z, m, t]
                        full += 1
                    _look(f, k, z, m, t)
    return full


@njit(cache=True)
def evict(f, lots, kind_of, turn):
    """Takes off what is still restless."""
    for p in turn:
        if lots.on[p] and restless(f, lots, kind_of[p], p):
            take_off(f, lots, kind_of[p], p)


@njit(cache=True)
def improve(f, lots, kind_of, turn, kind, banned):
    """Each lot in turn takes what asks least by `kind` of price; returns how many changed."""
    slots = f.fit.shape[3]
    cost, mode, rest = np.empty((2, slots)), np.empty((2, slots), np.int8), np.empty(slots)
    old = np.empty((2, slots + 1), np.int32)
    changed = 0
    for p in turn:
        k = kind_of[p]
        if banned[p]:
            continue
        was = lots.on[p]
        if was:
            held, best = 0.0, 0.0
            for strand in range(2):
                if lots.lanes[p, strand] > 0:
                    lanes = lots.lanes[p, strand]
                    held += lanes * _perceived(f, lots, k, p, strand, f.saved)
                    least, _, _ = _cheapest(f, lots, k, p, strand, kind, True, f.saved, cost, mode, rest)
                    best += lanes * least
            if held <= best + 1e-6 * abs(held):
                continue
            _note(lots, p, old)
            take_off(f, lots, k, p)
        if try_place(f, lots, k, p, kind, 1e300, cost, mode, rest):
            changed += 1
        elif was:
            _back(f, lots, k, p, old)
        elif kind == 1 and try_place(f, lots, k, p, 0, 1e300, cost, mode, rest):
            changed += 1
    return changed
