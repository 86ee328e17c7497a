"""Readers of wholesale prices: AEMO regions, DE-LU, RTS nodes. Nano-currency per kWh, exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from backend.day.errors import DataFileError, RefusedRow, RowError
from backend.day.sources.generation import NEM_OFFSET, RTS_OFFSET, nem_region
from backend.day.sources.rows import (
    Once,
    Row,
    check_aligned,
    check_offset,
    iter_rows,
    read_header,
    refusal,
    scaled,
    utc_of,
)
from backend.day.sources.series import Series, SeriesBuilder

BANDS: Final = {"AUD": (-1_000, 17_500), "EUR": (-500, 5_000), "USD": (-250, 2_000)}
"""Lawful price band per MWh: NEM floor and cap 2024-25, European day-ahead limits, US offer cap."""
RTS_BUSES: Final = frozenset(
    str(bus) for first, last in ((101, 124), (201, 224), (301, 325)) for bus in range(first, last + 1)
)
_BERLIN: Final = ZoneInfo("Europe/Berlin")


@dataclass(frozen=True)
class PriceFile:
    """Nano-currency per kWh (= currency per MWh x 10^6) by zone; `Series.kind` is the currency."""

    format: str
    file: str
    currency: str
    zones: tuple[Series, ...]
    refused: tuple[RefusedRow, ...]


def read_price(path: Path) -> PriceFile:
    """Reads a price file; the header decides the format."""
    names, _ = read_header(path)
    for columns, form, currency, step_s, place in _FORMATS:
        if set(columns) <= set(names):
            return _read(path, columns[0], columns[-1], form, currency, step_s, place)
    known = "; ".join(", ".join(columns) for columns, *_ in _FORMATS)
    raise DataFileError(
        path.name, "header", f"is no price format known here: {', '.join(names[:8])}", f"known: {known}"
    )


def _read(
    path: Path,
    key_field: str,
    value_field: str,
    form: str,
    currency: str,
    step_s: int,
    place: Callable[[Row], tuple[str, datetime, datetime]],
) -> PriceFile:
    low, high = BANDS[currency]
    refused: list[RefusedRow] = []
    builders: dict[str, SeriesBuilder] = {}
    once = Once("interval_start_utc")
    for line, row in iter_rows(path, refused):
        try:
            key, start, local = place(row)
            check_aligned("interval_start_utc", start, step_s)
            nano = scaled(row, value_field, 6)
            if not low * 10**6 <= nano <= high * 10**6:
                raise RowError(
                    value_field,
                    row[value_field],
                    f"is outside the price band {low}..{high} {currency}/MWh",
                    "check the unit and the point",
                )
            once.check((key, start), row["interval_start_utc"], line)
        except RowError as error:
            refused.append(refusal(path, line, error))
            continue
        builders.setdefault(key, SeriesBuilder(key, currency, step_s)).put(local, nano)
    if not builders:
        raise DataFileError(path.name, "rows", "no usable row", "see the format's columns and units")
    zones = tuple(builders[key].build() for key in sorted(builders))
    return PriceFile(form, path.name, currency, zones, tuple(refused))


def _aemo(row: Row) -> tuple[str, datetime, datetime]:
    region = nem_region(row)
    start = utc_of(row, "interval_start_utc")
    check_offset(row, "interval_start_utc", "settlement_date_nem", NEM_OFFSET + timedelta(minutes=5))
    return region, start, start.replace(tzinfo=None) + NEM_OFFSET


def _delu(row: Row) -> tuple[str, datetime, datetime]:
    if row["zone_id"].strip() != "DE-LU":
        raise RowError("zone_id", row["zone_id"], "is an unknown zone", "this format holds zone DE-LU")
    start = utc_of(row, "interval_start_utc")
    return "DE-LU", start, start.astimezone(_BERLIN).replace(tzinfo=None)


def _rts(row: Row) -> tuple[str, datetime, datetime]:
    bus = row["bus_id"].strip()
    if bus not in RTS_BUSES:
        raise RowError("bus_id", bus, "is an unknown zone", "RTS buses are 101-124, 201-224 and 301-325")
    start = utc_of(row, "interval_start_utc")
    check_offset(row, "interval_start_utc", "interval_start_local", RTS_OFFSET)
    return bus, start, start.replace(tzinfo=None) + RTS_OFFSET


_FORMATS: Final = (
    (
        ("region_id", "interval_start_utc", "settlement_date_nem", "price_aud_per_mwh"),
        "aemo_region_5min",
        "AUD",
        300,
        _aemo,
    ),
    (("zone_id", "interval_start_utc", "price_eur_per_mwh"), "delu_day_ahead_hourly", "EUR", 3600, _delu),
    (
        ("bus_id", "interval_start_utc", "interval_start_local", "lmp_usd_per_mwh"),
        "rts_lmp_hourly",
        "USD",
        3600,
        _rts,
    ),
)
