"""The flexibility market: gates, bids, offers, requirements, periods, awards, events, settlement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query
from sqlmodel import SQLModel, col, select

from backend.api.deps import Ctx, Need, PageDep
from backend.api.problems import responses
from backend.api.schemas.base import Address, Answer, Id, Page
from backend.api.schemas.flex_market import (
    AnyMarket,
    AwardOut,
    BidNew,
    BidOut,
    CapacityOfferNew,
    CapacityOfferOut,
    Day,
    DisputeNew,
    EnergyMarket,
    EnergyProduct,
    EventOut,
    EventState,
    FlexMarketOut,
    FlexSettlementOut,
    GateOut,
    LineOut,
    LinesNew,
    PeriodOut,
    PortfolioOut,
    PositionOut,
    ProductOut,
    ProofOut,
    ReceiptNew,
    RequirementNew,
    RequirementOut,
    ShareOut,
    SplitOut,
)
from backend.api.schemas.trading import Transaction
from backend.api.wallet import transaction
from backend.chain.flex import FlexMarket
from backend.service.access import Principal, Scope
from backend.service.context import Context
from backend.service.errors import Invalid, NotFound
from backend.service.pages import cursor_of, split_page
from backend.service.vpp import bids, capacity, dispatching, periods, portfolios, terms
from backend.service.vpp.problems import as_problem
from backend.store import flex as t
from backend.vpp.products import PRODUCTS

Reader = Annotated[Principal, Depends(Need(Scope.FLEX_READ))]
Writer = Annotated[Principal, Depends(Need(Scope.FLEX_WRITE))]
Operator = Annotated[Principal, Depends(Need(Scope.PLATFORM_OPERATE))]
DayQuery = Annotated[Day, Query()]
Wanted = Annotated[Id | None, Query()]
Out = TypeVar("Out", bound=Answer)
router = APIRouter(prefix="/flex", tags=["flex"], responses=responses(401, 403))


def _own(who: Principal) -> str:
    assert who.organisation_id is not None
    return who.organisation_id


def _page(
    context: Context, page: Any, table: type[SQLModel], shape: type[Out], *where: Any, newest: bool = True
) -> Page[Out]:
    """A page of a table with text ids, newest first (or oldest first)."""
    after = cursor_of(page.after, str)
    key = col(table.id)  # type: ignore[attr-defined]
    query = select(table).where(*[item for item in where if item is not None])
    if after:
        query = query.where(key < str(after[0]) if newest else key > str(after[0]))
    with context.store.reading() as session:
        rows = session.exec(query.order_by(key.desc() if newest else key).limit(page.limit + 1)).all()
    shown, cursor = split_page(rows, page.limit, lambda row: (row.id,))  # type: ignore[attr-defined]
    return Page(items=[shape.model_validate(row) for row in shown], next_cursor=cursor)


def _if(condition: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else condition(value)


# --- the market ------------------------------------------------------------------
@router.get("/market")
def read_flex_market(context: Ctx, who: Reader, day: DayQuery) -> FlexMarketOut:
    """A day's slots, gates, price band and products, and the market's clock."""
    now = context.market_now()
    market = terms.Terms.of(context.settings)
    with as_problem():
        slots = market.day(terms.day_of(day))
    gates = []
    for name in terms.MARKETS:
        step = slots.count if name != "real_time" else terms.HOUR_SLOTS
        for first in range(0, slots.count, step):
            closes = market.closes_at(slots, name, first)
            gates.append(
                GateOut(market=name, first_slot=first, slots=step, closes_at=closes, open=now < closes)
            )
    return FlexMarketOut(
        day=day, time_zone=market.zone_name, now=now, start=slots.start, slot_seconds=slots.slot_seconds,
        slots=slots.count, floor_ticks=terms.BAND.floor_ticks, cap_ticks=terms.BAND.cap_ticks,
        micro_per_kwh_per_tick=terms.BAND.micro_per_kwh_per_tick, gates=gates,
        products=[
            ProductOut(
                name=p.name, kind="capacity" if p.name in terms.CAPACITY else "energy", direction=p.direction,
                response_ms=p.response_ms, sustain_s=p.sustain_s, baseline=p.baseline,
                min_capacity_w=p.min_capacity_w,
            )
            for p in PRODUCTS.values()
        ],
    )  # fmt: skip


@router.get("/lines")
def list_flex_lines(context: Ctx, who: Reader) -> list[LineOut]:
    """The lines between zones."""
    with context.store.reading() as session:
        rows = session.exec(select(t.FlexLine).order_by(col(t.FlexLine.from_zone), col(t.FlexLine.to_zone)))
        return [LineOut.model_validate(row) for row in rows]


@router.put("/lines")
def set_flex_lines(context: Ctx, who: Operator, body: LinesNew) -> list[LineOut]:
    """Replaces the lines between zones."""
    lines = [(x.from_zone, x.to_zone, x.forward_w, x.backward_w) for x in body.lines]
    with context.store.writing() as session:
        return [LineOut.model_validate(row) for row in capacity.set_lines(session, who, lines)]


# --- bids ------------------------------------------------------------------------
@router.post("/bids", status_code=201, responses=responses(404, 409))
def place_flex_bid(context: Ctx, who: Writer, body: BidNew) -> BidOut:
    """Bids a member's day: ladders and blocks, inside its certificate and before the gate."""
    request = bids.BidRequest(
        body.resource_id, body.market, body.product, terms.day_of(body.day), body.ladders,
        [block.model_dump(exclude_none=True) for block in body.blocks], body.account,
    )  # fmt: skip
    market = terms.Terms.of(context.settings)
    with context.store.writing() as session:
        return BidOut.model_validate(bids.place(session, who, market, request, context.market_now()))


