"""How likely an order is to be filled, learnt from the last cleared book where it is archived."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from sqlmodel import Session

from backend.service.prices import ClearedDay, PriceBook
from backend.service.quotes import AT_PRICES, Ask, FillModel, fill_model, quote
from backend.settings import Settings
from backend.store.chain import Batch

_SAMPLE = 1_000


class HasArchive(Protocol):
    """Whatever has settings and prices."""

    settings: Settings
    prices: PriceBook


def archived(archive: Path | None, kind: str, digest: str) -> bytes | None:
    """A file of the archive by its SHA-256, None when it is not there or was changed."""
    if archive is None:
        return None
    name = digest.removeprefix("0x")
    for path in (archive / kind).glob(f"{name}.*"):
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == name:
            return data
    return None


def model(session: Session, context: HasArchive, day: ClearedDay) -> FillModel:
    """The fill model of the book that cleared at `day`'s prices; without the book, the prices decide
    alone.
    """
    batch = session.get_one(Batch, day.batch_id)
    archive = context.settings.archive
    return _learn(_Key(day), str(archive) if archive else None, batch.book_hash, batch.solution_hash)


class _Key:
    """A cleared day as a cache key."""

    def __init__(self, day: ClearedDay) -> None:
        self.day = day

    def __hash__(self) -> int:
        return hash(self.day.batch_id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.day is self.day


@lru_cache(maxsize=16)
def _learn(key: _Key, archive: str | None, book_hash: str, solution_hash: str) -> FillModel:
    from backend.market.codec import book_from_json, solution_from_json

    path = Path(archive) if archive else None
    book_data, solution_data = archived(path, "book", book_hash), archived(path, "solution", solution_hash)
    if book_data is None or solution_data is None:
        return AT_PRICES
    day = key.day
    book, solution = book_from_json(book_data), solution_from_json(solution_data)
    orders = book.orders
    count = len(orders.id)
    filled = np.zeros(count, np.int64)
    np.add.at(filled, solution.fills.order, solution.fills.lanes)
    wanted = orders.lanes * orders.duration_slots
    margins, shares = [], []
    for row in range(0, count, max(1, count // _SAMPLE)):
        ask = Ask(
            int(orders.class_id[row]),
            tuple(zone for zone in range(day.zones) if int(orders.zone_mask[row]) >> zone & 1),
            int(orders.lanes[row]),
            int(orders.duration_slots[row]),
            day.start + int(orders.start_slot[row]) * day.slot_seconds,
            day.start + int(orders.deadline_slot[row]) * day.slot_seconds,
            int(orders.min_green_bps[row]),
            int(orders.max_carbon_g_per_kwh[row]),
            int(orders.carbon_price_micro_per_g[row]),
        )
        price = quote(day, ask)
        if price is not None:
            limit = int(orders.limit_micro_per_vcu_slot[row])
            margins.append((limit - price.price_micro) * 10_000 // max(price.price_micro, 1))
            shares.append(int(filled[row]) * 10_000 // int(wanted[row]))
    return fill_model(np.array(margins, np.int64), np.array(shares, np.int64)) if margins else AT_PRICES
