"""ES256 signatures of many readings, on all cores: by far the longest part of an audit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

from oracle.wire.errors import WireError
from oracle.wire.keys import DevicePublicKey

Point = tuple[bytes, bytes]
Signed = tuple[bytes, bytes, tuple[Point, ...]]
"""Payload, signature, and the keys that may have made it, the likeliest first."""
PART = 2_000
WORTH_PROCESSES = 20_000


@cache
def _key(point: Point) -> DevicePublicKey | None:
    try:
        return DevicePublicKey(*point)
    except WireError:
        return None


def verified(rows: Sequence[Signed]) -> list[bool]:
    """Which rows were signed by one of their keys."""
    return [_by_one(payload, signature, points) for payload, signature, points in rows]


def _by_one(payload: bytes, signature: bytes, points: tuple[Point, ...]) -> bool:
    return any((key := _key(point)) is not None and key.verify(payload, signature) for point in points)


def verified_everywhere(rows: Sequence[Signed], step: Callable[[int], None] | None = None) -> list[bool]:
    """`verified`, spread over the machine's cores where that pays; `step` is told how many are done."""
    parts = [rows[at : at + PART] for at in range(0, len(rows), PART)]
    if len(rows) < WORTH_PROCESSES:
        return _joined(map(verified, parts), step)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("forkserver")) as pool:
        return _joined(pool.map(verified, parts), step)


def _joined(parts: Iterable[list[bool]], step: Callable[[int], None] | None) -> list[bool]:
    found: list[bool] = []
    for part in parts:
        found.extend(part)
        if step is not None:
            step(len(part))
    return found
