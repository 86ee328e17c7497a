"""Time series of resources as they were told: a later telling of the same interval counts, the older one
stays.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import numpy.typing as npt
from sqlmodel import Session, col, select

from backend.service.access import Principal, Scope
from backend.service.errors import Invalid
from backend.service.vpp.registry import get_resource
from backend.store.flex import FlexSeries

UNITS = {"W": 1, "kW": 1_000, "MW": 1_000_000}
MOST_VALUES = 10_000
STALE_SECONDS = 7 * 86_400
_DURATION = re.compile(r"^P(?:(\d{1,3})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?)?$")


def duration_of(text: str) -> timedelta:
    """An ISO 8601 duration of days, hours, minutes and seconds; Invalid for anything else."""
    found = _DURATION.match(text)
    parts = [int(part or 0) for part in found.groups()] if found else []
    if not any(parts):
        raise Invalid("is no duration", field="duration", mend="ISO 8601, such as PT1H or P1D")
    days, hours, minutes, seconds = parts
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def tell(
    session: Session,
    who: Principal,
    resource_id: str,
    name: str,
    start: int,
    duration: str,
    readings: list[int],
    unit: str,
    now: int,
) -> FlexSeries:
    """Keeps values that divide [start, start + duration) evenly; telemetry older than a week is refused."""
    organisation_id = who.require(Scope.FLEX_WRITE)
    resource = get_resource(session, organisation_id, resource_id)
    seconds = int(duration_of(duration).total_seconds())
    if not readings or len(readings) > MOST_VALUES or seconds % len(readings):
        raise Invalid(
            f"{len(readings)} values do not divide {seconds} s evenly", field="values",
            mend=f"give 1..{MOST_VALUES} values of equal length",
        )  # fmt: skip
    if unit not in UNITS:
        raise Invalid("no such unit", field="unit", mend=f"use one of {', '.join(UNITS)}")
    watts = [value * UNITS[unit] for value in readings]
    if max(abs(value) for value in watts) > resource.nameplate_w:
        raise Invalid(
            f"a value is beyond the nameplate of {resource.nameplate_w} W", field="values",
            mend="check the unit, or correct the nameplate",
        )  # fmt: skip
    if name == "telemetry" and start + seconds < now - STALE_SECONDS:
        raise Invalid("telemetry is stale", field="start", mend="send readings within a week")
    row = FlexSeries(
        organisation_id=organisation_id, resource_id=resource_id, name=name, unit="W", start=start,
        slot_seconds=seconds // len(readings), readings=watts, known_at=int(time.time()),
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def read(
    session: Session,
    who: Principal,
    resource_id: str,
    name: str,
    start: int,
    duration: str,
    slot_seconds: int,
    known_by: int | None = None,
) -> list[int | None]:
    """W per slot of [start, start + duration): the latest telling known by then, None where nobody told."""
    get_resource(session, who.require(Scope.FLEX_READ), resource_id)
    seconds = int(duration_of(duration).total_seconds())
    if slot_seconds <= 0 or seconds % slot_seconds or seconds // slot_seconds > MOST_VALUES:
        raise Invalid("the duration is not whole slots", field="duration", mend="at most 10000 whole slots")
    query = select(FlexSeries).where(
        FlexSeries.resource_id == resource_id, FlexSeries.name == name, FlexSeries.start < start + seconds,
        FlexSeries.slot_seconds == slot_seconds,
    )  # fmt: skip
    if known_by is not None:
        query = query.where(FlexSeries.known_at <= known_by)
    out: list[int | None] = [None] * (seconds // slot_seconds)
    for row in session.exec(query.order_by(col(FlexSeries.known_at), col(FlexSeries.id))):
        for n, value in enumerate(row.readings):
            at, rest = divmod(row.start + n * slot_seconds - start, slot_seconds)
            if rest == 0 and 0 <= at < len(out):
                out[at] = value
    return out


def grid(
    session: Session, resource_id: str, name: str, starts: Sequence[int], slot_seconds: int
) -> npt.NDArray[np.int64]:
    """W of slots that start at `starts` (rising) by the latest telling, -1 where nobody told."""
    out = np.full(len(starts), -1, np.int64)
    if not len(starts):
        return out
    place = {int(start): n for n, start in enumerate(starts)}
    rows = session.exec(
        select(FlexSeries)
        .where(
            FlexSeries.resource_id == resource_id,
            FlexSeries.name == name,
            FlexSeries.slot_seconds == slot_seconds,
            FlexSeries.start > int(starts[0]) - MOST_VALUES * slot_seconds,
            FlexSeries.start <= int(starts[-1]),
        )
        .order_by(col(FlexSeries.known_at), col(FlexSeries.id))
    )
    for row in rows:
        for n, value in enumerate(row.readings):
            at = place.get(row.start + n * slot_seconds)
            if at is not None:
                out[at] = value
    return out
