"""Readers of generation files: RTS-GMLC actual and day-ahead, Luxembourg, AEMO, Chinese PV, simbench."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from backend.day.errors import DataFileError, RefusedRow, RowError
from backend.day.sources.rows import (
    Once,
    Row,
    check_aligned,
    check_offset,
    integer,
    iter_rows,
    read_header,
    refusal,
    scaled,
    text_of,
    utc_of,
)
from backend.day.sources.series import Series, SeriesBuilder

SENTINELS_MICRO: Final = frozenset(
    round(value * 1_000_000) for value in (-99, -999, -9999, 6553.5, 9999, 65535)
)
MAX_MW: Final = 100_000
NAMEPLATE_TOLERANCE: Final = 1.05
RTS_OFFSET: Final = timedelta(hours=-8)
NEM_OFFSET: Final = timedelta(hours=10)
BEIJING_OFFSET: Final = timedelta(hours=8)
LU_COLUMNS: Final = {
    "wind": "wind_onshore_mwh",
    "pv": "pv_mwh",
    "hydro": "hydro_mwh",
    "biomass": "biomass_mwh",
}
SIMBENCH_PLANTS: Final[Mapping[str, tuple[str, str]]] = {
    "WP4": ("wind", "Inner Mongolia"),
    "PV5": ("pv", "Inner Mongolia"),
    "PV3": ("pv", "Gansu"),
    "WP7": ("wind", "Gansu"),
    "Hydro1": ("hydro", "Yunnan"),
    "PV8": ("pv", "Yunnan"),
    "WP10": ("wind", "Hebei"),
    "PV1": ("pv", "Guangdong"),
}
"""Profiles of simbench that stand for plants, and the zone where each is put."""
NEM_REGIONS: Final = ("NSW1", "QLD1", "SA1", "TAS1", "VIC1")


@dataclass(frozen=True)
class PlantSite:
    """A row of the site table: where a series' plant stands."""

    site_id: str
    technology: str
    bus_id: str
    bus_name: str
    area: int
    pmax_w: int


@dataclass(frozen=True)
class GenerationFile:
    """Watts by plant; `zone_of` says which price area each plant is in; `nameplate_w` where known."""

    format: str
    file: str
    plants: tuple[Series, ...]
    zone_of: Mapping[str, str]
    nameplate_w: Mapping[str, int]
    refused: tuple[RefusedRow, ...]


def power_w(row: Row, field: str, high_mw: int = MAX_MW, watts_per_unit: int = 1_000_000) -> int:
    """A generated power in watts: refuses negative and sentinel values, never clips them."""
    micro = scaled(row, field, 6)
    if micro in SENTINELS_MICRO:
        raise RowError(field, row[field], "is a sentinel for a missing value", "leave the row out instead")
    if micro < 0:
        raise RowError(field, row[field], "generation is negative", "meter own consumption apart, or write 0")
    if micro > high_mw * 1_000_000:
        raise RowError(field, row[field], f"is above {high_mw}", "check the unit and the point")
    return micro * watts_per_unit // 1_000_000


def read_generation(path: Path) -> GenerationFile:
    """Reads a generation file; the header decides the format."""
    names, _ = read_header(path)
    for columns, reader in _FORMATS:
        if set(columns) <= set(names):
            result = reader(path)
            if not result.plants:
                raise DataFileError(path.name, "rows", "no usable row", "see the refused rows for the mend")
            return result
    known = "; ".join(", ".join(columns) for columns, _ in _FORMATS)
    raise DataFileError(
        path.name, "header", f"is no generation format known here: {', '.join(names[:8])}", f"known: {known}"
    )


def read_rts_sites(path: Path) -> dict[str, PlantSite]:
    """The site table next to the RTS series; a broken row is an error, as it would hide a plant."""
    refused: list[RefusedRow] = []
    sites: dict[str, PlantSite] = {}
    for line, row in iter_rows(path, refused):
        try:
            technology = row["technology"].strip()
            kind = {"WIND": "wind", "PV": "pv", "RTPV": "pv", "HYDRO": "hydro"}.get(technology)
            if kind is None:
                raise RowError("technology", technology, "is unknown", "use WIND, PV, RTPV or HYDRO")
            site = PlantSite(
                text_of(row, "site_id"),
                kind,
                text_of(row, "bus_id"),
                text_of(row, "bus_name"),
                integer(row, "area", 1, 9),
                scaled(row, "pmax_mw", 6, 0, MAX_MW),
            )
        except (RowError, KeyError) as error:
            raise DataFileError(path.name, f"line {line}", str(error), "repair the site table") from error
        sites[site.site_id] = site
    if refused:
        raise DataFileError(path.name, f"line {refused[0].line}", refused[0].reason, refused[0].mend)
    return sites


