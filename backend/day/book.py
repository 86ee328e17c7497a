"""A `DayInput` as the market's book and as messages to sign (field names of the contracts)."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np

from backend.day.types import DayComputeOffer, DayInput, DayJob, DayPowerOffer
from backend.day.zones import standard_wh
from backend.market.domain import Book, ComputeClass, ComputeOffer, PowerOffer, SlotGrid, Zone
from backend.market.orders import Order


def to_book(day: DayInput, ids: Mapping[str, str] | None = None, start: int | None = None) -> Book:
    """The sealed book of the day.

    `ids` replaces readable ids (job ids, offer ids) by the hashes that were signed; ids not in it stay.
    `start` moves the day to another clock (unix seconds, slot aligned).
    """
    names = ids or {}
    shift = 0 if start is None else start - day.start
    return Book.of(
        slots=SlotGrid(day.start + shift, day.slot_seconds, day.slots),
        zones=[Zone(zone.zone_id, zone.name) for zone in day.zones],
        classes=[
            ComputeClass(c.class_id, c.name, standard_wh(c.it_w, day.slot_seconds)) for c in day.classes
        ],
        compute_offers=[_compute(offer, names) for offer in day.compute_offers],
        power_offers=[
            PowerOffer(
                names.get(offer.offer_id, offer.offer_id),
                offer.plant_id,
                offer.zone_id,
                offer.source,
                np.array(offer.wh, dtype=np.int64),
                np.array(offer.ask_micro_per_kwh, dtype=np.int64),
                offer.emission_g_per_kwh,
            )
            for offer in day.power_offers
        ],
        grid_carbon=day.grid_carbon_g_per_kwh,
        orders=[_order(job, names, shift) for job in day.jobs],
    )


def _compute(offer: DayComputeOffer, names: Mapping[str, str]) -> ComputeOffer:
    return ComputeOffer(
        id=names.get(offer.offer_id, offer.offer_id),
        site_id=offer.site_id,
        class_id=offer.class_id,
        zone_id=offer.zone_id,
        capacity=offer.capacity,
        energy_wh_per_vcu_slot=offer.energy_wh_per_vcu_slot,
        ask_micro_per_vcu_slot=offer.ask_micro_per_vcu_slot,
        start_slot=offer.start_slot,
        end_slot=offer.end_slot,
    )


def _order(job: DayJob, names: Mapping[str, str], shift: int) -> Order:
    return Order(
        id=names.get(job.job_id, job.job_id),
        class_id=job.class_id,
        zone_mask=job.zone_mask,
        lanes=job.lanes,
        min_lanes=job.min_lanes,
        duration_slots=job.duration_slots,
        start_slot=job.start_slot,
        deadline_slot=job.deadline_slot,
        limit_micro_per_vcu_slot=job.limit_micro_per_vcu_slot,
        min_green_bps=job.min_green_bps,
        max_carbon_g_per_kwh=job.max_carbon_g_per_kwh,
        carbon_price_micro_per_g=job.carbon_price_micro_per_g,
        kind=job.kind,
        submitted_at=job.submitted_at + shift,
    )


def order_message(
    day: DayInput,
    job: DayJob,
    *,
    maker: str,
    nonce: int,
    expiry: int,
    epoch: int = 0,
    start: int | None = None,
) -> dict[str, int | str]:
    """The EIP-712 message of a job's bundle order; `start` is the batch start (default: the day's)."""
    base = day.start if start is None else start
    return {
        "maker": maker,
        "classId": job.class_id,
        "zoneMask": job.zone_mask,
        "lanes": job.lanes,
        "minLanes": job.min_lanes,
        "durationSlots": job.duration_slots,
        "start": base + job.start_slot * day.slot_seconds,
        "deadline": base + job.deadline_slot * day.slot_seconds,
        "limitPrice": job.limit_micro_per_vcu_slot,
        "minGreenBps": job.min_green_bps,
        "maxCarbon": job.max_carbon_g_per_kwh,
        "carbonPrice": job.carbon_price_micro_per_g,
        "kind": job.kind,
        "epoch": epoch,
        "nonce": nonce,
        "expiry": expiry,
    }


def compute_offer_message(
    day: DayInput,
    offer: DayComputeOffer,
    *,
    maker: str,
    nonce: int,
    expiry: int,
    epoch: int = 0,
    start: int | None = None,
) -> dict[str, int | str]:
    """The EIP-712 message of a site's offer."""
    base = day.start if start is None else start
    return {
        "maker": maker,
        "siteId": offer.site_id,
        "classId": offer.class_id,
        "zoneId": offer.zone_id,
        "capacity": offer.capacity,
        "energyWhPerVcuSlot": offer.energy_wh_per_vcu_slot,
        "askPrice": offer.ask_micro_per_vcu_slot,
        "start": base + offer.start_slot * day.slot_seconds,
        "end": base + offer.end_slot * day.slot_seconds,
        "epoch": epoch,
        "nonce": nonce,
        "expiry": expiry,
    }


def power_offer_message(
    day: DayInput,
    offer: DayPowerOffer,
    *,
    maker: str,
    nonce: int,
    expiry: int,
    profile_hash: bytes,
    epoch: int = 0,
    start: int | None = None,
) -> dict[str, int | str | bytes]:
    """The EIP-712 message of a plant's offer; `profile_hash` is keccak256 of `profile_bytes`."""
    return {
        "maker": maker,
        "plantId": offer.plant_id,
        "zoneId": offer.zone_id,
        "source": offer.source,
        "tranches": len(offer.wh[0]),
        "start": day.start if start is None else start,
        "slots": len(offer.wh),
        "profileHash": profile_hash,
        "epoch": epoch,
        "nonce": nonce,
        "expiry": expiry,
    }


def profile_bytes(offer: DayPowerOffer) -> bytes:
    """slots x tranches x (uint32 Wh, int32 micro per kWh), big-endian."""
    return b"".join(
        struct.pack(">Ii", wh, ask)
        for amounts, asks in zip(offer.wh, offer.ask_micro_per_kwh, strict=True)
        for wh, ask in zip(amounts, asks, strict=True)
    )
