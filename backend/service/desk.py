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

from sqlalchemy import Connection, null, select
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col

from backend.chain.eip712 import Domain, order_digest, recover
from backend.chain.errors import FieldError
from backend.chain.keccak import hex0x
from backend.chain.orders import BundleOrder
from backend.service.access import Principal
from backend.service.errors import Conflict, Forbidden, ServiceError, Unavailable
from backend.service.intake import terms_now
from backend.service.rules import Maker, Terms, check_order
from backend.service.signatures import is_low_s
from backend.settings import Settings
from backend.store.bulk import Row, among, insert_all
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


Placed = NewOrder | str
"""The stored order, or the hash of the same one that was here before."""


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
        self._connection: Connection | None = None
        self._terms: tuple[float, Terms] | None = None

    async def place(
        self, who: Principal, order: BundleOrder, signature: bytes, template_id: str | None, request_id: str
    ) -> Placed:
        """The stored order, or the hash of one that was placed before; raises what is wrong with it, or
        NeedsSlowCheck.
        """
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
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None

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
            outcomes = self._outcomes(waiting)
            for loop in {asked.loop for asked in waiting}:
                mine = [pair for pair in zip(waiting, outcomes, strict=True) if pair[0].loop is loop]
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_answer, mine)
            if closing:
                return

    def _outcomes(self, waiting: Sequence[Asked]) -> list[Outcome]:
        """What becomes of each; once more on a new connection when the database ended the old one."""
        for last in (False, True):
            try:
                return self._work_off(waiting)
            except Exception as error:  # handed to whoever waits, and raised there
                if self._connection is not None:
                    self._connection.invalidate()
                    self._connection.close()
                    self._connection = None
                if last or not (isinstance(error, DBAPIError) and error.connection_invalidated):
                    return [error] * len(waiting)
        raise AssertionError("unreachable")

    def _work_off(self, waiting: Sequence[Asked]) -> list[Outcome]:
        terms = self._known_terms(self._now())
        if self._connection is None:
            self._connection = self._store.connect()
        with Session(self._connection) as session, session.begin():
            return self._store_good(session, waiting, terms)

    def _store_good(self, session: Session, waiting: Sequence[Asked], terms: Terms) -> list[Outcome]:
        """Checks what waits and stores what is good, in the session's transaction."""
        facts, domain = _Facts(session, waiting), self._domain()
        outcomes: list[Outcome] = []
        rows: list[Row] = []
        entries: list[Row] = []
        at = int(time.time())
        for asked in waiting:
            try:
                placed = self._checked(asked, facts, terms, domain, at)
            except (ServiceError, NeedsSlowCheck) as error:
                outcomes.append(error)
                continue
            outcomes.append(placed)
            if isinstance(placed, NewOrder):
                facts.known[(placed.maker, placed.nonce)] = placed.order_hash
                rows.append({name: getattr(placed, name) for name in _ORDER_COLUMNS})
                entries.append(_entry(asked, placed.order_hash, at))
        insert_all(session, OrderRow, rows)
        insert_all(session, AuditEntry, entries)
        return outcomes

    def _known_terms(self, now: int) -> Terms:
        """Zones and classes, read at most once a second; the clock is always now's."""
        if self._terms is None or time.monotonic() - self._terms[0] > _TERMS_SECONDS:
            with self._store.reading() as session:
                self._terms = (time.monotonic(), terms_now(session, self._settings, now))
        known = self._terms[1]
        return Terms(known.slot_seconds, known.zones, known.classes, now, known.gate_lead_seconds)

    def _checked(self, asked: Asked, facts: _Facts, terms: Terms, domain: Domain, at: int) -> Placed:
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
            if known == order_hash:
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
        self.owners: dict[str, str] = {}
        self.accounts: dict[str, tuple[int, int]] = {}
        owned = select(
            col(Wallet.address), col(Wallet.organisation_id), col(Account.available_micro), col(Account.epoch)
        ).outerjoin(Account, col(Account.address) == col(Wallet.address))
        for address, owner, available, epoch in session.execute(
            owned.where(among(session, Wallet.address, makers))
        ):
            self.owners[address] = owner
            self.accounts[address] = (available or 0, epoch or 0)
        cancelled = select(col(Cancellation.maker), col(Cancellation.nonce), null()).where(
            among(session, Cancellation.maker, makers), among(session, Cancellation.nonce, nonces)
        )
        used = select(col(OrderRow.maker), col(OrderRow.nonce), col(OrderRow.order_hash)).where(
            among(session, OrderRow.maker, makers), among(session, OrderRow.nonce, nonces)
        )
        taken = session.execute(used.union_all(cancelled)).all()
        self.cancelled = {(maker, nonce) for maker, nonce, order_hash in taken if order_hash is None}
        self.known = {
            (maker, nonce): order_hash for maker, nonce, order_hash in taken if order_hash is not None
        }


_ORDER_COLUMNS = tuple(NewOrder.__slots__)


def _entry(asked: Asked, order_hash: str, at: int) -> Row:
    """The entry of the audit log that goes with an order."""
    return {
        "id": new_id(),
        "at": at,
        "organisation_id": asked.who.organisation_id,
        "actor": asked.who.actor,
        "action": "order.placed",
        "target": order_hash,
        "detail": {},
        "request_id": asked.request_id,
    }


def _answer(pairs: Sequence[tuple[Asked, Outcome]]) -> None:
    """On the event loop: wakes whoever waits."""
    for asked, outcome in pairs:
        if asked.done.done():
            continue
        if isinstance(outcome, Exception):
            asked.done.set_exception(outcome)
        else:
            asked.done.set_result(outcome)
