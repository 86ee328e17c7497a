"""What whole lanes can make of a small green pool: a sharper bound where only a fraction of a lane is left.

The sites and the green pool of a zone and slot, taken as one participant, sell whole lanes at the compute
prices and keep what they take from each other. Its best profit is a knapsack in Wh: every site chooses how
many lanes it runs on green, the others run on grey at the posted energy price or not at all. That is never
more than what sites and plants make apart, and no clearing can make more of it, so the difference is taken
off the bound (the `indivisible` part of the certificate). It matters where a pool powers few lanes.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend.market.domain import GREEN, GREY, Ints
from backend.market.jit import njit
from backend.market.tables import Tables

MOST_WH = 4_000  # of a pool in a slot; larger ones power so many lanes that nothing is left to gain
_SAFE = 2**60


def small_pools(tab: Tables) -> tuple[npt.NDArray[np.bool_], Ints, Ints]:
    """Green pools that the knapsack is solved for [zone][slot], and their tranches.

    Tranches are (Wh, ask) [zone][slot][n], cheapest first. A pool in which assets trade is not one of them.
    """
    zones, slots = tab.starved.shape[0], tab.slots
    stacks = [
        [g for g in range(len(tab.power_wh)) if tab.power_zone[g] == z and tab.power_mode[g] == GREEN]
        for z in range(zones)
    ]
    width = max((sum(tab.power_wh[g].shape[1] for g in stack) for stack in stacks), default=0)
    wh, ask = np.zeros((zones, slots, width), np.int64), np.zeros((zones, slots, width), np.int64)
    for z, stack in enumerate(stacks):
        if not stack:
            continue
        amount = np.concatenate([tab.power_wh[g] for g in stack], axis=1)
        asked = np.concatenate([tab.power_ask[g] for g in stack], axis=1)
        rank = np.argsort(asked, axis=1, kind="stable")
        wh[z, :, : amount.shape[1]] = np.take_along_axis(amount, rank, axis=1)
        ask[z, :, : amount.shape[1]] = np.take_along_axis(asked, rank, axis=1)
    small = (wh.sum(axis=2) <= MOST_WH) & ~tab.lively[:, GREEN, None]
    return small, wh, ask


def offer_margins(tab: Tables, compute_price: Ints, energy_price: Ints) -> Ints:
    """[offer][mode][slot] margin per VCU-slot at these prices: 1000 x pc - e x pe - 1000 x ask
    (milli-micro)."""
    k, z = tab.offer_class, tab.offer_zone
    burnt = tab.offer_energy_wh[:, None, None] * energy_price[z]
    margin: Ints = 1000 * compute_price[k, z] - burnt - 1000 * tab.offer_ask[:, None, None]
    margin[~tab.offer_modes] = -1  # a mode it does not sell in
    return margin


def indivisible_milli(tab: Tables, compute_price: Ints, energy_price: Ints) -> int:
    """By how much (milli-micro) sites and green plants together could never reach what each could alone."""
    if len(tab.offer_zone) == 0:
        return 0
    margin = offer_margins(tab, compute_price, energy_price)
    small, wh, ask = small_pools(tab)
    if not (small & (wh.sum(axis=2) > 0)).any():
        return 0
    alone, together = _small_profits(tab, compute_price, energy_price, margin, small, wh, ask)
    return int((alone - together)[small].astype(object).sum())


def _small_profits(
    tab: Tables, compute_price: Ints, energy_price: Ints, margin: Ints,
    small: npt.NDArray[np.bool_], wh: Ints, ask: Ints,
) -> tuple[Ints, Ints]:  # fmt: skip
    zones = tab.starved.shape[0]
    top = np.maximum(margin, 0)
    best = np.maximum(top[:, GREY], top[:, GREEN])
    priced = 1000 * compute_price[tab.offer_class, tab.offer_zone, GREEN] - 1000 * tab.offer_ask[:, None]
    size = max(int(np.abs(priced).max(initial=0)), int(best.max(initial=0))) * int(
        tab.offer_capacity.max(initial=0)
    ) * max(len(best), 1)  # fmt: skip
    energy = max(int(np.abs(ask).max(initial=0)), int(np.abs(energy_price).max(initial=0))) * MOST_WH
    shape = (zones, tab.slots)
    alone, together = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    if size >= _SAFE or energy >= _SAFE:
        return alone, together
    np.add.at(alone, tab.offer_zone, np.where(small[tab.offer_zone], tab.offer_capacity * best, 0))
    gain = np.maximum(energy_price[:, GREEN, :, None] - ask, 0) * np.where(small[..., None], wh, 0)
    alone += np.where(tab.starved[:, GREEN], 0, gain.sum(axis=2))
    _knapsacks(
        small, wh, ask, tab.offer_zone, tab.offer_energy_wh, tab.offer_capacity,
        np.where(tab.offer_modes[:, GREEN, None], priced, -_SAFE), top[:, GREY], together,
    )  # fmt: skip
    return alone, np.minimum(alone, together)


@njit(cache=True)
def _knapsacks(small, wh, ask, zone, energy, capacity, green, grey, together):
    """Best joint profit of the sites and the green pool of every small (zone, slot), milli-micro."""
    best = np.empty(MOST_WH + 1, np.int64)
    for z in range(small.shape[0]):
        for t in range(small.shape[1]):
            if small[z, t]:
                together[z, t] = _knapsack(
                    wh[z, t], ask[z, t], zone, z, t, energy, capacity, green, grey, best
                )


@njit(cache=True)
def _knapsack(wh, ask, zone, z, t, energy, capacity, green, grey, best):
    room, need, sure = np.int64(0), np.int64(0), np.int64(0)
    base = np.int64(0)  # energy that costs less than nothing is a gain of every Wh; costs are 0 or more
    for n in range(len(wh)):
        room += wh[n]
        if wh[n] > 0:
            base = min(base, ask[n])
    for i in range(len(zone)):
        if zone[i] == z:
            sure += capacity[i, t] * grey[i, t]
            if energy[i] == 0:
                sure += capacity[i, t] * max(green[i, t] - grey[i, t], 0)
            if green[i, t] - energy[i] * base > grey[i, t]:
                need += capacity[i, t] * energy[i]
    room = min(room, need)
    best[0] = 0
    for w in range(1, room + 1):
        best[w] = -1
    reach = np.int64(0)
    for i in range(len(zone)):
        value, weight = green[i, t] - grey[i, t] - energy[i] * base, energy[i]
        if zone[i] != z or value <= 0 or weight == 0:
            continue
        left, lot = min(capacity[i, t], room // weight), np.int64(1)
        while left > 0:
            lot = min(lot, left)
            w, v = lot * weight, lot * value
            reach = min(room, reach + w)
            for s in range(reach, w - 1, -1):
                if best[s - w] >= 0 and best[s - w] + v > best[s]:
                    best[s] = best[s - w] + v
            left -= lot
            lot *= 2
    top, cost, n, upto = np.int64(0), np.int64(0), 0, np.int64(0)
    for w in range(1, reach + 1):
        while w > upto + wh[n]:
            upto += wh[n]
            n += 1
        cost += ask[n] - base
        if best[w] >= 0 and best[w] - cost > top:
            top = best[w] - cost
    return sure + top
