"""What was bought and what became of it, slot by slot, out of the chain's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlmodel import Session, col, select

from backend.chain.packing import OUTCOME_DTYPE, agreement_id
from backend.service.errors import Invalid, NotFound
from backend.service.f15 import RunSlot, pay
from backend.service.prices import ClearedDay, PriceBook, get_batch
from backend.store.chain import Agreement, ReportRow, SlotResult

AgreementKey = tuple[int, int, int]


def agreement_key(text: str) -> AgreementKey:
    """(batch, chunk, run) of `batch-chunk-run`; Invalid otherwise."""
    parts = text.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 10 for part in parts):
        raise Invalid("not an agreement", field="agreement", mend="give batch-chunk-run, such as 1-0-12")
    batch, chunk, run = (int(part) for part in parts)
    return batch, chunk, run


def agreement_name(row: Agreement) -> str:
    """`batch-chunk-run`."""
    return f"{row.batch_id}-{row.chunk_index}-{row.run_index}"


def agreement_number(row: Agreement) -> int:
    """The agreement's id on chain and in readings."""
    return agreement_id(row.batch_id, row.chunk_index, row.run_index)


def get_agreement(session: Session, key: AgreementKey) -> Agreement:
    """An agreement; NotFound when there is none."""
    row = session.get(Agreement, key)
    if row is None:
        raise NotFound("no such agreement", field="agreement", mend="list the agreements")
    return row


@dataclass(frozen=True, slots=True)
class SlotDelivery:
    """One slot of one agreement. `state`: planned, running, reported, settled or refunded; money in
    micro-units.
    """

    slot: int
    start: int
    state: str
    lanes: int
    compute_price: int
    energy_price: int
    energy_wh: int
    bundle_micro: int
    delivered_milli_lanes: int | None = None
    matched_wh: int | None = None
    compute_micro: int | None = None
    power_micro: int | None = None
    refund_micro: int | None = None


def slots_of(
    session: Session, prices: PriceBook, rows: Sequence[Agreement], now: int
) -> dict[AgreementKey, list[SlotDelivery]]:
    """Every slot of each agreement."""
    result: dict[AgreementKey, list[SlotDelivery]] = {}
    for batch_id in sorted({row.batch_id for row in rows}):
        mine = [row for row in rows if row.batch_id == batch_id]
        batch = get_batch(session, batch_id)
        day = prices.of_batch(session, batch)
        reported = _reported(session, day)
        chunks = {row.chunk_index for row in mine}
        for chunk in sorted(chunks):
            ours = [row for row in mine if row.chunk_index == chunk]
            result |= _slots_of_chunk(session, day, chunk, ours, reported, now)
    return result


def _reported(session: Session, day: ClearedDay) -> set[int]:
    end = day.start + day.slots * day.slot_seconds
    return set(
        session.exec(select(ReportRow.start).where(ReportRow.start >= day.start, ReportRow.start < end))
    )


def _slots_of_chunk(
    session: Session, day: ClearedDay, chunk: int, ours: list[Agreement], reported: set[int], now: int
) -> dict[AgreementKey, list[SlotDelivery]]:
    runs = session.exec(
        select(Agreement.run_index, Agreement.start_slot, Agreement.end_slot)
        .where(Agreement.batch_id == day.batch_id, Agreement.chunk_index == chunk)
        .order_by(col(Agreement.run_index))
    ).all()
    starts = np.array([run[1] for run in runs])
    ends = np.array([run[2] for run in runs])
    first = min(row.start_slot for row in ours)
    last = max(row.end_slot for row in ours)
    results = {
        row.slot: row
        for row in session.exec(
            select(SlotResult).where(
                SlotResult.batch_id == day.batch_id,
                SlotResult.chunk_index == chunk,
                SlotResult.slot >= first,
                SlotResult.slot < last,
            )
        )
    }
    outcomes = {
        slot: np.frombuffer(row.outcomes, dtype=OUTCOME_DTYPE)
        for slot, row in results.items()
        if row.outcomes is not None
    }
    table: dict[AgreementKey, list[SlotDelivery]] = {}
    for row in ours:
        slots = []
        for slot in range(row.start_slot, row.end_slot):
            place = int(((starts[: row.run_index] <= slot) & (slot < ends[: row.run_index])).sum())
            outcome = outcomes[slot][place] if slot in outcomes else None
            start = day.start + slot * day.slot_seconds
            if slot in results:
                state = "settled" if outcome is not None else "refunded"
            elif start in reported:
                state = "reported"
            else:
                state = "running" if start <= now else "planned"
            slots.append(_slot(day, row, slot, start, state, outcome))
        table[(row.batch_id, row.chunk_index, row.run_index)] = slots
    return table


def _slot(
    day: ClearedDay, row: Agreement, slot: int, start: int, state: str, outcome: np.void | None
) -> SlotDelivery:
    run = RunSlot(
        row.lanes,
        row.energy_wh_per_vcu_slot,
        int(day.table.compute_price[row.class_id, row.zone_id, row.mode, slot]),
        int(day.table.energy_price[row.zone_id, row.mode, slot]),
        row.mode == 1,
    )
    plan = SlotDelivery(
        slot, start, state, row.lanes, run.compute_price, run.energy_price, run.energy_wh, run.bundle_micro
    )
    if outcome is None and state != "refunded":
        return plan
    delivered = int(outcome["delivered_milli_lanes"]) if outcome is not None else 0
    matched = int(outcome["matched_wh"]) if outcome is not None else 0
    paid = pay(run, delivered, matched)
    refund = run.bundle_micro if outcome is None else paid.refund_micro
    return SlotDelivery(
        slot, start, state, row.lanes, run.compute_price, run.energy_price, run.energy_wh, run.bundle_micro,
        delivered, matched, paid.compute_micro if outcome is not None else 0,
        paid.power_micro if outcome is not None else 0, refund,
    )  # fmt: skip