@router.get("/bids")
def list_flex_bids(
    context: Ctx, who: Reader, page: PageDep, market: Annotated[EnergyMarket | None, Query()] = None,
    day: Annotated[Day | None, Query()] = None, resource_id: Wanted = None,
) -> Page[BidOut]:  # fmt: skip
    """The organisation's bids, newest first."""
    return _page(
        context, page, t.FlexBid, BidOut, t.FlexBid.aggregator_id == _own(who),
        _if(lambda value: t.FlexBid.market == value, market), _if(lambda value: t.FlexBid.day == value, day),
        _if(lambda value: t.FlexBid.resource_id == value, resource_id),
    )  # fmt: skip


@router.get("/bids/{bid_id}", responses=responses(404))
def read_flex_bid(context: Ctx, who: Reader, bid_id: Id) -> BidOut:
    """One bid."""
    with context.store.reading() as session:
        return BidOut.model_validate(bids.get_bid(session, who, bid_id))


@router.delete("/bids/{bid_id}", responses=responses(404, 409))
def withdraw_flex_bid(context: Ctx, who: Writer, bid_id: Id) -> BidOut:
    """Takes a bid back before its gate."""
    market = terms.Terms.of(context.settings)
    with context.store.writing() as session:
        return BidOut.model_validate(bids.withdraw(session, who, market, bid_id, context.market_now()))


@router.get("/portfolio")
def read_portfolio(
    context: Ctx, who: Reader, day: DayQuery, zone_id: Annotated[int, Query(ge=0, le=63)],
    market: Annotated[EnergyMarket, Query()] = "day_ahead",
    product: Annotated[EnergyProduct, Query()] = "energy_shed",
    hourly: Annotated[bool, Query(description="24 points instead of 96")] = False,
) -> PortfolioOut:  # fmt: skip
    """The caller's standing bids of a zone and day as one portfolio bid with its limits."""
    with context.store.reading() as session, as_problem():
        found, steps = portfolios.standing(
            session, _own(who), terms.Terms.of(context.settings), market, product, terms.day_of(day), zone_id
        )
    lower, upper = (portfolios.hourly(x) if hourly else x for x in (found.lower_wh, found.upper_wh))
    return PortfolioOut(
        market=market, product=product, day=day, zone_id=zone_id, members=len(found.members), steps=steps,
        lower_wh=lower.tolist(), upper_wh=upper.tolist(),
    )  # fmt: skip


