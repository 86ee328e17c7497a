"""Readers of grid carbon: EIA mix, Electricity Maps, Chinese factors, Google regions. mg per kWh.

Hourly files are series by local day; annual files are one number per zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from backend.carbon.factors import EIA_MIX_G_PER_KWH, mix_intensity_mg_per_kwh
from backend.day.errors import DataFileError, RefusedRow, RowError
from backend.day.sources.rows import (
    Once,
    Row,
    check_aligned,
    integer,
    iter_rows,
    read_header,
    refusal,
    scaled,
    text_of,
    utc_of,
)
from backend.day.sources.series import Series, SeriesBuilder

MAX_G_PER_KWH: Final = 2_000
ZONE_TIME: Final[Mapping[str, tzinfo]] = MappingProxyType(
    {
        "ERCO": ZoneInfo("America/Chicago"),
        "CISO": ZoneInfo("America/Los_Angeles"),
        "MISO": ZoneInfo("America/Chicago"),
        "DE": ZoneInfo("Europe/Berlin"),
        "AU-NSW": timezone(timedelta(hours=10)),
    }
)
"""Local time of the hourly files' zones; New South Wales on market time (no daylight saving)."""
MIX_TOLERANCE_MG: Final = 1
"""The EIA file's intensity must equal the one of its own mix to a milligram per kWh."""


@dataclass(frozen=True)
class CarbonFile:
    """Either `hourly` series or `annual` mg per kWh by zone name."""

    format: str
    file: str
    hourly: tuple[Series, ...]
    annual: Mapping[str, int]
    refused: tuple[RefusedRow, ...]


def read_carbon(path: Path) -> CarbonFile:
    """Reads a carbon file; the header decides the format."""
    names, _ = read_header(path)
    have = set(names)
    if {"zone_id", "interval_start_utc", *EIA_MIX_G_PER_KWH, "ci_lifecycle_g_per_kwh"} <= have:
        result = _read_hourly(path, "eia_mix", ("ERCO", "CISO", "MISO"))
    elif {"zone_id", "interval_start_utc", "ci_direct_g_per_kwh", "ci_lifecycle_g_per_kwh"} <= have:
        result = _read_hourly(path, "electricity_maps", ("DE", "AU-NSW"))
    elif {"year", "level", "name_en", "factor_kgco2_per_kwh"} <= have:
        result = _read_annual(path, "cn_grid_factors", "name_en", "factor_kgco2_per_kwh", 6)
    elif {"year", "cloud_region", "grid_ci_g_per_kwh"} <= have:
        result = _read_annual(path, "google_region", "cloud_region", "grid_ci_g_per_kwh", 3)
    else:
        raise DataFileError(
            path.name,
            "header",
            f"is no carbon format known here: {', '.join(names[:8])}",
            "known: EIA mix, Electricity Maps, Chinese grid factors, Google regions",
        )
    if not result.hourly and not result.annual:
        raise DataFileError(path.name, "rows", "no usable row", "see the format's columns and units")
    return result


def _read_hourly(path: Path, form: str, zones: tuple[str, ...]) -> CarbonFile:
    refused: list[RefusedRow] = []
    builders: dict[str, SeriesBuilder] = {}
    once = Once("interval_start_utc")
    for line, row in iter_rows(path, refused):
        try:
            zone = row["zone_id"].strip()
            if zone not in zones:
                raise RowError("zone_id", zone, "is an unknown zone", f"use one of {', '.join(zones)}")
            start = utc_of(row, "interval_start_utc")
            check_aligned("interval_start_utc", start, 3600)
            value = scaled(row, "ci_lifecycle_g_per_kwh", 3, 0, MAX_G_PER_KWH)
            if form == "eia_mix":
                _check_mix(row, value)
            once.check((zone, start), row["interval_start_utc"], line)
        except RowError as error:
            refused.append(refusal(path, line, error))
            continue
        builders.setdefault(zone, SeriesBuilder(zone, form, 3600)).put(_local(zone, start), value)
    series = tuple(builders[zone].build() for zone in sorted(builders))
    return CarbonFile(form, path.name, series, {}, tuple(refused))


def _local(zone: str, start: datetime) -> datetime:
    return start.astimezone(ZONE_TIME[zone]).replace(tzinfo=None)


def _check_mix(row: Row, value: int) -> None:
    megawatts = {column: scaled(row, column, 3, 0, 10_000_000) for column in EIA_MIX_G_PER_KWH}
    if sum(megawatts.values()) == 0:
        raise RowError("wind_mw", row["wind_mw"], "no fuel generated anything", "give the hour's mix")
    if abs(mix_intensity_mg_per_kwh(megawatts) - value) > MIX_TOLERANCE_MG:
        raise RowError(
            "ci_lifecycle_g_per_kwh",
            row["ci_lifecycle_g_per_kwh"],
            "is not the intensity of the row's own mix",
            "recompute it from the life-cycle factors",
        )


def _read_annual(path: Path, form: str, key: str, value: str, decimals: int) -> CarbonFile:
    refused: list[RefusedRow] = []
    latest: dict[str, tuple[int, int]] = {}
    once = Once("year")
    for line, row in iter_rows(path, refused):
        try:
            name = text_of(row, key)
            year = integer(row, "year", 1990, 2100)
            high = MAX_G_PER_KWH if decimals == 3 else MAX_G_PER_KWH // 1000
            amount = scaled(row, value, decimals, 0, high)
            once.check((name, year), f"{name} {year}", line)
        except RowError as error:
            refused.append(refusal(path, line, error))
            continue
        latest[name] = max(latest.get(name, (0, 0)), (year, amount))
    annual = {name: latest[name][1] for name in sorted(latest)}
    return CarbonFile(form, path.name, (), annual, tuple(refused))
