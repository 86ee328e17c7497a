"""Fleet and replay files of the day's devices, and the two agent processes that run them."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from backend.day.children import bitwatt_command
from backend.day.stages.committee import device_key, node_urls
from backend.day.stages.context import Context
from backend.day.stages.physics import KIND_GENERATION, KIND_IMPORT, WORKLOAD, Device, Sample
from backend.day.stages.physics import PLANT as PLANT_ASSET

ROLES = ("meter", "workload")
_COLUMNS = ("start", "end", "quantity", "kind", "agreement_id", "delay_seconds")


def start(context: Context, devices: Sequence[Device], values: Iterable[Sample]) -> None:
    """Writes fleet and replays, and starts the agents that are not running; what they sent they remember."""
    folder = context.out / "agents"
    fleet = write_fleet(context, folder, devices, values)
    for role in ROLES:
        command = bitwatt_command(role, "--fleet", str(fleet))
        if not context.children.find(role):
            context.children.start(role, command, {})


def write_fleet(context: Context, folder: Path, devices: Sequence[Device], values: Iterable[Sample]) -> Path:
    """The fleet file, with every device's key and replay beside it; the same day writes the same files."""
    rows: defaultdict[int, list[Sample]] = defaultdict(list)
    for value in values:
        rows[value.meter_id].append(value)
    for device in devices:
        _write(folder / "replay" / f"{device.meter_id}.csv", _replay(context, rows[device.meter_id]))
        _write(folder / "keys" / f"{device.meter_id}.key", f"{device_key(context, device).secret:064x}\n")
    fleet = {
        "rpc": context.rpc.url,
        "book": str(context.out / "addresses.json"),
        "nodes": node_urls(context),
        "spool": "spool",
        "poll_seconds": 0.05,
        "devices": [_entry(device) for device in devices],
    }
    path = folder / "fleet.json"
    _write(path, json.dumps(fleet, indent=1))
    return path


def _entry(device: Device) -> dict[str, object]:
    entry: dict[str, object] = {
        "meter_id": device.meter_id,
        "role": "workload" if device.asset_kind == WORKLOAD else "meter",
        "asset_kind": device.asset_kind,
        "asset_id": device.asset_id,
        "key": f"keys/{device.meter_id}.key",
        "replay": f"replay/{device.meter_id}.csv",
    }
    if device.asset_kind != WORKLOAD:
        entry["kind"] = KIND_GENERATION if device.asset_kind == PLANT_ASSET else KIND_IMPORT
    return entry


def _replay(context: Context, samples: Iterable[Sample]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for sample in samples:
        writer.writerow(
            (
                context.slot_start(sample.slot),
                context.slot_start(sample.slot + 1),
                sample.quantity,
                sample.kind,
                f"{sample.agreement:064x}" if sample.agreement else "",
                sample.delay_slots * context.day.slot_seconds,
            )
        )
    return stream.getvalue()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".part")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
    scratch.replace(path)
