"""Committee reports, contract events and the archive: open to everyone."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, select

from backend.api.deps import Ctx, PageDep, get_principal
from backend.api.problems import responses
from backend.api.schemas.base import Page
from backend.api.schemas.records import EventOut, ReportOut
from backend.service.errors import NotFound
from backend.service.fills import archived
from backend.service.pages import cursor_of, split_page
from backend.store.chain import ChainEvent, Dispute, ReportRow

router = APIRouter(tags=["evidence"], dependencies=[Depends(get_principal)])
_TYPES = {"book": "application/json", "solution": "application/json", "evidence": "application/octet-stream"}


def _view(session: Session, row: ReportRow) -> ReportOut:
    disputes = session.exec(
        select(Dispute)
        .where(Dispute.feed_id == row.feed_id, Dispute.start == row.start)
        .order_by(col(Dispute.block_number), col(Dispute.log_index))
    ).all()
    rulings = [dispute.upheld for dispute in disputes if dispute.upheld is not None]
    return ReportOut.model_validate(
        {
            **row.__dict__,
            "signer_bitmap": str(row.signer_bitmap),
            "disputed": bool(disputes),
            "upheld": rulings[-1] if rulings else None,
        }
    )


@router.get("/reports")
def list_reports(
    context: Ctx,
    page: PageDep,
    start: Annotated[int | None, Query(ge=0, lt=1 << 40, description="from this interval start on")] = None,
) -> Page[ReportOut]:
    """Reports by interval, oldest first."""
    after = cursor_of(page.after, int)
    query = select(ReportRow)
    if start is not None:
        query = query.where(ReportRow.start >= start)
    if after:
        query = query.where(col(ReportRow.start) > int(after[0]))
    with context.store.reading() as session:
        rows = session.exec(query.order_by(col(ReportRow.start)).limit(page.limit + 1)).all()
        items, following = split_page(rows, page.limit, lambda row: (row.start,))
        return Page[ReportOut](items=[_view(session, row) for row in items], next_cursor=following)


@router.get("/reports/{start}", responses=responses(404))
def read_report(context: Ctx, start: Annotated[int, Path(ge=0, lt=1 << 40)]) -> ReportOut:
    """The report of the interval that starts then."""
    with context.store.reading() as session:
        row = session.exec(select(ReportRow).where(ReportRow.start == start)).first()
        if row is None:
            raise NotFound("no report of that interval", field="start", mend="list the reports")
        return _view(session, row)


@router.get("/events")
def list_events(
    context: Ctx,
    page: PageDep,
    batch_id: Annotated[int | None, Query(ge=1, lt=1 << 62)] = None,
    name: Annotated[str | None, Query(pattern="^[A-Za-z]{1,40}$")] = None,
) -> Page[EventOut]:
    """Contract events in order."""
    after = cursor_of(page.after, int, int)
    query = select(ChainEvent)
    if batch_id is not None:
        query = query.where(ChainEvent.batch_id == batch_id)
    if name is not None:
        query = query.where(ChainEvent.name == name)
    if after:
        block, log = int(after[0]), int(after[1])
        query = query.where(
            (col(ChainEvent.block_number) > block)
            | (col(ChainEvent.block_number) == block) & (col(ChainEvent.log_index) > log)
        )
    oldest = (col(ChainEvent.block_number), col(ChainEvent.log_index))
    with context.store.reading() as session:
        rows = session.exec(query.order_by(*oldest).limit(page.limit + 1)).all()
    items, following = split_page(rows, page.limit, lambda row: (row.block_number, row.log_index))
    return Page[EventOut](items=[event_view(row) for row in items], next_cursor=following)


def event_view(row: ChainEvent) -> EventOut:
    """An event as the API and the stream show it."""
    return EventOut.model_validate(
        {**row.__dict__, "id": f"{row.block_number}-{row.log_index}", "at": row.timestamp}
    )


@router.get("/archive/{kind}/{digest}", response_class=Response, responses=responses(404))
def read_archive(
    context: Ctx,
    kind: Literal["readings", "evidence", "collateral", "book", "solution", "publication"],
    digest: Annotated[str, Path(pattern="^(0x)?[0-9a-f]{64}$", description="SHA-256 of the file")],
) -> Response:
    """A file of the archive by its SHA-256; check the hash yourself."""
    data = archived(context.settings.archive, kind, digest)
    if data is None:
        raise NotFound(
            "the archive has no such file", field="digest", mend="take the hash from a report or batch"
        )
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Content-Disposition": "attachment"}
    return Response(data, media_type=_TYPES.get(kind, "application/cbor"), headers=headers)
