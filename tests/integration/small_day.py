"""A small market day made by hand: one zone, two sites, three green plants, 24 orders in 10 slots."""

from __future__ import annotations

from datetime import date

from backend.day.params import DayParameters
from backend.day.types import (
    NO_CARBON_CAP,
    DayClass,
    DayComputeOffer,
    DayInput,
    DayJob,
    DayPlant,
    DayPowerOffer,
    DaySite,
    DayZone,
)

START = 1_508_198_400  # 2017-10-17 00:00 UTC
SLOTS = 10
TARIFF = 120_000


def _jobs(count: int, slots: int) -> tuple[DayJob, ...]:
    jobs = []
    for number in range(count):
        duration = 1 + number % 4
        start = number % 5 if slots == SLOTS else number * (slots - 5) // count
        jobs.append(
            DayJob(
                job_id=f"job-{number:03d}",
                tenant=f"tenant/{number % 5}",
                urgent=number % 3 == 0,
                class_id=0,
                zone_mask=1,
                lanes=1 + number % 3,
                min_lanes=0,
                duration_slots=duration,
                start_slot=start,
                deadline_slot=min(slots, start + duration + 1 + number % 4),
                limit_micro_per_vcu_slot=60_000 + 1_000 * number,
                min_green_bps=(0, 10_000, 5_000)[number % 3],
                max_carbon_g_per_kwh=NO_CARBON_CAP,
                carbon_price_micro_per_g=50 if number % 4 == 0 else 0,
                kind=0,
                submitted_at=START - 3600 + number,
            )
        )
    return tuple(jobs)


def _plant(
    number: int, source: int, name: str, emission: int, wh: int, slots: int
) -> tuple[DayPlant, DayPowerOffer]:
    plant_id, offered = 10 + number, tuple((wh // 2, wh - wh // 2) for _ in range(slots))
    plant = DayPlant(
        plant_id,
        name,
        f"producer/{name}",
        0,
        source,
        emission,
        4 * wh * 2,
        (wh,) * slots,
        (wh + 300,) * slots,
    )
    asks = tuple((20_000 + 5_000 * number, 30_000 + 5_000 * number) for _ in range(slots))
    return plant, DayPowerOffer(
        f"plant-{plant_id}", plant.owner, plant_id, 0, source, emission, offered, asks
    )


def small_day(orders: int = 24, seed: int = 0, slots: int = SLOTS) -> DayInput:
    """The day; every number in it is fixed."""
    sites = tuple(
        DaySite(number, f"site {number}", f"operator/{number}", 0, pue, 40 * 500)
        for number, pue in ((1, 1200), (2, 1350))
    )
    offers = tuple(
        DayComputeOffer(f"site-{n}/0", f"operator/{n}", n, 0, 0, 12, energy, 10_000 + n, 0, slots)
        for n, energy in ((1, 110), (2, 124))
    )
    greens = [_plant(1, 1, "pv", 41, 500, slots)]
    greens += [_plant(2, 2, "wind", 11, 400, slots), _plant(3, 3, "hydro", 24, 250, slots)]
    grid_wh = ((10_000_000,),) * slots
    grid = DayPlant(1, "grid", "grid/z0", 0, 0, 0, 100_000_000, (0,) * slots, (0,) * slots)
    grid_offer = DayPowerOffer("grid-z0", "grid/z0", 1, 0, 0, 0, grid_wh, ((TARIFF,),) * slots)
    return DayInput(
        name="small",
        date=date(2017, 10, 17),
        supply_date=date(2017, 10, 17),
        timezone="UTC",
        start=START,
        slot_seconds=900,
        slots=slots,
        zones=(DayZone(0, "z0", "", ""),),
        classes=(DayClass(0, "gpu", 366),),
        sites=sites,
        compute_offers=offers,
        plants=(grid, *(plant for plant, _ in greens)),
        power_offers=(grid_offer, *(offer for _, offer in greens)),
        tariff_micro_per_kwh=((TARIFF,) * slots,),
        grid_carbon_g_per_kwh=((550,) * slots,),
        jobs=_jobs(orders, slots),
        refused=(),
        notes=(),
        remarks=(),
        params=DayParameters(),
        seed=seed,
    )
