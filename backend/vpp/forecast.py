"""Forecasts with quantiles by gradient boosting, and backtests against persistence and the source's own
series.

Features are only what is known when the forecast is made: the calendar, the values one, two and seven days
before the delivery interval and their mean over a week, the last value known at issue, and the weather
where a file has it. Models learn the difference to the best simple guess: the source's own forecast, or the
last known value. `horizon` says how many intervals before delivery that is: a day for day-ahead, one
interval for rolling.

A model counts only as far as it has earned: the last weeks of the training time are forecast first, each
quantile takes the mix of model and simple guess that did best there in its worst week, and the band is
widened or narrowed to hold 80 % of them (conformalised quantile regression).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from backend.vpp.data import Floats
from backend.vpp.errors import FlexError
from backend.vpp.spot import Ints

QUANTILES = (0.1, 0.5, 0.9)
SEED = 7
PROVING_DAYS = 14
"""A model that learned from fewer days has proven nothing: the simple guess stands alone."""
TRUSTS = tuple(n / 10 for n in range(11))


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A regular series: unix seconds of interval starts, values (NaN where missing), and weather columns.

    `reference` is the source's own day-ahead forecast on the same intervals, where there is one.
    """

    name: str
    times: Ints
    values: Floats
    weather: Floats | None = None
    reference: Floats | None = None

    @property
    def step(self) -> int:
        """Seconds of an interval."""
        return int(np.median(np.diff(self.times)))


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """Quantiles [interval][quantile] and where in the series they belong."""

    at: Ints
    quantiles: Floats


def features(series: Series, horizon: int) -> Floats:
    """What is known `horizon` intervals ahead of each interval."""
    day = 86_400 // series.step
    local = (series.times // series.step) % day
    moments = [datetime.fromtimestamp(int(t), UTC) for t in series.times]
    angle = 2 * np.pi * local / day
    columns = [
        np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle),
        np.array([m.weekday() for m in moments], float),
        np.array([m.timetuple().tm_yday for m in moments], float),
        _lag(series.values, max(horizon, 1)), _lag(series.values, max(horizon, day)),
        _lag(series.values, 2 * day), _lag(series.values, 7 * day),
        np.mean([_lag(series.values, n * day) for n in range(1, 8)], axis=0),
        _lag(series.values, max(horizon, 1)) - _lag(series.values, max(horizon, 1) + 1),
    ]  # fmt: skip
    rolling = np.convolve(np.nan_to_num(series.values), np.ones(day) / day)[: len(series.values)]
    columns.append(_lag(rolling, max(horizon, 1)))
    if series.weather is not None:
        columns += [_lag(series.weather[:, c], max(horizon, 1)) for c in range(series.weather.shape[1])]
    if series.reference is not None and horizon <= day:
        columns.append(series.reference)  # known at the gate: it is the source's day-ahead forecast
    return np.column_stack(columns)


def _base(series: Series, horizon: int) -> Floats:
    """What models correct: the source's forecast a day ahead, else the last value known at issue."""
    day = 86_400 // series.step
    last = _lag(series.values, horizon)
    if series.reference is None or horizon < day:
        return last
    return np.where(np.isfinite(series.reference), series.reference, last)


def _lag(values: Floats, steps: int) -> Floats:
    out = np.full(len(values), np.nan)
    if steps < len(values):
        out[steps:] = values[:-steps]
    return out


def _model(table: Floats, target: Floats, base: Floats, train: slice, test: slice) -> Floats:
    """Quantiles of `test` by gradient boosting of the difference to `base` over `train`."""
    known = np.isfinite(target[train]) & np.isfinite(base[train])
    if known.sum() < 200:
        raise FlexError("history", "train", int(known.sum()), "give at least 200 intervals to learn from")
    table = table[:, np.isfinite(table[train][known]).any(axis=0)]  # a short series has no lag of a week
    found = np.empty((test.stop - test.start, len(QUANTILES)))
    for n, quantile in enumerate(QUANTILES):
        model = HistGradientBoostingRegressor(
            loss="quantile", quantile=quantile, max_iter=120, learning_rate=0.08, max_leaf_nodes=24,
            min_samples_leaf=40, random_state=SEED,
        )  # fmt: skip
        with threadpool_limits(1):  # waiting threads cost more than they bring on a busy machine
            model.fit(table[train][known], (target - base)[train][known])
            found[:, n] = base[test] + model.predict(table[test])
    found.sort(axis=1)  # quantiles do not cross
    return found


