"""The carbon of what an organisation used, location and market based (F10), from the chain's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from backend.carbon.factors import FOSSIL_FALLBACK_G_PER_KWH
from backend.service.deliveries import slots_of
from backend.service.prices import PriceBook, get_batch
from backend.store.chain import Agreement, Batch


@dataclass(frozen=True, slots=True)
class Use:
    """Energy and carbon in one zone; energy in Wh, carbon in g, both of settled slots only."""

    zone_id: int
    energy_wh: int
    matched_wh: int
    location_g: int
    market_g: int
    slots: int
    slots_open: int


def statement(
    session: Session, prices: PriceBook, accounts: Sequence[str], start: int, end: int, now: int
) -> list[Use]:
    """Use by zone of slots that start in [start, end). Matched Wh count at the plants' factor, the rest at
    the residual mix; location based takes the grid's factor of slot and zone.
    """
    first = col(Batch.start) + col(Agreement.start_slot) * col(Batch.slot_seconds)
    last = col(Batch.start) + col(Agreement.end_slot) * col(Batch.slot_seconds)
    rows = session.exec(
        select(Agreement)
        .join(Batch, col(Batch.batch_id) == col(Agreement.batch_id))
        .where(
            col(Agreement.maker).in_(accounts),
            first < end,
            last > start,
            col(Batch.finalised_block).is_not(None),
        )
    ).all()
    slots = slots_of(session, prices, rows, now)
    table: dict[int, list[int]] = {}
    for row in rows:
        day = prices.of_batch(session, get_batch(session, row.batch_id))
        sums = table.setdefault(row.zone_id, [0] * 6)
        for slot in slots[(row.batch_id, row.chunk_index, row.run_index)]:
            if not start <= slot.start < end:
                continue
            if slot.delivered_milli_lanes is None:
                sums[5] += slot.state != "refunded"
                continue
            used = row.energy_wh_per_vcu_slot * slot.delivered_milli_lanes // 1000
            matched = min(slot.matched_wh or 0, used)
            sums[0] += used
            sums[1] += matched
            sums[2] += used * int(day.table.grid_carbon[row.zone_id, slot.slot])
            sums[3] += matched * int(day.table.green_factor[row.zone_id, slot.slot])
            sums[3] += (used - matched) * FOSSIL_FALLBACK_G_PER_KWH
            sums[4] += 1
    return [
        Use(zone, used, matched, location // 1000, market // 1000, settled, waiting)
        for zone, (used, matched, location, market, settled, waiting) in sorted(table.items())
    ]
