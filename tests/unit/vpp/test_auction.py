"""The double auction against its definition, tick by tick and order by order."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.vpp.auction import clear_interval, clear_intervals, share
from backend.vpp.errors import FlexError
from backend.vpp.spot import Band, Orders

steps = st.lists(
    st.tuples(st.integers(-40, 60), st.integers(1, 50) | st.integers(-50, -1)), min_size=1, max_size=40
)


def by_definition(book: list[tuple[int, int]]) -> tuple[int, int, int]:
    """Maximal volume and the lowest and highest competitive price, by trying every tick."""
    volume, fair = 0, []
    for p in range(-45, 66):
        demand = sum(q for price, q in book if q > 0 and price >= p)
        supply = sum(-q for price, q in book if q < 0 and price <= p)
        volume = max(volume, min(demand, supply))
        strictly_demanded = sum(q for price, q in book if q > 0 and price > p)
        strictly_offered = sum(-q for price, q in book if q < 0 and price < p)
        if strictly_demanded <= supply and strictly_offered <= demand:
            fair.append(p)
    return volume, min(fair), max(fair)


@given(steps, st.sampled_from([0, 500, 1000]))
@settings(max_examples=300, deadline=None)
def test_price_and_volume_are_those_of_the_definition(book: list[tuple[int, int]], k: int) -> None:
    result = clear_interval(Orders.of([p for p, _ in book], [q for _, q in book]), k_milli=k)
    volume, low, high = by_definition(book)
    assert result.volume_wh == volume
    if volume == 0:
        assert result.price_ticks is None
        return
    assert result.price_ticks == low + (high - low) * k // 1000


@given(steps)
@settings(max_examples=300, deadline=None)
def test_fills_balance_and_nobody_envies(book: list[tuple[int, int]]) -> None:
    result = clear_interval(Orders.of([p for p, _ in book], [q for _, q in book]))
    fills = result.filled_wh
    assert fills is not None
    assert fills[fills > 0].sum() == -fills[fills < 0].sum() == result.volume_wh
    if result.price_ticks is None:
        assert not fills.any()
        return
    for (price, quantity), fill in zip(book, fills, strict=True):
        better = price > result.price_ticks if quantity > 0 else price < result.price_ticks
        if better:
            assert fill == quantity
        elif price != result.price_ticks:
            assert fill == 0
        else:
            assert 0 <= fill * np.sign(quantity) <= abs(quantity)


@given(st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=30), st.floats(0, 1, exclude_max=False))
@settings(max_examples=300, deadline=None)
def test_share_is_exact_largest_remainder(weights: list[int], part: float) -> None:
    total = sum(weights)
    amount = min(total, int(total * part))
    given_wh = share(np.array(weights, np.int64), amount, total)
    exact = [Fraction(w * amount, total) for w in weights]
    want = [int(x) for x in exact]
    order = sorted(range(len(weights)), key=lambda n: (-(exact[n] - want[n]), n))
    for n in order[: amount - sum(want)]:
        want[n] += 1
    assert given_wh.tolist() == want


def test_share_of_large_sums_is_exact() -> None:
    weights = np.full(1_000_000, 2**31 - 1, np.int64)
    weights[::3] -= 12345
    total = int(weights.sum())
    for amount in (total, total - 1, total // 2 + 1, 1):
        parts = share(weights, amount, total)
        assert int(parts.sum()) == amount and (parts <= weights).all() and (parts >= 0).all()


def test_the_last_tie_goes_to_the_smaller_hash() -> None:
    result = clear_interval(Orders.of([5, 5, 5, 5], [1, 1, 1, -2]))
    assert result.filled_wh is not None and result.filled_wh.tolist() == [1, 1, 0, -2]


def test_negative_prices_clear() -> None:
    result = clear_interval(Orders.of([-300, -100, -500], [40, 40, -60]))
    assert (result.price_ticks, result.volume_wh) == (-300, 60)


def test_intervals_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(5)
    orders = Orders.of(
        rng.integers(-50_000, 300_000, 3000), rng.choice([-1, 1], 3000) * rng.integers(1, 9, 3000)
    )
    starts = np.array([0, 1000, 1000, 1700, 3000], np.int64)
    prices, volumes, fills = clear_intervals(orders, starts)
    assert fills is not None
    for t in range(4):
        part = slice(starts[t], starts[t + 1])
        alone = clear_interval(Orders(orders.price_ticks[part], orders.quantity_wh[part]))
        assert volumes[t] == alone.volume_wh
        assert alone.filled_wh is not None and (fills[part] == alone.filled_wh).all()
        assert alone.price_ticks is None or alone.price_ticks == prices[t]


@pytest.mark.parametrize(
    ("prices", "quantities", "rule", "field"),
    [
        ([1, 400_000], [1, 1], "price_outside_band", "orders[1].price_ticks"),
        ([-50_001], [1], "price_outside_band", "orders[0].price_ticks"),
        ([1, 2], [1, 0], "quantity", "orders[1].quantity_wh"),
        ([1], [2**31], "quantity", "orders[0].quantity_wh"),
        ([1.5], [1], "price_not_on_tick", "price_ticks"),
        ([1], [1, 2], "shape", "quantity_wh"),
    ],
)
def test_bad_orders_are_named(prices: list[float], quantities: list[int], rule: str, field: str) -> None:
    with pytest.raises(FlexError) as caught:
        Orders.of(prices, quantities, Band())
    assert (caught.value.rule, caught.value.field) == (rule, field)
