"""A replay of a real series: one column of a CSV file as a meter would have measured it.

Settings: `path`, `time` and `value` (columns), `unit` (W, kW, MW for mean power; Wh, kWh, MWh for energy),
`interval_seconds`, `nameplate_w`, and optionally `where` ({column: value}) and `shift_seconds`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oracle.agents.vee import Measure, of_value

MILLIWATTS = {"W": 1e3, "kW": 1e6, "MW": 1e9}
MILLIWATT_HOURS = {"Wh": 1e3, "kWh": 1e6, "MWh": 1e9}


class SeriesError(Exception):
    """A series that cannot be replayed; names file, line and column."""


def read_series(path: Path, settings: Mapping[str, Any]) -> Iterator[tuple[int, Measure]]:
    """(start in unix seconds, measure) of every row that `where` selects."""
    seconds = int(settings["interval_seconds"])
    unit = str(settings["unit"])
    if unit in MILLIWATTS:
        factor = MILLIWATTS[unit] * seconds / 3600
    elif unit in MILLIWATT_HOURS:
        factor = MILLIWATT_HOURS[unit]
    else:
        raise SeriesError(f"{path}: unit: {unit!r} is none of {', '.join([*MILLIWATTS, *MILLIWATT_HOURS])}")
    most = int(settings["nameplate_w"]) * seconds * 1000 // 3600
    shift = int(settings.get("shift_seconds", 0))
    where = {str(name): str(value) for name, value in dict(settings.get("where", {})).items()}
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        for name in (settings["time"], settings["value"], *where):
            if name not in (rows.fieldnames or ()):
                raise SeriesError(f"{path}: column {name!r} is not there")
        for line, row in enumerate(rows, start=2):
            if any(row[name] != value for name, value in where.items()):
                continue
            text = row[settings["value"]]
            try:
                start = _unix(row[settings["time"]])
                value = float(text) if text else None
            except ValueError as error:
                raise SeriesError(f"{path}: line {line}: {error}") from None
            yield start + shift, of_value(value, factor, most)


def _unix(text: str) -> int:
    when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
