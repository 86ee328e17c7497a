"""Webhooks of the caller's organisation, and what was sent to them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from sqlmodel import col, select

from backend.api.deps import Ctx, Need, PageDep
from backend.api.problems import responses
from backend.api.schemas.base import Page
from backend.api.schemas.webhooks import (
    WebhookChange,
    WebhookDeliveryOut,
    WebhookMade,
    WebhookNew,
    WebhookOut,
)
from backend.service import webhooks
from backend.service.access import Principal, Scope
from backend.service.pages import cursor_of, split_page
from backend.store.operations import Webhook, WebhookDelivery
from backend.store.types import new_id

Reader = Annotated[Principal, Depends(Need(Scope.WEBHOOKS_READ))]
Writer = Annotated[Principal, Depends(Need(Scope.WEBHOOKS_WRITE))]
WebhookId = Annotated[str, Path(pattern=r"^[0-9a-z]{26}$", examples=["01k0zq3v5m8rw2e6t9yhb4cndx"])]
router = APIRouter(prefix="/webhooks", tags=["organisation"], responses=responses(401, 403))


@router.get("")
def list_webhooks(context: Ctx, principal: Reader) -> list[WebhookOut]:
    """The organisation's webhooks."""
    with context.store.reading() as session:
        rows = session.exec(
            select(Webhook)
            .where(Webhook.organisation_id == principal.organisation_id)
            .order_by(col(Webhook.id))
        ).all()
        return [WebhookOut.model_validate(row) for row in rows]


@router.post("", status_code=201)
def make_webhook(context: Ctx, principal: Writer, body: WebhookNew) -> WebhookMade:
    """Makes a webhook. Bodies are signed by the Standard Webhooks scheme; the secret is shown only here."""
    with context.store.writing() as session:
        row, secret = webhooks.make(
            session, context.settings, context.vault, principal, body.url, body.events
        )
        return WebhookMade(secret=secret, **WebhookOut.model_validate(row).__dict__)


@router.patch("/{webhook_id}", responses=responses(404))
def change_webhook(context: Ctx, principal: Writer, webhook_id: WebhookId, body: WebhookChange) -> WebhookOut:
    """Changes a webhook, or switches it on and off."""
    with context.store.writing() as session:
        row = webhooks.change(
            session, context.settings, principal, webhook_id, body.url, body.events, body.enabled
        )
        return WebhookOut.model_validate(row)


@router.delete("/{webhook_id}", status_code=204, responses=responses(404))
def delete_webhook(context: Ctx, principal: Writer, webhook_id: WebhookId) -> None:
    """Deletes a webhook."""
    with context.store.writing() as session:
        webhooks.delete(session, principal, webhook_id)


@router.post("/{webhook_id}/test", status_code=202, responses=responses(404))
def test_webhook(context: Ctx, principal: Writer, webhook_id: WebhookId) -> dict[str, str]:
    """Sends the event `test` to a webhook; see its deliveries for what became of it."""
    with context.store.writing() as session:
        hook = webhooks.get(session, principal, webhook_id)
        key = f"test-{new_id()}"
        webhooks.enqueue_for(session, hook, "test", key, {"hello": "BitWatt"})
    return {"event_key": key}


@router.get("/{webhook_id}/deliveries", responses=responses(404))
def list_webhook_deliveries(
    context: Ctx, principal: Reader, webhook_id: WebhookId, page: PageDep
) -> Page[WebhookDeliveryOut]:
    """What was sent to a webhook, newest first."""
    after = cursor_of(page.after, str)
    with context.store.reading() as session:
        hook = webhooks.get(session, principal, webhook_id)
        query = select(WebhookDelivery).where(WebhookDelivery.webhook_id == hook.id)
        if after:
            query = query.where(col(WebhookDelivery.id) < str(after[0]))
        rows = session.exec(query.order_by(col(WebhookDelivery.id).desc()).limit(page.limit + 1)).all()
    items, following = split_page(rows, page.limit, lambda row: (row.id,))
    return Page[WebhookDeliveryOut](
        items=[WebhookDeliveryOut.model_validate(row) for row in items], next_cursor=following
    )
