"""How far an order has come, stage by stage, out of the chain's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from backend.service.prices import get_batch
from backend.store.chain import Agreement, Batch, ChainEvent, Dispute, PlantPaid, ReportRow, SlotResult


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage that `done` of `total` slots have reached; when the last did, and by which transaction."""

    stage: str
    at: int | None
    tx_hash: str | None
    done: int = 1
    total: int = 1


def story(session: Session, order_hash: str, now: int) -> list[Stage]:
    """The stages of a cleared order, in order of time; those that nothing has reached are left out."""
    runs = session.exec(select(Agreement).where(Agreement.order_hash == order_hash)).all()
    stages: list[Stage] = []
    for batch_id in sorted({run.batch_id for run in runs}):
        batch = get_batch(session, batch_id)
        if batch.voided_block is None:
            stages += _of_batch(session, batch, [run for run in runs if run.batch_id == batch_id], now)
    return stages


def _of_batch(session: Session, batch: Batch, runs: Sequence[Agreement], now: int) -> list[Stage]:
    slots = {slot for run in runs for slot in range(run.start_slot, run.end_slot)}
    starts = {batch.start + slot * batch.slot_seconds: slot for slot in slots}
    total = len(slots)
    found = [Stage("cleared", batch.finalised_at, _event(session, batch.batch_id, "BatchFinalised"))]
    if starts and min(starts) <= now:
        begun = sum(start <= now for start in starts)
        found.append(Stage("delivering", min(starts), None, begun, total))
    reports = session.exec(
        select(ReportRow).where(col(ReportRow.start).in_(starts)).order_by(col(ReportRow.start))
    ).all()
    if reports:
        found.append(Stage("reported", reports[-1].posted_at, reports[-1].tx_hash, len(reports), total))
    disputes = session.exec(select(Dispute).where(col(Dispute.start).in_(starts))).all()
    if disputes:
        found.append(Stage("disputed", None, None, len({row.start for row in disputes}), total))
    chunks = {run.chunk_index for run in runs}
    results = session.exec(
        select(SlotResult).where(
            SlotResult.batch_id == batch.batch_id,
            col(SlotResult.chunk_index).in_(chunks),
            col(SlotResult.slot).in_(slots),
        )
    ).all()
    for stage, rows in (
        ("settled", [row for row in results if row.outcomes is not None]),
        ("refunded", [row for row in results if row.outcomes is None]),
    ):
        if rows:
            tx = _event(session, batch.batch_id, "SlotSettled") if stage == "settled" else None
            found.append(Stage(stage, max(row.timestamp for row in rows), tx, len(rows), total * len(chunks)))
    green = {slot for run in runs if run.mode == 1 for slot in range(run.start_slot, run.end_slot)}
    paid = set(
        session.exec(
            select(PlantPaid.slot).where(PlantPaid.batch_id == batch.batch_id, col(PlantPaid.slot).in_(green))
        )
    )
    if paid:
        tx = _event(session, batch.batch_id, "PoolPaid")
        found.append(Stage("retired", None, tx, len(paid), len(green)))
    return found


def _event(session: Session, batch_id: int, name: str) -> str | None:
    query = select(ChainEvent.tx_hash).where(ChainEvent.batch_id == batch_id, ChainEvent.name == name)
    return session.exec(query.order_by(col(ChainEvent.block_number).desc())).first()
