"""Bodies of jobs and of what-if replays."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.api.schemas.base import Answer, Body, Id, Micro, Moment, Seconds, Uint32

Share = Field(
    default=10_000, ge=0, le=100_000, description="in 1/10000; 10000 = as it was", examples=[12_000]
)


class SourceShare(Body):
    """How much of one kind of source's supply there is."""

    source: int = Field(ge=1, le=255, examples=[1])
    bps: int = Field(ge=0, le=100_000, description="in 1/10000; 10000 = as it was", examples=[5_000])


class WhatIfChanges(Body):
    """How the circumstances differ from the batch that cleared."""

    demand_bps: int = Share
    limit_price_bps: int = Share
    grid_price_bps: int = Share
    grid_carbon_bps: int = Share
    sources: list[SourceShare] = Field(default_factory=list, max_length=16)
    plants_out: list[Uint32] = Field(default_factory=list, max_length=1000, examples=[[7]])
    sites_out: list[Uint32] = Field(default_factory=list, max_length=1000)
    min_green_bps: int | None = Field(default=None, ge=0, le=10_000, description="at least, of every order")
    no_delay: bool = Field(default=False, description="every order must run at once")


class WhatIfAsk(Body):
    """Which batch to replay, and how it differs."""

    batch_id: int | None = Field(default=None, ge=1, lt=1 << 62, description="none = the last cleared one")
    changes: WhatIfChanges = Field(default_factory=WhatIfChanges)
    mechanism: Literal["joint", "fcfs", "sequential", "greedy"] = "joint"
    seconds: int = Field(default=20, ge=1, le=120, description="after so long the best found so far is taken")


class WhatIfFigures(Answer):
    """A clearing in figures; costs are resource costs except buyer_cost_micro."""

    mechanism: str
    orders: int
    orders_filled: int
    requested_vcu_slots: int
    filled_vcu_slots: int
    deadline_missed: int
    buyer_cost_micro: Micro
    compute_cost_micro: Micro
    energy_cost_micro: Micro
    energy_wh: int
    green_matched_wh: int
    green_share_bps: int
    available_green_wh: int
    curtailed_wh: int
    carbon_location_g: int
    carbon_market_g: int
    welfare_micro: Micro
    gap_bps: int
    reason: str = Field(description="why nothing cleared, else empty")


class WhatIfZone(Answer):
    """One zone slot by slot."""

    zone_id: int
    energy_price_grey: list[int]
    energy_price_green: list[int]
    grey_sold_wh: list[int]
    green_sold_wh: list[int]
    green_offered_wh: list[int]
    lanes: list[int]


class WhatIfSide(Answer):
    """A clearing: its figures and its series by zone."""

    figures: WhatIfFigures
    zones: list[WhatIfZone]


class WhatIfResult(Answer):
    """The batch as it cleared, and under the changes."""

    start: Seconds
    slot_seconds: int
    slots: int
    before: WhatIfSide
    after: WhatIfSide


class JobOut(Answer):
    """A job; `result` is there when it is done, `error` when it failed."""

    id: Id
    kind: Literal["what-if"]
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    progress_bps: int = Field(ge=0, le=10_000)
    request: dict[str, object]
    result: WhatIfResult | None
    error: str
    created_at: Moment
    started_at: Moment | None
    ended_at: Moment | None
