"""Screening: whether a reading that is signed and continuous can still be false data.

A meter can be fed with what the sensor never saw: a value that is stuck, a sentinel, a jump no machine makes,
the scaled copy of another period or of another plant, an import that its own site's jobs contradict. Such a
reading is reported with a worse quality, so that it earns nothing; it is never dropped.

Everything follows from the readings of earlier reports and the chain alone, so that every honest node, and
the auditor, come to the same qualities.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Protocol

from oracle.wire.reading import Kind, Quality, Reading

WINDOW, MATCHES = 8, 4
"""A fingerprint covers WINDOW values in a row; MATCHES of them in a row, with one lag, make a copy."""
TAIL = WINDOW + MATCHES - 2
"""How many earlier values of a meter are looked at."""
STUCK_AFTER = 6
"""Wind and sun do not give the same milliwatt-hours this many times in a row."""
GRAIN = 256
PUE_MILLI_MOST, IDLE_PERMILLE_MOST = 4_000, 200
"""An import beyond 4 x IT energy + 20 % of nameplate is not what the site's jobs can have used."""
PV, WIND = 1, 2
RAMP_PERMILLE: Mapping[int, int] = {PV: 850, WIND: 850, 4: 300, 5: 500, 6: 300}
"""By source: the greatest change between intervals, in thousandths of nameplate. Hydro has no limit."""
_SENTINELS = frozenset(
    {32_767, 32_768, 65_535, 65_536, 999_999, 9_999_999, 99_999_999, (1 << 31) - 1, 1 << 31, (1 << 32) - 1}
    | {(1 << 63) - 1, (1 << 64) - 1}
)
_SCALES = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 1_000_000_000)


class Suspicion(StrEnum):
    """Why a reading is not believed."""

    STUCK = "stuck value"
    SENTINEL = "sentinel"
    RAMP = "ramp"
    REPLAY = "replay of another period"
    DUPLICATE = "copy of another plant"
    MASS_BALANCE = "mass balance"


QUALITY_OF = dict.fromkeys(Suspicion, Quality.ESTIMATED) | {Suspicion.SENTINEL: Quality.MISSING}


@dataclass(frozen=True, slots=True)
class Metered:
    """What a meter measures: nameplate in W, a plant's source (None for a site), a site's id."""

    nameplate_w: int
    source: int | None = None
    site_id: int | None = None


class History(Protocol):
    """The readings of earlier reports."""

    def tail(self, meter_id: int) -> Sequence[Reading]:
        """The last TAIL generation readings of a meter, oldest first."""
        ...

    def origin(self, fingerprint: int) -> tuple[int, int] | None:
        """(meter, end) of the first window that had a fingerprint."""
        ...


def screen(
    readings: Iterable[Reading], meters: Mapping[int, Metered], history: History
) -> dict[tuple[int, int], Suspicion]:
    """(meter, seq) -> suspicion of those readings of one report that are not believed."""
    found: dict[tuple[int, int], Suspicion] = {}
    ordered = sorted(readings, key=lambda reading: (reading.start, reading.meter_id, reading.seq))
    tails: dict[int, list[Reading]] = {}
    new: dict[int, tuple[int, int]] = {}
    for reading in ordered:
        metered = meters.get(reading.meter_id)
        key = reading.meter_id, reading.seq
        if reading.quantity and is_sentinel(reading.quantity):
            found[key] = Suspicion.SENTINEL
        if reading.kind != Kind.GENERATION or metered is None:
            continue
        before = tails.setdefault(reading.meter_id, list(history.tail(reading.meter_id)))
        values = contiguous(before, reading)
        doubt = _stuck(values, metered) or _ramp(values, metered) or _copied(values, metered, history, new)
        if doubt:
            found.setdefault(key, doubt)
        mark = fingerprint(values[-WINDOW:], metered)
        if mark is not None:
            new.setdefault(mark, (reading.meter_id, reading.end))
        keep(before, reading)
    return found | _unbalanced(ordered, meters)


