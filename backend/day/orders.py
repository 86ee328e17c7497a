"""From job windows to order terms: class, zones, limit, green share, carbon cap and price, drawn by job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.day import draws
from backend.day.params import PPM, DayParameters
from backend.day.types import NO_CARBON_CAP, DayClass, DayComputeOffer, DayJob
from backend.day.windows import JobWindow, Windows
from backend.day.zones import CLASS_IT_W, STANDARD_CLASS, standard_wh

OPENB_TENANTS = 8


@dataclass(frozen=True)
class MarketLevel:
    """What a typical VCU-slot costs, by class id, and the zones' mean grid carbon in g/kWh."""

    cost_micro_per_vcu_slot: Mapping[int, int]
    carbon_g_per_kwh: Sequence[int]


def classes_of(
    windows: Windows, nodes: Mapping[str, int] | None, seed: int
) -> tuple[tuple[DayClass, ...], Mapping[str, int]]:
    """The classes the jobs need and each job's class id.

    A job that admits several models gets one, drawn by how many devices of each the node table has (equal
    weights without one). A trace without models means the standard class.
    """
    chosen: dict[str, str] = {}
    for window in windows.jobs:
        row = window.row
        models = row.models or (tuple(nodes) if nodes and row.flexible is not None else (STANDARD_CLASS,))
        weights = [(model, (nodes or {}).get(model, 0) or 1) for model in models]
        chosen[row.job_id] = draws.weighted(seed, row.job_id, "class", weights)
    names = [name for name in CLASS_IT_W if name in set(chosen.values())]
    classes = tuple(DayClass(i, name, CLASS_IT_W[name]) for i, name in enumerate(names))
    return classes, {job: names.index(name) for job, name in chosen.items()}


def energy_wh(window: JobWindow, it_w: int, slot_s: int) -> int:
    """Standard facility energy of a job, Wh."""
    return window.row.gpus * window.duration_slots * standard_wh(it_w, slot_s)


def zone_mask(window: JobWindow, zones: int, params: DayParameters, seed: int) -> int:
    """Zones whose latency the job accepts: all for a flexible one; home and neighbours for an urgent one.

    A market of two zones has no neighbour that is not simply everything.
    """
    if not window.urgent:
        return (1 << zones) - 1
    home = home_zone(window, zones, seed)
    near = min(params.urgent_neighbours, max(zones - 2, 0))
    return sum({1 << ((home + step) % zones) for step in range(near + 1)})


def home_zone(window: JobWindow, zones: int, seed: int) -> int:
    """Where the job's data is: a uniform draw."""
    return draws.below(seed, window.row.job_id, "home", zones)


def make_job(
    window: JobWindow,
    class_id: int,
    zones: int,
    midnight_unix: int,
    submit_unix: int,
    level: MarketLevel,
    params: DayParameters,
    seed: int,
) -> DayJob:
    """The order terms of one job. Times before `midnight_unix` cannot occur: a day starts at 00:00."""
    row = window.row
    low, high = params.urgent_limit_ppm if window.urgent else params.flexible_limit_ppm
    multiple = draws.between(seed, row.job_id, "limit", low, high)
    cap_ppm = draws.weighted(seed, row.job_id, "carbon-cap", params.carbon_caps)
    carbon = level.carbon_g_per_kwh[home_zone(window, zones, seed)]
    tenant = row.tenant
    if tenant == "tenant/openb":
        tenant = f"tenant/openb-{draws.below(seed, row.job_id, 'tenant', OPENB_TENANTS)}"
    return DayJob(
        job_id=row.job_id,
        tenant=tenant,
        urgent=window.urgent,
        class_id=class_id,
        zone_mask=zone_mask(window, zones, params, seed),
        lanes=row.gpus,
        min_lanes=0,
        duration_slots=window.duration_slots,
        start_slot=window.start_slot,
        deadline_slot=window.deadline_slot,
        limit_micro_per_vcu_slot=level.cost_micro_per_vcu_slot[class_id] * multiple // PPM,
        min_green_bps=draws.weighted(seed, row.job_id, "green", params.green_shares_bps),
        max_carbon_g_per_kwh=carbon * cap_ppm // PPM if cap_ppm else NO_CARBON_CAP,
        carbon_price_micro_per_g=draws.weighted(
            seed, row.job_id, "carbon-price", params.carbon_prices_micro_per_g
        ),
        kind=0,
        submitted_at=max(submit_unix, midnight_unix),
    )


def level_of(
    classes: Sequence[DayClass],
    offers: Sequence[DayComputeOffer],
    tariff: Sequence[Sequence[int]],
    carbon: Sequence[Sequence[int]],
    slot_s: int,
) -> MarketLevel:
    """Typical cost of a VCU-slot: mean ask plus the class's standard energy at the mean tariff."""
    prices = [value for zone in tariff for value in zone]
    mean_tariff = max(0, sum(prices) // len(prices))
    cost = {}
    for c in classes:
        asks = [offer.ask_micro_per_vcu_slot for offer in offers if offer.class_id == c.class_id]
        cost[c.class_id] = sum(asks) // len(asks) + standard_wh(c.it_w, slot_s) * mean_tariff // 1000
    return MarketLevel(cost, [sum(zone) // len(zone) for zone in carbon])