def simple(series: Series, train: slice, test: slice, horizon: int) -> list[Floats]:
    """The simple guesses: the last known value, and the source's forecast a day ahead; each with the
    quantiles of its errors over `train` around it.
    """
    day = 86_400 // series.step
    last = _lag(series.values, horizon)
    guesses = [last]
    if series.reference is not None and horizon >= day:
        guesses.append(np.where(np.isfinite(series.reference), series.reference, last))
    found = []
    for guess in guesses:
        spread = np.nanquantile((series.values - guess)[train], QUANTILES)
        table: Floats = guess[test][:, None] + spread[None]
        table[:, 1] = guess[test]
        found.append(table)
    return found


@dataclass(frozen=True, slots=True)
class Mix:
    """Which simple guess stands beside the model, how far each quantile trusts the model, and what is added
    to the band's ends, in the series' unit.
    """

    guess: int
    trust: tuple[float, ...]
    margin: float


def _mixed(model: Floats, naive: Floats, mix: Mix) -> Floats:
    trust = np.array(mix.trust)
    found: Floats = model * trust + naive * (1 - trust)
    found[:, 0] -= mix.margin
    found[:, -1] += mix.margin
    found.sort(axis=1)
    return found


def _earned(actual: Floats, model: Floats, guesses: list[Floats], trusts: Sequence[float]) -> Mix:
    """The mix that would have served best in the worst week: where the model lost against the simple guess
    in some week, it is trusted less.
    """
    good = np.isfinite(actual) & np.isfinite(model).all(axis=1)
    for table in guesses:
        good &= np.isfinite(table).all(axis=1)
    actual, model, guesses = actual[good], model[good], [table[good] for table in guesses]
    if len(actual) < 96:
        return Mix(0, (1.0,) * len(QUANTILES), 0.0)
    guess = int(np.argmin([_pinball(actual, table[:, 1], 0.5) for table in guesses]))
    naive = guesses[guess]
    weeks = np.array_split(np.arange(len(actual)), 3)
    trust = []
    for n, q in enumerate(QUANTILES):
        worst = []
        for w in trusts:
            mixed = w * model[:, n] + (1 - w) * naive[:, n]
            worst.append(
                max(
                    _pinball(actual[i], mixed[i], q) / max(_pinball(actual[i], naive[i, n], q), 1e-9)
                    for i in weeks
                )
            )
        trust.append(trusts[int(np.argmin(worst))])
    plain = _mixed(model, naive, Mix(guess, tuple(trust), 0.0))
    outside = np.maximum(plain[:, 0] - actual, actual - plain[:, -1])
    return Mix(guess, tuple(trust), float(np.quantile(outside, QUANTILES[-1] - QUANTILES[0])))


