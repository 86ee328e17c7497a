"""The audit of a real small day: nothing fails, and one changed byte anywhere is named."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from day_runner import __file__ as RUNNER
from small_day import START

from audit.bundle import read_bundle
from backend.chain.anvil import start_anvil
from oracle.wire.reading import encode_reading

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
DAY = 86_400


@dataclass(frozen=True)
class Day:
    """A finished day: its folder and the endpoint of its chain."""

    out: Path
    rpc: str


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """The small day on an Anvil that stays up."""
    folder = tmp_path_factory.mktemp("audit")
    anvil = start_anvil(folder / "anvil.log", START - DAY)
    try:
        with (folder / "day.log").open("ab") as log:
            command = [sys.executable, RUNNER, str(folder / "run"), anvil.url]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            code = process.wait(timeout=700)
        finally:
            process.terminate()  # it takes its children along
            process.wait(timeout=60)
        assert code == 0, (folder / "day.log").read_text()[-3000:]
        yield Day(folder / "run", anvil.url)
    finally:
        os.kill(anvil.pid, signal.SIGKILL)
        os.waitpid(anvil.pid, 0)


@pytest.fixture
def copy(day: Day, tmp_path: Path) -> Path:
    """A copy of the archive to tamper with."""
    shutil.copytree(day.out / "archive", tmp_path / "archive")
    return tmp_path / "archive"


def audit(rpc: str, archive: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of `bitwatt audit`."""
    command = [sys.executable, "-c", "from bitwatt.cli import app; app()", "audit", "--json"]
    done = subprocess.run(
        [*command, "--rpc", rpc, "--archive", str(archive), *more],
        capture_output=True,
        timeout=250,
        check=False,
    )
    assert done.stdout, done.stderr.decode()[-2000:]
    return done.returncode, json.loads(done.stdout)


def failed(verdict: dict[str, Any]) -> dict[str, list[str]]:
    """What each failed check says, as text."""
    return {
        item["name"]: [" ".join(finding.values()) for finding in item["findings"]]
        for item in verdict["checks"]
        if item["verdict"] == "fail"
    }


def test_a_clean_day_passes_every_check(day: Day) -> None:
    code, verdict = audit(day.rpc, day.out / "archive")
    assert (code, failed(verdict), verdict["inconclusive"]) == (0, {}, 0)
    nothing = {item["name"] for item in verdict["checks"] if item["checked"] == 0}
    # this day has no flexibility market and publishes no statement
    absent = {"carbon.statement", "synergy.index"} | {n for n in nothing if n.startswith("flexibility.")}
    assert nothing <= {"settlement.refund", "treasury.withdrawals", "orders.carbon"} | absent


def test_a_part_of_the_day_passes_too(day: Day) -> None:
    code, verdict = audit(day.rpc, day.out / "archive", "--from", str(START), "--to", str(START + 1_800))
    assert (code, failed(verdict)) == (0, {})
    whole = audit(day.rpc, day.out / "archive")[1]
    checked = [
        next(item["checked"] for item in found["checks"] if item["name"] == "readings.signature")
        for found in (verdict, whole)
    ]
    assert 0 < checked[0] < checked[1]


def flip(path: Path, at: int) -> None:
    """Flips the lowest bit of one byte."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def fullest(archive: Path) -> Path:
    """The bundle with the most readings."""
    return max((archive / "readings").iterdir(), key=lambda path: path.stat().st_size)


def test_one_byte_of_one_reading(day: Day, copy: Path) -> None:
    path = fullest(copy)
    content = path.read_bytes()
    item = read_bundle(content).items[3]
    assert item.reading is not None
    flip(path, content.index(encode_reading(item.reading)) + len(item.payload) - 2)
    code, verdict = audit(day.rpc, copy)
    said = failed(verdict)
    assert code == 1
    reading = item.reading
    name = f"(meter {reading.meter_id} kind {reading.kind} seq {reading.seq}"
    assert any(f"readings/{path.name}" in text and name in text for text in said["readings.signature"])
    assert any(path.stem in text for text in said["reports.archive"])
    assert "reports.root" in said


def test_one_byte_of_one_evidence_file(day: Day, copy: Path) -> None:
    path = sorted((copy / "evidence").iterdir())[5]
    flip(path, path.stat().st_size // 2)
    code, verdict = audit(day.rpc, copy)
    said = failed(verdict)
    assert code == 1
    assert all(f"evidence/{path.name}" in text for text in said["evidence.file"])
    assert any("meter" in text for text in said["evidence.quote"])


def test_one_byte_of_one_fill(day: Day, copy: Path) -> None:
    path = next((copy / "solution").iterdir())
    content = path.read_bytes()
    flip(path, content.index(b'"lanes":[') + len(b'"lanes":['))
    code, verdict = audit(day.rpc, copy)
    said = failed(verdict)
    assert code == 1
    orders = json.loads(next((copy / "book").iterdir()).read_text())["orders"]["id"]
    first = orders[json.loads(content)["runs"]["order"][0]]
    assert any(f"solution/{path.name} fill of order {first}" in text for text in said["clearing.fills"])
    assert path.stem in said["clearing.book_file"][0]


def change(path: Path, old: bytes, new: bytes) -> None:
    """Replaces bytes that occur once or more, the first time they occur."""
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


BOOKS: list[tuple[str, Callable[[Path], None], str]] = [
    ("book", lambda path: change(path, b'"capacity":1', b'"capacity":2'), "clearing.book"),
    ("publication", lambda path: change(path, b"[550", b"[551"), "publication.file"),
    ("collateral", lambda path: flip(path, 3_000), "evidence.quote"),
    (
        "solution",
        lambda path: change(path, b'"compute_price":[[[[', b'"compute_price":[[[[1'),
        "clearing.prices",
    ),
]


@pytest.mark.parametrize(("kind", "tamper", "check"), BOOKS, ids=[kind for kind, _, _ in BOOKS])
def test_one_change_of_another_document(
    day: Day, copy: Path, kind: str, tamper: Callable[[Path], None], check: str
) -> None:
    path = next((copy / kind).iterdir())
    tamper(path)
    code, verdict = audit(day.rpc, copy)
    assert code == 1
    assert any(f"{kind}/{path.name}" in text for text in failed(verdict)[check])


def test_a_changed_address_is_named(day: Day, tmp_path: Path) -> None:
    book = json.loads((day.out / "addresses.json").read_text())
    address = book["contracts"]["Treasury"]["address"]
    moved = address[:-1] + ("0" if address[-1] != "0" else "1")
    book["contracts"]["Treasury"]["address"] = moved
    path = tmp_path / "book.json"
    path.write_text(json.dumps(book))
    code, verdict = audit(day.rpc, day.out / "archive", "--book", str(path))
    assert code == 1
    assert any(moved.lower() in text for text in failed(verdict)["book.contracts"])


def test_a_swapped_bundle_is_noticed_though_its_name_is_its_hash(day: Day, copy: Path) -> None:
    paths = sorted((copy / "readings").iterdir())
    content = paths[1].read_bytes()
    paths[0].unlink()
    assert hashlib.sha256(content).hexdigest() == paths[1].stem
    code, verdict = audit(day.rpc, copy)
    assert code == 1
    assert any(paths[0].stem in text and "missing" in text for text in failed(verdict)["reports.archive"])
