"""Taking in signed messages: rules, signature, one transaction for many at once."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel, col, select

from backend.chain.eip712 import Domain, order_digest
from backend.chain.keccak import hex0x
from backend.chain.orders import Order
from backend.chain.rpc import Rpc
from backend.service.access import Principal
from backend.service.errors import Conflict, Forbidden, Unavailable
from backend.service.rules import Maker, Terms
from backend.service.signatures import require_signed_by
from backend.settings import Settings
from backend.store.chain import Account, Batch, Cancellation, ComputeClass, Zone
from backend.store.engine import Store
from backend.store.identity import AuditEntry, Wallet
from backend.store.market import OrderRow
from backend.store.types import new_id

_MOST_AT_ONCE = 256
_PATIENCE_SECONDS = 30


def insert_or_ignore(store: Store, table: Table) -> Insert:
    """INSERT that leaves an existing row as it is."""
    if store.is_postgresql:
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


@dataclass(frozen=True, slots=True)
class Accepted:
    """A row to be stored and the entry of the audit log that goes with it."""

    row: SQLModel
    entry: AuditEntry


class Writer:
    """Stores accepted messages in the order they come, as many as wait in one transaction (group commit)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: queue.Queue[tuple[Accepted, Future[None]] | None] = queue.Queue(maxsize=4096)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def store(self, accepted: Accepted) -> None:
        """Returns when the message is safely stored."""
        done: Future[None] = Future()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
                self._thread.start()
        try:
            self._queue.put((accepted, done), timeout=_PATIENCE_SECONDS)
            done.result(timeout=_PATIENCE_SECONDS)
        except (queue.Full, TimeoutError) as error:
            raise Unavailable(
                "the store is too slow now", mend="send it again; a repeat is harmless"
            ) from error

    def close(self) -> None:
        """Stores what waits and stops."""
        with self._lock:
            if self._thread is not None:
                self._queue.put(None)
                self._thread.join(timeout=_PATIENCE_SECONDS)
                self._thread = None

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            waiting = [first]
            closing = False
            while len(waiting) < _MOST_AT_ONCE and not closing:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                closing = following is None
                if following is not None:
                    waiting.append(following)
            self._store_all(waiting)
            if closing:
                return

    def _store_all(self, waiting: Sequence[tuple[Accepted, Future[None]]]) -> None:
        tables: dict[Table, list[dict[str, object]]] = {}
        for accepted, _ in waiting:
            for row in (accepted.row, accepted.entry):
                table: Table = type(row).__table__  # type: ignore[attr-defined]
                tables.setdefault(table, []).append(row.model_dump())
        try:
            with self._store.writing() as session:
                for table, rows in tables.items():
                    session.execute(insert_or_ignore(self._store, table), rows)
        except BaseException as error:  # handed to whoever waits, and raised there
            for _, done in waiting:
                done.set_exception(error)
            return
        for _, done in waiting:
            done.set_result(None)


def terms_now(session: Session, settings: Settings, now: int) -> Terms:
    """What the market trades now."""
    return Terms(
        settings.slot_seconds,
        frozenset(session.exec(select(Zone.zone_id)).all()),
        frozenset(session.exec(select(ComputeClass.class_id)).all()),
        now,
        settings.gate_lead_seconds,
    )


def maker_now(session: Session, settings: Settings, address: str, nonce: int) -> Maker:
    """What is known of a maker, for one nonce."""
    account = session.get(Account, address)
    cancelled = session.exec(
        select(Cancellation.nonce).where(Cancellation.maker == address, Cancellation.nonce == nonce)
    ).all()
    available = account.available_micro if account else 0
    return Maker(
        available if settings.deposit_check else None,
        account.epoch if account else 0,
        frozenset(value for value in cancelled if value is not None),
    )


def require_own_wallet(session: Session, who: Principal, maker: str) -> None:
    """Raises Forbidden unless `maker` is a trading account of the caller's organisation."""
    wallet = session.get(Wallet, maker)
    if wallet is None or wallet.organisation_id != who.organisation_id:
        raise Forbidden(
            f"{maker} is not an account of your organisation",
            field="maker",
            mend="sign with one of its accounts, or link this one (POST /api/v1/organisation/wallets)",
        )


def signed_hash(order: Order, signature: bytes, domain: Domain, rpc: Rpc | None) -> str:
    """The message's hash, when its maker signed it; Invalid otherwise."""
    digest = order_digest(order, domain)
    require_signed_by(order.maker, digest, signature, rpc)
    return hex0x(digest)


def require_fresh_nonce(session: Session, maker: str, nonce: int, order_hash: str) -> OrderRow | None:
    """The same order if it is here already; Conflict when another order of the maker uses the nonce."""
    rows = session.exec(select(OrderRow).where(OrderRow.maker == maker, OrderRow.nonce == nonce)).all()
    for row in rows:
        if row.order_hash == order_hash:
            return row
    if rows:
        raise Conflict(
            f"nonce {nonce} is used by another order", field="nonce", mend="sign it with another nonce"
        )
    return None


def entry_of(who: Principal, action: str, target: str, request_id: str) -> AuditEntry:
    """The audit entry of an accepted message."""
    return AuditEntry(
        id=new_id(),
        at=int(time.time()),
        organisation_id=who.organisation_id,
        actor=who.actor,
        action=action,
        target=target,
        detail={},
        request_id=request_id,
    )


def batch_slot_seconds(session: Session, settings: Settings) -> int:
    """Slot length of the last batch, or the configured one."""
    found = session.exec(select(Batch.slot_seconds).order_by(col(Batch.batch_id).desc()).limit(1)).first()
    return found or settings.slot_seconds
