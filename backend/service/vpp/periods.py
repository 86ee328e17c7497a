"""A period's money and proofs: amounts by F5, shares of members, leaves and paths of the anchored trees."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from coincurve import PrivateKey
from sqlmodel import Session, col, select

from backend.chain.eip712 import address_of
from backend.chain.flex import Award, Delivery, Share
from backend.service.errors import Conflict, NotFound
from backend.service.signers import load_secret
from backend.service.vpp.clearing import Cleared
from backend.service.vpp.measuring import Part
from backend.settings import Settings
from backend.store.flex import FlexAward, FlexPeriod, FlexPosition, FlexSettlement
from backend.vpp.money import tiers_at
from backend.vpp.settlement import EventSettlement, MemberDelivery, settle_event
from oracle.wire.merkle import MerkleTree

AMPLE = 2**62
"""FlexMarket locked every penalty at its most, so no collateral cuts one."""


def operator_of(settings: Settings) -> str:
    """Address of the operator that anchors and settles; Conflict where the service has no key."""
    secret = load_secret(settings)
    if secret is None:
        raise Conflict("this service anchors nothing", mend="ask the operator for its address")
    return address_of(PrivateKey(secret).public_key).lower()


def get_period(session: Session, period_id: str) -> FlexPeriod:
    """A period; they are public to whoever may read flexibility."""
    row = session.get(FlexPeriod, period_id)
    if row is None:
        raise NotFound("no such period", field="period_id", mend="list the periods")
    return row


def positions_of(session: Session, period_id: str) -> list[FlexPosition]:
    """A period's positions in the order of the tree."""
    return list(
        session.exec(
            select(FlexPosition)
            .where(FlexPosition.period_id == period_id)
            .order_by(col(FlexPosition.position))
        )
    )


def awards_of(session: Session, period_id: str) -> Sequence[FlexAward]:
    """A period's awards."""
    return session.exec(select(FlexAward).where(FlexAward.period_id == period_id)).all()


def chain_awards(positions: Sequence[FlexPosition]) -> list[Award]:
    """The positions as FlexMarket knows them."""
    return [Award(p.position, p.account, p.product, p.declared_wh, p.price_micro_per_kwh) for p in positions]


def chain_deliveries(period: FlexPeriod, positions: Sequence[FlexPosition]) -> list[Delivery]:
    """What was delivered as posted: at most what was declared counts."""
    assert period.inputs_hash is not None
    return [Delivery(p.delivered_wh or 0, period.inputs_hash) for p in positions]


def write_positions(session: Session, period: FlexPeriod, cleared: Cleared) -> None:
    """Positions and awards of a period, as cleared."""
    for number, sales in enumerate(cleared.positions()):
        first = sales[0]
        session.add(
            FlexPosition(
                period_id=period.id, position=number, aggregator_id=first.aggregator_id,
                account=first.account, product=first.product, zone_id=first.zone_id, start=first.start,
                seconds=first.seconds, declared_wh=sum(s.energy_wh for s in sales),
                price_micro_per_kwh=first.price_micro_per_kwh,
            )
        )  # fmt: skip
        session.add_all(
            FlexAward(
                period_id=period.id, source_id=s.source_id, start=s.start, position=number,
                aggregator_id=s.aggregator_id, resource_id=s.resource_id, seconds=s.seconds,
                energy_wh=s.energy_wh, price_micro_per_kwh=s.price_micro_per_kwh,
            )
            for s in sales
        )  # fmt: skip
    session.flush()


def settled(
    position: FlexPosition, members: Sequence[MemberDelivery], resolved_wh: int | None = None
) -> EventSettlement:
    """F5 of a position, shared over its members; `resolved_wh` where an arbiter decided."""
    table = tiers_at(position.start)
    return settle_event(members, position.price_micro_per_kwh, table, AMPLE, resolved_wh)


