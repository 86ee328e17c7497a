"""Capacity on offer as reserve or frequency product, what the grid requires, and the lines between zones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlmodel import Session, col, select

from backend.service.access import Principal, Scope
from backend.service.audit_log import record
from backend.service.errors import Conflict, Invalid, NotFound
from backend.service.vpp import ledger
from backend.service.vpp.bids import standing
from backend.service.vpp.problems import as_problem
from backend.service.vpp.registry import get_resource
from backend.service.vpp.terms import ANCILLARY, BAND, CAPACITY, ENERGY, ZONES, Terms, account_of, product_of
from backend.store.flex import FlexCertificate, FlexLine, FlexOffer, FlexRequirement
from backend.vpp.errors import FlexError
from backend.vpp.products import CapacityOffer, refusal
from backend.vpp.spot import Grid


@dataclass(frozen=True, slots=True)
class OfferRequest:
    """W of a resource for [start, end) of a day, at a price in micro per kW and hour."""

    resource_id: str
    product: str
    day: date
    start: int
    end: int
    capacity_w: int
    price_micro_per_kw_h: int
    account: str | None = None


def as_offer(row: FlexOffer, certificate: FlexCertificate) -> CapacityOffer:
    """The row as the auction sees it, with what its certificate proves."""
    m = certificate.metrics
    return CapacityOffer(
        row.id, row.capacity_w, row.price_micro_per_kw_h, int(m["adjustable_w"]), int(m["response_ms"]),
        int(m["sustain_s"]),
    )  # fmt: skip


def offer(session: Session, who: Principal, terms: Terms, new: OfferRequest, now: int) -> FlexOffer:
    """Offers certified capacity before the gate; it is on the ledger until the gate decides."""
    aggregator = who.require(Scope.FLEX_WRITE)
    product = product_of(new.product, CAPACITY)
    resource = get_resource(session, aggregator, new.resource_id)
    account = account_of(session, who, new.account)
    with as_problem():
        slots = terms.day(new.day)
        terms.require_open(slots, ANCILLARY, now)
        _whole_hours(slots.start, slots.count * slots.slot_seconds, new)
    if not 0 <= new.price_micro_per_kw_h <= BAND.cap_ticks:
        raise Invalid(
            "the price is outside the band", field="price_micro_per_kw_h", mend=f"use 0..{BAND.cap_ticks}"
        )
    certificate, contract = standing(session, resource, aggregator, new.product, slots, now)
    lead = new.start - terms.closes_at(slots, ANCILLARY)
    if contract is not None and contract.notice_seconds > lead:
        raise Invalid(
            f"the contract gives {contract.notice_seconds} s of notice, the gate closes {lead} s before",
            field="start", mend="offer later hours, or agree on a shorter notice",
        )  # fmt: skip
    row = FlexOffer(
        aggregator_id=aggregator, resource_id=resource.id, account=account, product=new.product,
        day=new.day.isoformat(), start=new.start, end=new.end, capacity_w=new.capacity_w,
        price_micro_per_kw_h=new.price_micro_per_kw_h, received_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    if reason := refusal(as_offer(row, certificate), product):
        raise Invalid(reason, field="capacity_w", mend="offer what the certificate and the product allow")
    for begin in range(new.start, new.end, 3600):
        ledger.reserve_flexibility(
            session, resource, ledger.ANCILLARY, f"{row.id}/{begin}", begin, begin + 3600, new.capacity_w, now
        )
    record(session, who, "flex.offer_placed", row.id, day=row.day, product=row.product)
    return row


def _whole_hours(start: int, seconds: int, new: OfferRequest) -> None:
    inside = start <= new.start < new.end <= start + seconds
    if not inside or (new.start - start) % 3600 or (new.end - new.start) % 3600:
        raise FlexError("window", "start", new.start, f"whole hours of the day that starts at {start}")


def withdraw_offer(session: Session, who: Principal, terms: Terms, offer_id: str, now: int) -> FlexOffer:
    """Takes an offer back before its gate; again changes nothing."""
    row = session.get(FlexOffer, offer_id)
    if row is None or row.aggregator_id != who.require(Scope.FLEX_WRITE):
        raise NotFound("no such offer", field="offer_id", mend="list your offers")
    if row.withdrawn_at is not None:
        return row
    with as_problem():
        terms.require_open(terms.day(date.fromisoformat(row.day)), ANCILLARY, now)
    row.withdrawn_at = now
    session.add(row)
    for begin in range(row.start, row.end, 3600):
        ledger.release(session, ledger.ANCILLARY, f"{row.id}/{begin}")
    record(session, who, "flex.offer_withdrawn", row.id)
    return row


@dataclass(frozen=True, slots=True)
class RequirementRequest:
    """What the grid needs: buying ladders of a zone, or W of every hour."""

    market: str
    product: str
    day: date
    zone_id: int | None = None
    ladders: Sequence[Sequence[Sequence[int]]] = ()
    required_w: Sequence[int] = ()
    cap_micro_per_kw_h: int = 0
    account: str | None = None


def require(
    session: Session, who: Principal, terms: Terms, new: RequirementRequest, now: int
) -> FlexRequirement:
    """Places a requirement before its gate; one account pays for everything of a market and day."""
    organisation = who.require(Scope.PLATFORM_OPERATE)
    account = account_of(session, who, new.account)
    with as_problem():
        slots = terms.day(new.day)
        if new.market == ANCILLARY:
            product_of(new.product, CAPACITY)
            terms.require_open(slots, new.market, now)
            _hours(new, slots.count * slots.slot_seconds // 3600)
        else:
            product_of(new.product, ENERGY)
            first = next((t for t, ladder in enumerate(new.ladders) if ladder), 0)
            terms.require_open(slots, new.market, now, first)
            _buying(new, slots.count)
    payer = payer_of(session, new.market, new.day.isoformat())
    if payer is not None and payer != account:
        raise Conflict(f"{payer} pays for this day", field="account", mend="use that account")
    row = FlexRequirement(
        organisation_id=organisation, account=account, market=new.market, product=new.product,
        day=new.day.isoformat(), zone_id=new.zone_id,
        ladders=[[list(step) for step in ladder] for ladder in new.ladders],
        required_w=list(new.required_w), cap_micro_per_kw_h=new.cap_micro_per_kw_h, received_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    record(session, who, "flex.required", row.id, day=row.day, market=row.market, product=row.product)
    return row


def payer_of(session: Session, market: str, day: str) -> str | None:
    """Who pays for a market's day."""
    return session.exec(
        select(FlexRequirement.account).where(
            FlexRequirement.market == market,
            FlexRequirement.day == day,
            col(FlexRequirement.withdrawn_at).is_(None),
        )
    ).first()


