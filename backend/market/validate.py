"""What a well-formed book is: every rule of the order language, checked with a named error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from backend.market.errors import BookError
from backend.market.validate_assets import inside, known, unique, validate_assets

if TYPE_CHECKING:
    from backend.market.domain import Book

UINT32 = 0xFFFFFFFF
INT31 = 2**31 - 1
MAX_SLOTS = 0xFFFF  # uint16 in a run
# Sizes beyond which sums could leave 63 bits; far above any market.
MAX_LANES = UINT32
MAX_WH = UINT32
_RANGES = {  # column -> (lowest, highest, what it is)
    "lanes": (1, MAX_LANES, "VCU lanes"),
    "duration_slots": (1, MAX_SLOTS, "slots"),
    "start_slot": (0, MAX_SLOTS, "a slot of the batch"),
    "deadline_slot": (1, MAX_SLOTS, "a slot of the batch"),
    "limit_micro_per_vcu_slot": (0, UINT32, "micro-units per VCU-slot"),
    "min_lanes": (0, MAX_LANES, "VCU lanes"),
    "min_green_bps": (0, 10_000, "basis points"),
    "max_carbon_g_per_kwh": (0, UINT32, "g/kWh"),
    "carbon_price_micro_per_g": (0, UINT32, "micro-units per g"),
    "kind": (0, 4, "an order kind"),
}


def integer_column(name: str, columns: Mapping[str, npt.ArrayLike]) -> npt.NDArray[np.int64]:
    """Column `name` as int64 (uint64 for the zone mask). Raises BookError for a gap, a fraction, NaN or
    overflow."""
    if name not in columns:
        raise BookError(f"orders.{name}", None, "the column is missing")
    given = np.asarray(columns[name])
    wanted = np.uint64 if name == "zone_mask" else np.int64
    if given.size == 0:
        return np.zeros(0, dtype=wanted)
    if given.dtype.kind == "f" or given.dtype.kind == "O":
        for row, value in enumerate(given.reshape(-1).tolist()):
            if value is None or value != value or int(value) != value:
                raise BookError(f"orders.{name}[{row}]", value, "must be a whole number")
        given = np.array([int(v) for v in given.reshape(-1).tolist()], dtype=object)
    elif given.dtype.kind not in "iub":
        raise BookError(f"orders.{name}", str(given.dtype), "must be integers")
    low, high = (0, 2**64 - 1) if name == "zone_mask" else (-(2**63), 2**63 - 1)
    for row in (int(np.argmin(given)), int(np.argmax(given))):
        if not low <= int(given[row]) <= high:
            raise BookError(f"orders.{name}[{row}]", int(given[row]), "does not fit 64 bits")
    return given.astype(wanted).reshape(-1)  # type: ignore[return-value]  # the mask is uint64


def validate(book: Book) -> None:
    """Raises BookError at the first rule that `book` breaks."""
    grid = book.slots
    if not 1 <= grid.count <= MAX_SLOTS:
        raise BookError("slots.count", grid.count, f"must be 1..{MAX_SLOTS}")
    if grid.slot_seconds < 1:
        raise BookError("slots.slot_seconds", grid.slot_seconds, "must be at least 1")
    unique("zones", [zone.id for zone in book.zones])
    unique("classes", [cls.id for cls in book.classes])
    for zone in book.zones:
        inside(f"zones[{zone.id}].id", zone.id, 0, 63)
    for cls in book.classes:
        inside(f"classes[{cls.id}].id", cls.id, 0, 255)
        inside(f"classes[{cls.id}].energy_wh_per_vcu_slot", cls.energy_wh_per_vcu_slot, 0, UINT32)
    if book.grid_carbon.shape != (len(book.zones), grid.count):
        raise BookError(
            "grid_carbon", book.grid_carbon.shape, "must have one row per zone, one column per slot"
        )
    if (
        book.grid_carbon.size
        and not 0 <= int(book.grid_carbon.min()) <= int(book.grid_carbon.max()) <= 0xFFFF
    ):
        raise BookError("grid_carbon", int(book.grid_carbon.max()), "must be 0..65535 g/kWh")
    _bands(book)
    _compute_offers(book)
    _power_offers(book)
    _orders(book)
    validate_assets(book)


def _bands(book: Book) -> None:
    bands = book.bands
    inside("bands.compute_max", bands.compute_max, 0, UINT32)
    inside("bands.energy_min", bands.energy_min, -INT31 - 1, bands.energy_max)
    inside("bands.energy_max", bands.energy_max, bands.energy_min, INT31)
    inside("bands.compute_tick", bands.compute_tick, 1, max(bands.compute_max, 1))
    inside("bands.energy_tick", bands.energy_tick, 1, INT31)
    if bands.energy_max // bands.energy_tick < -(-bands.energy_min // bands.energy_tick):
        raise BookError("bands.energy_tick", bands.energy_tick, "no multiple lies inside the energy band")


def _compute_offers(book: Book) -> None:
    unique("compute_offers", [offer.id for offer in book.compute_offers])
    zones, classes = book.zone_index(), book.class_index()
    for offer in book.compute_offers:
        at = f"compute_offers[{offer.id}]"
        known(f"{at}.zone_id", offer.zone_id, zones)
        known(f"{at}.class_id", offer.class_id, classes)
        inside(f"{at}.capacity", offer.capacity, 0, UINT32)
        inside(f"{at}.energy_wh_per_vcu_slot", offer.energy_wh_per_vcu_slot, 0, UINT32)
        inside(f"{at}.ask_micro_per_vcu_slot", offer.ask_micro_per_vcu_slot, 0, UINT32)
        inside(f"{at}.start_slot", offer.start_slot, 0, book.slots.count)
        inside(f"{at}.end_slot", offer.end_slot, offer.start_slot, book.slots.count)


def _power_offers(book: Book) -> None:
    unique("power_offers", [offer.id for offer in book.power_offers])
    unique("power_offers.plant_id", [offer.plant_id for offer in book.power_offers])
    zones = book.zone_index()
    grids: set[int] = set()
    for offer in book.power_offers:
        at = f"power_offers[{offer.id}]"
        known(f"{at}.zone_id", offer.zone_id, zones)
        inside(f"{at}.source", offer.source, 0, 7)
        inside(f"{at}.emission_g_per_kwh", offer.emission_g_per_kwh, 0, 0xFFFF)
        if offer.wh.ndim != 2 or offer.wh.shape[0] != book.slots.count:
            raise BookError(f"{at}.wh", offer.wh.shape, "must be slots x tranches")
        if offer.ask_micro_per_kwh.shape != offer.wh.shape:
            raise BookError(
                f"{at}.ask_micro_per_kwh", offer.ask_micro_per_kwh.shape, "must have the shape of wh"
            )
        if offer.wh.size:
            inside(f"{at}.wh", int(offer.wh.min()), 0, MAX_WH)
            inside(f"{at}.wh", int(offer.wh.max()), 0, MAX_WH)
            inside(f"{at}.ask_micro_per_kwh", int(offer.ask_micro_per_kwh.min()), -INT31 - 1, INT31)
            inside(f"{at}.ask_micro_per_kwh", int(offer.ask_micro_per_kwh.max()), -INT31 - 1, INT31)
        if offer.source == 0:
            if offer.zone_id in grids:
                raise BookError(
                    f"{at}.zone_id", offer.zone_id, "a zone has at most one grid offer (source 0)"
                )
            grids.add(offer.zone_id)


def _orders(book: Book) -> None:
    table = book.orders
    if len(table) == 0:
        return
    same = np.flatnonzero(table.id[1:] == table.id[:-1])
    if len(same):
        raise BookError("orders.id", str(table.id[same[0]]), "is used twice")

    def refuse(bad: npt.NDArray[np.bool_], column: str, mend: str) -> None:
        if bad.any():
            row = int(np.argmax(bad))
            raise BookError(f"orders[{table.id[row]}].{column}", int(getattr(table, column)[row]), mend)

    for column, (low, high, what) in _RANGES.items():
        values = getattr(table, column)
        refuse((values < low) | (values > high), column, f"must be {what}, {low}..{high}")
    refuse(table.deadline_slot > book.slots.count, "deadline_slot", f"the batch has {book.slots.count} slots")
    room = table.deadline_slot - table.start_slot
    refuse(room < 1, "deadline_slot", "the deadline must come after the start")
    refuse(table.duration_slots > room, "duration_slots", "does not fit between start and deadline")
    refuse(table.min_lanes > table.lanes, "min_lanes", "must not exceed lanes")
    known = np.isin(table.class_id, np.array([cls.id for cls in book.classes], dtype=np.int64))
    refuse(~known, "class_id", "no such class")
    mask = np.uint64(sum(1 << zone.id for zone in book.zones))
    refuse((table.zone_mask & mask) == 0, "zone_mask", "names no zone of the book")
