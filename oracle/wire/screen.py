"""Screening: whether a reading that is signed and continuous can still be false data.

A meter can be fed with what the sensor never saw: a value that is stuck, a sentinel, a jump no machine makes,
the scaled copy of another period or of another plant, an import that its own site's jobs contradict, compute
that its machine does not have, power out of a storage that was never charged. Such a reading is reported with
a worse quality, so that it earns nothing; it is never dropped.

Everything follows from the readings of earlier reports and the chain alone, so that every honest node, and
the auditor, come to the same qualities.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Mapping, Sequence
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
ROUND_TRIP_PERMILLE_MOST = 980
"""No storage gives back more of what it took."""
RAMP_PERMILLE: Mapping[int, int] = {PV: 850, WIND: 850, 4: 300, 5: 500, 6: 300}
"""By source: the greatest change between intervals, in thousandths of nameplate. Hydro has no limit."""
_SENTINELS = frozenset(
    {32_767, 32_768, 65_535, 65_536, 999_999, 9_999_999, 99_999_999, (1 << 31) - 1, 1 << 31, (1 << 32) - 1}
    | {(1 << 63) - 1, (1 << 64) - 1}
)
_SIGN: Mapping[int, int] = {Kind.STORAGE_CHARGE: -1, Kind.STORAGE_DISCHARGE: 1}
_STORAGE = frozenset({Kind.SITE_IMPORT, *_SIGN})
_SCALES = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 1_000_000_000)


class Suspicion(StrEnum):
    """Why a reading is not believed."""

    STUCK = "stuck value"
    SENTINEL = "sentinel"
    RAMP = "ramp"
    REPLAY = "replay of another period"
    DUPLICATE = "copy of another plant"
    MASS_BALANCE = "mass balance"
    STORAGE = "storage balance"
    CAPACITY = "more compute than the machine has"
    FORBIDDEN = "measurement is forbidden"


QUALITY_OF = dict.fromkeys(Suspicion, Quality.ESTIMATED) | {Suspicion.SENTINEL: Quality.MISSING}


@dataclass(frozen=True, slots=True)
class Metered:
    """What a meter measures: nameplate in W, a plant's source (None for a site), its site or plant."""

    nameplate_w: int
    source: int | None = None
    site_id: int | None = None
    plant_id: int | None = None
    allowed: bool = True
    """Whether the policy in force still allows the code that the device was attested with."""
    attested_until: int = 1 << 63
    """Unix seconds; a storage whose meter is not attested any more is no storage."""


class History(Protocol):
    """The readings of earlier reports."""

    def tail(self, meter_id: int) -> Sequence[Reading]:
        """The last TAIL generation readings of a meter, oldest first."""
        ...

    def origin(self, fingerprint: int) -> tuple[int, int] | None:
        """(meter, end) of the first window that had a fingerprint."""
        ...

    def storage(self) -> Collection[int]:
        """Meters that have reported charge or discharge of a storage."""
        ...

    def register(self, meter_id: int, kind: int) -> int:
        """The last reported register of a meter's own stream of a kind, 0 before the first."""
        ...

    def milli_vcu(self, meter_id: int) -> int | None:
        """What a workload device's machine measured at its registration; None if it has not registered."""
        ...


def screen(
    readings: Iterable[Reading], meters: Mapping[int, Metered], history: History
) -> dict[tuple[int, int], Suspicion]:
    """(meter, seq) -> suspicion of those readings of one report that are not believed."""
    found: dict[tuple[int, int], Suspicion] = {}
    ordered = sorted(readings, key=lambda reading: (reading.start, reading.meter_id, reading.seq))
    tails: dict[int, list[Reading]] = {}
    new: dict[int, tuple[int, int]] = {}
    slots = {
        (item.meter_id, item.kind, item.start, item.end): item for item in ordered if item.kind in _STORAGE
    }
    doubted, moved = _storage(ordered, meters, history, slots)
    for reading in ordered:
        metered = meters.get(reading.meter_id)
        key = reading.meter_id, reading.seq
        if reading.quantity and is_sentinel(reading.quantity):
            found[key] = Suspicion.SENTINEL
        if metered is not None and not metered.allowed:
            found.setdefault(key, Suspicion.FORBIDDEN)
        if reading.kind != Kind.GENERATION or metered is None:
            continue
        before = tails.setdefault(reading.meter_id, list(history.tail(reading.meter_id)))
        values = contiguous(before, reading)
        doubt = None if key in moved else _stuck(values, metered) or _ramp(values, metered)
        doubt = doubt or _copied(values, metered, history, new)
        if doubt:
            found.setdefault(key, doubt)
        mark = fingerprint(values[-WINDOW:], metered)
        if mark is not None:
            new.setdefault(mark, (reading.meter_id, reading.end))
        keep(before, reading)
    for part in (doubted, _unbalanced(ordered, meters), _beyond_machine(ordered, history)):
        for key, doubt in part.items():
            found.setdefault(key, doubt)
    return found


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
    """Site imports that cannot go with the IT energy of the site's jobs in the same interval (PUE >= 1).

    What storage gave or took is counted in.
    """
    imports: dict[tuple[int, int, int], list[Reading]] = {}
    it_energy: dict[tuple[int, int, int], int] = {}
    from_storage: dict[tuple[int, int, int], int] = {}
    for reading in readings:
        metered = meters.get(reading.meter_id)
        if metered is None or metered.site_id is None:
            continue
        place = metered.site_id, reading.start, reading.end
        if reading.kind == Kind.SITE_IMPORT:
            imports.setdefault(place, []).append(reading)
        elif reading.kind == Kind.JOB_IT_ENERGY:
            it_energy[place] = it_energy.get(place, 0) + reading.quantity
        elif reading.kind in _SIGN:
            from_storage[place] = from_storage.get(place, 0) + _SIGN[reading.kind] * reading.quantity
    found: dict[tuple[int, int], Suspicion] = {}
    for place, items in imports.items():
        used = it_energy.get(place, 0)
        total = sum(item.quantity for item in items) + from_storage.get(place, 0)
        idle = _full_scale(items[0], meters[items[0].meter_id]) * IDLE_PERMILLE_MOST // 1000
        if used and not used <= total <= used * PUE_MILLI_MOST // 1000 + idle:
            found |= {(item.meter_id, item.seq): Suspicion.MASS_BALANCE for item in items}
    return found