def write_settlement(
    session: Session, period: FlexPeriod, parts: Mapping[int, Sequence[Part]], inputs_hash: str
) -> None:
    """Deliveries and amounts of every position, and of every member's part."""
    now = int(time.time())
    for position in positions_of(session, period.id):
        own = parts[position.position]
        members = [
            MemberDelivery(p.resource.id, p.declared_wh, p.delivered_wh, p.method, inputs_hash, p.share_bps,
                           p.penalty_bps) for p in own
        ]  # fmt: skip
        found = settled(position, members)
        position.delivered_wh = found.total.delivered_wh
        position.payment_micro, position.penalty_micro = found.total.payment_micro, found.total.penalty_micro
        session.add(position)
        session.add_all(
            FlexSettlement(
                period_id=period.id, position=position.position, aggregator_id=position.aggregator_id,
                resource_id=part.resource.id, account=part.account, declared_wh=part.declared_wh,
                delivered_wh=part.delivered_wh, share_bps=part.share_bps, penalty_bps=part.penalty_bps,
                payment_micro=amount.payment_micro, penalty_micro=amount.penalty_micro,
                to_member_micro=amount.to_member_micro, method=f"{found.method}/{part.method}",
                version=f"{found.version}/{found.tier_version}", inputs_hash=amount.inputs_hash,
                reason=part.reason, created_at=now,
            )
            for part, amount in zip(own, found.members, strict=True)
        )  # fmt: skip
    session.flush()


def correct(session: Session, period: FlexPeriod, resolved: Mapping[int, int]) -> None:
    """Amounts anew where the arbiter decided otherwise: position -> Wh."""
    for position in positions_of(session, period.id):
        if position.position not in resolved:
            continue
        rows = session.exec(
            select(FlexSettlement)
            .where(FlexSettlement.period_id == period.id, FlexSettlement.position == position.position)
            .order_by(col(FlexSettlement.resource_id))
        ).all()
        members = [
            MemberDelivery(r.resource_id, r.declared_wh, r.delivered_wh, r.method.split("/")[1],
                           period.inputs_hash or "", r.share_bps, r.penalty_bps) for r in rows
        ]  # fmt: skip
        found = settled(position, members, resolved[position.position])
        position.payment_micro, position.penalty_micro = found.total.payment_micro, found.total.penalty_micro
        session.add(position)
        for row, amount in zip(rows, found.members, strict=True):
            row.payment_micro, row.penalty_micro = amount.payment_micro, amount.penalty_micro
            row.to_member_micro, row.reason = amount.to_member_micro, "as the arbiter decided"
            session.add(row)
    session.flush()


def shares(session: Session, period_id: str, account: str) -> list[Share]:
    """What an account was paid in a period, split: members' own parts, the rest its own; adds up exactly.

    A member whose penalties exceed its payments gets nothing; what it owes stays the aggregator's claim.
    """
    positions = [p for p in positions_of(session, period_id) if p.account == account]
    if not positions or any(p.payment_micro is None for p in positions):
        raise Conflict("nothing is measured yet", field="period_id", mend="wait until it is delivered")
    numbers = [p.position for p in positions]
    sums: dict[str, int] = {}
    for row in session.exec(
        select(FlexSettlement).where(
            FlexSettlement.period_id == period_id, col(FlexSettlement.position).in_(numbers)
        )
    ):
        if row.account != account:
            sums[row.account] = sums.get(row.account, 0) + row.to_member_micro
    paid = sum(p.payment_micro or 0 for p in positions)
    found = {name: amount for name, amount in sorted(sums.items()) if amount > 0}
    given = sum(found.values())
    assert given <= paid
    return [Share(name, amount) for name, amount in sorted((found | {account: paid - given}).items())]


def proof(period: FlexPeriod, positions: Sequence[FlexPosition], number: int) -> tuple[str, list[str]]:
    """(leaf, path) of an anchored position, hex."""
    if not 0 <= number < len(positions):
        raise NotFound("no such position", field="position", mend=f"use 0..{len(positions) - 1}")
    awards = chain_awards(positions)
    tree = MerkleTree.of(award.leaf(period.chain_period) for award in awards)
    leaf = awards[number].leaf(period.chain_period)
    return "0x" + leaf.hex(), ["0x" + node.hex() for node in tree.proof(leaf)]
