"""Joining four files to one market day, by local hour of day.

`load_day` reads files and joins; `join_day` is the pure rule on what was read, shared with the embedded day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from backend.day import draws
from backend.day.errors import DataFileError, RefusedRow
from backend.day.horizon import Horizon, carbon_finisher, energy_slots, mean_slots, price_finisher
from backend.day.orders import classes_of, energy_wh, level_of, make_job
from backend.day.params import DayParameters
from backend.day.remarks import remarks_of
from backend.day.sites import make_sites
from backend.day.sources import (
    CarbonFile,
    GenerationFile,
    JobRow,
    read_carbon,
    read_generation,
    read_jobs,
    read_price,
)
from backend.day.sources.survey import read_node_gpus, read_tolerance
from backend.day.sources.together import DaySources
from backend.day.supply import (
    PlantSeries,
    book_share_ppm,
    corrected_forecast,
    drawn_forecast,
    grid_offer,
    grid_plant,
    power_offer,
    scale_plants,
)
from backend.day.types import DayClass, DayComputeOffer, DayInput, DayZone, SourceNote
from backend.day.windows import Windows, make_windows, slots_per_day
from backend.day.zones import choose_key, plan_of


def load_day(
    jobs: Path,
    generation: Path,
    price: Path,
    carbon: Path,
    date: date,
    supply_date: date | None = None,
    params: DayParameters | None = None,
    seed: int = 0,
    orders: int | None = None,
) -> DayInput:
    """Reads the files and joins them to the market day of local day `date`.

    Generation, price and carbon come from `supply_date` (default: `date`) and the days after it, or the
    nearest day of the year that a file has. `orders` takes a seeded sample. Raises `DataFileError`
    when a file as a whole cannot be used; bad rows are in `DayInput.refused`.
    """
    params = params or DayParameters()
    extra: list[RefusedRow] = []
    survey = jobs.parent.parent / "behaviour" / "deadline_tolerance_survey.csv"
    if survey.exists():
        answers, bad = read_tolerance(survey)
        params = replace(params, tolerance_minutes=answers)
        extra.extend(bad)
    nodes = None
    node_file = jobs.parent.parent / "compute_nodes" / "openb_nodes.csv"
    if node_file.exists():
        nodes, bad = read_node_gpus(node_file)
        extra.extend(bad)
    supply = read_generation(generation)
    actual, day_ahead = _pair(generation, supply)
    sources = DaySources(
        "files",
        read_jobs(jobs, date.year),
        actual,
        read_price(price),
        read_carbon(carbon),
        day_ahead,
        nodes,
        tuple(extra),
    )
    return join_day(sources, date, supply_date or date, params, seed, orders)


def _pair(path: Path, given: GenerationFile) -> tuple[GenerationFile, GenerationFile | None]:
    """Actual and day-ahead of the same sites, the second file being beside the given one."""
    beside = {"rts_actual_5min": "rts_day_ahead_hourly.csv", "rts_day_ahead_hourly": "rts_actual_5min.csv"}
    if given.format not in beside:
        return given, None
    other = path.with_name(beside[given.format])
    if not other.is_file():
        return given, None
    found = read_generation(other)
    return (given, found) if given.format == "rts_actual_5min" else (found, given)


def join_day(
    sources: DaySources,
    day: date,
    supply_date: date,
    params: DayParameters,
    seed: int,
    orders: int | None,
) -> DayInput:
    """The joining rules, pure; `windows`, `orders`, `sites`, `supply` and `horizon` hold the parts."""
    slot_s, day_slots = params.slot_seconds, slots_per_day(params.slot_seconds)
    rows = _sample(sources.jobs.on(day), orders, seed)
    windows = make_windows(rows, day, params, seed)
    horizon = Horizon.of(supply_date, windows.slots, slot_s)
    classes, class_of = classes_of(windows, sources.nodes, seed)
    zones, remarks = _zones(sources)

    price, price_notes = mean_slots(
        sources.price.zones,
        [zone.price_key for zone in zones],
        horizon,
        "price",
        sources.price.file,
        sources.price.format,
        price_finisher(params.fx_ppm[sources.price.currency], params.grid_fee_micro_per_kwh, slot_s),
    )
    tariff = tuple(price[zone.price_key] for zone in zones)
    carbon, carbon_notes = _carbon(sources.carbon, zones, horizon)

    sites, offers = make_sites(
        classes,
        _load_by_class(windows, classes, class_of),
        len(zones),
        windows.slots,
        day_slots,
        params,
        seed,
    )
    target = sum(energy_wh(w, classes[class_of[w.row.job_id]].it_w, slot_s) for w in windows.jobs)
    share = book_share_ppm(
        [
            (w.start_slot, w.deadline_slot, energy_wh(w, classes[class_of[w.row.job_id]].it_w, slot_s))
            for w in windows.jobs
        ],
        windows.slots,
        day_slots,
    )
    series, supply_notes = _plant_series(sources, zones, horizon, params, seed)
    scaled_target = target * params.supply_multiple_ppm // 1_000_000
    plants = scale_plants(series, scaled_target, share, day_slots, slot_s)
    kinds = {plant.key: plant.kind for plant in series}
    grids = tuple(
        grid_plant(
            len(plants) + 1 + z.zone_id, z.zone_id, _zone_wh(offers, z.zone_id, windows.slots), c, slot_s
        )
        for z, c in zip(zones, carbon, strict=True)
    )
    power = [power_offer(plant, kinds[plant.name], params) for plant in plants]
    power += [grid_offer(grid, tariff[grid.zone_id]) for grid in grids]

    level = level_of(classes, offers, tariff, carbon, slot_s)
    zone = ZoneInfo(sources.jobs.timezone)
    midnight = _unix(datetime.combine(day, time()), zone) // slot_s * slot_s
    jobs = tuple(
        make_job(
            w,
            class_of[w.row.job_id],
            len(zones),
            midnight,
            _unix(w.row.submit_local, zone),
            level,
            params,
            seed,
        )
        for w in windows.jobs
    )
    return DayInput(
        name=sources.name,
        date=day,
        supply_date=supply_date,
        timezone=sources.jobs.timezone,
        start=midnight,
        slot_seconds=slot_s,
        slots=windows.slots,
        zones=zones,
        classes=classes,
        sites=sites,
        compute_offers=offers,
        plants=plants + grids,
        power_offers=tuple(power),
        tariff_micro_per_kwh=tariff,
        grid_carbon_g_per_kwh=carbon,
        jobs=jobs,
        refused=sources.all_refused(),
        notes=(
            SourceNote("jobs", sources.jobs.file, sources.jobs.format, day, day, 0),
            *supply_notes,
            *price_notes,
            *carbon_notes,
        ),
        remarks=(*remarks, *remarks_of(sources, windows, jobs, params, target, day_slots, plants)),
        params=params,
        seed=seed,
    )


def _unix(local: datetime, zone: ZoneInfo) -> int:
    return int(local.replace(tzinfo=zone).timestamp())


def _sample(rows: Sequence[JobRow], orders: int | None, seed: int) -> tuple[JobRow, ...]:
    """A seeded sample of `orders` jobs, independent of their order in the file."""
    if orders is None or orders >= len(rows):
        return tuple(rows)
    if orders < 1:
        raise DataFileError("options", "orders", f"{orders} is not a sample", "ask for at least one order")
    chosen = sorted(rows, key=lambda row: (draws.draw(seed, row.job_id, "sample"), row.job_id))[:orders]
    return tuple(sorted(chosen, key=lambda row: (row.submit_local, row.job_id)))


def _zones(sources: DaySources) -> tuple[tuple[DayZone, ...], list[str]]:
    """One zone per grid area of the generation file, with its columns of the price and carbon files."""
    prices = [one.key for one in sources.price.zones if one.full_days()]
    carbons = [one.key for one in sources.carbon.hourly if one.full_days()] or sorted(sources.carbon.annual)
    if not prices:
        raise DataFileError(
            sources.price.file, "days", "no zone has a full day", "give at least one full day"
        )
    if not carbons:
        raise DataFileError(
            sources.carbon.file, "days", "no zone has a full day", "give at least one full day"
        )
    zones, remarks = [], []
    for index, key in enumerate(sorted(set(sources.generation.zone_of.values()))):
        plan = plan_of(key)
        price_key, matched = choose_key(plan.price_keys, prices, index)
        if not matched:
            remarks.append(
                f"zone {plan.name}: {sources.price.file} has no price for it, {price_key} stands in"
            )
        national = ("China", *plan.carbon_keys[-1:]) if "China" in carbons else ()
        carbon_key, matched = choose_key((*plan.carbon_keys, *national), carbons, index)
        if not matched:
            remarks.append(
                f"zone {plan.name}: {sources.carbon.file} has no factor for it, {carbon_key} stands in"
            )
        zones.append(DayZone(index, plan.name, price_key, carbon_key))
    return tuple(zones), remarks


def _carbon(
    carbon: CarbonFile, zones: Sequence[DayZone], horizon: Horizon
) -> tuple[tuple[tuple[int, ...], ...], tuple[SourceNote, ...]]:
    """g/kWh by zone and slot; an annual factor holds all year."""
    keys = [zone.carbon_key for zone in zones]
    if carbon.hourly:
        values, notes = mean_slots(
            carbon.hourly,
            keys,
            horizon,
            "carbon",
            carbon.file,
            carbon.format,
            carbon_finisher(horizon.slot_s),
        )
        return tuple(values[key] for key in keys), notes
    slots = len(horizon.days) * 86_400 // horizon.slot_s
    note = tuple(SourceNote("carbon", carbon.file, carbon.format, day, day, 0) for day in horizon.days)
    return tuple(((carbon.annual[key] + 500) // 1000,) * slots for key in keys), note


def _plant_series(
    sources: DaySources, zones: Sequence[DayZone], horizon: Horizon, params: DayParameters, seed: int
) -> tuple[list[PlantSeries], tuple[SourceNote, ...]]:
    """Forecast and actual Wh per slot of each plant over the horizon, unscaled."""
    file = sources.generation
    actual, notes = energy_slots(file.plants, horizon, "generation", file.file, file.format)
    ahead: Mapping[str, tuple[int, ...]] = {}
    if sources.day_ahead is not None:
        other = sources.day_ahead
        ahead, more = energy_slots(other.plants, horizon, "generation forecast", other.file, other.format)
        notes += more
    zone_ids = {key: index for index, key in enumerate(sorted(set(file.zone_of.values())))}
    series = []
    for plant in file.plants:
        if plant.key in ahead:
            forecast = corrected_forecast(actual[plant.key], ahead[plant.key], params)
        else:
            forecast = drawn_forecast(actual[plant.key], plant.key, plant.kind, params, seed)
        series.append(
            PlantSeries(
                plant.key,
                plant.kind,
                zone_ids[file.zone_of[plant.key]],
                forecast,
                actual[plant.key],
                file.nameplate_w.get(plant.key),
            )
        )
    return series, notes


def _load_by_class(
    windows: Windows, classes: Sequence[DayClass], class_of: Mapping[str, int]
) -> dict[int, int]:
    load = {c.class_id: 0 for c in classes}
    for window in windows.jobs:
        load[class_of[window.row.job_id]] += window.row.gpus * window.duration_slots
    return load


def _zone_wh(offers: Sequence[DayComputeOffer], zone_id: int, slots: int) -> list[int]:
    """The most a zone's sites can draw in each slot, Wh."""
    need = [0] * slots
    for offer in offers:
        if offer.zone_id == zone_id:
            for slot in range(offer.start_slot, offer.end_slot):
                need[slot] += offer.capacity * offer.energy_wh_per_vcu_slot
    return need
