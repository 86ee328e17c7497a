"""Validate, estimate, edit: from what a sensor says to what a device may sign.

Nothing here ever makes a value better than it is: what is filled in, clipped or guessed says so in its
quality, and only quality 0 earns anything.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from oracle.wire.reading import Quality

SENTINELS = frozenset({-99.0, -999.0, -9999.0, 6553.5, 65535.0, 32767.0, -32768.0, 9999.0, 99999.0})


class Measure(NamedTuple):
    """A quantity (mWh or resource-milliseconds), its quality, and what was done to it."""

    quantity: int
    quality: Quality
    note: str = ""


def of_value(value: float | None, milli_per_unit: float, most: int) -> Measure:
    """One value of a series: missing and sentinel values are 0 and say so, negative ones are clipped.

    `most` is what the plant can make in the interval: beyond 105 % of it the value is no measurement.
    """
    if value is None or math.isnan(value):
        return Measure(0, Quality.MISSING, "no value")
    if value in SENTINELS:
        return Measure(0, Quality.MISSING, f"sentinel {value:g}")
    if value < 0:
        return Measure(0, Quality.EDITED, f"negative value {value:g}: the plant's own consumption")
    quantity = round(value * milli_per_unit)
    if quantity * 100 > most * 105:
        return Measure(0, Quality.MISSING, f"{value:g} is beyond the nameplate")
    return Measure(quantity, Quality.ACTUAL)


def of_registers(before: int, now: int, modulus: int, most: int) -> Measure:
    """What flowed between two states of a counting register that starts again at `modulus`, all in mWh.

    A register that went back either rolled over, when that explains a plausible quantity, or the meter was
    replaced: then nobody knows what flowed.
    """
    quantity = now - before
    if quantity >= 0:
        if quantity * 100 > most * 105:
            return Measure(0, Quality.MISSING, f"a jump of {quantity} mWh is beyond the nameplate")
        return Measure(quantity, Quality.ACTUAL)
    rolled = quantity + modulus
    if 0 <= rolled * 100 <= most * 105:
        return Measure(rolled, Quality.ACTUAL, "the register rolled over")
    return Measure(0, Quality.MISSING, "the register went back: a replaced meter")


def spread(measure: Measure, intervals: int, late: bool) -> list[Measure]:
    """A quantity over the intervals it was measured for; only one interval read in time is actual."""
    if intervals == 1 and not late:
        return [measure]
    quality = max(measure.quality, Quality.ESTIMATED)
    note = measure.note or ("read late" if intervals == 1 else f"spread over {intervals} intervals")
    share, rest = divmod(measure.quantity, intervals)
    return [Measure(share + (number < rest), quality, note) for number in range(intervals)]
