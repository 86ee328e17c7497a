"""Price coordination: orders look for places in a smoothed supply until prices and places agree.

A sample of the book finds the prices first, in a market scaled down to its share of the demand. The rest then
streams in, and the market grows with it, so that no order sees an emptier market than it will find.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from backend.market.cells import Cells, agree, look_all, recentre
from backend.market.domain import Book, Ints, Solution
from backend.market.lots import Lots, scale_of
from backend.market.seek import sweep
from backend.market.supply import Floats
from backend.market.tables import Tables

SAMPLE = 6_000  # lots that find the first prices
STIFF_PLACES = 1.0
PLACE_SWEEPS = 2  # at the end, with firm prices and stiff supply
PIECES = 4  # of a sweep, after each of which the classes tell each other what they use


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to look: sweeps of the sample and of the whole book, rounds of
    negotiation (fewer in a book of many lots, where there is little to negotiate) and firm sweeps at the end.

    Stiffness is how much of a usual limit the price moves when a supply is passed by all of its size; it
    falls from `stiff_from` to `stiff_to`. `until` is a time.monotonic() after which no new sweep is begun.
    """

    sweeps: int
    full_sweeps: int
    rounds: int
    rounds_many: int
    firm_sweeps: int
    descents: int = 0
    shakes: int = 0
    stiff_from: float = 1.0
    stiff_to: float = 0.003
    stiff_full: float = 0.02
    until: float = float("inf")

    def late(self) -> bool:
        """True when the time is over."""
        return time.monotonic() >= self.until


def coordinate(book: Book, tab: Tables, c: Cells, lots: Lots, effort: Effort) -> None:
    """Finds rents and pool prices; leaves the lots where they would like to run."""
    count = len(lots.order)
    if count == 0:
        return
    hand = _Hand(book, tab, c, lots)
    part = min(1.0, SAMPLE / count)
    hand.share(part)
    for n in range(effort.sweeps):
        hand.stiffness(_fall(effort.stiff_from, effort.stiff_to, n, effort.sweeps))
        recentre(c)
        hand.sweep(0.0, part, PIECES)
        if effort.late():
            break
    done = part
    while done < 1.0:
        upto = min(1.0, done * 1.3)
        hand.share(upto)
        hand.stiffness(effort.stiff_full)
        recentre(c)
        hand.sweep(done, upto, 1)
        done = upto
    for n in range(effort.full_sweeps if part < 1.0 else 0):
        if effort.late():
            break
        hand.stiffness(_fall(effort.stiff_full, effort.stiff_to, n, effort.full_sweeps))
        recentre(c)
        hand.sweep(0.0, 1.0, 2 * PIECES)
    recentre(c)
    hand.stiffness(STIFF_PLACES)  # the prices stand; places even out around them
    look_all(c)
    for _ in range(PLACE_SWEEPS):
        if not effort.late():
            hand.sweep(0.0, 1.0, 2 * PIECES)


def warm(c: Cells, tab: Tables, last: Solution) -> None:
    """Starts from the prices of an earlier solution of nearly the same market (same zones, classes and
    slots)."""
    priced = last.energy_price.astype(np.float64)
    c.centre[:] = np.where(c.pool_steps > 0, priced, c.centre)
    for i in range(len(c.ask)):
        k, z = tab.offer_class[i], tab.offer_zone[i]
        margin = last.compute_price[k, z] - c.ask[i] - c.energy[i] * priced[z]
        c.rent[i] = np.where(c.capacity[i] > 0, np.maximum(margin.max(axis=0), 0.0), 0.0)


def _fall(start: float, end: float, n: int, count: int) -> float:
    return float(start * (end / start) ** (n / max(count - 1, 1)))


class _Hand:
    """Sets stiffness and share of the demand in play, and sweeps stretches of the lots' line."""

    def __init__(self, book: Book, tab: Tables, c: Cells, lots: Lots) -> None:
        kinds = len(book.classes)
        scale = scale_of(lots)
        kwh = max(float(np.mean(c.energy)), 1e-3) if len(c.energy) else 1.0
        lanes = np.maximum(c.capacity.max(axis=1), 1) if len(c.ask) else np.ones(0)
        top = np.where(c.pool_top < 1e9, c.pool_top, 0).max(axis=3).mean(axis=2)
        self._volume = (lots.lanes.sum(axis=1) * lots.duration).astype(np.float64)
        demand = float(self._volume.sum()) * kwh / max(c.centre.size / 2, 1)
        pool = np.maximum(np.minimum(np.where(top > 0, top, demand), max(demand, kwh)), kwh)
        self._c, self._lots = c, lots
        self._site: Floats = scale / lanes
        self._class = tab.offer_class
        self._pool: Floats = scale / kwh / pool
        self._burnt = np.array([tab.class_energy_wh[k] for k in range(kinds)], dtype=np.float64) + 1.0
        self._kinds = _pairs(np.diff(lots.begin))
        ceiling = 50.0 * scale / kwh
        c.centre[c.pool_steps == 0] = min(ceiling, book.bands.energy_max * 0.9)

    def stiffness(self, stiff: float) -> None:
        self._c.slope_site[:] = stiff * self._site / self._c.share[self._class]
        self._c.slope_pool[:] = stiff * self._pool / self._c.share[-1]

    def share(self, part: float) -> None:
        volume = [
            (float(self._volume[a:b].sum()), float(self._volume[a:m].sum()))
            for a, b, m in zip(self._lots.begin[:-1], self._lots.begin[1:], self._edge(part), strict=True)
        ]
        inside = np.array([now / whole if whole > 0 and part < 1.0 else 1.0 for whole, now in volume])
        energy = np.array([whole for whole, _ in volume]) * self._burnt
        self._c.share[:-1] = np.maximum(inside, 1e-9)
        self._c.share[-1] = float((energy * inside).sum() / energy.sum()) if part < 1.0 else 1.0

    def sweep(self, low: float, high: float, pieces: int) -> None:
        edges = [self._edge(low + (high - low) * n / pieces) for n in range(pieces + 1)]
        for n in range(pieces):
            sweep(self._c, self._lots, self._kinds, edges[n], edges[n + 1])
            agree(self._c)

    def _edge(self, part: float) -> Ints:
        begin = self._lots.begin
        edge: Ints = begin[:-1] + np.ceil(part * np.diff(begin)).astype(np.int64)
        return edge


def _pairs(sizes: Ints) -> Ints:
    """The classes, large ones next to small ones, so that threads get about the same."""
    rank = np.argsort(-sizes, kind="stable")
    back = rank[::-1]
    mixed = np.stack([rank, back], axis=1).reshape(-1)[: len(rank) + len(rank) % 2]
    return np.array(list(dict.fromkeys(mixed.tolist())), dtype=np.int64)
