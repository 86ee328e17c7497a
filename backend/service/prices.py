"""Cleared prices of a batch as arrays, read once per batch and kept."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session, col, select

from backend.chain.packing import PriceTable, unpack_prices, unpack_profile, unpack_sold
from backend.service.errors import NotFound, Unavailable
from backend.store.chain import Batch, BatchComputeOffer, BatchPowerOffer, PricePart
from backend.store.market import ComputeOfferRow, PowerOfferRow

Ints = NDArray[np.int64]
NOT_SOLD = 0xFFFFFFFF
"""Compute price of a cell that nobody offers."""
DEFAULT_ENERGY_WH = 110
DAY_SECONDS = 86_400
_KEPT = 64


@dataclass(frozen=True)
class ClearedDay:
    """Prices and energy of one batch. Indices: class k, zone z, mode m (0 grey, 1 green), slot t.

    `sold_wh` and `offered_wh` [m][z][t]; `energy_wh` [k][z] is what a VCU-slot burns there, by capacity.
    """

    batch_id: int
    start: int
    slot_seconds: int
    slots: int
    table: PriceTable
    sold_wh: Ints
    offered_wh: Ints
    energy_wh: Ints
    capacity: Ints

    @property
    def zones(self) -> int:
        """How many zones the batch has."""
        return int(self.table.energy_price.shape[0])

    @property
    def classes(self) -> int:
        """How many classes the batch has."""
        return int(self.table.compute_price.shape[0])

    @property
    def end(self) -> int:
        """End of the last slot, unix seconds."""
        return self.start + self.slots * self.slot_seconds

    @property
    def day_slots(self) -> int:
        """Slots of one day; a batch may cover several."""
        return min(self.slots, DAY_SECONDS // self.slot_seconds)

    def rows(self, start: int, count: int) -> Ints:
        """Rows of the table for `count` slots from `start`; beyond the batch, the same slots of its
        first day.
        """
        first = (start - self.start) // self.slot_seconds
        wanted = np.arange(first, first + count)
        inside = (wanted >= 0) & (wanted < self.slots)
        return np.where(inside, wanted, wanted % self.day_slots)

    def covers(self, start: int, end: int) -> bool:
        """Whether [start, end) lies inside the batch."""
        return self.start <= start and end <= self.end

    def green_share_bps(self) -> Ints:
        """Share of the energy sold that is green [z][t], in 1/10000; 0 where nothing was sold."""
        total = self.sold_wh.sum(axis=0)
        return np.where(total > 0, self.sold_wh[1] * 10_000 // np.maximum(total, 1), 0)

    def carbon_g_per_kwh(self) -> Ints:
        """Carbon of the energy sold [z][t], g/kWh; the grid's where nothing was sold."""
        total = self.sold_wh.sum(axis=0)
        grams = self.sold_wh[0] * self.table.grid_carbon + self.sold_wh[1] * self.table.green_factor
        return np.where(total > 0, grams // np.maximum(total, 1), self.table.grid_carbon)


def read_table(session: Session, batch: Batch) -> PriceTable:
    """The price table as posted; Unavailable while parts are missing."""
    parts = session.exec(
        select(PricePart).where(PricePart.batch_id == batch.batch_id).order_by(col(PricePart.part))
    ).all()
    data = b"".join(part.data for part in parts)
    cells = batch.zones * batch.slots
    if len(data) != cells * (8 * batch.classes + 12):
        raise Unavailable("this batch has no complete price table", mend="wait until its prices are posted")
    return unpack_prices(data, batch.classes, batch.zones, batch.slots)


def read_day(session: Session, batch: Batch) -> ClearedDay:
    """The arrays of a batch, from its tables."""
    table = read_table(session, batch)
    shape = (2, batch.zones, batch.slots)
    sold, offered = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    power = session.exec(
        select(BatchPowerOffer, PowerOfferRow)
        .join(PowerOfferRow, col(PowerOfferRow.offer_hash) == col(BatchPowerOffer.offer_hash))
        .where(BatchPowerOffer.batch_id == batch.batch_id)
    ).all()
    for row, offer in power:
        mode = 1 if offer.source_kind else 0
        sold[mode, offer.zone_id] += unpack_sold(row.sold)
        wh, _ = unpack_profile(offer.profile, offer.tranches)
        first = (offer.start - batch.start) // batch.slot_seconds
        offered[mode, offer.zone_id, first : first + offer.slots] += wh.sum(axis=1)
    weighted = np.zeros((batch.classes, batch.zones), np.int64)
    capacity = np.zeros((batch.classes, batch.zones, batch.slots), np.int64)
    compute = session.exec(
        select(ComputeOfferRow)
        .join(BatchComputeOffer, col(ComputeOfferRow.offer_hash) == col(BatchComputeOffer.offer_hash))
        .where(BatchComputeOffer.batch_id == batch.batch_id)
    ).all()
    weights = np.zeros_like(weighted)
    for site in compute:
        weighted[site.class_id, site.zone_id] += site.capacity * site.energy_wh_per_vcu_slot
        weights[site.class_id, site.zone_id] += site.capacity
        first = max(0, (site.start - batch.start) // batch.slot_seconds)
        last = (site.end - batch.start) // batch.slot_seconds
        capacity[site.class_id, site.zone_id, first:last] += site.capacity
    energy = np.where(weights > 0, weighted // np.maximum(weights, 1), DEFAULT_ENERGY_WH)
    return ClearedDay(
        batch.batch_id, batch.start, batch.slot_seconds, batch.slots, table, sold, offered, energy, capacity
    )


class PriceBook:
    """Cleared days by batch; a day is read once, unless the chain changed under it."""

    def __init__(self) -> None:
        self._days: OrderedDict[tuple[int, int, str], ClearedDay] = OrderedDict()
        self._lock = Lock()

    def of_batch(self, session: Session, batch: Batch) -> ClearedDay:
        """The arrays of a batch."""
        key = (batch.batch_id, batch.finalised_block or 0, batch.solution_hash)
        with self._lock:
            found = self._days.get(key)
        if found is None:
            found = read_day(session, batch)
            if batch.finalised_block is not None:
                with self._lock:
                    self._days[key] = found
                    while len(self._days) > _KEPT:
                        self._days.popitem(last=False)
        return found

    def forget(self) -> None:
        """Drops what was read: the chain changed."""
        with self._lock:
            self._days.clear()

    def latest(self, session: Session) -> ClearedDay | None:
        """The last cleared day, None when nothing has cleared yet."""
        batch = session.exec(
            select(Batch)
            .where(col(Batch.finalised_block).is_not(None))
            .order_by(col(Batch.start).desc(), col(Batch.batch_id).desc())
            .limit(1)
        ).first()
        return self.of_batch(session, batch) if batch else None

    def cleared_in(self, session: Session, start: int, end: int) -> list[ClearedDay]:
        """Cleared batches that cover some of [start, end), the last cleared first."""
        batches = session.exec(
            select(Batch)
            .where(
                col(Batch.finalised_block).is_not(None),
                Batch.start < end,
                col(Batch.start) + col(Batch.slots) * col(Batch.slot_seconds) > start,
            )
            .order_by(col(Batch.batch_id).desc())
        ).all()
        return [self.of_batch(session, batch) for batch in batches]


def get_batch(session: Session, batch_id: int) -> Batch:
    """A batch; NotFound when there is none."""
    batch = session.get(Batch, batch_id) if batch_id < 1 << 62 else None
    if batch is None:
        raise NotFound(f"no batch {batch_id}", field="batch_id", mend="list the batches")
    return batch
