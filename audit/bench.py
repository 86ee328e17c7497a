"""`bitwatt bench audit`: how long the audit of a large generated day takes, and how much memory."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console

from audit.faults import ROOT, NoLibrary, load_library

CORES = 2
HOUR = 3600


@contextmanager
def _node(folder: Path) -> Iterator[str]:
    """A process that shows the recorded chain; its address."""
    script = ROOT / "tests" / "bench" / "recorded_node.py"
    command = [sys.executable, str(script), str(folder / "recording.pickle")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _memory(root: psutil.Process) -> int:
    """Proportional set size of a process and its children, bytes."""
    total = 0
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total


def measure(arguments: list[str]) -> dict[str, Any]:
    """Time, memory and verdicts of one `bitwatt audit`."""
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    command = [sys.executable, "-m", "bitwatt", "audit", *arguments, "--json"]
    peak, started = 0, time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        with subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE) as process:
            os.sched_setaffinity(process.pid, cores)
            watched = psutil.Process(process.pid)
            while process.poll() is None:
                with suppress(psutil.Error):
                    peak = max(peak, _memory(watched))
                time.sleep(0.25)
            seconds = time.perf_counter() - started
        output.seek(0)
        found = json.loads(output.read() or '{"error": "the audit said nothing"}')
    if "error" in found:
        raise RuntimeError(found["error"])
    counts = {name: found[name] for name in ("passed", "failed", "inconclusive")}
    failing = [item["name"] for item in found["checks"] if item["verdict"] != "pass"]
    return {"seconds": round(seconds, 1), "peak_bytes": peak, **counts, "not_passed": failing}


def bench(
    orders: Annotated[int, typer.Option(help="orders of the day", min=1)] = 100_000,
    readings: Annotated[int, typer.Option(help="readings of the day, about", min=1)] = 1_000_000,
    folder: Annotated[
        Path | None, typer.Option(help="keep the day here, and audit the one that is there already")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Generate a day, audit it on two cores, and audit one more hour after an audit that remembered."""
    try:
        load_library()  # makes the source tree's `tests` importable
    except NoLibrary as error:
        Console(stderr=True).print(f"bench audit: {error}", markup=False)
        raise typer.Exit(2) from None
    big_day = importlib.import_module("tests.bench.big_day")
    with tempfile.TemporaryDirectory() as scratch:
        place = folder or Path(scratch) / "day"
        if not (place / "made.json").is_file():
            place.mkdir(parents=True, exist_ok=True)
            made = big_day.make(place, big_day.published_abis(), orders, readings)
            (place / "made.json").write_text(json.dumps(made))
        made = json.loads((place / "made.json").read_text())
        state, end = Path(scratch) / "state", big_day.START + big_day.SLOTS * big_day.SLOT
        with _node(place) as url:
            common = ["--rpc", url, "--archive", str(place / "archive")]
            whole = measure(common)
            most = measure([*common, "--state", str(state), "--to", str(end - HOUR)])
            more = measure([*common, "--state", str(state), "--from", str(end - HOUR)])
    result = {"day": made, "cores": CORES, "whole": whole, "all_but_an_hour": most, "one_more_hour": more}
    if as_json:
        print(json.dumps(result, indent=1))
        return
    for name in ("whole", "all_but_an_hour", "one_more_hour"):
        run = result[name]
        text = f"{run['seconds']} s, {run['peak_bytes'] >> 20} MiB, {run['failed']} failed"
        Console().print(f"{name.replace('_', ' ')}: {text}", highlight=False)
