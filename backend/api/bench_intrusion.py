"""`bitwatt bench intrusion`: detection and false alarms of access-log rules and meter screening."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from backend.day.embedded import simbench_profiles
from backend.day.errors import DataFileError
from backend.day.sources.generation import read_generation, read_simbench
from backend.day.sources.series import Series
from backend.service.intrusion_trials import measure as measure_network
from oracle.false_data import Plant
from oracle.false_data import measure as measure_meters
from oracle.wire.screen import Metered

SOURCES = {"pv": 1, "rtpv": 1, "wind": 2, "hydro": 3}
MAX_DAYS = 28
EMBEDDED_DAYS = 14


def _longest(series: Series) -> Iterator[int]:
    """The values of the longest run of days without a gap, W."""
    best: list[date] = []
    run: list[date] = []
    for day, values in series.days.items():
        whole = all(value is not None for value in values)
        run = [*run, day] if whole and run and day == run[-1] + timedelta(days=1) else [day] * whole
        best = max(best, run, key=len)
    for day in best[:MAX_DAYS]:
        yield from (value or 0 for value in series.days[day])


def _plants(folder: Path | None) -> list[Plant]:
    """Generation series of the files in a folder, or of the embedded profiles."""
    if folder is None:
        prefixes = tuple(f"{day:02d}.07.2016" for day in range(1, EMBEDDED_DAYS + 1))
        files = [read_simbench(simbench_profiles(), lambda line: line.startswith(prefixes))]
    else:
        files = []
        for path in sorted(folder.glob("*.csv")):
            try:
                files.append(read_generation(path))
            except DataFileError:
                continue  # site tables and forecasts stand in the same folder
    found = []
    for file in files:
        for series in file.plants:
            source = SOURCES.get(series.kind.lower())
            values = tuple(watts * series.step_s * 1000 // 3600 for watts in _longest(series))
            if source is None or not any(values) or len(values) < 6 * 96:
                continue
            nameplate = file.nameplate_w.get(series.key) or max(values) * 3600 // series.step_s // 1000
            found.append(
                Plant(f"{file.file} {series.key}", Metered(nameplate, source), series.step_s, values)
            )
    return found


def bench(
    data: Annotated[
        Path | None, typer.Option(help="folder of generation series; default: embedded profiles", exists=True)
    ] = None,
    trials: Annotated[int, typer.Option(help="attacks of each kind", min=1)] = 40,
    days: Annotated[int, typer.Option(help="days of honest traffic", min=1)] = 3,
    seed: Annotated[int, typer.Option(help="draws traffic, attacks and faults", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Attack made-up traffic and real generation series; count what is noticed and what is not."""
    plants = _plants(data)
    if len(plants) < 2:
        Console(stderr=True).print(f"bench intrusion: --data {data} holds fewer than two series of six days")
        raise typer.Exit(2)
    network, meters = measure_network(days, trials, seed), measure_meters(plants, trials, seed)
    if as_json:
        print(json.dumps({"seed": seed, "network": network, "meters": meters}, indent=1))
        return
    console = Console()
    for name, found, what in (("network", network, "attack"), ("meters", meters, "fault")):
        console.print(f"\n{name}", style="bold")
        for row in found["rows"]:  # type: ignore[attr-defined]
            console.print(f"  {row[what]:<34}{row['caught']:>4} of {row['trials']}", highlight=False)
        for key, value in found["figures"].items():  # type: ignore[attr-defined]
            console.print(f"  {key.replace('_', ' ')}: {value}", highlight=False)