# --- storage ----------------------------------------------------------------------
_Slots = Mapping[tuple[int, int, int, int], Reading]
"""(meter, kind, start, end) -> reading of a storage meter, or of an import."""


def _storage(
    readings: Sequence[Reading], meters: Mapping[int, Metered], history: History, slots: _Slots
) -> tuple[dict[tuple[int, int], Suspicion], set[tuple[int, int]]]:
    """Generation and imports whose storage does not add up, and generation in whose slot storage was at work.

    An asset that has a storage is believed only together with the storage's actual readings of the same
    interval. What a plant's storage gives must have come from the plant: less than was charged, apart from
    what the storage meter says was imported from the grid.
    """
    known = set(history.storage()) | {meter for meter, kind, *_ in slots if kind in _SIGN}
    behind: dict[tuple[int | None, int | None], list[int]] = {}
    for meter_id in sorted(known):
        if metered := meters.get(meter_id):
            behind.setdefault((metered.site_id, metered.plant_id), []).append(meter_id)
    found: dict[tuple[int, int], Suspicion] = {}
    moved: set[tuple[int, int]] = set()
    if not behind:
        return found, moved
    for reading in readings:
        metered = meters.get(reading.meter_id)
        imports = reading.kind == Kind.SITE_IMPORT and reading.meter_id not in known
        main = imports or reading.kind == Kind.GENERATION
        if metered is None or not main:
            continue
        all_of_asset = behind.get((metered.site_id, metered.plant_id), ())
        stores = [meter_id for meter_id in all_of_asset if meters[meter_id].attested_until >= reading.end]
        if not stores:
            continue
        key = reading.meter_id, reading.seq
        given = [_given(reading, meter_id, metered, history, slots) for meter_id in stores]
        whole = [value for value in given if value is not None]
        if any(whole):
            moved.add(key)
        gross = reading.quantity - sum(whole)
        if reading.kind == Kind.GENERATION and not 0 <= gross * 100 <= _full_scale(reading, metered) * 105:
            found[key] = Suspicion.STORAGE
        if len(whole) < len(given):
            found[key] = Suspicion.STORAGE
    return found, moved


def _given(reading: Reading, meter_id: int, metered: Metered, history: History, slots: _Slots) -> int | None:
    """Discharge - charge of a storage meter in a reading's interval, mWh; None where it is not believed."""
    when = reading.start, reading.end
    charge, discharge = (slots.get((meter_id, kind, *when)) for kind in _SIGN)
    if charge is None or discharge is None or charge.quality or discharge.quality:
        return None
    if metered.plant_id is not None:
        bought = slots.get((meter_id, Kind.SITE_IMPORT, *when))
        imported = bought.register if bought else history.register(meter_id, Kind.SITE_IMPORT)
        if discharge.register * 1000 > (charge.register - imported) * ROUND_TRIP_PERMILLE_MOST:
            return None
    return discharge.quantity - charge.quantity


# --- compute ------------------------------------------------------------------------
def _beyond_machine(readings: Sequence[Reading], history: History) -> dict[tuple[int, int], Suspicion]:
    """Compute of an interval that is more than the device's machine measured at its registration (F1)."""
    sums: dict[tuple[int, int, int], int] = {}
    compute = [reading for reading in readings if reading.kind == Kind.COMPUTE]
    for reading in compute:
        place = reading.meter_id, reading.start, reading.end
        sums[place] = sums.get(place, 0) + reading.quantity
    limits = {meter_id: history.milli_vcu(meter_id) for meter_id, _, _ in sums}
    return {
        (reading.meter_id, reading.seq): Suspicion.CAPACITY
        for reading in compute
        if (limit := limits[reading.meter_id]) is not None
        and sums[reading.meter_id, reading.start, reading.end] > limit * (reading.end - reading.start)
    }
