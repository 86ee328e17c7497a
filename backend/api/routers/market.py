"""Market data, open to everyone: chain, zones, classes, products, calendar, quotes, assets."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query
from sqlalchemy import func
from sqlmodel import Session, col, select

from backend.api.context import Context
from backend.api.deps import Ctx, PageDep, get_principal
from backend.api.problems import responses
from backend.api.schemas.base import Page
from backend.api.schemas.market import (
    Calendar,
    CalendarDay,
    CalendarZone,
    ChainOut,
    ClassOut,
    ContractOut,
    DeviceOut,
    PlantOut,
    Product,
    QuoteAsk,
    QuoteLot,
    QuoteOut,
    SiteOut,
    ZoneOut,
)
from backend.service import fills
from backend.service.errors import Invalid
from backend.service.pages import cursor_of, split_page
from backend.service.prices import NOT_SOLD, ClearedDay
from backend.service.quotes import Ask, Quote, quote
from backend.store.chain import Batch, ComputeClass, Device, Plant, Site, Zone
from backend.store.operations import IndexedBlock

router = APIRouter(tags=["market"], dependencies=[Depends(get_principal)])


@lru_cache(maxsize=1)
def vcu_table() -> dict[str, dict[str, Any]]:
    """Reference devices of the classes by name (F1)."""
    table: dict[str, dict[str, Any]] = json.loads((files("backend.service") / "vcu.json").read_text())[
        "classes"
    ]
    return table


@router.get("/chain", responses=responses(502))
def read_chain(context: Ctx) -> ChainOut:
    """The chain, its clock, and the contracts with their ABIs."""
    link = context.chain
    block = link.rpc().call("eth_getBlockByNumber", "latest", False)
    with context.store.reading() as session:
        indexed = session.exec(select(func.max(IndexedBlock.number))).one()
    return ChainOut(
        chain_id=link.book.chain_id,
        block_number=int(block["number"], 16),
        timestamp=int(block["timestamp"], 16),
        indexed_block=indexed,
        deploy_block=link.book.deploy_block,
        contracts={
            name: ContractOut(address=contract.address, abi=contract.abi.items)
            for name, contract in link.book.contracts.items()
        },
    )


@router.get("/zones")
def list_zones(context: Ctx) -> list[ZoneOut]:
    """The zones."""
    with context.store.reading() as session:
        return [ZoneOut.model_validate(row) for row in session.exec(select(Zone).order_by(col(Zone.zone_id)))]


@router.get("/classes")
def list_classes(context: Ctx) -> list[ClassOut]:
    """The classes of compute with their reference devices (the VCU table)."""
    with context.store.reading() as session:
        day = context.prices.latest(session)
        rows = session.exec(select(ComputeClass).order_by(col(ComputeClass.class_id))).all()
    return [
        ClassOut(
            class_id=row.class_id,
            name=row.name,
            energy_wh_per_vcu_slot=_class_energy(day, row.class_id),
            **vcu_table().get(row.name, {}),
        )
        for row in rows
    ]


def _class_energy(day: ClearedDay | None, class_id: int) -> int | None:
    if day is None or class_id >= day.classes:
        return None
    return int(day.energy_wh[class_id].mean())


def _horizon(context: Context, session: Session, first: int | None, days: int | None) -> tuple[int, int, int]:
    """(first start, days, seconds of a day), aligned to the last batch's clock."""
    settings = context.settings
    length = settings.slot_seconds * settings.slots
    anchor = session.exec(select(Batch.start).order_by(col(Batch.batch_id).desc()).limit(1)).first() or 0
    if first is None:
        now = context.market_now()
        first = now - (now - anchor) % length
    first -= (first - anchor) % length
    return first, days or settings.calendar_days, length


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
        rows = session.exec(
            select(Batch)
            .where(Batch.start >= first, Batch.start < first + count * length)
            .order_by(col(Batch.batch_id))
        )
        batches = {row.start: row for row in rows}
    now = context.market_now()
    return [
        _product(settings, at, now, batches.get(at)) for at in range(first, first + count * length, length)
    ]


def _product(settings: Any, at: int, now: int, batch: Batch | None) -> Product:
    gate = at - settings.gate_lead_seconds
    pending = "open" if now < gate else "closed"
    state = pending if batch is None else batch_state(batch)
    return Product(
        start=at,
        slot_seconds=batch.slot_seconds if batch else settings.slot_seconds,
        slots=batch.slots if batch else settings.slots,
        gate_closes_at=max(gate, 0),
        state=state,  # type: ignore[arg-type]
        batch_id=batch.batch_id if batch else None,
    )


def batch_state(batch: Batch) -> str:
    """`clearing`, `cleared` or `voided`."""
    if batch.voided_block is not None:
        return "voided"
    return "cleared" if batch.finalised_block is not None else "clearing"


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
        cleared = context.prices.cleared_at(session, first, first + count * length)
        latest = context.prices.latest(session)
    found = []
    for at in range(first, first + count * length, length):
        day = cleared.get(at, latest)
        basis = "cleared" if at in cleared else "forecast" if latest else "none"
        zones = _calendar_zones(day, class_id) if day else []
        found.append(
            CalendarDay(start=at, basis=basis, batch_id=day.batch_id if day else None, zones=zones)  # type: ignore[arg-type]
        )
    return Calendar(
        class_id=class_id,
        slot_seconds=latest.slot_seconds if latest else context.settings.slot_seconds,
        slots=latest.slots if latest else context.settings.slots,
        days=found,
    )


def _sold_or_null(prices: np.ndarray[Any, Any]) -> list[int | None]:
    return [None if value >= NOT_SOLD else value for value in prices.tolist()]