# --- capacity and requirements -----------------------------------------------------
@router.post("/offers", status_code=201, responses=responses(404, 409))
def place_capacity_offer(context: Ctx, who: Writer, body: CapacityOfferNew) -> CapacityOfferOut:
    """Offers certified capacity as a reserve or frequency product."""
    request = capacity.OfferRequest(**(body.model_dump() | {"day": terms.day_of(body.day)}))
    market = terms.Terms.of(context.settings)
    with context.store.writing() as session:
        row = capacity.offer(session, who, market, request, context.market_now())
        return CapacityOfferOut.model_validate(row)


@router.get("/offers")
def list_capacity_offers(
    context: Ctx, who: Reader, page: PageDep, day: Annotated[Day | None, Query()] = None
) -> Page[CapacityOfferOut]:
    """The organisation's offers of capacity, newest first."""
    return _page(
        context, page, t.FlexOffer, CapacityOfferOut, t.FlexOffer.aggregator_id == _own(who),
        _if(lambda value: t.FlexOffer.day == value, day),
    )  # fmt: skip


@router.delete("/offers/{offer_id}", responses=responses(404, 409))
def withdraw_capacity_offer(context: Ctx, who: Writer, offer_id: Id) -> CapacityOfferOut:
    """Takes an offer back before its gate."""
    market = terms.Terms.of(context.settings)
    with context.store.writing() as session:
        row = capacity.withdraw_offer(session, who, market, offer_id, context.market_now())
        return CapacityOfferOut.model_validate(row)


@router.post("/requirements", status_code=201, responses=responses(404, 409))
def place_requirement(context: Ctx, who: Operator, body: RequirementNew) -> RequirementOut:
    """What the grid needs; its account pays for what is awarded."""
    request = capacity.RequirementRequest(**(body.model_dump() | {"day": terms.day_of(body.day)}))
    market = terms.Terms.of(context.settings)
    with context.store.writing() as session:
        row = capacity.require(session, who, market, request, context.market_now())
        return RequirementOut.model_validate(row)


@router.get("/requirements")
def list_requirements(
    context: Ctx, who: Reader, page: PageDep, market: Annotated[AnyMarket | None, Query()] = None,
    day: Annotated[Day | None, Query()] = None,
) -> Page[RequirementOut]:  # fmt: skip
    """What the grid needs, newest first."""
    return _page(
        context, page, t.FlexRequirement, RequirementOut,
        _if(lambda value: t.FlexRequirement.market == value, market),
        _if(lambda value: t.FlexRequirement.day == value, day),
    )  # fmt: skip


@router.delete("/requirements/{requirement_id}", responses=responses(404, 409))
def withdraw_requirement(context: Ctx, who: Operator, requirement_id: Id) -> RequirementOut:
    """Takes a requirement back before its gate."""
    market = terms.Terms.of(context.settings)
    with context.store.writing() as session:
        row = capacity.withdraw_requirement(session, who, market, requirement_id, context.market_now())
        return RequirementOut.model_validate(row)


# --- results -----------------------------------------------------------------------
@router.get("/periods")
def list_flex_periods(
    context: Ctx, who: Reader, page: PageDep, market: Annotated[AnyMarket | None, Query()] = None,
    day: Annotated[Day | None, Query()] = None,
) -> Page[PeriodOut]:  # fmt: skip
    """What gates closed and what became of it, newest first."""
    return _page(
        context, page, t.FlexPeriod, PeriodOut, _if(lambda value: t.FlexPeriod.market == value, market),
        _if(lambda value: t.FlexPeriod.day == value, day),
    )  # fmt: skip


