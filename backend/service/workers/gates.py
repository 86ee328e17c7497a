"""Closes gates, seals books, has them cleared and posts the batches; every step may be repeated.

closed -> sealed (the book is archived) -> cleared (the solution is archived) -> opening (publication and
openBatch are in the outbox) -> posting (the batch has its number, the rest is in the outbox) -> finalised; or
empty, or failed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from sqlmodel import Session, col, select

from backend.chain.clients import Market
from backend.market.errors import MarketError
from backend.service import outbox
from backend.service.calendar import MarketDays, market_days
from backend.service.context import Context
from backend.service.engine_process import engine_pool
from backend.service.intake import insert_or_ignore
from backend.service.publishing import Publisher, publish_call
from backend.service.sealing import Window, grid_carbon, seal, signed_messages
from backend.service.vpp import ledger
from backend.store.chain import Batch, Zone
from backend.store.operations import Gate, OutboxRow
from backend.store.types import new_id
from oracle.archive import Archive
from oracle.wire.publication import CarbonDocument

log = logging.getLogger(__name__)
OPEN_STATES = ("closed", "sealed", "cleared", "opening", "posting")
MARGIN_SECONDS = 30
"""A batch whose first slot starts sooner than this is not opened any more."""


def clear_archived(book_json: bytes, seconds: float) -> bytes:
    """The clearing of an archived book, as its canonical file; for a process of its own.

    Raises BookError for a book with participants that the contracts do not know.
    """
    from backend.day.stages.clearing import clear_for_chain
    from backend.market.codec import book_from_json, solution_to_json

    made = solution_to_json(clear_for_chain(book_from_json(book_json), seconds))
    return made if isinstance(made, bytes) else made.encode()


class GateKeeper:
    """The market's clockwork, for one solver's key."""

    def __init__(
        self,
        context: Context,
        sender: str,
        archive: Archive,
        publisher: Publisher,
        guard: Callable[[Session], None] = lambda session: None,
    ) -> None:
        self._context = context
        self._sender = sender
        self._archive = archive
        self._publisher = publisher
        self._guard = guard
        self._pool: ProcessPoolExecutor | None = None
        self._clearing: tuple[str, Future[bytes]] | None = None

    def close(self) -> None:
        """Ends the engine's process; what it had not finished is cleared again by the next holder."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in list((self._pool._processes or {}).values()):
                process.terminate()
        self._pool, self._clearing = None, None

    def step(self) -> bool:
        """Closes what is due and moves every open gate on by one step; whether one moved."""
        now = self._context.market_now()
        self._close_due(now)
        with self._context.store.reading() as session:
            gates = session.exec(
                select(Gate).where(col(Gate.state).in_(OPEN_STATES)).order_by(col(Gate.start))
            ).all()
        moved = [self._advance(gate, now) for gate in gates]
        return any(moved)

    # --- closing ----------------------------------------------------------------
    def _close_due(self, now: int) -> None:
        settings = self._context.settings
        with self._context.store.reading() as session:
            days = market_days(session, settings)
        due = [("day-ahead", start, settings.slots) for start in day_ahead(days, now)]
        if settings.intraday_slots:
            every = settings.intraday_every_slots * settings.slot_seconds
            due += [("intraday", start, settings.intraday_slots) for start in intraday(days, every, now)]
        rows = [
            {
                "id": new_id(), "kind": kind, "start": start, "slots": slots,
                "slot_seconds": settings.slot_seconds, "closed_at": now, "state": "closed", "orders": 0,
                "left_out": 0, "error": "", "updated_at": int(time.time()),
            }
            for kind, start, slots in due
        ]  # fmt: skip
        if rows:
            with self._context.store.writing() as session:
                self._guard(session)
                known = set(session.exec(select(Gate.kind, Gate.start).where(Gate.start > now)))
                new = [row for row in rows if (row["kind"], row["start"]) not in known]
                if new:
                    table = Gate.__table__  # type: ignore[attr-defined]
                    session.execute(insert_or_ignore(self._context.store, table), new)

    # --- steps ------------------------------------------------------------------
    def _advance(self, gate: Gate, now: int) -> bool:
        steps = {
            "closed": self._seal,
            "sealed": self._clear,
            "cleared": self._open,
            "opening": self._post,
            "posting": self._finish,
        }
        if gate.state in ("closed", "sealed", "cleared") and gate.start <= now + MARGIN_SECONDS:
            return self._end(gate, "failed", "its first slot was too near when it was to be opened")
        return steps[gate.state](gate, now)

    def _write(self, gate: Gate, **changes: object) -> bool:
        """Moves a gate on, unless somebody else did; whether it did."""
        with self._context.store.writing() as session:
            return self._write_in(session, gate, **changes)

    def _write_in(self, session: Session, gate: Gate, **changes: object) -> bool:
        self._guard(session)
        row = session.get_one(Gate, gate.id, with_for_update=self._context.store.is_postgresql)
        if row.state != gate.state:
            return False
        for name, value in changes.items():
            setattr(row, name, value)
        row.updated_at = int(time.time())
        session.add(row)
        return True

    def _end(self, gate: Gate, state: str, error: str, **changes: object) -> bool:
        """Ends a gate; of what its sites were held for, the ledger keeps what a finalised batch sold."""
        log.log(
            logging.WARNING if error else logging.INFO,
            "gate %s %s: %s %s",
            gate.kind,
            gate.start,
            state,
            error,
        )
        with self._context.store.writing() as session:
            moved = self._write_in(session, gate, state=state, error=error[:400], **changes)
            if moved:
                ledger.release_holds(session, gate.id)
                if state == "finalised" and gate.batch_id is not None:
                    ledger.reserve_agreements(session, gate.batch_id)
        return moved

    def _seal(self, gate: Gate, now: int) -> bool:
        from backend.market.codec import book_to_json

        window = Window(gate.start, gate.slots, gate.slot_seconds)
        with self._context.store.writing() as session:
            self._guard(session)
            full = ledger.hold_offers(session, gate.id, window.start, window.end, gate.slot_seconds)
        try:
            with self._context.store.reading() as session:
                sealed = seal(session, self._context.settings, window, now, full)
        except MarketError as error:
            return self._end(gate, "failed", f"the book cannot be sealed: {error}")
        book = sealed.book
        if not len(book.orders) or not book.compute_offers or not book.power_offers:
            return self._end(gate, "empty", "")
        made = book_to_json(book)
        digest = self._archive.put("book", made if isinstance(made, bytes) else made.encode())
        return self._write(
            gate,
            state="sealed",
            book_hash="0x" + digest.hex(),
            orders=len(book.orders),
            left_out=sealed.left_out,
        )

    def _clear(self, gate: Gate, now: int) -> bool:
        assert gate.book_hash is not None
        if self._clearing is None or self._clearing[0] != gate.id:
            if self._clearing is not None and not self._clearing[1].done():
                return False
            data = self._archive.get("book", bytes.fromhex(gate.book_hash[2:]))
            if self._pool is None:
                self._pool = engine_pool()
            left = min(
                float(self._context.settings.clearing_seconds), (gate.start - now - MARGIN_SECONDS) / 2
            )
            self._clearing = (gate.id, self._pool.submit(clear_archived, data, max(left, 1.0)))
        running = self._clearing[1]
        if not running.done():
            return False
        self._clearing = None
        try:
            solution = running.result()
        except MarketError as error:
            return self._end(gate, "failed", f"the engine refused the book: {error}")
        except BrokenProcessPool:
            self.close()
            return False
        digest = self._archive.put("solution", solution)
        from backend.market.codec import solution_from_json

        if not len(solution_from_json(solution).fills):
            return self._end(gate, "empty", "", solution_hash="0x" + digest.hex())
        return self._write(gate, state="cleared", solution_hash="0x" + digest.hex())

    def _open(self, gate: Gate, now: int) -> bool:
        """Puts publication and openBatch into the outbox; the publication first, one sender, in order."""
        from backend.day.stages.posting import batch_header

        link = self._context.chain
        cleared = self._cleared(gate)
        window = Window(gate.start, gate.slots, gate.slot_seconds)
        with self._context.store.reading() as session:
            zones = session.exec(select(Zone.zone_id).order_by(col(Zone.zone_id))).all()
        rows = tuple(tuple(row) for row in grid_carbon(self._context.settings, zones, window))
        document = CarbonDocument(gate.start, gate.slot_seconds, rows, ("service",))
        publish = publish_call(link.book, link.rpc(), self._publisher, document)
        header = batch_header(cleared)
        with self._context.store.writing() as session:
            if not self._write_in(session, gate, state="opening"):
                return False
            if publish is not None:
                outbox.enqueue(session, self._sender, publish, f"gate-{gate.id}-publish", f"gate-{gate.id}")
            call = Market(link.book).open_batch(header)
            outbox.enqueue(session, self._sender, call, f"gate-{gate.id}-open", f"gate-{gate.id}")
        return True

    def _post(self, gate: Gate, now: int) -> bool:
        """Once the batch has its number: everything else of it."""
        from backend.day.stages.chunks import make_chunks
        from backend.day.stages.posting import posting_calls
        from backend.market.runs import runs_of_fills

        if self._failed(gate):
            return True
        with self._context.store.reading() as session:
            batch = session.exec(
                select(Batch).where(
                    Batch.start == gate.start,
                    Batch.book_hash == gate.book_hash,
                    Batch.solution_hash == gate.solution_hash,
                    Batch.solver == self._sender,
                )
            ).first()
            if batch is None:
                return False
            cleared = self._cleared(gate)
            signed = signed_messages(session, cleared.book, self._context.chain.domain)
        chunks = make_chunks(cleared.book, runs_of_fills(cleared.joint.fills), signed.orders)
        market = Market(self._context.chain.book)
        calls = list(posting_calls(market, cleared, signed, chunks, batch.batch_id))[1:]
        with self._context.store.writing() as session:
            if not self._write_in(session, gate, state="posting", batch_id=batch.batch_id):
                return False
            for number, call in enumerate(calls):
                key = f"gate-{gate.id}-{number}"
                outbox.enqueue(session, self._sender, call, key, f"gate-{gate.id}")
        return True

    def _finish(self, gate: Gate, now: int) -> bool:
        with self._context.store.reading() as session:
            batch = session.get(Batch, gate.batch_id) if gate.batch_id else None
        if batch is not None and batch.finalised_block is not None:
            return self._end(gate, "finalised", "")
        return self._failed(gate)

    def _failed(self, gate: Gate) -> bool:
        """Ends a gate one of whose transactions failed; voids its batch, so that every lock is released."""
        with self._context.store.reading() as session:
            broken = session.exec(
                select(OutboxRow).where(
                    OutboxRow.group_key == f"gate-{gate.id}", OutboxRow.state == outbox.FAILED
                )
            ).first()
        if broken is None:
            return False
        if gate.batch_id is not None:
            with self._context.store.writing() as session:
                self._guard(session)
                call = Market(self._context.chain.book).call("voidBatch", gate.batch_id)
                outbox.enqueue(session, self._sender, call, f"gate-{gate.id}-void")
        return self._end(gate, "failed", f"{broken.label}: {broken.error}")

    def _cleared(self, gate: Gate):  # type: ignore[no-untyped-def]
        from backend.day.stages.clearing import Cleared
        from backend.market.codec import book_from_json, solution_from_json

        assert gate.book_hash is not None and gate.solution_hash is not None
        hashes = [bytes.fromhex(value[2:]) for value in (gate.book_hash, gate.solution_hash)]
        book = book_from_json(self._archive.get("book", hashes[0]))
        solution = solution_from_json(self._archive.get("solution", hashes[1]))
        return Cleared(book, {"joint": solution}, {}, hashes[0], hashes[1])


def day_ahead(days: MarketDays, now: int) -> list[int]:
    """Starts of the days whose gate has closed and whose first slot lies ahead."""
    first = days.start_of(now) + days.seconds
    found = []
    while days.gate_of(first) <= now:
        if first > now + MARGIN_SECONDS:
            found.append(first)
        first += days.seconds
    return found


def intraday(days: MarketDays, every_seconds: int, now: int) -> list[int]:
    """Starts of the rolling batches whose gate has closed and whose first slot lies ahead."""
    first = now - (now - days.anchor) % every_seconds + every_seconds
    found = []
    while days.gate_of(first) <= now:
        if first > now + MARGIN_SECONDS:
            found.append(first)
        first += every_seconds
    return found
