"""`bitwatt intrusion`: reads the service's JSON access log and tells of signs of penetration."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from backend.service.intrusion import Alert, Request, Watch

EVERY = 10_000


def parse(line: str) -> Request | None:
    """The access record in a log line; None for other lines, also damaged ones."""
    try:
        record = json.loads(line)
        if record["logger"] != "bitwatt.access":
            return None
        at = datetime.fromisoformat(str(record["at"]).replace(",", "."))
        return Request(
            (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp(),
            str(record["client"]),
            str(record["method"]),
            str(record["route"]),
            str(record["path"]),
            int(record["status"]),
            str(record.get("request_id", "")),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _lines(paths: list[Path], follow: bool) -> Iterator[str]:
    for path in paths:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
            while follow and path == paths[-1]:
                line = file.readline()
                if line:
                    yield line
                else:
                    time.sleep(0.5)


def as_row(alert: Alert) -> dict[str, Any]:
    """An alert with times in ISO 8601."""
    times = {
        name: datetime.fromtimestamp(getattr(alert, name), UTC).isoformat()
        for name in ("start", "told", "end")
    }
    return {**asdict(alert), **times}


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def intrusion(
    logs: Annotated[
        list[Path], typer.Argument(help="access logs, oldest first", exists=True, dir_okay=False)
    ],
    follow: Annotated[
        bool, typer.Option("--follow", help="go on with what is added to the last file; a line per alert")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="print machine-readable JSON")] = False,
) -> None:
    """Tell who scans, guesses, probes, injects or floods; exit 1 if somebody does."""
    watch, alerts, number, read = Watch(), [], 0, 0
    for line in _lines(logs, follow):
        request = parse(line)
        read += 1
        if request is None:
            continue
        number += 1
        if number % EVERY == 0:
            watch.forget(request.at)
        for alert in watch.take(request):
            alerts.append(alert)
            if follow:
                print(json.dumps(as_row(alert)), flush=True)
    if read and not number:
        text = "no access record with client and path; the service writes them with BITWATT_LOG_JSON=true"
        Console(stderr=True).print(f"bitwatt intrusion: {text}", markup=False)
        raise typer.Exit(2)
    if json_output:
        json.dump({"requests": number, "alerts": [as_row(alert) for alert in alerts]}, sys.stdout, indent=1)
        print()
    elif not follow:
        for alert in alerts:
            row = as_row(alert)
            text = f"{row['start']} to {row['end']}  {alert.client}  {alert.kind}: {alert.count} requests"
            Console().print(f"{text}, e.g. {alert.examples[0]}", markup=False, highlight=False)
        Console().print(f"{number:,} requests, {len(alerts)} signs of intrusion", highlight=False)
    if alerts:
        raise typer.Exit(1)
