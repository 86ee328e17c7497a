"""Bids of members in the spot market: checked, on the ledger, before the gate."""

from __future__ import annotations

from datetime import date

from sqlmodel import Session, select

from backend.service.access import Principal, Scope
from backend.service.audit_log import record
from backend.service.errors import Forbidden, Invalid
from backend.service.vpp import ledger
from backend.service.vpp.problems import as_problem
from backend.service.vpp.registry import certificate_in_force, contract_in_force, get_resource
from backend.store.flex import FlexBid
from backend.vpp.calendar import Gates, trading_day
from backend.vpp.portfolio import MemberBid, Step, check_member
from backend.vpp.spot import Band

ZONES = 64


def place(
    session: Session, who: Principal, resource_id: str, market: str, day: date, zone_name: str,
    ladders: list[list[list[int]]], now: int,
) -> FlexBid:  # fmt: skip
    """The aggregator's bid for a member's day; each slot's energy is reserved as power, all slots or none."""
    aggregator = who.require(Scope.FLEX_WRITE)
    resource = get_resource(session, aggregator, resource_id)
    if (
        contract_in_force(session, resource_id, aggregator, now) is None
        and resource.organisation_id != aggregator
    ):
        raise Forbidden("there is no contract with this member", field="resource_id", mend="sign one first")
    certificate = certificate_in_force(session, resource_id, now)
    if certificate is None:
        raise Invalid("no capability certificate in force", field="resource_id", mend="certify it first")
    with as_problem():
        slots = trading_day(day, zone_name)
        Gates().require_open(slots, market, now)
        steps = tuple(tuple(Step(*step) for step in ladder) for ladder in ladders)
        certified_wh = int(certificate.metrics["adjustable_w"]) * slots.slot_seconds // 3600
        check_member(MemberBid(resource_id, resource.zone_id, steps, certified_wh), slots, ZONES, Band())
    row = FlexBid(
        aggregator_id=aggregator, resource_id=resource_id, market=market, day=day.isoformat(),
        zone_id=resource.zone_id, ladders=ladders, received_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    for t, ladder in enumerate(steps):
        sells = sum(-s.quantity_wh for s in ladder if s.quantity_wh < 0)
        buys = sum(s.quantity_wh for s in ladder if s.quantity_wh > 0)
        if watts := max(sells, buys) * 3600 // slots.slot_seconds:
            begin = slots.slot_start(t)
            ledger.reserve_flexibility(
                session, resource, ledger.SPOT, f"{row.id}/{t}", begin, begin + slots.slot_seconds, watts, now
            )
    record(session, who, "flex.bid_placed", row.id, day=row.day, market=market)
    return row


def withdraw(session: Session, who: Principal, bid_id: str, zone_name: str, now: int) -> FlexBid:
    """Takes a bid back before its gate and gives its capacity back."""
    aggregator = who.require(Scope.FLEX_WRITE)
    row = session.exec(
        select(FlexBid).where(FlexBid.id == bid_id, FlexBid.aggregator_id == aggregator)
    ).first()
    if row is None:
        raise Invalid("no such bid", field="bid_id", mend="list your bids")
    with as_problem():
        Gates().require_open(trading_day(date.fromisoformat(row.day), zone_name), row.market, now)
    if row.withdrawn_at is None:
        row.withdrawn_at = now
        session.add(row)
        for t in range(len(row.ladders)):
            ledger.release(session, ledger.SPOT, f"{row.id}/{t}")
    return row
