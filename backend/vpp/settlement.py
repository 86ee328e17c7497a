"""From an event to money: performance of each member, the aggregator's position, exact shares, leaves to
anchor.

What the aggregator is paid and penalised for an event is split over its members so that the parts add up
to the micro-unit; each member's part is then divided between member and aggregator by their contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.vpp.errors import FlexError
from backend.vpp.money import BPS, Performance, TierTable, performance, split_exactly
from backend.vpp.resources import digest

METHOD, VERSION = "F5+F6", "1"


@dataclass(frozen=True, slots=True)
class MemberDelivery:
    """A member's part of an event: set and delivered Wh, by which baseline, under which contract shares."""

    resource_id: str
    declared_wh: int
    delivered_wh: int
    baseline_method: str
    baseline_hash: str
    share_bps: int
    penalty_bps: int


@dataclass(frozen=True, slots=True)
class MemberAmount:
    """What an event is worth for a member: its part of payment and penalty, and of these what is its own.

    `to_member_micro` + `to_aggregator_micro` = `payment_micro` - `penalty_micro`.
    """

    resource_id: str
    payment_micro: int
    penalty_micro: int
    to_member_micro: int
    to_aggregator_micro: int
    inputs_hash: str


@dataclass(frozen=True, slots=True)
class EventSettlement:
    """The aggregator's amounts for an event and its members'; sums are exact."""

    total: Performance
    members: tuple[MemberAmount, ...]
    method: str
    version: str
    tier_version: str
    inputs_hash: str


def settle_event(
    members: Sequence[MemberDelivery], price_micro_per_kwh: int, table: TierTable, collateral_micro: int,
    resolved_wh: int | None = None,
) -> EventSettlement:  # fmt: skip
    """Settles an event (F5): the portfolio's performance decides; members share it by what they caused.

    Payment is shared by delivered Wh up to what was declared, penalty by shortfall. The penalty is never more
    than the collateral (F15). `resolved_wh` is what the arbiter of a dispute says was delivered in all.
    """
    if not members:
        raise FlexError("members", "members", 0, "an event without members cannot be settled")
    declared = sum(m.declared_wh for m in members)
    counted = np.array([min(max(m.delivered_wh, 0), m.declared_wh) for m in members], np.int64)
    shortfall = np.array([m.declared_wh for m in members], np.int64) - counted
    over = sum(max(m.delivered_wh, 0) for m in members) if resolved_wh is None else resolved_wh
    total = performance(declared, min(over, declared), price_micro_per_kwh, table)
    penalty = min(total.penalty_micro, collateral_micro)
    if penalty != total.penalty_micro:
        total = Performance(
            total.declared_wh, total.delivered_wh, total.pass_bps, total.payment_micro, penalty
        )
    earning = counted
    if int(counted.sum()) < total.delivered_wh:  # some made up for others: what they gave beyond counts too
        earning = np.array([max(m.delivered_wh, 0) for m in members], np.int64)
    payments = split_exactly(
        total.payment_micro, earning if earning.any() else np.ones(len(members), np.int64)
    )
    penalties = split_exactly(penalty, shortfall if shortfall.any() else np.ones(len(members), np.int64))
    amounts = []
    for m, payment, fine in zip(members, payments.tolist(), penalties.tolist(), strict=True):
        own = payment * m.share_bps // BPS - -(-fine * m.penalty_bps // BPS)
        inputs = digest({
            "resource": m.resource_id, "declared_wh": m.declared_wh, "delivered_wh": m.delivered_wh,
            "baseline": [m.baseline_method, m.baseline_hash], "share_bps": m.share_bps,
            "penalty_bps": m.penalty_bps, "price": price_micro_per_kwh, "tiers": table.version,
        })  # fmt: skip
        amounts.append(MemberAmount(m.resource_id, payment, fine, own, payment - fine - own, inputs))
    return EventSettlement(
        total, tuple(amounts), METHOD, VERSION, table.version,
        digest({"members": [a.inputs_hash for a in amounts], "price": price_micro_per_kwh,
                "collateral_micro": collateral_micro}),
    )  # fmt: skip
