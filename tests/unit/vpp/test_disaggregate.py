"""Set-points keep every limit, add up to what was asked, and never cost a sold deadline."""

from __future__ import annotations

import numpy as np
import pytest

from backend.vpp.disaggregate import Fleet, disaggregate, room
from backend.vpp.errors import FlexError

QUARTER = 900


def mixed(seed: int, count: int = 200) -> Fleet:
    """Batteries, job sites, on/off coolers and plain loads."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, count)
    top = rng.integers(1_000, 50_000, count)
    store = np.where(kind == 0, top * 2, 0)
    plan = np.where(kind == 0, 0, (top * rng.uniform(0.4, 1, count)).astype(int))
    return Fleet.of(
        count, min_w=np.where(kind == 0, -top, 0), max_w=top, plan_w=plan, now_w=plan,
        ramp_w_per_min=np.where(kind == 1, top // 30, 0), store_wh=store,
        charge_wh=(store * rng.uniform(0, 1, count)).astype(int),
        work_wh=np.where(kind == 2, plan, 0), deadline=np.where(kind == 2, rng.integers(4, 9, count), 0),
        min_on_w=np.where(kind == 3, top * 4 // 10, 0), min_run=np.where(kind == 3, 3, 0),
        min_rest=np.where(kind == 3, 2, 0), held=rng.integers(0, 6, count),
        cost_ticks=rng.integers(0, 50, count),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(30))
def test_every_limit_is_kept(seed: int) -> None:
    fleet = mixed(seed)
    rng = np.random.default_rng(seed)
    shed, raise_ = room(fleet, QUARTER)
    asked = np.array([int(rng.uniform(-0.9 * shed, 0.9 * raise_)) for _ in range(8)])
    plan = disaggregate(fleet, asked, QUARTER)
    now, charge, work = fleet.now_w, fleet.charge_wh * 3600.0, fleet.work_wh * 3600
    held = fleet.held.copy()
    for t in range(8):
        w = plan.set_w[t]
        assert w.sum() - fleet.plan_w.sum() == plan.given_w[t]
        assert ((w >= fleet.min_w) & (w <= fleet.max_w)).all()
        ramp = fleet.ramp_w_per_min > 0
        assert (np.abs(w - now)[ramp] <= (fleet.ramp_w_per_min * 15)[ramp]).all()
        switched = fleet.min_on_w > 0
        assert ((w == 0) | (w >= fleet.min_on_w))[switched].all()
        stops, starts = switched & (now > 0) & (w == 0), switched & (now == 0) & (w > 0)
        assert (held[stops] >= fleet.min_run[stops]).all() and (held[starts] >= fleet.min_rest[starts]).all()
        held = np.where((now > 0) == (w > 0), held + 1, 1)
        eff = fleet.efficiency_bps / 10_000
        charge = charge + np.where(w >= 0, w * 900 * eff, w * 900 / eff)
        stored = fleet.store_wh > 0
        assert (charge[stored] >= -10).all() and (charge[stored] <= fleet.store_wh[stored] * 3600 + 10).all()
        work = np.maximum(work - np.maximum(w, 0) * 900, 0)
        due = (fleet.work_wh > 0) & (fleet.deadline == t + 1)
        assert not work[due].any()
        now = w
    assert not plan.late.any()
    assert abs(plan.short_w[0]) == 0


def test_cheapest_room_first_and_ties_share() -> None:
    fleet = Fleet.of(4, max_w=1000, plan_w=1000, now_w=1000, cost_ticks=np.array([5, 1, 5, 9]))
    plan = disaggregate(fleet, np.array([-1501]), QUARTER)
    assert plan.set_w[0].tolist() == [749, 0, 750, 1000]


def test_a_sold_deadline_limits_the_shed() -> None:
    # 1 kW for 4 quarters owed, 4 quarters left: nothing can be shed; with 8 left, everything at first
    tight = Fleet.of(1, max_w=1000, plan_w=1000, now_w=1000, work_wh=1000, deadline=4)
    assert disaggregate(tight, np.array([-500] * 4), QUARTER).given_w.tolist() == [0, 0, 0, 0]
    loose = Fleet.of(1, max_w=1000, plan_w=1000, now_w=1000, work_wh=1000, deadline=8)
    plan = disaggregate(loose, np.array([-1000] * 8), QUARTER)
    assert plan.given_w.tolist() == [-1000] * 4 + [0] * 4
    assert plan.after.work_wh.tolist() == [0]


def test_an_empty_battery_gives_nothing() -> None:
    empty = Fleet.of(1, min_w=-1000, max_w=1000, store_wh=1000, charge_wh=0)
    plan = disaggregate(empty, np.array([-800]), QUARTER)
    assert plan.given_w.tolist() == [0] and plan.short_w.tolist() == [-800]


def test_what_is_impossible_is_said() -> None:
    late = Fleet.of(1, max_w=1000, plan_w=1000, work_wh=5000, deadline=1)
    assert disaggregate(late, np.array([0]), QUARTER).late.tolist() == [1]


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"min_w": 5, "max_w": 1}, "members[0].min_w"),
        ({"store_wh": 1, "charge_wh": 2}, "members[0].charge_wh"),
        ({"efficiency_bps": 0}, "members[0].efficiency_bps"), ({"work_wh": -1}, "members[0].work_wh"),
        ({"speed": 1}, "speed"),
    ],
)  # fmt: skip
def test_bad_fleets_are_named(columns: dict[str, int], field: str) -> None:
    with pytest.raises(FlexError) as caught:
        Fleet.of(2, **columns)
    assert caught.value.field == field
