"""The exact reference: the whole problem as one linear programme, solved by HiGHS. For small books.

Variables: lanes of every order, strand (green-only, free) and zone; their VCU-slots by slot and mode;
lanes of every offer by mode and slot; Wh of every tranche. Rows: an order's strands fill in proportion;
VCU-slots = lanes x duration; at most one VCU-slot per lane and slot; compute sold = compute used per cell;
site capacity; energy burnt = energy sold per pool. Duals of the last two are rents and energy prices.
Storage, lines and flexibility add columns to the pools (`lp_assets.py`).
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from backend.market.cells import Cells
from backend.market.domain import Book, Ints, Solution
from backend.market.errors import MechanismError
from backend.market.lp_assets import AssetColumns, Plan, plan_of, put_assets
from backend.market.supply import Floats
from backend.market.tables import Tables, tables_of

CEILING = 1e9  # price of a pool that sells nothing, micro per kWh


@dataclass(frozen=True, slots=True, eq=False)
class Optimum:
    """What HiGHS found: welfare (milli-micro, fractional), rents by offer and slot, prices by pool and
    slot."""

    welfare_milli: float
    rent: Floats
    energy_price: Floats
    seconds: float
    columns: int
    plan: Plan


class Builder:
    """Collects columns and triplets of rows of a linear programme."""

    def __init__(self) -> None:
        self.cost: list[Floats] = []
        self.upper: list[Floats] = []
        self.columns = 0
        self.rows: list[Floats] = []
        self.cols: list[Floats] = []
        self.vals: list[Floats] = []

    def add(self, cost: Floats, upper: Floats) -> Ints:
        """New columns of these costs, between 0 and `upper`; returns their numbers."""
        self.cost.append(np.asarray(cost, dtype=np.float64))
        self.upper.append(np.asarray(upper, dtype=np.float64))
        made = np.arange(self.columns, self.columns + len(cost))
        self.columns += len(cost)
        return made

    def put(self, rows: object, cols: object, vals: object) -> None:
        """Coefficients, broadcast against each other."""
        r, c, v = np.broadcast_arrays(np.asarray(rows), np.asarray(cols), np.asarray(vals, dtype=np.float64))
        self.rows.append(r.reshape(-1))
        self.cols.append(c.reshape(-1))
        self.vals.append(v.reshape(-1))


def optimum(book: Book, *, solver: str = "ipm", iterations: int = 0) -> Optimum:
    """Solves the relaxation of `book` in fractional lanes. `solver` is a HiGHS solver name (ipm, simplex).

    Raises MechanismError when HiGHS does not reach optimality.
    """
    tab = tables_of(book)
    b, matrix, low, high, layout, asset_columns = _model(book, tab)
    highs, seconds = solve(b, matrix, low, high, solver, iterations)
    duals: Floats = np.array(highs.getSolution().row_dual, dtype=np.float64)
    capacity_rows, pool_rows = layout
    # minimised, so signs turn; a dual of a pool is micro per Wh, published per kWh
    return Optimum(
        welfare_milli=-highs.getInfo().objective_function_value * 1000,
        rent=np.maximum(-duals[capacity_rows], 0.0),
        energy_price=-duals[pool_rows] * 1000,
        seconds=seconds,
        columns=b.columns,
        plan=plan_of(asset_columns, np.array(highs.getSolution().col_value), duals),
    )


def whole_optimum_milli(book: Book) -> float:
    """The best welfare where every site runs whole lanes, orders still in pieces: what the certified bound is
    held against. For tiny books."""
    tab = tables_of(book)
    b, matrix, low, high, _, _ = _model(book, tab)
    highs, _ = solve(b, matrix, low, high, "choose", 0, whole=2 * tab.offer_capacity.size)
    return -float(highs.getInfo().objective_function_value) * 1000


def clear_lp(book: Book) -> Solution:
    """Clears at the exact prices of the linear programme, rounded like the joint mechanism."""
    from backend.market.cells import cells_of
    from backend.market.joint import EFFORTS, SEED, most_lanes
    from backend.market.lots import lots_of
    from backend.market.rounding import round_at

    tab = tables_of(book)
    cells = cells_of(book, tab)
    take_prices(cells, optimum(book, solver="simplex" if len(book.orders) <= 300 else "ipm"))
    lots = lots_of(book, tab, most_lanes(tab), SEED)
    return round_at(book, tab, cells, lots, EFFORTS["fine"], "lp")


def take_prices(c: Cells, best: Optimum) -> None:
    """Makes the duals of the linear programme the prices of `c`."""
    c.rent[:] = best.rent
    c.centre[:] = np.where(c.pool_steps > 0, best.energy_price, CEILING)


def _model(book: Book, tab: Tables) -> tuple[Builder, Any, Floats, Floats, tuple[Ints, Ints], AssetColumns]:
    b = Builder()
    o, slots, zones = book.orders, tab.slots, len(book.zones)
    offers = len(tab.offer_zone)
    cells = len(book.classes) * zones * 2 * slots
    capacity_row = np.arange(offers * slots).reshape(offers, slots)
    cell_row = (offers * slots + np.arange(cells)).reshape(len(book.classes), zones, 2, slots)
    pool_row = (offers * slots + cells + np.arange(zones * 2 * slots)).reshape(zones, 2, slots)
    next_row = offers * slots + cells + zones * 2 * slots
    low = [np.full(offers * slots, -np.inf), np.zeros(cells), np.zeros(zones * 2 * slots)]
    high = [tab.offer_capacity.reshape(-1).astype(float), np.zeros(cells), np.zeros(zones * 2 * slots)]
    for i in range(offers):
        k, z = tab.offer_class[i], tab.offer_zone[i]
        for m in (0, 1):
            most = np.inf if tab.offer_modes[i, m] else 0.0
            made = b.add(np.full(slots, float(tab.offer_ask[i])), np.full(slots, most))
            b.put(capacity_row[i], made, 1)
            b.put(cell_row[k, z, m], made, 1)
            b.put(pool_row[z, m], made, float(tab.offer_energy_wh[i]))
    for g, power in enumerate(book.power_offers):
        for n in range(power.wh.shape[1]):
            usable = np.where(tab.starved[tab.power_zone[g], tab.power_mode[g]], 0, tab.power_wh[g][:, n])
            made = b.add(power.ask_micro_per_kwh[:, n] / 1000.0, usable.astype(float))
            b.put(pool_row[tab.power_zone[g], tab.power_mode[g]], made, -1)
    extra_low: list[float] = []
    extra_high: list[float] = []
    columns, next_row = put_assets(book, b, pool_row, next_row, extra_low, extra_high)
    for j in range(len(o)):
        k, window = tab.class_row[j], np.arange(o.start_slot[j], o.deadline_slot[j])
        duration, lanes = float(o.duration_slots[j]), float(o.lanes[j])
        fill = b.add(
            np.array([-float(o.limit_micro_per_vcu_slot[j]) * duration]), np.array([float(tab.able_lanes[j])])
        )
        for strand, share in ((1, tab.green_lanes[j] / lanes), (0, 1 - tab.green_lanes[j] / lanes)):
            if share <= 0:
                continue
            split_row, next_row = next_row, next_row + 1
            extra_low.append(0.0)
            extra_high.append(0.0)
            b.put([split_row], fill, -share)
            for z in range(zones):
                if not (int(tab.zone_bits[j]) >> z) & 1:
                    continue
                here = b.add(np.zeros(1), np.array([np.inf]))
                b.put([split_row], here, 1)
                volume_row, rate_row = next_row, next_row + 1 + np.arange(len(window))
                next_row += 1 + len(window)
                extra_low += [0.0] + [-np.inf] * len(window)
                extra_high += [0.0] * (1 + len(window))
                b.put([volume_row], here, -duration)
                b.put(rate_row, here, -1)
                for m in (1,) if strand else (0, 1):
                    carbon = tab.carbon[z, m, window]
                    adder = o.carbon_price_micro_per_g[j] * tab.class_energy_wh[k] * carbon / 1000.0
                    open_slots = (
                        (carbon <= o.max_carbon_g_per_kwh[j]) if m == 0 else np.ones(len(window), dtype=bool)
                    )
                    made = b.add(adder, np.where(open_slots, np.inf, 0.0))
                    b.put(volume_row, made, 1)
                    b.put(rate_row, made, 1)
                    b.put(cell_row[k, z, m, window], made, -1)
    low.append(np.array(extra_low))
    high.append(np.array(extra_high))
    matrix = sp.csc_matrix(
        (np.concatenate(b.vals), (np.concatenate(b.rows), np.concatenate(b.cols))),
        shape=(next_row, b.columns),
    )
    return b, matrix, np.concatenate(low), np.concatenate(high), (capacity_row, pool_row), columns


def solve(
    b: Builder, matrix: Any, low: Floats, high: Floats, solver: str, iterations: int, whole: int = 0
) -> tuple[Any, float]:
    """Minimises the columns of `b` under these rows with HiGHS; returns the solved model and the seconds.

    The first `whole` columns are integers. Raises MechanismError when HiGHS does not reach optimality.
    """
    import highspy

    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = b.columns, len(low)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = (
        np.concatenate(b.cost),
        np.zeros(b.columns),
        np.concatenate(b.upper),
    )
    lp.row_lower_, lp.row_upper_ = low, high
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_ = matrix.indptr, matrix.indices
    lp.a_matrix_.value_ = matrix.data
    if whole:
        kinds = [highspy.HighsVarType.kInteger] * whole
        lp.integrality_ = kinds + [highspy.HighsVarType.kContinuous] * (b.columns - whole)
    model = highspy.HighsModel()
    model.lp_ = lp
    started = time.perf_counter()
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("solver", solver)
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("mip_rel_gap", 0.0)
    if iterations:  # not a time limit: the same book gives the same prices on a busy machine
        highs.setOptionValue("simplex_iteration_limit", iterations)
    highs.passModel(model)
    highs.run()
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise MechanismError(
            f"HiGHS stopped with {highs.getModelStatus()}: give it more time or a smaller book"
        )
    return highs, time.perf_counter() - started
