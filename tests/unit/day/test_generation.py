"""Generation files: units, sites and refusals, format by format."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from backend.day.errors import DataFileError
from backend.day.sources.generation import GenerationFile, read_generation
from tests.unit.day.writing import Write

SITES = "site_id,technology,bus_id,bus_name,area,lat,lng,pmax_mw\nW,WIND,309,Carter,3,34.7,-118.1,100\n"
RTS = "site_id,interval_start_utc,interval_start_local,actual_mw\n"
LU = (
    "zone_id,interval_start_utc,interval_start_local,wind_onshore_mwh,pv_mwh,hydro_mwh,biomass_mwh,gas_mwh,"
    "other_conventional_mwh,load_mwh,residual_load_mwh\n"
)
CN = (
    "site_id,capacity_mw,interval_start_utc,interval_start_local,power_mw_raw,power_mw_processed,"
    "irradiance_total_wm2,irradiance_dni_wm2,irradiance_ghi_wm2,air_temp_c,pressure_hpa,humidity_pct\n"
)
NEM = (
    "region_id,interval_start_utc,settlement_date_nem,price_aud_per_mwh,demand_mw,net_interchange_mw,"
    "wind_available_mw,wind_dispatched_mw,solar_available_mw,solar_dispatched_mw,intervention\n"
)


def rts(write: Write, *rows: str) -> GenerationFile:
    write("rts_sites.csv", SITES)
    return read_generation(write("rts_actual_5min.csv", RTS + "".join(row + "\n" for row in rows)))


GOOD = "W,2020-04-01T08:00:00Z,2020-04-01T00:00:00,1.9"


def test_rts_row_becomes_watts_on_its_local_day(write: Write) -> None:
    found = rts(write, GOOD, "W,2020-04-01T08:05:00Z,2020-04-01T00:05:00,0.9")
    (plant,) = found.plants
    assert (found.zone_of, found.nameplate_w) == ({"W": "RTS-3"}, {"W": 100_000_000})
    assert (plant.kind, plant.step_s) == ("wind", 300)
    assert plant.days[date(2020, 4, 1)][:3] == (1_900_000, 900_000, None)


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        ("X,2020-04-01T08:05:00Z,2020-04-01T00:05:00,1", "site_id", "not in rts_sites"),
        ("W,2020-04-01T08:05:00Z,2020-04-01T00:05:00,-0.5", "actual_mw", "negative"),
        ("W,2020-04-01T08:05:00Z,2020-04-01T00:05:00,-99", "actual_mw", "sentinel"),
        ("W,2020-04-01T08:05:00Z,2020-04-01T00:05:00,6553.5", "actual_mw", "sentinel"),
        ("W,2020-04-01T08:05:00Z,2020-04-01T00:05:00,106", "actual_mw", "more than the site"),
        ("W,2020-04-01T08:05:00Z,2020-04-01T00:05:00,1e30", "actual_mw", "above"),
        ("W,2020-04-01T08:05:00Z,2020-04-01T00:05:00,nan", "actual_mw", "not a finite"),
        ("W,2020-04-01T08:05:00Z,2020-04-01T00:05:00,inf", "actual_mw", "not a finite"),
        ("W,2020-04-01T08:03:00Z,2020-04-01T00:03:00,1", "interval_start_utc", "overlaps"),
        (GOOD, "interval_start_utc", "repeats the interval of line 2"),
        ("W,2020-04-01T08:05:00Z,2020-04-01T01:05:00,1", "interval_start_local", "does not agree"),
        ("W,2020-04-01T08:05:00Z,2020-04-01T00:05:00", "row", "3 fields"),
    ],
)
def test_bad_rts_row_is_refused_and_never_clipped(write: Write, row: str, field: str, reason: str) -> None:
    found = rts(write, GOOD, row)
    (refused,) = found.refused
    assert (refused.line, refused.field) == (3, field)
    assert reason in refused.reason
    values = [v for v in found.plants[0].days[date(2020, 4, 1)] if v is not None]
    assert values == [1_900_000]


def test_rts_needs_its_site_table(write: Write) -> None:
    with pytest.raises(DataFileError, match=r"rts_sites\.csv"):
        read_generation(write("rts_actual_5min.csv", RTS + GOOD + "\n"))


def test_a_broken_site_table_is_an_error(write: Write) -> None:
    write("rts_sites.csv", SITES.replace("WIND", "TIDAL"))
    with pytest.raises(DataFileError, match="TIDAL"):
        read_generation(write("rts_actual_5min.csv", RTS + GOOD + "\n"))


def test_luxembourg_quarter_hours_are_megawatt_hours(write: Write) -> None:
    text = LU + "LU,2024-04-30T22:00:00Z,2024-05-01T00:00:00,4.25,0.0,2.5,3.25,0.0,,113.75,109.5\n"
    found = read_generation(write("lu.csv", text))
    watts = {plant.key: plant.days[date(2024, 5, 1)][0] for plant in found.plants}
    assert watts == {"LU_wind": 17_000_000, "LU_pv": 0, "LU_hydro": 10_000_000, "LU_biomass": 13_000_000}
    assert found.refused == ()  # an empty column that is not generation does not matter


def test_luxembourg_stamps_follow_summer_time_and_the_zone_is_checked(write: Write) -> None:
    rows = (
        "LU,2024-11-01T00:00:00Z,2024-11-01T01:00:00,1,0,1,1,0,0,1,0\n"
        "LU,2024-11-01T00:15:00Z,2024-11-01T02:15:00,1,0,1,1,0,0,1,0\n"
        "FR,2024-11-01T00:30:00Z,2024-11-01T01:30:00,1,0,1,1,0,0,1,0\n"
        "LU,2024-11-01T00:45:00Z,2024-11-01T01:45:00,-99,0,1,1,0,0,1,0\n"
    )
    found = read_generation(write("lu.csv", LU + rows))
    assert [(r.line, r.field) for r in found.refused] == [
        (3, "interval_start_local"),
        (4, "zone_id"),
        (5, "wind_onshore_mwh"),
    ]


def test_chinese_station_refuses_night_consumption_but_not_weather_sentinels(write: Write) -> None:
    weather = "6553.5,-99,0,8.1,916.6,22.0"
    rows = (
        f"CN_PV_1,50,2019-10-31T16:00:00Z,2019-11-01T00:00:00,0.0,0.0,{weather}\n"
        f"CN_PV_1,50,2019-10-31T16:15:00Z,2019-11-01T00:15:00,-0.0378,0.0,{weather}\n"
        f"CN_PV_1,50,2019-10-31T16:30:00Z,2019-11-01T00:30:00,60,0.0,{weather}\n"
        f"XX,50,2019-10-31T16:45:00Z,2019-11-01T00:45:00,1,0.0,{weather}\n"
    )
    found = read_generation(write("cn.csv", CN + rows))
    assert [(r.line, r.field) for r in found.refused] == [
        (3, "power_mw_raw"),
        (4, "power_mw_raw"),
        (5, "site_id"),
    ]
    assert found.plants[0].days[date(2019, 11, 1)][0] == 0


def test_nem_region_has_wind_and_sun(write: Write) -> None:
    rows = (
        "SA1,2024-07-31T14:00:00Z,2024-08-01T00:05:00,50,1,1,212.865,1,0.5,1,0\n"
        "XX1,2024-07-31T14:00:00Z,2024-08-01T00:05:00,50,1,1,1,1,1,1,0\n"
    )
    found = read_generation(write("nem.csv", NEM + rows))
    assert {p.key: p.days[date(2024, 8, 1)][0] for p in found.plants} == {
        "SA1_pv": 500_000,
        "SA1_wind": 212_865_000,
    }
    assert [r.field for r in found.refused] == ["region_id"]


def test_simbench_profiles_are_plants_of_one_megawatt(write: Write) -> None:
    names = "time;PV1;PV3;PV5;PV8;WP4;WP7;WP10;Hydro1"
    rows = (
        "04.05.2016 00:00;0;0;0;0;0.5;7.53E-05;1;0.2\n"
        "04.05.2016 00:15;0;0;0;0;-2E-06;0;0;0\n"
        "04.05.2016 00:20;0;0;0;0;0;0;0;0\n"
        "2016-05-04;0;0;0;0;0;0;0;0\n"
    )
    found = read_generation(write("RESProfile.csv", f"{names}\n{rows}"))
    watts = {p.key: p.days[date(2016, 5, 4)][0] for p in found.plants}
    assert (watts["WP4"], watts["WP7"], watts["WP10"]) == (500_000, 75, 1_000_000)
    assert found.zone_of["Hydro1"] == "Yunnan"
    assert [(r.line, r.field) for r in found.refused] == [(3, "WP4"), (4, "time"), (5, "time")]


def test_files_without_a_usable_row_or_format_are_errors(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="no usable row"):
        rts(write, "W,2020-04-01T08:05:00Z,2020-04-01T00:05:00,-1")
    with pytest.raises(DataFileError, match="no generation format"):
        read_generation(write("x.csv", "a,b\n"))
