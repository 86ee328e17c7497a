"""Fleet files, replays and the spool: what an agent refuses, and that a crash changes nothing."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from oracle.agents.fleet import FleetDevice, FleetError, Row, device_key, load_fleet, read_rows
from oracle.agents.spool import Measured, Spool
from oracle.wire.keys import DeviceKey
from oracle.wire.reading import decode_reading, open_envelope

NODES = ("http://a", "http://b")
KEY = DeviceKey.from_seed(b"agent")


def fleet_file(folder: Path, **changes: Any) -> Path:
    device = {"meter_id": 1, "role": "meter", "asset_kind": 2, "asset_id": 1, "kind": 1}
    table = {
        "rpc": "http://localhost",
        "book": "addresses.json",
        "nodes": list(NODES),
        "spool": "spool",
        "devices": [{**device, "key": "keys/1.key", "replay": "1.csv"}],
        **changes,
    }
    path = folder / "fleet.json"
    path.write_text(json.dumps(table))
    return path


def replay(folder: Path, text: str) -> FleetDevice:
    (folder / "1.csv").write_text(text)
    return load_fleet(fleet_file(folder)).devices[0]


def test_keys_are_made_in_place_once_and_kept_private(tmp_path: Path) -> None:
    fleet = load_fleet(fleet_file(tmp_path))
    made = device_key(fleet, fleet.devices[0])
    assert device_key(fleet, fleet.devices[0]).public == made.public
    assert (tmp_path / "keys/1.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "keys/1.key").write_text("nonsense")
    with pytest.raises(FleetError, match="holds no P-256 key"):
        device_key(fleet, fleet.devices[0])
    seeded = load_fleet(fleet_file(tmp_path, key_seed="demo"))
    (tmp_path / "keys/1.key").unlink()
    assert device_key(seeded, seeded.devices[0]).public == DeviceKey.from_seed(b"demo/1").public


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"nodes": []}, "names no node"),
        ({"devices": [{"meter_id": 1}]}, "role"),
        ({"rpc": None, "devices": 3}, "not iterable"),
    ],
)
def test_fleet_refusals(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(FleetError, match=problem):
        load_fleet(fleet_file(tmp_path, **changes))


def test_a_meter_stands_once(tmp_path: Path) -> None:
    table = json.loads(fleet_file(tmp_path).read_text())
    with pytest.raises(FleetError, match="twice"):
        load_fleet(fleet_file(tmp_path, devices=table["devices"] * 2))
    table["devices"][0]["role"] = "spy"
    with pytest.raises(FleetError, match="neither meter nor workload"):
        load_fleet(fleet_file(tmp_path, devices=table["devices"]))


def test_rows(tmp_path: Path) -> None:
    device = replay(
        tmp_path, "start,end,quantity,agreement_id,delay_seconds\n0,900,5,,\n900,1800,6,0x0a,1800\n"
    )
    assert list(read_rows(device)) == [
        Row(0, 900, 1, 5),
        Row(900, 1800, 1, 6, bytes(31) + b"\x0a", 0, 1800),
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("0,900,-99", "line 2: quantity: '-99' is no whole number"),
        ("0,900,6553.5", "quantity: '6553.5'"),
        ("0,900,nan", "quantity"),
        ("0,900", "quantity: ''"),
        ("900,900,1", r"end: \[900, 900\) is empty"),
        ("x,900,1", "start"),
        ("900,1800,1\n0,900,1", "line 3: end: 900 is before the line above"),
    ],
)
def test_row_refusals(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(FleetError, match=problem):
        list(read_rows(replay(tmp_path, f"start,end,quantity\n{line}\n")))


def measured(number: int, meter_id: int = 1) -> Measured:
    return Measured(meter_id, KEY, Row(number * 900, (number + 1) * 900, 1, 10 + number))


def test_spool_numbers_and_registers(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", NODES, 31337)
    assert spool.measure([measured(0), measured(1), measured(0, meter_id=2)]) == 3
    readings = [open_envelope(envelope, KEY.public) for _, envelope in spool.due("http://a", 9000, 10)]
    assert [(r.meter_id, r.seq, r.register) for r in readings] == [(1, 0, 10), (1, 1, 21), (2, 0, 10)]
    assert spool.next_row(1) == 2 and spool.next_row(2) == 1
    spool.posted("http://a", [1, 2])
    assert spool.waiting("http://a") == 1 and spool.waiting("http://b") == 3 and spool.waiting() == 1


def test_a_late_row_waits_but_keeps_its_number(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", NODES, 31337)
    late = Measured(1, KEY, Row(0, 900, 1, 10, delay_seconds=1800))
    spool.measure([late, measured(1)])
    assert [decode_reading(e.payload).seq for _, e in spool.due("http://a", 1800, 10)] == [1]
    assert [decode_reading(e.payload).seq for _, e in spool.due("http://a", 2700, 10)] == [0, 1]


@pytest.mark.parametrize("seed", range(20))
def test_killed_at_any_moment_it_neither_loses_nor_repeats(tmp_path: Path, seed: int) -> None:
    """The files as they are on disk after any call are all that a next process has."""
    chance = random.Random(seed)
    folder = tmp_path / "run"
    folder.mkdir()
    spool = Spool(folder / "spool.sqlite", NODES, 31337)
    received: dict[str, list[bytes]] = {node: [] for node in NODES}
    while spool.next_row(1) < 12 or any(spool.waiting(node) for node in NODES):
        if chance.random() < 0.3:  # kill: another process finds the files as they are now
            copy = tmp_path / f"copy{chance.randrange(1 << 60)}"
            shutil.copytree(folder, copy)
            folder, spool = copy, Spool(copy / "spool.sqlite", NODES, 31337)
        row = spool.next_row(1)
        if row < 12 and chance.random() < 0.5:
            spool.measure([measured(number) for number in range(row, min(12, row + chance.randint(1, 3)))])
        node = chance.choice(NODES)
        batch = spool.due(node, 10**6, chance.randint(1, 4))
        received[node] += [envelope.payload for _, envelope in batch]
        if chance.random() < 0.7:  # else it dies between the post and the note of it
            spool.posted(node, [number for number, _ in batch])
    for node in NODES:
        assert {decode_reading(payload).seq for payload in received[node]} == set(range(12))
        assert len(set(received[node])) == 12, "one seq, one payload"
