"""The joint clearing of compute and power by price coordination.

1. `coordinate`: orders take turns to move into the cheapest slots of a smoothed supply; after each sweep
   rents and pool prices move to what the loads show (proximal method of multipliers on a potential that
   has one price per site-slot and pool-slot only).
2. `publish`: prices become integers, one per cell, such that whoever sells is paid its ask.
3. `rounding`: firm sweeps at the posted prices, integer capacities, every limit kept to the micro-unit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from backend.market.certificate import best_of_orders, certify, offer_margins
from backend.market.domain import Book, Ints, Solution
from backend.market.errors import MechanismError
from backend.market.lanes import lane_faults
from backend.market.orders import KIND_DIVISIBLE
from backend.market.parts import Parts, fills_of_parts, parts_of
from backend.market.selling import sell
from backend.market.supply import BLOCKED, Supply, recentre, supply_of
from backend.market.sweep import CROWDED, POSTED, SOFT, TRUE_COST, Posted, crowd, move, restless, sweep
from backend.market.tables import Tables, tables_of


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to look: sweeps to find prices, firm sweeps to round, first and last stiffness of supply."""

    sweeps: int
    firm_sweeps: int
    stiff_from: float = 0.6
    stiff_to: float = 0.02
    rounds: int = 30


EXACT_COLUMNS = 6_000
EFFORTS = {"quick": Effort(40, 4), "fine": Effort(160, 12)}


def clear_joint(book: Book, effort: Effort) -> Solution:
    """The joint clearing of `book`: uniform integer prices, exact balances, and a certificate."""
    tab = tables_of(book)
    supply, parts = supply_of(book, tab), parts_of(book, tab, most_lanes(tab))
    turns = np.random.default_rng(20_171_017)
    coordinate(book, supply, parts, effort, turns)
    found = round_at(book, tab, supply, parts, effort)
    if lp_columns(book, tab) <= EXACT_COLUMNS and adopt_exact_prices(book, tab, supply):
        exact = round_at(book, tab, supply, parts, effort, cover_used=False)
        found = min(found, exact, key=gap_milli)
    return found


def gap_milli(solution: Solution) -> int:
    """Bound less welfare."""
    assert solution.certificate is not None
    return solution.certificate.bound_milli - solution.certificate.welfare_milli


def lp_columns(book: Book, tab: Tables) -> int:
    """Rough size of the linear programme of `book`."""
    o = book.orders
    zones = sum(
        ((tab.zone_bits >> np.uint64(z)) & np.uint64(1)).astype(np.int64) for z in range(len(book.zones))
    )
    cells = (o.deadline_slot - o.start_slot) * zones * (1 + 2 * (o.lanes > tab.green_lanes))
    return int(np.sum(cells)) + 2 * tab.offer_capacity.size + sum(g.wh.size for g in book.power_offers)


def adopt_exact_prices(book: Book, tab: Tables, s: Supply) -> bool:
    """Replaces the coordinated prices by those of the linear programme: for books where that takes no
    time."""
    from backend.market.lp import optimum

    try:
        best = optimum(book, solver="simplex", time_limit=5.0)
    except MechanismError:
        return False
    s.rent[:] = best.rent
    s.centre[:] = np.where(s.steps > 0, best.energy_price, s.centre)
    s.stamp[:] += 1
    return True