def _read_rts(path: Path, value: str, step_s: int, form: str) -> GenerationFile:
    table = path.with_name("rts_sites.csv")
    if not table.exists():
        raise DataFileError(
            path.name,
            "rts_sites.csv",
            "the site table is not beside the file",
            "put rts_sites.csv in its folder",
        )
    sites = read_rts_sites(table)
    refused: list[RefusedRow] = []
    builders: dict[str, SeriesBuilder] = {}
    once = Once("interval_start_utc")
    for line, row in iter_rows(path, refused):
        try:
            key = row["site_id"].strip()
            site = sites.get(key)
            if site is None:
                raise RowError("site_id", key, "is not in rts_sites.csv", "add the site or drop the row")
            start = utc_of(row, "interval_start_utc")
            check_offset(row, "interval_start_utc", "interval_start_local", RTS_OFFSET)
            check_aligned("interval_start_utc", start, step_s)
            watts = power_w(row, value)
            if watts > site.pmax_w * NAMEPLATE_TOLERANCE:
                raise RowError(value, row[value], "is more than the site's pmax_mw", "check the unit")
            once.check((key, start), row["interval_start_utc"], line)
        except RowError as error:
            refused.append(refusal(path, line, error))
            continue
        builder = builders.setdefault(key, SeriesBuilder(key, site.technology, step_s))
        builder.put(start.replace(tzinfo=None) + RTS_OFFSET, watts)
    return GenerationFile(
        form,
        path.name,
        tuple(builders[key].build() for key in sorted(builders)),
        {key: f"RTS-{sites[key].area}" for key in sorted(builders)},
        {key: sites[key].pmax_w for key in sorted(builders)},
        tuple(refused),
    )


def _read_rts_actual(path: Path) -> GenerationFile:
    return _read_rts(path, "actual_mw", 300, "rts_actual_5min")


def _read_rts_day_ahead(path: Path) -> GenerationFile:
    return _read_rts(path, "day_ahead_mw", 3600, "rts_day_ahead_hourly")


def _read_lu(path: Path) -> GenerationFile:
    zone = ZoneInfo("Europe/Berlin")
    builders = {kind: SeriesBuilder(f"LU_{kind}", kind, 900) for kind in LU_COLUMNS}
    refused: list[RefusedRow] = []
    once = Once("interval_start_utc")
    for line, row in iter_rows(path, refused):
        try:
            if row["zone_id"].strip() != "LU":
                raise RowError("zone_id", row["zone_id"], "is an unknown zone", "this format holds zone LU")
            start = utc_of(row, "interval_start_utc")
            offset = start.astimezone(zone).utcoffset() or timedelta(0)
            check_offset(row, "interval_start_utc", "interval_start_local", offset)
            check_aligned("interval_start_utc", start, 900)
            # MWh in a quarter hour: W = MWh x 4,000,000.
            values = {kind: power_w(row, field, 5_000, 4_000_000) for kind, field in LU_COLUMNS.items()}
            once.check(start, row["interval_start_utc"], line)
        except RowError as error:
            refused.append(refusal(path, line, error))
            continue
        for kind, watts in values.items():
            builders[kind].put(start.replace(tzinfo=None) + offset, watts)
    plants = tuple(series for b in builders.values() if (series := b.build()).days)
    return GenerationFile("lu_15min", path.name, plants, {p.key: "LU" for p in plants}, {}, tuple(refused))


def _read_aemo(path: Path) -> GenerationFile:
    builders: dict[str, SeriesBuilder] = {}
    zone_of: dict[str, str] = {}
    refused: list[RefusedRow] = []
    once = Once("interval_start_utc")
    for line, row in iter_rows(path, refused):
        try:
            region = nem_region(row)
            start = utc_of(row, "interval_start_utc")
            check_aligned("interval_start_utc", start, 300)
            values = {
                "wind": power_w(row, "wind_available_mw"),
                "pv": power_w(row, "solar_available_mw"),
            }
            once.check((region, start), row["interval_start_utc"], line)
        except RowError as error:
            refused.append(refusal(path, line, error))
            continue
        for kind, watts in values.items():
            key = f"{region}_{kind}"
            zone_of[key] = region
            builder = builders.setdefault(key, SeriesBuilder(key, kind, 300))
            builder.put(start.replace(tzinfo=None) + NEM_OFFSET, watts)
    plants = tuple(builders[key].build() for key in sorted(builders))
    return GenerationFile("aemo_region_5min", path.name, plants, zone_of, {}, tuple(refused))


