"""Bundle orders: drafts to sign, intake, withdrawal, and what became of them."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlmodel import Session, col, select

from backend.chain.eip712 import Domain
from backend.chain.keccak import checksum_address
from backend.chain.orders import BundleOrder
from backend.chain.rpc import Rpc
from backend.service import intake
from backend.service.access import Principal, Scope
from backend.service.audit_log import record, request_id
from backend.service.errors import Conflict, NotFound
from backend.service.rules import check_order
from backend.settings import Settings
from backend.store.chain import Account, Agreement, Batch, Cancellation, ClearedOrder, SlotResult
from backend.store.identity import Wallet
from backend.store.market import OrderRow, Withdrawal

ORDER_FIELDS = (
    "class_id", "zone_mask", "lanes", "min_lanes", "duration_slots", "start", "deadline", "limit_price",
    "min_green_bps", "max_carbon", "carbon_price", "kind", "epoch", "nonce", "expiry",
)  # fmt: skip


def fresh_nonce() -> int:
    """A nonce nobody used, below 2**53 so that browsers keep it exact."""
    return secrets.randbits(53)


def next_nonce(session: Session, maker: str) -> int:
    """The maker's next nonce in sequence: eight sequential nonces share a storage word on chain, which
    is cheap.
    """
    last = session.exec(
        select(OrderRow.nonce)
        .where(OrderRow.maker == maker, OrderRow.nonce < 1 << 53)
        .order_by(col(OrderRow.nonce).desc())
        .limit(1)
    ).first()
    return 1 if last is None else last + 1


def epoch_of(session: Session, maker: str) -> int:
    """The maker's signing epoch."""
    account = session.get(Account, maker)
    return account.epoch if account else 0


def as_message(row: OrderRow) -> BundleOrder:
    """The signed message of a stored order."""
    return BundleOrder(
        maker=checksum_address(row.maker), **{name: getattr(row, name) for name in ORDER_FIELDS}
    )


