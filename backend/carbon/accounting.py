"""Carbon arithmetic in integers (F9 to F13). 1 Wh x 1 g/kWh = 1 mg, so every product here is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.carbon.factors import FOSSIL_FALLBACK_G_PER_KWH

CERTIFICATE_WH = 1
GEC_WH = 1_000_000
"""One Chinese green electricity certificate is 1,000 kWh (F12)."""


class CarbonError(ValueError):
    """A quantity that cannot be accounted; names the field and the value."""

    def __init__(self, field: str, value: object, mend: str) -> None:
        super().__init__(f"{field} = {value!r}: {mend}")
        self.field, self.value, self.mend = field, value, mend


@dataclass(frozen=True)
class Credit:
    """Whole grams credited and the remainder in mg that the account keeps (F11)."""

    grams: int
    remainder_mg: int


def matched_wh(load_wh: Sequence[int], green_wh: Sequence[int]) -> list[int]:
    """F9: green matched in its own slot; an excess does not carry over."""
    _non_negative("load_wh", load_wh)
    _non_negative("green_wh", green_wh)
    return [min(load, green) for load, green in zip(load_wh, green_wh, strict=True)]


def cfe_ppm(
    load_wh: Sequence[int], green_wh: Sequence[int], grid_cfe_ppm: Sequence[int] | None = None
) -> int:
    """F9: carbon-free share of the load in ppm, rounded down; without `grid_cfe_ppm` the pure contract score.

    No load scores 0.
    """
    matched = matched_wh(load_wh, green_wh)
    grid = grid_cfe_ppm or [0] * len(load_wh)
    total = sum(load_wh)
    if total == 0:
        return 0
    covered = sum(
        m * 1_000_000 + (load - m) * share for load, m, share in zip(load_wh, matched, grid, strict=True)
    )
    return covered // total


def location_based_mg(load_wh: Sequence[int], grid_g_per_kwh: Sequence[int]) -> int:
    """F10, location: all load at the grid's factor of its slot and zone."""
    _non_negative("load_wh", load_wh)
    return sum(load * factor for load, factor in zip(load_wh, grid_g_per_kwh, strict=True))


def market_based_mg(
    load_wh: Sequence[int],
    cancelled_wh: Sequence[int],
    supply_g_per_kwh: Sequence[int],
    residual_g_per_kwh: int = FOSSIL_FALLBACK_G_PER_KWH,
) -> int:
    """F10, market: cancelled certificates at their factor, the rest at the residual mix, never the average.

    Raises `CarbonError` when more is cancelled than used in a slot.
    """
    _non_negative("cancelled_wh", cancelled_wh)
    total = 0
    for load, cancelled, factor in zip(load_wh, cancelled_wh, supply_g_per_kwh, strict=True):
        if cancelled > load:
            raise CarbonError("cancelled_wh", cancelled, f"is more than the slot's load of {load} Wh")
        total += cancelled * factor + (load - cancelled) * residual_g_per_kwh
    return total


def avoided(matched: int, base_g_per_kwh: int, supply_g_per_kwh: int, kept_mg: int = 0) -> Credit:
    """F11: grams avoided by a matched delivery, floored at 0; the remainder stays with the account."""
    _non_negative("matched_wh", [matched, kept_mg])
    return Credit(*divmod(matched * max(0, base_g_per_kwh - supply_g_per_kwh) + kept_mg, 1000))


def certificates_wh(metered_mwh: int) -> int:
    """F12: certificates of a metered interval, 1 Wh each, rounded down."""
    _non_negative("metered_mwh", [metered_mwh])
    return metered_mwh // 1000


def software_intensity_mg(energy_wh: int, grid_g_per_kwh: int, embodied_mg: int, units: int) -> int:
    """F13: (E x I + M) / R in mg per unit, location-based, rounded up; offsets have no place in it."""
    if units <= 0:
        raise CarbonError("units", units, "must be at least one")
    return -(-(energy_wh * grid_g_per_kwh + embodied_mg) // units)


def _non_negative(field: str, values: Sequence[int]) -> None:
    for value in values:
        if value < 0:
            raise CarbonError(field, value, "must not be negative")
