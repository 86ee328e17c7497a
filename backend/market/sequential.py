"""Reference mechanism: compute first, power afterwards.

The compute market clears alone, as well as the joint one could: cheapest compute inside every window,
blind to when power is green or cheap; each buyer keeps back the mean grid tariff for the energy it will
need. Then power is bought for the load that resulted, as orders were submitted (ties by id): green-only
lanes buy green first, other lanes buy green where it is cheaper than the grid. Lanes that then lack their
green energy, or whose cost passes the limit, are given up. Buyers pay what the suppliers ask.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from backend.market.coordinate import Effort
from backend.market.domain import GREEN, Book, ComputeOffer, Fills, Solution
from backend.market.joint import clear_joint
from backend.market.leases import asking, pay_as_asked, without_faults
from backend.market.orders import NUMERIC_FIELDS, OrderTable
from backend.market.supply import Floats, Supply, supply_of
from backend.market.tables import Tables, tables_of


def clear_sequential(book: Book, effort: Effort) -> Solution:
    """Clears compute without looking at power, then buys the power."""
    compute = clear_joint(_without_power(book), effort)
    return pay_as_asked(book, "sequential", _buy_power(book, compute.fills))


def _without_power(book: Book) -> Book:
    """The same compute market with free energy; limits less the mean tariff of the energy a lane needs."""
    tab, o = tables_of(book), book.orders
    tariff = [int(g.ask_micro_per_kwh.mean()) for g in book.power_offers if g.mode != GREEN and g.wh.size]
    kept = tab.class_energy_wh[tab.class_row] * (sum(tariff) // max(len(tariff), 1)) // 1000
    columns: dict[str, npt.ArrayLike] = {name: getattr(o, name) for name in NUMERIC_FIELDS}
    columns["limit_micro_per_vcu_slot"] = np.maximum(o.limit_micro_per_vcu_slot - kept, 0)
    for name in ("min_green_bps", "carbon_price_micro_per_g"):
        columns[name] = np.zeros(len(o), dtype=np.int64)
    columns["max_carbon_g_per_kwh"] = np.full(len(o), 0xFFFFFFFF)
    offers: list[ComputeOffer] = [replace(offer, energy_wh_per_vcu_slot=0) for offer in book.compute_offers]
    return Book.of(
        book.slots, book.zones, book.classes, offers, [], book.grid_carbon,
        OrderTable.from_columns({"id": o.id} | columns), book.bands,
    )  # fmt: skip


def _buy_power(book: Book, cleared: Fills) -> Fills:
    """Modes for lanes that are already placed; lanes that cannot be powered within the limit are left out."""
    tab, o = tables_of(book), book.orders
    s = supply_of(book, tab)
    room = asking(s).willing_wh
    rows = Fills.of(cleared.order, cleared.offer, np.zeros_like(cleared.mode), cleared.slot, cleared.lanes)
    bounds = np.searchsorted(rows.order, np.arange(len(o) + 1))
    made: list[tuple[int, int, int, int, int]] = []
    for j in np.lexsort((np.arange(len(o)), o.submitted_at)):
        mine = range(int(bounds[j]), int(bounds[j + 1]))
        filled = sum(int(rows.lanes[n]) for n in mine) // int(o.duration_slots[j])
        if not filled:
            continue
        must = -(-int(tab.green_lanes[j]) * filled // int(o.lanes[j]))
        bought, cost = [], 0.0
        for n in mine:
            i, t, lanes = int(rows.offer[n]), int(rows.slot[n]), int(rows.lanes[n])
            green = _green_lanes(s, tab, room, j, o, i, t, lanes, min(must, lanes))
            for mode, amount in ((1, green), (0, lanes - green)):
                if amount:
                    bought.append((int(j), i, mode, t, amount))
                    cost += _take(s, tab, i, mode, t, amount) + amount * float(tab.offer_ask[i])
        if cost > float(o.limit_micro_per_vcu_slot[j]) * filled * float(o.duration_slots[j]):
            for _, i, mode, t, amount in bought:
                s.load[tab.offer_zone[i], mode, t] -= amount * tab.offer_energy_wh[i]
            continue
        made += bought
    if not made:
        return Fills.empty()
    table = np.array(made, dtype=np.int64)
    fills = Fills.of(*(table[:, n] for n in range(5)))
    return without_faults(book, _inside_carbon_cap(tab, o, fills))


def _green_lanes(
    s: Supply,
    tab: Tables,
    room: Floats,
    j: int,
    o: OrderTable,
    i: int,
    t: int,
    lanes: int,
    must: int,
) -> int:
    """Lanes of this fill that run on green: those that must, and more where green is cheaper than the
    grid."""
    z, e = int(tab.offer_zone[i]), int(tab.offer_energy_wh[i])
    left = int(room[z, GREEN, t]) - int(s.load[z, GREEN, t])
    fits = lanes if e == 0 else min(lanes, left // e)
    if must >= fits or int(tab.carbon[z, 0, t]) > int(o.max_carbon_g_per_kwh[j]):
        return max(fits, 0)
    green, grey = _marginal(s, z, GREEN, t), _marginal(s, z, 0, t)
    carbon = float(o.carbon_price_micro_per_g[j])
    return fits if green + carbon * tab.carbon[z, 1, t] <= grey + carbon * tab.carbon[z, 0, t] else must


def _marginal(s: Supply, z: int, m: int, t: int) -> float:
    """Ask of the next Wh of the pool, micro per kWh."""
    load = float(s.load[z, m, t])
    for n in range(int(s.steps[z, m, t])):
        if load < s.step_top[z, m, t, n]:
            return float(s.step_ask[z, m, t, n])
    return 1e30


def _take(s: Supply, tab: Tables, i: int, mode: int, t: int, lanes: int) -> float:
    """Takes the energy of `lanes` from the pool; returns its cost in micro (infinite when it is not
    there)."""
    z = int(tab.offer_zone[i])
    load, left, cost = int(s.load[z, mode, t]), lanes * int(tab.offer_energy_wh[i]), 0.0
    s.load[z, mode, t] += left
    for n in range(int(s.steps[z, mode, t])):
        take = min(left, max(int(s.step_top[z, mode, t, n]) - load, 0))
        cost += take * float(s.step_ask[z, mode, t, n]) / 1000
        load, left = load + take, left - take
    return cost if left == 0 else 1e30


def _inside_carbon_cap(tab: Tables, o: OrderTable, fills: Fills) -> Fills:
    """Without the orders that ended on grey energy above their cap."""
    dirty = (fills.mode == 0) & (
        tab.carbon[tab.offer_zone[fills.offer], 0, fills.slot] > o.max_carbon_g_per_kwh[fills.order]
    )
    keep = ~np.isin(fills.order, fills.order[dirty])
    return Fills(*(getattr(fills, name)[keep] for name in ("order", "offer", "mode", "slot", "lanes")))
