"""Virtual power plants: resources, contracts, certificates, the reservation ledger, bids, events, settlement.

Power in W, energy in Wh, money in micro-units, times in unix seconds.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer
from sqlmodel import Field, SQLModel

from backend.store.types import Hex, JsonValue, new_id


def _id() -> Any:
    return Field(default_factory=new_id, primary_key=True, max_length=26)


def _org(index: bool = True) -> Any:
    return Field(foreign_key="organisation.id", max_length=26, index=index)


class FlexResource(SQLModel, table=True):
    """A registered resource or group; `site_id` links a compute site of the bundle market."""

    __tablename__ = "flex_resource"

    id: str = _id()
    organisation_id: str = _org()
    name: str = Field(max_length=120)
    kind: str = Field(max_length=20)
    parent_id: str | None = Field(default=None, foreign_key="flex_resource.id", max_length=26, index=True)
    metering_point: str = Field(max_length=60, unique=True)
    zone_id: int
    node: str = Field(max_length=60)
    nameplate_w: int = Field(sa_type=BigInteger)
    site_id: int | None = Field(default=None, sa_type=BigInteger, unique=True)
    created_at: int = Field(sa_type=BigInteger)


class FlexContract(SQLModel, table=True):
    """A member's contract with an aggregator, in force [start, end)."""

    __tablename__ = "flex_contract"
    __table_args__ = (Index("flex_contract_member", "member_id", "contract_type"),)

    id: str = _id()
    resource_id: str = Field(foreign_key="flex_resource.id", max_length=26, index=True)
    member_id: str = _org(index=False)
    aggregator_id: str = _org()
    contract_type: str = Field(max_length=30)
    share_bps: int
    notice_seconds: int
    penalty_bps: int
    start: int = Field(sa_type=BigInteger)
    end: int = Field(sa_type=BigInteger)


class FlexCertificate(SQLModel, table=True):
    """A capability certificate (F7): metrics, method, inputs and validity."""

    __tablename__ = "flex_certificate"

    id: str = _id()
    resource_id: str = Field(foreign_key="flex_resource.id", max_length=26, index=True)
    metrics: dict[str, int] = Field(sa_column=Column(JsonValue, nullable=False))
    method: str = Field(max_length=20)
    version: str = Field(max_length=20)
    inputs_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    issued_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)


class FlexResponse(SQLModel, table=True):
    """One response test of a resource, as shares of the request; the source of typical curves."""

    __tablename__ = "flex_response"

    id: str = _id()
    resource_id: str = Field(foreign_key="flex_resource.id", max_length=26, index=True)
    kind: str = Field(max_length=20, index=True)
    at: int = Field(sa_type=BigInteger)
    baseline_w: int = Field(sa_type=BigInteger)
    requested_w: int = Field(sa_type=BigInteger)
    times_ms: list[int] = Field(sa_column=Column(JsonValue, nullable=False))
    power_w: list[int] = Field(sa_column=Column(JsonValue, nullable=False))


class FlexRoom(SQLModel, table=True):
    """How much of a resource is sold in one slot; the database itself refuses more than its capacity."""

    __tablename__ = "flex_room"
    __table_args__ = (
        CheckConstraint("used_w >= 0 AND used_w <= capacity_w", name="flex_room_never_oversold"),
    )

    resource_id: str = Field(foreign_key="flex_resource.id", primary_key=True, max_length=26)
    slot_start: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    capacity_w: int = Field(sa_type=BigInteger)
    used_w: int = Field(sa_type=BigInteger)


class FlexReservation(SQLModel, table=True):
    """Capacity of a resource promised in one market for [start, end); `reference` names the bid or offer."""

    __tablename__ = "flex_reservation"
    __table_args__ = (Index("flex_reservation_reference", "market", "reference", "resource_id", unique=True),)

    id: str = _id()
    resource_id: str = Field(foreign_key="flex_resource.id", max_length=26, index=True)
    market: str = Field(max_length=12)
    reference: str = Field(max_length=80)
    start: int = Field(sa_type=BigInteger)
    end: int = Field(sa_type=BigInteger)
    slot_seconds: int
    watts: int = Field(sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger)
    released_at: int | None = Field(default=None, sa_type=BigInteger)


class FlexBid(SQLModel, table=True):
    """A member's bid of one trading day in one market: ladders [slot][step] of (price_ticks, quantity_wh),
    and blocks. `account` is the aggregator's on chain; `refused` says why a gate left the bid out.
    """

    __tablename__ = "flex_bid"
    __table_args__ = (Index("flex_bid_day", "market", "day", "aggregator_id"),)

    id: str = _id()
    aggregator_id: str = _org()
    resource_id: str = Field(foreign_key="flex_resource.id", max_length=26, index=True)
    account: str | None = Field(default=None, sa_column=Column(Hex(20), nullable=True))
    market: str = Field(max_length=12)
    product: str = Field(max_length=30)
    day: str = Field(max_length=10)
    zone_id: int
    ladders: list[Any] = Field(sa_column=Column(JsonValue, nullable=False))
    blocks: list[Any] = Field(sa_column=Column(JsonValue, nullable=False))
    received_at: int = Field(sa_type=BigInteger)
    withdrawn_at: int | None = Field(default=None, sa_type=BigInteger)
    refused: str = Field(default="", max_length=200)


