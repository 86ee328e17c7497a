"""Service templates."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from sqlmodel import col, select

from backend.api.deps import Ctx, Need
from backend.api.problems import responses
from backend.api.schemas.base import Id
from backend.api.schemas.trading import (
    ScheduledOut,
    ScheduleNew,
    ScheduleOut,
    TemplateDraft,
    TemplateNew,
    TemplateOut,
    TypedData,
)
from backend.api.wallet import typed
from backend.service import templates
from backend.service.access import Principal, Scope
from backend.service.calendar import market_days
from backend.store.market import ServiceTemplate, TemplateSchedule

Reader = Annotated[Principal, Depends(Need(Scope.ORDERS_READ))]
Writer = Annotated[Principal, Depends(Need(Scope.ORDERS_WRITE))]
router = APIRouter(tags=["templates"], responses=responses(401, 403))


@router.get("/templates")
def list_templates(context: Ctx, principal: Reader) -> list[TemplateOut]:
    """The organisation's templates, by name."""
    with context.store.reading() as session:
        rows = session.exec(
            select(ServiceTemplate)
            .where(ServiceTemplate.organisation_id == principal.organisation_id)
            .order_by(col(ServiceTemplate.name))
        ).all()
        return [TemplateOut.model_validate(row) for row in rows]


@router.post("/templates", status_code=201)
def make_template(context: Ctx, principal: Writer, body: TemplateNew) -> TemplateOut:
    """Saves a bundle under a name."""
    with context.store.writing() as session:
        row = templates.save_template(session, principal, body.name, body.spec.model_dump())
        return TemplateOut.model_validate(row)


@router.get("/templates/{template_id}", responses=responses(404))
def read_template(context: Ctx, principal: Reader, template_id: Id) -> TemplateOut:
    """One template."""
    with context.store.reading() as session:
        return TemplateOut.model_validate(templates.get_template(session, _own(principal), template_id))


@router.put("/templates/{template_id}", responses=responses(404))
def change_template(context: Ctx, principal: Writer, template_id: Id, body: TemplateNew) -> TemplateOut:
    """Replaces a template; its revision grows."""
    with context.store.writing() as session:
        row = templates.save_template(session, principal, body.name, body.spec.model_dump(), template_id)
        return TemplateOut.model_validate(row)


@router.delete("/templates/{template_id}", status_code=204, responses=responses(404))
def delete_template(context: Ctx, principal: Writer, template_id: Id) -> None:
    """Deletes a template."""
    with context.store.writing() as session:
        templates.delete_template(session, principal, template_id)


@router.post("/templates/{template_id}/typed-data", responses=responses(404))
def draft_template_orders(
    context: Ctx, principal: Writer, template_id: Id, body: TemplateDraft
) -> list[TypedData]:
    """Returns what to sign to order the template on one market day or several in a row.

    Send each back to POST /orders with `template_id`.
    """
    domain = context.chain.domain
    now = context.market_now()
    with context.store.reading() as session:
        template = templates.get_template(session, _own(principal), template_id)
        days = market_days(session, context.settings)
        drafts = templates.draft_orders(
            session, context.settings, principal, template, body.maker, days, body.day, body.days, now
        )
    return [typed(order, domain) for order in drafts]


@router.get("/templates/{template_id}/schedule", responses=responses(404))
def read_template_schedule(context: Ctx, principal: Reader, template_id: Id) -> ScheduleOut:
    """How a template is scheduled."""
    with context.store.reading() as session:
        return ScheduleOut.model_validate(templates.get_schedule(session, _own(principal), template_id))


@router.put("/templates/{template_id}/schedule", responses=responses(404))
def schedule_template(context: Ctx, principal: Writer, template_id: Id, body: ScheduleNew) -> ScheduleOut:
    """Schedules a template for every market day. Nothing is bought without the maker's signature."""
    with context.store.writing() as session:
        row = templates.save_schedule(session, principal, template_id, body.maker, body.first_day, body.until)
        return ScheduleOut.model_validate(row)


@router.delete("/templates/{template_id}/schedule", status_code=204, responses=responses(404))
def unschedule_template(context: Ctx, principal: Writer, template_id: Id) -> None:
    """Ends a template's schedule."""
    with context.store.writing() as session:
        templates.delete_schedule(session, principal, template_id)


@router.get("/scheduled-orders")
def list_scheduled_orders(context: Ctx, principal: Reader) -> list[ScheduledOut]:
    """Today's and the coming seven days' orders of all schedules: due, placed or missed."""
    now = context.market_now()
    with context.store.reading() as session:
        schedules = session.exec(
            select(TemplateSchedule).where(TemplateSchedule.organisation_id == _own(principal))
        ).all()
        found = templates.scheduled_orders(session, schedules, market_days(session, context.settings), now)
    return [
        ScheduledOut(
            template_id=item.template.id,
            template_name=item.template.name,
            revision=item.template.revision,
            maker=item.maker,
            day=item.day,
            start=item.start,
            deadline=item.deadline,
            gate_closes_at=item.gate_closes_at,
            state=item.state,  # type: ignore[arg-type]
            order_hash=item.order_hash,
        )
        for item in found
    ]


def _own(principal: Principal) -> str:
    assert principal.organisation_id is not None
    return principal.organisation_id
