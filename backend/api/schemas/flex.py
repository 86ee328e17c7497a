"""Bodies of virtual power plants. Power in W, energy in Wh, prices in ticks of 0.01 per MWh."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from backend.api.schemas.base import Answer, Body, Id, Moment, Name, Seconds

Watts = Annotated[int, Field(ge=-(1 << 40), le=1 << 40, description="W")]
KindName = Literal[
    "compute_site", "battery", "ups", "pv", "wind", "ev_fleet", "base_station", "cooling", "heat_recovery"
]
Point = Annotated[str, Field(pattern=r"^[0-9A-Za-z._:-]{1,60}$", examples=["MP-0001"])]


StepValue = Annotated[int, Field(ge=-(1 << 31), lt=1 << 31)]
Ladder = Annotated[
    list[Annotated[list[StepValue], Field(min_length=2, max_length=2)]], Field(max_length=20)
]  # fmt: skip


class ResourceNew(Body):
    """A resource or a group to register."""

    name: Name
    kind: KindName
    metering_point: Point
    zone_id: int = Field(ge=0, le=63)
    node: Point
    nameplate_w: int = Field(ge=1, le=1 << 40)
    parent_id: Id | None = None
    site_id: int | None = Field(default=None, ge=1, le=0xFFFFFFFF, description="in the bundle market")


class ResourceOut(Answer):
    """A resource."""

    id: Id
    name: str
    kind: str
    metering_point: str
    zone_id: int
    node: str
    nameplate_w: int
    parent_id: Id | None
    site_id: int | None


class GroupMove(Body):
    """The group to put a resource into; none takes it out."""

    parent_id: Id | None = None


class ContractNew(Body):
    """A member signs a resource up with an aggregator."""

    resource_id: Id
    aggregator_id: Id
    contract_type: Literal["energy", "reserve", "frequency"] = "energy"
    share_bps: int = Field(ge=0, le=10_000)
    notice_seconds: int = Field(default=0, ge=0, le=7 * 86_400)
    penalty_bps: int = Field(default=10_000, ge=0, le=10_000)
    start: Seconds
    end: Seconds


class ContractOut(ContractNew):
    """A contract."""

    id: Id
    member_id: Id


class TestNew(Body):
    """A response test: the change asked for (negative sheds) and what the meter read."""

    at: Seconds
    baseline_w: Watts
    requested_w: Watts
    times_ms: list[Annotated[int, Field(ge=0, le=1 << 40)]] = Field(min_length=2, max_length=2_000)
    power_w: list[Watts] = Field(min_length=2, max_length=2_000)


class CertificateNew(Body):
    """What a resource is measured from (F7)."""

    history_w: list[Watts] = Field(min_length=1, max_length=20_000)
    slot_seconds: int = Field(default=900, ge=60, le=3_600)
    tests: list[TestNew] = Field(max_length=200)


class CertificateOut(Answer):
    """A capability certificate."""

    id: Id
    resource_id: Id
    metrics: dict[str, int]
    method: str
    version: str
    inputs_hash: str
    issued_at: Moment
    expires_at: Moment


class AdmissionOut(Answer):
    """Whether the aggregator's VPP is admitted, and every reason against it."""

    admitted: bool
    reasons: list[str]
    aggregate_w: int
    adjustable_w: int


class FreeOut(Answer):
    """W left in each slot, by its start."""

    start: int
    slot_seconds: int
    free_w: list[int]


class ReservationNew(Body):
    """Capacity to promise in one market."""

    market: Literal["spot", "ancillary"]
    reference: Point
    start: Seconds
    end: Seconds
    watts: int = Field(ge=1, le=1 << 40)


class ReservationOut(Answer):
    """A promise on the ledger."""

    id: Id
    resource_id: Id
    market: str
    reference: str
    start: int
    end: int
    watts: int


class SeriesNew(Body):
    """A series: values of equal length from `start` over `duration`."""

    resource_id: Id
    name: Literal["telemetry", "forecast", "baseline", "schedule"] = "telemetry"
    start: Seconds
    duration: str = Field(max_length=30, examples=["PT1H"])
    values: list[Watts] = Field(min_length=1, max_length=10_000)
    unit: Literal["W", "kW", "MW"] = "W"


class SeriesOut(Answer):
    """A series; null where nothing is known."""

    resource_id: Id
    name: str
    start: int
    duration: str
    values: list[int | None]
    unit: str
