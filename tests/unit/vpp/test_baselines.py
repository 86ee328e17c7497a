"""Four baselines, a manipulation case for each, and settlement that adds up."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.vpp.baselines import METHODS, Event, LoadHistory, baseline, delivered_wh
from backend.vpp.errors import FlexError
from backend.vpp.money import tiers_at
from backend.vpp.settlement import MemberDelivery, settle_event

TODAY = date(2024, 6, 12)  # a Wednesday
FIRST, LAST = 60, 68


def history(days: int = 44, base: int = 1000) -> LoadHistory:
    when = tuple(TODAY - timedelta(days=d) for d in range(days, 0, -1))
    load = np.full((days, 96), base, np.int64)
    load[[d.weekday() >= 5 for d in when]] = base // 2
    return LoadHistory(when, load, np.zeros(days, bool), 900)


def today(level: int = 1000, shed: int = 400) -> np.ndarray:
    load = np.full(96, level, np.int64)
    load[FIRST:LAST] = level - shed
    return load


def event(load: np.ndarray | None = None) -> Event:
    return Event(TODAY, FIRST, LAST, today() if load is None else load)


@pytest.mark.parametrize("method", METHODS)
def test_an_honest_load_gets_what_it_shed(method: str) -> None:
    found = baseline(method, history(), event())
    assert found.baseline_w.tolist() == [1000] * 8
    assert delivered_wh(found, event(), 900) == 400 * 2
    assert found.method == method and found.version and found.inputs_hash.startswith("0x")


def test_manipulation_10_in_10_is_held_to_twenty_percent() -> None:
    load = today()
    load[FIRST - 16 : FIRST - 8] = 5000  # everything on, in the hours that adjust
    found = baseline("caiso_10_in_10", history(), event(load))
    assert found.baseline_w.max() == 1200


def test_10_in_10_follows_a_cooler_day_down_to_eighty_percent() -> None:
    assert baseline("caiso_10_in_10", history(), event(today(600, 0))).baseline_w.max() == 800


@pytest.mark.parametrize(("method", "most"), [("high_4_of_5", 1000), ("high_5_of_10", 1000)])
def test_manipulation_high_days_one_loud_day_is_left_out(method: str, most: int) -> None:
    past = history()
    past.load_w[-1, FIRST:LAST] = 50_000
    assert baseline(method, past, event()).baseline_w.max() == most


@pytest.mark.parametrize(("method", "bound"), [("high_4_of_5", 1250), ("high_5_of_10", 1200)])
def test_manipulation_high_days_a_quiet_doubling_is_diluted(method: str, bound: int) -> None:
    past = history()
    past.load_w[-1, FIRST:LAST] = 2000  # just at the limit of what is usual
    assert baseline(method, past, event()).baseline_w.max() == bound


def test_manipulation_before_after_a_jump_does_not_count() -> None:
    load = today()
    load[FIRST - 1] = 9000
    assert (
        baseline("meter_before_after", history(), event(load)).baseline_w.max() == 1000 * 3 // 4 + 9000 // 4
    )
    load[FIRST - 4 : FIRST - 1] = 1000
    load[FIRST - 2] = 9000  # a jump that is over is no baseline at all
    load[FIRST - 1] = 1000
    assert baseline("meter_before_after", history(), event(load)).baseline_w.max() == 1000


def test_event_days_and_other_day_types_do_not_count() -> None:
    past = history()
    past.load_w[-1] = 9000
    past.event_day[-1] = True
    assert baseline("high_4_of_5", past, event()).baseline_w.max() == 1000
    saturday = Event(TODAY + timedelta(days=3), FIRST, LAST, today(500, 0))
    assert baseline("caiso_10_in_10", history(), saturday).baseline_w.max() == 500


def test_stale_telemetry_is_refused() -> None:
    past = history()
    past.load_w[:, 3] = -1
    for method in ("caiso_10_in_10", "high_4_of_5", "high_5_of_10"):
        with pytest.raises(FlexError) as caught:
            baseline(method, past, event())
        assert caught.value.rule == "stale_telemetry"
    load = today()
    load[FIRST - 2] = -1
    with pytest.raises(FlexError) as caught:
        baseline("meter_before_after", past, event(load))
    assert caught.value.rule == "stale_telemetry"


def test_a_missing_reading_in_the_event_delivers_nothing() -> None:
    load = today()
    load[FIRST] = -1
    assert delivered_wh(baseline("high_4_of_5", history(), event(load)), event(load), 900) == 700


def test_raise_is_measured_upwards() -> None:
    load = today(shed=-300)
    found = baseline("high_4_of_5", history(), event(load))
    assert delivered_wh(found, event(load), 900, raises=True) == 600
    assert delivered_wh(found, event(load), 900) == 0


def test_inputs_hash_changes_with_inputs() -> None:
    other = history(base=1001)
    hashes = {baseline(m, h, event()).inputs_hash for m in METHODS for h in (history(), other)}
    assert len(hashes) == 8


members = st.lists(
    st.builds(
        MemberDelivery, st.uuids().map(str), st.integers(1, 10**6), st.integers(-5, 2 * 10**6),
        st.just("high_4_of_5"), st.just("0x"), st.integers(0, 10_000), st.integers(0, 10_000),
    ), min_size=1, max_size=40,
)  # fmt: skip


@settings(deadline=None)
@given(members, st.integers(-(10**6), 10**6), st.integers(0, 10**9))
def test_members_sum_to_the_aggregator_to_the_micro_unit(
    deliveries: list[MemberDelivery], price: int, collateral: int
) -> None:
    settled = settle_event(deliveries, price, tiers_at(0), collateral)
    assert sum(m.payment_micro for m in settled.members) == settled.total.payment_micro
    assert sum(m.penalty_micro for m in settled.members) == settled.total.penalty_micro <= collateral
    net = settled.total.payment_micro - settled.total.penalty_micro
    assert sum(m.to_member_micro + m.to_aggregator_micro for m in settled.members) == net
