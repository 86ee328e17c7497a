"""Which day of a file stands for which day of the horizon, and the slots that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from backend.day.sources.series import (
    SUNLIT_SHARE,
    Series,
    common_full_days,
    days_apart,
    energy_by_slot,
    mean_by_slot,
    nearest_day,
)
from backend.day.types import SourceNote


@dataclass(frozen=True)
class Horizon:
    """The supply days wanted, one per day of the horizon, and the slot length."""

    days: tuple[date, ...]
    slot_s: int

    @staticmethod
    def of(first: date, slots: int, slot_s: int) -> Horizon:
        """The days from `first` that `slots` slots cover."""
        count = slots * slot_s // 86_400
        return Horizon(tuple(first + timedelta(days=n) for n in range(count)), slot_s)


def energy_slots(
    series: Sequence[Series], horizon: Horizon, role: str, file: str, form: str
) -> tuple[Mapping[str, tuple[int, ...]], tuple[SourceNote, ...]]:
    """Wh per slot over the horizon, by series key.

    All plants of a file take the same day, so that one day's weather stays together; where they have no
    day in common each takes its own nearest. Raises `DataFileError` when a series has no usable day.
    """
    common = common_full_days(series, SUNLIT_SHARE)
    result: dict[str, tuple[int, ...]] = {}
    notes: list[SourceNote] = []
    for one in series:
        have = common or one.full_days(SUNLIT_SHARE)
        used = [nearest_day(have, day, file) for day in horizon.days]
        result[one.key] = _join(
            energy_by_slot(one.days.get(day, ()) or _nothing(one), one.step_s, horizon.slot_s) for day in used
        )
        own_role = role if common else f"{role} {one.key}"
        gaps = [sum(v is None for v in one.days[day]) for day in used]
        notes.extend(_notes(own_role, file, form, horizon.days, used, gaps))
    return result, _merge(notes)


def mean_slots(
    series: Sequence[Series],
    keys: Iterable[str],
    horizon: Horizon,
    role: str,
    file: str,
    form: str,
    finish: Callable[[str, Sequence[int | None], int], tuple[tuple[int, ...], int]],
) -> tuple[Mapping[str, tuple[int, ...]], tuple[SourceNote, ...]]:
    """Mean values per slot over the horizon for the wanted keys; `finish` makes one day's slots."""
    by_key = {one.key: one for one in series}
    wanted = [by_key[key] for key in sorted(set(keys))]
    common = common_full_days(wanted)
    result: dict[str, tuple[int, ...]] = {}
    notes: list[SourceNote] = []
    for one in wanted:
        have = common or one.full_days()
        used = [nearest_day(have, day, file) for day in horizon.days]
        days = [finish(one.key, one.days[day], one.step_s) for day in used]
        result[one.key] = _join(values for values, _ in days)
        own_role = role if common else f"{role} {one.key}"
        notes.extend(_notes(own_role, file, form, horizon.days, used, [gaps for _, gaps in days]))
    return result, _merge(notes)


def price_finisher(
    fx_ppm: int, fee_micro: int, slot_s: int
) -> Callable[[str, Sequence[int | None], int], tuple[tuple[int, ...], int]]:
    """Nano-currency per kWh to the tariff in settlement micro-units per kWh, rounded half up once."""

    def finish(key: str, values: Sequence[int | None], step_s: int) -> tuple[tuple[int, ...], int]:
        converted = [None if value is None else value * fx_ppm for value in values]
        means, gaps = mean_by_slot(converted, step_s, slot_s, 1_000_000_000)
        return tuple(mean + fee_micro for mean in means), gaps

    return finish


def carbon_finisher(slot_s: int) -> Callable[[str, Sequence[int | None], int], tuple[tuple[int, ...], int]]:
    """mg per kWh to g per kWh, rounded half up once."""

    def finish(key: str, values: Sequence[int | None], step_s: int) -> tuple[tuple[int, ...], int]:
        return mean_by_slot(values, step_s, slot_s, 1000)

    return finish


def _join(days: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(value for day in days for value in day)


def _nothing(series: Series) -> tuple[int | None, ...]:
    return (None,) * (86_400 // series.step_s)


def _notes(
    role: str, file: str, form: str, wanted: Sequence[date], used: Sequence[date], gaps: Sequence[int]
) -> list[SourceNote]:
    return [
        SourceNote(role, file, form, want, use, days_apart(want, use), gap)
        for want, use, gap in zip(wanted, used, gaps, strict=True)
    ]


def _merge(notes: Iterable[SourceNote]) -> tuple[SourceNote, ...]:
    merged: dict[tuple[str, date, date], SourceNote] = {}
    for note in notes:
        key = (note.role, note.wanted, note.used)
        gaps = note.filled_gaps + (merged[key].filled_gaps if key in merged else 0)
        merged[key] = SourceNote(
            note.role, note.file, note.format, note.wanted, note.used, note.days_off, gaps
        )
    return tuple(merged.values())
