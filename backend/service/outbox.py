"""The outbox: transactions written with the command that caused them, sent by the owner of a key's nonces.

A row goes waiting -> sent -> mined -> final; a revert ends it as failed. A nonce and every signed variant are
stored before anything is broadcast, so a process may end anywhere: the next one finds what may be in flight,
sends the same bytes again, and never signs a second transaction for a row whose nonce is still its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from hexbytes import HexBytes
from sqlalchemy import func
from sqlmodel import Session, col, select

from backend.chain.abi import Entry, explain_revert
from backend.chain.errors import RpcError
from backend.chain.keccak import hex0x, unhex
from backend.chain.plan import DEV_CHAIN_ID, Call
from backend.chain.rpc import Rpc
from backend.store.engine import Store
from backend.store.operations import OutboxAttempt, OutboxRow

log = logging.getLogger(__name__)
WAITING, SENT, MINED, FINAL, FAILED = "waiting", "sent", "mined", "final", "failed"
OPEN = (WAITING, SENT, MINED)
IN_FLIGHT = 32
_ASKED_AT_ONCE = 200
_BUMP_PER_MILLE = 1_125
"""Nodes replace a transaction only for 10 % more of both fees; an eighth is safe."""
_NUDGE_SECONDS = 1
_RECEIPT_SECONDS = 5


def enqueue(session: Session, sender: str, call: Call, key: str, group: str = "") -> bool:
    """Puts a call into the outbox, in the caller's transaction; False when the key is there already.

    Rows of a group are sent in order, and when one of them fails the later ones are not sent.
    """
    if call.to is None:
        raise ValueError(f"{call.label}: contracts are deployed by `bitwatt deploy`, not by the outbox")
    if session.exec(select(OutboxRow.id).where(OutboxRow.key == key)).first() is not None:
        return False
    now = int(time.time())
    session.add(
        OutboxRow(
            key=key,
            group_key=group,
            sender=sender.lower(),
            to=call.to.lower(),
            data=call.data,
            gas=call.gas,
            label=call.label[:120],
            created_at=now,
            updated_at=now,
        )
    )
    session.flush()
    return True


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """What a transaction may cost: tip and cap per gas in wei, and after how many seconds fees are raised."""

    priority_wei: int = 1_000_000_000
    cap_wei: int = 500_000_000_000
    bump_seconds: int = 30


@dataclass(frozen=True, slots=True)
class Confirmations:
    """How deep a transaction lies before it is `final`."""

    final: int = 64


class OutboxSender:
    """Owns the nonces of one key. `guard(session)` raises when another process owns them now."""

    def __init__(
        self,
        store: Store,
        rpc: Rpc,
        secret: bytes,
        chain_id: int,
        errors: dict[bytes, Entry],
        fees: FeePolicy | None = None,
        confirmations: Confirmations | None = None,
        guard: Callable[[Session], None] = lambda session: None,
    ) -> None:
        self._store = store
        self._rpc = rpc
        self._account = Account.from_key(secret)
        self._chain_id = chain_id
        self._errors = errors
        self._fees = fees or FeePolicy()
        self._final = (confirmations or Confirmations()).final
        self._guard = guard
        self.address: str = self._account.address.lower()
        self.on_event: Callable[[str], None] = lambda what: None
        self._nudged = 0.0

    def step(self) -> bool:
        """Looks after what is in flight and sends what waits; whether anything moved."""
        moved = self._watch()
        moved |= self._confirm()
        return self._assign() or moved

    # --- sending ----------------------------------------------------------------
    def _assign(self) -> bool:
        """Gives nonces to waiting rows, stores the signed transactions, then broadcasts them."""
        mined = self._rpc.nonce(self.address)
        head_fee = self._base_fee()
        with self._store.writing() as session:
            self._guard(session)
            own = OutboxRow.sender == self.address
            flying = session.exec(
                select(func.count()).select_from(OutboxRow).where(own, OutboxRow.state == SENT)
            ).one()
            rows = session.exec(
                select(OutboxRow)
                .where(own, OutboxRow.state == WAITING)
                .order_by(OutboxRow.id)
                .limit(max(IN_FLIGHT - flying, 0))
            ).all()
            last = session.exec(
                select(func.max(OutboxRow.nonce)).where(own, col(OutboxRow.state).in_((SENT, MINED, FINAL)))
            ).one()
            nonce = max(mined, 0 if last is None else int(last) + 1)
            broken = self._broken_groups(session, rows)
            signed = []
            for row in rows:
                if row.group_key in broken:
                    self._end(row, FAILED, f"an earlier step of {row.group_key} failed")
                    continue
                row.nonce, row.state, row.updated_at = nonce, SENT, int(time.time())
                fee = min(2 * head_fee + self._fees.priority_wei, self._fees.cap_wei)
                signed.append(self._sign(session, row, fee, min(self._fees.priority_wei, fee)))
                nonce += 1
        self._broadcast([attempt.raw for attempt in signed])
        for _ in signed:
            self.on_event("sent")
        return bool(rows)

    def _broken_groups(self, session: Session, rows: Sequence[OutboxRow]) -> set[str]:
        groups = {row.group_key for row in rows if row.group_key}
        query = select(OutboxRow.group_key).where(
            col(OutboxRow.group_key).in_(groups), OutboxRow.state == FAILED
        )
        return set(session.exec(query)) if groups else set()

    def _base_fee(self) -> int:
        block = self._rpc.call("eth_getBlockByNumber", "latest", False)
        return int(block.get("baseFeePerGas") or "0x0", 16)

    def _sign(self, session: Session, row: OutboxRow, max_fee: int, priority: int) -> OutboxAttempt:
        """One signed variant of a row, stored."""
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": row.nonce,
            "gas": row.gas,
            "maxFeePerGas": max_fee,
            "maxPriorityFeePerGas": priority,
            "value": 0,
            "data": HexBytes(row.data),
            "to": HexBytes(row.to),
        }
        signed = self._account.sign_transaction(fields)
        attempt = OutboxAttempt(
            tx_hash=hex0x(bytes(signed.hash)),
            outbox_id=row.id,
            nonce=row.nonce or 0,
            max_fee_wei=max_fee,
            priority_wei=priority,
            raw=bytes(signed.raw_transaction),
            sent_at=int(time.time()),
        )
        row.attempts += 1
        row.tx_hash = attempt.tx_hash
        session.add(attempt)
        session.add(row)
        return attempt

    def _broadcast(self, raws: Sequence[bytes]) -> None:
        """Hands transactions to the node; what it says of one it knows, or one that is mined, is no news."""
        for answer in self._rpc.batch([("eth_sendRawTransaction", (hex0x(raw),)) for raw in raws]):
            if isinstance(answer, RpcError):
                text = answer.message.lower()
                if not any(word in text for word in ("already", "nonce too low", "underpriced")):
                    log.warning("the node refused a transaction of %s: %s", self.address, answer.message)
                    self.on_event("refused")

    # --- what became of them -----------------------------------------------------
    def _watch(self) -> bool:
        """Receipts of what is in flight; lost ones are sent again, slow ones with higher fees, replaced ones
        anew.
        """
        rows, attempts = self._load(SENT)
        if not rows:
            return False
        mined = self._rpc.nonce(self.address)
        receipts = self._receipts([attempt.tx_hash for items in attempts.values() for attempt in items])
        moved = False
        again: list[bytes] = []
        now = int(time.time())
        for row in rows:
            mine = attempts.get(row.id, [])
            found = next((r for a in mine if (r := receipts.get(a.tx_hash))), None)
            if found is not None:
                self._settle(row, found)
                moved = True
            elif row.nonce is not None and row.nonce < mined:
                if now - row.updated_at >= _RECEIPT_SECONDS:
                    self._requeue(row, "its nonce was used by another transaction")
                    moved = True
            elif mine:
                again += self._keep_alive(row, mine[-1], now)
        if again:
            self._broadcast(again)
        if self._chain_id == DEV_CHAIN_ID and time.monotonic() - self._nudged > _NUDGE_SECONDS and not moved:
            self._nudged = time.monotonic()
            self._rpc.call("evm_mine")  # a full block leaves transactions behind in Anvil's pool
        return moved

    def _load(self, state: str) -> tuple[Sequence[OutboxRow], dict[str, list[OutboxAttempt]]]:
        with self._store.reading() as session:
            rows = session.exec(
                select(OutboxRow)
                .where(OutboxRow.sender == self.address, OutboxRow.state == state)
                .order_by(col(OutboxRow.nonce))
                .limit(_ASKED_AT_ONCE)
            ).all()
            found = session.exec(
                select(OutboxAttempt)
                .where(col(OutboxAttempt.outbox_id).in_([row.id for row in rows]))
                .order_by(col(OutboxAttempt.sent_at), col(OutboxAttempt.max_fee_wei))
            ).all()
        attempts: dict[str, list[OutboxAttempt]] = {}
        for attempt in found:
            attempts.setdefault(attempt.outbox_id, []).append(attempt)
        return rows, attempts

    def _receipts(self, hashes: Sequence[str]) -> dict[str, dict[str, Any]]:
        answers = self._rpc.batch([("eth_getTransactionReceipt", (tx_hash,)) for tx_hash in hashes])
        return {
            tx_hash: answer
            for tx_hash, answer in zip(hashes, answers, strict=True)
            if isinstance(answer, dict)
        }

    def _keep_alive(self, row: OutboxRow, last: OutboxAttempt, now: int) -> list[bytes]:
        """What to broadcast for a row that is not mined: the same bytes when the node lost them, higher fees
        when it took too long.
        """
        if now - last.sent_at >= self._fees.bump_seconds:
            raised = [-(-fee * _BUMP_PER_MILLE // 1000) for fee in (last.max_fee_wei, last.priority_wei)]
            if raised[0] <= self._fees.cap_wei:
                with self._store.writing() as session:
                    self._guard(session)
                    kept = session.get_one(OutboxRow, row.id)
                    if kept.state == SENT and kept.nonce == row.nonce:
                        self.on_event("bumped")
                        return [self._sign(session, kept, raised[0], max(raised[1], 1)).raw]
        known = self._rpc.call("eth_getTransactionByHash", last.tx_hash)
        if known is None:
            self.on_event("dropped")
            return [last.raw]
        return []

    def _settle(self, row: OutboxRow, receipt: dict[str, Any]) -> None:
        success = int(receipt["status"], 16) == 1
        reason = "" if success else self._reason(row, receipt)
        with self._store.writing() as session:
            self._guard(session)
            kept = session.get_one(OutboxRow, row.id)
            if kept.state != SENT:
                return
            kept.tx_hash = receipt["transactionHash"].lower()
            kept.block_number = int(receipt["blockNumber"], 16)
            kept.gas_used = int(receipt["gasUsed"], 16)
            self._end(kept, MINED if success else FAILED, reason)
            session.add(kept)
        self.on_event("mined" if success else "failed")
        if not success:
            log.error("%s failed: %s", row.label, reason)

    def _reason(self, row: OutboxRow, receipt: dict[str, Any]) -> str:
        """Why a transaction reverted, in words."""
        request = {"from": self.address, "to": row.to, "data": hex0x(row.data), "gas": hex(row.gas)}
        before = hex(int(receipt["blockNumber"], 16) - 1)
        traced, repeated = self._rpc.batch(
            [
                ("debug_traceTransaction", (receipt["transactionHash"], {"tracer": "callTracer"})),
                ("eth_call", (request, before)),
            ]
        )
        data = unhex(traced.get("output") or "0x") if isinstance(traced, dict) else b""
        if not data and isinstance(repeated, RpcError):
            data = repeated.data
        if data:
            return explain_revert(data, self._errors)[0]
        gas_used = int(receipt["gasUsed"], 16)
        return "ran out of gas" if gas_used >= row.gas * 63 // 64 else "reverted without a reason"

    def _requeue(self, row: OutboxRow, why: str) -> None:
        """The nonce went to a transaction that is not ours, so ours is never mined: it gets another one."""
        with self._store.writing() as session:
            self._guard(session)
            kept = session.get_one(OutboxRow, row.id)
            if kept.state == SENT and kept.nonce == row.nonce:
                kept.nonce, kept.tx_hash = None, None
                for attempt in session.exec(select(OutboxAttempt).where(OutboxAttempt.outbox_id == row.id)):
                    session.delete(attempt)
                self._end(kept, WAITING, why)
                session.add(kept)
        log.warning("%s: %s; it is sent again", row.label, why)
        self.on_event("replaced")

    def _confirm(self) -> bool:
        """Mined rows become final when they are deep enough, and fly again when a reorganisation took them
        back.
        """
        rows, attempts = self._load(MINED)
        if not rows:
            return False
        head = self._rpc.block_number()
        receipts = self._receipts([attempt.tx_hash for items in attempts.values() for attempt in items])
        moved = False
        for row in rows:
            found = next((r for a in attempts.get(row.id, []) if (r := receipts.get(a.tx_hash))), None)
            block = int(found["blockNumber"], 16) if found else None
            succeeded = found is not None and int(found["status"], 16) == 1
            if block is not None and succeeded and block == row.block_number and head - block < self._final:
                continue
            with self._store.writing() as session:
                self._guard(session)
                kept = session.get_one(OutboxRow, row.id)
                if kept.state != MINED:
                    continue
                moved = True
                if found is None:
                    self._end(kept, SENT, "a reorganisation took it back")
                    self.on_event("taken back")
                elif not succeeded:
                    self._end(kept, FAILED, self._reason(row, found))
                else:
                    assert block is not None
                    kept.block_number, kept.tx_hash = block, found["transactionHash"].lower()
                    self._end(kept, FINAL if head - block >= self._final else MINED, "")
                session.add(kept)
        return moved

    @staticmethod
    def _end(row: OutboxRow, state: str, error: str) -> None:
        row.state, row.error, row.updated_at = state, error[:400], int(time.time())
