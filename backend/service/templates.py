"""Service templates: saved, named bundles that members use again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from backend.chain.keccak import checksum_address
from backend.chain.orders import BundleOrder
from backend.service.access import Principal, Scope
from backend.service.audit_log import record
from backend.service.calendar import MarketDays
from backend.service.errors import Closed, Conflict, NotFound
from backend.service.intake import require_own_wallet, terms_now
from backend.service.orders import epoch_of, next_nonce
from backend.settings import Settings
from backend.store.market import OrderRow, ServiceTemplate, TemplateSchedule

AHEAD_DAYS = 7
"""How many days ahead a schedule's orders are shown as due."""


def get_template(session: Session, organisation_id: str, template_id: str) -> ServiceTemplate:
    """A template of the organisation; NotFound otherwise."""
    row = session.get(ServiceTemplate, template_id)
    if row is None or row.organisation_id != organisation_id:
        raise NotFound(
            "no such template in your organisation", field="template_id", mend="list the templates"
        )
    return row


def _require_free_name(session: Session, organisation_id: str, name: str, own_id: str | None) -> None:
    found = session.exec(
        select(ServiceTemplate.id).where(
            ServiceTemplate.organisation_id == organisation_id, ServiceTemplate.name == name
        )
    ).first()
    if found is not None and found != own_id:
        raise Conflict("there is a template of this name", field="name", mend="choose another name")


def save_template(
    session: Session, who: Principal, name: str, spec: dict[str, Any], template_id: str | None = None
) -> ServiceTemplate:
    """A new template, or a new revision of the one named by `template_id`."""
    organisation_id = who.require(Scope.ORDERS_WRITE)
    now = int(time.time())
    _require_free_name(session, organisation_id, name, template_id)
    if template_id is None:
        row = ServiceTemplate(
            organisation_id=organisation_id,
            name=name,
            spec=spec,
            created_by=who.actor,
            created_at=now,
            updated_at=now,
        )
    else:
        row = get_template(session, organisation_id, template_id)
        row.name, row.spec, row.updated_at = name, spec, now
        row.revision += 1
    session.add(row)
    record(session, who, "template.saved", row.id, name=name)
    return row


def delete_template(session: Session, who: Principal, template_id: str) -> None:
    """Deletes a template; orders made from it stay."""
    row = get_template(session, who.require(Scope.ORDERS_WRITE), template_id)
    schedule = session.get(TemplateSchedule, template_id)
    if schedule is not None:
        session.delete(schedule)
        session.flush()
    session.delete(row)
    record(session, who, "template.deleted", template_id, name=row.name)


def draft_orders(
    session: Session, settings: Settings, who: Principal, template: ServiceTemplate, maker: str,
    days: MarketDays, first_day: int | None, count: int, now: int,
) -> list[BundleOrder]:  # fmt: skip
    """Orders of a template for `count` market days from `first_day` (none = the next open one), ready to be
    signed, their nonces in sequence; Closed when a gate has closed.
    """
    require_own_wallet(session, who, maker)
    first = days.next_open(now) if first_day is None else days.start_of(first_day)
    nonce, epoch = next_nonce(session, maker), epoch_of(session, maker)
    known = terms_now(session, settings, now)
    spec = template.spec
    zones = known.zones if spec.get("zones") is None else frozenset(spec["zones"])
    orders = []
    for position in range(count):
        day = first + position * days.seconds
        start, deadline = days.window(spec, day, now)
        if days.gate_of(start) < now and spec["window_from"] == "day":
            raise Closed(
                f"the gate of the day that starts at {day} has closed",
                field="day",
                mend=f"start with the day {days.next_open(now)}",
            )
        orders.append(
            BundleOrder(
                maker=checksum_address(maker),
                class_id=spec["class_id"],
                zone_mask=sum(1 << zone for zone in zones),
                lanes=spec["lanes"],
                min_lanes=0,
                duration_slots=spec["duration_slots"],
                start=start,
                deadline=deadline,
                limit_price=spec["limit_price"],
                min_green_bps=spec["min_green_bps"],
                max_carbon=spec["max_carbon"],
                carbon_price=spec["carbon_price"],
                kind=0,
                epoch=epoch,
                nonce=nonce + position,
                expiry=deadline,
            )
        )
    return orders


def save_schedule(
    session: Session, who: Principal, template_id: str, maker: str, first_day: int, until: int | None
) -> TemplateSchedule:
    """Schedules a template daily, or changes how it is scheduled."""
    organisation_id = who.require(Scope.ORDERS_WRITE)
    get_template(session, organisation_id, template_id)
    require_own_wallet(session, who, maker)
    row = session.get(TemplateSchedule, template_id)
    if row is None:
        row = TemplateSchedule(
            template_id=template_id,
            organisation_id=organisation_id,
            maker=maker,
            first_day=first_day,
            until=until,
            created_by=who.actor,
            created_at=int(time.time()),
        )
    else:
        row.maker, row.first_day, row.until = maker, first_day, until
    session.add(row)
    record(session, who, "template.scheduled", template_id, maker=maker, first_day=first_day, until=until)
    return row


def get_schedule(session: Session, organisation_id: str, template_id: str) -> TemplateSchedule:
    """A template's schedule; NotFound when it has none."""
    row = session.get(TemplateSchedule, template_id)
    if row is None or row.organisation_id != organisation_id:
        raise NotFound("the template has no schedule", field="template_id", mend="schedule it first (PUT)")
    return row


def delete_schedule(session: Session, who: Principal, template_id: str) -> None:
    """Ends a schedule; orders that were placed stay."""
    session.delete(get_schedule(session, who.require(Scope.ORDERS_WRITE), template_id))
    record(session, who, "template.unscheduled", template_id)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """One day of a schedule. `state`: due (to be signed), placed, or missed (the gate closed without it)."""

    template: ServiceTemplate
    maker: str
    day: int
    start: int
    deadline: int
    gate_closes_at: int
    state: str
    order_hash: str | None


def scheduled_orders(
    session: Session, schedules: Sequence[TemplateSchedule], days: MarketDays, now: int
) -> list[Scheduled]:
    """Today's and the coming days' orders of the schedules, by day and name."""
    names = [row.template_id for row in schedules]
    templates = {
        row.id: row for row in session.exec(select(ServiceTemplate).where(col(ServiceTemplate.id).in_(names)))
    }
    first = days.start_of(now)
    last = first + AHEAD_DAYS * days.seconds
    placed = {
        (template_id, days.start_of(start)): order_hash
        for template_id, start, order_hash in session.exec(
            select(OrderRow.template_id, OrderRow.start, OrderRow.order_hash).where(
                col(OrderRow.template_id).in_(names), OrderRow.start >= first
            )
        )
    }
    found = []
    for schedule in schedules:
        template = templates[schedule.template_id]
        begin = max(first, days.start_of(schedule.first_day))
        for day in range(begin, last, days.seconds):
            if schedule.until is not None and day > schedule.until:
                break
            start, deadline = days.window(template.spec, day, now)
            order_hash = placed.get((template.id, days.start_of(start)))
            gate = days.gate_of(day)
            state = "placed" if order_hash else "due" if now < gate else "missed"
            found.append(Scheduled(template, schedule.maker, day, start, deadline, gate, state, order_hash))
    return sorted(found, key=lambda item: (item.day, item.template.name))