@router.get("/periods/{period_id}", responses=responses(404))
def read_flex_period(context: Ctx, who: Reader, period_id: Id) -> PeriodOut:
    """One period with its prices."""
    with context.store.reading() as session:
        return PeriodOut.model_validate(periods.get_period(session, period_id))


@router.get("/awards")
def list_flex_awards(
    context: Ctx, who: Reader, page: PageDep, period_id: Wanted = None, resource_id: Wanted = None
) -> Page[AwardOut]:
    """What the organisation's bids, and bids on its resources, were awarded; by period, source and slot."""
    after = cursor_of(page.after, str, str, int)
    a = t.FlexAward
    mine = select(t.FlexResource.id).where(t.FlexResource.organisation_id == _own(who))
    query = select(a).where((col(a.aggregator_id) == _own(who)) | col(a.resource_id).in_(mine))
    if period_id is not None:
        query = query.where(a.period_id == period_id)
    if resource_id is not None:
        query = query.where(a.resource_id == resource_id)
    if after:
        period, source, start = after
        query = query.where(
            (col(a.period_id) < period)
            | (col(a.period_id) == period)
            & ((col(a.source_id) > source) | (col(a.source_id) == source) & (col(a.start) > start))
        )
    order = (col(a.period_id).desc(), col(a.source_id), col(a.start))
    with context.store.reading() as session:
        rows = session.exec(query.order_by(*order).limit(page.limit + 1)).all()
    shown, cursor = split_page(rows, page.limit, lambda row: (row.period_id, row.source_id, row.start))
    return Page(items=[AwardOut.model_validate(row) for row in shown], next_cursor=cursor)


@router.get("/positions")
def list_flex_positions(
    context: Ctx, who: Reader, page: PageDep, period_id: Annotated[Id, Query()]
) -> Page[PositionOut]:
    """A period's positions as anchored on chain, where they are public, by number."""
    after = cursor_of(page.after, int)
    query = select(t.FlexPosition).where(t.FlexPosition.period_id == period_id)
    if after:
        query = query.where(col(t.FlexPosition.position) > int(after[0]))
    with context.store.reading() as session:
        rows = session.exec(query.order_by(col(t.FlexPosition.position)).limit(page.limit + 1)).all()
    shown, cursor = split_page(rows, page.limit, lambda row: (row.position,))
    return Page(items=[PositionOut.model_validate(row) for row in shown], next_cursor=cursor)


@router.get("/periods/{period_id}/positions/{position}/proof", responses=responses(404))
def read_flex_proof(context: Ctx, who: Reader, period_id: Id, position: int) -> ProofOut:
    """A position's leaf and path to the anchored root."""
    with context.store.reading() as session:
        row = periods.get_period(session, period_id)
        rows = periods.positions_of(session, period_id)
    if row.awards_root is None:
        raise NotFound("nothing is anchored", field="period_id", mend="wait until it is anchored")
    leaf, path = periods.proof(row, rows, position)
    return ProofOut(
        position=PositionOut.model_validate(rows[position]), chain_period=row.chain_period, leaf=leaf,
        proof=path, root=row.awards_root,
    )  # fmt: skip


@router.get("/events")
def list_flex_events(
    context: Ctx, who: Reader, page: PageDep, state: Annotated[EventState | None, Query()] = None,
    period_id: Wanted = None, resource_id: Wanted = None,
) -> Page[EventOut]:  # fmt: skip
    """Dispatches the organisation asks for, and those of its resources, newest first."""
    e = t.FlexEvent
    return _page(
        context, page, e, EventOut, dispatching.visible(_own(who)),
        _if(lambda value: e.state == value, state),
        _if(lambda value: e.period_id == value, period_id),
        _if(lambda value: e.resource_id == value, resource_id),
    )  # fmt: skip


