"""The real files, where they are present: every format is read, and real dirt is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from backend.day.book import to_book
from backend.day.join import load_day
from backend.day.sources import read_carbon, read_generation, read_jobs, read_price

PHILLY = date(2017, 10, 17)


@pytest.mark.parametrize(
    ("file", "form", "plants", "refused"),
    [
        ("generation/rts_actual_5min.csv", "rts_actual_5min", 4, 0),
        ("generation/rts_day_ahead_hourly.csv", "rts_day_ahead_hourly", 4, 0),
        ("generation/lu_15min.csv", "lu_15min", 4, 0),
        ("generation/cn_pv_15min.csv", "cn_pv_15min", 2, 1213),
        ("market/aemo_region_5min.csv", "aemo_region_5min", 4, 0),
    ],
)
def test_generation_files(shared: Path, file: str, form: str, plants: int, refused: int) -> None:
    found = read_generation(shared / file)
    assert (found.format, len(found.plants), len(found.refused)) == (form, plants, refused)


def test_price_carbon_and_job_files(shared: Path) -> None:
    for name, zones in (("aemo_region_5min", 2), ("delu_day_ahead_price_hourly", 1), ("rts_lmp_hourly", 73)):
        price = read_price(shared / "market" / f"{name}.csv")
        assert (len(price.zones), price.refused) == (zones, ())
    for name, zones in (
        ("eia_mix_ci_hourly", 3),
        ("em_ci_hourly", 2),
        ("cn_grid_factors", 38),
        ("google_region_ci", 44),
    ):
        carbon = read_carbon(shared / "carbon" / f"{name}.csv")
        assert (len(carbon.hourly) or len(carbon.annual), carbon.refused) == (zones, ())
    philly = read_jobs(shared / "gpu_jobs" / "philly_jobs.csv", 2017)
    assert (len(philly.jobs), philly.refused, len(philly.on(PHILLY))) == (26_936, (), 2_340)
    openb = read_jobs(shared / "gpu_jobs" / "openb_pods.csv", 2024)
    assert len(openb.jobs) + sum(count for _, count in openb.skipped) == 3_698


def test_the_philly_day_has_all_its_orders(shared: Path) -> None:
    day = load_day(
        shared / "gpu_jobs" / "philly_jobs.csv",
        shared / "generation" / "rts_actual_5min.csv",
        shared / "market" / "rts_lmp_hourly.csv",
        shared / "carbon" / "eia_mix_ci_hourly.csv",
        PHILLY,
    )
    assert (len(day.jobs), day.requested_vcu_slots, day.slots) == (2_340, 28_897, 288)
    used = {note.role: note.used for note in day.notes}
    assert used["generation"] == used["price"] == date(2020, 7, 11)
    assert used["carbon"] == date(2022, 7, 30)
    to_book(day)


def test_openb_with_luxembourg_joins_six_classes(shared: Path) -> None:
    day = load_day(
        shared / "gpu_jobs" / "openb_pods.csv",
        shared / "generation" / "lu_15min.csv",
        shared / "market" / "delu_day_ahead_price_hourly.csv",
        shared / "carbon" / "em_ci_hourly.csv",
        date(2024, 5, 4),
    )
    assert len(day.classes) == 6
    assert [(zone.name, zone.price_key, zone.carbon_key) for zone in day.zones] == [
        ("Luxembourg", "DE-LU", "DE")
    ]
    assert {note.days_off for note in day.notes} == {0}
    to_book(day)
