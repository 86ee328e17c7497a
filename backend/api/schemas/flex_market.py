"""Bodies of the flexibility market: bids, offers, requirements, periods, awards, events, settlement.

Power in W, energy in Wh, energy prices in ticks of 0.01 per MWh (10 micro per kWh), money in micro-units.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from backend.api.schemas.base import Address, Answer, Body, Hash, Id, Micro, Moment, Seconds
from backend.api.schemas.flex import Ladder, StepValue

Day = Annotated[str, Field(pattern=r"^20[0-9]{2}-[01][0-9]-[0-3][0-9]$", examples=["2024-11-21"])]
EnergyMarket = Literal["day_ahead", "real_time"]
AnyMarket = Literal["day_ahead", "real_time", "ancillary"]
EnergyProduct = Literal["energy_shed", "energy_raise", "peak_shed"]
CapacityProduct = Literal["reserve_up", "reserve_down", "frequency"]
EventState = Literal["CREATED", "SENT", "ACKED", "REJECTED", "NO_RECEIPT"]
PeriodState = Literal[
    "closed",
    "cleared",
    "anchoring",
    "anchored",
    "delivering",
    "delivered",
    "settled",
    "paid",
    "empty",
    "failed",
]
Prices = list[int | None]


class BlockNew(Body):
    """A block: one profile with one limit price; `latest_start` makes it shiftable, `parent` links it."""

    id: str = Field(pattern=r"^[0-9A-Za-z._-]{1,20}$")
    first_slot: int = Field(ge=0, le=400)
    profile_wh: list[StepValue] = Field(min_length=1, max_length=100)
    limit_ticks: StepValue
    min_accept_milli: int = Field(default=1000, ge=1, le=1000, description="least share taken, thousandths")
    parent: str | None = Field(default=None, max_length=20)
    latest_start: int | None = Field(default=None, ge=0, le=400)


class BidNew(Body):
    """A member's ladders, one per slot of the day: steps of [price_ticks, quantity_wh]; negative sells."""

    resource_id: Id
    market: EnergyMarket = "day_ahead"
    product: EnergyProduct = "energy_shed"
    day: Day
    ladders: list[Ladder] = Field(min_length=1, max_length=400)
    blocks: list[BlockNew] = Field(default_factory=list, max_length=50)
    account: Address | None = Field(default=None, description="the aggregator's; none = the caller's")


class BidOut(Answer):
    """A bid; `refused` says why a gate left it out."""

    id: Id
    resource_id: Id
    account: Address | None
    market: str
    product: str
    day: str
    zone_id: int
    ladders: list[list[list[int]]]
    blocks: list[dict[str, object]]
    received_at: Moment
    withdrawn_at: Moment | None
    refused: str


class CapacityOfferNew(Body):
    """Capacity of a resource on offer for whole hours of a day."""

    resource_id: Id
    product: CapacityProduct
    day: Day
    start: Seconds
    end: Seconds
    capacity_w: int = Field(ge=1, lt=1 << 31)
    price_micro_per_kw_h: int = Field(ge=0, lt=1 << 31)
    account: Address | None = None


class CapacityOfferOut(Answer):
    """An offer of capacity."""

    id: Id
    resource_id: Id
    account: Address
    product: str
    day: str
    start: int
    end: int
    capacity_w: int
    price_micro_per_kw_h: int
    received_at: Moment
    withdrawn_at: Moment | None
    refused: str


class RequirementNew(Body):
    """What the grid needs: for energy the buying ladders of a zone, for capacity W of each hour and a cap."""

    market: AnyMarket = "day_ahead"
    product: EnergyProduct | CapacityProduct = "energy_shed"
    day: Day
    zone_id: int | None = Field(default=None, ge=0, le=63)
    ladders: list[Ladder] = Field(default_factory=list, max_length=400)
    required_w: list[Annotated[int, Field(ge=0, lt=1 << 31)]] = Field(default_factory=list, max_length=25)
    cap_micro_per_kw_h: int = Field(default=0, ge=0, lt=1 << 31)
    account: Address | None = None


class RequirementOut(Answer):
    """A requirement."""

    id: Id
    account: Address
    market: str
    product: str
    day: str
    zone_id: int | None
    ladders: list[list[list[int]]]
    required_w: list[int]
    cap_micro_per_kw_h: int
    received_at: Moment
    withdrawn_at: Moment | None


class LineBody(Body):
    """A line between two zones; W it carries each way."""

    from_zone: int = Field(ge=0, le=63)
    to_zone: int = Field(ge=0, le=63)
    forward_w: int = Field(ge=0, lt=1 << 40)
    backward_w: int = Field(ge=0, lt=1 << 40)