def withdraw_requirement(
    session: Session, who: Principal, terms: Terms, requirement_id: str, now: int
) -> FlexRequirement:
    """Takes a requirement back before its gate; again changes nothing."""
    organisation = who.require(Scope.PLATFORM_OPERATE)
    row = session.get(FlexRequirement, requirement_id)
    if row is None or row.organisation_id != organisation:
        raise NotFound("no such requirement", field="requirement_id", mend="list the requirements")
    if row.withdrawn_at is None:
        with as_problem():
            first = next((t for t, ladder in enumerate(row.ladders) if ladder), 0)
            terms.require_open(terms.day(date.fromisoformat(row.day)), row.market, now, first)
        row.withdrawn_at = now
        session.add(row)
        record(session, who, "flex.requirement_withdrawn", row.id)
    return row


def _hours(new: RequirementRequest, hours: int) -> None:
    if len(new.required_w) != hours or any(watts < 0 for watts in new.required_w):
        raise FlexError("gap", "required_w", len(new.required_w), f"give W, or 0, for each of {hours} hours")
    if not any(new.required_w) or new.ladders or new.zone_id is not None:
        raise FlexError("quantity", "required_w", 0, "give some W, and neither zone nor ladders")
    if not 1 <= new.cap_micro_per_kw_h <= BAND.cap_ticks:
        raise FlexError(
            "price_outside_band", "cap_micro_per_kw_h", new.cap_micro_per_kw_h, f"use 1..{BAND.cap_ticks}"
        )


def _buying(new: RequirementRequest, count: int) -> None:
    if new.zone_id is None or not 0 <= new.zone_id < ZONES:
        raise FlexError("wrong_zone", "zone_id", new.zone_id, f"must be 0..{ZONES - 1}")
    if len(new.ladders) != count or new.required_w:
        raise FlexError(
            "gap", "ladders", len(new.ladders), f"give a ladder, or an empty one, for {count} slots"
        )
    if not any(new.ladders):
        raise FlexError("quantity", "ladders", 0, "give some Wh")
    for t, ladder in enumerate(new.ladders):
        for price, energy in ladder:
            if energy <= 0:
                raise FlexError("quantity", f"ladders[{t}]", energy, "the grid buys: give positive Wh")
            if not BAND.floor_ticks <= price <= BAND.cap_ticks:
                raise FlexError(
                    "price_outside_band", f"ladders[{t}]", price,
                    f"must lie in {BAND.floor_ticks}..{BAND.cap_ticks}",
                )  # fmt: skip


def set_lines(session: Session, who: Principal, lines: Sequence[tuple[int, int, int, int]]) -> list[FlexLine]:
    """Replaces all lines between zones; W each way."""
    who.require(Scope.PLATFORM_OPERATE)
    with as_problem():
        Grid.of(ZONES, list(lines))
        if len({(min(a, b), max(a, b)) for a, b, _, _ in lines}) != len(lines):
            raise FlexError("duplicate", "lines", len(lines), "give each pair of zones once")
    for row in session.exec(select(FlexLine)).all():
        session.delete(row)
    session.flush()
    rows = [FlexLine(from_zone=a, to_zone=b, forward_w=f, backward_w=g) for a, b, f, g in lines]
    session.add_all(rows)
    record(session, who, "flex.lines_set", str(len(rows)))
    return rows
