"""An aggregator's standing bids of a zone and day as one portfolio bid."""

from __future__ import annotations

from datetime import date

from sqlmodel import Session, col, select

from backend.service.vpp.bids import blocks_of, sold_wh
from backend.service.vpp.terms import BAND, HOUR_SLOTS, ZONES, Terms
from backend.store.flex import FlexBid
from backend.vpp.portfolio import MemberBid, PortfolioBid, Step, portfolio
from backend.vpp.spot import QUANTITY_MAX_WH, Ints


def standing(
    session: Session, aggregator_id: str, terms: Terms, market: str, product: str, day: date, zone_id: int
) -> tuple[PortfolioBid, int]:
    """The portfolio and its number of steps; blocks count to the lower limit with all they may be asked
    for.
    """
    rows = session.exec(
        select(FlexBid)
        .where(
            FlexBid.aggregator_id == aggregator_id, FlexBid.market == market, FlexBid.product == product,
            FlexBid.day == day.isoformat(), FlexBid.zone_id == zone_id,
            col(FlexBid.withdrawn_at).is_(None), FlexBid.refused == "",
        )
        .order_by(col(FlexBid.id))
    ).all()  # fmt: skip
    slots = terms.day(day)
    members = [
        MemberBid(
            row.id, zone_id, tuple(tuple(Step(*step) for step in ladder) for ladder in row.ladders),
            QUANTITY_MAX_WH,
        )
        for row in rows
    ]  # fmt: skip
    found = portfolio(aggregator_id, members, slots, zones=ZONES, band=BAND)
    for row in rows:
        for t, energy in enumerate(sold_wh([()] * slots.count, blocks_of(row.blocks, zone_id), slots.count)):
            found.lower_wh[t] -= energy
    return found, len(found.quantity_wh)


def hourly(values: Ints) -> Ints:
    """Wh per hour."""
    return values.reshape(-1, HOUR_SLOTS).sum(axis=1)
