"""Bids of members in the spot market: checked, on the ledger, before the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlmodel import Session, col, select

from backend.service.access import Principal, Scope
from backend.service.audit_log import record
from backend.service.errors import Conflict, Forbidden, Invalid, NotFound
from backend.service.vpp import ledger
from backend.service.vpp.problems import as_problem
from backend.service.vpp.registry import certificate_in_force, contract_covering, get_resource
from backend.service.vpp.terms import BAND, CONTRACT_OF, ENERGY, ZONES, Terms, account_of, product_of
from backend.store.flex import FlexBid, FlexCertificate, FlexContract, FlexResource
from backend.vpp.blocks import Block, check_blocks
from backend.vpp.calendar import DAY_AHEAD, TradingDay
from backend.vpp.errors import FlexError
from backend.vpp.portfolio import MemberBid, Step, check_member


@dataclass(frozen=True, slots=True)
class BidRequest:
    """What is bid: sold Wh are negative. `blocks` are bodies of `backend.vpp.blocks.Block` without a zone."""

    resource_id: str
    market: str
    product: str
    day: date
    ladders: Sequence[Sequence[Sequence[int]]]
    blocks: Sequence[dict[str, object]] = ()
    account: str | None = None


def place(session: Session, who: Principal, terms: Terms, bid: BidRequest, now: int) -> FlexBid:
    """The aggregator's bid for a member's day; each slot's energy is reserved as power, all slots or none."""
    aggregator = who.require(Scope.FLEX_WRITE)
    product_of(bid.product, ENERGY)
    resource = get_resource(session, aggregator, bid.resource_id)
    account = account_of(session, who, bid.account)
    with as_problem():
        slots = terms.day(bid.day)
    certificate, contract = standing(session, resource, aggregator, bid.product, slots, now)
    steps = tuple(tuple(Step(*step) for step in ladder) for ladder in bid.ladders)
    certified_wh = int(certificate.metrics["adjustable_w"]) * slots.slot_seconds // 3600
    with as_problem():
        terms.require_open(slots, bid.market, now, _first(steps, bid))
        check_member(MemberBid(resource.id, resource.zone_id, steps, certified_wh), slots, ZONES, BAND)
        blocks = blocks_of(bid.blocks, resource.zone_id)
        _sells_only(steps, blocks)
        check_blocks(blocks, slots.count, ZONES, BAND)
        sold = sold_wh(steps, blocks, slots.count)
        _covered(sold, certified_wh)
    if blocks and bid.market != DAY_AHEAD:
        raise Invalid("blocks are traded day-ahead", field="blocks", mend="bid ladders in real time")
    if not any(sold):
        raise Invalid("nothing is bid", field="ladders", mend="give steps or blocks")
    _in_time(terms, slots, bid.market, contract, sold)
    _once(session, resource, bid)
    row = FlexBid(
        aggregator_id=aggregator, resource_id=resource.id, account=account, market=bid.market,
        product=bid.product, day=bid.day.isoformat(), zone_id=resource.zone_id,
        ladders=[[list(step) for step in ladder] for ladder in bid.ladders], blocks=list(bid.blocks),
        received_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    for t, energy in enumerate(sold):
        if watts := energy * 3600 // slots.slot_seconds:
            begin = slots.slot_start(t)
            reference = f"{row.id}/{t}"
            ledger.reserve_flexibility(
                session, resource, ledger.SPOT, reference, begin, begin + slots.slot_seconds, watts, now
            )
    record(session, who, "flex.bid_placed", row.id, day=row.day, market=bid.market)
    return row


def standing(
    session: Session, resource: FlexResource, aggregator: str, product: str, slots: TradingDay, now: int
) -> tuple[FlexCertificate, FlexContract | None]:
    """Certificate and contract by which an aggregator sells a resource on a day; its own needs no
    contract.
    """
    end = slots.start + slots.count * slots.slot_seconds
    contract = contract_covering(
        session, resource.id, aggregator, CONTRACT_OF.get(product, "energy"), slots.start, end
    )
    if contract is None and resource.organisation_id != aggregator:
        raise Forbidden(
            "no contract with this member covers the day", field="resource_id", mend="sign one first"
        )
    certificate = certificate_in_force(session, resource.id, now)
    if certificate is None:
        raise Invalid("no capability certificate in force", field="resource_id", mend="certify it first")
    return certificate, contract


def _first(steps: Sequence[Sequence[Step]], bid: BidRequest) -> int:
    """The first slot that is bid for: its gate must be open; in real time each slot has its own."""
    return next((t for t, ladder in enumerate(steps) if ladder), 0) if bid.market != DAY_AHEAD else 0


def _sells_only(steps: Sequence[Sequence[Step]], blocks: Sequence[Block]) -> None:
    for block in blocks:
        if max(block.profile_wh) > 0:
            raise FlexError(
                "quantity", f"blocks[{block.id}].profile_wh", max(block.profile_wh), "give negative Wh"
            )
    for t, ladder in enumerate(steps):
        if any(step.quantity_wh > 0 for step in ladder):
            raise FlexError(
                "quantity", f"ladders[{t}]", max(s.quantity_wh for s in ladder),
                "members sell flexibility: give negative Wh, and energy_raise for taking more power",
            )  # fmt: skip


def _covered(sold: Sequence[int], certified_wh: int) -> None:
    for t, energy in enumerate(sold):
        if energy > certified_wh:
            raise FlexError(
                "outside_capacity", f"blocks[{t}]", energy,
                f"ladder and blocks of a slot are covered up to {certified_wh} Wh: bid less or certify more",
            )  # fmt: skip


def _in_time(
    terms: Terms, slots: TradingDay, market: str, contract: FlexContract | None, sold: Sequence[int]
) -> None:
    """The member must hear of a dispatch `notice_seconds` ahead, so its gate must close by then."""
    if contract is None or not contract.notice_seconds:
        return
    for t, energy in enumerate(sold):
        lead = slots.slot_start(t) - terms.closes_at(slots, market, t)
        if energy and lead < contract.notice_seconds:
            raise Invalid(
                f"the contract gives {contract.notice_seconds} s of notice, this gate closes {lead} s before",
                field=f"ladders[{t}]",
                mend="bid day-ahead, or agree on a shorter notice",
            )


def _once(session: Session, resource: FlexResource, bid: BidRequest) -> None:
    if bid.market != DAY_AHEAD:
        return
    other = session.exec(
        select(FlexBid.id).where(
            FlexBid.resource_id == resource.id, FlexBid.market == bid.market, FlexBid.refused == "",
            FlexBid.product == bid.product, FlexBid.day == bid.day.isoformat(),
            col(FlexBid.withdrawn_at).is_(None),
        )
    ).first()  # fmt: skip
    if other is not None:
        raise Conflict(f"bid {other} stands for this day", field="day", mend="withdraw it first")


def blocks_of(bodies: Sequence[dict[str, object]], zone: int) -> list[Block]:
    """Blocks from their bodies."""
    return [
        Block(zone=zone, **(body | {"profile_wh": tuple(body["profile_wh"])}))  # type: ignore[arg-type]
        for body in bodies
    ]


def sold_wh(steps: Sequence[Sequence[Step]], blocks: Sequence[Block], count: int) -> list[int]:
    """The most Wh that a bid can be asked for in each slot, wherever its blocks start."""
    sold = [sum(-step.quantity_wh for step in ladder if step.quantity_wh < 0) for ladder in steps]
    sold += [0] * (count - len(sold))
    for block in blocks:
        most = [0] * count
        for start in block.starts:
            for n, energy in enumerate(block.profile_wh):
                most[start + n] = max(most[start + n], abs(energy))
        sold = [a + b for a, b in zip(sold, most, strict=True)]
    return sold


def get_bid(session: Session, who: Principal, bid_id: str) -> FlexBid:
    """A bid of the caller's organisation."""
    row = session.get(FlexBid, bid_id)
    if row is None or row.aggregator_id != who.require(Scope.FLEX_READ):
        raise NotFound("no such bid", field="bid_id", mend="list your bids")
    return row


def withdraw(session: Session, who: Principal, terms: Terms, bid_id: str, now: int) -> FlexBid:
    """Takes a bid back before its gate and gives its capacity back; again changes nothing."""
    who.require(Scope.FLEX_WRITE)
    row = get_bid(session, who, bid_id)
    if row.withdrawn_at is not None:
        return row
    with as_problem():
        slots = terms.day(date.fromisoformat(row.day))
        first = next((t for t, ladder in enumerate(row.ladders) if ladder), 0)
        terms.require_open(slots, row.market, now, first if row.market != DAY_AHEAD else 0)
    row.withdrawn_at = now
    session.add(row)
    for t in range(slots.count):
        ledger.release(session, ledger.SPOT, f"{row.id}/{t}")
    record(session, who, "flex.bid_withdrawn", row.id)
    return row