def is_sentinel(quantity: int) -> bool:
    """Whether a quantity is what a device says when it has no value, in any decimal unit."""
    return any(quantity % scale == 0 and quantity // scale in _SENTINELS for scale in _SCALES)


def contiguous(before: Sequence[Reading], reading: Reading) -> list[Reading]:
    """The readings that lead up to `reading` without a gap, and it."""
    values = [reading]
    for earlier in reversed(before):
        if earlier.start >= reading.start:
            continue
        same_length = earlier.end - earlier.start == reading.end - reading.start
        if earlier.end != values[-1].start or not same_length:
            break
        values.append(earlier)
    return values[::-1]


def keep(tail: list[Reading], reading: Reading) -> None:
    """Puts a reading into a meter's tail, which stays in order of time and no longer than needed."""
    insort(tail, reading, key=lambda item: item.seq)
    del tail[:-TAIL]


def _full_scale(reading: Reading, metered: Metered) -> int:
    """Nameplate x interval, mWh."""
    return metered.nameplate_w * (reading.end - reading.start) * 1000 // 3600


def _stuck(values: Sequence[Reading], metered: Metered) -> Suspicion | None:
    """The same value again and again, below full load, where wind or sun make it."""
    last = values[-STUCK_AFTER:]
    quantity = last[-1].quantity
    if metered.source not in (PV, WIND) or len(last) < STUCK_AFTER or not quantity:
        return None
    if not 3 < quantity * 100 // max(_full_scale(last[-1], metered), 1) < 95:
        return None  # at full load, or so low that a coarse meter shows one value
    return Suspicion.STUCK if all(item.quantity == quantity for item in last) else None


def _ramp(values: Sequence[Reading], metered: Metered) -> Suspicion | None:
    limit = RAMP_PERMILLE.get(metered.source or 0)
    if limit is None or len(values) < 2:
        return None
    change = abs(values[-1].quantity - values[-2].quantity)
    return Suspicion.RAMP if change * 1000 > limit * _full_scale(values[-1], metered) else None


# --- copies ---------------------------------------------------------------------
def fingerprint(values: Sequence[Reading], metered: Metered) -> int | None:
    """The shape of WINDOW values in 63 bits, for any scale and offset; None where there is no shape."""
    if len(values) < WINDOW:
        return None
    steps = [after.quantity - before.quantity for before, after in pairwise(values)]
    largest = max(map(abs, steps))
    if largest * 200 < _full_scale(values[-1], metered):
        return None
    shape = [(2 * step * GRAIN + largest) // (2 * largest) for step in steps]
    if len(set(shape)) < WINDOW // 2 + 1:
        return None
    mark = 0
    for part in shape:
        mark = mark * (2 * GRAIN + 1) + part + GRAIN
    return mark & ((1 << 63) - 1)


def _copied(
    values: Sequence[Reading],
    metered: Metered,
    history: History,
    new: Mapping[int, tuple[int, int]],
) -> Suspicion | None:
    """Whether the last MATCHES windows all have one earlier origin, at one lag."""
    origin: tuple[int, int] | None = None
    meter_id = values[-1].meter_id
    for back in range(MATCHES):
        stop = len(values) - back
        mark = fingerprint(values[max(0, stop - WINDOW) : stop], metered)
        first = None if mark is None else history.origin(mark) or new.get(mark)
        if first is None:
            return None
        there = first[0], values[stop - 1].end - first[1]
        if there == (meter_id, 0) or (origin is not None and there != origin):
            return None
        origin = there
    assert origin is not None
    return Suspicion.REPLAY if origin[1] else Suspicion.DUPLICATE


# --- mass balance ------------------------------------------------------------------
def _unbalanced(
    readings: Sequence[Reading], meters: Mapping[int, Metered]
) -> dict[tuple[int, int], Suspicion]:
    """Site imports that cannot go with the IT energy of the site's jobs in the same interval (PUE >= 1)."""
    imports: dict[tuple[int, int, int], list[Reading]] = {}
    it_energy: dict[tuple[int, int, int], int] = {}
    for reading in readings:
        metered = meters.get(reading.meter_id)
        if metered is None or metered.site_id is None:
            continue
        place = metered.site_id, reading.start, reading.end
        if reading.kind == Kind.SITE_IMPORT:
            imports.setdefault(place, []).append(reading)
        elif reading.kind == Kind.JOB_IT_ENERGY:
            it_energy[place] = it_energy.get(place, 0) + reading.quantity
    found: dict[tuple[int, int], Suspicion] = {}
    for place, items in imports.items():
        used = it_energy.get(place, 0)
        total = sum(item.quantity for item in items)
        idle = _full_scale(items[0], meters[items[0].meter_id]) * IDLE_PERMILLE_MOST // 1000
        if used and not used <= total <= used * PUE_MILLI_MOST // 1000 + idle:
            found |= {(item.meter_id, item.seq): Suspicion.MASS_BALANCE for item in items}
    return found
