"""When each job may run: the joining rules from submission time to slots, and the horizon that follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from backend.day import draws
from backend.day.errors import DataFileError
from backend.day.params import DayParameters
from backend.day.sources.jobs import JobRow

SATURDAY = 5


@dataclass(frozen=True)
class JobWindow:
    """A job with its slots counted from 00:00 local of the day; start + duration <= deadline always."""

    row: JobRow
    urgent: bool
    duration_slots: int
    start_slot: int
    deadline_slot: int


@dataclass(frozen=True)
class Windows:
    """All windows, the horizon in slots (whole days) and how many deadlines it clipped or jobs it dropped."""

    jobs: tuple[JobWindow, ...]
    slots: int
    clipped: int
    dropped: int


def make_windows(rows: Iterable[JobRow], day: date, params: DayParameters, seed: int) -> Windows:
    """Applies the joining rules to the jobs of a day.

    Start is the submission rounded up to a slot, the deadline is rounded down, but never below start +
    duration. Raises `DataFileError` when no job fits the horizon.
    """
    slot_s = params.slot_seconds
    found = [_window(row, day, params, seed) for row in rows]
    day_slots = slots_per_day(slot_s)
    last = max((window.deadline_slot for window in found), default=0)
    slots = min(-(-last // day_slots), params.max_days) * day_slots
    kept = [w for w in found if w.start_slot + w.duration_slots <= slots]
    if not kept:
        raise DataFileError(
            "jobs", "orders", "no job fits the horizon", "choose another --date or more orders"
        )
    return Windows(
        tuple(replace(w, deadline_slot=min(w.deadline_slot, slots)) for w in kept),
        slots,
        sum(w.deadline_slot > slots for w in kept),
        len(found) - len(kept),
    )


def slots_per_day(slot_s: int) -> int:
    """Slots in a day; the slot must divide it."""
    if 86_400 % slot_s:
        raise DataFileError(
            "options", "slot_seconds", f"{slot_s} does not divide a day", "use 300, 900 or 3600"
        )
    return 86_400 // slot_s


def _window(row: JobRow, day: date, params: DayParameters, seed: int) -> JobWindow:
    slot_s = params.slot_seconds
    midnight = datetime.combine(day, time())
    duration_s = min(row.duration_s, params.max_duration_s)
    submit_s = int((row.submit_local - midnight).total_seconds())
    start = -(-submit_s // slot_s)
    duration = -(-duration_s // slot_s)
    flexible = row.flexible
    if flexible is None:
        flexible = draws.below(seed, row.job_id, "flexible", draws.PPM) < params.flexible_ppm
    if row.deadline_local is not None:
        deadline_s = int((row.deadline_local - midnight).total_seconds())
    elif flexible:
        ready = midnight + timedelta(seconds=(start + duration) * slot_s)
        deadline_s = int((next_morning(ready, params.flexible_deadline_hour) - midnight).total_seconds())
    else:
        deadline_s = submit_s + duration_s + slack_s(row.job_id, duration_s, params, seed)
    return JobWindow(row, not flexible, duration, start, max(deadline_s // slot_s, start + duration))


def next_morning(ready: datetime, hour: int) -> datetime:
    """The first working-day morning at `hour` that is not before `ready`."""
    morning = datetime.combine(ready.date(), time(hour))
    if morning < ready:
        morning += timedelta(days=1)
    while morning.weekday() >= SATURDAY:
        morning += timedelta(days=1)
    return morning


def slack_s(job_id: str, duration_s: int, params: DayParameters, seed: int) -> int:
    """Tolerated delay of an urgent job: its duration times a surveyed ratio, at least `min_slack_s`."""
    minutes = draws.weighted(seed, job_id, "slack", params.tolerance_minutes)
    return max(params.min_slack_s, duration_s * minutes // params.tolerance_base_minutes)
