"""The energy side alone: which plants and assets serve a given load at least cost, as a linear programme.

It has one row per pool and slot, and no orders; so its size does not grow with the book.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from backend.market.assets import BPS, Ints
from backend.market.domain import Book
from backend.market.lp import Builder, solve
from backend.market.lp_assets import AssetColumns, Floats, Plan, plan_of, put_assets
from backend.market.tables import Tables

# How the load would answer a price: share of the pool's usual load, at a price changed by this part of it.
ANSWER = ((0.05, 0.01), (0.15, 0.04), (0.3, 0.12), (0.5, 0.4))
SPARE, UNSERVED = 1e2, 1e5  # micro per Wh for which margin is kept, and the lanes' need is met


@dataclass(frozen=True, slots=True, eq=False)
class EnergyPlan:
    """Least-cost plan: what the assets do, and the pools' prices, micro per kWh."""

    plan: Plan
    energy_price: Floats
    unserved: Floats  # [zone][mode][slot] Wh of the need that nobody may serve


def elastic_plan(book: Book, tab: Tables, need: Ints, price: Ints) -> EnergyPlan:
    """The plan for a load that was `need` Wh at `price`, and would be a little more or less at another."""
    b = Builder()
    low, high = [float(-n) for n in need.reshape(-1)], [float(-n) for n in need.reshape(-1)]
    rows = np.arange(need.size).reshape(need.shape)
    usual = np.broadcast_to(need.mean(axis=2, keepdims=True), need.shape).reshape(-1)
    at, flat = np.abs(price.reshape(-1) / 1000.0), price.reshape(-1) / 1000.0
    for share, change in ANSWER:
        more = b.add(-(flat - change * at), share * usual)
        b.put(rows.reshape(-1), more, 1)
        less = b.add(flat + change * at, np.minimum(share * usual, need.reshape(-1)))
        b.put(rows.reshape(-1), less, -1)
    for g, power in enumerate(book.power_offers):
        z, m = tab.power_zone[g], tab.power_mode[g]
        for n in range(power.wh.shape[1]):
            made = b.add(power.ask_micro_per_kwh[:, n] / 1000.0, tab.power_wh[g][:, n].astype(float))
            b.put(rows[z, m], made, -1)
    return _solve(book, b, rows, low, high)


def posted_plan(book: Book, tab: Tables, need: Ints, price: Ints, margin: Ints) -> EnergyPlan:
    """The plan that serves `need` Wh at posted prices, where nobody loses, as far as that is possible.

    `margin` Wh more than needed are kept ready in each pool where they are to be had: room for rounding.
    """
    b = Builder()
    wanted = (need + margin).astype(float).reshape(-1)
    low, high = (-wanted).tolist(), (-wanted).tolist()
    rows = np.arange(need.size).reshape(need.shape)
    lack = b.add(np.full(need.size, UNSERVED), need.astype(float).reshape(-1))
    spare = b.add(np.full(need.size, SPARE), margin.astype(float).reshape(-1))
    b.put(rows.reshape(-1), lack, -1)
    b.put(rows.reshape(-1), spare, -1)
    for g, power in enumerate(book.power_offers):
        z, m = tab.power_zone[g], tab.power_mode[g]
        for n in range(power.wh.shape[1]):
            asks = power.ask_micro_per_kwh[:, n]
            willing = np.where(asks <= price[z, m], tab.power_wh[g][:, n], 0)
            b.put(rows[z, m], b.add(asks / 1000.0, willing.astype(float)), -1)
    return _solve(book, b, rows, low, high, price, lack)


def _solve(
    book: Book, b: Builder, rows: Ints, low: list[float], high: list[float],
    posted: Ints | None = None, lack: Ints | None = None,
) -> EnergyPlan:  # fmt: skip
    columns, next_row = put_assets(book, b, rows, rows.size, low, high)
    if posted is not None:
        next_row = _nobody_loses(book, b, columns, posted, next_row, low, high)
    matrix = sp.csc_matrix(
        (np.concatenate(b.vals), (np.concatenate(b.rows), np.concatenate(b.cols))),
        shape=(next_row, b.columns),
    )
    highs, _ = solve(b, matrix, np.array(low), np.array(high), "simplex", 200_000)
    found = highs.getSolution()
    dual: Floats = np.array(found.row_dual, dtype=np.float64)
    value = np.array(found.col_value)
    unserved = np.zeros(rows.shape) if lack is None else value[lack].reshape(rows.shape)
    plan = plan_of(columns, value, dual)
    return EnergyPlan(plan, -1000 * dual[: rows.size].reshape(rows.shape), unserved)


def _nobody_loses(
    book: Book,
    b: Builder,
    columns: AssetColumns,
    posted: Ints,
    next_row: int,
    low: list[float],
    high: list[float],
) -> int:
    """Closes what would lose at posted prices, slot by slot, and forbids a storage to lose over the batch."""
    zones = book.zone_index()
    upper = np.concatenate(b.upper)
    for n, flex in enumerate(book.assets.flexibilities):
        price = posted[zones[flex.zone_id]]
        upper[columns.shed[n]] *= price[0] >= flex.shed_ask_micro_per_kwh
        upper[columns.raised[n]] *= price[1] <= flex.raise_bid_micro_per_kwh
    for n, line in enumerate(book.assets.lines):
        source = posted[zones[line.from_zone_id], line.mode]
        target = posted[zones[line.to_zone_id], line.mode]
        gain = target * (BPS - line.loss_bps) - (source + line.fee_micro_per_kwh) * BPS
        upper[columns.flow[n]] *= gain >= 0
    b.upper = [upper]
    for n, store in enumerate(book.assets.storages):
        price = posted[zones[store.zone_id], store.mode] / 1000.0
        b.put([next_row], columns.discharge[n], price - store.wear_micro_per_kwh / 1000.0)
        b.put([next_row], columns.charge[n], -price)
        next_row += 1
        low.append(0.0)
        high.append(np.inf)
    return next_row
