"""Four files to one day: what came from where, and that nothing depends on row order."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from backend.day.book import (
    compute_offer_message,
    order_message,
    power_offer_message,
    profile_bytes,
    to_book,
)
from backend.day.errors import DataFileError
from backend.day.join import load_day
from backend.day.params import DayParameters
from backend.day.types import DayInput
from tests.unit.day.small_files import write_day
from tests.unit.day.writing import Write

DAY, SUPPLY = date(2017, 10, 17), date(2020, 7, 5)


def load(files: dict[str, Path], **more: object) -> DayInput:
    four = {key: files[key] for key in ("jobs", "generation", "price", "carbon")}
    return load_day(**four, date=DAY, **{"supply_date": SUPPLY, **more})  # type: ignore[arg-type]


def test_the_day_starts_at_local_midnight_and_joins_by_local_hour(write: Write) -> None:
    day = load(write_day(write))
    assert day.start == int(datetime(2017, 10, 17, tzinfo=ZoneInfo("America/Los_Angeles")).timestamp())
    assert day.slots % 96 == 0
    assert [zone.name for zone in day.zones] == ["RTS area 1", "RTS area 3"]
    # 13:00 local: price 28 USD/MWh and the fee of 0.04; the sun of 13:00 local is 40 MW
    assert day.tariff_micro_per_kwh[0][52] == 28_000 + 40_000
    sun = next(plant for plant in day.plants if plant.name == "S1")
    assert sun.forecast_wh[12] == 0
    assert max(range(96), key=lambda t: sun.actual_wh[t]) in range(44, 56)
    assert day.grid_carbon_g_per_kwh[0][0] < day.grid_carbon_g_per_kwh[0][95]
    assert not day.refused


def test_supply_of_the_day_equals_the_stated_multiple_of_its_energy(write: Write) -> None:
    files = write_day(write)
    for multiple in (1_000_000, 1_500_000):
        # one horizon day and no later share: the whole of the first day is offered
        params = replace(DayParameters(), supply_multiple_ppm=multiple, max_days=1)
        day = load(files, params=params)
        energy = sum(job.vcu_slots for job in day.jobs) * 110
        offered = sum(sum(p.forecast_wh) for p in day.plants if p.source)
        assert 0 <= energy * multiple // 1_000_000 - offered <= len(day.plants)


def test_lacking_days_are_replaced_and_named(write: Write) -> None:
    day = load(write_day(write), supply_date=None)
    generation = [note for note in day.notes if note.role == "generation"]
    assert {note.wanted for note in generation} >= {DAY}
    assert {note.used for note in generation} == {date(2020, 7, 7)}
    assert generation[0].days_off == 102
    assert {note.role for note in day.notes} == {
        "jobs",
        "generation",
        "generation forecast",
        "price",
        "carbon",
    }


def test_every_order_is_feasible_and_priced_above_cost(write: Write) -> None:
    day = load(write_day(write))
    for job in day.jobs:
        assert job.start_slot >= 0
        assert job.start_slot + job.duration_slots <= job.deadline_slot <= day.slots
        assert 0 < job.zone_mask < 1 << len(day.zones)
        assert bin(job.zone_mask).count("1") == (1 if job.urgent else 2)
        assert job.submitted_at <= day.start + job.start_slot * day.slot_seconds
    assert {job.tenant for job in day.jobs} == {f"tenant/lab-{n}" for n in range(4)}


def test_offers_of_a_site_fit_its_nameplate_and_the_grid_covers_all_sites(write: Write) -> None:
    day = load(write_day(write))
    for site in day.sites:
        own = [offer for offer in day.compute_offers if offer.site_id == site.site_id]
        watts = sum(offer.capacity * offer.energy_wh_per_vcu_slot * 4 for offer in own)
        assert watts <= site.nameplate_w
        assert all(offer.zone_id == site.zone_id for offer in own)
    for grid in (plant for plant in day.plants if plant.source == 0):
        for slot in range(day.slots):
            need = sum(
                offer.capacity * offer.energy_wh_per_vcu_slot
                for offer in day.compute_offers
                if offer.zone_id == grid.zone_id and offer.start_slot <= slot < offer.end_slot
            )
            assert grid.forecast_wh[slot] >= need


def test_row_order_does_not_matter(write: Write) -> None:
    files = write_day(write)
    first = load(files)
    for key in ("jobs", "generation", "price", "carbon", "ahead"):
        head, *rows = files[key].read_text().strip().split("\n")
        random.Random(key).shuffle(rows)
        files[key].write_text("\n".join([head, *rows]) + "\n")
    assert load(files) == first


def test_another_seed_is_another_day_and_the_same_seed_the_same(write: Write) -> None:
    files = write_day(write)
    assert load(files, seed=3) == load(files, seed=3)
    assert load(files, seed=3).jobs != load(files, seed=4).jobs


def test_a_sample_is_part_of_the_day(write: Write) -> None:
    files = write_day(write)
    every, some = load(files), load(files, orders=7)
    assert len(some.jobs) == 7
    assert {job.job_id for job in some.jobs} < {job.job_id for job in every.jobs}
    assert len(load(files, orders=1000).jobs) == len(every.jobs)
    with pytest.raises(DataFileError, match="orders"):
        load(files, orders=0)


def test_refused_rows_of_all_files_are_listed_and_the_day_goes_on(write: Write) -> None:
    files = write_day(write)
    whole = load(files)
    for key, row in (
        ("jobs", "job-x,2017-10-17T08:00:00Z,2017-10-17T01:00:00,-5,1,v"),
        ("generation", "W1,2020-07-05T08:00:00Z,2020-07-05T00:00:00,-99"),
        ("price", "101,2020-07-05T08:00:00Z,2020-07-05T00:00:00,99999"),
        ("carbon", "XXXX,2020-07-05T08:00:00Z,1,1,1,1,1,1,1,1,200"),
    ):
        files[key].write_text(files[key].read_text().rstrip("\n") + "\n" + row + "\n")
    day = load(files)
    assert sorted((r.file, r.field) for r in day.refused) == [
        ("eia.csv", "zone_id"),
        ("jobs.csv", "duration_s"),
        ("lmp.csv", "lmp_usd_per_mwh"),
        ("rts_actual_5min.csv", "actual_mw"),
    ]
    assert replace(day, refused=()) == whole


def test_the_book_and_the_messages_say_the_same(write: Write) -> None:
    day = load(write_day(write))
    book = to_book(day)
    assert (book.slots.count, len(book.orders), len(book.compute_offers)) == (
        day.slots,
        len(day.jobs),
        len(day.compute_offers),
    )
    job, offer, power = day.jobs[0], day.compute_offers[0], day.power_offers[0]
    ids = {job.job_id: "0x01", offer.offer_id: "0x02", power.offer_id: "0x03"}
    hashed = to_book(day, ids, start=1_800_000_000)
    assert "0x01" in hashed.orders.id
    assert hashed.slots.start == 1_800_000_000
    message = order_message(day, job, maker="0xm", nonce=4, expiry=9, start=1_800_000_000)
    assert message["start"] == 1_800_000_000 + job.start_slot * 900
    assert message["deadline"] == 1_800_000_000 + job.deadline_slot * 900
    assert message["limitPrice"] == job.limit_micro_per_vcu_slot
    sold = compute_offer_message(day, offer, maker="0xm", nonce=1, expiry=9)
    assert (sold["start"], sold["end"]) == (day.start, day.start + offer.end_slot * 900)
    energy = power_offer_message(day, power, maker="0xm", nonce=1, expiry=9, profile_hash=b"h")
    assert (energy["slots"], energy["tranches"]) == (day.slots, 3)
    profile = profile_bytes(power)
    assert len(profile) == day.slots * 3 * 8
    assert int.from_bytes(profile[:4], "big") == power.wh[0][0]


def test_a_message_is_exactly_the_contracts_order(write: Write) -> None:
    from backend.chain.orders import BundleOrder, ComputeOffer, PowerOffer, from_message

    day = load(write_day(write))
    common = {"maker": "0x" + "1" * 40, "nonce": 1, "expiry": 2}
    from_message(BundleOrder, order_message(day, day.jobs[0], **common))  # type: ignore[arg-type]
    from_message(ComputeOffer, compute_offer_message(day, day.compute_offers[0], **common))  # type: ignore[arg-type]
    from_message(
        PowerOffer,
        power_offer_message(day, day.power_offers[0], profile_hash=b"\0" * 32, **common),  # type: ignore[arg-type]
    )


def test_generation_without_forecast_gets_a_drawn_one(write: Write) -> None:
    files = write_day(write)
    files["ahead"].unlink()
    day = load(files)
    plant = next(p for p in day.plants if p.name == "W1")
    assert plant.forecast_wh != plant.actual_wh
    assert any("no forecast" in remark for remark in day.remarks)
