"""The market as the engine sees it: sites by (class, zone), and energy pools as stacked tranches.

Prices live in two places only: the *rent* of a site in a slot, and the *centre* of an energy pool. Every
cell's price follows from them. A supply answers smoothly: on a tranche a pool's price is its ask, and at a
jump it moves with a slope around the present price (the proximal form of the step function), as a site's
rent does at its capacity; so that a lane that arrives raises the price it sees, a little.

Classes meet in the energy pools only. Every class keeps its own view of the pools, so that classes can be
swept at the same time; `agree` makes the views equal again.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backend.market.domain import Book, Ints
from backend.market.jit import njit
from backend.market.supply import BLOCKED, Floats, pools_of
from backend.market.tables import Tables


class Cells(NamedTuple):
    """Arrays of one market state; k class, z zone, m mode, t slot, i offer, n member or tranche."""

    sites: Ints  # [k][z][n] offers, -1 padded
    ask: Floats  # [i] micro per VCU-slot
    energy: Floats  # [i] kWh per VCU-slot
    capacity: Ints  # [i][t]
    modes: npt.NDArray[np.bool_]  # [i][m] in which it sells
    pool_steps: Ints  # [z][m][t]
    pool_ask: Floats  # [z][m][t][n] micro per kWh
    pool_top: Floats  # [z][m][t][n] kWh
    carbon: Floats  # [z][m][t] g/kWh
    used: Ints  # [i][m][t] lanes
    taken: Floats  # [k][z][m][t] kWh that the class takes
    seen: Floats  # [k][z][m][t] kWh that all classes take, as this one knows it
    rent: Floats  # [i][t] micro per VCU-slot
    centre: Floats  # [z][m][t] micro per kWh
    slope_site: Floats  # [i] micro per lane
    slope_pool: Floats  # [z][m] micro per kWh, per kWh
    share: (
        Floats  # [k] of the class's demand that is in play: supply is scaled down to it; last: of the energy
    )
    price: Floats  # [k][z][m][t] of the next lane, all in
    best: npt.NDArray[np.int32]  # [k][z][m][t] the offer that has it
    pool_hint: Ints  # [k][z][m][t] tranche where the last answer was found


def cells_of(book: Book, tab: Tables) -> Cells:
    """An empty market over the offers of `book`, with all rents zero."""
    kinds, zones, slots = len(book.classes), len(book.zones), tab.slots
    pool_steps, pool_ask, pool_top = pools_of(book, tab)
    shape, offers = (kinds, zones, 2, slots), len(tab.offer_zone)
    return Cells(
        sites=sites_of(tab, kinds, zones),
        ask=tab.offer_ask.astype(np.float64),
        energy=tab.offer_energy_wh / 1000.0,
        capacity=tab.offer_capacity,
        modes=tab.offer_modes,
        pool_steps=pool_steps,
        pool_ask=pool_ask,
        pool_top=pool_top / 1000.0,
        carbon=tab.carbon.astype(np.float64),
        used=np.zeros((offers, 2, slots), dtype=np.int64),
        taken=np.zeros(shape),
        seen=np.zeros(shape),
        rent=np.zeros((offers, slots)),
        centre=np.where(pool_steps > 0, pool_ask[..., 0], 0.0),
        slope_site=np.ones(offers),
        slope_pool=np.ones((zones, 2)),
        share=np.ones(kinds + 1),
        price=np.zeros(shape),
        best=np.zeros(shape, dtype=np.int32),
        pool_hint=np.zeros(shape, dtype=np.int64),
    )


def sites_of(tab: Tables, kinds: int, zones: int) -> Ints:
    """[class][zone][n] rows of the compute offers there, -1 padded."""
    groups: list[list[int]] = [[] for _ in range(kinds * zones)]
    for i in range(len(tab.offer_class)):
        groups[int(tab.offer_class[i]) * zones + int(tab.offer_zone[i])].append(i)
    width = max((len(g) for g in groups), default=1) or 1
    members = np.full((kinds * zones, width), -1, dtype=np.int64)
    for n, group in enumerate(groups):
        members[n, : len(group)] = group
    return members.reshape(kinds, zones, width)


@njit(cache=True)
def answer(ask, top, steps, share, centre, slope, load, hint):
    """Smoothed price when `load` is taken from a stack of `steps`, and the step where it was found.

    Never below the first ask: nobody sells there.
    """
    n = hint
    while n > 0 and load <= top[n - 1] * share + (ask[n - 1] - centre) / slope:
        n -= 1
    while n < steps:
        below = top[n - 1] * share if n > 0 else 0.0
        shift = (ask[n] - centre) / slope
        if load < below + shift:
            return max(centre + slope * (load - below), ask[0]), n
        if load <= top[n] * share + shift:
            return ask[n], n
        n += 1
    below = top[n - 1] * share if n > 0 else 0.0
    return centre + slope * (load - below), n


@njit(cache=True)
def site_price(c, k, i, t, lanes):
    """Smoothed price (without energy) of site i when `lanes` lanes of class k run on it."""
    return c.ask[i] + max(0.0, c.rent[i, t] + c.slope_site[i] * (lanes - c.capacity[i, t] * c.share[k]))


@njit(cache=True)
def pool_price(c, k, z, m, t, kwh):
    """Smoothed price (micro per kWh) of a pool as class k sees it, when `kwh` more are taken."""
    price, c.pool_hint[k, z, m, t] = answer(
        c.pool_ask[z, m, t], c.pool_top[z, m, t], c.pool_steps[z, m, t], c.share[-1], c.centre[z, m, t],
        c.slope_pool[z, m], c.seen[k, z, m, t] + kwh, c.pool_hint[k, z, m, t],
    )  # fmt: skip
    return price


@njit(cache=True)
def look(c, k, z, t):
    """Brings the prices of the next lane in both modes of a cell up to date."""
    first = c.sites[k, z, 0]
    if first < 0:
        c.price[k, z, 0, t] = c.price[k, z, 1, t] = BLOCKED
        return
    half = 0.5 * c.energy[first]
    grey, green = pool_price(c, k, z, 0, t, half), pool_price(c, k, z, 1, t, half)
    least, least_green, at, at_green = BLOCKED, BLOCKED, first, first
    for n in range(c.sites.shape[2]):
        i = c.sites[k, z, n]
        if i < 0:
            break
        if c.capacity[i, t] == 0:
            continue
        own = site_price(c, k, i, t, c.used[i, 0, t] + c.used[i, 1, t] + 0.5)
        price = own + c.energy[i] * grey
        if price < least and c.modes[i, 0]:
            least, at = price, i
        price = own + c.energy[i] * green
        if price < least_green and c.modes[i, 1]:
            least_green, at_green = price, i
    c.price[k, z, 0, t], c.best[k, z, 0, t] = least, at
    c.price[k, z, 1, t], c.best[k, z, 1, t] = least_green, at_green


@njit(cache=True)
def shift(c, k, z, m, t, i, lanes):
    """Adds lanes to site i (or takes them away, if negative) and updates the prices that its class sees."""
    c.used[i, m, t] += lanes
    c.taken[k, z, m, t] += lanes * c.energy[i]
    c.seen[k, z, m, t] += lanes * c.energy[i]
    look(c, k, z, t)


@njit(cache=True)
def agree(c):
    """Every class learns what all of them take from the pools, and looks again at the prices that changed."""
    kinds, zones, _, slots = c.seen.shape
    for z in range(zones):
        for t in range(slots):
            for m in range(2):
                total = 0.0
                for k in range(kinds):
                    total += c.taken[k, z, m, t]
                for k in range(kinds):
                    if c.seen[k, z, m, t] != total:
                        c.seen[k, z, m, t] = total
                        look(c, k, z, t)


@njit(cache=True)
def look_all(c):
    """Looks at every price afresh."""
    agree(c)
    for k in range(c.seen.shape[0]):
        for z in range(c.seen.shape[1]):
            for t in range(c.seen.shape[3]):
                look(c, k, z, t)


@njit(cache=True)
def recentre(c):
    """Moves every rent and every centre to the price that the present loads give."""
    kinds, zones, _, slots = c.seen.shape
    for z in range(zones):
        for m in range(2):
            for t in range(slots):
                total = 0.0
                for k in range(kinds):
                    total += c.taken[k, z, m, t]
                c.centre[z, m, t], _ = answer(
                    c.pool_ask[z, m, t], c.pool_top[z, m, t], c.pool_steps[z, m, t], c.share[-1],
                    c.centre[z, m, t], c.slope_pool[z, m], total, 0,
                )  # fmt: skip
    for k in range(kinds):
        for z in range(zones):
            for n in range(c.sites.shape[2]):
                i = c.sites[k, z, n]
                if i < 0:
                    break
                for t in range(slots):
                    over = c.used[i, 0, t] + c.used[i, 1, t] - c.capacity[i, t] * c.share[k]
                    c.rent[i, t] = max(0.0, c.rent[i, t] + c.slope_site[i] * over)
    look_all(c)
