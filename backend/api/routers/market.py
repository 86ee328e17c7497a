"""Market data, open to everyone: chain, zones, classes and assets."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from sqlalchemy import func
from sqlmodel import col, select

from backend.api.deps import Ctx, PageDep, get_principal
from backend.api.problems import responses
from backend.api.schemas.base import Page
from backend.api.schemas.market import (
    ChainOut,
    ClassOut,
    ContractOut,
    DeviceOut,
    PlantOut,
    SiteOut,
    ZoneOut,
)
from backend.service.pages import cursor_of, split_page
from backend.service.prices import ClearedDay
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
        rpc_url=context.settings.rpc_url or link.rpc_url,
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
            **vcu_table().get(row.name.partition("@")[0], {}),
        )
        for row in rows
    ]


def _class_energy(day: ClearedDay | None, class_id: int) -> int | None:
    if day is None or class_id >= day.classes:
        return None
    return int(day.energy_wh[class_id].mean())


def batch_state(batch: Batch) -> str:
    """`clearing`, `cleared` or `voided`."""
    if batch.voided_block is not None:
        return "voided"
    return "cleared" if batch.finalised_block is not None else "clearing"


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
