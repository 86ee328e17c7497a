"""What a load would have been without the event: four baselines (F6), and the response against them.

A history is the load of whole days, W per interval, one row a day. Which method measures a product is
fixed by the product, never by the participant. How each method can be cheated, and what bounds it,
stands at the function; the tests hold a case for each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from backend.vpp.errors import FlexError
from backend.vpp.resources import digest
from backend.vpp.spot import Ints

VERSION = "1"
BPS = 10_000
WINDOW_DAYS = 45


@dataclass(frozen=True, slots=True, eq=False)
class LoadHistory:
    """Load of past days, latest last: `load_w`[day][interval]; -1 marks a missing reading.

    `event_day` marks days with an event or an outage, which no baseline may use.
    """

    days: tuple[date, ...]
    load_w: Ints
    event_day: npt.NDArray[np.bool_]
    slot_seconds: int

    def __post_init__(self) -> None:
        if len(self.days) != len(self.load_w) or len(self.days) != len(self.event_day):
            raise FlexError("history", "days", len(self.days), "one row of load and one mark a day")
        if any(a >= b for a, b in zip(self.days, self.days[1:], strict=False)):
            raise FlexError("history", "days", len(self.days), "days must rise")


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """A dispatch on `day` over intervals [first, last); `today_w` is that day's metered load until now."""

    day: date
    first: int
    last: int
    today_w: Ints

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.last <= len(self.today_w):
            raise FlexError("event", "last", self.last, f"must lie in 1..{len(self.today_w)}")


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """W per interval of the event, with method, version and the hash of all inputs."""

    baseline_w: Ints
    method: str
    version: str
    inputs_hash: str


def _weekend(day: date) -> bool:
    return day.weekday() >= 5


def _valid_days(history: LoadHistory, event: Event, count: int, least: int) -> Ints:
    """Rows of the last `count` days of the event's day type, without events, within 45 days."""
    rows = [
        n for n in range(len(history.days) - 1, -1, -1)
        if history.days[n] < event.day
        and (event.day - history.days[n]).days <= WINDOW_DAYS
        and not history.event_day[n]
        and _weekend(history.days[n]) == _weekend(event.day)
        and (history.load_w[n] >= 0).all()
    ][:count]  # fmt: skip
    if len(rows) < least:
        raise FlexError(
            "stale_telemetry", "history", len(rows),
            f"{least} complete days of the event's day type within {WINDOW_DAYS} days are needed",
        )  # fmt: skip
    return np.array(rows, np.int64)


def caiso_10_in_10(history: LoadHistory, event: Event) -> Ints:
    """Mean of the last ten like days, times what the day's own hours -4..-2 say, held to 0.8..1.2.

    Cheat: raise the load in those two hours. Bound: the clip, so at most 20 %.
    """
    rows = _valid_days(history, event, 10, 5)
    mean = history.load_w[rows].sum(axis=0) // len(rows)
    hour = 3600 // history.slot_seconds
    a, b = event.first - 4 * hour, event.first - 2 * hour
    factor = BPS
    if a >= 0 and (event.today_w[a:b] >= 0).all() and int(mean[a:b].sum()) > 0:
        factor = int(np.clip(int(event.today_w[a:b].sum()) * BPS // int(mean[a:b].sum()), 8000, 12_000))
    return mean[event.first : event.last] * factor // BPS


def _high_of(most: int, last: int) -> Callable[[LoadHistory, Event], Ints]:
    def high(history: LoadHistory, event: Event) -> Ints:
        """Mean of the days with the most energy in the event's window among the last valid ones.

        Cheat: raise the load at that hour on a few days before an announced event. Bound: the mean of X days
        dilutes each one, and a day far above the others is left out: more than twice their median.
        """
        rows = _valid_days(history, event, last, most)
        window = history.load_w[rows][:, event.first : event.last]
        energy = window.sum(axis=1)
        usual = energy <= 2 * np.median(energy)
        if usual.sum() >= most:
            window, energy = window[usual], energy[usual]
        top = np.argsort(-energy, kind="stable")[:most]
        return window[top].sum(axis=0) // most

    return high


def meter_before_after(history: LoadHistory, event: Event) -> Ints:
    """The mean of the readings just before dispatch, flat over the event; for products of seconds.

    Cheat: jump up right before an expected signal. Bound: the lower of the mean of the last interval and of
    the last four, so a jump must be kept up for an hour to count.
    """
    before = event.today_w[max(0, event.first - 4) : event.first]
    if len(before) == 0 or (before < 0).any():
        raise FlexError(
            "stale_telemetry", "today_w", event.first, "readings right before dispatch are missing"
        )
    level = min(int(before[-1]), int(before.sum()) // len(before))
    return np.full(event.last - event.first, level, np.int64)


METHODS: dict[str, Callable[[LoadHistory, Event], Ints]] = {
    "caiso_10_in_10": caiso_10_in_10,
    "high_4_of_5": _high_of(4, 5),
    "high_5_of_10": _high_of(5, 10),
    "meter_before_after": meter_before_after,
}


def baseline(method: str, history: LoadHistory, event: Event) -> Baseline:
    """The baseline of an event by a named method, with its provenance; FlexError for an unknown one."""
    if method not in METHODS:
        raise FlexError("method", "method", method, f"use one of {', '.join(METHODS)}")
    if event.today_w.shape[0] != history.load_w.shape[1]:
        raise FlexError(
            "history", "today_w", len(event.today_w),
            f"history has {history.load_w.shape[1]} intervals a day; bring clock-change days to that grid",
        )  # fmt: skip
    inputs = {
        "method": method, "version": VERSION, "slot_seconds": history.slot_seconds,
        "days": [d.isoformat() for d in history.days], "load_w": history.load_w,
        "event_day": history.event_day.tolist(), "event": [event.day.isoformat(), event.first, event.last],
        "before_w": event.today_w[: event.first],
    }  # fmt: skip
    return Baseline(METHODS[method](history, event), method, VERSION, digest(inputs))


def delivered_wh(found: Baseline, event: Event, slot_seconds: int, *, raises: bool = False) -> int:
    """R of F6: the sum of max(0, baseline - load) (load - baseline for a raise), whole Wh, rounded down.

    A missing reading in the event counts as nothing delivered.
    """
    load = event.today_w[event.first : event.last]
    change = load - found.baseline_w if raises else found.baseline_w - load
    return int(np.where(load >= 0, np.maximum(change, 0), 0).sum()) * slot_seconds // 3600
