"""The fleet file: which devices a process runs, where their keys are, and what they replay."""

from __future__ import annotations

import csv
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oracle.agents.drivers.series import SeriesError, read_series
from oracle.wire.errors import WireError
from oracle.wire.keys import P256_ORDER, DeviceKey
from oracle.wire.reading import NO_AGREEMENT

ROLES = ("meter", "workload")


class FleetError(Exception):
    """A fleet or replay file that cannot be used; names file, line and field."""


@dataclass(frozen=True, slots=True)
class FleetDevice:
    """One device; `kind` is the kind of its rows where they name none.

    It either replays a file of rows, or has a driver: settings whose `kind` says which one.
    """

    meter_id: int
    role: str
    asset_kind: int
    asset_id: int
    kind: int
    key: Path
    replay: Path | None = None
    driver: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Paths are relative to the fleet file. `key_seed` makes keys reproducible, for demonstrations only."""

    rpc: str
    book: Path
    nodes: tuple[str, ...]
    spool: Path
    devices: tuple[FleetDevice, ...]
    poll_seconds: float = 0.03
    key_seed: str = ""

    def of_role(self, role: str) -> tuple[FleetDevice, ...]:
        """The devices that run in a process of that role."""
        return tuple(device for device in self.devices if device.role == role)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a replay: an interval value (mWh or resource-ms), and how late it is reported."""

    start: int
    end: int
    kind: int
    quantity: int
    agreement_id: bytes = NO_AGREEMENT
    quality: int = 0
    delay_seconds: int = 0


def load_fleet(path: Path) -> Fleet:
    """The fleet in `path`; raises FleetError naming the field."""
    try:
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        here = path.parent
        devices = tuple(_device(here, number, entry) for number, entry in enumerate(table["devices"]))
        fleet = Fleet(
            rpc=str(table["rpc"]),
            book=(here / table["book"]).resolve(),
            nodes=tuple(str(url).rstrip("/") for url in table["nodes"]),
            spool=(here / table["spool"]).resolve(),
            devices=devices,
            poll_seconds=float(table.get("poll_seconds", 0.03)),
            key_seed=str(table.get("key_seed", "")),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FleetError(f"{path}: {error!r}") from None
    meters = [device.meter_id for device in devices]
    if len(set(meters)) != len(meters):
        raise FleetError(f"{path}: devices: a meter_id stands twice")
    if not fleet.nodes:
        raise FleetError(f"{path}: nodes: names no node")
    return fleet


def _device(here: Path, number: int, entry: dict[str, Any]) -> FleetDevice:
    device = FleetDevice(
        meter_id=int(entry["meter_id"]),
        role=str(entry["role"]),
        asset_kind=int(entry["asset_kind"]),
        asset_id=int(entry["asset_id"]),
        kind=int(entry.get("kind", 0)),
        key=(here / entry["key"]).resolve(),
        replay=(here / entry["replay"]).resolve() if "replay" in entry else None,
        driver=_driver(here, dict(entry.get("driver", {}))),
    )
    if (device.replay is None) == (not device.driver):
        raise FleetError(f"devices[{number}]: needs either replay or driver")
    if device.role not in ROLES:
        raise FleetError(f"devices[{number}].role: {device.role!r} is neither meter nor workload")
    if not 0 < device.meter_id < 1 << 32:
        raise FleetError(f"devices[{number}].meter_id: {device.meter_id} is no meter")
    return device


def _driver(here: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Driver settings with their paths made absolute."""
    if "path" in settings:
        settings["path"] = str((here / str(settings["path"])).resolve())
    return settings


def device_key(fleet: Fleet, device: FleetDevice) -> DeviceKey:
    """The device's key, made in place when there is none: 64 hex digits in a file only its owner reads."""
    try:
        return DeviceKey(int(device.key.read_text(encoding="ascii").strip(), 16))
    except FileNotFoundError:
        pass
    except (ValueError, WireError) as error:
        raise FleetError(f"{device.key}: holds no P-256 key ({error})") from None
    if fleet.key_seed:
        key = DeviceKey.from_seed(f"{fleet.key_seed}/{device.meter_id}".encode())
    else:
        key = DeviceKey(secrets.randbelow(P256_ORDER - 1) + 1)
    device.key.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(device.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(f"{key.secret:064x}\n")
        stream.flush()
        os.fsync(stream.fileno())
    return key


def read_rows(device: FleetDevice) -> Iterator[Row]:
    """The rows of a replay CSV in file order, which must be the order of their ends.

    Columns: start, end, quantity, and where needed kind, agreement_id (hex), quality, delay_seconds. Raises
    FleetError naming file, line and field.
    """
    last_end = 0
    if device.replay is None:
        yield from _series_rows(device)
        return
    with device.replay.open(newline="", encoding="utf-8") as stream:
        for line, entry in enumerate(csv.DictReader(stream), start=2):
            row = _row(device, line, entry)
            if row.end < last_end:
                raise FleetError(f"{device.replay}: line {line}: end: {row.end} is before the line above")
            last_end = row.end
            yield row


def _series_rows(device: FleetDevice) -> Iterator[Row]:
    """The rows of a `series` driver; none for a live one."""
    if device.driver.get("kind") != "series":
        return
    seconds, last = int(device.driver["interval_seconds"]), -1
    try:
        for start, measure in read_series(Path(device.driver["path"]), device.driver):
            if start <= last:
                raise FleetError(f"{device.driver['path']}: {start} does not come after {last}")
            last = start
            yield Row(start, start + seconds, device.kind, measure.quantity, quality=measure.quality)
    except (OSError, KeyError, SeriesError) as error:
        raise FleetError(f"devices: meter {device.meter_id}: {error}") from None


def _row(device: FleetDevice, line: int, entry: dict[str, str]) -> Row:
    def number(name: str, default: int | None = None) -> int:
        text = entry.get(name) or ""
        if not text and default is not None:
            return default
        if not text.isdecimal():
            raise FleetError(
                f"{device.replay}: line {line}: {name}: {text!r} is no whole number of 0 or more"
            )
        return int(text)

    agreement = (entry.get("agreement_id") or "").removeprefix("0x")
    try:
        agreement_id = bytes.fromhex(agreement.zfill(64))
    except ValueError:
        where = f"{device.replay}: line {line}"
        raise FleetError(f"{where}: agreement_id: {agreement!r} is not hexadecimal") from None
    row = Row(
        start=number("start"),
        end=number("end"),
        kind=number("kind", device.kind),
        quantity=number("quantity"),
        agreement_id=agreement_id,
        quality=number("quality", 0),
        delay_seconds=number("delay_seconds", 0),
    )
    if row.end <= row.start:
        raise FleetError(f"{device.replay}: line {line}: end: [{row.start}, {row.end}) is empty")
    return row