def accept(
    session: Session, settings: Settings, domain: Domain, rpc: Rpc | None, who: Principal, order: BundleOrder,
    signature: bytes, now: int, template_id: str | None,
) -> intake.Accepted | OrderRow:  # fmt: skip
    """The order when every rule holds and its maker signed it; the stored one when it is here already."""
    who.require(Scope.ORDERS_WRITE)
    maker = order.maker.lower()
    intake.require_own_wallet(session, who, maker)
    check_order(
        order,
        intake.maker_now(session, settings, maker, order.nonce),
        intake.terms_now(session, settings, now),
    )
    order_hash = intake.signed_hash(order, signature, domain, rpc)
    known = intake.require_fresh_nonce(session, maker, order.nonce, order_hash)
    if known is not None:
        return known
    row = OrderRow(
        order_hash=order_hash,
        maker=maker,
        signature=signature,
        received_at=int(time.time()),
        template_id=template_id,
        **{name: getattr(order, name) for name in ORDER_FIELDS},
    )
    return intake.Accepted(row, intake.entry_of(who, "order.placed", order_hash, request_id.get()))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order. `state` names the stage; slots count settled of all slots of its
    agreements.
    """

    state: str
    lanes_filled: int = 0
    cost_micro: int = 0
    batch_ids: tuple[int, ...] = ()
    slots: int = 0
    slots_settled: int = 0
    slots_refunded: int = 0


@dataclass
class _Facts:
    cleared: list[ClearedOrder] = field(default_factory=list)
    agreements: list[Agreement] = field(default_factory=list)


def outcomes(session: Session, orders: Sequence[OrderRow], now: int) -> dict[str, Outcome]:
    """The outcome of each order, by hash; a handful of queries for the whole page."""
    hashes = [order.order_hash for order in orders]
    if not hashes:
        return {}
    facts: dict[str, _Facts] = defaultdict(_Facts)
    for cleared in session.exec(select(ClearedOrder).where(col(ClearedOrder.order_hash).in_(hashes))):
        facts[cleared.order_hash].cleared.append(cleared)
    for agreement in session.exec(select(Agreement).where(col(Agreement.order_hash).in_(hashes))):
        facts[agreement.order_hash].agreements.append(agreement)
    ids = {row.batch_id for fact in facts.values() for row in fact.cleared}
    batches = {b.batch_id: b for b in session.exec(select(Batch).where(col(Batch.batch_id).in_(ids)))}
    done = _settled_slots(session, facts)
    withdrawn = set(session.exec(select(Withdrawal.order_hash).where(col(Withdrawal.order_hash).in_(hashes))))
    makers = {order.maker for order in orders}
    cancelled = {
        (row.maker, row.nonce)
        for row in session.exec(select(Cancellation).where(col(Cancellation.maker).in_(makers)))
        if row.nonce is not None
    }
    epochs = {
        a.address: a.epoch for a in session.exec(select(Account).where(col(Account.address).in_(makers)))
    }
    return {
        order.order_hash: _outcome(
            order,
            facts[order.order_hash],
            batches,
            done,
            now,
            order.order_hash in withdrawn
            or (order.maker, order.nonce) in cancelled
            or epochs.get(order.maker, 0) > order.epoch,
        )
        for order in orders
    }


def _settled_slots(session: Session, facts: dict[str, _Facts]) -> dict[tuple[int, int], dict[int, bool]]:
    """(batch, chunk) -> slot -> whether it was settled (True) or refunded (False)."""
    chunks = {(a.batch_id, a.chunk_index) for fact in facts.values() for a in fact.agreements}
    done: dict[tuple[int, int], dict[int, bool]] = {}
    for batch_id in {batch for batch, _ in chunks}:
        wanted = [chunk for batch, chunk in chunks if batch == batch_id]
        rows = session.exec(
            select(SlotResult.chunk_index, SlotResult.slot, col(SlotResult.outcomes).is_not(None)).where(
                SlotResult.batch_id == batch_id, col(SlotResult.chunk_index).in_(wanted)
            )
        )
        for chunk, slot, settled in rows:
            done.setdefault((batch_id, chunk), {})[slot] = bool(settled)
    return done


def _outcome(
    order: OrderRow, fact: _Facts, batches: dict[int, Batch], done: dict[tuple[int, int], dict[int, bool]],
    now: int, cancelled: bool,
) -> Outcome:  # fmt: skip
    alive = [row for row in fact.cleared if batches[row.batch_id].voided_block is None]
    if not alive:
        if cancelled:
            return Outcome("cancelled")
        return Outcome("expired" if now >= min(order.expiry, order.deadline) else "open")
    slots = settled = refunded = 0
    first = order.deadline
    for run in fact.agreements:
        batch = batches[run.batch_id]
        if batch.voided_block is not None:
            continue
        results = done.get((run.batch_id, run.chunk_index), {})
        first = min(first, batch.start + run.start_slot * batch.slot_seconds)
        slots += run.end_slot - run.start_slot
        for slot in range(run.start_slot, run.end_slot):
            settled += results.get(slot) is True
            refunded += results.get(slot) is False
    if slots and settled + refunded == slots:
        state = "refunded" if refunded == slots else "settled"
    elif not all(batches[row.batch_id].finalised_block for row in alive):
        state = "clearing"
    elif now >= first:
        state = "delivering"
    else:
        state = "cleared"
    return Outcome(
        state,
        sum(row.lanes_filled for row in alive),
        sum(row.cost_micro for row in alive),
        tuple(sorted({row.batch_id for row in alive})),
        slots,
        settled,
        refunded,
    )


def get_own_order(session: Session, who: Principal, order_hash: str) -> OrderRow:
    """An order of the caller's organisation; NotFound otherwise."""
    row = session.get(OrderRow, order_hash)
    wallet = session.get(Wallet, row.maker) if row else None
    if row is None or wallet is None or wallet.organisation_id != who.organisation_id:
        raise NotFound("no such order in your organisation", field="order_hash", mend="list your orders")
    return row


def withdraw(session: Session, who: Principal, order_hash: str, now: int) -> OrderRow:
    """Takes an order out of the book before it clears; Conflict when it is too late. Twice is fine."""
    who.require(Scope.ORDERS_WRITE)
    row = get_own_order(session, who, order_hash)
    state = outcomes(session, [row], now)[order_hash].state
    if state == "cancelled":
        return row
    if state != "open":
        raise Conflict(
            f"the order is {state}", field="order_hash", mend="only an open order can be taken back"
        )
    session.add(Withdrawal(order_hash=order_hash, maker=row.maker, at=int(time.time())))
    record(session, who, "order.withdrawn", order_hash)
    return row
