"""Eight reference projects as presets: what coordination of compute and power changes in each.

Every preset states its assumptions. A day of 96 quarter-hours is drawn from them (seeded): firm and delay-
tolerant compute, renewables behind the same grid node, a grid price and carbon factor by the hour. Without
coordination jobs run when they arrive; with it the delay-tolerant part moves inside its tolerance to the
quarter-hours whose energy costs least (green first, then the grid's price and carbon), and events ask for
sheds that paused jobs serve. Both cases do the same work.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from backend.vpp.data import Floats
from backend.vpp.errors import FlexError

SLOTS, HOURS_PER_SLOT = 96, 0.25
WEIGHTS = {"energy_match": 0.30, "dispatch": 0.25, "economics": 0.20, "technology": 0.15, "ecology": 0.10}
EVENT_SLOTS = (72, 76)  # a shed of an hour in the evening


@dataclass(frozen=True, slots=True)
class Preset:
    """A project's assumptions; power in MW at the meter, prices in USD per MWh, factors in g per kWh.

    `flexible` is the share of compute energy that may wait up to `tolerance_slots`; `solar_mw`, `wind_mw` and
    `firm_green_mw` are what is contracted at the same node. `basis` says where the figures come from.
    """

    key: str
    title: str
    basis: str
    it_mw: float
    pue: float
    best_pue: float
    flexible: float
    tolerance_slots: int
    solar_mw: float
    wind_mw: float
    firm_green_mw: float
    price_base: float
    price_peak: float
    grid_g: float
    residual_g: float
    green_cost: float
    response_s: float
    response_limit_s: float
    attested_share: float


_TABLE = (
    Preset(
        "nevada-training", "Training cluster in Nevada",
        "solar park with storage contracts; US West prices; training jobs with half-hourly checkpoints",
        60, 1.15, 1.1, 0.55, 48, 110, 0, 0, 38, 85, 310, 410, 26, 120, 900, 1.0,
    ),
    Preset(
        "dublin-wind", "Wind data centre in Dublin",
        "onshore wind; single-market Irish prices; inference with batch analytics beside",
        40, 1.2, 1.12, 0.3, 24, 0, 75, 0, 80, 160, 290, 400, 55, 60, 600, 1.0,
    ),
    Preset(
        "ulanqab-migration", "Clean-energy migration in Ulanqab",
        "wind and solar base of Inner Mongolia; jobs moved from the east; cold climate",
        100, 1.18, 1.15, 0.6, 64, 80, 160, 0, 42, 68, 700, 760, 30, 300, 900, 0.95,
    ),
    Preset(
        "hangzhou-linkage", "Compute-power linkage Hangzhou to Inner Mongolia",
        "urban load that shifts to a western site over a 30 ms link; peak-valley tariff",
        50, 1.3, 1.18, 0.4, 32, 20, 70, 0, 52, 155, 560, 620, 38, 180, 900, 0.95,
    ),
    Preset(
        "texas-elastic", "Elastic compute grid in Texas",
        "ERCOT-like scarcity prices; curtailed wind; load that follows the price",
        80, 1.2, 1.12, 0.7, 24, 60, 120, 0, 28, 240, 390, 470, 24, 30, 600, 1.0,
    ),
    Preset(
        "iceland-geothermal", "Geothermal compute in Iceland",
        "geothermal and hydro around the clock; little to move for, which the figures show",
        30, 1.08, 1.08, 0.35, 32, 0, 0, 40, 42, 48, 28, 40, 40, 120, 900, 1.0,
    ),
    Preset(
        "shenzhen-5g", "5G base stations and VPP in Shenzhen",
        "20,000 stations with batteries; short sheds; urban tariff",
        45, 1.35, 1.25, 0.22, 8, 25, 0, 0, 60, 185, 460, 520, 48, 1, 60, 0.9,
    ),
    Preset(
        "qinghai-zone", "Integrated zone in Qinghai",
        "hydro, solar and storage in one zone; training and rendering",
        70, 1.16, 1.12, 0.5, 48, 180, 30, 30, 30, 52, 260, 330, 20, 180, 900, 1.0,
    ),
)  # fmt: skip
PRESETS = {p.key: p for p in _TABLE}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A day's figures: USD, kg, shares of 0..1 and the index 0..100."""

    energy_mwh: float
    cost_usd: float
    cost_usd_per_mwh: float
    location_kg: float
    market_kg: float
    curtailed_share: float
    green_share: float
    cfe_pure: float
    response_share: float
    deadlines_kept: float
    sei: float
    dimensions: dict[str, float]


def preset(key: str) -> Preset:
    """A preset by its key; FlexError names the known ones."""
    if key not in PRESETS:
        raise FlexError("scenario", "key", key, f"use one of {', '.join(PRESETS)}")
    return PRESETS[key]


