"""Service templates: saved, named bundles that members use again."""

from __future__ import annotations

import time
from typing import Any

from sqlmodel import Session, select

from backend.service.access import Principal, Scope
from backend.service.audit_log import record
from backend.service.errors import Conflict, NotFound
from backend.store.market import ServiceTemplate


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
    session.delete(row)
    record(session, who, "template.deleted", template_id, name=row.name)