def _calendar_zones(day: ClearedDay, class_id: int) -> list[CalendarZone]:
    if class_id >= day.classes:
        raise Invalid(f"there is no class {class_id}", field="class_id", mend=f"give 0 to {day.classes - 1}")
    share, carbon = day.green_share_bps(), day.carbon_g_per_kwh()
    compute, energy = day.table.compute_price[class_id], day.table.energy_price
    return [
        CalendarZone(
            zone_id=zone,
            green_share_bps=share[zone].tolist(),
            carbon_g_per_kwh=carbon[zone].tolist(),
            grid_carbon_g_per_kwh=day.table.grid_carbon[zone].tolist(),
            compute_price_grey=_sold_or_null(compute[zone, 0]),
            compute_price_green=_sold_or_null(compute[zone, 1]),
            energy_price_grey=energy[zone, 0].tolist(),
            energy_price_green=energy[zone, 1].tolist(),
            green_offered_wh=day.offered_wh[1, zone].tolist(),
            green_sold_wh=day.sold_wh[1, zone].tolist(),
            energy_sold_wh=day.sold_wh[:, zone].sum(axis=0).tolist(),
        )
        for zone in range(day.zones)
    ]


@router.post("/quotes")
def create_quote(context: Ctx, body: QuoteAsk) -> QuoteOut:
    """Quotes a bundle for any window: cost, green share, carbon and fill probability."""
    with context.store.reading() as session:
        day = context.prices.latest(session)
        if day is not None:
            first = body.start - (body.start - day.start) % (day.slots * day.slot_seconds)
            exact = context.prices.cleared_at(session, first, body.start + 1)
            day = exact.get(first, day)
        chances = (
            fills.model(session, context, day) if day is not None and body.limit_price is not None else None
        )
    if day is None:
        return QuoteOut(feasible=False, basis="none", batch_id=None)
    ask = _ask(body, day)
    inside = day.start <= ask.start and ask.deadline <= day.start + day.slots * day.slot_seconds
    found = quote(day, ask)
    basis = "cleared" if inside else "forecast"
    if found is None:
        return QuoteOut(feasible=False, basis=basis, batch_id=day.batch_id)  # type: ignore[arg-type]
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
        body.min_green_bps, body.max_carbon, body.carbon_price,
    )  # fmt: skip


def _quote_out(found: Quote, day: ClearedDay, ask: Ask, basis: str) -> QuoteOut:
    first = (ask.start - day.start) // day.slot_seconds
    grid = 0
    for lot in found.lots:
        carbon = day.table.grid_carbon[lot.zone_id][(first + lot.slots) % day.slots]
        grid += int(carbon.sum()) * int(day.energy_wh[ask.class_id, lot.zone_id]) * lot.lanes
    return QuoteOut(
        feasible=True,
        basis=basis,  # type: ignore[arg-type]
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


@router.get("/sites")
def list_sites(
    context: Ctx, page: PageDep, zone_id: Annotated[int | None, Query(ge=0, le=63)] = None
) -> Page[SiteOut]:
    """The providers' sites."""
    after = cursor_of(page.after, int)
    query = select(Site).where(Site.site_id > (int(after[0]) if after else -1))
    if zone_id is not None:
        query = query.where(Site.zone_id == zone_id)
    with context.store.reading() as session:
        rows = session.exec(query.order_by(col(Site.site_id)).limit(page.limit + 1)).all()
    items, following = split_page(rows, page.limit, lambda row: (row.site_id,))
    return Page[SiteOut](items=[SiteOut.model_validate(row) for row in items], next_cursor=following)


@router.get("/plants")
def list_plants(
    context: Ctx, page: PageDep, zone_id: Annotated[int | None, Query(ge=0, le=63)] = None
) -> Page[PlantOut]:
    """The suppliers' plants; the grid of a zone is one of source 0."""
    after = cursor_of(page.after, int)
    query = select(Plant).where(Plant.plant_id > (int(after[0]) if after else -1))
    if zone_id is not None:
        query = query.where(Plant.zone_id == zone_id)
    with context.store.reading() as session:
        rows = session.exec(query.order_by(col(Plant.plant_id)).limit(page.limit + 1)).all()
    items, following = split_page(rows, page.limit, lambda row: (row.plant_id,))
    return Page[PlantOut](items=[PlantOut.model_validate(row) for row in items], next_cursor=following)


@router.get("/devices")
def list_devices(
    context: Ctx, page: PageDep, asset_id: Annotated[int | None, Query(ge=0, le=0xFFFFFFFF)] = None
) -> Page[DeviceOut]:
    """Measuring devices with their last attestation."""
    after = cursor_of(page.after, int)
    latest = (
        select(Device.meter_id, func.max(Device.block_number).label("block"))
        .group_by(col(Device.meter_id))
        .subquery()
    )
    query = (
        select(Device)
        .join(
            latest, (col(Device.meter_id) == latest.c.meter_id) & (col(Device.block_number) == latest.c.block)
        )
        .where(Device.meter_id > (int(after[0]) if after else -1))
    )
    if asset_id is not None:
        query = query.where(Device.asset_id == asset_id)
    with context.store.reading() as session:
        rows = session.exec(query.order_by(col(Device.meter_id)).limit(page.limit + 1)).all()
    items, following = split_page(rows, page.limit, lambda row: (row.meter_id,))
    return Page[DeviceOut](
        items=[
            DeviceOut.model_validate({**row.__dict__, "attested_until": str(row.attested_until)})
            for row in items
        ],
        next_cursor=following,
    )