def draw(p: Preset, seed: int) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """(firm load, flexible load, green, price, grid factor) per quarter-hour of the drawn day."""
    rng = np.random.default_rng([seed, *p.key.encode()])
    hour = np.arange(SLOTS) / 4
    office = 0.85 + 0.25 * np.exp(-((hour - 14) ** 2) / 20)
    total = p.it_mw * p.pue * office / office.mean() * 0.8
    flexible = total * p.flexible * rng.uniform(0.8, 1.2, SLOTS)
    sun = p.solar_mw * np.clip(np.sin((hour - 6) / 12 * np.pi), 0, None) * rng.uniform(0.8, 1)
    gust = np.cumsum(rng.normal(0, 0.05, SLOTS)) + rng.uniform(0.25, 0.5)
    wind = p.wind_mw * np.clip(gust, 0.02, 0.95)
    evening = np.exp(-((hour - 19) ** 2) / 5) + 0.5 * np.exp(-((hour - 9) ** 2) / 4)
    price = p.price_base + (p.price_peak - p.price_base) * evening / evening.max() + rng.normal(0, 1, SLOTS)
    factor = p.grid_g * (1 + 0.15 * evening / evening.max() - 0.15 * (sun > 0))
    return total - flexible, flexible, sun + wind + p.firm_green_mw, price, factor


def shift(
    p: Preset, firm: Floats, flexible: Floats, green: Floats, price: Floats, factor: Floats, event: Floats
) -> tuple[Floats, float]:
    """The load with its flexible part moved inside the tolerance, and the share of it that ran in time.

    Everything starts at its own time. Quarter-hour by quarter-hour, the dearest first, flexible energy moves
    to the cheapest ones inside its tolerance, never above the site's installed power. `event` (USD per MWh)
    is what a quarter-hour costs on top while a shed is asked for.
    """
    load = firm + flexible
    grid_cost = price + factor * 0.03 + event  # 30 USD a tonne ranks hours, it is not billed
    limit = np.maximum(p.it_mw * p.pue, load)
    in_time = 0.0
    for t in np.argsort(-grid_cost, kind="stable").tolist():
        left = float(flexible[t])
        load[t] -= left
        window = np.arange(t, min(t + p.tolerance_slots + 1, SLOTS))
        while left > 1e-9:
            spare = np.maximum(green[window] - load[window], 0)
            space = np.maximum(limit[window] - load[window], 0)
            worth = np.where(spare > 1e-9, p.green_cost + event[window], grid_cost[window])
            best = int(np.argmin(np.where(space > 1e-9, worth, np.inf)))
            step = min(left, space[best], spare[best] if spare[best] > 1e-9 else left)
            load[window[best]] += step
            left -= step
            in_time += step
    total = float(flexible.sum())
    return load, in_time / total if total else 1.0


def account(
    p: Preset,
    load: Floats,
    green: Floats,
    price: Floats,
    factor: Floats,
    response: float,
    kept: float,
    reference_cost: float | None,
) -> Outcome:
    """Cost, carbon (both methods of F10), curtailment and SEI (F14) of a day's load."""
    matched = np.minimum(load, green)
    bought = load - matched
    energy = float(load.sum() * HOURS_PER_SLOT)
    cost = float((matched * p.green_cost + bought * price).sum() * HOURS_PER_SLOT)
    location = float((load * factor).sum() * HOURS_PER_SLOT)
    market = float((matched * 25 + bought * p.residual_g).sum() * HOURS_PER_SLOT)
    available = float(green.sum())
    used = float(matched.sum()) / available if available else 1.0
    cfe = float(matched.sum() / load.sum())
    base = reference_cost or cost
    dimensions = {
        "energy_match": (cfe + used) / 2,
        "dispatch": (response + min(p.response_limit_s / max(p.response_s, 1e-9), 1) * (response > 0) + kept)
        / 3,
        "economics": float(np.clip(0.5 + (base - cost) / base, 0, 1)),
        "technology": (p.best_pue / p.pue + p.attested_share) / 2,
        "ecology": float(np.clip(1 - market / location, 0, 1)) if location else 1.0,
    }
    sei = 100 * sum(WEIGHTS[name] * value for name, value in dimensions.items())
    return Outcome(
        energy, cost, cost / energy, location, market, 1 - used, cfe, cfe, response, kept, sei,
        {name: round(value, 4) for name, value in dimensions.items()},
    )  # fmt: skip


def run(key: str, seed: int = 1) -> dict[str, object]:
    """A preset's day with and without coordination, and the assumptions."""
    p = preset(key)
    firm, flexible, green, price, factor = draw(p, seed)
    alone = account(p, firm + flexible, green, price, factor, 0.0, 1.0, None)
    a, b = EVENT_SLOTS
    event = np.zeros(SLOTS)
    event[a:b] = 1000
    load, kept = shift(p, firm, flexible, green, price, factor, event)
    asked = 0.8 * flexible[a:b]
    given = np.clip((firm + flexible)[a:b] - load[a:b], 0, asked)
    response = float(given.sum() / asked.sum()) if asked.sum() else 1.0
    together = account(p, load, green, price, factor, response, kept, alone.cost_usd)
    return {
        "scenario": p.key, "title": p.title, "seed": seed, "assumptions": asdict(p), "weights": WEIGHTS,
        "without": asdict(alone), "with": asdict(together),
    }  # fmt: skip
