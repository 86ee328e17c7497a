"""What stands under a report: signed readings and outcomes with their paths to the root."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from sqlmodel import select

from backend.api.deps import Ctx, PageDep, get_principal
from backend.api.problems import responses
from backend.api.schemas.base import Page
from backend.api.schemas.records import OutcomeProof, ReadingProof
from backend.chain.keccak import hex0x
from backend.chain.packing import agreement_id
from backend.service.context import Context
from backend.service.deliveries import agreement_key
from backend.service.errors import NotFound
from backend.service.evidence import Opened, open_bundle
from backend.service.pages import cursor_of, split_page
from backend.store.chain import ReportRow

router = APIRouter(
    prefix="/reports/{start}",
    tags=["evidence"],
    dependencies=[Depends(get_principal)],
    responses=responses(404),
)
Start = Annotated[
    int, Path(ge=0, lt=1 << 40, description="start of the report's interval", examples=[1508198400])
]


def _opened(context: Context, start: int) -> Opened:
    with context.store.reading() as session:
        report = session.exec(select(ReportRow).where(ReportRow.start == start)).first()
    if report is None:
        raise NotFound("no report of that interval", field="start", mend="list the reports")
    return open_bundle(context.settings.archive, report)


def _reading(opened: Opened, index: int) -> ReadingProof:
    entry, leaf = opened.bundle.entries[index], opened.leaves[index]
    device, reading, digest = opened.bundle.devices[entry.device], leaf.reading, leaf.hash()
    return ReadingProof(
        index=index,
        kind=reading.kind,
        meter_id=reading.meter_id,
        agreement_id=str(int.from_bytes(reading.agreement_id)),
        seq=reading.seq,
        start=reading.start,
        end=reading.end,
        quantity=str(reading.quantity),
        register_value=str(reading.register),
        quality=leaf.quality,
        key_id=hex0x(leaf.key_id),
        evidence_hash=hex0x(leaf.evidence_hash),
        payload_hash=hex0x(leaf.payload_hash),
        payload=hex0x(entry.envelope.payload),
        signature=hex0x(entry.envelope.signature),
        x=hex0x(device.x),
        y=hex0x(device.y),
        leaf=hex0x(digest),
        proof=[hex0x(step) for step in opened.readings.proof(digest)],
    )


@router.get("/readings")
def list_readings(
    context: Ctx,
    start: Start,
    page: PageDep,
    meter_id: Annotated[int | None, Query(ge=1, le=0xFFFFFFFF)] = None,
    agreement: Annotated[str | None, Query(pattern=r"^[0-9]{1,10}-[0-9]{1,10}-[0-9]{1,10}$")] = None,
) -> Page[ReadingProof]:
    """Signed readings of a report with device key, leaf and Merkle path; check them against the root on
    chain.
    """
    opened = _opened(context, start)
    number = agreement_id(*agreement_key(agreement)).to_bytes(32) if agreement else None
    after = cursor_of(page.after, int)
    first = int(after[0]) + 1 if after else 0
    found = [
        index
        for index in range(max(first, 0), len(opened.leaves))
        if meter_id in (None, opened.leaves[index].reading.meter_id)
        and number in (None, opened.leaves[index].reading.agreement_id)
    ][: page.limit + 1]
    items, following = split_page(found, page.limit, lambda index: (index,))
    return Page[ReadingProof](items=[_reading(opened, index) for index in items], next_cursor=following)


@router.get("/outcomes")
def list_outcomes(
    context: Ctx, start: Start, batch_id: Annotated[int | None, Query(ge=1, lt=1 << 62)] = None
) -> list[OutcomeProof]:
    """Outcomes of a report by chunk, as packed for the contract, with leaf and Merkle path."""
    opened = _opened(context, start)
    return [
        OutcomeProof(
            batch_id=outcome.batch_id,
            chunk_index=outcome.chunk_index,
            slot=outcome.slot,
            packed=hex0x(outcome.packed),
            leaf=hex0x(outcome.leaf()),
            proof=[hex0x(step) for step in opened.outcomes.proof(outcome.leaf())],
        )
        for outcome in opened.bundle.outcomes
        if batch_id in (None, outcome.batch_id)
    ]
