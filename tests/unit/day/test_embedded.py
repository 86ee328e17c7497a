"""The embedded day: complete, seeded, and with the published statistics."""

from __future__ import annotations

import pytest

from backend.day.embedded import DAYS, FACTOR_KEYS, embedded_day, package_file
from backend.day.errors import DataFileError
from backend.day.types import SOURCE_IDS, DayInput


@pytest.fixture(scope="module")
def day() -> DayInput:
    return embedded_day(seed=0, orders=2000)


def test_it_has_five_provinces_with_sun_wind_and_water(day: DayInput) -> None:
    assert {zone.name for zone in day.zones} == set(FACTOR_KEYS)
    assert {plant.source for plant in day.plants} == {SOURCE_IDS[k] for k in ("grid", "pv", "wind", "hydro")}
    assert (day.slots, day.refused) == (DAYS * 96, ())
    yunnan = next(zone.zone_id for zone in day.zones if zone.name == "Yunnan")
    assert set(day.grid_carbon_g_per_kwh[yunnan]) == {133}
    assert all(len(set(tariff)) == 3 for tariff in day.tariff_micro_per_kwh)


def test_its_jobs_have_the_published_shape(day: DayInput) -> None:
    durations = sorted(job.duration_slots for job in day.jobs)
    gpus = [job.lanes for job in day.jobs]
    assert durations[len(durations) // 2] == 1  # median of 874 s
    assert durations[-1] == 96  # the tail is cut at a day
    assert sorted(gpus)[len(gpus) // 2] == 1
    assert 1.7 < sum(gpus) / len(gpus) < 2.1
    night = sum(job.start_slot < 24 for job in day.jobs)
    assert night < len(day.jobs) / 8
    assert len({job.tenant for job in day.jobs}) == 8


def test_it_depends_on_the_seed_only(day: DayInput) -> None:
    assert embedded_day(seed=0, orders=2000) == day
    assert embedded_day(seed=1, orders=2000) != day


def test_it_refuses_no_orders_and_missing_packages() -> None:
    with pytest.raises(DataFileError, match="orders"):
        embedded_day(orders=0)
    with pytest.raises(DataFileError, match="not installed"):
        package_file("no_such_package", "x.csv")
