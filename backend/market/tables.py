"""A book as flat integer arrays: what kernels, the certificate and the check read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.market.assets import touched_pools
from backend.market.domain import GREEN, GREY, Book, ComputeOffer, Ints, PowerOffer


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """Rows of zones, classes, offers and orders are those of the book; `zone_bits` has bit n for zone row
    n."""

    slots: int
    class_row: Ints  # per order
    zone_bits: npt.NDArray[np.uint64]  # per order
    green_lanes: Ints  # per order
    able_lanes: Ints  # per order: its lanes, but no more than its sites could run if they did nothing else
    class_energy_wh: Ints  # per class, the standard energy that ranks by carbon
    carbon: Ints  # [zone][mode][slot] g/kWh
    offer_class: Ints
    offer_zone: Ints
    offer_energy_wh: Ints
    offer_ask: Ints
    offer_capacity: Ints  # [offer][slot], 0 outside its window, less what earlier batches sold
    offer_modes: npt.NDArray[np.bool_]  # [offer][mode] in which it sells: a position for sale in one only
    power_zone: Ints
    power_mode: Ints
    power_wh: tuple[Ints, ...]  # per power offer [slot][tranche], less what earlier batches sold
    power_ask: tuple[Ints, ...]  # per power offer [slot][tranche] micro per kWh
    lively: npt.NDArray[np.bool_]  # [zone][mode] pools in which storage, lines or flexibility trade
    starved: npt.NDArray[
        np.bool_
    ]  # [zone][mode][slot] pools too small to power a single lane: they cannot sell


def tables_of(book: Book) -> Tables:
    """The flat form of `book`."""
    zones, classes = book.zone_index(), book.class_index()
    slots = book.slots.count
    class_ids = np.array([cls.id for cls in book.classes], dtype=np.int64)
    bits = np.zeros(len(book.orders), dtype=np.uint64)
    for zone_id, row in zones.items():
        inside = (book.orders.zone_mask >> np.uint64(zone_id)) & np.uint64(1)
        bits |= inside << np.uint64(row)
    offers, power = book.sellers(), book.open_power()
    capacity = np.zeros((len(offers), slots), dtype=np.int64)
    for n, offer in enumerate(offers):
        capacity[n, offer.start_slot : offer.end_slot] = offer.capacity
    capacity[: len(book.compute_offers)] -= reserved_lanes(book)
    modes = np.ones((len(offers), 2), dtype=np.bool_)
    for n, position in enumerate(
        p for p in book.positions.compute if p.resale_ask_micro_per_vcu_slot is not None
    ):
        modes[len(book.compute_offers) + n, 1 - position.mode] = False
    carbon = np.zeros((len(book.zones), 2, slots), dtype=np.int64)
    carbon[:, GREY] = book.grid_carbon
    carbon[:, GREEN] = green_factor(book)
    power_zone = np.array([zones[o.zone_id] for o in book.power_offers], dtype=np.int64)
    energy = np.array([o.energy_wh_per_vcu_slot for o in offers], dtype=np.int64)
    offer_zone = np.array([zones[o.zone_id] for o in offers], dtype=np.int64)
    class_row = np.searchsorted(class_ids, book.orders.class_id).astype(np.int64)
    return Tables(
        slots=slots,
        class_row=class_row,
        zone_bits=bits,
        green_lanes=book.orders.green_lanes,
        able_lanes=np.minimum(book.orders.lanes, _reachable(book, offers, class_row, bits, capacity)),
        class_energy_wh=np.array([cls.energy_wh_per_vcu_slot for cls in book.classes], dtype=np.int64),
        carbon=carbon,
        offer_class=np.array([classes[o.class_id] for o in offers], dtype=np.int64),
        offer_zone=offer_zone,
        offer_energy_wh=energy,
        offer_ask=np.array([o.ask_micro_per_vcu_slot for o in offers], dtype=np.int64),
        offer_capacity=capacity,
        offer_modes=modes,
        power_zone=power_zone,
        power_mode=np.array([o.mode for o in book.power_offers], dtype=np.int64),
        power_wh=tuple(offer.wh for offer in power),
        power_ask=tuple(offer.ask_micro_per_kwh for offer in power),
        starved=_starved(book, power, power_zone, offer_zone, energy),
        lively=touched_pools(book.assets, zones),
    )


def green_factor(book: Book) -> Ints:
    """Emission factor of the green energy offered, [zone][slot] g/kWh, weighted by Wh and rounded up.

    Where green energy can come from another slot (storage) or zone (a line), the highest factor that could.
    """
    if book.green_carbon is not None:
        return book.green_carbon
    shape = (len(book.zones), book.slots.count)
    wh, grams = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    zones = book.zone_index()
    for offer in book.power_offers:
        if offer.mode == GREEN:
            row, amount = zones[offer.zone_id], offer.wh.sum(axis=1)
            wh[row] += amount
            grams[row] += amount * offer.emission_g_per_kwh
    factor: Ints = -(-grams // np.maximum(wh, 1))
    for store in book.assets.storages:  # what it gives back may come from any slot
        if store.mode == GREEN:
            factor[zones[store.zone_id]] = factor[zones[store.zone_id]].max()
    lines = [line for line in book.assets.lines if line.mode == GREEN]
    for _ in range(len(book.zones) if lines else 0):
        for line in lines:
            to = zones[line.to_zone_id]
            factor[to] = np.maximum(factor[to], factor[zones[line.from_zone_id]])
    return factor


def _starved(
    book: Book, power: tuple[PowerOffer, ...], power_zone: Ints, offer_zone: Ints, energy: Ints
) -> npt.NDArray[np.bool_]:
    total = np.zeros((len(book.zones), 2, book.slots.count), dtype=np.int64)
    for g, offer in enumerate(power):
        total[power_zone[g], offer.mode] += offer.wh.sum(axis=1)
    least = np.full(len(book.zones), np.iinfo(np.int64).max)
    sites = len(book.compute_offers)  # a position for sale needs no energy
    np.minimum.at(least, offer_zone[:sites], energy[:sites])
    poor: npt.NDArray[np.bool_] = total < least[:, None, None]
    return poor & ~touched_pools(book.assets, book.zone_index())[:, :, None]


def _reachable(
    book: Book,
    offers: tuple[ComputeOffer, ...],
    class_row: Ints,
    bits: npt.NDArray[np.uint64],
    capacity: Ints,
) -> Ints:
    """Lanes that the sites of its class could run for each order if they did nothing else."""
    o, zones, classes = book.orders, book.zone_index(), book.class_index()
    total = np.zeros((len(book.classes), len(book.zones), book.slots.count + 1), dtype=np.int64)
    for i, offer in enumerate(offers):
        total[classes[offer.class_id], zones[offer.zone_id], 1:] += capacity[i]
    total = np.cumsum(total, axis=2)
    able = np.zeros(len(o), dtype=np.int64)
    for z in range(len(book.zones)):
        here = (bits >> np.uint64(z)) & np.uint64(1) == 1
        volume = total[class_row, z, o.deadline_slot] - total[class_row, z, o.start_slot]
        able += np.where(here, volume // o.duration_slots, 0)
    return able


def reserved_lanes(book: Book) -> Ints:
    """[compute offer][slot] lanes that earlier batches sold."""
    rows = {offer.id: n for n, offer in enumerate(book.compute_offers)}
    reserved = np.zeros((len(rows), book.slots.count), dtype=np.int64)
    for position in book.positions.compute:
        reserved[rows[position.offer_id], position.start_slot : position.end_slot] += position.lanes
    return reserved
