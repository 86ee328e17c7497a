"""Forecasts see nothing of the future and beat persistence where there is something to learn; presets
hold.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from backend.vpp.errors import FlexError
from backend.vpp.forecast import Series, backtest, features, fit_predict, pinball, spread_over
from backend.vpp.forecast_cli import app as forecast_app
from backend.vpp.scenario import PRESETS, draw, preset, run, shift
from backend.vpp.scenario_cli import app as scenario_app


def hourly(days: int = 45, seed: int = 1) -> Series:
    rng = np.random.default_rng(seed)
    t = np.arange(days * 24)
    week = 1 - 0.2 * ((t // 24) % 7 >= 5)
    values = 100 * week * (1 + 0.3 * np.sin((t % 24 - 8) / 24 * 2 * np.pi)) + rng.normal(0, 3, len(t))
    return Series("made", 1_700_000_000 // 3600 * 3600 + t * 3600, values)


def test_beats_persistence_and_its_band_covers() -> None:
    score = backtest(hourly(), "day_ahead", 7)
    assert score.mae < 0.8 * score.persistence_mae
    assert score.pinball < score.persistence_pinball
    assert 0.6 <= score.coverage_80 <= 0.95


@pytest.mark.parametrize("horizon", [1, 24])
def test_features_know_nothing_of_the_future(horizon: int) -> None:
    series = hourly()
    at = 700
    other = series.values.copy()
    other[at - horizon + 1 :] = 1e6  # everything that is not known yet
    changed = Series("made", series.times, other)
    assert np.array_equal(features(series, horizon)[at], features(changed, horizon)[at], equal_nan=True)


def test_training_must_end_before_the_forecast_is_made() -> None:
    with pytest.raises(FlexError, match="train"):
        fit_predict(hourly(), slice(0, 700), slice(710, 720), 24)
    with pytest.raises(FlexError, match="200"):
        fit_predict(hourly(), slice(0, 100), slice(300, 310), 24)
    with pytest.raises(FlexError, match="days"):
        backtest(hourly(12), "day_ahead", 7)


def test_pinball_of_a_perfect_forecast_is_zero() -> None:
    actual = np.array([1.0, 2.0])
    assert pinball(actual, np.repeat(actual[:, None], 3, axis=1)) == 0
    assert pinball(actual, np.repeat(actual[:, None], 3, axis=1) - 1) == pytest.approx(0.5)


def test_an_hourly_reference_holds_for_its_quarters() -> None:
    spread = spread_over(np.array([0, 900, 3600, 9000]), np.array([0, 3600]), np.array([5.0, 6.0]))
    assert spread[:3].tolist() == [5, 5, 6] and np.isnan(spread[3])


def test_a_folder_without_series_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(forecast_app, ["backtest", "--data", str(tmp_path)])
    assert done.exit_code == 2 and "lu_15min.csv" in done.output


@pytest.mark.parametrize("key", PRESETS)
def test_coordination_moves_work_in_time_and_never_costs_more(key: str) -> None:
    p = preset(key)
    firm, flexible, green, price, factor = draw(p, 1)
    load, kept = shift(p, firm, flexible, green, price, factor, np.zeros(96))
    assert load.sum() == pytest.approx((firm + flexible).sum()) and kept == pytest.approx(1)
    assert (load <= np.maximum(p.it_mw * p.pue, firm + flexible) + 1e-9).all() and (load >= firm - 1e-9).all()
    before = np.cumsum(firm + flexible)
    assert (np.cumsum(load) <= before + 1e-6).all()  # nothing runs before it arrives
    late = np.concatenate([np.zeros(p.tolerance_slots), before - np.cumsum(firm)])[:96]
    assert (np.cumsum(load - firm) >= late - 1e-6).all()  # nor after its tolerance
    result = run(key)
    alone, together = result["without"], result["with"]
    assert isinstance(alone, dict) and isinstance(together, dict)
    assert together["cost_usd"] <= alone["cost_usd"] + 1e-6
    assert together["curtailed_share"] <= alone["curtailed_share"] + 1e-9
    assert together["response_share"] >= 0.9 and 0 <= alone["sei"] <= together["sei"] <= 100


def test_scenarios_list_and_run_as_json() -> None:
    listed = json.loads(CliRunner().invoke(scenario_app, ["list", "--json"]).stdout)
    assert len(listed) == 8
    one = json.loads(CliRunner().invoke(scenario_app, ["run", "texas-elastic", "--json"]).stdout)
    assert one["assumptions"]["it_mw"] == 80 and set(one["with"]) == set(one["without"])
    wrong = CliRunner().invoke(scenario_app, ["run", "atlantis"])
    assert wrong.exit_code == 2 and "qinghai-zone" in wrong.output