class FlexOffer(SQLModel, table=True):
    """Capacity of a resource on offer for [start, end) of a day, as a reserve or frequency product."""

    __tablename__ = "flex_offer"
    __table_args__ = (Index("flex_offer_day", "day", "product"),)

    id: str = _id()
    aggregator_id: str = _org()
    resource_id: str = Field(foreign_key="flex_resource.id", max_length=26, index=True)
    account: str = Field(sa_column=Column(Hex(20), nullable=False))
    product: str = Field(max_length=30)
    day: str = Field(max_length=10)
    start: int = Field(sa_type=BigInteger)
    end: int = Field(sa_type=BigInteger)
    capacity_w: int = Field(sa_type=BigInteger)
    price_micro_per_kw_h: int = Field(sa_type=BigInteger)
    received_at: int = Field(sa_type=BigInteger)
    withdrawn_at: int | None = Field(default=None, sa_type=BigInteger)
    refused: str = Field(default="", max_length=200)


class FlexRequirement(SQLModel, table=True):
    """What the grid needs and its payer buys: for energy, ladders [slot][step] of (price_ticks,
    quantity_wh) in a zone; for capacity, W of each hour at a price of at most `cap_micro_per_kw_h`.
    """

    __tablename__ = "flex_requirement"
    __table_args__ = (Index("flex_requirement_day", "market", "day"),)

    id: str = _id()
    organisation_id: str = _org()
    account: str = Field(sa_column=Column(Hex(20), nullable=False))
    market: str = Field(max_length=12)
    product: str = Field(max_length=30)
    day: str = Field(max_length=10)
    zone_id: int | None = None
    ladders: list[Any] = Field(sa_column=Column(JsonValue, nullable=False))
    required_w: list[int] = Field(sa_column=Column(JsonValue, nullable=False))
    cap_micro_per_kw_h: int = Field(default=0, sa_type=BigInteger)
    received_at: int = Field(sa_type=BigInteger)
    withdrawn_at: int | None = Field(default=None, sa_type=BigInteger)


class FlexLine(SQLModel, table=True):
    """A line between two zones of the flexibility market; W it carries each way."""

    __tablename__ = "flex_line"

    from_zone: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    to_zone: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    forward_w: int = Field(sa_type=BigInteger)
    backward_w: int = Field(sa_type=BigInteger)


class FlexPeriod(SQLModel, table=True):
    """The slots that one gate closed, from clearing to payment; one period of FlexMarket.

    `prices` is {product: {zone: [ticks or null per slot]}}, for capacity {product: [micro per kW h per
    hour]}.
    """

    __tablename__ = "flex_period"
    __table_args__ = (
        Index("flex_period_start", "market", "start", unique=True),
        Index("flex_period_state", "state", "start"),
    )

    id: str = _id()
    market: str = Field(max_length=12)
    day: str = Field(max_length=10)
    first_slot: int
    slots: int
    slot_seconds: int
    start: int = Field(sa_type=BigInteger)
    chain_period: int = Field(sa_type=BigInteger, unique=True)
    state: str = Field(max_length=12)
    payer: str | None = Field(default=None, sa_column=Column(Hex(20), nullable=True))
    prices: dict[str, Any] = Field(sa_column=Column(JsonValue, nullable=False))
    positions: int = 0
    attempts: int = 0
    awards_root: str | None = Field(default=None, sa_column=Column(Hex(32), nullable=True))
    deliveries_root: str | None = Field(default=None, sa_column=Column(Hex(32), nullable=True))
    inputs_hash: str | None = Field(default=None, sa_column=Column(Hex(32), nullable=True))
    error: str = Field(default="", max_length=400)
    closed_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)

    @property
    def end(self) -> int:
        """Unix second at which its last slot ends."""
        return self.start + self.slots * self.slot_seconds


class FlexPosition(SQLModel, table=True):
    """What an aggregator's account was awarded in a slot of a period, at its index in the anchored tree,
    and what became of it.
    """

    __tablename__ = "flex_position"

    period_id: str = Field(foreign_key="flex_period.id", primary_key=True, max_length=26)
    position: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    aggregator_id: str = _org()
    account: str = Field(sa_column=Column(Hex(20), nullable=False))
    product: str = Field(max_length=30)
    zone_id: int | None = None
    start: int = Field(sa_type=BigInteger)
    seconds: int
    declared_wh: int = Field(sa_type=BigInteger)
    price_micro_per_kwh: int = Field(sa_type=BigInteger)
    delivered_wh: int | None = Field(default=None, sa_type=BigInteger)
    payment_micro: int | None = Field(default=None, sa_type=BigInteger)
    penalty_micro: int | None = Field(default=None, sa_type=BigInteger)
    settled: bool = False


