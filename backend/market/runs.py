"""Fills as rectangles: the fewest (order, offer, mode, start, end, lanes) that a greedy cut finds.

A run is one agreement on chain, so fewer runs are cheaper. Inside one (order, offer, mode) the lanes over
time form a skyline; it is cut into horizontal layers, each as long as possible: a run opens where the skyline
rises and closes where it falls, last opened first closed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.market.domain import Fills, Run


def runs_of_fills(fills: Fills) -> list[Run]:
    """The runs that add up to `fills`, sorted by (order, offer, mode, start, end)."""
    runs: list[Run] = []
    rows = zip(
        *(c.tolist() for c in (fills.order, fills.offer, fills.mode, fills.slot, fills.lanes)), strict=True
    )
    key: tuple[int, int, int] | None = None
    opened: list[tuple[int, int]] = []  # (start slot, lanes), lowest layer first
    end = level = 0

    def close_to(target: int, at: int) -> None:
        nonlocal level
        while level > target:
            start, lanes = opened.pop()
            cut = min(lanes, level - target)
            if cut < lanes:
                opened.append((start, lanes - cut))
            level -= cut
            assert key is not None
            runs.append(Run(*key, start, at, cut))

    for order, offer, mode, slot, lanes in rows:
        if key != (order, offer, mode) or slot != end:
            close_to(0, end)
            key = (order, offer, mode)
        close_to(lanes, slot)
        if lanes > level:
            opened.append((slot, lanes - level))
            level = lanes
        end = slot + 1
    close_to(0, end)
    return sorted(runs, key=lambda r: (r.order, r.offer, r.mode, r.start_slot, r.end_slot, r.lanes))


def fills_of_runs(runs: Sequence[Run]) -> Fills:
    """The canonical fills of these runs. Raises ValueError for a run of no length or no lanes."""
    if not runs:
        return Fills.empty()
    table = np.array(
        [(r.order, r.offer, r.mode, r.start_slot, r.end_slot, r.lanes) for r in runs], dtype=np.int64
    )
    length = table[:, 4] - table[:, 3]
    if (length <= 0).any() or (table[:, 5] <= 0).any() or (table[:, :4] < 0).any():
        raise ValueError("a run must have positive length and lanes")
    repeat = np.repeat(table, length, axis=0)
    first = np.repeat(np.cumsum(length) - length, length)
    slot = repeat[:, 3] + np.arange(len(repeat)) - first
    return Fills.of(repeat[:, 0], repeat[:, 1], repeat[:, 2], slot, repeat[:, 5])