def most_lanes(tab: Tables) -> int:
    """Lanes of a part: small against the sites, so that a part can be placed whole."""
    typical = (
        int(np.median(tab.offer_capacity[tab.offer_capacity > 0])) if (tab.offer_capacity > 0).any() else 1
    )
    return max(1, typical // 8)


def coordinate(book: Book, s: Supply, parts: Parts, effort: Effort, turns: np.random.Generator) -> None:
    """Finds rents and pool prices; leaves the parts where they would like to run."""
    scale = scale_of(parts)
    lanes = np.maximum(s.capacity.max(axis=1), 1) if len(s.ask) else np.ones(0)
    wh = float(np.mean(s.energy)) if len(s.energy) else 1.0
    finite = np.where(s.step_top < 1e9, s.step_top, 0).max(axis=3).mean(axis=2)
    demand = float((parts.lanes.sum(axis=1) * parts.duration).sum()) * wh / max(s.load.size / 2, 1)
    pool = np.maximum(np.minimum(np.where(finite > 0, finite, demand), max(demand, 1.0)), max(wh, 1.0))
    ceiling = 50.0 * scale * 1000.0 / max(wh, 1.0)
    s.centre[s.steps == 0] = min(ceiling, book.bands.energy_max * 0.9)
    free = _no_prices(s)
    for n in range(effort.sweeps):
        stiff = effort.stiff_from * (effort.stiff_to / effort.stiff_from) ** (n / max(effort.sweeps - 1, 1))
        s.slope_site[:] = stiff * scale / lanes
        s.slope_pool[:] = stiff * scale * 1000.0 / max(wh, 1.0) / pool
        sweep(s, free, parts, turns.permutation(len(parts.order)), SOFT)
        recentre(s)


def _no_prices(s: Supply) -> Posted:
    kinds, zones = s.members.shape[:2]
    slots = s.load.shape[2]
    return Posted(
        np.zeros((kinds, zones, 2, slots)), np.zeros(s.used.shape, dtype=np.bool_), np.zeros(s.load.shape)
    )


def publish(book: Book, tab: Tables, s: Supply, cover_used: bool = True) -> tuple[Ints, Ints]:
    """Integer price tables (compute, energy) of the present rents and centres; cells nobody offers cost
    the most."""
    bands = book.bands
    asked = np.where(s.steps > 0, np.maximum(s.centre, s.step_ask[..., 0]), s.centre)  # below it nobody sells
    energy = np.clip(np.rint(asked), bands.energy_min, bands.energy_max).astype(np.int64)
    kinds, zones = s.members.shape[:2]
    compute = np.full((kinds, zones, 2, tab.slots), bands.compute_max, dtype=np.int64)
    for i in range(len(s.ask)):
        k, z = int(tab.offer_class[i]), int(tab.offer_zone[i])
        need = 1000 * tab.offer_ask[i] + tab.offer_energy_wh[i] * energy[z]  # [m][t] milli
        own = -(-(need + np.rint(1000 * s.rent[i]).astype(np.int64)) // 1000)
        own = np.where(tab.offer_capacity[i] > 0, own, bands.compute_max)
        compute[k, z] = np.minimum(compute[k, z], own)
    for i in range(len(s.ask) if cover_used else 0):
        k, z = int(tab.offer_class[i]), int(tab.offer_zone[i])
        need = -(-(1000 * tab.offer_ask[i] + tab.offer_energy_wh[i] * energy[z]) // 1000)
        compute[k, z] = np.where(s.used[i] > 0, np.maximum(compute[k, z], need), compute[k, z])
    return np.clip(compute, 0, bands.compute_max), energy


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
    negotiate(s, posted, parts, scale_of(parts), effort.rounds, turns)
    weakest_first = np.lexsort((parts.order, surplus))
    s.stamp[:] += 1
    sweep(s, posted, parts, weakest_first, POSTED)
    s.stamp[:] += 1
    sweep(s, posted, parts, weakest_first[::-1], TRUE_COST)
    for _ in range(effort.firm_sweeps):
        sweep(s, posted, parts, turns.permutation(len(parts.order)), TRUE_COST)
    restore_shares(book, tab, s, parts)
    fills = fills_of_parts(parts)
    bare = Solution(mechanism, compute, energy, fills, sell(book, tab, fills))
    return replace(bare, certificate=certify(book, bare))


def negotiate(
    s: Supply, posted: Posted, parts: Parts, scale: float, rounds: int, turns: np.random.Generator
) -> None:
    """Negotiated congestion: crowded cells grow dearer round by round until those who can move have moved."""
    s.over_site[:] = 0.0
    s.over_pool[:] = 0.0
    wh = max(float(np.mean(s.energy)), 1.0) if len(s.energy) else 1.0
    s.slope_site[:] = 0.05 * scale
    s.slope_pool[:] = 0.05 * scale / wh**2
    s.stamp[:] += 1
    for _ in range(rounds):
        movers = np.flatnonzero(restless(s, posted, parts))
        sweep(s, posted, parts, turns.permutation(movers), CROWDED)
        if not crowd(s, posted, 0.05 * scale * np.ones(len(s.ask)), s.slope_pool):
            break
    s.stamp[:] += 1


def scale_of(parts: Parts) -> float:
    """A usual limit, micro per VCU-slot: the yardstick of price steps."""
    return max(float(np.average(parts.limit, weights=parts.duration)), 1.0) if len(parts.order) else 1.0


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
