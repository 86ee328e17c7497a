"""The joint clearing of compute and power by price coordination.

1. `coordinate`: orders take turns to move into the cheapest slots of a smoothed supply; after each sweep
   rents and pool prices move to what the loads show (proximal method of multipliers on a potential that
   has one price per cell of compute and one per pool of energy only).
2. `post`: prices become integers, one per cell, such that whoever sells is paid its ask.
3. `round_at`: firm lanes at the posted prices, integer capacities, every limit kept to the micro-unit.

Small books get the prices of the exact linear programme as well; the better certified clearing stands.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.market.cells import Cells, cells_of
from backend.market.check import check
from backend.market.coordinate import Effort, coordinate, warm
from backend.market.descend import can_descend
from backend.market.domain import Book, Solution
from backend.market.errors import MechanismError
from backend.market.lots import Lots, lots_of
from backend.market.polish import MOST_LOTS, polished
from backend.market.rounding import round_at
from backend.market.tables import Tables, tables_of

EXACT_COLUMNS = 6_000
SEED = 20_171_017
EFFORTS = {
    "quick": Effort(sweeps=50, full_sweeps=2, rounds=5, rounds_many=0, firm_sweeps=2),
    "fine": Effort(
        sweeps=300,
        full_sweeps=10,
        rounds=20,
        rounds_many=2,
        firm_sweeps=8,
        stiff_to=0.001,
        descents=2_000,
        shakes=6_000,
    ),
}
WARM_SWEEPS = 12
FEW_LANES = 20_000  # up to here every lane is placed by itself


def clear_joint(book: Book, effort: Effort, last: Solution | None = None) -> Solution:
    """The joint clearing of `book`: uniform integer prices, exact balances, and a certificate.

    `last`, an earlier solution of nearly the same market, gives the first prices.
    """
    tab = tables_of(book)
    cells, lots = cells_of(book, tab), lots_of(book, tab, most_lanes(tab), SEED)
    if last is not None and last.energy_price.shape == cells.centre.shape:
        warm(cells, tab, last)
        effort = replace(effort, sweeps=WARM_SWEEPS, stiff_from=10 * effort.stiff_to)
    coordinate(book, tab, cells, lots, effort)
    found = round_at(book, tab, cells, lots, effort)
    if lp_columns(book, tab) <= EXACT_COLUMNS:
        exact = _at_exact_prices(book, tab, cells, lots, effort)
        found = min(found, exact or found, key=gap_milli)
    if effort.descents and len(lots.order) <= MOST_LOTS and not effort.late() and can_descend(book, tab):
        better = polished(book, tab, cells, lots, found, effort)
        if check(book, better).ok:  # a narrow price band may not hold what a site or plant asks
            found = min(found, better, key=gap_milli)
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


def _at_exact_prices(book: Book, tab: Tables, c: Cells, lots: Lots, effort: Effort) -> Solution | None:
    """The same lots at the prices of the linear programme, for books where that takes no time."""
    from backend.market.lp import optimum, take_prices

    try:
        best = optimum(book, solver="simplex", iterations=20_000)
    except MechanismError:
        return None
    take_prices(c, best)
    return round_at(book, tab, c, lots, effort)


def most_lanes(tab: Tables) -> int:
    """Lanes of a part: small against the sites, so that a part can be placed whole."""
    if int(tab.able_lanes.sum()) <= FEW_LANES:
        return 1
    typical = (
        int(np.median(tab.offer_capacity[tab.offer_capacity > 0])) if (tab.offer_capacity > 0).any() else 1
    )
    return max(1, typical // 8)
