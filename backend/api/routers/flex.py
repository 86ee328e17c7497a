"""Virtual power plants: resources, contracts, certificates, capacity, series and bids."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query
from sqlmodel import col, select

from backend.api.deps import Ctx, Need, PageDep
from backend.api.problems import responses
from backend.api.schemas.base import Id, Page
from backend.api.schemas.flex import (
    AdmissionOut,
    CertificateNew,
    CertificateOut,
    ContractNew,
    ContractOut,
    FreeOut,
    GroupMove,
    KindName,
    ReservationNew,
    ReservationOut,
    ResourceNew,
    ResourceOut,
    SeriesNew,
    SeriesOut,
)
from backend.api.schemas.flex_market import TypicalOut
from backend.service.access import Principal, Scope
from backend.service.errors import Invalid
from backend.service.pages import cursor_of, split_page
from backend.service.vpp import ledger, registry, series
from backend.service.vpp.problems import as_problem
from backend.store.flex import FlexCertificate, FlexContract, FlexResource
from backend.vpp.resources import ResponseTest

Reader = Annotated[Principal, Depends(Need(Scope.FLEX_READ))]
Writer = Annotated[Principal, Depends(Need(Scope.FLEX_WRITE))]
SecondsQuery = Annotated[int, Query(ge=0, lt=1 << 40)]
router = APIRouter(prefix="/flex", tags=["flex"], responses=responses(401, 403))


def _own(who: Principal) -> str:
    assert who.organisation_id is not None
    return who.organisation_id


@router.get("/resources")
def list_resources(context: Ctx, who: Reader, page: PageDep) -> Page[ResourceOut]:
    """The organisation's resources and groups, oldest first."""
    after = cursor_of(page.after, str)
    query = select(FlexResource).where(FlexResource.organisation_id == _own(who))
    if after:
        query = query.where(col(FlexResource.id) > str(after[0]))
    with context.store.reading() as session:
        rows = session.exec(query.order_by(col(FlexResource.id)).limit(page.limit + 1)).all()
    shown, cursor = split_page(rows, page.limit, lambda row: (row.id,))
    return Page(items=[ResourceOut.model_validate(row) for row in shown], next_cursor=cursor)


@router.post("/resources", status_code=201, responses=responses(404, 409))
def add_resource(context: Ctx, who: Writer, body: ResourceNew) -> ResourceOut:
    """Registers a resource or a group."""
    with context.store.writing() as session:
        return ResourceOut.model_validate(registry.add_resource(session, who, **body.model_dump()))


@router.get("/resources/{resource_id}", responses=responses(404))
def read_resource(context: Ctx, who: Reader, resource_id: Id) -> ResourceOut:
    """One resource."""
    with context.store.reading() as session:
        return ResourceOut.model_validate(registry.get_resource(session, _own(who), resource_id))


@router.put("/resources/{resource_id}/group", responses=responses(404, 409))
def move_resource(context: Ctx, who: Writer, resource_id: Id, body: GroupMove) -> ResourceOut:
    """Puts a resource into a group, or takes it out."""
    with context.store.writing() as session:
        return ResourceOut.model_validate(registry.move_resource(session, who, resource_id, body.parent_id))


@router.post("/contracts", status_code=201, responses=responses(404, 409))
def add_contract(context: Ctx, who: Writer, body: ContractNew) -> ContractOut:
    """Signs a resource up with an aggregator: one VPP per member and contract type at a time."""
    with context.store.writing() as session:
        return ContractOut.model_validate(
            registry.add_contract(session, who, **body.model_dump()), from_attributes=True
        )


@router.post("/resources/{resource_id}/certificates", status_code=201, responses=responses(404))
def certify_resource(context: Ctx, who: Writer, resource_id: Id, body: CertificateNew) -> CertificateOut:
    """Measures a resource from its history and tests (F7) and certifies it for 180 days."""
    with as_problem():
        tests = [
            ResponseTest(t.at, t.baseline_w, t.requested_w, np.array(t.times_ms), np.array(t.power_w))
            for t in body.tests
        ]
    history = np.array(body.history_w, np.int64)
    with context.store.writing() as session:
        row = registry.add_certificate(
            session, who, resource_id, history, body.slot_seconds, tests, context.market_now()
        )
        return CertificateOut.model_validate(row)


@router.get("/admission")
def read_admission(context: Ctx, who: Reader) -> AdmissionOut:
    """Whether the caller's VPP may take part, with every reason against it."""
    with context.store.reading() as session:
        found = registry.admission(session, _own(who), context.market_now())
    return AdmissionOut(
        admitted=found.admitted, reasons=list(found.reasons), aggregate_w=found.aggregate_w,
        adjustable_w=found.adjustable_w,
    )  # fmt: skip