def nem_region(row: Row) -> str:
    """A region of the Australian market; raises `RowError` for others."""
    region = row["region_id"].strip()
    if region not in NEM_REGIONS:
        raise RowError("region_id", region, "is an unknown zone", f"use one of {', '.join(NEM_REGIONS)}")
    return region


def _read_cn_pv(path: Path) -> GenerationFile:
    builders: dict[str, SeriesBuilder] = {}
    nameplate: dict[str, int] = {}
    refused: list[RefusedRow] = []
    once = Once("interval_start_utc")
    for line, row in iter_rows(path, refused):
        try:
            key = text_of(row, "site_id")
            if not key.startswith("CN_PV_"):
                raise RowError("site_id", key, "is an unknown station", "stations are named CN_PV_n")
            start = utc_of(row, "interval_start_utc")
            check_offset(row, "interval_start_utc", "interval_start_local", BEIJING_OFFSET)
            check_aligned("interval_start_utc", start, 900)
            capacity = scaled(row, "capacity_mw", 6, 0, MAX_MW)
            watts = power_w(row, "power_mw_raw")
            if watts > capacity * NAMEPLATE_TOLERANCE:
                raise RowError(
                    "power_mw_raw", row["power_mw_raw"], "is more than capacity_mw", "check the unit"
                )
            once.check((key, start), row["interval_start_utc"], line)
        except RowError as error:
            refused.append(refusal(path, line, error))
            continue
        nameplate[key] = capacity
        builder = builders.setdefault(key, SeriesBuilder(key, "pv", 900))
        builder.put(start.replace(tzinfo=None) + BEIJING_OFFSET, watts)
    plants = tuple(builders[key].build() for key in sorted(builders))
    return GenerationFile(
        "cn_pv_15min", path.name, plants, {p.key: p.key for p in plants}, nameplate, tuple(refused)
    )


def read_simbench(path: Path, keep: Callable[[str], bool] | None = None) -> GenerationFile:
    """simbench `RESProfile.csv`: the per-unit profiles of `SIMBENCH_PLANTS`, read as plants of 1 MW each.

    `keep` drops lines by their raw text, so that one day is read without parsing a year.
    """
    builders = {name: SeriesBuilder(name, kind, 900) for name, (kind, _) in SIMBENCH_PLANTS.items()}
    refused: list[RefusedRow] = []
    once = Once("time")
    for line, row in iter_rows(path, refused, keep):
        try:
            try:
                local = datetime.strptime(row["time"].strip(), "%d.%m.%Y %H:%M")
            except ValueError:
                raise RowError("time", row["time"], "is not a time", "write it as DD.MM.YYYY HH:MM") from None
            check_aligned("time", local, 900)
            values = {name: power_w(row, name, 2) for name in SIMBENCH_PLANTS}
            once.check(local, row["time"], line)
        except RowError as error:
            refused.append(refusal(path, line, error))
            continue
        for name, watts in values.items():
            builders[name].put(local, watts)
    plants = tuple(series for n in sorted(builders) if (series := builders[n].build()).days)
    nameplate = {plant.key: 1_000_000 for plant in plants}
    zones = {name: zone for name, (_, zone) in SIMBENCH_PLANTS.items()}
    return GenerationFile("simbench", path.name, plants, zones, nameplate, tuple(refused))


_FORMATS: Final[tuple[tuple[tuple[str, ...], Callable[[Path], GenerationFile]], ...]] = (
    (("site_id", "interval_start_utc", "interval_start_local", "actual_mw"), _read_rts_actual),
    (("site_id", "interval_start_utc", "interval_start_local", "day_ahead_mw"), _read_rts_day_ahead),
    (("zone_id", "interval_start_utc", "interval_start_local", *LU_COLUMNS.values()), _read_lu),
    (("site_id", "capacity_mw", "interval_start_utc", "interval_start_local", "power_mw_raw"), _read_cn_pv),
    (("region_id", "interval_start_utc", "wind_available_mw", "solar_available_mw"), _read_aemo),
    (("time", *SIMBENCH_PLANTS), read_simbench),
)
