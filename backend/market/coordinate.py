"""Price coordination: orders look for places in a smoothed supply until prices and places agree.

A sample of the book finds the prices first, in a market scaled down to its share of the demand. The rest then
streams in, and the market grows with it, so that no order sees an emptier market than it will find.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from backend.market.domain import Book, Solution
from backend.market.parts import Ints, Parts
from backend.market.supply import Floats, Supply, recentre
from backend.market.sweep import SOFT, Posted, sweep
from backend.market.tables import Tables

SAMPLE = 6_000  # parts that find the first prices
STREAM_STEPS = 24
STREAM_STIFF = 0.08


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to look: sweeps of the sample and of the whole book, rounds of negotiation, firm sweeps at
    the end.

    Stiffness is how much of a usual limit the price moves when a supply is passed by all of its size; it
    falls from `stiff_from` to `stiff_to`. `until` is a time.monotonic() after which no new sweep is begun.
    """

    sweeps: int
    full_sweeps: int
    rounds: int
    firm_sweeps: int
    stiff_from: float = 1.0
    stiff_to: float = 0.003
    until: float = float("inf")

    def late(self) -> bool:
        """True when the time is over."""
        return time.monotonic() >= self.until


def coordinate(book: Book, s: Supply, parts: Parts, effort: Effort, turns: np.random.Generator) -> None:
    """Finds rents and pool prices; leaves the parts where they would like to run."""
    count = len(parts.order)
    if count == 0:
        return
    slope = _Slopes(book, s, parts)
    free = no_prices(s)
    line = turns.permutation(count)
    volume = (parts.lanes.sum(axis=1) * parts.duration)[line].astype(np.float64)
    share = np.cumsum(volume) / volume.sum()
    first = line[: min(SAMPLE, count)]
    s.share[0] = share[len(first) - 1]
    for n in range(effort.sweeps):
        stiff = effort.stiff_from * (effort.stiff_to / effort.stiff_from) ** (n / max(effort.sweeps - 1, 1))
        slope.set(stiff)
        sweep(s, free, parts, turns.permutation(first), SOFT)
        recentre(s)
        if effort.late():
            break
    for chunk in _chunks(len(first), count):
        s.share[0] = share[chunk[-1]]
        slope.set(STREAM_STIFF)
        sweep(s, free, parts, line[chunk], SOFT)
        recentre(s)
    s.share[0] = 1.0
    for n in range(effort.full_sweeps if count > len(first) else 0):
        if effort.late():
            break
        slope.set(STREAM_STIFF * 0.5 ** (n + 1))
        sweep(s, free, parts, turns.permutation(count), SOFT)
        recentre(s)


def warm(s: Supply, tab: Tables, last: Solution) -> None:
    """Starts from the prices of an earlier solution of nearly the same market (same zones, classes and
    slots)."""
    priced = last.energy_price.astype(np.float64)
    s.centre[:] = np.where(s.steps > 0, priced, s.centre)
    for i in range(len(s.ask)):
        k, z = tab.offer_class[i], tab.offer_zone[i]
        margin = last.compute_price[k, z] - s.ask[i] - s.energy[i] * priced[z] / 1000.0
        s.rent[i] = np.where(s.capacity[i] > 0, np.maximum(margin.max(axis=0), 0.0), 0.0)
    s.stamp[:] += 1


def scale_of(parts: Parts) -> float:
    """A usual limit, micro per VCU-slot: the yardstick of price steps."""
    return max(float(np.average(parts.limit, weights=parts.duration)), 1.0) if len(parts.order) else 1.0


def no_prices(s: Supply) -> Posted:
    """Nothing posted yet."""
    kinds, zones = s.members.shape[:2]
    slots = s.load.shape[2]
    return Posted(
        np.zeros((kinds, zones, 2, slots)), np.zeros(s.used.shape, dtype=np.bool_), np.zeros(s.load.shape)
    )


class _Slopes:
    """Sets how fast smoothed prices move, relative to the size of each supply and the usual limit."""

    def __init__(self, book: Book, s: Supply, parts: Parts) -> None:
        scale = scale_of(parts)
        wh = max(float(np.mean(s.energy)), 1.0) if len(s.energy) else 1.0
        finite = np.where(s.step_top < 1e9, s.step_top, 0).max(axis=3).mean(axis=2)
        demand = float((parts.lanes.sum(axis=1) * parts.duration).sum()) * wh / max(s.load.size / 2, 1)
        pool = np.maximum(np.minimum(np.where(finite > 0, finite, demand), max(demand, 1.0)), wh)
        lanes = np.maximum(s.capacity.max(axis=1), 1) if len(s.ask) else np.ones(0)
        self._s = s
        self._site: Floats = scale / lanes
        self._pool: Floats = scale * 1000.0 / wh / pool
        ceiling = 50.0 * scale * 1000.0 / wh
        s.centre[s.steps == 0] = min(ceiling, book.bands.energy_max * 0.9)

    def set(self, stiff: float) -> None:
        self._s.slope_site[:] = stiff * self._site / self._s.share[0]
        self._s.slope_pool[:] = stiff * self._pool / self._s.share[0]
        self._s.stamp[:] += 1


def _chunks(begin: int, end: int) -> list[Ints]:
    if begin >= end:
        return []
    edges = np.unique(np.geomspace(begin, end, STREAM_STEPS + 1).astype(np.int64))
    edges[0], edges[-1] = begin, end
    return [np.arange(a, b) for a, b in pairwise(edges) if b > a]
