"""For whoever plans an order, open to everyone: products, the green calendar, quotes."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query
from sqlmodel import Session, col, select

from backend.api.deps import Ctx, get_principal
from backend.api.routers.market import batch_state
from backend.api.schemas.market import (
    Basis,
    Calendar,
    CalendarDay,
    CalendarZone,
    Product,
    QuoteAsk,
    QuoteLot,
    QuoteOut,
)
from backend.service import fills
from backend.service.calendar import market_days
from backend.service.context import Context
from backend.service.errors import Invalid
from backend.service.prices import NOT_SOLD, ClearedDay
from backend.service.quotes import Ask, Quote, quote
from backend.store.chain import Batch

router = APIRouter(tags=["market"], dependencies=[Depends(get_principal)])


def _horizon(context: Context, session: Session, first: int | None, days: int | None) -> tuple[int, int, int]:
    """(first start, days, seconds of a day), aligned to the last batch's clock."""
    found = market_days(session, context.settings)
    start = found.start_of(context.market_now() if first is None else first)
    return start, days or context.settings.calendar_days, found.seconds


DaysQuery = Annotated[int | None, Query(ge=1, le=31, description="how many days; none = 7")]
StartQuery = Annotated[
    int | None,
    Query(ge=0, lt=1 << 40, description="unix seconds in the first day; none = today", examples=[1508191200]),
]


@router.get("/products")
def list_products(context: Ctx, start: StartQuery = None, days: DaysQuery = None) -> list[Product]:
    """The batches of the coming days and when their gates close."""
    settings = context.settings
    with context.store.reading() as session:
        first, count, length = _horizon(context, session, start, days)
        ending = col(Batch.start) + col(Batch.slots) * col(Batch.slot_seconds)
        batches = session.exec(
            select(Batch)
            .where(Batch.start < first + count * length, ending > first)
            .order_by(col(Batch.batch_id).desc())
        ).all()
    now = context.market_now()
    days_ahead = range(first, first + count * length, length)
    return [
        _product(settings, at, now, next((b for b in batches if _covers(b, at)), None)) for at in days_ahead
    ]


def _covers(batch: Batch, at: int) -> bool:
    return batch.start <= at < batch.start + batch.slots * batch.slot_seconds


def _product(settings: Any, at: int, now: int, batch: Batch | None) -> Product:
    gate = at - settings.gate_lead_seconds
    pending = "open" if now < gate else "closed"
    state = pending if batch is None else batch_state(batch)
    return Product(
        start=at,
        slot_seconds=batch.slot_seconds if batch else settings.slot_seconds,
        slots=settings.slots,
        gate_closes_at=max(gate, 0),
        state=state,  # type: ignore[arg-type]
        batch_id=batch.batch_id if batch else None,
    )


@router.get("/calendar")
def read_calendar(
    context: Ctx,
    class_id: Annotated[int, Query(ge=0, le=255)] = 0,
    start: StartQuery = None,
    days: DaysQuery = None,
) -> Calendar:
    """Green share, carbon and price of every slot and zone, for the coming days.

    A day that has not cleared shows the last cleared day (`basis` forecast).
    """
    with context.store.reading() as session:
        first, count, length = _horizon(context, session, start, days)
        cleared = context.prices.cleared_in(session, first, first + count * length)
        latest = context.prices.latest(session)
    found = []
    for at in range(first, first + count * length, length):
        here = next((day for day in cleared if day.covers(at, at + length)), None)
        day = here or latest
        basis: Basis = "cleared" if here else "forecast" if latest else "none"
        zones = _calendar_zones(day, class_id, at) if day else []
        found.append(CalendarDay(start=at, basis=basis, batch_id=day.batch_id if day else None, zones=zones))
    return Calendar(
        class_id=class_id,
        slot_seconds=latest.slot_seconds if latest else context.settings.slot_seconds,
        slots=latest.day_slots if latest else context.settings.slots,
        days=found,
    )


def _sold_or_null(prices: np.ndarray[Any, Any]) -> list[int | None]:
    return [None if value >= NOT_SOLD else value for value in prices.tolist()]


