"""Zonal clearing written a second time, as a linear program in linopy, solved by HiGHS."""

from __future__ import annotations

import linopy
import numpy as np
import xarray as xr

from backend.vpp.spot import Grid, Orders


def optimum(orders: Orders, zone: np.ndarray, grid: Grid) -> tuple[float, np.ndarray]:
    """Welfare (tick Wh) of one interval's optimum, and HiGHS' price of every zone, ticks."""
    model = linopy.Model()
    sign = np.sign(orders.quantity_wh)
    top = xr.DataArray(np.abs(orders.quantity_wh).astype(float), dims="order")
    fill = model.add_variables(lower=0, upper=top, name="fill")
    flow = model.add_variables(
        lower=xr.DataArray(-grid.backward_wh.astype(float), dims="line"),
        upper=xr.DataArray(grid.forward_wh.astype(float), dims="line"),
        name="flow",
    )
    lines = np.arange(len(grid.from_zone))
    for z in range(grid.zones):
        bought = xr.DataArray(np.where(zone == z, sign, 0).astype(float), dims="order")
        leaving = xr.DataArray(
            np.where(grid.from_zone[lines] == z, 1.0, 0) - np.where(grid.to_zone[lines] == z, 1.0, 0),
            dims="line",
        )
        model.add_constraints((bought * fill).sum() + (leaving * flow).sum() == 0, name=f"zone{z}")
    worth = xr.DataArray((orders.price_ticks * sign).astype(float), dims="order")
    model.add_objective((worth * fill).sum(), sense="max")
    status, _ = model.solve("highs", io_api="direct", output_flag=False, progress=False)
    assert status == "ok"
    prices = np.array([float(model.constraints[f"zone{z}"].dual) for z in range(grid.zones)])
    return float(model.objective.value or 0.0), prices
