"""Time series by local day, and their integer resampling to slots.

A value is a mean over its step: watts for generation, nano-currency per kWh for prices, mg per kWh for
carbon. `None` marks a gap (missing or refused). Joining is by local hour of day, so days are wall-clock days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise

from backend.day.errors import DataFileError

DAY_S = 86_400
FULL_DAY_SHARE = 0.9
"""A file has a day if at least this share of the day's intervals is there."""
SUNLIT_SHARE = 0.4
"""The same for generation, where a gap is simply no energy (a station refused at night is still a day)."""


@dataclass(frozen=True)
class Series:
    """One site's, zone's or bus's values. `kind`: the technology of a plant, the currency of a price."""

    key: str
    kind: str
    step_s: int
    days: Mapping[date, tuple[int | None, ...]]

    def full_days(self, share: float = FULL_DAY_SHARE) -> frozenset[date]:
        """Days with enough of their intervals to stand for a day."""
        need = share * DAY_S / self.step_s
        return frozenset(
            day for day, values in self.days.items() if sum(v is not None for v in values) >= need
        )


class SeriesBuilder:
    """Collects values by local start; where a wall-clock hour repeats in autumn, the first one stands."""

    def __init__(self, key: str, kind: str, step_s: int) -> None:
        self.key, self.kind, self.step_s = key, kind, step_s
        self._days: dict[date, list[int | None]] = {}

    def put(self, local_start: datetime, value: int) -> None:
        day = self._days.setdefault(local_start.date(), [None] * (DAY_S // self.step_s))
        second = local_start.hour * 3600 + local_start.minute * 60 + local_start.second
        if day[second // self.step_s] is None:
            day[second // self.step_s] = value

    def build(self) -> Series:
        return Series(
            self.key, self.kind, self.step_s, {day: tuple(self._days[day]) for day in sorted(self._days)}
        )


def days_apart(a: date, b: date) -> int:
    """Circular distance of two days of the year, 0..183, the year of either ignored (29 Feb = 28 Feb + 1)."""
    one, two = _day_of_year(a), _day_of_year(b)
    gap = abs(one - two)
    return min(gap, 366 - gap)


def _day_of_year(day: date) -> int:
    return day.replace(year=2000).timetuple().tm_yday


def nearest_day(days: Iterable[date], wanted: date, where: str) -> date:
    """The wanted day itself, else the same or nearest day of the year.

    Ties: the year nearest to the wanted one, then the earlier day. Raises `DataFileError` when there is none.
    """
    candidates = sorted(days)
    if not candidates:
        raise DataFileError(where, "days", "no day is complete enough to use", "give at least one full day")
    if wanted in candidates:
        return wanted
    return min(candidates, key=lambda day: (days_apart(day, wanted), abs(day.year - wanted.year), day))


def common_full_days(series: Sequence[Series], share: float = FULL_DAY_SHARE) -> frozenset[date]:
    """Days that every series has, so that one day's weather stays one day's weather."""
    sets = [one.full_days(share) for one in series]
    return frozenset.intersection(*sets) if sets else frozenset()


def energy_by_slot(values: Sequence[int | None], step_s: int, slot_s: int) -> tuple[int, ...]:
    """Watts per step to Wh per slot; a gap is no energy.

    The running total is rounded down and differenced, so the day's Wh are the floor of the exact energy and
    no prefix of slots ever holds more than was generated.
    """
    edges = _cumulative([value or 0 for value in values], step_s, slot_s)
    whole = [edge // 3600 for edge in edges]
    return tuple(b - a for a, b in pairwise(whole))


def mean_by_slot(
    values: Sequence[int | None], step_s: int, slot_s: int, divisor: int
) -> tuple[tuple[int, ...], int]:
    """Time-weighted mean per slot, divided by `divisor`, rounded half up; and how many gaps were filled.

    A gap takes the last known value before it (the first known after it at the start of the day).
    """
    filled, gaps = fill_forward(values)
    edges = _cumulative(filled, step_s, slot_s)
    weight = slot_s * divisor
    means = tuple((2 * (b - a) + weight) // (2 * weight) for a, b in pairwise(edges))
    return means, gaps


def fill_forward(values: Sequence[int | None]) -> tuple[list[int], int]:
    """Values without gaps and the number of gaps filled."""
    known = next((value for value in values if value is not None), None)
    if known is None:
        raise ValueError("a day without any value cannot be filled")
    result: list[int] = []
    gaps = 0
    for value in values:
        if value is None:
            gaps += 1
        else:
            known = value
        result.append(known)
    return result, gaps


def _cumulative(values: Sequence[int], step_s: int, slot_s: int) -> list[int]:
    """Integral (value x seconds) from 00:00 to each slot edge of the day."""
    total = len(values) * step_s
    if total % slot_s:
        raise ValueError(f"{total} s do not divide into slots of {slot_s} s")
    prefix = [0]
    for value in values:
        prefix.append(prefix[-1] + value * step_s)
    edges = []
    for second in range(0, total + 1, slot_s):
        index, rest = divmod(second, step_s)
        edges.append(prefix[index] + (values[index] * rest if rest else 0))
    return edges
