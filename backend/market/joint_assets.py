"""Joint clearing with storage, lines and flexibility: an energy plan and the lanes' clearing take turns.

1. Plan: least cost for the present load, which is taken to answer prices a little (`elastic_plan`). A
   small book gets the exact plan and prices of the whole linear programme instead.
2. The lanes are cleared over what the plan leaves of every pool (`residual_book`), by the same engine as
   ever.
3. At the prices that come out, the assets and plants that serve these lanes at least cost, and at a loss
   to nobody, are found anew and made whole (`posted_plan`, `whole_dispatch`).

Each turn ends in a complete clearing with its certificate, and the best certified one stands. One
candidate leaves all assets idle, so there always is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from backend.market.assets import Dispatch, Ints, net_load
from backend.market.certificate import certify, orders_got
from backend.market.coordinate import Effort
from backend.market.dispatching import agreed_dispatch, whole_dispatch, willing_wh, with_flexibility
from backend.market.domain import Book, Fills, Solution
from backend.market.energy_lp import elastic_plan, posted_plan
from backend.market.errors import MechanismError
from backend.market.lp import optimum
from backend.market.lp_assets import Floats, Plan
from backend.market.repricing import repriced, with_idle_prices
from backend.market.residual import residual_book, without_assets
from backend.market.selling import need_of, sell_wh
from backend.market.tables import Tables, tables_of

ROUNDS, TRIES = 4, 8
Clear = Callable[[Book, Solution | None], Solution]


def clear_with_assets(
    book: Book, effort: Effort, last: Solution | None, clear_plain: Clear, exact: bool
) -> Solution:
    """The best certified clearing of a book with assets; `clear_plain` clears one without.

    `exact` starts from the linear programme of the whole book: for books where that takes no time.
    """
    tab = tables_of(book)
    idle = clear_plain(without_assets(book), last)
    kept = lift_idle(book, tab, idle)
    for found in _turns(book, tab, effort, idle, clear_plain, exact):
        kept = min(kept, found, key=_gap_milli)
    return kept


def _turns(
    book: Book, tab: Tables, effort: Effort, idle: Solution, clear_plain: Clear, exact: bool
) -> Iterator[Solution]:
    lanes = idle
    for turn in range(ROUNDS):
        if effort.late():
            return
        plan, price = _planned(book, tab, lanes, exact and turn == 0)
        dispatch = whole_dispatch(book, plan)
        lanes = clear_plain(residual_book(book, dispatch, plan, price), None)
        yield lift(book, tab, lanes, dispatch)
        yield lift(book, tab, with_idle_prices(book, tab, lanes, price), dispatch)


def _planned(book: Book, tab: Tables, lanes: Solution, exact: bool) -> tuple[Plan, Floats]:
    if exact:
        try:
            best = optimum(book, solver="simplex", iterations=20_000)
        except MechanismError:
            pass
        else:
            return best.plan, best.energy_price
    planned = elastic_plan(book, tab, need_of(book, tab, lanes.fills), lanes.energy_price)
    return planned.plan, planned.energy_price


def lift(book: Book, tab: Tables, lanes: Solution, dispatch: Dispatch) -> Solution:
    """The clearing of `book` with these lanes, at prices at which assets and plants that serve them do
    not lose.

    The assets are dispatched anew at those prices; orders whose energy nobody may sell are left out, least
    surplus first.
    """
    need = need_of(book, tab, lanes.fills)
    dispatch = with_flexibility(book, tab, dispatch, need, lanes.energy_price)
    lanes = repriced(book, tab, lanes, dispatch)
    margin = np.broadcast_to(2 * _assets_by_pool(book)[:, :, None], lanes.energy_price.shape)
    worth = orders_got(book, tab, lanes)
    kept: list[Solution] = []
    for _ in range(TRIES):
        need = need_of(book, tab, lanes.fills)
        found, lack = _settled(book, tab, lanes, dispatch, need)
        if found is not None:
            kept.append(found)
        planned = posted_plan(book, tab, need, lanes.energy_price, margin)
        if not (planned.unserved > 0.5).any():
            better, lack = _settled(book, tab, lanes, whole_dispatch(book, planned.plan), need)
            if better is not None:
                kept.append(better)
        else:
            lack = np.minimum(lack, planned.unserved) if lack.any() else planned.unserved
        if kept:
            return min(kept, key=_gap_milli)
        lanes = replace(lanes, fills=_fewer(tab, lanes.fills, lack, worth))
    return lift_idle(book, tab, lanes)


def lift_idle(book: Book, tab: Tables, lanes: Solution) -> Solution:
    """The clearing with these prices and no asset at work, less the orders that the plants cannot serve."""
    idle = Dispatch.idle(book.assets, tab.slots)
    worth = orders_got(book, tab, lanes)
    while True:
        found, lack = _settled(book, tab, lanes, idle, need_of(book, tab, lanes.fills))
        if found is not None:
            return found
        lanes = replace(lanes, fills=_fewer(tab, lanes.fills, lack, worth))


def _fewer(tab: Tables, fills: Fills, lack: Floats, worth: Ints) -> Fills:
    """The fills without the orders of least worth that together free at least what a pool lacks."""
    zone = tab.offer_zone[fills.offer]
    gone: set[int] = set()
    for z, m, t in np.argwhere(lack > 0.5).tolist():
        here = np.flatnonzero((zone == z) & (fills.mode == m) & (fills.slot == t))
        left = float(lack[z, m, t])
        for n in sorted(here.tolist(), key=lambda n: (int(worth[fills.order[n]]), int(fills.order[n]))):
            if left <= 0:
                break
            gone.add(int(fills.order[n]))
            left -= float(fills.lanes[n] * tab.offer_energy_wh[fills.offer[n]])
    keep = ~np.isin(fills.order, np.array(sorted(gone), dtype=np.int64))
    return Fills(*(getattr(fills, name)[keep] for name in ("order", "offer", "mode", "slot", "lanes")))


def _settled(
    book: Book, tab: Tables, lanes: Solution, wanted: Dispatch, need: Ints
) -> tuple[Solution | None, Floats]:
    """Lanes, whole dispatch and the plants' sales with their certificate; else none, and the Wh that lack."""
    dispatch = agreed_dispatch(book, wanted, need, lanes.energy_price)
    left = need + net_load(book.assets, book.zone_index(), dispatch, tab.slots)
    lack = np.maximum(left - willing_wh(book, tab, lanes.energy_price), 0)
    if lack.any():
        return None, lack
    sold = sell_wh(book, tab, left)
    bare = replace(lanes, sold=sold, dispatch=dispatch if book.assets else Dispatch(), certificate=None)
    return replace(bare, certificate=certify(book, bare)), lack


def _assets_by_pool(book: Book) -> Ints:
    count, zones = np.zeros((len(book.zones), 2), dtype=np.int64), book.zone_index()
    for flex in book.assets.flexibilities:
        count[zones[flex.zone_id]] += 1
    for store in book.assets.storages:
        count[zones[store.zone_id], store.mode] += 1
    for line in book.assets.lines:
        count[zones[line.from_zone_id], line.mode] += 1
        count[zones[line.to_zone_id], line.mode] += 1
    return count


def _gap_milli(solution: Solution) -> int:
    assert solution.certificate is not None
    return solution.certificate.bound_milli - solution.certificate.welfare_milli
