"""From readings to deliveries: baselines of every member and slot, and the document that all of it follows
from.

Energy is measured by the baseline method of its product (F6). Capacity is measured by availability: what a
resource held ready in a quarter-hour is the power it could have shed (its load), taken on (up to its
nameplate), or the lesser of both, at most what it promised. What cannot be measured counts as nothing
delivered, with the reason. A delivery's `inputsHash` on chain is the SHA-256 of the archived document, so
anyone can measure again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from sqlmodel import Session, col, select

from backend.service.vpp import series
from backend.service.vpp.dispatching import told_wh
from backend.service.vpp.terms import CAPACITY, CONTRACT_OF, Terms, payout_of
from backend.store.flex import FlexAward, FlexContract, FlexEvent, FlexPeriod, FlexPosition, FlexResource
from backend.vpp.baselines import VERSION, WINDOW_DAYS, Event, LoadHistory, baseline
from backend.vpp.calendar import TradingDay
from backend.vpp.errors import FlexError
from backend.vpp.money import split_exactly
from backend.vpp.products import PRODUCTS
from backend.vpp.spot import Ints

AVAILABILITY = "availability"
OWN_BPS = 0
"""Share of an aggregator's own resources: it keeps what they earn."""


@dataclass(frozen=True, slots=True)
class Part:
    """A member's part of a position as measured."""

    resource: FlexResource
    account: str
    declared_wh: int
    delivered_wh: int
    share_bps: int
    penalty_bps: int
    method: str
    reason: str


@dataclass(slots=True)
class _Readings:
    """What is known of a resource around a day: history, the day itself, and which days had events."""

    days: tuple[date, ...]
    history_w: Ints
    today_w: Ints
    event_day: npt.NDArray[Any]


@dataclass(slots=True)
class Measured:
    """A period's parts by position, and the document they follow from."""

    parts: list[list[Part]] = field(default_factory=list)
    document: dict[str, object] = field(default_factory=dict)
    tables: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def readings(self) -> bytes:
        """The readings as a file."""
        out = io.BytesIO()
        np.savez_compressed(out, **self.tables)
        return out.getvalue()


def same_clock(day: TradingDay, other: date) -> list[int]:
    """Unix seconds on another date at which the clock shows what it shows at each of the day's slots."""
    zone = ZoneInfo(day.zone_name)
    out = []
    for t in range(day.count):
        shown = datetime.fromtimestamp(day.start + t * day.slot_seconds, zone)
        out.append(int(datetime.combine(other, shown.time(), zone).timestamp()))
    return out


