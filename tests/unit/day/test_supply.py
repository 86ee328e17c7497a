"""Nearest days, scaling, shares, forecasts and tranches."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from backend.day.errors import DataFileError
from backend.day.horizon import Horizon, energy_slots, mean_slots, price_finisher
from backend.day.params import DayParameters
from backend.day.sources.series import Series, days_apart, mean_by_slot, nearest_day
from backend.day.supply import (
    PlantSeries,
    book_share_ppm,
    corrected_forecast,
    drawn_forecast,
    grid_offer,
    grid_plant,
    power_offer,
    scale_plants,
)

A, B = date(2020, 4, 1), date(2020, 4, 2)


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (date(2017, 10, 17), date(2020, 7, 11), 98),
        (date(2019, 1, 1), date(2020, 12, 31), 1),
        (date(2017, 5, 1), date(2024, 5, 1), 0),
        (date(2021, 2, 28), date(2024, 3, 1), 2),
    ],
)
def test_days_apart_is_circular(one: date, other: date, apart: int) -> None:
    assert days_apart(one, other) == days_apart(other, one) == apart


def test_nearest_day_prefers_the_day_itself_then_the_day_of_the_year() -> None:
    have = [date(2020, 4, 30), date(2020, 7, 5), date(2020, 7, 11)]
    assert nearest_day(have, date(2020, 7, 5), "f") == date(2020, 7, 5)
    assert nearest_day(have, date(2017, 7, 5), "f") == date(2020, 7, 5)
    assert nearest_day(have, date(2017, 10, 17), "f") == date(2020, 7, 11)
    assert nearest_day(have, date(2017, 1, 2), "f") == date(2020, 4, 30)
    with pytest.raises(DataFileError, match="no day"):
        nearest_day([], date(2017, 1, 2), "f")


def test_further_days_follow_and_fall_back_one_by_one() -> None:
    day = (4_000_000,) * 24
    series = Series("w", "wind", 3600, {A: day, B: (8_000_000,) * 24})
    slots, notes = energy_slots([series], Horizon.of(A, 288, 900), "generation", "f.csv", "x")
    assert slots["w"][0] == 1_000_000
    assert slots["w"][96] == slots["w"][192] == 2_000_000
    assert [(n.wanted.day, n.used.day, n.days_off) for n in notes] == [(1, 1, 0), (2, 2, 0), (3, 2, 1)]


def test_plants_of_a_file_share_one_day_of_weather() -> None:
    day = (1_000_000,) * 24
    one = Series("a", "wind", 3600, {A: day, B: day})
    two = Series("b", "pv", 3600, {B: day})
    _, notes = energy_slots([one, two], Horizon.of(A, 96, 900), "generation", "f.csv", "x")
    assert {note.used for note in notes} == {B}


def test_gaps_are_no_energy_but_the_last_known_price() -> None:
    series = Series("z", "EUR", 3600, {A: (None, 10**9, None, *([2 * 10**9] * 21))})
    values, notes = mean_slots(
        [series], ["z"], Horizon.of(A, 96, 900), "price", "f", "x", price_finisher(1_000_000, 0, 900)
    )
    assert values["z"][0] == values["z"][4] == values["z"][8] == 1_000_000
    assert values["z"][12] == 2_000_000
    assert notes[0].filled_gaps == 2
    energy, _ = energy_slots([replace(series, kind="wind")], Horizon.of(A, 96, 900), "generation", "f", "x")
    assert energy["z"][8] == 0


def test_price_is_converted_once_and_the_fee_added() -> None:
    # three five-minute prices, 141.0798 / 117.22 / 100 AUD per MWh, at 0.66 and a fee of 0.04 per kWh
    values: list[int | None] = [141_079_800, 117_220_000, 100_000_000] * 96
    slots, gaps = price_finisher(660_000, 40_000, 900)("z", values, 300)
    assert gaps == 0
    assert slots[0] == round((141_079_800 + 117_220_000 + 100_000_000) / 3 * 0.66 / 1000) + 40_000


def test_mean_rounds_half_up_also_below_zero() -> None:
    assert mean_by_slot([500] * 24, 3600, 900, 1000)[0][0] == 1
    assert mean_by_slot([-500] * 24, 3600, 900, 1000)[0][0] == 0
    assert mean_by_slot([-501] * 24, 3600, 900, 1000)[0][0] == -1


def test_scaling_hits_the_target_on_the_first_day_and_equals_contracts() -> None:
    wind = PlantSeries("w", "wind", 0, (100,) * 192, (50,) * 192, 1000)
    sun = PlantSeries("s", "pv", 1, (10,) * 192, (10,) * 192, 100)
    plants = scale_plants([wind, sun], 96_000, (1_000_000,) * 192, 96, 900)
    assert [sum(p.forecast_wh[:96]) for p in plants] == [48_000, 48_000]
    assert sum(plants[0].actual_wh[:96]) == 24_000
    unknown = [replace(wind, nameplate_w=None), sun]
    mixed = scale_plants(unknown, 96_000, (1_000_000,) * 192, 96, 900)
    assert sum(mixed[0].forecast_wh[:96]) == pytest.approx(96_000 * 100 / 110, abs=1)
    for plant in plants:
        most = max(*plant.forecast_wh, *plant.actual_wh)
        assert plant.nameplate_w * 900 // 3600 >= most


def test_without_any_generation_plants_offer_nothing() -> None:
    plants = scale_plants(
        [PlantSeries("s", "pv", 0, (0,) * 96, (0,) * 96, None)], 1000, (1_000_000,) * 96, 96, 900
    )
    assert sum(plants[0].forecast_wh) == 0
    assert plants[0].nameplate_w >= 1


def test_share_of_a_slot_is_what_this_book_would_hold_in_a_steady_state() -> None:
    # two jobs: one runs in slot 0 of the first day, one in slot 0 of the second with three times the energy
    shares = book_share_ppm([(0, 1, 100), (96, 97, 300)], 192, 96)
    assert (shares[0], shares[96]) == (250_000, 750_000)
    assert (shares[1], shares[97]) == (1_000_000, 0)  # nobody's slot: offered on its first day only


def test_forecasts() -> None:
    params = DayParameters()
    assert corrected_forecast([100, 0], [200, 10], params) == (130, 3)
    actual = (0, 1000) * 96
    drawn = drawn_forecast(actual, "p", "wind", params, 7)
    assert drawn == drawn_forecast(actual, "p", "wind", params, 7)
    assert drawn != drawn_forecast(actual, "p", "wind", params, 8)
    assert all(value == 0 for value in drawn[::2])
    spread = [value - 1000 for value in drawn[1::2]]
    assert 0 < max(map(abs, spread)) < 600


def test_tranches_add_up_and_asks_rise() -> None:
    params = DayParameters()
    plant = scale_plants(
        [PlantSeries("s", "pv", 0, (7,) * 96, (7,) * 96, None)], 97, (1_000_000,) * 96, 96, 900
    )[0]
    offer = power_offer(plant, "pv", params)
    assert [sum(row) for row in offer.wh] == list(plant.forecast_wh)
    assert all(list(asks) == sorted(asks) for asks in offer.ask_micro_per_kwh)


def test_the_grid_offers_its_tariff_and_enough() -> None:
    grid = grid_plant(9, 2, [100] * 4, [500, 501, 501, 500], 900)
    offer = grid_offer(grid, [1, -2, 3, 4])
    assert (offer.offer_id, offer.source, grid.emission_g_per_kwh) == ("grid-z2", 0, 501)
    assert offer.ask_micro_per_kwh[1] == (-2,)
    assert grid.nameplate_w == 400
