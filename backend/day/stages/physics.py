"""What the meters and workload agents of the day will read, from cleared runs, actual energy and faults.

Quantities are mWh and resource-milliseconds. A site that delivers in full burns at least what it sold, so
that only faults cost it anything; what it burns more is its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backend.chain.packing import agreement_id
from backend.day.draws import draw
from backend.day.stages.chunks import Chunk
from backend.day.stages.faults import FULL_PPM, Fault, delay_slots, delivered_ppm
from backend.day.types import DayInput
from backend.market.domain import GRID_SOURCE, Book, Ints

SITE_IMPORT, WORKLOAD, PLANT = 0, 1, 2
"""Asset kinds of devices, as the Registry numbers them."""
KIND_GENERATION, KIND_IMPORT, KIND_IT_ENERGY, KIND_COMPUTE = 1, 2, 3, 4
_IDLE_PERMILLE = 5


@dataclass(frozen=True, slots=True)
class Device:
    """A meter or a workload agent and the asset it belongs to."""

    meter_id: int
    asset_kind: int
    asset_id: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One value a device will read: kind, agreement (0 = none), slot, quantity, how late it is sent."""

    meter_id: int
    kind: int
    agreement: int
    slot: int
    quantity: int
    delay_slots: int = 0


def devices_of(day: DayInput) -> list[Device]:
    """Every device of the day: two a site, one a plant; the grid needs none. Ids count from 1."""
    wanted = [(kind, site.site_id) for site in day.sites for kind in (SITE_IMPORT, WORKLOAD)]
    wanted += [(PLANT, plant.plant_id) for plant in day.plants if plant.source != GRID_SOURCE]
    return [Device(number, kind, asset) for number, (kind, asset) in enumerate(wanted, start=1)]


def samples(
    day: DayInput,
    book: Book,
    sold: Ints,
    batch_id: int,
    chunks: Sequence[Chunk],
    faults: Sequence[Fault],
    seed: int,
) -> Iterator[Sample]:
    """All values of the day, slot by slot and device by device.

    A missed forecast is measured against what the plant sold (`sold[power offer][slot]` Wh).
    """
    rows = {offer.plant_id: row for row, offer in enumerate(book.power_offers)}
    meters = {(device.asset_kind, device.asset_id): device.meter_id for device in devices_of(day)}
    active: defaultdict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for chunk in chunks:
        for index, (_, offer_index, _, start, end, lanes) in enumerate(chunk.runs):
            offer = book.compute_offers[offer_index]
            agreement = agreement_id(batch_id, chunk.index, index)
            for slot in range(start, end):
                active[slot, offer.site_id].append((agreement, lanes, offer.energy_wh_per_vcu_slot))
    plants = [plant for plant in day.plants if plant.source != GRID_SOURCE]
    for slot in range(day.slots):
        for site in day.sites:
            left = delivered_ppm(faults, "under_delivery", site.site_id, slot)
            workload, importer = meters[WORKLOAD, site.site_id], meters[SITE_IMPORT, site.site_id]
            burnt = 0
            for agreement, lanes, energy_wh in active.get((slot, site.site_id), ()):
                compute_ms = lanes * day.slot_seconds * 1000 * left // FULL_PPM
                extra = draw(seed, f"run/{agreement}", f"it/{slot}") % 10  # up to 0.9 % more than sold
                it_mwh = -(-lanes * energy_wh * (1000 + extra) * 1000 * left // (site.pue_milli * FULL_PPM))
                burnt += it_mwh
                yield Sample(workload, KIND_IT_ENERGY, agreement, slot, it_mwh)
                yield Sample(workload, KIND_COMPUTE, agreement, slot, compute_ms)
            limit_mwh = site.nameplate_w * day.slot_seconds * 10 // 36
            idle = limit_mwh * _IDLE_PERMILLE // 1000
            idle += draw(seed, f"site/{site.site_id}", f"idle/{slot}") % (idle // 10 + 1)
            facility = -(-burnt * site.pue_milli // 1000)
            yield Sample(importer, KIND_IMPORT, 0, slot, max(facility, min(facility + idle, limit_mwh)))
        for plant in plants:
            limit_mwh = plant.nameplate_w * day.slot_seconds * 10 // 36
            actual = plant.actual_wh[slot] * 1000
            actual += draw(seed, f"plant/{plant.plant_id}", f"meter/{slot}") % 1000 if actual else 0
            generated = min(actual, limit_mwh)
            left = delivered_ppm(faults, "forecast_miss", plant.plant_id, slot)
            if left < FULL_PPM:
                generated = min(generated, int(sold[rows[plant.plant_id], slot]) * left // 1000)
            late = delay_slots(faults, plant.plant_id, slot)
            yield Sample(meters[PLANT, plant.plant_id], KIND_GENERATION, 0, slot, generated, late)
