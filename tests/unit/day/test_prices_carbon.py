"""Prices and carbon: exact units, bands, zones, duplicates."""

from __future__ import annotations

from datetime import date

import pytest

from backend.day.errors import DataFileError
from backend.day.sources.carbon import read_carbon
from backend.day.sources.prices import read_price
from tests.unit.day.writing import Write

NEM = "region_id,interval_start_utc,settlement_date_nem,price_aud_per_mwh\n"
DELU = "zone_id,interval_start_utc,price_eur_per_mwh\n"
RTS = "bus_id,interval_start_utc,interval_start_local,lmp_usd_per_mwh\n"
EIA = (
    "zone_id,interval_start_utc,wind_mw,solar_mw,hydro_mw,oil_mw,gas_mw,coal_mw,nuclear_mw,other_mw,"
    "ci_lifecycle_g_per_kwh\n"
)
EIA_ROW = "ERCO,2022-04-01T00:00:00Z,3751.0,1259.0,116.0,0.0,23369.0,8091.0,5111.0,122.0,436.894378\n"
EM = (
    "zone_id,interval_start_utc,ci_direct_g_per_kwh,ci_lifecycle_g_per_kwh,low_carbon_pct,renewable_pct,"
    "data_source,estimated,estimation_method\n"
)


def test_prices_are_nano_currency_per_kwh_on_the_local_day(write: Write) -> None:
    nem = read_price(write("n.csv", NEM + "SA1,2021-04-28T14:00:00Z,2021-04-29T00:05:00,145.66559\n"))
    assert (nem.currency, nem.zones[0].days[date(2021, 4, 29)][0]) == ("AUD", 145_665_590)
    delu = read_price(write("d.csv", DELU + "DE-LU,2024-04-30T22:00:00Z,-66.81\n"))
    assert (delu.currency, delu.zones[0].days[date(2024, 5, 1)][0]) == ("EUR", -66_810_000)
    rts = read_price(write("r.csv", RTS + "101,2020-07-05T08:00:00Z,2020-07-05T00:00:00,22.7325\n"))
    assert (rts.currency, rts.zones[0].days[date(2020, 7, 5)][0]) == ("USD", 22_732_500)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("SA1,2021-04-28T14:05:00Z,2021-04-29T00:10:00,17500.01", "price_aud_per_mwh"),
        ("SA1,2021-04-28T14:05:00Z,2021-04-29T00:10:00,-1000.01", "price_aud_per_mwh"),
        ("SA1,2021-04-28T14:05:00Z,2021-04-29T00:10:00,inf", "price_aud_per_mwh"),
        ("SA1,2021-04-28T14:05:00Z,2021-04-29T00:10:00,", "price_aud_per_mwh"),
        ("SA9,2021-04-28T14:05:00Z,2021-04-29T00:10:00,1", "region_id"),
        ("SA1,2021-04-28T14:05:00Z,2021-04-29T00:05:00,1", "settlement_date_nem"),
        ("SA1,2021-04-28T14:02:00Z,2021-04-29T00:07:00,1", "interval_start_utc"),
        ("SA1,2021-04-28T14:00:00Z,2021-04-29T00:05:00,1", "interval_start_utc"),
    ],
)
def test_bad_price_row_is_refused(write: Write, row: str, field: str) -> None:
    good = "SA1,2021-04-28T14:00:00Z,2021-04-29T00:05:00,17500\n"
    found = read_price(write("n.csv", NEM + good + row + "\n"))
    assert [(r.line, r.field) for r in found.refused] == [(3, field)]
    assert [v for v in found.zones[0].days[date(2021, 4, 29)] if v is not None] == [17_500_000_000]


def test_unknown_bus_and_zone_are_refused(write: Write) -> None:
    good = "101,2020-07-05T08:00:00Z,2020-07-05T00:00:00,1\n"
    rts = read_price(write("r.csv", RTS + good + "999,2020-07-05T08:00:00Z,2020-07-05T00:00:00,1\n"))
    assert [r.field for r in rts.refused] == ["bus_id"]
    delu = read_price(write("d.csv", DELU + "DE-LU,2024-04-30T22:00:00Z,1\nFR,2024-04-30T22:00:00Z,1\n"))
    assert [r.field for r in delu.refused] == ["zone_id"]


def test_formats_of_price_and_carbon_are_told_by_their_header(write: Write) -> None:
    for read in (read_price, read_carbon):
        with pytest.raises(DataFileError, match="header"):
            read(write("x.csv", "a,b\n1,2\n"))
        with pytest.raises(DataFileError):
            read(write("y.csv", ""))


def test_eia_intensity_is_checked_against_its_own_mix(write: Write) -> None:
    wrong = EIA_ROW.replace("2022-04-01T00", "2022-04-01T01").replace("436.894378", "300.0")
    found = read_carbon(write("e.csv", EIA + EIA_ROW + wrong))
    # 2022-04-01T00:00Z is 19:00 of the day before in Texas (daylight saving)
    assert found.hourly[0].days[date(2022, 3, 31)][19] == 436_894
    (refused,) = found.refused
    assert (refused.line, refused.field) == (3, "ci_lifecycle_g_per_kwh")


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("ERCO", "XXXX", "zone_id"),
        ("3751.0", "-3751.0", "wind_mw"),
        ("436.894378", "-1", "ci_lifecycle_g_per_kwh"),
        ("436.894378", "nan", "ci_lifecycle_g_per_kwh"),
        ("T00:00:00Z", "T00:30:00Z", "interval_start_utc"),
    ],
)
def test_bad_eia_row_is_refused(write: Write, old: str, new: str, field: str) -> None:
    good = EIA_ROW.replace("2022-04-01T00", "2022-04-02T00")
    found = read_carbon(write("e.csv", EIA + good + EIA_ROW.replace(old, new)))
    assert [(r.line, r.field) for r in found.refused] == [(3, field)]


def test_electricity_maps_is_joined_in_the_zones_own_time(write: Write) -> None:
    rows = (
        "DE,2024-04-30T22:00:00Z,210.42,261.16,76.3,69.78,entsoe.eu,false,\n"
        "AU-NSW,2021-04-28T14:00:00Z,700,761.5,1,1,x,false,\n"
        "FR,2021-04-28T14:00:00Z,700,761.5,1,1,x,false,\n"
    )
    found = read_carbon(write("em.csv", EM + rows))
    by_zone = {series.key: series for series in found.hourly}
    assert by_zone["DE"].days[date(2024, 5, 1)][0] == 261_160
    assert by_zone["AU-NSW"].days[date(2021, 4, 29)][0] == 761_500
    assert [r.field for r in found.refused] == ["zone_id"]


def test_annual_factors_take_the_latest_year_and_refuse_nonsense(write: Write) -> None:
    chinese = read_carbon(
        write(
            "cn.csv",
            "year,level,name_zh,name_en,factor_kgco2_per_kwh\n2021,province,云南,Yunnan,0.2\n"
            "2022,province,云南,Yunnan,0.1073\n2022,province,云南,Yunnan,0.1\n2022,province,河北,Hebei,725.2\n",
        )
    )
    assert chinese.annual == {"Yunnan": 107_300}
    assert [(r.line, r.field) for r in chinese.refused] == [(4, "year"), (5, "factor_kgco2_per_kwh")]
    google = read_carbon(
        write(
            "g.csv",
            "year,cloud_region,location,google_cfe_share,grid_ci_g_per_kwh\n2024,us-west4,LV,0.6,656.85\n",
        )
    )
    assert google.annual == {"us-west4": 656_850}
