"""Hostile archives: one byte flipped anywhere is noticed and named, nothing crashes the audit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.archive import KINDS, Archive, parse_json
from audit.bundle import read_bundle
from audit.run import CHECKS, run
from audit.verdict import Finding
from oracle.wire.bundle import decode_bundle
from oracle.wire.reading import encode_reading
from tests.faults.world import World

READING_CHECKS = [check for check in CHECKS if check.name.split(".")[0] in ("archive", "reports", "readings")]
FLIPS_PER_KIND = 12


WRITTEN = tuple(kind for kind in KINDS if kind != "statement")
"""What the hand-made day archives; statements are published when somebody asks for one."""


def findings(world: World, checks: list[object] | None = None) -> list[Finding]:
    """Everything the audit holds against a world."""
    results = run(world.facts(), checks or CHECKS)  # type: ignore[arg-type]
    return [finding for item in results for finding in item.result.findings]


def flip(path: Path, at: int) -> None:
    """Flips the lowest bit of one byte of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def places(kind: str) -> Iterator[tuple[str, float]]:
    """Places to flip in files of a kind, as shares of the file's length."""
    chance = random.Random(f"flips/{kind}")
    yield from ((kind, chance.random()) for _ in range(FLIPS_PER_KIND))


@pytest.mark.parametrize(("kind", "share"), [place for kind in WRITTEN for place in places(kind)])
def test_a_flipped_byte_is_noticed_and_its_file_named(kind: str, share: float, tmp_path: Path) -> None:
    world = World(tmp_path)
    path = world.file(kind)
    flip(path, int(path.stat().st_size * share))
    assert any(f"{kind}/{path.name}" in finding.subject for finding in findings(world))


def test_every_flipped_byte_of_a_reading_names_the_reading(tmp_path: Path) -> None:
    world = World(tmp_path)
    path = world.file("readings")
    intact = path.read_bytes()
    entries = decode_bundle(intact).entries
    for number, entry in enumerate(entries):
        start = intact.index(entry.envelope.payload)
        reading = read_bundle(intact).items[number].reading
        assert reading is not None
        assert encode_reading(reading) == entry.envelope.payload
        size = len(entry.envelope.payload)
        for at in {0, 1, 5, 20, 30, 60, size - 3, size - 1, size + 2, size + 30, size + 65}:
            path.write_bytes(intact)
            flip(path, start + at)
            named = [f"{one.subject} {one.found}" for one in findings(world, READING_CHECKS)]  # type: ignore[arg-type]
            about = (f"reading {number} ", f"meter {reading.meter_id} kind {reading.kind} seq {reading.seq}")
            assert any(text in line for line in named for text in about), (number, at, named)


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x81" * 100_000,
        b"\xa9\x00\x70bitwatt/bundle/1" + b"\x01\xd9\x01\x02",
        b"[" * 100_000,
        b'{"orders":' + b"9" * 10_000 + b"}",
        b'{"orders":{"id":[null]},"runs":{"order":[1e9]},"format":"bitwatt/book/1"}',
        b'{"domain":"bitwatt/publication/1","start":1e999,"grid_carbon_g_per_kwh":[["x"]]}',
        b"null",
        b"\xff\xfe" * 50,
    ],
    ids=lambda content: repr(content[:20]),
)
def test_hostile_files_are_findings_not_crashes(kind: str, content: bytes, tmp_path: Path) -> None:
    world = World(tmp_path)
    path = world.file(kind)
    path.write_bytes(content)
    found = findings(world)
    assert any(f"{kind}/{path.name}" in finding.subject for finding in found)
    assert not [finding for finding in found if finding.expected == "facts the check can read"]


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_missing_file_is_named_with_what_it_should_prove(kind: str, tmp_path: Path) -> None:
    world = World(tmp_path)
    path = world.file(kind)
    path.unlink()
    about = path.stem if kind != "publication" else "publication/"
    assert any(about in finding.subject and "prov" in finding.subject for finding in findings(world))


def test_a_truncated_bundle_still_gives_its_whole_readings(tmp_path: Path) -> None:
    path = World(tmp_path).file("readings")
    whole = read_bundle(path.read_bytes())
    part = read_bundle(path.read_bytes()[:900])
    assert part.problem
    assert 0 < len(part.items) < len(whole.items)
    assert [item.reading for item in part.items] == [item.reading for item in whole.items[: len(part.items)]]


def test_a_directory_or_a_link_to_a_device_is_no_document(tmp_path: Path) -> None:
    name = bytes(32)
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / f"{name.hex()}.cbor").symlink_to("/dev/zero")
    document = Archive(tmp_path).get("evidence", name)
    assert (document.state, document.found) == ("unreadable", "not a regular file")


@given(st.binary(max_size=400))
def test_any_bytes_can_be_read_as_a_bundle(data: bytes) -> None:
    parsed = read_bundle(data)
    assert parsed.problem or parsed.header is not None or parsed.damage


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read_as_json(data: bytes) -> None:
    value, problem = parse_json(data)
    assert problem or value is not None or data.strip() == b"null"
