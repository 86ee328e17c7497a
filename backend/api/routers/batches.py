"""Cleared batches, open to everyone: summary, prices, merit order, agreements."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from sqlalchemy import func
from sqlmodel import Session, col, select

from backend.api.deps import Ctx, PageDep, get_principal
from backend.api.problems import responses
from backend.api.routers.market import batch_state
from backend.api.schemas.base import Page
from backend.api.schemas.market import BatchOut, BatchSummary, CurvesOut, PricesOut
from backend.service import curves
from backend.service.pages import cursor_of, split_page
from backend.service.prices import NOT_SOLD, get_batch
from backend.store.chain import (
    Agreement,
    Batch,
    BatchComputeOffer,
    BatchPowerOffer,
    Chunk,
    ClearedOrder,
    SlotResult,
)

router = APIRouter(prefix="/batches", tags=["batches"], dependencies=[Depends(get_principal)])
BatchId = Annotated[int, Path(ge=1, lt=1 << 62, examples=[1])]


def _fields(batch: Batch) -> dict[str, object]:
    bound = batch.dual_bound_micro
    gap = -(-(bound - batch.welfare_micro) * 10_000 // bound) if bound > 0 else None
    return {
        **{name: getattr(batch, name) for name in BatchOut.model_fields if hasattr(batch, name)},
        "state": batch_state(batch),
        "welfare_micro": str(batch.welfare_micro),
        "dual_bound_micro": str(bound),
        "gap_bps": gap,
    }


@router.get("")
def list_batches(context: Ctx, page: PageDep) -> Page[BatchOut]:
    """Batches, newest first."""
    after = cursor_of(page.after, int)
    query = select(Batch)
    if after:
        query = query.where(col(Batch.batch_id) < int(after[0]))
    with context.store.reading() as session:
        rows = session.exec(query.order_by(col(Batch.batch_id).desc()).limit(page.limit + 1)).all()
    items, following = split_page(rows, page.limit, lambda row: (row.batch_id,))
    return Page[BatchOut](
        items=[BatchOut.model_validate(_fields(row)) for row in items], next_cursor=following
    )


def _count(session: Session, table: type, batch_id: int) -> int:
    return session.exec(select(func.count()).select_from(table).where(table.batch_id == batch_id)).one()  # type: ignore[attr-defined]


@router.get("/{batch_id}", responses=responses(404))
def read_batch(context: Ctx, batch_id: BatchId) -> BatchSummary:
    """A batch: what it moved, its certificate (welfare, bound, gap) and how far it is settled."""
    with context.store.reading() as session:
        batch = get_batch(session, batch_id)
        day = context.prices.of_batch(session, batch) if batch.finalised_block is not None else None
        orders, cost = session.exec(
            select(func.count(), func.coalesce(func.sum(ClearedOrder.cost_micro), 0)).where(
                ClearedOrder.batch_id == batch_id
            )
        ).one()
        vcu_slots = session.exec(
            select(
                func.coalesce(
                    func.sum(Agreement.lanes * (col(Agreement.end_slot) - col(Agreement.start_slot))), 0
                )
            ).where(Agreement.batch_id == batch_id)
        ).one()
        done = session.exec(
            select(func.count(), func.count(col(SlotResult.outcomes))).where(SlotResult.batch_id == batch_id)
        ).one()
        runs = session.exec(
            select(Agreement.chunk_index, Agreement.start_slot, Agreement.end_slot).where(
                Agreement.batch_id == batch_id
            )
        ).all()
        energy = int(day.sold_wh.sum()) if day else 0
        green = int(day.sold_wh[1].sum()) if day else 0
        return BatchSummary(
            **_fields(batch),  # type: ignore[arg-type]
            orders=orders,
            agreements=len(runs),
            chunks=_count(session, Chunk, batch_id),
            compute_offers=_count(session, BatchComputeOffer, batch_id),
            power_offers=_count(session, BatchPowerOffer, batch_id),
            cost_micro=int(cost),
            energy_wh=energy,
            green_wh=green,
            green_share_bps=green * 10_000 // energy if energy else 0,
            vcu_slots=int(vcu_slots),
            slots_settled=done[1],
            slots_refunded=done[0] - done[1],
            slots_total=len({(chunk, slot) for chunk, first, last in runs for slot in range(first, last)}),
        )


@router.get("/{batch_id}/prices", responses=responses(404))
def read_prices(context: Ctx, batch_id: BatchId) -> PricesOut:
    """The whole price table, with what was sold and offered."""
    with context.store.reading() as session:
        day = context.prices.of_batch(session, get_batch(session, batch_id))
    return PricesOut(
        batch_id=batch_id,
        start=day.start,
        slot_seconds=day.slot_seconds,
        compute_price=[
            [[[None if v >= NOT_SOLD else v for v in mode] for mode in zone] for zone in kind]
            for kind in day.table.compute_price.tolist()
        ],
        energy_price=day.table.energy_price.tolist(),
        grid_carbon=day.table.grid_carbon.tolist(),
        green_factor=day.table.green_factor.tolist(),
        sold_wh=day.sold_wh.tolist(),
        offered_wh=day.offered_wh.tolist(),
    )


@router.get("/{batch_id}/curves", responses=responses(404))
def read_curves(
    context: Ctx,
    batch_id: BatchId,
    zone_id: Annotated[int, Query(ge=0, le=63)],
    slot: Annotated[int, Query(ge=0, le=1023)],
    class_id: Annotated[int, Query(ge=0, le=255)] = 0,
) -> CurvesOut:
    """The merit order of one slot: energy by ask, compute by all-in cost, demand by limit."""
    with context.store.reading() as session:
        day = context.prices.of_batch(session, get_batch(session, batch_id))
        found = curves.curves(session, day, class_id, zone_id, slot)
    return CurvesOut.model_validate(
        {"batch_id": batch_id, "class_id": class_id, "zone_id": zone_id, "slot": slot}
        | {name: getattr(found, name) for name in found.__slots__}
    )
