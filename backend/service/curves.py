"""Supply and demand of one slot as steps (merit order), out of the offers and orders of a batch."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, select

from backend.chain.packing import unpack_profile
from backend.service.errors import Invalid
from backend.service.prices import ClearedDay
from backend.store.chain import BatchComputeOffer, BatchPowerOffer, ClearedOrder
from backend.store.market import ComputeOfferRow, OrderRow, PowerOfferRow


@dataclass(frozen=True, slots=True)
class Step:
    """`quantity` (Wh or VCU) at `price` (micro-units per kWh or per VCU-slot); cumulated in order of
    price.
    """

    price: int
    quantity: int
    source: int | None = None
    sold: int | None = None


@dataclass(frozen=True, slots=True)
class Curves:
    """The merit order of one cell."""

    energy_supply: list[Step]
    energy_price_grey: int
    energy_price_green: int
    compute_supply: list[Step]
    compute_demand: list[Step]
    compute_price_grey: int
    compute_price_green: int


def curves(session: Session, day: ClearedDay, class_id: int, zone_id: int, slot: int) -> Curves:
    """Merit order of energy in (zone, slot) and of compute in (class, zone, slot)."""
    for name, value, most in (
        ("class_id", class_id, day.classes), ("zone_id", zone_id, day.zones), ("slot", slot, day.slots),
    ):  # fmt: skip
        if not 0 <= value < most:
            raise Invalid(f"the batch has no {name} {value}", field=name, mend=f"give 0 to {most - 1}")
    energy = day.table.energy_price[zone_id, :, slot]
    compute = day.table.compute_price[class_id, zone_id, :, slot]
    return Curves(
        _energy(session, day, zone_id, slot),
        int(energy[0]),
        int(energy[1]),
        _compute(session, day, class_id, zone_id, slot),
        _demand(session, day, class_id, zone_id, slot),
        int(compute[0]),
        int(compute[1]),
    )


def _energy(session: Session, day: ClearedDay, zone_id: int, slot: int) -> list[Step]:
    rows = session.exec(
        select(BatchPowerOffer, PowerOfferRow)
        .join(PowerOfferRow, col(PowerOfferRow.offer_hash) == col(BatchPowerOffer.offer_hash))
        .where(BatchPowerOffer.batch_id == day.batch_id, PowerOfferRow.zone_id == zone_id)
    ).all()
    steps = []
    for taken, offer in rows:
        row = slot - (offer.start - day.start) // day.slot_seconds
        if not 0 <= row < offer.slots:
            continue
        wh, asks = unpack_profile(offer.profile, offer.tranches)
        left = int.from_bytes(taken.sold[4 * slot : 4 * slot + 4])
        for ask, quantity in sorted(zip(asks[row].tolist(), wh[row].tolist(), strict=True)):
            if quantity:
                sold = min(left, quantity)
                left -= sold
                steps.append(Step(ask, quantity, offer.source_kind, sold))
    return sorted(steps, key=lambda step: (step.price, step.source))


def _compute(session: Session, day: ClearedDay, class_id: int, zone_id: int, slot: int) -> list[Step]:
    """Lanes by what they cost all-in with grey energy: ask + energy."""
    rows = session.exec(
        select(ComputeOfferRow)
        .join(BatchComputeOffer, col(ComputeOfferRow.offer_hash) == col(BatchComputeOffer.offer_hash))
        .where(
            BatchComputeOffer.batch_id == day.batch_id,
            ComputeOfferRow.class_id == class_id,
            ComputeOfferRow.zone_id == zone_id,
        )
    ).all()
    at = day.start + slot * day.slot_seconds
    cheaper = int(day.table.energy_price[zone_id, :, slot].min())
    steps = [
        Step(offer.ask_price + -(-offer.energy_wh_per_vcu_slot * cheaper // 1000), offer.capacity)
        for offer in rows
        if offer.start <= at < offer.end
    ]
    return sorted(steps, key=lambda step: step.price)


def _demand(session: Session, day: ClearedDay, class_id: int, zone_id: int, slot: int) -> list[Step]:
    """Lanes of the cleared orders whose window has the slot, by their limit; sealed orders stay sealed."""
    at = day.start + slot * day.slot_seconds
    rows = session.exec(
        select(OrderRow.limit_price, OrderRow.lanes, OrderRow.zone_mask)
        .join(ClearedOrder, col(ClearedOrder.order_hash) == col(OrderRow.order_hash))
        .where(
            ClearedOrder.batch_id == day.batch_id,
            OrderRow.class_id == class_id,
            OrderRow.start <= at,
            OrderRow.deadline > at,
        )
    ).all()
    steps = [Step(limit, lanes) for limit, lanes, mask in rows if mask >> zone_id & 1]
    return sorted(steps, key=lambda step: -step.price)
