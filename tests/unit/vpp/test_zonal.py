"""Zonal clearing: limits, balance, and optimality shown by exact duality."""

from __future__ import annotations

import numpy as np
import pytest

from backend.vpp.auction import clear_interval
from backend.vpp.errors import FlexError
from backend.vpp.spot import NO_PRICE, Grid, Orders, ZonalResult
from backend.vpp.zonal import clear_zones

RING = [(0, 1, 30, 20), (1, 2, 25, 25), (2, 0, 10, 40), (2, 3, 0, 15), (3, 4, 60, 60)]


def random_book(seed: int, zones: int = 5, intervals: int = 3, most: int = 30) -> tuple[Orders, np.ndarray]:
    """Orders with many equal prices, some zones empty or one-sided."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, most, zones * intervals)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    wide = 12 if seed % 2 else 5000
    prices = rng.integers(-wide, wide + 1, starts[-1])
    sides = np.repeat(rng.choice([0.0, 0.3, 0.5, 0.9, 1.0], len(counts)), counts)
    quantities = np.where(rng.random(starts[-1]) < sides, 1, -1) * rng.integers(1, 20, starts[-1])
    return Orders.of(prices, quantities), starts


def check_exactly(orders: Orders, starts: np.ndarray, grid: Grid, result: ZonalResult) -> None:
    """Balance and limits; and welfare equals the dual bound at the published prices, in integers."""
    intervals = len(result.price_ticks)
    for t in range(intervals):
        welfare = bound = 0
        net = np.zeros(grid.zones, np.int64)
        tick = (result.low_ticks[t] + result.high_ticks[t]) >> 1
        for n, flow in enumerate(result.flow_wh[t]):
            i, j = grid.from_zone[n], grid.to_zone[n]
            assert -grid.backward_wh[n] <= flow <= grid.forward_wh[n]
            net[i] -= flow
            net[j] += flow
            gap = int(tick[j] - tick[i])
            bound += int(grid.forward_wh[n]) * max(gap, 0) + int(grid.backward_wh[n]) * max(-gap, 0)
        for z in range(grid.zones):
            part = slice(starts[t * grid.zones + z], starts[t * grid.zones + z + 1])
            price, quantity = orders.price_ticks[part].astype(np.int64), orders.quantity_wh[part]
            fill = result.filled_wh[part]
            assert fill.sum() == net[z] == result.bought_wh[t, z] - result.sold_wh[t, z]
            assert (np.abs(fill) <= np.abs(quantity)).all() and (fill * quantity >= 0).all()
            welfare += int((price * fill).sum())
            bound += int(np.maximum((price - tick[z]) * quantity, 0).sum())
            if result.price_ticks[t, z] == NO_PRICE:
                assert not fill.any() and net[z] == 0
        assert welfare == bound, (t, welfare, bound)


@pytest.mark.parametrize("seed", range(120))
def test_welfare_equals_its_dual_bound(seed: int) -> None:
    orders, starts = random_book(seed)
    grid = Grid.of(5, RING)
    check_exactly(orders, starts, grid, clear_zones(orders, starts, grid))


@pytest.mark.parametrize("seed", range(40))
def test_one_zone_is_the_double_auction(seed: int) -> None:
    orders, starts = random_book(seed, zones=1, intervals=4)
    result = clear_zones(orders, starts, Grid.of(1, []))
    for t in range(4):
        part = slice(starts[t], starts[t + 1])
        alone = clear_interval(Orders(orders.price_ticks[part], orders.quantity_wh[part]))
        assert alone.filled_wh is not None and (alone.filled_wh == result.filled_wh[part]).all()
        assert result.bought_wh[t, 0] == alone.volume_wh
        assert alone.price_ticks is None or alone.price_ticks == result.price_ticks[t, 0]


@pytest.mark.parametrize("seed", range(20))
def test_unlimited_lines_make_one_zone(seed: int) -> None:
    orders, starts = random_book(seed, zones=3, intervals=1)
    chain = Grid.of(3, [(0, 1, 10**9, 10**9), (1, 2, 10**9, 10**9)])
    result = clear_zones(orders, starts, chain)
    whole = clear_interval(orders, with_fills=False)
    assert result.bought_wh.sum() == whole.volume_wh
    if whole.price_ticks is not None:
        assert set(result.price_ticks[0].tolist()) <= {whole.price_ticks, NO_PRICE}


def test_a_full_line_splits_prices() -> None:
    orders = Orders.of([100, 900], [-50, 50])
    result = clear_zones(orders, np.array([0, 1, 2]), Grid.of(2, [(0, 1, 30, 0)]))
    assert result.flow_wh.tolist() == [[30]]
    assert result.price_ticks.tolist() == [[100, 900]]
    assert result.filled_wh.tolist() == [-30, 30]


def test_limits_may_change_in_time() -> None:
    orders = Orders.of([100, 900] * 2, [-50, 50] * 2)
    limits = [[[10, 0]], [[0, 0]]]
    result = clear_zones(orders, np.array([0, 1, 2, 3, 4]), Grid.of(2, [(0, 1, 30, 0)]), limits)
    assert result.flow_wh.tolist() == [[10], [0]]


def test_a_wrong_zone_is_named() -> None:
    with pytest.raises(FlexError, match=r"lines\[0\]"):
        Grid.of(2, [(0, 2, 1, 1)])
    with pytest.raises(FlexError, match="starts"):
        clear_zones(Orders.of([1], [1]), np.array([0, 1]), Grid.of(2, [(0, 1, 1, 1)]))
