"""`bitwatt forecast`: backtests on published series, with persistence and the source's own forecast
beside.
"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from backend.vpp.data import Floats, column
from backend.vpp.errors import FlexError
from backend.vpp.forecast import Series, average, backtest, longest_run, spread_over
from backend.vpp.spot import Ints

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
LEARN_DAYS = 10  # a short series is forecast for fewer days
TARGETS = {
    "load_mae_of_mean": 0.03,  # at minute scale
    "joint_mae_of_mean": 0.05,
}


@app.callback()
def main() -> None:
    """Forecasts of renewables, load, compute and price."""


def _regular(name: str, times: Ints, values: Floats, **more: Floats) -> Series:
    run = longest_run(times, 2 * int(np.median(np.diff(times))))
    return Series(name, times[run], values[run], **{key: value[run] for key, value in more.items()})


def _days(series: Series) -> int:
    return len(series.times) * series.step // 86_400


def load_series(data: Path) -> list[Series]:
    """Every series that the backtest knows, from the folder of published files."""
    found = []
    lu = data / "generation" / "lu_15min.csv"
    times, load = column(lu, "load_mwh")
    load = np.where(load < 50, np.nan, load)  # the source's single faulty reading
    _, wind = column(lu, "wind_onshore_mwh")
    found.append(_regular("lu_load", times, load))
    found.append(_regular("lu_net_load", times, load - wind - column(lu, "pv_mwh")[1]))
    for site, name in (("309_WIND_1", "rts_wind_309"), ("101_PV_1", "rts_pv_101")):
        times, power = column(
            data / "generation" / "rts_actual_5min.csv", "actual_mw", where=("site_id", site)
        )
        hours, ahead = column(
            data / "generation" / "rts_day_ahead_hourly.csv", "day_ahead_mw", where=("site_id", site)
        )
        quarters, mean = average(times, power, 900)
        found.append(_regular(name, quarters, mean, reference=spread_over(quarters, hours, ahead)))
    pv, third = data / "generation" / "cn_pv_15min.csv", ("site_id", "CN_PV_3")
    times, power = column(pv, "power_mw_raw", where=third)
    names = ("irradiance_total_wm2", "air_temp_c", "humidity_pct")
    weather = np.column_stack([column(pv, name, where=third)[1] for name in names])
    found.append(_regular("cn_pv_3", times, np.maximum(power, 0), weather=weather))
    prices = data / "market" / "delu_day_ahead_price_hourly.csv"
    found.append(_regular("delu_price", *column(prices, "price_eur_per_mwh")))
    found.append(gpu_load(data))
    return found


def gpu_load(data: Path) -> Series:
    """GPUs at work in the Philly clusters per quarter-hour, from its jobs' times (queues left out)."""
    starts, ends, gpus = [], [], []
    with (data / "gpu_jobs" / "philly_jobs.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            begin = datetime.fromisoformat(row["submit_utc"]).astimezone(UTC).timestamp()
            starts.append(begin)
            ends.append(begin + float(row["duration_s"]))
            gpus.append(int(row["num_gpus"]))
    first = int(min(starts)) // 900 * 900 + 86_400
    times = np.arange(first, int(max(starts)), 900)
    change = np.zeros(len(times) + 1)
    inside_start = np.clip(np.searchsorted(times, starts), 0, len(times))
    inside_end = np.clip(np.searchsorted(times, ends), 0, len(times))
    np.add.at(change, inside_start, gpus)
    np.add.at(change, inside_end, -np.array(gpus))
    return Series("philly_gpus", times, np.cumsum(change)[:-1])


@app.command("backtest")
def run_backtest(
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="folder of published series")],
    series: Annotated[list[str] | None, typer.Option(help="only these; none = all")] = None,
    days: Annotated[int, typer.Option(min=1, help="days at the end that are forecast")] = 14,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Forecast the last days of every series, a day and an interval ahead, and score what came."""
    try:
        known = load_series(data)
        if series and (unknown := set(series) - {one.name for one in known}):
            names = ", ".join(one.name for one in known)
            raise FlexError("series", "--series", sorted(unknown)[0], f"use some of {names}")
        scores = [
            backtest(one, horizon, min(days, _days(one) - LEARN_DAYS))
            for one in known if not series or one.name in series
            for horizon in ("day_ahead", "rolling")
        ]  # fmt: skip
    except FlexError as wrong:
        typer.echo(str(wrong), err=True)
        raise typer.Exit(2) from wrong
    if as_json:
        report = {"scores": [asdict(score) for score in scores], "targets": TARGETS}
        typer.echo(json.dumps(report, sort_keys=True))
        return
    heads = ("MAE/mean", "persist.", "source", "pinball", "cover80")
    typer.echo(f"{'series':14} {'horizon':10} " + " ".join(f"{head:>9}" for head in heads))
    for s in scores:
        mean = s.mae / s.mae_of_mean
        own = f"{s.reference_mae / mean:9.3f}" if s.reference_mae is not None else "        -"
        typer.echo(f"{s.series:14} {s.horizon:10} {s.mae_of_mean:9.3f} {s.persistence_mae / mean:9.3f} {own} "
                   f"{s.pinball / s.persistence_pinball:9.2f} {s.coverage_80:9.2f}")  # fmt: skip
    typer.echo("MAE as a share of the mean; pinball as a share of persistence's; 0.80 is a perfect band.")
