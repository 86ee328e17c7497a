"""What a cleared batch would have been under other circumstances (pure: a book in, two sets of figures out).

The book is the archived one that the batch names on chain; "before" is the archived solution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backend.market.clearing import clear
from backend.market.codec import book_from_json, solution_from_json
from backend.market.domain import GREEN, GREY, Book, PowerOffer, Solution
from backend.market.metrics import metrics

ONE_BPS = 10_000


@dataclass(frozen=True, slots=True)
class Changes:
    """How the circumstances differ; shares in 1/10000 (10000 = as it was)."""

    demand_bps: int = ONE_BPS
    limit_price_bps: int = ONE_BPS
    supply_bps_of_source: tuple[tuple[int, int], ...] = ()
    grid_price_bps: int = ONE_BPS
    grid_carbon_bps: int = ONE_BPS
    plants_out: tuple[int, ...] = ()
    sites_out: tuple[int, ...] = ()
    min_green_bps: int | None = None
    no_delay: bool = False

    @staticmethod
    def of(fields: Mapping[str, Any]) -> Changes:
        """Changes of a stored request."""
        given: dict[str, Any] = {
            name: tuple(tuple(item) if isinstance(item, list) else item for item in value)
            if isinstance(value, list)
            else value
            for name, value in fields.items()
        }
        return Changes(**given)


def changed_book(book: Book, changes: Changes) -> Book:
    """The book under the changes; every order keeps at least one lane, every figure stays in its range."""
    orders = book.orders
    lanes = np.clip(orders.lanes * changes.demand_bps // ONE_BPS, 1, 0xFFFFFFFE)
    limits = np.clip(orders.limit_micro_per_vcu_slot * changes.limit_price_bps // ONE_BPS, 1, (1 << 62))
    green = orders.min_green_bps
    if changes.min_green_bps is not None:
        green = np.maximum(green, changes.min_green_bps)
    deadline = orders.start_slot + orders.duration_slots if changes.no_delay else orders.deadline_slot
    table = replace(
        orders,
        deadline_slot=deadline,
        lanes=lanes,
        min_lanes=np.minimum(orders.min_lanes, lanes),
        limit_micro_per_vcu_slot=limits,
        min_green_bps=green,
    )
    share = dict(changes.supply_bps_of_source)
    return Book.of(
        book.slots,
        book.zones,
        book.classes,
        [offer for offer in book.compute_offers if offer.site_id not in changes.sites_out],
        [
            _power(offer, share, changes.grid_price_bps)
            for offer in book.power_offers
            if offer.plant_id not in changes.plants_out
        ],
        np.clip(book.grid_carbon * changes.grid_carbon_bps // ONE_BPS, 0, 0xFFFF),
        table,
        book.bands,
    )


def _power(offer: PowerOffer, share: Mapping[int, int], grid_price_bps: int) -> PowerOffer:
    if offer.mode == GREY:
        asks = np.clip(offer.ask_micro_per_kwh * grid_price_bps // ONE_BPS, -(2**31), 2**31 - 1)
        return replace(offer, ask_micro_per_kwh=asks)
    wh = np.clip(offer.wh * share.get(offer.source, ONE_BPS) // ONE_BPS, 0, 0xFFFFFFFF)
    return replace(offer, wh=wh)


def outcome(book: Book, solution: Solution) -> dict[str, Any]:
    """Figures and series by zone of a clearing, as JSON."""
    figures = metrics(book, solution)
    gap = solution.certificate.gap if solution.certificate else 0.0
    figures["green_share_bps"] = int(float(figures.pop("green_share")) * ONE_BPS)
    figures["gap_bps"] = int(-(-gap * ONE_BPS // 1))
    for name in ("optimality_gap", "energy_cost_micro_per_kwh"):
        figures.pop(name)
    zones = book.zone_index()
    slots = book.slots.count
    sold = np.zeros((len(zones), 2, slots), np.int64)
    offered = np.zeros((len(zones), 2, slots), np.int64)
    for row, offer in enumerate(book.power_offers):
        sold[zones[offer.zone_id], offer.mode] += solution.sold[row]
        offered[zones[offer.zone_id], offer.mode] += offer.wh.sum(axis=1)
    lanes = np.zeros((len(zones), slots), np.int64)
    where = np.array([zones[offer.zone_id] for offer in book.compute_offers], np.int64)
    fills = solution.fills
    if len(fills):
        np.add.at(lanes, (where[fills.offer], fills.slot), fills.lanes)
    return {
        "figures": figures,
        "zones": [
            {
                "zone_id": zone,
                "energy_price_grey": solution.energy_price[row, GREY].tolist(),
                "energy_price_green": solution.energy_price[row, GREEN].tolist(),
                "grey_sold_wh": sold[row, GREY].tolist(),
                "green_sold_wh": sold[row, GREEN].tolist(),
                "green_offered_wh": offered[row, GREEN].tolist(),
                "lanes": lanes[row].tolist(),
            }
            for zone, row in zones.items()
        ],
    }


def replay(
    book_json: bytes, solution_json: bytes, changes: Mapping[str, Any], mechanism: str, seconds: float
) -> dict[str, Any]:
    """Before and after: the archived clearing, and the changed book cleared anew within about `seconds`."""
    book, before = book_from_json(book_json), solution_from_json(solution_json)
    changed = changed_book(book, Changes.of(changes))
    after = clear(changed, mechanism, time_limit=seconds)
    return {
        "start": book.slots.start,
        "slot_seconds": book.slots.slot_seconds,
        "slots": book.slots.count,
        "before": outcome(book, before),
        "after": outcome(changed, after),
    }
