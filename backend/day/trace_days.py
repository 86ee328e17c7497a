"""The trace days on which mechanisms are compared: real jobs joined to real supply, prices and carbon."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from backend.day.book import to_book
from backend.day.join import load_day
from backend.market.domain import Book

PHILLY_RTS = (
    "philly_jobs",
    "generation/rts_actual_5min",
    "market/rts_lmp_hourly",
    "carbon/eia_mix_ci_hourly",
)
OPENB_LU = ("openb_pods", "generation/lu_15min", "market/delu_day_ahead_price_hourly", "carbon/em_ci_hourly")
DAYS = (
    (PHILLY_RTS, date(2017, 10, 12)),
    (PHILLY_RTS, date(2017, 10, 17)),
    (PHILLY_RTS, date(2017, 10, 20)),
    (OPENB_LU, date(2024, 5, 4)),
)


def trace_books(folder: Path) -> dict[str, Book]:
    """The sealed book of each trace day whose files are in `folder`, by name and date."""
    found = {}
    for (jobs, *supply), day in DAYS:
        files = [folder / "gpu_jobs" / f"{jobs}.csv", *(folder / f"{name}.csv" for name in supply)]
        if all(file.is_file() for file in files):
            generation, price, carbon = files[1:]
            found[f"{jobs} {day}"] = to_book(load_day(files[0], generation, price, carbon, day))
    return found
