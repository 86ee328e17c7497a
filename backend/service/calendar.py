"""Market days: when they start, when their gates close, and the window a template means on one (pure but for
the anchor).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from backend.settings import Settings
from backend.store.chain import Batch


@dataclass(frozen=True, slots=True)
class MarketDays:
    """Days of `seconds` each that start at `anchor` plus whole days; gates close `lead_seconds` before."""

    anchor: int
    seconds: int
    slot_seconds: int
    lead_seconds: int

    def start_of(self, at: int) -> int:
        """Start of the day that contains `at` (unix seconds)."""
        return at - (at - self.anchor) % self.seconds

    def gate_of(self, start: int) -> int:
        """When the gate of the day that starts at `start` closes."""
        return max(start - self.lead_seconds, 0)

    def next_open(self, now: int) -> int:
        """Start of the first day whose gate is still open."""
        start = self.start_of(now)
        while self.gate_of(start) <= now:
            start += self.seconds
        return start

    def window(self, spec: Mapping[str, Any], day: int, now: int) -> tuple[int, int]:
        """(start, deadline) of a template on the day that starts at `day`, inside slot boundaries."""
        base = day if spec["window_from"] == "day" else max(day, now + self.lead_seconds)
        start = base + spec["window_start_seconds"]
        deadline = start + spec["window_seconds"]
        slot = self.slot_seconds
        return -(-start // slot) * slot, deadline // slot * slot


def market_days(session: Session, settings: Settings) -> MarketDays:
    """The days of this market, aligned to the last batch's clock."""
    anchor = session.exec(select(Batch.start).order_by(col(Batch.batch_id).desc()).limit(1)).first() or 0
    length = settings.slot_seconds * settings.slots
    return MarketDays(anchor, length, settings.slot_seconds, settings.gate_lead_seconds)
