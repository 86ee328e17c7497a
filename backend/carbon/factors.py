"""Emission factors with their sources (F10, F11). A later table is a new table, never an edit."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

LIFECYCLE_G_PER_KWH: Final[Mapping[str, int]] = MappingProxyType(
    {
        "wind": 11,
        "pv": 41,
        "hydro": 24,
        "nuclear": 12,
        "biomass": 230,
        "gas": 490,
        "oil": 650,
        "coal": 820,
    }
)
"""Life-cycle medians in the manner of IPCC 2014, gCO2e per kWh."""

EIA_MIX_G_PER_KWH: Final[Mapping[str, int]] = MappingProxyType(
    {
        "wind_mw": 11,
        "solar_mw": 41,
        "hydro_mw": 24,
        "oil_mw": 650,
        "gas_mw": 490,
        "coal_mw": 820,
        "nuclear_mw": 12,
        "other_mw": 230,
    }
)
"""The factors behind the EIA mix file's own intensity column."""

CHINA_RESIDUAL_2022_G_PER_KWH: Final = 586
"""National average without traded non-fossil power: the nearest published thing to a residual mix (585.6)."""

FOSSIL_FALLBACK_G_PER_KWH: Final = LIFECYCLE_G_PER_KWH["coal"]
"""Residual mix where a zone publishes none: the dirtiest common source, never the average (F10)."""


def mix_intensity_mg_per_kwh(quantities: Mapping[str, int]) -> int:
    """Generation-weighted life-cycle intensity of an EIA mix, mg per kWh, rounded half up.

    Raises `ZeroDivisionError` when nothing was generated.
    """
    total = sum(quantities.values())
    weighted = sum(amount * EIA_MIX_G_PER_KWH[column] * 1000 for column, amount in quantities.items())
    return (2 * weighted + total) // (2 * total)
