"""Every number a market day assumes beyond the files, in one place, with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

PPM: Final = 1_000_000


def _fx() -> Mapping[str, int]:
    # 2024 mean rates, rounded to two figures: stated, not traded on.
    return MappingProxyType({"USD": 1_000_000, "EUR": 1_080_000, "AUD": 660_000, "CNY": 140_000})


def _tolerance() -> tuple[tuple[int, int], ...]:
    # (tolerable delay in minutes of an urgent job promised within 600 min, answers): a 2021 survey.
    return ((0, 3), (15, 13), (30, 22), (60, 26), (120, 23), (300, 11), (720, 5), (1440, 3))


@dataclass(frozen=True)
class DayParameters:
    """Defaults are plausible and stated; the report prints every one of them."""

    slot_seconds: int = 900
    max_days: int = 4
    """Horizon limit; later deadlines are clipped to its end and counted."""

    # --- money -------------------------------------------------------------
    settlement_currency: str = "USD"
    fx_ppm: Mapping[str, int] = field(default_factory=_fx)
    """Settlement micro-units for one unit of the currency."""
    grid_fee_micro_per_kwh: int = 40_000
    """Network use and levies on top of the wholesale price: 0.04 per kWh, a large industrial user's."""

    # --- jobs --------------------------------------------------------------
    flexible_ppm: int = 526_000
    """Share of Philly jobs that can wait until morning."""
    max_duration_s: int = 86_400
    min_slack_s: int = 378
    """Two times the median Philly queue of 189 s: nobody who accepts a queue is more urgent than that."""
    tolerance_minutes: tuple[tuple[int, int], ...] = field(default_factory=_tolerance)
    tolerance_base_minutes: int = 600
    flexible_deadline_hour: int = 9
    urgent_neighbours: int = 1
    """Zones next to home whose latency an urgent job accepts (none in a two-zone market)."""
    urgent_limit_ppm: tuple[int, int] = (2_000_000, 5_000_000)
    flexible_limit_ppm: tuple[int, int] = (1_300_000, 3_000_000)
    """Willingness to pay, uniform between these multiples of the day's typical cost of a VCU-slot."""
    green_shares_bps: tuple[tuple[int, int], ...] = ((0, 60), (5_000, 15), (8_000, 10), (10_000, 15))
    """(minimum green share, weight): 40 % of the orders ask for half or more."""
    carbon_caps: tuple[tuple[int, int], ...] = ((0, 90), (900_000, 5), (1_100_000, 5))
    """(cap in ppm of the day's mean grid carbon, weight); 0 = no cap."""
    carbon_prices_micro_per_g: tuple[tuple[int, int], ...] = ((0, 70), (50, 20), (100, 10))
    """(own price of carbon, weight): 0, 50 and 100 per tonne."""

    # --- sites -------------------------------------------------------------
    sites_per_zone: int = 3
    pue_milli: tuple[int, ...] = (1_120, 1_200, 1_350, 1_450)
    """From a new hyperscale hall to an old server room; 1.2 is the standard of F2."""
    site_ask_micro: tuple[int, ...] = (5_200, 4_800, 4_400, 4_200)
    """Short-run cost of a lane and slot without energy (staff, wear); about 0.02 per GPU-hour."""
    site_share: tuple[int, ...] = (30, 40, 30, 20)
    capacity_ppm: int = 2_000_000
    """Lanes of all sites over the day's mean load; bursts still exceed it."""
    full_capacity_hours: int = 33
    """Hours from 00:00 in which this book has every lane: to the morning when its flexible jobs are due."""
    later_capacity_ppm: int = 500_000
    """Share of each site offered to this book after that; the rest is for the jobs of later days."""

    # --- power -------------------------------------------------------------
    supply_multiple_ppm: int = 1_000_000
    """Green forecast of the day over the standard energy of the day's orders."""
    tranche_shares: tuple[int, ...] = (50, 30, 20)
    tranche_asks_micro_per_kwh: Mapping[str, tuple[int, ...]] = field(
        default_factory=lambda: MappingProxyType(
            {
                "pv": (4_000, 9_000, 16_000),
                "wind": (8_000, 14_000, 22_000),
                "hydro": (12_000, 20_000, 30_000),
                "biomass": (45_000, 55_000, 65_000),
            }
        )
    )
    """Running cost and the risk of a missed forecast, rising by tranche (0.004 to 0.03 per kWh)."""
    intraday_correction_ppm: int = 700_000
    """Share of the day-ahead error that is known when the offers are made."""
    forecast_error_ppm: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType(
            {"pv": 80_000, "wind": 120_000, "hydro": 20_000, "biomass": 10_000}
        )
    )
    """Standard deviation of the drawn error where a file brings no forecast."""


EMISSION_G_PER_KWH: Final[Mapping[str, int]] = MappingProxyType(
    {"wind": 11, "pv": 41, "hydro": 24, "biomass": 230, "nuclear": 12}
)
"""Life-cycle medians of F11."""
