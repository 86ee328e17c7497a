"""Settles delivered slots by their final reports and refunds what no report covers; steps may be repeated.

Per slot: meter the green pools, settle the chunks, pay the pools. What is done is read from the tables and
from the outbox, so a restart asks for nothing twice; a step that failed is asked for again a few times.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlmodel import Session, col, select

from backend.chain.clients import Oracle, Settlement
from backend.chain.errors import RpcError
from backend.chain.plan import Call
from backend.day.run_state import DriverError
from backend.day.stages import settle_plan
from backend.day.stages.chunks import Chunk, make_chunks
from backend.market.codec import book_from_json, solution_from_json
from backend.market.domain import Book, Solution
from backend.market.runs import runs_of_fills
from backend.service import outbox
from backend.service.context import Context
from backend.service.sealing import signed_messages
from backend.store.chain import Batch, Device, PlantMetered, PlantPaid, ReportRow, SlotResult
from backend.store.operations import OutboxRow
from oracle.archive import Archive, ArchiveError
from oracle.wire.bundle import decode_bundle

log = logging.getLogger(__name__)
PLANT_METER = 2
MOST_ATTEMPTS = 5
RETRY_SECONDS = 20
_KEPT = 4


@dataclass(frozen=True)
class _Plan:
    """A batch as it was posted."""

    book: Book
    solution: Solution
    chunks: list[Chunk]


class Settler:
    """Settles every finalised batch whose book is in the archive."""

    def __init__(
        self,
        context: Context,
        sender: str,
        archive: Archive,
        guard: Callable[[Session], None] = lambda session: None,
    ) -> None:
        self._context = context
        self._sender = sender
        self._archive = archive
        self._guard = guard
        self._plans: dict[tuple[int, str], _Plan] = {}
        link = context.chain
        oracle, settlement = Oracle(link.book, link.rpc()), Settlement(link.book, link.rpc())
        self._window: int = oracle.read("disputeWindow")
        self._grace: int = settlement.read("missingGrace")
        self._refund_delay: int = settlement.read("refundDelay")

    def step(self) -> bool:
        """Asks for what is due; whether there was anything."""
        now = self._context.market_now()
        with self._context.store.reading() as session:
            batches = session.exec(
                select(Batch)
                .where(
                    col(Batch.finalised_block).is_not(None),
                    Batch.start + Batch.slot_seconds <= now,
                )
                .order_by(col(Batch.batch_id).desc())
                .limit(32)
            ).all()
        asked = [self._settle(batch, now) for batch in batches]
        return any(asked)

    def _settle(self, batch: Batch, now: int) -> bool:
        with self._context.store.reading() as session:
            done = {
                (row.chunk_index, row.slot)
                for row in session.exec(select(SlotResult).where(SlotResult.batch_id == batch.batch_id))
            }
            paid = {
                (row.slot, row.offer_index)
                for row in session.exec(select(PlantPaid).where(PlantPaid.batch_id == batch.batch_id))
            }
            metered = {
                (row.slot, row.offer_index)
                for row in session.exec(select(PlantMetered).where(PlantMetered.batch_id == batch.batch_id))
            }
        plan = self._plan(batch)
        if plan is None:
            return False
        asked = False
        for slot in self._open_slots(batch, plan, done, paid, now):
            calls = list(self._calls(batch, plan, slot, done, paid, metered, now))
            if calls:
                asked |= self._ask(calls)
        return asked

    def _open_slots(
        self, batch: Batch, plan: _Plan, done: set[tuple[int, int]], paid: set[tuple[int, int]], now: int
    ) -> Iterator[int]:
        """Slots that are over and of which something is not settled or not paid."""
        pools = {slot for slot, _ in settle_plan.green_pools(plan.book, plan.solution)}
        settled_plants = {slot for slot, _ in paid}
        for slot in range(batch.slots):
            if batch.start + (slot + 1) * batch.slot_seconds > now:
                return
            waiting = any(
                slot in chunk.active_slots and (chunk.index, slot) not in done for chunk in plan.chunks
            )
            if waiting or (slot in pools and slot not in settled_plants):
                yield slot

    def _calls(
        self, batch: Batch, plan: _Plan, slot: int, done: set[tuple[int, int]], paid: set[tuple[int, int]],
        metered: set[tuple[int, int]], now: int,
    ) -> Iterator[tuple[str, Call]]:  # fmt: skip
        """(key, call) of everything that is due in a slot, in order."""
        link = self._context.chain
        client = Settlement(link.book)
        start = batch.start + slot * batch.slot_seconds
        end = start + batch.slot_seconds
        prefix = f"settle-{batch.batch_id}-{slot}"
        with self._context.store.reading() as session:
            report = session.exec(select(ReportRow).where(ReportRow.start == start)).first()
            meters = {
                row.asset_id: row.meter_id
                for row in session.exec(select(Device).where(Device.asset_kind == PLANT_METER))
            }
        chunks = [
            chunk for chunk in plan.chunks if slot in chunk.active_slots and (chunk.index, slot) not in done
        ]
        if report is None:
            if now > end + self._refund_delay:
                for chunk in chunks:
                    call = client.refund_chunk(batch.batch_id, chunk.index, chunk.data, [slot])
                    yield f"{prefix}-refund-{chunk.index}", call
            return
        if now <= report.posted_at + self._window + self._grace:
            return
        try:
            bundle = decode_bundle(self._archive.get("readings", bytes.fromhex(report.archive_hash[2:])))
        except ArchiveError as error:
            log.warning("slot %d of batch %d cannot be settled: %s", slot, batch.batch_id, error)
            return
        evidence = {slot: settle_plan.SlotEvidence.of(bundle, batch.batch_id)}
        pools = [pool for pool in settle_plan.green_pools(plan.book, plan.solution) if pool[0] == slot]
        rows = {
            zone: [
                row
                for row, offer in enumerate(plan.book.power_offers)
                if offer.mode == 1 and offer.zone_id == zone
            ]
            for _, zone in pools
        }
        open_pools = [(at, zone) for at, zone in pools if not any((at, row) in metered for row in rows[zone])]
        known = {plant: meters.get(plant, 0) for plant in (o.plant_id for o in plan.book.power_offers)}
        for pool, call in zip(
            open_pools,
            settle_plan.meter_calls(client, batch.batch_id, plan.book, open_pools, known, evidence),
            strict=True,
        ):
            yield f"{prefix}-meter-{pool[1]}", call
        for chunk in chunks:
            if chunk.index not in evidence[slot].packed:
                continue
            packed, leaf = evidence[slot].packed[chunk.index]
            proof = evidence[slot].outcomes.proof(leaf)
            call = client.settle_chunk(batch.batch_id, chunk.index, chunk.data, [slot], [packed], [proof])
            yield f"{prefix}-chunk-{chunk.index}", call
        # the contract alone knows until when a reading may still replace a missing plant
        unpaid = [
            pool
            for pool in sorted(pools)
            if not any((slot, row) in paid for row in rows[pool[1]])
            and (
                not settle_plan.has_missing(plan.book, [pool], known, evidence)
                or (pool not in open_pools and self._payable(client, batch.batch_id, pool))
            )
        ]
        for pool, call in zip(unpaid, settle_plan.pay_calls(client, batch.batch_id, unpaid), strict=True):
            yield f"{prefix}-pay-{pool[1]}", call
        if slot == max(chunk.active_slots[-1] for chunk in plan.chunks):
            claims = settle_plan.claim_calls(client, batch.start, plan.book, plan.chunks)
            for number, call in enumerate(claims):
                yield f"settle-{batch.batch_id}-claim-{number}", call

    def _payable(self, client: Settlement, batch_id: int, pool: tuple[int, int]) -> bool:
        """Whether the contract would pay a pool now."""
        (call,) = settle_plan.pay_calls(client, batch_id, [pool])
        try:
            self._context.chain.rpc().eth_call(str(call.to), call.data, self._sender)
        except RpcError:
            return False
        return True

    def _ask(self, calls: list[tuple[str, Call]]) -> bool:
        """Puts calls into the outbox that are not there; failed ones again, after a pause, a few times."""
        asked = False
        now = int(time.time())
        with self._context.store.writing() as session:
            self._guard(session)
            for key, call in calls:
                rows = session.exec(
                    select(OutboxRow).where(col(OutboxRow.key).startswith(f"{key}#")).order_by(OutboxRow.id)
                ).all()
                if rows and (rows[-1].state != outbox.FAILED or now - rows[-1].updated_at < RETRY_SECONDS):
                    continue
                if len(rows) < MOST_ATTEMPTS:
                    asked |= outbox.enqueue(session, self._sender, call, f"{key}#{len(rows)}")
        return asked

    def _plan(self, batch: Batch) -> _Plan | None:
        """The batch as posted, from the archive; None when the archive does not have it."""
        key = (batch.batch_id, batch.solution_hash)
        if key not in self._plans:
            try:
                book = book_from_json(self._archive.get("book", bytes.fromhex(batch.book_hash[2:])))
                solution = solution_from_json(
                    self._archive.get("solution", bytes.fromhex(batch.solution_hash[2:]))
                )
                with self._context.store.reading() as session:
                    signed = signed_messages(session, book, self._context.chain.domain)
                chunks = make_chunks(book, runs_of_fills(solution.fills), signed.orders)
            except (ArchiveError, DriverError, KeyError) as error:
                log.debug("batch %d is another solver's: %s", batch.batch_id, error)
                return None
            while len(self._plans) >= _KEPT:
                self._plans.pop(next(iter(self._plans)))
            self._plans[key] = _Plan(book, solution, chunks)
        return self._plans[key]
