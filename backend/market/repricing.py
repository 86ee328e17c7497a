"""Energy prices at which nobody who serves the lanes loses, nearest to those that the lanes were cleared at.

The engine knows nothing of assets: its prices may be a little off where a line or a storage must earn its
keep.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from backend.market.assets import BPS, Dispatch, Ints, net_load
from backend.market.domain import Book, Fills, Solution
from backend.market.errors import MechanismError
from backend.market.lp import Builder, solve
from backend.market.lp_assets import Floats
from backend.market.selling import need_of
from backend.market.tables import Tables
from backend.market.ticks import on_tick
from backend.market.whole import offer_margins

ROUNDING = 2.0  # micro per kWh that rounding a price may cost


def with_idle_prices(book: Book, tab: Tables, lanes: Solution, planned: Floats) -> Solution:
    """`lanes` with the planned prices in pools of assets where no lane runs: nobody but assets can mind them.

    The compute cells there follow, each site keeping what it earns in the slot's other cells.
    """
    f, bands = lanes.fills, book.bands
    busy = np.zeros(lanes.energy_price.shape, dtype=np.bool_)
    busy[tab.offer_zone[f.offer], f.mode, f.slot] = True
    free = ~busy & tab.lively[:, :, None]
    given = on_tick(np.rint(planned), bands.energy_min, bands.energy_max, bands.energy_tick)
    energy = np.where(free, given, lanes.energy_price)
    margin = offer_margins(tab, lanes.compute_price, lanes.energy_price)
    rent = np.where(busy[tab.offer_zone], np.maximum(margin, 0), 0).max(axis=1)
    burnt = tab.offer_energy_wh[:, None, None] * energy[tab.offer_zone]
    own = -(-(1000 * tab.offer_ask[:, None, None] + burnt + rent[:, None, :]) // 1000)
    closed = ~(tab.offer_modes[:, :, None] & (tab.offer_capacity > 0)[:, None, :])
    own = np.where(closed, bands.compute_max, own)
    compute = np.full_like(lanes.compute_price, bands.compute_max)
    np.minimum.at(compute, (tab.offer_class, tab.offer_zone), own)
    compute = on_tick(compute, 0, bands.compute_max, bands.compute_tick)
    return replace(
        lanes, energy_price=energy, compute_price=np.where(free[None], compute, lanes.compute_price)
    )


def repriced(book: Book, tab: Tables, lanes: Solution, dispatch: Dispatch) -> Solution:
    """`lanes` at the nearest prices at which `dispatch` and the plants behind it lose nothing.

    Compute prices rise where a site would else lose; orders that this puts above their limit lose their
    lanes.
    """
    price = _nearest(book, tab, lanes, dispatch)
    if price is None or (price == lanes.energy_price).all():
        return lanes
    compute = lanes.compute_price.copy()
    f = lanes.fills
    cell = (tab.offer_class[f.offer], tab.offer_zone[f.offer], f.mode, f.slot)
    loss = -offer_margins(tab, compute, price)[f.offer, f.mode, f.slot]
    np.maximum.at(compute, cell, compute[cell] - (-np.maximum(loss, 0) // 1000))
    compute = on_tick(compute, 0, book.bands.compute_max, book.bands.compute_tick)
    room = (book.orders.limit_micro_per_vcu_slot[f.order] - compute[cell]) * f.lanes
    left = np.zeros(len(book.orders), dtype=object)
    np.add.at(left, f.order, room.astype(object))
    keep = ~np.asarray(left < 0, dtype=bool)[f.order]
    fills = Fills(*(getattr(f, name)[keep] for name in ("order", "offer", "mode", "slot", "lanes")))
    return replace(lanes, compute_price=compute, energy_price=price, fills=fills)


def _nearest(book: Book, tab: Tables, lanes: Solution, dispatch: Dispatch) -> Ints | None:
    zones, bands = book.zone_index(), book.bands
    old = lanes.energy_price
    need = need_of(book, tab, lanes.fills)
    served = need + net_load(book.assets, zones, dispatch, tab.slots)
    low = np.maximum(dearest_used(book, tab, served), float(bands.energy_min))
    high = np.full(old.shape, float(bands.energy_max))
    for n, flex in enumerate(book.assets.flexibilities):
        z = zones[flex.zone_id]
        low[z, 0] = np.where(
            dispatch.shed[n] > 0, np.maximum(low[z, 0], flex.shed_ask_micro_per_kwh), low[z, 0]
        )
        high[z, 1] = np.where(
            dispatch.raised[n] > 0, np.minimum(high[z, 1], flex.raise_bid_micro_per_kwh), high[z, 1]
        )
    at = np.arange(old.size).reshape(old.shape)
    b = Builder()
    flat = old.reshape(-1).astype(float)
    weight = need.reshape(-1) + 1.0
    up = b.add(weight, np.maximum(high.reshape(-1) - flat, 0.0))
    down = b.add(weight, np.maximum(flat - low.reshape(-1), 0.0))
    rows = 0
    bounds: list[float] = []

    def price_row(cells: Ints, factors: object, least: float) -> None:
        nonlocal rows
        b.put([rows], up[cells], factors)
        b.put([rows], down[cells], -np.asarray(factors, dtype=float))
        bounds.append(
            least - float(np.sum(np.broadcast_to(np.asarray(factors, float), cells.shape) * flat[cells]))
        )
        rows += 1

    for cell in np.flatnonzero(low.reshape(-1) > flat).tolist():
        price_row(np.array([cell]), 1.0, float(low.reshape(-1)[cell]))
    for cell in np.flatnonzero(high.reshape(-1) < flat).tolist():
        price_row(np.array([cell]), -1.0, -float(high.reshape(-1)[cell]))
    for n, line in enumerate(book.assets.lines):
        for t in np.flatnonzero(dispatch.flow[n]).tolist():
            sent = int(dispatch.flow[n, t])
            kept = sent * (BPS - line.loss_bps) // BPS / sent
            ends = np.array(
                [at[zones[line.to_zone_id], line.mode, t], at[zones[line.from_zone_id], line.mode, t]]
            )
            price_row(ends, np.array([kept, -1.0]), line.fee_micro_per_kwh + ROUNDING)
    for n, store in enumerate(book.assets.storages):
        net = (dispatch.discharge[n] - dispatch.charge[n]).astype(float)
        size = float((dispatch.discharge[n] + dispatch.charge[n]).sum())
        if size:
            wear = store.wear_micro_per_kwh * float(dispatch.discharge[n].sum())
            price_row(at[zones[store.zone_id], store.mode], net / size, wear / size + ROUNDING / 2)
    if not rows:
        return old
    matrix = sp.csc_matrix(
        (np.concatenate(b.vals), (np.concatenate(b.rows), np.concatenate(b.cols))), shape=(rows, b.columns)
    )
    try:
        highs, _ = solve(b, matrix, np.array(bounds), np.full(rows, np.inf), "simplex", 200_000)
    except MechanismError:
        return None
    value = np.array(highs.getSolution().col_value)
    found = (flat + value[up] - value[down]).reshape(old.shape)
    rounded = on_tick(np.ceil(found - 1e-6), bands.energy_min, bands.energy_max, bands.energy_tick)
    return np.where(np.abs(found - old) < 1e-6, old, rounded)


def dearest_used(book: Book, tab: Tables, served: Ints) -> Ints:
    """[zone][mode][slot] ask of the last Wh that plants sell when `served` Wh are taken, -inf where none
    is."""
    dearest = np.full(served.shape, -np.inf)
    for z in range(len(book.zones)):
        for m in (0, 1):
            stack = [g for g in range(len(tab.power_wh)) if (tab.power_zone[g], tab.power_mode[g]) == (z, m)]
            if not stack:
                continue
            wh = np.concatenate([tab.power_wh[g] for g in stack], axis=1)
            ask = np.concatenate([book.power_offers[g].ask_micro_per_kwh for g in stack], axis=1)
            rank = np.argsort(ask, axis=1, kind="stable")
            wh, ask = np.take_along_axis(wh, rank, axis=1), np.take_along_axis(ask, rank, axis=1)
            used = (np.cumsum(wh, axis=1) - wh < served[z, m][:, None]) & (wh > 0)
            dearest[z, m] = np.where(used, ask, -np.inf).max(axis=1, initial=-np.inf)
    return dearest
