"""What well-formed storage, lines, flexibility and earlier commitments are; each rule has a named error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backend.market.assets import BPS, Ints
from backend.market.errors import BookError

if TYPE_CHECKING:
    from backend.market.domain import Book

UINT32 = 0xFFFFFFFF
INT31 = 2**31 - 1


def validate_assets(book: Book) -> None:
    """Raises BookError at the first rule that an asset or a position of `book` breaks."""
    zones = book.zone_index()
    assets, taken = book.assets, {offer.id for offer in book.compute_offers}
    for name, rows in (
        ("flexibilities", assets.flexibilities),
        ("storages", assets.storages),
        ("lines", assets.lines),
        ("positions.compute", book.positions.compute),
        ("positions.power", book.positions.power),
    ):
        unique(name, [row.id for row in rows])
    for flex in assets.flexibilities:
        at = f"flexibilities[{flex.id}]"
        known(f"{at}.zone_id", flex.zone_id, zones)
        for band in ("shed", "raise"):
            _row(f"{at}.{band}_wh", getattr(flex, f"{band}_wh"), book, 0, UINT32)
        _row(f"{at}.shed_ask_micro_per_kwh", flex.shed_ask_micro_per_kwh, book, -INT31 - 1, INT31)
        _row(f"{at}.raise_bid_micro_per_kwh", flex.raise_bid_micro_per_kwh, book, -INT31 - 1, INT31)
    for store in assets.storages:
        at = f"storages[{store.id}]"
        known(f"{at}.zone_id", store.zone_id, zones)
        inside(f"{at}.mode", store.mode, 0, 1)
        for field in ("charge_wh", "discharge_wh", "energy_wh"):
            inside(f"{at}.{field}", getattr(store, field), 0, UINT32)
        inside(f"{at}.initial_wh", store.initial_wh, 0, store.energy_wh)
        inside(f"{at}.final_wh", store.final_wh, 0, store.initial_wh)
        inside(f"{at}.efficiency_bps", store.efficiency_bps, 1, BPS)
        inside(f"{at}.wear_micro_per_kwh", store.wear_micro_per_kwh, 0, INT31)
    for line in assets.lines:
        at = f"lines[{line.id}]"
        known(f"{at}.from_zone_id", line.from_zone_id, zones)
        known(f"{at}.to_zone_id", line.to_zone_id, zones)
        if line.from_zone_id == line.to_zone_id:
            raise BookError(f"{at}.to_zone_id", line.to_zone_id, "a line joins two zones")
        inside(f"{at}.mode", line.mode, 0, 1)
        _row(f"{at}.capacity_wh", line.capacity_wh, book, 0, UINT32)
        inside(f"{at}.loss_bps", line.loss_bps, 0, BPS - 1)
        inside(f"{at}.fee_micro_per_kwh", line.fee_micro_per_kwh, 0, INT31)
    _positions(book, taken)


def _positions(book: Book, taken: set[str]) -> None:
    slots = book.slots.count
    sites = {offer.id: offer for offer in book.compute_offers}
    left = {}
    for offer in book.compute_offers if book.positions.compute else ():
        left[offer.id] = np.zeros(slots, dtype=np.int64)
        left[offer.id][offer.start_slot : offer.end_slot] = offer.capacity
    for position in book.positions.compute:
        at = f"positions.compute[{position.id}]"
        if position.offer_id not in sites:
            raise BookError(f"{at}.offer_id", position.offer_id, "is not a compute offer of the book")
        if position.id in taken:
            raise BookError(f"{at}.id", position.id, "is the id of a compute offer")
        inside(f"{at}.mode", position.mode, 0, 1)
        inside(f"{at}.lanes", position.lanes, 1, UINT32)
        inside(f"{at}.start_slot", position.start_slot, 0, slots - 1)
        inside(f"{at}.end_slot", position.end_slot, position.start_slot + 1, slots)
        if position.resale_ask_micro_per_vcu_slot is not None:
            inside(f"{at}.resale_ask_micro_per_vcu_slot", position.resale_ask_micro_per_vcu_slot, 0, UINT32)
        free = left[position.offer_id]
        free[position.start_slot : position.end_slot] -= position.lanes
        if int(free.min()) < 0:
            slot = int(np.argmin(free))
            raise BookError(f"{at}.lanes", position.lanes, f"the site has too few lanes in slot {slot}")
    plants = {offer.id: offer.wh.sum(axis=1) for offer in book.power_offers if book.positions.power}
    for power in book.positions.power:
        at = f"positions.power[{power.id}]"
        if power.offer_id not in plants:
            raise BookError(f"{at}.offer_id", power.offer_id, "is not a power offer of the book")
        _row(f"{at}.wh", power.wh, book, 0, UINT32)
        plants[power.offer_id] = plants[power.offer_id] - power.wh
        if int(plants[power.offer_id].min()) < 0:
            slot = int(np.argmin(plants[power.offer_id]))
            raise BookError(f"{at}.wh", int(power.wh[slot]), f"the plant offers too little in slot {slot}")


def _row(where: str, values: Ints, book: Book, low: int, high: int) -> None:
    if values.shape != (book.slots.count,):
        raise BookError(where, values.shape, f"must have one value for each of {book.slots.count} slots")
    for value in (int(values.min()), int(values.max())):
        inside(where, value, low, high)


def unique(what: str, ids: Sequence[int] | Sequence[str]) -> None:
    """Raises BookError at an id that occurs twice."""
    seen: set[int | str] = set()
    for one in ids:
        if one in seen:
            raise BookError(f"{what}.id", one, "is used twice")
        seen.add(one)


def known(where: str, value: int, table: dict[int, int]) -> None:
    """Raises BookError where `value` is not a key of `table`."""
    if value not in table:
        raise BookError(where, value, "is not in the book")


def inside(where: str, value: int, low: int, high: int) -> None:
    """Raises BookError where `value` is not a whole number between `low` and `high`."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise BookError(where, value, "must be a whole number")
    if not low <= value <= high:
        raise BookError(where, value, f"must be {low}..{high}")