@router.get("/resources/{resource_id}/free", responses=responses(404))
def read_free(context: Ctx, who: Reader, resource_id: Id, start: SecondsQuery, end: SecondsQuery) -> FreeOut:
    """What of a resource is not sold in any market."""
    if not start < end <= start + ledger.MOST_SLOTS * ledger.GRAIN_SECONDS:
        raise Invalid("the end must come after the start", field="end", mend="ask for at most 1024 slots")
    with context.store.reading() as session:
        free = ledger.free_w(session, registry.get_resource(session, _own(who), resource_id), start, end)
    return FreeOut(start=min(free), slot_seconds=ledger.GRAIN_SECONDS, free_w=list(free.values()))


@router.post("/resources/{resource_id}/reservations", status_code=201, responses=responses(404, 409))
def reserve_capacity(context: Ctx, who: Writer, resource_id: Id, body: ReservationNew) -> ReservationOut:
    """Promises certified capacity in one market; a kW is sold once."""
    with context.store.writing() as session:
        resource = registry.get_resource(session, _own(who), resource_id)
        reference = f"{_own(who)}/{body.reference}"[:80]
        row = ledger.reserve_flexibility(
            session, resource, body.market, reference, body.start, body.end, body.watts, context.market_now()
        )
        return ReservationOut.model_validate(row)


@router.post("/series", status_code=201, responses=responses(404))
def tell_series(context: Ctx, who: Writer, body: SeriesNew) -> SeriesOut:
    """Tells a series of a resource; the newest telling of an interval counts."""
    now = context.market_now()
    with context.store.writing() as session:
        row = series.tell(
            session, who, body.resource_id, body.name, body.start, body.duration, body.values, body.unit, now
        )
        return SeriesOut(
            resource_id=row.resource_id, name=row.name, start=row.start, duration=body.duration,
            values=list(row.readings), unit=row.unit,
        )  # fmt: skip


@router.get("/series", responses=responses(404))
def read_series(
    context: Ctx, who: Reader, resource_id: Annotated[Id, Query()], start: SecondsQuery,
    duration: Annotated[str, Query(max_length=30, examples=["PT1H"])],
    name: Annotated[str, Query(max_length=40)] = "telemetry",
    slot_seconds: Annotated[int, Query(ge=1, le=86_400)] = 900,
    known_by: Annotated[int | None, Query(ge=0, lt=1 << 40, description="what was known then")] = None,
) -> SeriesOut:  # fmt: skip
    """A series as it is known now, or as it was known at a gate closure."""
    with context.store.reading() as session:
        found = series.read(session, who, resource_id, name, start, duration, slot_seconds, known_by)
    return SeriesOut(
        resource_id=resource_id, name=name, start=start, duration=duration, values=found, unit="W"
    )


@router.get("/contracts")
def list_contracts(context: Ctx, who: Reader, page: PageDep) -> Page[ContractOut]:
    """Contracts of the organisation, as member or as aggregator, oldest first."""
    after = cursor_of(page.after, str)
    mine = (FlexContract.member_id == _own(who)) | (FlexContract.aggregator_id == _own(who))
    query = select(FlexContract).where(mine)
    if after:
        query = query.where(col(FlexContract.id) > str(after[0]))
    with context.store.reading() as session:
        rows = session.exec(query.order_by(col(FlexContract.id)).limit(page.limit + 1)).all()
    shown, cursor = split_page(rows, page.limit, lambda row: (row.id,))
    items = [ContractOut.model_validate(row, from_attributes=True) for row in shown]
    return Page(items=items, next_cursor=cursor)


@router.get("/resources/{resource_id}/certificates", responses=responses(404))
def list_capability_certificates(
    context: Ctx, who: Reader, page: PageDep, resource_id: Id
) -> Page[CertificateOut]:
    """A resource's capability certificates, newest first."""
    before = cursor_of(page.after, str)
    query = select(FlexCertificate).where(FlexCertificate.resource_id == resource_id)
    if before:
        query = query.where(col(FlexCertificate.id) < str(before[0]))
    with context.store.reading() as session:
        registry.get_resource(session, _own(who), resource_id)
        rows = session.exec(query.order_by(col(FlexCertificate.id).desc()).limit(page.limit + 1)).all()
    shown, cursor = split_page(rows, page.limit, lambda row: (row.id,))
    return Page(items=[CertificateOut.model_validate(row) for row in shown], next_cursor=cursor)


@router.get("/kinds/{resource_kind}/response")
def read_typical_response(context: Ctx, who: Reader, resource_kind: KindName) -> TypicalOut:
    """How resources of a kind typically answer, from all tests on record."""
    with context.store.reading() as session:
        found = registry.typical(session, resource_kind)
    return TypicalOut(
        kind=resource_kind, tests=found.tests, times_ms=list(found.times_ms), p10_bps=list(found.p10_bps),
        p50_bps=list(found.p50_bps), p90_bps=list(found.p90_bps),
    )  # fmt: skip
