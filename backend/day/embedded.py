"""The embedded market day: no file outside the installed packages is needed.

- Generation: real 15-minute PV, wind and hydro profiles of simbench (one day and the next, 2016), one or two
  plants per zone. Read from the CSV that the package ships, without importing it.
- Grid carbon: codecarbon's official Chinese provincial factors of 2023.
- Jobs: drawn by seed, fitted to published statistics of GPU clusters (see the constants).
- Tariffs: stylised time-of-use prices of large users in the five provinces, CNY per kWh all in.
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from statistics import NormalDist
from typing import Final

from backend.day import draws
from backend.day.errors import DataFileError
from backend.day.join import join_day
from backend.day.params import DayParameters
from backend.day.sources.carbon import CarbonFile
from backend.day.sources.generation import GenerationFile, read_simbench
from backend.day.sources.jobs import JobRow, JobsFile
from backend.day.sources.prices import PriceFile
from backend.day.sources.series import Series
from backend.day.sources.together import DaySources
from backend.day.types import DayInput

DAY: Final = date(2016, 5, 4)
"""A Wednesday with average wind and a normal sun in the profiles; the wind grows on the next day."""
DAYS: Final = 2

FACTOR_KEYS: Final[Mapping[str, str]] = {
    "Inner Mongolia": "CN-NM",
    "Gansu": "CN-GS",
    "Yunnan": "CN-YN",
    "Hebei": "CN-HE",
    "Guangdong": "CN-GD",
}

# --- tariffs: (valley, flat, peak) in fen per kWh, and the hours of valley and peak ----------------------
TARIFFS: Final[Mapping[str, tuple[tuple[int, int, int], tuple[int, ...], tuple[int, ...]]]] = {
    "Inner Mongolia": ((22, 40, 58), tuple(range(10, 16)), (6, 7, 17, 18, 19, 20, 21)),
    "Gansu": ((28, 47, 68), tuple(range(9, 17)), (7, 8, 18, 19, 20, 21, 22)),
    "Yunnan": ((26, 44, 62), (2, 3, 4, 5, 12, 13, 14, 15), (7, 8, 18, 19, 20, 21)),
    "Hebei": ((33, 58, 85), (0, 1, 2, 3, 11, 12, 13, 14), (16, 17, 18, 19, 20, 21)),
    "Guangdong": ((30, 66, 105), tuple(range(8)), (10, 11, 14, 15, 16, 17, 18)),
}

# --- jobs ------------------------------------------------------------------------------------------------
MEDIAN_RUN_S: Final = 874
MEAN_RUN_S: Final = 18_006
"""GPU jobs of the Philly cluster (published summary); a log-normal has mean / median = exp(sigma^2 / 2)."""
GPU_WEIGHTS: Final = ((1, 76), (2, 10), (4, 7), (8, 6), (16, 1))
"""Mean 1.88 and median 1 GPU; Philly publishes 1.93 and 1."""
HOUR_WEIGHTS: Final = (3, 2, 2, 1, 1, 1, 2, 3, 5, 8, 10, 10, 6, 7, 10, 10, 9, 8, 7, 7, 8, 8, 6, 4)
"""Submissions by hour: working day with a noon dip and an evening batch to be read next morning."""
TENANT_WEIGHTS: Final = tuple((f"tenant/lab-{n}", 24 // n) for n in range(1, 9))


def embedded_day(seed: int = 0, orders: int = 400, params: DayParameters | None = None) -> DayInput:
    """The demo day with `orders` seeded jobs. Raises `DataFileError` when the data packages are not there."""
    if orders < 1:
        raise DataFileError("options", "orders", f"{orders} is no order", "ask for at least one order")
    given = params or DayParameters()
    given = replace(given, grid_fee_micro_per_kwh=0, max_days=DAYS)
    sources = DaySources("embedded", _jobs(seed, orders), _generation(), _tariffs(), _factors())
    return join_day(sources, DAY, DAY, given, seed, None)


def _jobs(seed: int, count: int) -> JobsFile:
    sigma = math.sqrt(2 * math.log(MEAN_RUN_S / MEDIAN_RUN_S))
    rows = []
    for number in range(count):
        job = f"job-{number:05d}"
        hour = draws.weighted(seed, job, "hour", tuple(enumerate(HOUR_WEIGHTS)))
        normal = NormalDist().inv_cdf(draws.unit(seed, job, "run"))
        rows.append(
            JobRow(
                job,
                draws.weighted(seed, job, "tenant", TENANT_WEIGHTS),
                datetime.combine(DAY, time(hour)) + timedelta(seconds=draws.below(seed, job, "second", 3600)),
                max(30, round(MEDIAN_RUN_S * math.exp(sigma * normal))),
                draws.weighted(seed, job, "gpus", GPU_WEIGHTS),
                (),
                None,
            )
        )
    rows.sort(key=lambda row: (row.submit_local, row.job_id))
    return JobsFile("seeded", "embedded jobs", "Asia/Shanghai", tuple(rows), (), ())


def package_file(package: str, *parts: str) -> Path:
    """A data file of an installed package, found without importing the package."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder).joinpath(*parts)
        if path.is_file():
            return path
    raise DataFileError(package, parts[-1], "the package's data is not installed", "run `make setup`")


def simbench_profiles() -> Path:
    """The renewable profiles that simbench ships."""
    return package_file("simbench", "networks", "1-complete_data-mixed-all-0-sw", "RESProfile.csv")


def _generation() -> GenerationFile:
    days = [DAY + timedelta(days=n) for n in range(DAYS)]
    prefixes = tuple(day.strftime("%d.%m.%Y") for day in days)
    return read_simbench(simbench_profiles(), lambda line: line.startswith(prefixes))


def _factors() -> CarbonFile:
    path = package_file("codecarbon", "data", "private_infra", "2023", "china_provincial_emissions.json")
    try:
        table = json.loads(path.read_text(encoding="utf-8"))["data"]
        annual = {name: round(table[key]["emission_factor"] * 1000) for name, key in FACTOR_KEYS.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise DataFileError(path.name, str(error), "is not the expected table", "run `make setup`") from error
    return CarbonFile("codecarbon", "codecarbon 2023 provincial factors", (), annual, ())


def _tariffs() -> PriceFile:
    zones = []
    for name, ((valley, flat, peak), valley_hours, peak_hours) in TARIFFS.items():
        # 1 fen = 0.01 CNY per kWh = 10^7 nano-CNY per kWh
        hours = tuple(
            (valley if hour in valley_hours else peak if hour in peak_hours else flat) * 10_000_000
            for hour in range(24)
        )
        zones.append(Series(name, "CNY", 3600, {DAY + timedelta(days=n): hours for n in range(DAYS)}))
    return PriceFile("time_of_use", "stylised time-of-use tariffs", "CNY", tuple(zones), ())
