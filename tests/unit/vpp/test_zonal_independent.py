"""A hundred random instances against linopy and HiGHS: welfare within 1e-6, prices within one tick."""

from __future__ import annotations

import numpy as np
import pytest

from backend.vpp.spot import Grid, Orders
from backend.vpp.zonal import clear_zones
from tests.unit.vpp.linear_model import optimum


def instance(seed: int) -> tuple[Orders, np.ndarray, np.ndarray, Grid]:
    rng = np.random.default_rng(1000 + seed)
    zones = int(rng.integers(2, 6))
    counts = rng.integers(5, 60, zones)
    zone = np.repeat(np.arange(zones), counts)
    level = rng.integers(-2000, 9000, zones)
    prices = np.clip(level[zone] + rng.normal(0, 3000, len(zone)), -50_000, 300_000).astype(int)
    quantities = rng.choice([-1, 1], len(zone)) * rng.integers(1, 500, len(zone))
    lines = [(z, z + 1, *map(int, rng.integers(0, 2000, 2))) for z in range(zones - 1)]
    if zones > 2:
        lines.append((zones - 1, 0, *map(int, rng.integers(0, 2000, 2))))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Orders.of(prices, quantities), starts, zone, Grid.of(zones, lines)


@pytest.mark.parametrize("seed", range(100))
def test_equals_linopy_with_highs(seed: int) -> None:
    orders, starts, zone, grid = instance(seed)
    ours = clear_zones(orders, starts, grid)
    welfare, prices = optimum(orders, zone, grid)
    own = int((orders.price_ticks.astype(np.int64) * ours.filled_wh).sum())
    assert abs(own - welfare) <= 1e-6 * max(1.0, abs(welfare))
    low, high = ours.low_ticks[0], ours.high_ticks[0]
    unique = low == high
    assert (np.abs(prices - ours.price_ticks[0])[unique] <= 1).all()
    assert ((prices >= low - 1) & (prices <= high + 1)).all()  # where several are competitive, HiGHS has one
