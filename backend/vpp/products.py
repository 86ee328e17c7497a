"""What flexibility can be sold as, and the capacity auction of reserve and frequency products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from backend.vpp.errors import FlexError
from backend.vpp.spot import Band, Orders

Direction = Literal["up", "down", "symmetric"]
FREQUENCY_RESPONSE_MS = 200


@dataclass(frozen=True, slots=True)
class Product:
    """A product's terms: how fast and how long, and by which baseline (F6) it is measured.

    `up` gives power to the grid or sheds load; `down` takes power. Prices in micro per kW and hour.
    """

    name: str
    direction: Direction
    response_ms: int
    sustain_s: int
    baseline: str
    min_capacity_w: int = 100_000


PRODUCTS = {
    product.name: product
    for product in (
        Product("energy_shed", "up", 900_000, 3_600, "caiso_10_in_10"),
        Product("energy_raise", "down", 900_000, 3_600, "high_4_of_5"),
        Product("peak_shed", "up", 1_800_000, 7_200, "high_5_of_10"),
        Product("reserve_up", "up", 600_000, 3_600, "meter_before_after"),
        Product("reserve_down", "down", 600_000, 3_600, "meter_before_after"),
        Product("frequency", "symmetric", FREQUENCY_RESPONSE_MS, 900, "meter_before_after"),
    )
}


@dataclass(frozen=True, slots=True)
class CapacityOffer:
    """Capacity on offer with what its certificate proves (F7)."""

    id: str
    capacity_w: int
    price_micro_per_kw_h: int
    certified_w: int
    certified_response_ms: int
    certified_sustain_s: int


@dataclass(frozen=True, slots=True)
class CapacityResult:
    """Awards by offer id, the uniform price (None where nothing is bought), and who was refused and why."""

    awards_w: dict[str, int]
    price_micro_per_kw_h: int | None
    short_w: int
    refused: dict[str, str]


def refusal(offer: CapacityOffer, product: Product) -> str | None:
    """Why an offer does not qualify for a product; None when it does."""
    if offer.capacity_w > offer.certified_w:
        return f"{offer.capacity_w} W offered, {offer.certified_w} W certified"
    if offer.capacity_w < product.min_capacity_w:
        return f"{offer.capacity_w} W offered, the product starts at {product.min_capacity_w} W"
    if offer.certified_response_ms > product.response_ms:
        return f"answers in {offer.certified_response_ms} ms, the limit is {product.response_ms} ms"
    if offer.certified_sustain_s < product.sustain_s:
        return f"lasts {offer.certified_sustain_s} s, the product needs {product.sustain_s} s"
    return None


def clear_capacity(
    product: Product, required_w: int, offers: Sequence[CapacityOffer], cap_micro_per_kw_h: int
) -> CapacityResult:
    """Buys `required_w` at the lowest competitive price (k = 0: the last accepted ask).

    Where offers fall short all of them are taken and the price is the cap: scarcity is shown, not hidden.
    Ties share pro rata to the W, then by id.
    """
    if required_w <= 0:
        raise FlexError("quantity", "required_w", required_w, "must be positive")
    if len({offer.id for offer in offers}) != len(offers):
        raise FlexError("duplicate", "offers", len(offers), "every offer has its own id")
    refused = {offer.id: reason for offer in offers if (reason := refusal(offer, product))}
    from backend.vpp.auction import clear_interval  # numba loads with the first clearing, not at start-up

    fit = sorted((offer for offer in offers if offer.id not in refused), key=lambda o: o.id)
    band = Band(0, cap_micro_per_kw_h)
    orders = Orders.of(
        [o.price_micro_per_kw_h for o in fit] + [band.cap_ticks],
        [-o.capacity_w for o in fit] + [required_w],
        band,
    )
    result = clear_interval(orders, k_milli=0)
    fills = result.filled_wh if result.filled_wh is not None else np.zeros(len(orders), np.int64)
    awards = {offer.id: -int(fill) for offer, fill in zip(fit, fills[:-1], strict=True) if fill}
    return CapacityResult(awards, result.price_ticks, required_w - result.volume_wh, refused)