def measure(session: Session, terms: Terms, period: FlexPeriod) -> Measured:
    """Measures everything a period's positions were told; reads, and decides nothing about money."""
    day = terms.day(date.fromisoformat(period.day))
    positions = session.exec(
        select(FlexPosition).where(FlexPosition.period_id == period.id).order_by(col(FlexPosition.position))
    ).all()
    awards: dict[int, list[FlexAward]] = {}
    for award in session.exec(select(FlexAward).where(FlexAward.period_id == period.id)):
        awards.setdefault(award.position, []).append(award)
    events = session.exec(select(FlexEvent).where(FlexEvent.period_id == period.id)).all()
    names = sorted({a.resource_id for own in awards.values() for a in own} | {e.resource_id for e in events})
    rows = {name: session.get_one(FlexResource, name) for name in names}
    days = tuple(day.day - timedelta(days=n) for n in range(WINDOW_DAYS, 0, -1))
    clocks = [same_clock(day, d) for d in days]
    known = {name: _read(session, day, days, clocks, rows[name]) for name in names}
    found = Measured()
    told: list[dict[str, object]] = []
    for position in positions:
        slot = (position.start - day.start) // day.slot_seconds
        declared = _declared(position, awards[position.position], events)
        parts, window = [], (slot, slot + position.seconds // day.slot_seconds)
        for name in sorted(declared):
            event = _event_of(events, name, position)
            if event is not None:
                a = (event.start - day.start) // day.slot_seconds
                window = (a, a + len(event.set_w))
            delivered, method, reason = _delivered(
                day, rows[name], known[name], position, window, declared[name]
            )
            share, penalty = _shares(session, position, rows[name])
            account = payout_of(session, rows[name].organisation_id) or position.account
            parts.append(Part(rows[name], account, declared[name], delivered, share, penalty, method, reason))
        found.parts.append(parts)
        told.append({
            "slot": slot, "slots": position.seconds // day.slot_seconds, "window": list(window),
            "direction": PRODUCTS[position.product].direction,
            "method": parts[0].method, "member": [names.index(p.resource.id) for p in parts],
            "declared_wh": [p.declared_wh for p in parts], "delivered_wh": [p.delivered_wh for p in parts],
        })  # fmt: skip
    some = known[names[0]]
    found.tables = {
        "history_w": np.array([known[name].history_w for name in names]),
        "today_w": np.array([known[name].today_w for name in names]),
        "event_day": np.array([known[name].event_day for name in names]),
        "nameplate_w": np.array([rows[name].nameplate_w for name in names], np.int64),
    }
    found.document = {
        "version": 1, "period_id": period.chain_period, "slot_seconds": day.slot_seconds,
        "baseline_version": VERSION, "days": [d.isoformat() for d in (*some.days, day.day)],
        "awards": [
            {"index": p.position, "aggregator": p.account, "product": p.product,
             "declared_wh": p.declared_wh, "price_micro_per_kwh": p.price_micro_per_kwh}
            for p in positions
        ],
        "members": told,
    }  # fmt: skip
    return found


def canonical(document: dict[str, object]) -> bytes:
    """The document as archived: its SHA-256 is what the chain holds."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _read(
    session: Session, day: TradingDay, days: tuple[date, ...], clocks: list[list[int]], row: FlexResource
) -> _Readings:
    today = [day.slot_start(t) for t in range(day.count)]
    starts = sorted({start for clock in clocks for start in clock} | set(today))
    flat = series.grid(session, row.id, "telemetry", starts, day.slot_seconds)
    place = {start: n for n, start in enumerate(starts)}
    history = np.array([[flat[place[start]] for start in clock] for clock in clocks], np.int64)
    own = flat[[place[start] for start in today]]
    zone = ZoneInfo(day.zone_name)
    busy = {
        datetime.fromtimestamp(event.start, zone).date()
        for event in session.exec(
            select(FlexEvent).where(FlexEvent.resource_id == row.id, FlexEvent.start >= clocks[0][0])
        )
    }
    return _Readings(days, history, own, np.array([d in busy for d in days]))


def _declared(
    position: FlexPosition, awards: Sequence[FlexAward], events: Sequence[FlexEvent]
) -> dict[str, int]:
    """What each member answers for: what it was told, made up to the position's Wh by the awards."""
    awarded: dict[str, int] = {}
    for award in awards:
        awarded[award.resource_id] = awarded.get(award.resource_id, 0) + award.energy_wh
    told = {
        event.resource_id: told_wh(event, position.start)
        for event in events
        if _event_of([event], event.resource_id, position) is not None
    }
    told = {name: energy for name, energy in told.items() if energy}
    gap = position.declared_wh - sum(told.values())
    base = awarded if gap > 0 else told
    names = sorted(base)
    parts = split_exactly(gap, np.array([base[name] for name in names], np.int64)).tolist() if gap else []
    for name, extra in zip(names, parts, strict=False):
        told[name] = told.get(name, 0) + extra
    return {name: energy for name, energy in told.items() if energy > 0}


def _event_of(events: Sequence[FlexEvent], resource_id: str, position: FlexPosition) -> FlexEvent | None:
    for event in events:
        inside = event.start <= position.start < event.start + event.slot_seconds * len(event.set_w)
        same = (event.resource_id, event.product, event.aggregator_id) == (
            resource_id, position.product, position.aggregator_id,
        )  # fmt: skip
        if inside and same:
            return event
    return None


def _delivered(
    day: TradingDay, row: FlexResource, known: _Readings, position: FlexPosition, window: tuple[int, int],
    declared_wh: int,
) -> tuple[int, str, str]:  # fmt: skip
    """(Wh, method, why nothing could be measured)."""
    product = PRODUCTS[position.product]
    slot = (position.start - day.start) // day.slot_seconds
    if position.product in CAPACITY:
        return _available(day, row, known, product.direction, slot, position.seconds, declared_wh)
    try:
        event = Event(day.day, *window, known.today_w)
        past = LoadHistory(known.days, known.history_w, known.event_day, day.slot_seconds)
        base = int(baseline(product.baseline, past, event).baseline_w[slot - window[0]])
    except FlexError as error:
        return 0, product.baseline, f"{error.rule}: {error.mend}"[:200]
    load = int(known.today_w[slot])
    if load < 0:
        return 0, product.baseline, "no reading of this slot"
    change = load - base if product.direction == "down" else base - load
    return max(change, 0) * day.slot_seconds // 3600, product.baseline, ""


def _available(
    day: TradingDay, row: FlexResource, known: _Readings, direction: str, slot: int, seconds: int, wh: int
) -> tuple[int, str, str]:
    load = known.today_w[slot : slot + seconds // day.slot_seconds]
    promised = wh * 3600 // seconds
    up, down = load, row.nameplate_w - load
    room = up if direction == "up" else down if direction == "down" else np.minimum(up, down)
    held = np.where(load >= 0, np.minimum(np.maximum(room, 0), promised), 0)
    missing = int((load < 0).sum())
    reason = f"{missing} readings are missing" if missing else ""
    return int(held.sum()) * day.slot_seconds // 3600, AVAILABILITY, reason


def _shares(session: Session, position: FlexPosition, row: FlexResource) -> tuple[int, int]:
    """(member's share, member's part of penalties) by the contract, basis points."""
    contract = session.exec(
        select(FlexContract).where(
            FlexContract.resource_id == row.id,
            FlexContract.aggregator_id == position.aggregator_id,
            FlexContract.contract_type == CONTRACT_OF.get(position.product, "energy"),
            FlexContract.start <= position.start,
            FlexContract.end > position.start,
        )
    ).first()
    return (contract.share_bps, contract.penalty_bps) if contract else (OWN_BPS, 0)
