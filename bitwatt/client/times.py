"""Times, amounts and shares as people write them on a command line (pure)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

MICRO = 1_000_000
_SPAN = re.compile(r"^\+(\d+)(m|h|d)$")
_DAY = re.compile(r"^(today|tomorrow|\+\d+d)-(\d{1,2}):(\d{2})$")
_UNITS = {"m": 60, "h": 3600, "d": 86_400}


class BadText(ValueError):
    """A text that says nothing we know, with an example of one that does."""


def parse_time(text: str, now: datetime) -> int:
    """Unix seconds of `now`, `+6h`, `today-18:00`, `tomorrow-09:00`, `+3d-09:00`, ISO 8601 or unix seconds.

    Days and hours are those of `now`'s time zone.
    """
    if text == "now":
        return int(now.timestamp())
    if match := _SPAN.match(text):
        return int(now.timestamp()) + int(match[1]) * _UNITS[match[2]]
    if match := _DAY.match(text):
        days = {"today": 0, "tomorrow": 1}.get(match[1])
        days = int(match[1][1:-1]) if days is None else days
        hour, minute = int(match[2]), int(match[3])
        if hour > 23 or minute > 59:
            raise BadText(f"{text}: there is no such time; write 00:00 to 23:59")
        day = (now + timedelta(days=days)).replace(hour=hour, minute=minute, second=0, microsecond=0)
        return int(day.timestamp())
    if text.isdigit() and len(text) >= 9:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadText(f"{text}: write tomorrow-09:00, +6h, or 2026-05-01T09:00+08:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)).timestamp())


def parse_clock(text: str) -> int:
    """Seconds of `09:30` since the day's start; 24:00 is none."""
    match = re.match(r"^(\d{1,2}):(\d{2})$", text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise BadText(f"{text}: write a time of the day such as 09:30")
    return int(match[1]) * 3600 + int(match[2]) * 60


def parse_money(text: str) -> int:
    """Micro-units of an amount of the settlement token such as `1.20`."""
    try:
        value = Decimal(text) * MICRO
    except InvalidOperation:
        raise BadText(f"{text}: write an amount such as 1.20") from None
    if value != value.to_integral_value() or not 0 <= value < 1 << 62:
        raise BadText(f"{text}: write an amount of at most six decimals, not negative")
    return int(value)


def show_money(micro: int) -> str:
    """An amount in tokens, exactly."""
    return f"{Decimal(micro) / MICRO:,.6f}".rstrip("0").rstrip(".")


def parse_share(text: str) -> int:
    """1/10000 of `80%` or `0.8`."""
    try:
        value = Decimal(text[:-1]) * 100 if text.endswith("%") else Decimal(text) * 10_000
    except InvalidOperation:
        raise BadText(f"{text}: write a share such as 80%") from None
    if value != value.to_integral_value() or not 0 <= value <= 10_000:
        raise BadText(f"{text}: write a share from 0% to 100%")
    return int(value)


def split_quantity(
    quantity: int, window_slots: int, lanes: int | None, duration: int | None
) -> tuple[int, int]:
    """(lanes, slots of each) whose product is `quantity` VCU-slots and that fit the window.

    Without a wish, each lane runs through at most half the window, so that there is room to shift.
    """
    if window_slots < 1:
        raise BadText("the window has no slot: give a later --by, or an earlier --from")
    if lanes is not None and duration is not None:
        if lanes * duration != quantity:
            raise BadText(
                f"{lanes} lanes x {duration} slots are {lanes * duration} VCU-slots, not {quantity}"
            )
        return lanes, duration
    if lanes is not None or duration is not None:
        given = lanes or duration or 1
        if quantity % given:
            raise BadText(f"{quantity} VCU-slots do not divide by {given}: change one of them")
        return (given, quantity // given) if lanes is not None else (quantity // given, given)
    most = max(1, window_slots // 2)
    best = max(slots for slots in range(1, most + 1) if quantity % slots == 0)
    return quantity // best, best
