"""A short seeded walk over every parser; `make fuzz` takes the long, coverage-guided one."""

from __future__ import annotations

import contextlib
import random

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS, Target

ROUNDS = 250
REFUSING = [target for target in TARGETS if target.refuses]
"""The others answer everything: no outcome of theirs tells a seed from nonsense."""


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_parser_answers_or_refuses_by_name(target: Target) -> None:
    chance = random.Random(target.name)
    seeds = target.seeds()
    for data in (b"", b"\0", b"[" * 100_000, b"\x9f" * 100_000, b"\x81" * 100_000, *seeds):
        attempt(target, data)
    for _ in range(ROUNDS):
        attempt(target, mutated(chance.choice(seeds), chance))


@pytest.mark.parametrize("target", REFUSING, ids=lambda target: target.name)
def test_a_seed_reaches_deeper_than_nonsense_does(target: Target) -> None:
    """At least one seed must differ in outcome from random bytes, or the walk above tests nothing."""
    assert {outcome(target, seed) for seed in target.seeds()} != {outcome(target, b"\xff\x00nonsense")}


def attempt(target: Target, data: bytes) -> None:
    """Parses; lets anything but the target's own errors through."""
    with contextlib.suppress(target.refuses):
        target.parse(data)


def outcome(target: Target, data: bytes) -> str:
    """What came of it: the message, or that it was taken."""
    try:
        target.parse(data)
    except target.refuses as error:
        return str(error)
    return "taken"
