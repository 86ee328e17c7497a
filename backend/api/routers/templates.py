"""Service templates."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from sqlmodel import col, select

from backend.api.deps import Ctx, Need
from backend.api.problems import responses
from backend.api.schemas.base import Id
from backend.api.schemas.trading import TemplateNew, TemplateOut
from backend.service import templates
from backend.service.access import Principal, Scope
from backend.store.market import ServiceTemplate

Reader = Annotated[Principal, Depends(Need(Scope.ORDERS_READ))]
Writer = Annotated[Principal, Depends(Need(Scope.ORDERS_WRITE))]
router = APIRouter(prefix="/templates", tags=["templates"], responses=responses(401, 403))


@router.get("")
def list_templates(context: Ctx, principal: Reader) -> list[TemplateOut]:
    """The organisation's templates, by name."""
    with context.store.reading() as session:
        rows = session.exec(
            select(ServiceTemplate)
            .where(ServiceTemplate.organisation_id == principal.organisation_id)
            .order_by(col(ServiceTemplate.name))
        ).all()
        return [TemplateOut.model_validate(row) for row in rows]


@router.post("", status_code=201)
def make_template(context: Ctx, principal: Writer, body: TemplateNew) -> TemplateOut:
    """Saves a bundle under a name."""
    with context.store.writing() as session:
        row = templates.save_template(session, principal, body.name, body.spec.model_dump())
        return TemplateOut.model_validate(row)


@router.get("/{template_id}", responses=responses(404))
def read_template(context: Ctx, principal: Reader, template_id: Id) -> TemplateOut:
    """One template."""
    with context.store.reading() as session:
        assert principal.organisation_id is not None
        return TemplateOut.model_validate(
            templates.get_template(session, principal.organisation_id, template_id)
        )


@router.put("/{template_id}", responses=responses(404))
def change_template(context: Ctx, principal: Writer, template_id: Id, body: TemplateNew) -> TemplateOut:
    """Replaces a template; its revision grows."""
    with context.store.writing() as session:
        row = templates.save_template(session, principal, body.name, body.spec.model_dump(), template_id)
        return TemplateOut.model_validate(row)


@router.delete("/{template_id}", status_code=204, responses=responses(404))
def delete_template(context: Ctx, principal: Writer, template_id: Id) -> None:
    """Deletes a template."""
    with context.store.writing() as session:
        templates.delete_template(session, principal, template_id)