def fit_predict(series: Series, train: slice, test: slice, horizon: int) -> Forecast:
    """Quantile forecasts of the intervals `test` from models fitted on `train`, which must end `horizon`
    before them."""
    if train.stop > test.start - horizon + 1:
        raise FlexError("leak", "train", train.stop, f"must end {horizon} intervals before the test")
    table, base = features(series, horizon), _base(series, horizon)
    day = 86_400 // series.step
    held = slice(train.stop - min(21 * day, (train.stop - train.start) // 3), train.stop)
    head = slice(train.start, held.start - horizon + 1)
    tried = _model(table, series.values, base, head, held)
    proven = train.stop - train.start >= PROVING_DAYS * day
    trusts = TRUSTS if proven else (0.0,)
    mix = _earned(series.values[held], tried, simple(series, head, held, horizon), trusts)
    model = _model(table, series.values, base, train, test)
    found = _mixed(model, simple(series, train, test, horizon)[mix.guess], mix)
    low = float(np.nanmin(series.values[train]))
    return Forecast(np.arange(test.start, test.stop), np.maximum(found, low) if low >= 0 else found)


def _pinball(actual: Floats, guess: Floats, quantile: float) -> float:
    gap = actual - guess
    return float(np.mean(np.maximum(quantile * gap, (quantile - 1) * gap)))


def pinball(actual: Floats, quantiles: Floats) -> float:
    """Mean pinball loss over all quantiles, in the unit of the series."""
    return float(np.mean([_pinball(actual, quantiles[:, n], q) for n, q in enumerate(QUANTILES)]))


@dataclass(frozen=True, slots=True)
class Score:
    """A backtest's figures: MAE as a share of the mean and of the largest value; coverage of the 80 %
    band.
    """

    series: str
    horizon: str
    intervals: int
    mae: float
    mae_of_mean: float
    mae_of_max: float
    pinball: float
    coverage_80: float
    persistence_mae: float
    persistence_pinball: float
    reference_mae: float | None
    reference_corrected: bool


def backtest(series: Series, horizon_name: str, test_days: int = 14) -> Score:
    """The last days of a series, forecast in blocks of a week from all that came before.

    `day_ahead` forecasts each interval a day ahead, `rolling` one interval ahead. Persistence is the value a
    day (one interval) before; its quantiles are its training errors' around it.
    """
    day = 86_400 // series.step
    if horizon_name not in ("day_ahead", "rolling"):
        raise FlexError("horizon", "horizon", horizon_name, "use day_ahead or rolling")
    horizon = day if horizon_name == "day_ahead" else 1
    begin = len(series.values) - test_days * day
    if begin < 10 * day or test_days < 1:
        raise FlexError("history", "series", len(series.values), f"give at least {10 + test_days} days")
    parts = [
        fit_predict(
            series, slice(0, a - horizon + 1), slice(a, min(a + 7 * day, len(series.values))), horizon
        )
        for a in range(begin, len(series.values), 7 * day)
    ]
    at = np.concatenate([part.at for part in parts])
    quantiles = np.concatenate([part.quantiles for part in parts])
    actual = series.values[at]
    lagged = _lag(series.values, horizon)
    errors = (series.values - lagged)[: begin - horizon + 1]
    naive = lagged[at][:, None] + np.nanquantile(errors, QUANTILES)[None]
    good = np.isfinite(actual) & np.isfinite(lagged[at])
    actual, quantiles, naive = actual[good], quantiles[good], naive[good]
    mae = float(np.mean(np.abs(actual - quantiles[:, 1])))
    inside = (actual >= quantiles[:, 0]) & (actual <= quantiles[:, 2])
    reference = None
    if series.reference is not None:
        reference = float(np.nanmean(np.abs(actual - series.reference[at][good])))
    return Score(
        series.name, horizon_name, len(actual), mae, mae / float(np.mean(np.abs(actual))),
        mae / float(np.max(np.abs(actual))), pinball(actual, quantiles), float(np.mean(inside)),
        float(np.mean(np.abs(actual - lagged[at][good]))), pinball(actual, naive), reference,
        series.reference is not None,
    )  # fmt: skip


def spread_over(times: Ints, coarse_times: Ints, coarse: Floats) -> Floats:
    """A coarser series on finer intervals: each holds the value of the hour it lies in, NaN outside."""
    at = np.searchsorted(coarse_times, times, side="right") - 1
    step = int(np.median(np.diff(coarse_times)))
    inside = (at >= 0) & (times < coarse_times[np.maximum(at, 0)] + step)
    return np.where(inside, coarse[np.maximum(at, 0)], np.nan)


def average(times: Ints, values: Floats, seconds: int) -> tuple[Ints, Floats]:
    """Means over longer intervals."""
    starts, where = np.unique(times // seconds, return_inverse=True)
    return starts * seconds, np.bincount(where, values) / np.bincount(where)


def longest_run(times: Ints, most: int) -> slice:
    """The longest stretch without a gap of more than `most` seconds."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(times) > most) + 1, [len(times)]])
    n = int(np.argmax(np.diff(edges)))
    return slice(int(edges[n]), int(edges[n + 1]))
