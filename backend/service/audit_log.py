"""The log of who did what."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any

from sqlmodel import Session

from backend.service.access import Principal
from backend.store.identity import AuditEntry

request_id: ContextVar[str] = ContextVar("request_id", default="")


def record(session: Session, who: Principal, action: str, target: str = "", **detail: Any) -> None:
    """Adds an entry to the running transaction, so that the deed and its record stand or fall together."""
    session.add(
        AuditEntry(
            at=int(time.time()),
            organisation_id=who.organisation_id,
            actor=who.actor,
            action=action,
            target=target[:160],
            detail=detail,
            request_id=request_id.get(),
        )
    )
