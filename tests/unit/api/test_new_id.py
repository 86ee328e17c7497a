"""Ids keep the order in which they were made: the outbox sends by it."""

from __future__ import annotations

import time

import pytest

from backend.store.types import new_id


def test_ids_rise_strictly_within_a_millisecond() -> None:
    ids = [new_id() for _ in range(20_000)]
    assert ids == sorted(set(ids))
    assert {len(one) for one in ids} == {26}


def test_ids_rise_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_id()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert before < new_id() < new_id()


def test_an_id_of_a_time_sorts_by_it() -> None:
    assert new_id(1) < new_id(2) < new_id()
