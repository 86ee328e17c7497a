"""Series that virtual power plants work on: read from files of published data, or drawn where there are
none.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from backend.vpp.calendar import trading_day
from backend.vpp.errors import FlexError
from backend.vpp.spot import Ints

Floats = npt.NDArray[np.float64]
LU = "Europe/Luxembourg"


def column(path: Path, value: str, *, where: tuple[str, str] | None = None) -> tuple[Ints, Floats]:
    """(unix seconds, values) of one column of a table with `interval_start_utc`; empty cells are NaN.

    FlexError for a missing file or column, times that do not rise, and what is not a number.
    """
    if not path.is_file():
        raise FlexError("file", str(path), None, "give the folder of the data files")
    times: list[int] = []
    values: list[float] = []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if value not in (reader.fieldnames or ()) or "interval_start_utc" not in (reader.fieldnames or ()):
            raise FlexError("column", f"{path.name}.{value}", reader.fieldnames, "the file lacks this column")
        for number, row in enumerate(reader, start=2):
            if where and row[where[0]] != where[1]:
                continue
            try:
                moment = datetime.fromisoformat(row["interval_start_utc"])
                values.append(float(row[value]) if row[value] else float("nan"))
            except ValueError as error:
                raise FlexError(
                    "row", f"{path.name}:{number}", row[value], "not a time and a number"
                ) from error
            times.append(int(moment.astimezone(UTC).timestamp()))
    found = np.array(times, np.int64)
    if len(found) == 0 or (np.diff(found) <= 0).any():
        raise FlexError("row", path.name, where, "times must rise, and there must be some")
    return found, np.array(values)


@dataclass(frozen=True, slots=True, eq=False)
class DaySeries:
    """A day and the days before it of one market area: load as a shape around 1, price in ticks.

    `shape`[day][slot], latest day last; `source` says where it comes from.
    """

    source: str
    days: tuple[date, ...]
    start: int
    shape: Floats
    price_ticks: Ints
    renewable_share: Floats


def read_day(folder: Path, day: date, back: int = 20) -> DaySeries:
    """Luxembourg's metered load and renewables with the DE-LU day-ahead price; FlexError for a gap."""
    start = trading_day(day, LU).start
    times, load = column(folder / "generation" / "lu_15min.csv", "load_mwh")
    _, wind = column(folder / "generation" / "lu_15min.csv", "wind_onshore_mwh")
    _, pv = column(folder / "generation" / "lu_15min.csv", "pv_mwh")
    hours, price = column(folder / "market" / "delu_day_ahead_price_hourly.csv", "price_eur_per_mwh")
    days = tuple(day - timedelta(days=n) for n in range(back, -1, -1))
    rows = []
    for one in days:
        window = trading_day(one, LU)
        at = np.searchsorted(times, window.start + 900 * np.arange(min(window.count, 96)))
        if at[-1] >= len(times) or times[at[0]] != window.start or window.count < 96:
            raise FlexError(
                "gap", "days", one.isoformat(), "the files must cover the day and those before it"
            )
        rows.append(load[at])
    today = slice(int(np.searchsorted(times, start)), int(np.searchsorted(times, start)) + 96)
    hour = int(np.searchsorted(hours, start))
    if hour + 24 > len(hours) or hours[hour] != start:
        raise FlexError("gap", "day", day.isoformat(), "the price file must cover the day")
    table = np.array(rows)
    return DaySeries(
        f"{folder.name}: lu_15min, delu_day_ahead_price_hourly", days, start, table / table.mean(),
        np.repeat(np.rint(price[hour : hour + 24] * 100).astype(np.int64), 4),
        np.clip((wind[today] + pv[today]) / load[today], 0, 1),
    )  # fmt: skip


def drawn_day(day: date, back: int = 20, seed: int = 7) -> DaySeries:
    """A drawn day with morning and evening peaks, for where no files are at hand; it says so."""
    rng = np.random.default_rng(seed)
    t = np.arange(96) / 4
    days = tuple(day - timedelta(days=n) for n in range(back, -1, -1))
    daily = 1 + 0.18 * np.exp(-((t - 8) ** 2) / 6) + 0.25 * np.exp(-((t - 18.5) ** 2) / 6) - 0.25 * (t < 6)
    rows = [daily * (0.88 if d.weekday() >= 5 else 1) * rng.normal(1, 0.02) for d in days]
    shape = np.array(rows) * rng.normal(1, 0.01, (len(days), 96))
    price = np.rint(6_000 * daily**3 + rng.normal(0, 150, 96)).astype(np.int64)
    sun = np.clip(np.sin((t - 6) / 12 * np.pi), 0, None) * 0.3
    start = int(datetime.combine(day, datetime.min.time(), ZoneInfo(LU)).timestamp())
    return DaySeries(f"drawn, seed {seed}", days, start, shape / shape.mean(), price, sun)
