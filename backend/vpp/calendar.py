"""Trading days and gates: which slots a local day has, and until when it can be bid for.

A day is the local day of the market's time zone, so the two days on which clocks change have 92 or 100
quarter-hours; a bid must give a value for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from backend.vpp.errors import FlexError, GateClosed

DAY_AHEAD, REAL_TIME = "day_ahead", "real_time"


@dataclass(frozen=True, slots=True)
class TradingDay:
    """The slots of one local day: `count` intervals of `slot_seconds` from unix second `start`."""

    day: date
    zone_name: str
    start: int
    slot_seconds: int
    count: int

    def slot_start(self, slot: int) -> int:
        """Unix second at which a slot begins; FlexError outside the day."""
        if not 0 <= slot < self.count:
            raise FlexError("no_such_slot", "slot", slot, f"{self.day} has slots 0..{self.count - 1}")
        return self.start + slot * self.slot_seconds


def trading_day(day: date, zone_name: str = "Asia/Shanghai", slot_seconds: int = 900) -> TradingDay:
    """The slots of a local day; FlexError for an unknown time zone or a slot that does not divide an hour."""
    if slot_seconds <= 0 or 3600 % slot_seconds:
        raise FlexError(
            "slot_seconds", "slot_seconds", slot_seconds, "must divide 3600, such as 300, 900, 3600"
        )
    try:
        zone = ZoneInfo(zone_name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise FlexError(
            "time_zone", "zone_name", zone_name, "give an IANA name such as Europe/Berlin"
        ) from error
    start = int(datetime.combine(day, time(), zone).timestamp())
    end = int(datetime.combine(day + timedelta(days=1), time(), zone).timestamp())
    return TradingDay(day, zone_name, start, slot_seconds, (end - start) // slot_seconds)


@dataclass(frozen=True, slots=True)
class Gates:
    """Gate closures, data of the market: day-ahead at a local hour of the day before, real-time so many
    seconds before each slot."""

    day_ahead_hour: int = 12
    real_time_lead_seconds: int = 3600

    def closes_at(self, day: TradingDay, market: str, slot: int = 0) -> int:
        """Unix second of the gate closure of a market (and of a slot, in real time)."""
        if market == REAL_TIME:
            return day.slot_start(slot) - self.real_time_lead_seconds
        if market != DAY_AHEAD:
            raise FlexError("market", "market", market, f"must be {DAY_AHEAD} or {REAL_TIME}")
        before = datetime.combine(
            day.day - timedelta(days=1), time(self.day_ahead_hour), ZoneInfo(day.zone_name)
        )
        return int(before.timestamp())

    def require_open(self, day: TradingDay, market: str, now: int, slot: int = 0) -> None:
        """Raises GateClosed when `now` is at or past the closure."""
        closes = self.closes_at(day, market, slot)
        if now >= closes:
            raise GateClosed(
                "gate_closed",
                "received_at",
                now,
                f"the {market} gate of {day.day} closed at {closes}: bid earlier",
            )
