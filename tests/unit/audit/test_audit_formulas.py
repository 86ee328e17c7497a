"""Settlement arithmetic against numbers worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.formulas import (
    GREEN,
    GREY,
    credit_grams,
    credit_mg,
    green_factor,
    largest_remainder,
    obligation,
    pay_run_slot,
    penalty,
    plant_penalty,
    site_penalty,
)


def test_a_green_run_pays_compute_and_power_apart() -> None:
    # 333 Wh at 30,007 micro per kWh are 9,992.331, of a bundle of 30,000
    paid = pay_run_slot(3, 111, GREEN, 10_000, 30_007, 2_999, 300)
    assert (paid.bundle, paid.power_due, paid.compute_due) == (30_000, 9_992, 20_008)
    assert paid.pay_compute == 20_008 * 2_999 // 3_000 == 20_001
    assert paid.pay_power == 9_992 * 300 // 333 == 9_001
    assert paid.refund == 30_000 - 20_001 - 9_001


def test_a_grey_run_matches_what_it_used() -> None:
    paid = pay_run_slot(2, 100, GREY, 10_050, 100_000, 1_500, 0)
    assert (paid.matched_wh, paid.pay_power, paid.pay_compute) == (150, 15_000, 75)
    assert paid.refund == 20_100 - 15_075


def test_a_negative_energy_price_rounds_towards_minus_infinity_and_caps_compute() -> None:
    # power due is floor(-0.1) = -1; nothing matched: compute earned 1,001 but the buyer locked 1,000
    paid = pay_run_slot(1, 1, GREEN, 1_000, -100, 1_000, 0)
    assert (paid.power_due, paid.compute_due, paid.earned) == (-1, 1_001, 1_001)
    assert (paid.pay_compute, paid.pay_power, paid.refund) == (1_000, 0, 0)
    assert site_penalty(paid, 1, 1_000) == 0


@pytest.mark.parametrize(
    ("delivered", "due"), [(1_000, 0), (900, 0), (899, 101), (700, 101), (699, 152), (0, 152)]
)
def test_tiers_change_at_90_and_70_percent(delivered: int, due: int) -> None:
    assert penalty(101, delivered, 1_000) == due  # 101 x 1.5 = 151.5, up


def test_plant_penalties_round_up_once() -> None:
    assert plant_penalty(1_000, 899, 10) == 2  # 101 Wh x 10 / 1000 = 1.01
    assert plant_penalty(1_000, 0, 1) == 2  # 1.5
    assert plant_penalty(1_000, 900, 10_000) == 0
    assert plant_penalty(1_000, 0, -5) == 0
    assert plant_penalty(0, 0, 5) == 0


def test_credits_keep_their_remainder() -> None:
    assert credit_mg(400, 500, 43) == 182_800
    assert credit_mg(400, 40, 43) == 0
    assert credit_grams(800, 68_550) == (69, 350)


def test_green_factor_is_weighted_and_rounded_up() -> None:
    assert green_factor([(1, 11), (2, 45)]) == 34  # 101 / 3
    assert green_factor([]) == 0


def test_what_is_left_goes_to_the_largest_remainders_then_lower_indices() -> None:
    assert largest_remainder(10, [1, 1, 1]) == [4, 3, 3]
    assert largest_remainder(-10, [1, 1, 1]) == [-4, -3, -3]
    assert largest_remainder(5, [0, 0]) == [0, 0]
    assert largest_remainder(7, [3, 5]) == [3, 4]  # 2.625 and 4.375


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=9))
def test_a_split_adds_up(amount: int, weights: list[int]) -> None:
    parts = largest_remainder(amount, weights)
    assert sum(parts) == (amount if sum(weights) else 0)
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)


@given(
    st.integers(1, 10_000),
    st.integers(0, 500),
    st.sampled_from([GREY, GREEN]),
    st.integers(0, 10**6),
    st.integers(-(10**6), 10**6),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_bundle_is_paid_out_whole_and_nothing_more(
    lanes: int, energy: int, mode: int, price: int, energy_price: int, share: float, matched: float
) -> None:
    if 1000 * price < energy * energy_price:
        return  # the clearing never sells below the energy's cost
    delivered, wh = int(1000 * lanes * share), int(lanes * energy * matched)
    paid = pay_run_slot(lanes, energy, mode, price, energy_price, delivered, wh if mode == GREEN else 0)
    assert paid.pay_compute + paid.pay_power + paid.refund == paid.bundle
    assert paid.refund >= 0
    assert paid.pay_compute >= 0


def test_a_seller_locks_for_negative_prices_only() -> None:
    assert obligation(100, 5) == 0
    assert obligation(100, -5) == 201  # 100 x 2005 / 1000, up
