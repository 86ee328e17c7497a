"""Bodies of webhooks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from backend.api.schemas.base import Answer, Body, Id, Moment
from backend.service.webhooks import EVENTS

EventName = Literal[
    "batch.finalised", "batch.voided", "order.cleared", "order.released", "slot.settled", "slot.refunded",
    "certificate.received", "certificate.sent", "certificate.retired", "account.deposited",
    "account.withdrawn", "template.due", "job.done", "flex.cleared", "flex.event_sent",
    "flex.settled", "test",
]  # fmt: skip
assert EventName.__args__ == EVENTS  # type: ignore[attr-defined]


def _plain(text: str) -> str:
    if any(ord(char) <= 32 or ord(char) > 126 for char in text):
        raise ValueError("an address is printable ASCII without spaces")
    return text


Url = Annotated[
    str,
    Field(min_length=10, max_length=500, examples=["https://hooks.example.org/bitwatt"]),
    AfterValidator(_plain),
]


class WebhookNew(Body):
    """Where to tell what."""

    url: Url
    events: list[EventName] = Field(min_length=1, max_length=len(EVENTS), examples=[["order.cleared"]])


class WebhookChange(Body):
    """What to change; what is left out stays."""

    url: Url | None = None
    events: list[EventName] | None = Field(default=None, min_length=1, max_length=len(EVENTS))
    enabled: bool | None = None


class WebhookOut(Answer):
    """A webhook; after too many failures in a row it is disabled."""

    id: Id
    url: str
    events: list[str]
    created_by: str
    created_at: Moment
    disabled_at: Moment | None


class WebhookMade(WebhookOut):
    """A new webhook with its signing secret, which is shown once (Standard Webhooks: `whsec_` and base64)."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class WebhookDeliveryOut(Answer):
    """One event on its way to a webhook."""

    id: Id
    event: str
    payload: dict[str, object]
    state: Literal["waiting", "delivered", "failed"]
    attempts: int
    created_at: Moment
    next_at: Moment
    last_status: int | None
    last_error: str