class FlexAward(SQLModel, table=True):
    """What one member's bid or offer was awarded in a slot; part of a position."""

    __tablename__ = "flex_award"
    __table_args__ = (Index("flex_award_position", "period_id", "position"),)

    period_id: str = Field(foreign_key="flex_period.id", primary_key=True, max_length=26)
    source_id: str = Field(primary_key=True, max_length=26)
    start: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    position: int
    aggregator_id: str = _org()
    resource_id: str = Field(foreign_key="flex_resource.id", max_length=26, index=True)
    seconds: int
    energy_wh: int = Field(sa_type=BigInteger)
    price_micro_per_kwh: int = Field(sa_type=BigInteger)


class FlexEvent(SQLModel, table=True):
    """A dispatch: what the aggregator asks of a resource, and how far the message came.

    `change_w` is the change asked for per slot (negative sheds), `set_w` the power that follows from the
    plan.
    """

    __tablename__ = "flex_event"
    __table_args__ = (Index("flex_event_due", "state", "deadline"),)

    id: str = _id()
    period_id: str = Field(foreign_key="flex_period.id", max_length=26, index=True)
    aggregator_id: str = _org()
    resource_id: str = Field(foreign_key="flex_resource.id", max_length=26, index=True)
    product: str = Field(max_length=30)
    start: int = Field(sa_type=BigInteger)
    slot_seconds: int
    set_w: list[int] = Field(sa_column=Column(JsonValue, nullable=False))
    change_w: list[int] = Field(sa_column=Column(JsonValue, nullable=False))
    state: str = Field(max_length=12)
    deadline: int = Field(sa_type=BigInteger)
    reason: str = Field(default="", max_length=200)
    created_at: int = Field(sa_type=BigInteger)
    sent_at: int | None = Field(default=None, sa_type=BigInteger)
    answered_at: int | None = Field(default=None, sa_type=BigInteger)


class FlexSeries(SQLModel, table=True):
    """A time series as it was told: `start`, `slot_seconds`, values, unit, and when it was known."""

    __tablename__ = "flex_series"
    __table_args__ = (Index("flex_series_of", "resource_id", "name", "start"),)

    id: str = _id()
    organisation_id: str = _org()
    resource_id: str = Field(foreign_key="flex_resource.id", max_length=26)
    name: str = Field(max_length=40)
    unit: str = Field(max_length=8)
    start: int = Field(sa_type=BigInteger)
    slot_seconds: int
    readings: list[int] = Field(sa_column=Column(JsonValue, nullable=False))
    known_at: int = Field(sa_type=BigInteger)


class FlexSettlement(SQLModel, table=True):
    """A member's part of a position: what it was told and delivered, its amounts, and what they rest on.

    `to_member_micro` is its own after contract shares, paid to `account`; the rest is the aggregator's.
    """

    __tablename__ = "flex_settlement"
    __table_args__ = (Index("flex_settlement_period", "period_id", "position"),)

    id: str = _id()
    period_id: str = Field(foreign_key="flex_period.id", max_length=26)
    position: int
    aggregator_id: str = _org()
    resource_id: str = Field(foreign_key="flex_resource.id", max_length=26, index=True)
    account: str = Field(sa_column=Column(Hex(20), nullable=False))
    declared_wh: int = Field(sa_type=BigInteger)
    delivered_wh: int = Field(sa_type=BigInteger)
    share_bps: int
    penalty_bps: int
    payment_micro: int = Field(sa_type=BigInteger)
    penalty_micro: int = Field(sa_type=BigInteger)
    to_member_micro: int = Field(sa_type=BigInteger)
    method: str = Field(max_length=40)
    version: str = Field(max_length=20)
    inputs_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    reason: str = Field(default="", max_length=200)
    created_at: int = Field(sa_type=BigInteger)


class OpenAdrObject(SQLModel, table=True):
    """An object of the OpenADR 3.1 façade, as its owner wrote it."""

    __tablename__ = "openadr_object"
    __table_args__ = (Index("openadr_object_kind", "organisation_id", "kind", "id"),)

    id: str = _id()
    organisation_id: str = _org(index=False)
    kind: str = Field(max_length=16)
    client: str = Field(max_length=80)
    name: str = Field(default="", max_length=128)
    parent_id: str | None = Field(default=None, max_length=26, index=True)
    body: dict[str, Any] = Field(sa_column=Column(JsonValue, nullable=False))
    created_at: int = Field(sa_type=BigInteger)
    modified_at: int = Field(sa_type=BigInteger)