@router.post("/events/{event_id}/receipt", responses=responses(404, 409))
def answer_flex_event(context: Ctx, who: Writer, event_id: Id, body: ReceiptNew) -> EventOut:
    """The resource's answer to an event: accepted or not; the same answer again changes nothing."""
    now = context.market_now()
    with context.store.writing() as session:
        row = dispatching.answer(session, who, event_id, body.accepted, body.reason, now)
        return EventOut.model_validate(row)


@router.get("/settlements")
def list_flex_settlements(
    context: Ctx, who: Reader, page: PageDep, period_id: Wanted = None, resource_id: Wanted = None
) -> Page[FlexSettlementOut]:
    """Members' parts that the organisation sees, as aggregator or as member, newest first."""
    s = t.FlexSettlement
    mine = select(t.FlexResource.id).where(t.FlexResource.organisation_id == _own(who))
    return _page(
        context, page, s, FlexSettlementOut,
        (col(s.aggregator_id) == _own(who)) | col(s.resource_id).in_(mine),
        _if(lambda value: s.period_id == value, period_id),
        _if(lambda value: s.resource_id == value, resource_id),
    )  # fmt: skip


# --- money --------------------------------------------------------------------------
def _market(context: Context) -> FlexMarket:
    return FlexMarket(context.chain.book)


@router.get("/periods/{period_id}/split", responses=responses(404, 409))
def read_flex_split(
    context: Ctx, who: Reader, period_id: Id, account: Annotated[Address | None, Query()] = None
) -> SplitOut:
    """How an account's payment of a period is split over its members; adds up to the micro-unit."""
    with context.store.reading() as session:
        row = periods.get_period(session, period_id)
        name = terms.account_of(session, who, account)
        shares = periods.shares(session, period_id, name)
    return SplitOut(
        period_id=period_id, account=name, paid_micro=sum(share.amount_micro for share in shares),
        root="0x" + FlexMarket.split_root(row.chain_period, name, shares).hex(),
        shares=[ShareOut(account=s.account, amount_micro=s.amount_micro) for s in shares],
    )  # fmt: skip


@router.post("/transactions/trust")
def make_trust_transaction(context: Ctx, who: Writer) -> Transaction:
    """Lets the market's operator lock the sender's deposit for awards: what payers and aggregators need."""
    call = _market(context).trust(periods.operator_of(context.settings))
    return transaction(call, context.chain.book.chain_id)


@router.post("/periods/{period_id}/transactions/split", responses=responses(404, 409))
def make_split_transaction(
    context: Ctx, who: Writer, period_id: Id, account: Annotated[Address | None, Query()] = None
) -> Transaction:
    """Sets aside what the account was paid for its members; the service then pays them."""
    with context.store.reading() as session:
        row = periods.get_period(session, period_id)
        name = terms.account_of(session, who, account)
        shares = periods.shares(session, period_id, name)
    if row.state not in ("settled", "paid"):
        raise Invalid("the period is not settled", field="period_id", mend="wait until it is")
    call = _market(context).anchor_split(row.chain_period, name, shares)
    return transaction(call, context.chain.book.chain_id)


@router.post("/periods/{period_id}/transactions/dispute", responses=responses(404, 409))
def make_dispute_transaction(context: Ctx, who: Writer, period_id: Id, body: DisputeNew) -> Transaction:
    """Disputes a delivery within the window, for the payer or the position's aggregator."""
    with context.store.reading() as session:
        row = periods.get_period(session, period_id)
        awards = periods.chain_awards(periods.positions_of(session, period_id))
    if body.position >= len(awards):
        raise NotFound("no such position", field="position", mend="list the positions")
    evidence = bytes.fromhex(body.evidence_hash[2:])
    call = _market(context).dispute(row.chain_period, awards[body.position], awards, evidence)
    return transaction(call, context.chain.book.chain_id)
