"""Tells webhooks what happened: chain events to deliveries, once each; deliveries over HTTP, with retries."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx
from sqlmodel import Session, col, select

from backend.service.calendar import market_days
from backend.service.context import Context
from backend.service.errors import Invalid
from backend.service.indexer.delivery_events import ENTRY_BITS
from backend.service.templates import scheduled_orders
from backend.service.webhooks import enqueue, resolve, signature
from backend.store.chain import Agreement, CertificateMove, ChainEvent, ClearedOrder, LedgerEntry
from backend.store.identity import Wallet
from backend.store.market import TemplateSchedule
from backend.store.operations import IndexedBlock, Job, Webhook, WebhookDelivery, WorkerCursor

log = logging.getLogger(__name__)
CURSOR = "notifier"
_EVENTS_AT_ONCE = 200
_SEND_AT_ONCE = 20
_TIMEOUT_SECONDS = 10.0
_FIRST_RETRY_SECONDS = 5
_LONGEST_RETRY_SECONDS = 6 * 3600
Told = tuple[str | None, str, str, dict[str, object]]
"""(organisation or None for all, event, key, payload)"""


class Notifier:
    """Follows the journal of chain events and works off what is due."""

    def __init__(self, context: Context, guard: Callable[[Session], None] = lambda session: None) -> None:
        self._context = context
        self._guard = guard
        self._templates_at = 0.0
        self.open()

    def open(self) -> None:
        """Opens connections; redirects are not followed, proxies of the environment are not used."""
        self._client = httpx.Client(
            timeout=_TIMEOUT_SECONDS, trust_env=False, follow_redirects=False, verify=True
        )

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def step(self) -> bool:
        """Some events and some deliveries; whether there is more at once."""
        more = self._follow()
        if time.monotonic() >= self._templates_at:
            self._templates_at = time.monotonic() + 30
            self._templates()
        return self._deliver() or more

    # --- what happened --------------------------------------------------------
    def _follow(self) -> bool:
        with self._context.store.writing() as session:
            self._guard(session)
            place = _place(session, self._context.settings.reorg_depth)
            if place is None:
                return False
            block, log_index = place
            rows = session.exec(
                select(ChainEvent)
                .where(
                    (col(ChainEvent.block_number) > block)
                    | (col(ChainEvent.block_number) == block) & (col(ChainEvent.log_index) > log_index)
                )
                .order_by(col(ChainEvent.block_number), col(ChainEvent.log_index))
                .limit(_EVENTS_AT_ONCE)
            ).all()
            if not rows:
                return False
            if session.exec(select(Webhook.id).limit(1)).first() is not None:
                for organisation_id, event, key, payload in _told(session, rows):
                    enqueue(session, organisation_id, event, key, payload)
            _move_to(session, rows[-1].block_number, rows[-1].log_index)
            return len(rows) == _EVENTS_AT_ONCE

    def _templates(self) -> None:
        """`template.due` and `job.done`, which are not on chain."""
        now = self._context.market_now()
        with self._context.store.writing() as session:
            self._guard(session)
            wanted = [hook for hook in session.exec(select(Webhook)) if hook.disabled_at is None]
            due = {hook.organisation_id for hook in wanted if "template.due" in hook.events}
            done = {hook.organisation_id for hook in wanted if "job.done" in hook.events}
            schedules = session.exec(
                select(TemplateSchedule).where(col(TemplateSchedule.organisation_id).in_(due))
            ).all()
            days = market_days(session, self._context.settings)
            for item in scheduled_orders(session, schedules, days, now):
                if item.state == "due" and item.day <= days.next_open(now):
                    payload: dict[str, object] = {
                        "template_id": item.template.id,
                        "template_name": item.template.name,
                        "maker": item.maker,
                        "day": item.day,
                        "gate_closes_at": item.gate_closes_at,
                    }
                    key = f"template-{item.template.id}-{item.day}"
                    enqueue(session, item.template.organisation_id, "template.due", key, payload)
            recent = int(time.time()) - 86_400
            jobs = select(Job).where(
                col(Job.organisation_id).in_(done), col(Job.state).in_(("done", "failed"))
            )
            for job in session.exec(jobs.where(col(Job.ended_at) >= recent)):
                told: dict[str, object] = {"job_id": job.id, "kind": job.kind, "state": job.state}
                enqueue(session, job.organisation_id, "job.done", f"job-{job.id}", told)

    # --- telling --------------------------------------------------------------
    def _deliver(self) -> bool:
        now = int(time.time())
        with self._context.store.reading() as session:
            due = session.exec(
                select(WebhookDelivery, Webhook)
                .join(Webhook, col(Webhook.id) == col(WebhookDelivery.webhook_id))
                .where(
                    WebhookDelivery.state == "waiting",
                    WebhookDelivery.next_at <= now,
                    col(Webhook.disabled_at).is_(None),
                )
                .order_by(col(WebhookDelivery.next_at), col(WebhookDelivery.id))
                .limit(_SEND_AT_ONCE)
            ).all()
        for delivery, hook in due:
            status, error = self._send(delivery, hook)
            with self._context.store.writing() as session:
                self._guard(session)
                self._settle(session, delivery.id, status, error)
        return len(due) == _SEND_AT_ONCE

    def _send(self, delivery: WebhookDelivery, hook: Webhook) -> tuple[int | None, str]:
        """(status, error) of one attempt; the body is the same at every attempt."""
        body = json.dumps(
            {"id": delivery.id, "type": delivery.event, "timestamp": delivery.created_at,
             "data": delivery.payload},
            separators=(",", ":"), sort_keys=True,
        ).encode()  # fmt: skip
        now = int(time.time())
        secret = self._context.vault.unseal(hook.sealed_secret).decode()
        try:
            target = resolve(hook.url, self._context.settings)
        except Invalid as problem:
            return None, problem.detail
        headers = {
            "Host": target.host if target.port in (80, 443) else f"{target.host}:{target.port}",
            "Content-Type": "application/json",
            "User-Agent": "BitWatt-Webhook/1",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(secret, delivery.id, now, body),
        }
        try:
            request = self._client.build_request(
                "POST", target.url, content=body, headers=headers,
                extensions={"sni_hostname": target.host},
            )  # fmt: skip
            answer = self._client.send(request, stream=True)
            answer.close()  # the answer's body is nobody's business
        except httpx.HTTPError as error:
            return None, f"{type(error).__name__}: {error}"[:200]
        return answer.status_code, "" if answer.is_success else f"it answered {answer.status_code}"

    def _settle(self, session: Session, delivery_id: str, status: int | None, error: str) -> None:
        delivery = session.get(WebhookDelivery, delivery_id)
        if delivery is None or delivery.state != "waiting":
            return
        settings = self._context.settings
        delivery.attempts += 1
        delivery.last_status, delivery.last_error = status, error[:200]
        if not error:
            delivery.state = "delivered"
        elif status == 410 or delivery.attempts >= settings.webhook_attempts:
            delivery.state = "failed"
            hook = session.get(Webhook, delivery.webhook_id)
            if hook is not None and hook.disabled_at is None:
                hook.disabled_at = int(time.time())
                log.warning("webhook %s is switched off after its last attempt: %s", hook.id, error[:100])
        else:
            pause = min(_FIRST_RETRY_SECONDS * 3 ** (delivery.attempts - 1), _LONGEST_RETRY_SECONDS)
            delivery.next_at = int(time.time()) + int(pause * random.uniform(0.8, 1.2))
        session.add(delivery)


def _place(session: Session, depth: int) -> tuple[int, int] | None:
    """Behind which event to go on; a step back when the block it stood on was replaced."""
    row = session.get(WorkerCursor, CURSOR)
    if row is None:
        newest = session.exec(
            select(ChainEvent.block_number, ChainEvent.log_index)
            .order_by(col(ChainEvent.block_number).desc(), col(ChainEvent.log_index).desc())
            .limit(1)
        ).first()
        _move_to(session, *(newest or (-1, 0)))  # the past is not told
        return None
    block, log_index, block_hash = int(row.position[0]), int(row.position[1]), str(row.position[2])
    known = session.get(IndexedBlock, block)
    if known is not None and block_hash and known.block_hash != block_hash:
        return max(block - depth, -1), 0
    return block, log_index


def _move_to(session: Session, block: int, log_index: int) -> None:
    known = session.get(IndexedBlock, block)
    position: list[int | str] = [block, log_index, known.block_hash if known else ""]
    row = session.get(WorkerCursor, CURSOR) or WorkerCursor(name=CURSOR, position=position)
    row.position = position
    session.add(row)


def _told(session: Session, rows: Iterable[ChainEvent]) -> Iterator[Told]:
    """Who is to be told what of these events; private ones go to the organisations of their accounts."""
    owners = {row.address: row.organisation_id for row in session.exec(select(Wallet))}
    for row in rows:
        what = {**row.arguments, "tx_hash": row.tx_hash, "block_number": row.block_number}
        key = f"{row.tx_hash}-{row.name}-{_distinction(row)}"
        for account, event, more in _parties(session, row):
            if account is None:
                yield None, event, key[:120], what
            elif account in owners:
                yield owners[account], event, f"{key}-{event}"[:120], {**what, **more, "account": account}


def _distinction(row: ChainEvent) -> str:
    """What tells events of one transaction apart, wherever the transaction is mined."""
    named = ("batchId", "chunkIndex", "slot", "orderHash", "id", "account", "from", "to")
    return "-".join(str(row.arguments[name])[-12:] for name in named if name in row.arguments)


def _parties(session: Session, row: ChainEvent) -> Iterator[tuple[str | None, str, dict[str, Any]]]:
    """(account or None for everybody, event, more to say)."""
    given = row.arguments
    match row.contract, row.name:
        case "BundleMarket", "BatchFinalised":
            yield None, "batch.finalised", {}
        case "BundleMarket", "BatchVoided":
            yield None, "batch.voided", {}
        case "BundleMarket", "ChunkCleared":
            cleared = session.exec(
                select(ClearedOrder)
                .where(
                    ClearedOrder.batch_id == given["batchId"],
                    ClearedOrder.chunk_index == given["chunkIndex"],
                )
                .order_by(col(ClearedOrder.order_index))
            ).all()
            for maker in sorted({order.maker for order in cleared}):
                own = [
                    {
                        "order_hash": order.order_hash,
                        "lanes_filled": order.lanes_filled,
                        "cost_micro": order.cost_micro,
                    }
                    for order in cleared
                    if order.maker == maker
                ]
                yield maker, "order.cleared", {"orders": own}
        case "Settlement", ("SlotSettled" | "SlotRefunded"):
            event = "slot.settled" if row.name == "SlotSettled" else "slot.refunded"
            runs = session.exec(
                select(Agreement).where(
                    Agreement.batch_id == given["batchId"],
                    Agreement.chunk_index == given["chunkIndex"],
                    Agreement.start_slot <= given["slot"],
                    Agreement.end_slot > given["slot"],
                )
            ).all()
            for account in sorted({run.maker for run in runs} | {run.seller for run in runs}):
                mine = [run.run_index for run in runs if account in (run.maker, run.seller)]
                yield account, event, {"runs": mine[:200]}
        case "Certificates", ("TransferSingle" | "TransferBatch"):
            for move in session.exec(
                select(CertificateMove).where(
                    CertificateMove.block_number == row.block_number,
                    CertificateMove.log_index == row.log_index,
                )
            ):
                more = {"certificate_id": str(move.certificate_id), "amount": move.amount}
                if move.receiver is not None:
                    yield move.receiver, "certificate.received", more
                if move.sender is not None and move.receiver is not None:
                    yield move.sender, "certificate.sent", more
        case "Certificates", "Retired":
            yield given["account"], "certificate.retired", {}
        case "Treasury", _:
            entry = session.get(LedgerEntry, (row.block_number, row.log_index << ENTRY_BITS))
            names = {"deposit": "account.deposited", "withdrawal": "account.withdrawn"}
            if entry is not None and entry.kind in names:
                more = {"available_micro": entry.available_micro}
                yield entry.account, names[entry.kind], more
