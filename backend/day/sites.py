"""Compute sites of the day: capacity from the day's mean load, PUE and asks from the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.day import draws
from backend.day.params import PPM, DayParameters
from backend.day.types import DayClass, DayComputeOffer, DaySite
from backend.day.zones import CLASS_IT_W, STANDARD_CLASS, standard_wh


def make_sites(
    classes: Sequence[DayClass],
    vcu_slots_by_class: Mapping[int, int],
    zones: int,
    slots: int,
    day_slots: int,
    params: DayParameters,
    seed: int,
) -> tuple[tuple[DaySite, ...], tuple[DayComputeOffer, ...]]:
    """Sites and their offers: one offer per class until the next morning, one for the rest.

    Zones have equal capacity; a class's lanes are `capacity_ppm` of its mean load, split by `site_share` with
    the largest remainder. Site ids count from 1.
    """
    sites: list[DaySite] = []
    offers: list[DayComputeOffer] = []
    shares = [params.site_share[s] for _ in range(zones) for s in range(params.sites_per_zone)]
    lanes_by_class = {
        c.class_id: split(_lanes(vcu_slots_by_class[c.class_id], day_slots, len(shares), params), shares)
        for c in classes
    }
    for index in range(len(shares)):
        zone_id, place = divmod(index, params.sites_per_zone)
        pue_milli = params.pue_milli[(zone_id + place) % len(params.pue_milli)]
        base_ask = params.site_ask_micro[(zone_id + place) % len(params.site_ask_micro)]
        own = [
            offer
            for c in classes
            for offer in _offers(
                index + 1,
                c,
                zone_id,
                lanes_by_class[c.class_id][index],
                pue_milli,
                _ask(base_ask, c, index, params, seed),
                slots,
                params,
            )
        ]
        power = _nameplate_w(own, params.slot_seconds)
        sites.append(
            DaySite(index + 1, f"site {index + 1}", f"operator/{index + 1}", zone_id, pue_milli, power)
        )
        offers.extend(own)
    return tuple(sites), tuple(offers)


def _lanes(vcu_slots: int, day_slots: int, sites: int, params: DayParameters) -> int:
    """Lanes of a class over all sites, rounded up and at least one lane per site."""
    return max(sites, -(-vcu_slots * params.capacity_ppm // (day_slots * PPM)))


def split(total: int, shares: Sequence[int]) -> list[int]:
    """Splits a whole number by shares: largest remainder, then the lower index."""
    weight = sum(shares)
    parts = [total * share // weight for share in shares]
    order = sorted(range(len(shares)), key=lambda i: (-(total * shares[i] % weight), i))
    for index in order[: total - sum(parts)]:
        parts[index] += 1
    return parts


def _ask(base: int, c: DayClass, index: int, params: DayParameters, seed: int) -> int:
    """Ask of a class at a site: by its power relative to the standard class, give or take a tenth."""
    jitter = draws.between(seed, f"site-{index + 1}", f"ask-{c.name}", 900_000, 1_100_000)
    return max(1, base * c.it_w * jitter // (CLASS_IT_W[STANDARD_CLASS] * PPM))


def _offers(
    site_id: int,
    c: DayClass,
    zone_id: int,
    lanes: int,
    pue_milli: int,
    ask: int,
    slots: int,
    params: DayParameters,
) -> list[DayComputeOffer]:
    energy = standard_wh(c.it_w, params.slot_seconds, pue_milli)
    full = min(params.full_capacity_hours * 3600 // params.slot_seconds, slots)
    spans = [(0, full, lanes)]
    later = lanes * params.later_capacity_ppm // PPM
    if slots > full and later:
        spans.append((full, slots, later))
    return [
        DayComputeOffer(
            f"site-{site_id}/{c.name}/{part}",
            f"operator/{site_id}",
            site_id,
            c.class_id,
            zone_id,
            capacity,
            energy,
            ask,
            start,
            end,
        )
        for part, (start, end, capacity) in enumerate(spans)
        if capacity
    ]


def _nameplate_w(offers: Sequence[DayComputeOffer], slot_s: int) -> int:
    """Watts of all offers of a site together, rounded up one by one: the ceiling that the market checks."""
    return sum(-(-offer.capacity * offer.energy_wh_per_vcu_slot * 3600 // slot_s) for offer in offers)
