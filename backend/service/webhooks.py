"""Webhooks: who wants to be told, signatures (the Standard Webhooks scheme), and where they may not point."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import func
from sqlmodel import Session, col, select

from backend.service.access import Principal, Scope
from backend.service.audit_log import record
from backend.service.errors import Conflict, Invalid, NotFound
from backend.service.secrets import Vault
from backend.settings import Settings
from backend.store.operations import Webhook, WebhookDelivery

EVENTS = (
    "batch.finalised", "batch.voided", "order.cleared", "order.released", "slot.settled", "slot.refunded",
    "certificate.received", "certificate.sent", "certificate.retired", "account.deposited",
    "account.withdrawn", "template.due", "job.done", "flex.cleared", "flex.event_sent",
    "flex.settled", "test",
)  # fmt: skip
MOST_WEBHOOKS = 20
PORTS = frozenset({443, 8443})


@dataclass(frozen=True, slots=True)
class Target:
    """A checked address to call: the URL's host resolved once, so that it cannot change in between."""

    scheme: str
    host: str
    address: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """The URL with the resolved address in place of the host."""
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{shown}:{self.port}{self.path}"


def check_url(url: str, settings: Settings) -> None:
    """Raises Invalid for a URL that a webhook may not have, whatever its host resolves to."""
    parts = urlsplit(url)
    schemes = ("https", "http") if settings.webhook_private_hosts else ("https",)
    if parts.scheme not in schemes or not parts.hostname:
        raise Invalid("a webhook needs an https address", field="url", mend="give https://host/path")
    if parts.username or parts.password or parts.fragment:
        raise Invalid("credentials and fragments are not taken", field="url", mend="leave them out")
    try:
        port = parts.port
    except ValueError as error:
        raise Invalid("the port is not a port", field="url", mend="give 443 or 8443") from error
    if not settings.webhook_private_hosts and (port or 443) not in PORTS:
        raise Invalid(f"port {port} is not called", field="url", mend="give 443 or 8443")


def resolve(url: str, settings: Settings) -> Target:
    """The address to call; Invalid when the host is unknown or any of its addresses is not public."""
    check_url(url, settings)
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Invalid(f"the host {host[:80]} is not known", field="url", mend="check its name") from error
    addresses = sorted({str(item[4][0]) for item in found})
    if not settings.webhook_private_hosts:
        for address in addresses:
            if not is_public(address):
                raise Invalid(
                    f"{host[:80]} is at {address}, which is not a public address",
                    field="url",
                    mend="give an address on the internet",
                )
    path = parts.path or "/"
    return Target(parts.scheme, host, addresses[0], port, path + (f"?{parts.query}" if parts.query else ""))


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet, also when it is wrapped in IPv6."""
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            ip = inner
        elif ip in ipaddress.ip_network("64:ff9b::/96"):
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.is_global and not ip.is_multicast


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`webhook-signature` of a body: v1 and the HMAC-SHA256 of `id.timestamp.body` in base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(mac).decode()


def new_secret() -> str:
    """A fresh signing secret."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def make(
    session: Session, settings: Settings, vault: Vault, who: Principal, url: str, events: Sequence[str]
) -> tuple[Webhook, str]:
    """A new webhook and its signing secret, which is shown once."""
    organisation_id = who.require(Scope.WEBHOOKS_WRITE)
    check_url(url, settings)
    count = session.exec(
        select(func.count()).select_from(Webhook).where(Webhook.organisation_id == organisation_id)
    ).one()
    if count >= MOST_WEBHOOKS:
        raise Conflict(f"there are {count} webhooks already", field="url", mend="delete one you do not need")
    secret = new_secret()
    row = Webhook(
        organisation_id=organisation_id,
        url=url,
        events=sorted(set(events)),
        sealed_secret=vault.seal(secret.encode()),
        created_by=who.actor,
        created_at=int(time.time()),
    )
    session.add(row)
    record(session, who, "webhook.made", row.id, url=url, events=row.events)
    return row, secret


def get(session: Session, who: Principal, webhook_id: str) -> Webhook:
    """A webhook of the caller's organisation; NotFound otherwise."""
    row = session.get(Webhook, webhook_id)
    if row is None or row.organisation_id != who.organisation_id:
        raise NotFound("no such webhook in your organisation", field="webhook_id", mend="list the webhooks")
    return row


def change(
    session: Session, settings: Settings, who: Principal, webhook_id: str, url: str | None,
    events: Sequence[str] | None, enabled: bool | None,
) -> Webhook:  # fmt: skip
    """Changes where a webhook points, what it is told, or whether it is told at all."""
    row = get(session, who, webhook_id)
    if url is not None:
        check_url(url, settings)
        row.url = url
    if events is not None:
        row.events = sorted(set(events))
    if enabled is not None:
        row.disabled_at = None if enabled else row.disabled_at or int(time.time())
    session.add(row)
    record(session, who, "webhook.changed", row.id, url=row.url, events=row.events)
    return row


def delete(session: Session, who: Principal, webhook_id: str) -> None:
    """Deletes a webhook with what still waits for it."""
    row = get(session, who, webhook_id)
    for waiting in session.exec(select(WebhookDelivery).where(WebhookDelivery.webhook_id == row.id)):
        session.delete(waiting)
    session.flush()
    session.delete(row)
    record(session, who, "webhook.deleted", webhook_id, url=row.url)


def enqueue(
    session: Session, organisation_id: str | None, event: str, event_key: str, payload: dict[str, object]
) -> int:
    """Puts an event on its way to every webhook that wants it (of every organisation when None); a key that
    a webhook was told before is left out. Returns how many will be told.
    """
    query = select(Webhook).where(col(Webhook.disabled_at).is_(None))
    if organisation_id is not None:
        query = query.where(Webhook.organisation_id == organisation_id)
    hooks = [hook for hook in session.exec(query) if event in hook.events]
    return sum(enqueue_for(session, hook, event, event_key, payload) for hook in hooks)


def enqueue_for(
    session: Session, hook: Webhook, event: str, event_key: str, payload: dict[str, object]
) -> bool:
    """Puts an event on its way to one webhook; whether it is new to it."""
    known = session.exec(
        select(WebhookDelivery.id).where(
            WebhookDelivery.webhook_id == hook.id, WebhookDelivery.event_key == event_key
        )
    ).first()
    if known is not None:
        return False
    now = int(time.time())
    session.add(
        WebhookDelivery(
            webhook_id=hook.id,
            event=event,
            event_key=event_key,
            payload=payload,
            created_at=now,
            next_at=now,
        )
    )
    return True
