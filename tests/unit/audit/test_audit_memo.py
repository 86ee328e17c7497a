"""What an earlier audit verified is not verified again, unless anything it depended on changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit.checks import readings
from audit.checks.readings import signature
from audit.memo import FILE, Memo, MemoError
from audit.signatures import PART, Signed, verified, verified_everywhere
from oracle.wire.keys import DeviceKey
from tests.faults.corruptions import forged
from tests.faults.world import World


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many signatures each run of the check verified."""
    seen: list[int] = []

    def count(rows: list[Signed], step: Any = None) -> list[bool]:
        seen.append(len(rows))
        return verified_everywhere(rows, step)

    monkeypatch.setattr(readings, "verified_everywhere", count)
    return seen


def test_a_second_audit_verifies_no_signature_again(tmp_path: Path, counted: list[int]) -> None:
    facts = World(tmp_path / "archive").facts()
    first = signature.rule(replace(facts, memo=Memo(tmp_path / "state")))
    second = signature.rule(replace(facts, memo=Memo(tmp_path / "state")))
    assert first == second
    assert counted == [first.checked, 0]


def test_a_changed_bundle_is_verified_whatever_the_memo_says(tmp_path: Path, counted: list[int]) -> None:
    memo = Memo(tmp_path / "state")
    clean = signature.rule(replace(World(tmp_path / "clean").facts(), memo=memo))
    bad = signature.rule(replace(World(tmp_path / "bad", {"envelope": forged}).facts(), memo=memo))
    assert (clean.verdict, bad.verdict) == ("pass", "fail")
    assert len(bad.findings) == counted[1] == counted[0]


def test_a_bad_bundle_is_never_noted(tmp_path: Path, counted: list[int]) -> None:
    facts = World(tmp_path / "archive", {"envelope": forged}).facts()
    for _ in range(2):
        assert signature.rule(replace(facts, memo=Memo(tmp_path / "state"))).verdict == "fail"
    assert counted[0] == counted[1] > 0


def test_another_attested_key_is_another_question(tmp_path: Path) -> None:
    memo = Memo(tmp_path / "state")
    assert signature.rule(replace(World(tmp_path / "a").facts(), memo=memo)).verdict == "pass"
    facts = World(tmp_path / "b", {"attested_until": lambda until: 1}).facts()
    assert signature.rule(replace(facts, memo=memo)).verdict == "fail"


def test_a_torn_note_does_not_count(tmp_path: Path) -> None:
    Memo(tmp_path).note(b"\1" * 32)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:-9] + b"\xff\n")
    assert not Memo(tmp_path).knows(b"\1" * 32)
    Memo(tmp_path).note(b"\2" * 32)
    assert Memo(tmp_path).knows(b"\2" * 32)


def test_an_unusable_folder_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MemoError, match="--state"):
        Memo(tmp_path / "file" / "state")


def test_many_signatures_give_the_same_verdicts_on_many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    key = DeviceKey.from_seed(b"many")
    other = DeviceKey.from_seed(b"other").public
    rows: list[Signed] = []
    for number in range(40):
        payload = number.to_bytes(4, "big")
        signed = key.sign(payload)
        points = ((other.x, other.y), (key.public.x, key.public.y)) if number % 3 else ((other.x, other.y),)
        rows.append((payload, signed, points))
    rows = rows * (PART // 20)
    steps: list[int] = []
    monkeypatch.setattr("audit.signatures.WORTH_PROCESSES", 1)
    found = verified_everywhere(rows, steps.append)
    assert found == verified(rows) == [bool(at % 40 % 3) for at in range(len(rows))]
    assert sum(steps) == len(rows) and len(steps) > 1