def _calendar_zones(day: ClearedDay, class_id: int, start: int) -> list[CalendarZone]:
    if class_id >= day.classes:
        raise Invalid(f"there is no class {class_id}", field="class_id", mend=f"give 0 to {day.classes - 1}")
    rows = day.rows(start, day.day_slots)
    share, carbon = day.green_share_bps()[:, rows], day.carbon_g_per_kwh()[:, rows]
    compute, energy = day.table.compute_price[class_id][:, :, rows], day.table.energy_price[:, :, rows]
    sold, offered = day.sold_wh[:, :, rows], day.offered_wh[:, :, rows]
    return [
        CalendarZone(
            zone_id=zone,
            green_share_bps=share[zone].tolist(),
            carbon_g_per_kwh=carbon[zone].tolist(),
            grid_carbon_g_per_kwh=day.table.grid_carbon[zone][rows].tolist(),
            compute_price_grey=_sold_or_null(compute[zone, 0]),
            compute_price_green=_sold_or_null(compute[zone, 1]),
            energy_price_grey=energy[zone, 0].tolist(),
            energy_price_green=energy[zone, 1].tolist(),
            green_offered_wh=offered[1, zone].tolist(),
            green_sold_wh=sold[1, zone].tolist(),
            energy_sold_wh=sold[:, zone].sum(axis=0).tolist(),
        )
        for zone in range(day.zones)
    ]


@router.post("/quotes")
def create_quote(context: Ctx, body: QuoteAsk) -> QuoteOut:
    """Quotes a bundle for any window: cost, green share, carbon and fill probability."""
    with context.store.reading() as session:
        covering = context.prices.cleared_in(session, body.start, body.start + 1)
        exact = next((found for found in covering if found.covers(body.start, body.deadline)), None)
        day = exact or context.prices.latest(session)
        chances = (
            fills.model(session, context, day) if day is not None and body.limit_price is not None else None
        )
    if day is None:
        return QuoteOut(feasible=False, basis="none", batch_id=None)
    ask = _ask(body, day)
    found = quote(day, ask)
    basis: Basis = "cleared" if exact else "forecast"
    if found is None:
        return QuoteOut(feasible=False, basis=basis, batch_id=day.batch_id)
    answer = _quote_out(found, day, ask, basis)
    if chances is not None and body.limit_price is not None:
        answer.fill_probability_bps = chances.probability_bps(body.limit_price, found.price_micro)
    return answer


def _ask(body: QuoteAsk, day: ClearedDay) -> Ask:
    for name, value in (("start", body.start), ("deadline", body.deadline)):
        if (value - day.start) % day.slot_seconds:
            raise Invalid(
                f"{value} is not on a slot boundary",
                field=name,
                mend=f"give a multiple of {day.slot_seconds} s",
            )
    slots = (body.deadline - body.start) // day.slot_seconds
    if not body.duration_slots <= slots <= 31 * day.slots:
        raise Invalid(
            f"the window has {max(slots, 0)} slots",
            field="deadline",
            mend="give room for the duration, at most 31 days",
        )
    if body.class_id >= day.classes:
        raise Invalid(
            f"there is no class {body.class_id}", field="class_id", mend=f"give 0 to {day.classes - 1}"
        )
    zones = range(day.zones) if body.zones is None else sorted(set(body.zones))
    if not zones or not all(0 <= zone < day.zones for zone in zones):
        raise Invalid(
            "it names no zone, or one there is not", field="zones", mend=f"give some of 0 to {day.zones - 1}"
        )
    return Ask(
        body.class_id, tuple(zones), body.lanes, body.duration_slots, body.start, body.deadline,
        body.min_green_bps, body.max_carbon, body.carbon_price, body.limit_price)  # fmt: skip


def _quote_out(found: Quote, day: ClearedDay, ask: Ask, basis: Basis) -> QuoteOut:
    rows = day.rows(ask.start, (ask.deadline - ask.start) // day.slot_seconds)
    grid = 0
    for lot in found.lots:
        carbon = day.table.grid_carbon[lot.zone_id][rows[lot.slots]]
        grid += int(carbon.sum()) * int(day.energy_wh[ask.class_id, lot.zone_id]) * lot.lanes
    return QuoteOut(
        feasible=True,
        basis=basis,
        batch_id=day.batch_id,
        cost_micro=found.cost_micro,
        price_micro=found.price_micro,
        first_come_micro=found.first_come_micro,
        saved_micro=None if found.first_come_micro is None else found.first_come_micro - found.cost_micro,
        vcu_slots=found.vcu_slots,
        energy_wh=found.energy_wh,
        green_wh=found.green_wh,
        green_share_bps=found.green_share_bps,
        carbon_g=found.carbon_g,
        grid_carbon_g=grid // 1000,
        lots=[
            QuoteLot(
                lanes=lot.lanes,
                zone_id=lot.zone_id,
                cost_micro=lot.cost_micro,
                slots=lot.slots.tolist(),
                modes=lot.modes.tolist(),
            )
            for lot in found.lots
        ],
    )
