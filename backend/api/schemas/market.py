"""Bodies of market data: zones, classes, products, calendar, quotes, batches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.api.schemas.base import (
    Address,
    Answer,
    Body,
    Digits,
    Hash,
    Micro,
    Seconds,
    Uint16,
    Uint32,
    Uint63,
)

Basis = Literal["cleared", "forecast", "none"]


class ZoneOut(Answer):
    """A zone."""

    zone_id: int = Field(examples=[0])
    name: str = Field(examples=["north"])


class ClassOut(Answer):
    """A class of compute, and what one virtual computing unit (VCU) of it is."""

    class_id: int = Field(examples=[0])
    name: str = Field(examples=["gpu-training"])
    energy_wh_per_vcu_slot: int | None = Field(
        description="facility energy at the last cleared day's sites, Wh"
    )
    reference_device: str | None = Field(default=None, examples=["NVIDIA A100 SXM 80 GB"])
    dense_fp16_tflops: int | None = Field(default=None, examples=[312])
    watts: int | None = Field(default=None, examples=[366])


class Product(Answer):
    """A batch that can be or could be bid for: one day of slots and the time its gate closes."""

    start: Seconds
    slot_seconds: int = Field(examples=[900])
    slots: int = Field(examples=[96])
    gate_closes_at: Seconds
    state: Literal["open", "closed", "clearing", "cleared", "voided"]
    batch_id: int | None


class ChainOut(Answer):
    """The chain and the contracts; `abi` of each as the compiler wrote it."""

    chain_id: int
    block_number: int
    timestamp: Seconds
    indexed_block: int | None = Field(description="highest block whose events are in this service's answers")
    deploy_block: int
    rpc_url: str | None = Field(description="where the browser reads this chain itself")
    contracts: dict[str, ContractOut]


class ContractOut(Answer):
    """A contract."""

    address: Address
    abi: list[dict[str, object]]


class CalendarZone(Answer):
    """One zone on one day: a number per slot. Prices in micro-units, null where nobody sells."""

    zone_id: int
    green_share_bps: list[int] = Field(description="green share of the energy sold, 1/10000")
    carbon_g_per_kwh: list[int] = Field(description="carbon of the energy sold")
    grid_carbon_g_per_kwh: list[int]
    compute_price_grey: list[int | None] = Field(description="per VCU-slot, all in")
    compute_price_green: list[int | None]
    energy_price_grey: list[int] = Field(description="per kWh")
    energy_price_green: list[int]
    green_offered_wh: list[int]
    green_sold_wh: list[int]
    energy_sold_wh: list[int]


class CalendarDay(Answer):
    """One day; `basis` says whether its numbers were cleared or are those of the last cleared day."""

    start: Seconds
    basis: Basis
    batch_id: int | None
    zones: list[CalendarZone]


class Calendar(Answer):
    """Days x slots x zones of one class."""

    class_id: int
    slot_seconds: int
    slots: int
    days: list[CalendarDay]


class QuoteAsk(Body):
    """A bundle to be quoted."""

    class_id: Uint32 = Field(examples=[0])
    zones: list[int] | None = Field(
        default=None, max_length=64, description="allowed zones; none = all", examples=[[0, 1]]
    )
    lanes: int = Field(ge=1, lt=0xFFFFFFFF, description="VCU", examples=[8])
    duration_slots: int = Field(ge=1, le=0xFFFF, examples=[12])
    start: Seconds = Field(examples=[1508191200])
    deadline: Seconds = Field(examples=[1508277600])
    min_green_bps: int = Field(default=0, ge=0, le=10_000, examples=[8000])
    max_carbon: Uint32 = Field(default=0xFFFFFFFF, description="g/kWh of grey slots; 4294967295 = no cap")
    carbon_price: Uint32 = Field(default=0, description="micro-units per g; ranks slots, is not paid")
    limit_price: Uint63 | None = Field(
        default=None, description="micro-units per VCU-slot; for fill probability"
    )


class QuoteLot(Answer):
    """Lanes that would run alike."""

    lanes: int
    zone_id: int
    cost_micro: Micro
    slots: list[int] = Field(description="counted from the window's start")
    modes: list[int] = Field(description="0 grey, 1 green, per slot")


class QuoteOut(Answer):
    """The quote. `feasible` false: the window has too few slots for sale, everything else is null."""

    feasible: bool
    basis: Basis
    batch_id: int | None = Field(description="the cleared batch whose prices these are")
    cost_micro: Micro | None = None
    price_micro: Micro | None = Field(default=None, description="average per VCU-slot, rounded up")
    first_come_micro: Micro | None = Field(
        default=None, description="with `limit_price`: the same bundle in the earliest slots within it"
    )
    saved_micro: Micro | None = None
    vcu_slots: int | None = None
    energy_wh: int | None = None
    green_wh: int | None = None
    green_share_bps: int | None = None
    carbon_g: int | None = None
    grid_carbon_g: int | None = Field(
        default=None, description="the same energy at the grid's carbon of those slots"
    )
    fill_probability_bps: int | None = Field(default=None, description="with `limit_price`; 1/10000")
    lots: list[QuoteLot] = Field(default_factory=list)


class BatchOut(Answer):
    """A batch. `gap_bps` is (bound - welfare) / bound, rounded up: what no other clearing could add."""

    batch_id: int
    state: Literal["clearing", "cleared", "voided"]
    solver: Address
    start: Seconds
    slot_seconds: int
    slots: int
    zones: int
    classes: int
    welfare_micro: Digits
    dual_bound_micro: Digits
    gap_bps: int | None
    publication_hash: Hash
    book_hash: Hash = Field(description="sha-256 of the archived book")
    solution_hash: Hash = Field(description="sha-256 of the archived solution")
    opened_at: Seconds
    finalised_at: Seconds | None


class BatchSummary(BatchOut):
    """A batch with what it moved."""

    orders: int
    agreements: int
    chunks: int
    compute_offers: int
    power_offers: int
    cost_micro: Micro
    energy_wh: int
    green_wh: int
    green_share_bps: int
    vcu_slots: int
    slots_settled: int
    slots_refunded: int
    slots_total: int = Field(description="chunk-slots with something to settle")


class PricesOut(Answer):
    """The price table as posted. Indices: class, zone, mode (0 grey, 1 green), slot."""

    batch_id: int
    start: Seconds
    slot_seconds: int
    compute_price: list[list[list[list[int | None]]]] = Field(
        description="micro-units per VCU-slot; null: not sold"
    )
    energy_price: list[list[list[int]]] = Field(description="micro-units per kWh")
    grid_carbon: list[list[int]] = Field(description="g/kWh")
    green_factor: list[list[int]] = Field(description="g/kWh of the green energy, rounded up")
    sold_wh: list[list[list[int]]] = Field(description="[mode][zone][slot]")
    offered_wh: list[list[list[int]]] = Field(description="[mode][zone][slot]")


class StepOut(Answer):
    """A step of a merit order."""

    price: Micro
    quantity: int = Field(description="Wh or VCU")
    source: int | None = Field(
        default=None, description="0 grid, 1 pv, 2 wind, 3 hydro, 4 nuclear, 5 biomass ..."
    )
    sold: int | None = None


class CurvesOut(Answer):
    """Merit order of one cell: energy by ask, compute by all-in cost, demand by limit."""

    batch_id: int
    class_id: int
    zone_id: int
    slot: int
    energy_supply: list[StepOut]
    energy_price_grey: Micro
    energy_price_green: Micro
    compute_supply: list[StepOut]
    compute_demand: list[StepOut] = Field(description="cleared orders; what did not clear stays sealed")
    compute_price_grey: Micro
    compute_price_green: Micro


class SiteOut(Answer):
    """A provider's site."""

    site_id: int
    owner: Address
    zone_id: int
    nameplate_w: int


class PlantOut(Answer):
    """A supplier's plant; source 0 is the grid of its zone."""

    plant_id: int
    owner: Address
    zone_id: int
    source: int
    nameplate_w: int
    emission_factor: int = Field(description="g/kWh, life cycle")


class DeviceOut(Answer):
    """A measuring device's last attestation."""

    meter_id: int
    asset_kind: int = Field(description="0 site import meter, 1 workload agent, 2 plant meter")
    asset_id: int
    x: Hash = Field(description="P-256 public key")
    y: Hash
    measurement: Hash
    attested_until: Digits
    evidence_hash: Hash
    evidence_kind: int = Field(description="0 simulated, 1 TDX, 2 SGX, 3 SEV-SNP, 4 Nitro, 5 NVIDIA")


class SlotRange(Answer):
    """Slots [start_slot, end_slot)."""

    start_slot: Uint16
    end_slot: Uint16


ChainOut.model_rebuild()
