"""The order desk: takes in signed orders many at a time, so that each costs little.

Requests wait on the event loop; one thread gathers what waits, asks the tables once for all of them, checks
every rule and signature, and stores what is good in one transaction. An answer goes out after the commit.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Table, bindparam, select
from sqlmodel import Session, col

from backend.chain.eip712 import Domain, order_digest, recover
from backend.chain.errors import FieldError
from backend.chain.keccak import hex0x
from backend.chain.orders import BundleOrder
from backend.service.access import Principal
from backend.service.errors import Conflict, Forbidden, ServiceError, Unavailable
from backend.service.intake import insert_or_ignore, terms_now
from backend.service.rules import Maker, Terms, check_order
from backend.service.signatures import is_low_s
from backend.settings import Settings
from backend.store.chain import Account, Cancellation
from backend.store.engine import Store
from backend.store.identity import AuditEntry, Wallet
from backend.store.market import OrderRow
from backend.store.types import new_id

MOST_AT_ONCE = 256
MOST_WAITING = 4096
_TERMS_SECONDS = 1.0


class NeedsSlowCheck(Exception):
    """The key did not sign it, but a contract account may have: ask the chain."""


@dataclass(slots=True)
class NewOrder:
    """The fields of an order's row, without the cost of a mapped object."""

    order_hash: str
    seen_id: str
    maker: str
    class_id: int
    zone_mask: int
    lanes: int
    min_lanes: int
    duration_slots: int
    start: int
    deadline: int
    limit_price: int
    min_green_bps: int
    max_carbon: int
    carbon_price: int
    kind: int
    epoch: int
    nonce: int
    expiry: int
    signature: bytes
    received_at: int
    source: str
    first_block: int | None
    template_id: str | None


Placed = tuple[OrderRow | NewOrder, bool]
"""The stored order, and whether it is new."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One order at the desk."""

    who: Principal
    order: BundleOrder
    signature: bytes
    template_id: str | None
    request_id: str
    done: asyncio.Future[Placed]
    loop: asyncio.AbstractEventLoop


Outcome = Placed | Exception


class OrderDesk:
    """One thread that works off what waits."""

    def __init__(
        self, store: Store, settings: Settings, domain: Callable[[], Domain], now: Callable[[], int]
    ) -> None:
        self._store, self._settings = store, settings
        self._domain, self._now = domain, now
        self._queue: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._terms: tuple[float, Terms] | None = None

    async def place(
        self, who: Principal, order: BundleOrder, signature: bytes, template_id: str | None, request_id: str
    ) -> Placed:
        """The stored order, and whether it is new; raises what is wrong with it, or NeedsSlowCheck."""
        if self._thread is None:
            self._start()
        if self._queue.qsize() > MOST_WAITING:
            raise Unavailable("too many orders wait", mend="send it again; a repeat is harmless")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Placed] = loop.create_future()
        self._queue.put(Asked(who, order, signature, template_id, request_id, done, loop))
        return await done

    def close(self) -> None:
        """Works off what waits and stops."""
        with self._lock:
            if self._thread is not None:
                self._queue.put(None)
                self._thread.join(timeout=30)
                self._thread = None

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="order-desk", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            waiting, closing = [first], False
            while len(waiting) < MOST_AT_ONCE and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    closing = True
                    break
                waiting.append(following)
            try:
                outcomes = self._work_off(waiting)
            except Exception as error:  # handed to whoever waits, and raised there
                outcomes = [error] * len(waiting)
            for loop in {asked.loop for asked in waiting}:
                mine = [pair for pair in zip(waiting, outcomes, strict=True) if pair[0].loop is loop]
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_answer, mine)
            if closing:
                return

    def _work_off(self, waiting: Sequence[Asked]) -> list[Outcome]:
        domain, now = self._domain(), self._now()
        with self._store.reading() as session:
            terms = self._known_terms(session, now)
            facts = _Facts(session, waiting)
        outcomes: list[Outcome] = []
        rows: list[tuple[object, ...]] = []
        entries: list[tuple[object, ...]] = []
        at = int(time.time())
        for asked in waiting:
            try:
                row = self._checked(asked, facts, terms, domain, at)
            except (ServiceError, NeedsSlowCheck) as error:
                outcomes.append(error)
                continue
            known = (row.maker, row.nonce) in facts.known
            outcomes.append((row, not known))
            if not known:
                facts.known[(row.maker, row.nonce)] = row
                assert isinstance(row, NewOrder)
                rows.append(_raw_order(row))
                entries.append(_raw_entry(asked, row.order_hash, at))
        if rows:
            with self._store.writing() as session:
                connection = session.connection()
                for table, columns, values in (
                    (OrderRow.__table__, _ORDER_COLUMNS, rows),  # type: ignore[attr-defined]
                    (AuditEntry.__table__, _ENTRY_COLUMNS, entries),  # type: ignore[attr-defined]
                ):
                    text, named = _insert_text(self._store, table)
                    given = [dict(zip(columns, row, strict=True)) for row in values] if named else values
                    connection.exec_driver_sql(text, given)
        return outcomes

    def _known_terms(self, session: Session, now: int) -> Terms:
        """Zones and classes, read at most once a second; the clock is always now's."""
        if self._terms is None or time.monotonic() - self._terms[0] > _TERMS_SECONDS:
            self._terms = (time.monotonic(), terms_now(session, self._settings, now))
        known = self._terms[1]
        return Terms(known.slot_seconds, known.zones, known.classes, now, known.gate_lead_seconds)

    def _checked(
        self, asked: Asked, facts: _Facts, terms: Terms, domain: Domain, at: int
    ) -> OrderRow | NewOrder:
        order = asked.order
        maker = order.maker.lower()
        if facts.owners.get(maker) != asked.who.organisation_id:
            raise Forbidden(
                f"{maker} is not an account of your organisation",
                field="maker",
                mend="sign with one of its accounts, or link this one (POST /api/v1/organisation/wallets)",
            )
        available, epoch = facts.accounts.get(maker, (0, 0))
        cancelled = frozenset((order.nonce,)) if (maker, order.nonce) in facts.cancelled else frozenset()
        money = available if self._settings.deposit_check else None
        check_order(order, Maker(money, epoch, cancelled), terms)
        digest = order_digest(order, domain)
        try:
            signer = recover(digest, asked.signature)
        except FieldError as error:
            raise NeedsSlowCheck from error
        if signer.lower() != maker or not is_low_s(asked.signature):
            raise NeedsSlowCheck
        order_hash = hex0x(digest)
        known = facts.known.get((maker, order.nonce))
        if known is not None:
            if known.order_hash == order_hash:
                return known
            raise Conflict(
                f"nonce {order.nonce} is used by another order",
                field="nonce",
                mend="sign it with another nonce",
            )
        return NewOrder(
            order_hash, new_id(), maker, order.class_id, order.zone_mask, order.lanes, order.min_lanes,
            order.duration_slots, order.start, order.deadline, order.limit_price, order.min_green_bps,
            order.max_carbon, order.carbon_price, order.kind, order.epoch, order.nonce, order.expiry,
            asked.signature, at, "api", None, asked.template_id,
        )  # fmt: skip


