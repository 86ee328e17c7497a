"""Resources, contracts and certificates of a tenant."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from backend.service.access import Principal, Scope
from backend.service.audit_log import record
from backend.service.errors import Conflict, NotFound
from backend.service.vpp.problems import as_problem
from backend.store.flex import FlexCertificate, FlexContract, FlexResource, FlexResponse
from backend.vpp.capability import (
    Admission,
    AdmissionRules,
    Certificate,
    Metrics,
    TypicalResponse,
    admit,
    certify,
    metrics_json,
    typical_response,
)
from backend.vpp.resources import Contract, Kind, Resource, ResponseTest, members_of, require_one_vpp
from backend.vpp.spot import Ints


def resource_of(row: FlexResource) -> Resource:
    """The row as the rules see it."""
    return Resource(
        row.id, row.organisation_id, Kind(row.kind), row.zone_id, row.node, row.metering_point,
        row.nameplate_w, row.parent_id,
    )  # fmt: skip


def get_resource(session: Session, organisation_id: str, resource_id: str) -> FlexResource:
    """A resource of the organisation, or one that is under contract with it; NotFound otherwise."""
    row = session.get(FlexResource, resource_id)
    if row is not None and row.organisation_id != organisation_id:
        contract = session.exec(
            select(FlexContract.id).where(
                FlexContract.resource_id == resource_id, FlexContract.aggregator_id == organisation_id
            )
        ).first()
        row = row if contract else None
    if row is None:
        raise NotFound("no such resource", field="resource_id", mend="list your resources")
    return row


def add_resource(session: Session, who: Principal, **given: object) -> FlexResource:
    """Registers a resource or a group; its metering point and its site are its own."""
    organisation_id = who.require(Scope.FLEX_WRITE)
    parent = given.get("parent_id")
    if parent is not None:
        get_resource(session, organisation_id, str(parent))
    row = FlexResource(organisation_id=organisation_id, created_at=int(time.time()), **given)  # type: ignore[arg-type]
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(
            "this metering point or site is registered already",
            field="metering_point",
            mend="use the registered resource, or correct the number",
        ) from error
    record(session, who, "flex.resource_added", row.id, name=row.name)
    return row


def move_resource(session: Session, who: Principal, resource_id: str, parent_id: str | None) -> FlexResource:
    """Puts a resource into a group (or out of it); a circle is refused."""
    organisation_id = who.require(Scope.FLEX_WRITE)
    row = get_resource(session, organisation_id, resource_id)
    if parent_id is not None:
        get_resource(session, organisation_id, parent_id)
    parents = _parents(session, organisation_id) | {resource_id: parent_id}
    at, hops = parent_id, 0
    while at is not None:
        hops += 1
        if at == resource_id or hops > len(parents):
            raise Conflict("a group cannot contain itself", field="parent_id", mend="choose another group")
        at = parents.get(at)
    row.parent_id = parent_id
    session.add(row)
    record(session, who, "flex.resource_moved", row.id, parent=parent_id)
    return row


def _parents(session: Session, organisation_id: str) -> dict[str, str | None]:
    rows = session.exec(select(FlexResource).where(FlexResource.organisation_id == organisation_id)).all()
    return {row.id: row.parent_id for row in rows}


def leaves(session: Session, organisation_id: str, group_id: str) -> list[str]:
    """The resources under a group, at any depth."""
    with as_problem():
        return members_of(group_id, _parents(session, organisation_id))


def contract_of(row: FlexContract) -> Contract:
    """The row as the rules see it."""
    return Contract(
        row.resource_id, row.member_id, row.aggregator_id, row.contract_type, row.share_bps,
        row.notice_seconds, row.penalty_bps, row.start, row.end,
    )  # fmt: skip


def add_contract(session: Session, who: Principal, **given: object) -> FlexContract:
    """The member signs up one of its resources with an aggregator; one VPP per member and contract type."""
    organisation_id = who.require(Scope.FLEX_WRITE)
    resource = session.exec(
        select(FlexResource)
        .where(FlexResource.id == given["resource_id"], FlexResource.organisation_id == organisation_id)
        .with_for_update()
    ).first()
    if resource is None:
        raise NotFound("no such resource of yours", field="resource_id", mend="list your resources")
    row = FlexContract(member_id=organisation_id, **given)  # type: ignore[arg-type]
    standing = session.exec(select(FlexContract).where(FlexContract.member_id == organisation_id)).all()
    with as_problem():
        require_one_vpp(contract_of(row), [contract_of(old) for old in standing])
    session.add(row)
    session.flush()
    record(session, who, "flex.contract_added", row.id, aggregator=row.aggregator_id)
    return row


def contract_covering(
    session: Session, resource_id: str, aggregator_id: str, contract_type: str, start: int, end: int
) -> FlexContract | None:
    """The contract of a type by which an aggregator may use a resource all through [start, end)."""
    return session.exec(
        select(FlexContract).where(
            FlexContract.resource_id == resource_id,
            FlexContract.aggregator_id == aggregator_id,
            FlexContract.contract_type == contract_type,
            FlexContract.start <= start,
            FlexContract.end >= end,
        )
    ).first()


def add_certificate(
    session: Session, who: Principal, resource_id: str, history_w: Ints, slot_seconds: int,
    tests: Sequence[ResponseTest], now: int,
) -> FlexCertificate:  # fmt: skip
    """Measures a resource (F7), keeps its tests for the typical curves, and issues a certificate."""
    row = get_resource(session, who.require(Scope.FLEX_WRITE), resource_id)
    with as_problem():
        found = certify(resource_of(row), history_w, slot_seconds, tests, now)
    for test in tests:
        session.add(
            FlexResponse(
                resource_id=row.id, kind=row.kind, at=test.at, baseline_w=test.baseline_w,
                requested_w=test.requested_w, times_ms=test.times_ms.tolist(), power_w=test.power_w.tolist(),
            )
        )  # fmt: skip
    kept = FlexCertificate(
        resource_id=row.id, metrics=metrics_json(found.metrics), method=found.method, version=found.version,
        inputs_hash=found.inputs_hash, issued_at=found.issued_at, expires_at=found.expires_at,
    )  # fmt: skip
    session.add(kept)
    session.flush()
    record(session, who, "flex.certificate_issued", row.id, adjustable_w=found.metrics.adjustable_w)
    return kept


def certificate_in_force(session: Session, resource_id: str, now: int) -> FlexCertificate | None:
    """The newest certificate that is in force."""
    return session.exec(
        select(FlexCertificate)
        .where(
            FlexCertificate.resource_id == resource_id,
            FlexCertificate.issued_at <= now,
            FlexCertificate.expires_at > now,
        )
        .order_by(col(FlexCertificate.issued_at).desc())
    ).first()


def certificate_of(row: FlexCertificate) -> Certificate:
    """The row as the rules see it."""
    return Certificate(
        row.resource_id, Metrics(**row.metrics), row.method, row.version, row.inputs_hash, row.issued_at,
        row.expires_at,
    )  # fmt: skip


def admission(
    session: Session, aggregator_id: str, now: int, rules: AdmissionRules | None = None
) -> Admission:
    """Whether the aggregator's VPP is admitted now, with every reason against it."""
    contracts = session.exec(select(FlexContract).where(FlexContract.aggregator_id == aggregator_id)).all()
    members = []
    for contract in contracts:
        row = session.get_one(FlexResource, contract.resource_id)
        certificate = certificate_in_force(session, row.id, now)
        if certificate is None:
            certificate = session.exec(
                select(FlexCertificate)
                .where(FlexCertificate.resource_id == row.id)
                .order_by(col(FlexCertificate.issued_at).desc())
            ).first()
        members.append(
            (resource_of(row), certificate_of(certificate) if certificate else None, contract_of(contract))
        )
    return admit(members, now, rules)


def typical(session: Session, kind: str) -> TypicalResponse:
    """How resources of a kind typically answer, from all tests on record."""
    rows = session.exec(select(FlexResponse).where(FlexResponse.kind == kind)).all()
    tests = [_test(row) for row in rows]
    with as_problem():
        return typical_response(Kind(kind), tests)


def _test(row: FlexResponse) -> ResponseTest:
    return ResponseTest(
        row.at, row.baseline_w, row.requested_w, np.array(row.times_ms), np.array(row.power_w)
    )  # fmt: skip
