"""From prices to a firm clearing: integer prices, integer lanes, every limit and every ask kept.

Prices are published first and not touched again. Then the places that the orders would like are made firm:
crowded cells grow dearer round by round until those who can move have moved, what is still too much is put
off, weakest first, and what found no place tries once more.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.market.certificate import best_of_orders, certify, offer_margins
from backend.market.coordinate import Effort, scale_of
from backend.market.domain import Book, Ints, Solution
from backend.market.lanes import lane_faults
from backend.market.orders import KIND_DIVISIBLE
from backend.market.parts import Parts, fills_of_parts
from backend.market.selling import sell
from backend.market.supply import BLOCKED, Supply, supply_of
from backend.market.sweep import CROWDED, POSTED, TRUE_COST, Posted, crowd, move, restless, sweep
from backend.market.tables import Tables, tables_of
from backend.market.ticks import on_tick


def publish(book: Book, tab: Tables, s: Supply, cover_used: bool = True) -> tuple[Ints, Ints]:
    """Integer price tables (compute, energy) of the present rents and centres; cells nobody offers cost
    the most."""
    bands = book.bands
    asked = np.where(s.steps > 0, np.maximum(s.centre, s.step_ask[..., 0]), s.centre)  # below it nobody sells
    energy = on_tick(np.rint(asked), bands.energy_min, bands.energy_max, bands.energy_tick)
    kinds, zones = s.members.shape[:2]
    compute = np.full((kinds, zones, 2, tab.slots), bands.compute_max, dtype=np.int64)
    for i in range(len(s.ask)):
        k, z = int(tab.offer_class[i]), int(tab.offer_zone[i])
        need = 1000 * tab.offer_ask[i] + tab.offer_energy_wh[i] * energy[z]  # [m][t] milli
        own = -(-(need + np.rint(1000 * s.rent[i]).astype(np.int64)) // 1000)
        own = np.where(tab.offer_modes[i][:, None] & (tab.offer_capacity[i] > 0), own, bands.compute_max)
        compute[k, z] = np.minimum(compute[k, z], own)
    for i in range(len(s.ask) if cover_used else 0):
        k, z = int(tab.offer_class[i]), int(tab.offer_zone[i])
        need = -(-(1000 * tab.offer_ask[i] + tab.offer_energy_wh[i] * energy[z]) // 1000)
        compute[k, z] = np.where(s.used[i] > 0, np.maximum(compute[k, z], need), compute[k, z])
    return on_tick(compute, 0, bands.compute_max, bands.compute_tick), energy


def posted_of(book: Book, tab: Tables, s: Supply, compute: Ints, energy: Ints) -> Posted:
    """Who is willing at these integer prices."""
    willing = (offer_margins(tab, compute, energy) >= 0) & (tab.offer_capacity[:, None, :] > 0)
    at = np.where(s.step_ask <= energy[..., None], np.diff(s.step_top, axis=3, prepend=0.0), 0.0)
    at = np.where(s.step_ask < BLOCKED / 2, at, 0.0)
    return Posted(compute.astype(np.float64), willing, at.sum(axis=3))


def round_at(
    book: Book,
    tab: Tables,
    s: Supply,
    parts: Parts,
    effort: Effort,
    mechanism: str = "joint",
    cover_used: bool = True,
) -> Solution:
    """Publishes the prices of `s` and fills the book at them, keeping what is placed where that is
    allowed."""
    compute, energy = publish(book, tab, s, cover_used)
    posted = posted_of(book, tab, s, compute, energy)
    turns = np.random.default_rng(20_171_020)
    surplus = best_of_orders(book, tab, compute).astype(np.float64)[parts.order]
    weakest_first = np.lexsort((parts.order, surplus))
    negotiate(s, posted, parts, scale_of(parts), effort, turns)
    moving = restless(s, posted, parts)
    s.stamp[:] += 1
    sweep(s, posted, parts, weakest_first[moving[weakest_first]], POSTED)
    for n in range(1 + effort.firm_sweeps):
        strongest = weakest_first[::-1]
        turn = strongest[~parts.on[strongest]] if n == 0 else turns.permutation(len(parts.order))
        s.stamp[:] += 1
        sweep(s, posted, parts, turn, TRUE_COST)
        if effort.late():
            break
    restore_shares(book, tab, s, parts)
    fills = fills_of_parts(parts)
    bare = Solution(mechanism, compute, energy, fills, sell(book, tab, fills))
    return replace(bare, certificate=certify(book, bare))


def negotiate(
    s: Supply, posted: Posted, parts: Parts, scale: float, effort: Effort, turns: np.random.Generator
) -> None:
    """Negotiated congestion: crowded cells grow dearer round by round until those who can move have moved."""
    s.over_site[:] = 0.0
    s.over_pool[:] = 0.0
    wh = max(float(np.mean(s.energy)), 1.0) if len(s.energy) else 1.0
    s.slope_site[:] = 0.05 * scale
    s.slope_pool[:] = 0.05 * scale / wh**2
    s.stamp[:] += 1
    for _ in range(effort.rounds):
        movers = np.flatnonzero(restless(s, posted, parts))
        sweep(s, posted, parts, turns.permutation(movers), CROWDED)
        if not crowd(s, posted, s.slope_site, s.slope_pool) or effort.late():
            break
    s.stamp[:] += 1


def restore_shares(book: Book, tab: Tables, s: Supply, parts: Parts) -> None:
    """Takes free lanes from orders whose green-only lanes did not fill in proportion (or break another
    rule)."""
    for j, _ in lane_faults(book, tab, fills_of_parts(parts)):
        mine = np.flatnonzero(parts.order == j)
        placed = mine[parts.on[mine]]
        green = int(parts.lanes[placed, 0].sum())
        whole, free = int(tab.green_lanes[j]), int(book.orders.lanes[j] - tab.green_lanes[j])
        room = green * free // whole if whole else free
        for p in placed[np.argsort(parts.lanes[placed, 1], kind="stable")]:
            if parts.lanes[p, 0] == 0 and parts.lanes[p, 1] > room:
                take_off(s, parts, p)
            else:
                room -= int(parts.lanes[p, 1])
        if room < 0 or book.orders.kind[j] != KIND_DIVISIBLE:
            for p in placed:
                if parts.on[p]:
                    take_off(s, parts, p)


def take_off(s: Supply, parts: Parts, p: int) -> None:
    """Removes a placed part from the market."""
    move(s, p, 0, parts, -1)
    move(s, p, 1, parts, -1)
    parts.on[p] = False


def closing_prices(book: Book) -> tuple[Ints, Ints]:
    """Prices at which nothing trades: energy at its lowest ask (none: the top of the band), compute to
    cover it."""
    tab = tables_of(book)
    s = supply_of(book, tab)
    ceiling = min(book.bands.energy_max, 1_000_000_000)
    s.centre[:] = np.where(s.steps > 0, np.minimum(s.step_ask[..., 0], ceiling), ceiling)
    return publish(book, tab, s)
