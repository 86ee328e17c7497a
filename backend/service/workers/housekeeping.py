"""Removes what has expired."""

from __future__ import annotations

import time

from sqlalchemy import delete
from sqlmodel import SQLModel, col

from backend.service import jobs
from backend.service.context import Context
from backend.store.identity import AccessToken, LoginNonce, LoginSession
from backend.store.operations import IdempotencyKey, Job, WebhookDelivery

KEEP_ANSWERS_SECONDS = 86_400
KEEP_DELIVERIES_SECONDS = 30 * 86_400


def sweep(context: Context) -> bool:
    """Deletes expired sessions, tokens, nonces, stored answers, old jobs and old deliveries."""
    now = int(time.time())
    expired: tuple[type[SQLModel], ...] = (LoginSession, AccessToken, LoginNonce)
    with context.store.writing() as session:
        for table in expired:
            session.execute(delete(table).where(table.expires_at <= now))  # type: ignore[attr-defined]
        session.execute(
            delete(IdempotencyKey).where(col(IdempotencyKey.created_at) < now - KEEP_ANSWERS_SECONDS)
        )
        session.execute(delete(Job).where(col(Job.ended_at) < now - jobs.KEEP_SECONDS))
        session.execute(
            delete(WebhookDelivery).where(
                col(WebhookDelivery.state) != "waiting",
                col(WebhookDelivery.created_at) < now - KEEP_DELIVERIES_SECONDS,
            )
        )
    return False
