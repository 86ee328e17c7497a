"""A market day, ready to be signed, cleared and delivered: frozen records of integers.

Units stand in the names; slots count from the start of the horizon (00:00 local of the day).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from backend.day.errors import RefusedRow
from backend.day.params import DayParameters

GREY, GREEN = 0, 1
SOURCE_IDS = {
    "grid": 0,
    "pv": 1,
    "wind": 2,
    "hydro": 3,
    "nuclear": 4,
    "biomass": 5,
    "geothermal": 6,
    "other": 7,
}
NO_CARBON_CAP = 0xFFFFFFFF


@dataclass(frozen=True)
class DayZone:
    """A price area: `price_key` and `carbon_key` say which column of which file it took."""

    zone_id: int
    name: str
    price_key: str
    carbon_key: str


@dataclass(frozen=True)
class DayClass:
    """A compute class: 1 VCU is one device of it, drawing `it_w` watts before PUE (F1, F2)."""

    class_id: int
    name: str
    it_w: int


@dataclass(frozen=True)
class DaySite:
    """A compute site; nameplate covers all its offers at once."""

    site_id: int
    name: str
    owner: str
    zone_id: int
    pue_milli: int
    nameplate_w: int


@dataclass(frozen=True)
class DayComputeOffer:
    """Lanes of one class at one site over a span of slots, at one ask."""

    offer_id: str
    owner: str
    site_id: int
    class_id: int
    zone_id: int
    capacity: int
    energy_wh_per_vcu_slot: int
    ask_micro_per_vcu_slot: int
    start_slot: int
    end_slot: int


@dataclass(frozen=True)
class DayPlant:
    """A plant (or, with source 0, a zone's grid). `actual_wh` is what its meter will read in each slot."""

    plant_id: int
    name: str
    owner: str
    zone_id: int
    source: int
    emission_g_per_kwh: int
    nameplate_w: int
    forecast_wh: tuple[int, ...]
    actual_wh: tuple[int, ...]


@dataclass(frozen=True)
class DayPowerOffer:
    """What a plant asks: for each slot a row of tranches (Wh, micro per kWh)."""

    offer_id: str
    owner: str
    plant_id: int
    zone_id: int
    source: int
    emission_g_per_kwh: int
    wh: tuple[tuple[int, ...], ...]
    ask_micro_per_kwh: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class DayJob:
    """One job as a bundle order, unsigned. `submitted_at` is unix seconds."""

    job_id: str
    tenant: str
    urgent: bool
    class_id: int
    zone_mask: int
    lanes: int
    min_lanes: int
    duration_slots: int
    start_slot: int
    deadline_slot: int
    limit_micro_per_vcu_slot: int
    min_green_bps: int
    max_carbon_g_per_kwh: int
    carbon_price_micro_per_g: int
    kind: int
    submitted_at: int

    @property
    def vcu_slots(self) -> int:
        return self.lanes * self.duration_slots


@dataclass(frozen=True)
class SourceNote:
    """Which day of which file stands for which day of the horizon, and by how many days it is off."""

    role: str
    file: str
    format: str
    wanted: dt.date
    used: dt.date
    days_off: int
    filled_gaps: int = 0


@dataclass(frozen=True)
class DayInput:
    """Everything the driver needs: register, sign, clear, deliver, settle, report."""

    name: str
    date: dt.date
    supply_date: dt.date
    timezone: str
    start: int
    slot_seconds: int
    slots: int
    zones: tuple[DayZone, ...]
    classes: tuple[DayClass, ...]
    sites: tuple[DaySite, ...]
    compute_offers: tuple[DayComputeOffer, ...]
    plants: tuple[DayPlant, ...]
    power_offers: tuple[DayPowerOffer, ...]
    tariff_micro_per_kwh: tuple[tuple[int, ...], ...]
    grid_carbon_g_per_kwh: tuple[tuple[int, ...], ...]
    jobs: tuple[DayJob, ...]
    refused: tuple[RefusedRow, ...]
    notes: tuple[SourceNote, ...]
    remarks: tuple[str, ...]
    params: DayParameters
    seed: int

    @property
    def requested_vcu_slots(self) -> int:
        return sum(job.vcu_slots for job in self.jobs)
