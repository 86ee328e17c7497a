"""Seeded draws: each is SHA-256 of (seed, subject, field), so no draw depends on another or on row order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_SPAN = 1 << 64
PPM = 1_000_000


def draw(seed: int, subject: str, field: str) -> int:
    """A uniform integer in [0, 2^64)."""
    digest = hashlib.sha256(f"bitwatt/day|{seed}|{subject}|{field}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def below(seed: int, subject: str, field: str, count: int) -> int:
    """A uniform integer in [0, count)."""
    return draw(seed, subject, field) * count // _SPAN


def between(seed: int, subject: str, field: str, low: int, high: int) -> int:
    """A uniform integer in [low, high]."""
    return low + below(seed, subject, field, high - low + 1)


def unit(seed: int, subject: str, field: str) -> float:
    """A uniform float strictly inside (0, 1), for inverse distribution functions."""
    return (draw(seed, subject, field) + 0.5) / _SPAN


def weighted(seed: int, subject: str, field: str, choices: Sequence[tuple[T, int]]) -> T:
    """One of (value, weight) with probability weight / total."""
    point = below(seed, subject, field, sum(weight for _, weight in choices))
    for value, weight in choices:
        if point < weight:
            return value
        point -= weight
    raise ValueError("weights must be positive")
