"""Trading days, member bids, portfolio awards, two-settlement, tiers and capacity products."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.vpp.calendar import DAY_AHEAD, REAL_TIME, Gates, trading_day
from backend.vpp.errors import FlexError, GateClosed
from backend.vpp.money import (
    DEFAULT_TIERS,
    Tier,
    TierTable,
    band_deviation_milli,
    performance,
    split_exactly,
    tiers_at,
    two_settlement_milli,
)
from backend.vpp.portfolio import MemberBid, Step, award_to_members, points, portfolio
from backend.vpp.products import PRODUCTS, CapacityOffer, clear_capacity
from backend.vpp.spot import Orders

BERLIN = "Europe/Berlin"
wh = st.integers(-(10**9), 10**9)
price = st.integers(-(10**6), 10**6)


@pytest.mark.parametrize(
    ("day", "slots"), [(date(2024, 3, 31), 92), (date(2024, 10, 27), 100), (date(2024, 6, 1), 96)]
)
def test_days_on_which_clocks_change(day: date, slots: int) -> None:
    assert trading_day(day, BERLIN).count == slots
    assert trading_day(day, BERLIN, 3600).count == slots // 4
    assert trading_day(day).count == 96


def test_a_day_and_its_successor_join() -> None:
    day = trading_day(date(2024, 10, 27), BERLIN)
    assert day.start + day.count * 900 == trading_day(date(2024, 10, 28), BERLIN).start


def test_gates_close() -> None:
    day, gates = trading_day(date(2024, 6, 2), BERLIN), Gates()
    closes = gates.closes_at(day, DAY_AHEAD)
    assert closes == day.start - 12 * 3600
    gates.require_open(day, DAY_AHEAD, closes - 1)
    with pytest.raises(GateClosed):
        gates.require_open(day, DAY_AHEAD, closes)
    with pytest.raises(GateClosed):
        gates.require_open(day, REAL_TIME, day.slot_start(10) - 3600, 10)
    gates.require_open(day, REAL_TIME, day.slot_start(10) - 3601, 10)


def bid(
    member: str, *steps: tuple[int, int], zone: int = 0, certified: int = 1000, slots: int = 96
) -> MemberBid:
    return MemberBid(
        member, zone, tuple(tuple(Step(p, q) for p, q in steps) for _ in range(slots)), certified
    )


@pytest.mark.parametrize(
    ("bids", "rule"),
    [
        ([bid("m", (100, -10), (50, -10))], "non_monotone"),
        ([bid("m", (100, 10), (120, 10))], "non_monotone"),
        ([bid("m", (100, 10), (100, 10))], "non_monotone"),
        ([bid("m", (100, -600), (120, -600))], "outside_capacity"),
        ([bid("m", (100, -6), slots=92)], "gap"),
        ([bid("m", (100, -6), zone=7)], "wrong_zone"),
        ([bid("m", (100, -6)), bid("n", (100, -6), zone=1)], "wrong_zone"),
        ([bid("m", (400_000, -6))], "price_outside_band"),
        ([bid("m", (-60_000, -6))], "price_outside_band"),
        ([bid("m", (100, 0))], "quantity"),
        ([bid("m", (100, -5), (200, 5))], "crossed"),
        ([bid("m", (100, -5)), bid("m", (100, -5))], "duplicate"),
    ],
)
def test_bad_bids_are_named(bids: list[MemberBid], rule: str) -> None:
    with pytest.raises(FlexError) as caught:
        portfolio("a", bids, trading_day(date(2024, 6, 1)), zones=2)
    assert caught.value.rule == rule


def test_points_have_no_gaps() -> None:
    day = trading_day(date(2024, 3, 31), BERLIN)
    assert len(points(day, list(range(92)))) == 92
    assert points(day, list(range(23)))[:5].tolist() == [0, 0, 0, 0, 1]
    for values in ([0] * 96, [0] * 24, dict.fromkeys(range(91), 0)):
        with pytest.raises(FlexError) as caught:
            points(day, values)
        assert caught.value.rule == "gap"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(-50, 50).filter(bool)), min_size=1, max_size=12),
       st.lists(st.tuples(st.integers(-20, 20), st.integers(-90, 90).filter(bool)), max_size=12))  # fmt: skip
def test_awards_add_up_to_the_portfolios(mine: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    from backend.vpp.auction import clear_interval

    day = trading_day(date(2024, 6, 1), slot_seconds=3600)
    whole = portfolio("a", [bid(f"m{n}", s, slots=24) for n, s in enumerate(mine)], day)
    steps = slice(whole.starts[0], whole.starts[1])
    prices = np.concatenate([whole.price_ticks[steps], [p for p, _ in others]]).astype(int)
    quantities = np.concatenate([whole.quantity_wh[steps], [q for _, q in others]]).astype(int)
    result = clear_interval(Orders.of(prices, quantities))
    if result.price_ticks is None or result.filled_wh is None:
        return
    net = int(result.filled_wh[: len(mine)].sum())
    parts = award_to_members(whole, 0, net, result.price_ticks)
    assert parts.sum() == net
    assert (np.abs(parts) <= np.abs(whole.quantity_wh[steps])).all()


def test_awards_outside_the_limits_are_refused() -> None:
    whole = portfolio("a", [bid("m", (100, -6))], trading_day(date(2024, 6, 1)))
    assert (whole.lower_wh[0], whole.upper_wh[0]) == (-6, 0)
    for net in (-7, 1):
        with pytest.raises(FlexError) as caught:
            award_to_members(whole, 0, net, 100)
        assert caught.value.rule == "outside_limits"


@given(wh, wh, wh, price, price, price)
def test_two_settlement_identity(ql: int, qda: int, qrt: int, pl: int, pda: int, prt: int) -> None:
    cost = two_settlement_milli(ql, qda, qrt, pl, pda, prt)
    assert cost == (ql - qrt) * (pl - pda) + (qda - qrt) * (pda - prt) + qrt * pl


@pytest.mark.parametrize(
    ("delivered", "payment", "penalty"),
    [
        (1000, 500, 0),
        (1200, 500, 0),
        (900, 450, 0),
        (899, 449, 51),
        (700, 350, 150),
        (699, 349, 226),
        (0, 0, 750),
    ],
)
def test_tiers(delivered: int, payment: int, penalty: int) -> None:
    got = performance(1000, delivered, 500, tiers_at(1_700_000_000))
    assert (got.payment_micro, got.penalty_micro) == (payment, penalty)


@pytest.mark.parametrize("price_micro", [-500, -1])
def test_negative_price_pays_nothing_and_still_penalises(price_micro: int) -> None:
    got = performance(1000, 0, price_micro, tiers_at(0))
    assert got.payment_micro == 0 and got.penalty_micro > 0


def test_a_later_table_leaves_old_results() -> None:
    later = TierTable("new", 2_000_000_000, (Tier(0, 0),))
    assert tiers_at(1_700_000_000, (*DEFAULT_TIERS, later)).version == "F5-2024"
    assert tiers_at(2_000_000_000, (*DEFAULT_TIERS, later)).version == "new"
    with pytest.raises(FlexError):
        TierTable("bad", 0, (Tier(5000, 0),))


def test_band() -> None:
    assert band_deviation_milli(1200, 1000, 100, 300, upper_bps=11_000) == 100 * 200
    assert band_deviation_milli(800, 1000, 300, 100, lower_bps=9000) == 100 * 200
    assert band_deviation_milli(1200, 1000, 300, 100) == 0 == band_deviation_milli(1000, 1000, 1, 9)


@settings(deadline=None)
@given(st.integers(-(10**15), 10**15), st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=50))
def test_parts_add_up(amount: int, weights: list[int]) -> None:
    if not any(weights):
        return
    parts = split_exactly(amount, np.array(weights, np.int64))
    assert parts.sum() == amount
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)


def offer(name: str, w: int, micro: int, **proof: int) -> CapacityOffer:
    return CapacityOffer(
        name, w, micro, proof.get("certified", w), proof.get("ms", 150), proof.get("s", 3600)
    )


def test_capacity_is_bought_at_the_last_accepted_ask() -> None:
    offers = [offer("a", 300_000, 10), offer("b", 300_000, 20), offer("c", 300_000, 30)]
    result = clear_capacity(PRODUCTS["frequency"], 500_000, offers, 1000)
    assert result.awards_w == {"a": 300_000, "b": 200_000} and result.price_micro_per_kw_h == 20


def test_capacity_needs_proof() -> None:
    offers = [
        offer("slow", 200_000, 1, ms=250), offer("short", 200_000, 1, s=60),
        offer("more", 200_000, 1, certified=150_000), offer("small", 50_000, 1), offer("ok", 200_000, 7),
    ]  # fmt: skip
    result = clear_capacity(PRODUCTS["frequency"], 500_000, offers, 1000)
    assert result.awards_w == {"ok": 200_000} and result.short_w == 300_000
    assert set(result.refused) == {"slow", "short", "more", "small"}
    assert result.price_micro_per_kw_h == 1000  # scarcity
