"""The event stream: contract events as they are taken in, resumed by Last-Event-ID."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Query
from sqlalchemy import func
from sqlmodel import col, select
from sse_starlette import EventSourceResponse, ServerSentEvent

from backend.api.deps import Ctx, get_principal
from backend.api.routers.reports import event_view
from backend.service.context import Context
from backend.service.errors import Invalid
from backend.service.metrics import STREAMS
from backend.store.chain import ChainEvent
from backend.store.operations import IndexedBlock

router = APIRouter(tags=["evidence"], dependencies=[Depends(get_principal)])
PING_SECONDS = 15
_LOOK_SECONDS = 0.1
_POLL_SECONDS = 2.0
_AT_ONCE = 200
_END = 1 << 31
Place = tuple[int, int]


def parse_event_id(text: str | None) -> Place | None:
    """(block, log) of `block-log`; Invalid when it is not one of ours."""
    if not text:
        return None
    parts = text.split("-")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) <= 15 for part in parts):
        raise Invalid("not an event id", field="Last-Event-ID", mend="give the id of the last event received")
    return int(parts[0]), int(parts[1])


def _now(context: Context) -> Place:
    """Behind the last event there is."""
    with context.store.reading() as session:
        block = session.exec(select(func.max(IndexedBlock.number))).one()
    return (block if block is not None else -1, _END)


def _missing(context: Context, place: Place) -> bool:
    """Whether the event that was received last is not there any more."""
    with context.store.reading() as session:
        return session.get(ChainEvent, place) is None


def _after(context: Context, place: Place, batch_id: int | None) -> list[ChainEvent]:
    block, log = place
    query = select(ChainEvent).where(
        (col(ChainEvent.block_number) > block)
        | (col(ChainEvent.block_number) == block) & (col(ChainEvent.log_index) > log)
    )
    if batch_id is not None:
        query = query.where(ChainEvent.batch_id == batch_id)
    with context.store.reading() as session:
        oldest = (col(ChainEvent.block_number), col(ChainEvent.log_index))
        return list(session.exec(query.order_by(*oldest).limit(_AT_ONCE)).all())


def _reorganised(fork: int) -> ServerSentEvent:
    return ServerSentEvent(
        json.dumps({"from_block": fork + 1}), event="reorganised", id=f"{max(fork, 0)}-{_END}"
    )


async def _events(
    context: Context, place: Place | None, batch_id: int | None
) -> AsyncIterator[ServerSentEvent]:
    hub = context.hub
    STREAMS.inc()
    try:
        seen = hub.version
        if place is not None and place[1] != _END and await run_sync(_missing, context, place):
            place = (place[0] - 1, _END)
            yield _reorganised(place[0])
        at: Place = place if place is not None else await run_sync(_now, context)
        while not hub.closing.is_set():
            version = hub.version
            fork = hub.lowest_fork_since(seen)
            seen = version
            if fork is not None and fork < at[0]:
                at = (fork, _END)
                yield _reorganised(fork)
            rows = await run_sync(_after, context, at, batch_id)
            for row in rows:
                at = (row.block_number, row.log_index)
                yield ServerSentEvent(
                    event_view(row).model_dump_json(),
                    event=row.name,
                    id=f"{row.block_number}-{row.log_index}",
                )
            if len(rows) < _AT_ONCE:
                await _pause(context, version)
    finally:
        STREAMS.dec()


async def _pause(context: Context, version: int) -> None:
    """Until something changed here, or long enough that another process may have changed something."""
    for _ in range(int(_POLL_SECONDS / _LOOK_SECONDS)):
        if context.hub.version != version or context.hub.closing.is_set():
            return
        await asyncio.sleep(_LOOK_SECONDS)


@router.get(
    "/stream",
    response_class=EventSourceResponse,
    responses={200: {"description": "server-sent events", "content": {"text/event-stream": {}}}},
)
async def stream(
    context: Ctx,
    batch_id: Annotated[int | None, Query(ge=1, lt=1 << 62)] = None,
    last_event_id: Annotated[str | None, Header(max_length=40, description="go on behind this event")] = None,
) -> EventSourceResponse:
    """Contract events as they come, each under its name with the body of GET /events.

    After a reorganisation comes `reorganised` with `from_block`: what was received from that block on is
    void.
    """
    place = parse_event_id(last_event_id)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(_events(context, place, batch_id), headers=headers, ping=PING_SECONDS)
