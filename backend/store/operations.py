"""What keeps the service itself honest: idempotency, outbox, indexer cursor, webhooks, leases.

Times are unix seconds of the wall clock.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from backend.store.types import Hex, JsonValue, UInt64, new_id


class IdempotencyKey(SQLModel, table=True):
    """The answer given to a POST; the same key and body get it again, another body is refused."""

    __tablename__ = "idempotency_key"

    actor: str = Field(primary_key=True, max_length=80)
    key: str = Field(primary_key=True, max_length=128)
    fingerprint: str = Field(sa_column=Column(Hex(32), nullable=False))
    status: int | None = None
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    created_at: int = Field(sa_type=BigInteger, index=True)


class OutboxRow(SQLModel, table=True):
    """A transaction that must reach the chain, written with the command that caused it: `state` waiting,
    sent, mined, final or failed. `key` is its purpose, so that nothing is asked for twice.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index("outbox_state", "sender", "state", "id"),
        Index("outbox_sender_nonce", "sender", "nonce", unique=True),
        Index("outbox_group", "group_key", "state"),
    )

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    key: str = Field(max_length=160, unique=True)
    group_key: str = Field(default="", max_length=80)
    sender: str = Field(sa_column=Column(Hex(20), nullable=False))
    to: str = Field(sa_column=Column(Hex(20), nullable=False))
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    gas: int = Field(sa_type=BigInteger)
    label: str = Field(max_length=120)
    state: str = Field(default="waiting", max_length=12)
    nonce: int | None = Field(default=None, sa_column=Column(UInt64, nullable=True))
    tx_hash: str | None = Field(default=None, sa_column=Column(Hex(32), nullable=True))
    block_number: int | None = Field(default=None, sa_type=BigInteger)
    gas_used: int | None = Field(default=None, sa_type=BigInteger)
    attempts: int = 0
    error: str = Field(default="", max_length=400)
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)


class OutboxAttempt(SQLModel, table=True):
    """One signed variant of an outbox row; stored before it is broadcast. Fees per gas in wei."""

    __tablename__ = "outbox_attempt"

    tx_hash: str = Field(sa_column=Column(Hex(32), primary_key=True))
    outbox_id: str = Field(foreign_key="outbox.id", max_length=26, index=True)
    nonce: int = Field(sa_column=Column(UInt64, nullable=False))
    max_fee_wei: int = Field(sa_type=BigInteger)
    priority_wei: int = Field(sa_type=BigInteger)
    raw: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    sent_at: int = Field(sa_type=BigInteger)


class Gate(SQLModel, table=True):
    """One gate closure and what became of its batch: `state` closed, sealed, cleared, opening, posting,
    finalised, empty or failed. `kind` is day-ahead or intraday; times in unix seconds of the market's clock.
    """

    __tablename__ = "gate"
    __table_args__ = (
        Index("gate_start", "kind", "start", unique=True),
        Index("gate_state", "state", "start"),
    )

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    kind: str = Field(max_length=12)
    start: int = Field(sa_type=BigInteger)
    slots: int
    slot_seconds: int
    closed_at: int = Field(sa_type=BigInteger)
    state: str = Field(default="closed", max_length=12)
    orders: int = 0
    left_out: int = 0
    book_hash: str | None = Field(default=None, sa_column=Column(Hex(32), nullable=True))
    solution_hash: str | None = Field(default=None, sa_column=Column(Hex(32), nullable=True))
    batch_id: int | None = Field(default=None, sa_type=BigInteger)
    error: str = Field(default="", max_length=400)
    updated_at: int = Field(sa_type=BigInteger)


class IndexedBlock(SQLModel, table=True):
    """A block the indexer took in; the highest is the cursor, the hashes show a reorganisation."""

    __tablename__ = "indexed_block"

    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    block_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    timestamp: int = Field(sa_type=BigInteger)


class IndexedChain(SQLModel, table=True):
    """Which deployment this database follows; refuses to mix two."""

    __tablename__ = "indexed_chain"

    id: int = Field(default=1, primary_key=True)
    chain_id: int = Field(sa_type=BigInteger)
    market: str = Field(sa_column=Column(Hex(20), nullable=False))
    genesis_hash: str = Field(sa_column=Column(Hex(32), nullable=False))


class Webhook(SQLModel, table=True):
    """An address that is told about events of its organisation; bodies are signed with the sealed secret."""

    __tablename__ = "webhook"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    organisation_id: str = Field(foreign_key="organisation.id", max_length=26, index=True)
    url: str = Field(max_length=500)
    events: list[str] = Field(sa_column=Column(JsonValue, nullable=False))
    sealed_secret: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_by: str = Field(max_length=80)
    created_at: int = Field(sa_type=BigInteger)
    disabled_at: int | None = Field(default=None, sa_type=BigInteger)


class WebhookDelivery(SQLModel, table=True):
    """One event on its way to one webhook: `state` waiting, delivered or failed; `event_key` names what
    happened, so that nothing is told twice.
    """

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        Index("webhook_delivery_due", "state", "next_at"),
        Index("webhook_delivery_event", "webhook_id", "event_key", unique=True),
    )

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    webhook_id: str = Field(foreign_key="webhook.id", max_length=26)
    event: str = Field(max_length=60)
    event_key: str = Field(max_length=120)
    payload: dict[str, Any] = Field(sa_column=Column(JsonValue, nullable=False))
    state: str = Field(default="waiting", max_length=12)
    attempts: int = 0
    created_at: int = Field(sa_type=BigInteger)
    next_at: int = Field(sa_type=BigInteger)
    last_status: int | None = None
    last_error: str = Field(default="", max_length=200)


class Job(SQLModel, table=True):
    """Work that outlasts a request: `state` waiting, running, done, failed or cancelled; progress in 1/10000.
    `fingerprint` names what is asked, so that asking again finds the answer.
    """

    __tablename__ = "job"
    __table_args__ = (
        Index("job_state", "state", "id"),
        Index("job_organisation", "organisation_id", "id"),
        Index("job_fingerprint", "organisation_id", "fingerprint"),
    )

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    organisation_id: str = Field(foreign_key="organisation.id", max_length=26)
    kind: str = Field(max_length=24)
    request: dict[str, Any] = Field(sa_column=Column(JsonValue, nullable=False))
    fingerprint: str = Field(sa_column=Column(Hex(32), nullable=False))
    state: str = Field(default="waiting", max_length=12)
    progress_bps: int = 0
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JsonValue, nullable=True))
    error: str = Field(default="", max_length=400)
    created_by: str = Field(max_length=80)
    created_at: int = Field(sa_type=BigInteger)
    started_at: int | None = Field(default=None, sa_type=BigInteger)
    ended_at: int | None = Field(default=None, sa_type=BigInteger)
    attempts: int = 0


class WorkerCursor(SQLModel, table=True):
    """How far a worker has come in what it follows."""

    __tablename__ = "worker_cursor"

    name: str = Field(primary_key=True, max_length=60)
    position: list[int | str] = Field(sa_column=Column(JsonValue, nullable=False))


class Lease(SQLModel, table=True):
    """Which process does a job that only one may do."""

    __tablename__ = "lease"

    name: str = Field(primary_key=True, max_length=60)
    holder: str = Field(max_length=80)
    until: int = Field(sa_type=BigInteger)