class LinesNew(Body):
    """All lines; what is not in the list is removed."""

    lines: list[LineBody] = Field(max_length=2_000)


class LineOut(Answer):
    """A line."""

    from_zone: int
    to_zone: int
    forward_w: int
    backward_w: int


class ProductOut(Answer):
    """A product's terms; `kind` says whether energy or capacity is sold."""

    name: str
    kind: Literal["energy", "capacity"]
    direction: str
    response_ms: int
    sustain_s: int
    baseline: str
    min_capacity_w: int


class GateOut(Answer):
    """A gate: what it closes and when."""

    market: str
    first_slot: int
    slots: int
    closes_at: Seconds
    open: bool


class FlexMarketOut(Answer):
    """A day of the market: its slots, gates, price band and products; `now` is the market's clock."""

    day: str
    time_zone: str
    now: Seconds
    start: Seconds
    slot_seconds: int
    slots: int
    floor_ticks: int
    cap_ticks: int
    micro_per_kwh_per_tick: int
    gates: list[GateOut]
    products: list[ProductOut]


class PortfolioOut(Answer):
    """The caller's bid of a zone and day as the market sees it: Wh per slot (or per hour) it can be asked
    for.
    """

    market: str
    product: str
    day: str
    zone_id: int
    members: int
    steps: int
    lower_wh: list[int]
    upper_wh: list[int]


class PeriodOut(Answer):
    """The slots one gate closed. Prices per slot in ticks by product and zone; capacity per hour in
    micro per kW h by product.
    """

    id: Id
    market: str
    day: str
    first_slot: int
    slots: int
    slot_seconds: int
    start: Seconds
    end: Seconds
    state: PeriodState
    chain_period: int
    payer: Address | None
    prices: dict[str, dict[str, Prices] | Prices]
    positions: int
    awards_root: Hash | None
    deliveries_root: Hash | None
    inputs_hash: Hash | None
    error: str
    closed_at: Moment


class AwardOut(Answer):
    """What a bid or offer was awarded in a slot; `resource_id` is the member's."""

    period_id: Id
    source_id: Id
    resource_id: Id
    position: int
    start: Seconds
    seconds: int
    energy_wh: int
    price_micro_per_kwh: int


class PositionOut(Answer):
    """An account's award of a slot as anchored on chain, and what became of it."""

    period_id: Id
    position: int
    account: Address
    product: str
    zone_id: int | None
    start: Seconds
    seconds: int
    declared_wh: int
    price_micro_per_kwh: int
    delivered_wh: int | None
    payment_micro: Micro | None
    penalty_micro: Micro | None
    settled: bool


class ProofOut(Answer):
    """A position's leaf and its path to the root that FlexMarket holds (OpenZeppelin standard tree)."""

    position: PositionOut
    chain_period: int
    leaf: Hash
    proof: list[Hash]
    root: Hash


class EventOut(Answer):
    """A dispatch of a resource: the change asked for per slot (negative sheds), and the set-points."""

    id: Id
    period_id: Id
    resource_id: Id
    product: str
    start: Seconds
    slot_seconds: int
    set_w: list[int]
    change_w: list[int]
    state: EventState
    deadline: Seconds
    reason: str
    created_at: Seconds
    sent_at: Seconds | None
    answered_at: Seconds | None


class ReceiptNew(Body):
    """The resource's answer to an event."""

    accepted: bool
    reason: str = Field(default="", max_length=200)


class FlexSettlementOut(Answer):
    """A member's part of a position with the hash of what it was measured from."""

    id: Id
    period_id: Id
    position: int
    resource_id: Id
    account: Address
    declared_wh: int
    delivered_wh: int
    share_bps: int
    penalty_bps: int
    payment_micro: Micro
    penalty_micro: Micro
    to_member_micro: Micro
    method: str
    version: str
    inputs_hash: Hash
    reason: str


class ShareOut(Answer):
    """An account's part of what an aggregator was paid."""

    account: Address
    amount_micro: Micro


class SplitOut(Answer):
    """How an account's payment of a period is split; the shares add up to `paid_micro`."""

    period_id: Id
    account: Address
    paid_micro: Micro
    root: Hash
    shares: list[ShareOut]


class DisputeNew(Body):
    """The delivery to dispute, and the hash of the evidence."""

    position: int = Field(ge=0, lt=1 << 32)
    evidence_hash: Hash


class TypicalOut(Answer):
    """How a kind of resource typically answers: share of the request after each time, basis points."""

    kind: str
    tests: int
    times_ms: list[int]
    p10_bps: list[int]
    p50_bps: list[int]
    p90_bps: list[int]