class _Facts:
    """What the tables know of the orders that wait: owners, money, cancellations, nonces in use."""

    def __init__(self, session: Session, waiting: Sequence[Asked]) -> None:
        makers = {asked.order.maker.lower() for asked in waiting}
        nonces = {asked.order.nonce for asked in waiting}
        self.owners: dict[str, str] = dict(
            session.execute(
                select(col(Wallet.address), col(Wallet.organisation_id)).where(
                    col(Wallet.address).in_(makers)
                )
            ).all()
        )
        accounts = session.execute(
            select(col(Account.address), col(Account.available_micro), col(Account.epoch)).where(
                col(Account.address).in_(makers)
            )
        )
        self.accounts = {address: (available, epoch) for address, available, epoch in accounts}
        self.cancelled = set(
            session.execute(
                select(col(Cancellation.maker), col(Cancellation.nonce)).where(
                    col(Cancellation.maker).in_(makers), col(Cancellation.nonce).in_(nonces)
                )
            ).all()
        )
        used = session.execute(
            select(col(OrderRow.order_hash)).where(
                col(OrderRow.maker).in_(makers), col(OrderRow.nonce).in_(nonces)
            )
        ).scalars()
        self.known: dict[tuple[str, int], OrderRow | NewOrder] = {}
        if hashes := used.all():
            rows = session.execute(select(OrderRow).where(col(OrderRow.order_hash).in_(hashes))).scalars()
            self.known = {(row.maker, row.nonce): row for row in rows}


_ORDER_COLUMNS = tuple(NewOrder.__slots__)
_ENTRY_COLUMNS = ("id", "at", "organisation_id", "actor", "action", "target", "detail", "request_id")


@lru_cache(maxsize=16)
def _insert_text(store: Store, table: Table) -> tuple[str, bool]:
    """INSERT as the driver takes it, and whether its parameters are named; values go in as stored."""
    columns = _ORDER_COLUMNS if table.name == "bundle_order" else _ENTRY_COLUMNS
    statement = insert_or_ignore(store, table).values({name: bindparam(name) for name in columns})
    compiled = statement.compile(dialect=store.engine.dialect)
    named = compiled.positiontup is None
    assert named or tuple(compiled.positiontup or ()) == columns
    return str(compiled), named


def _raw_order(row: NewOrder) -> tuple[object, ...]:
    """A row's values as the database stores them: bytes for hex, 64-bit words as signed integers."""
    return (
        bytes.fromhex(row.order_hash[2:]), row.seen_id, bytes.fromhex(row.maker[2:]), row.class_id,
        _signed(row.zone_mask), row.lanes, row.min_lanes, row.duration_slots, row.start, row.deadline,
        row.limit_price, row.min_green_bps, row.max_carbon, row.carbon_price, row.kind, row.epoch,
        _signed(row.nonce), _signed(row.expiry), row.signature, row.received_at, row.source, row.first_block,
        row.template_id,
    )  # fmt: skip


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _raw_entry(asked: Asked, order_hash: str, at: int) -> tuple[object, ...]:
    who = asked.who
    return (new_id(), at, who.organisation_id, who.actor, "order.placed", order_hash, "{}", asked.request_id)


def _answer(pairs: Sequence[tuple[Asked, Outcome]]) -> None:
    """On the event loop: wakes whoever waits."""
    for asked, outcome in pairs:
        if asked.done.done():
            continue
        if isinstance(outcome, Exception):
            asked.done.set_exception(outcome)
        else:
            asked.done.set_result(outcome)
