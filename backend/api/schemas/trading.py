"""Bodies of orders, offers and templates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from backend.api.schemas.base import (
    Address,
    Answer,
    Body,
    Digits,
    Hash,
    HexData,
    Id,
    Micro,
    Moment,
    Name,
    Seconds,
    Signature,
    Uint32,
    Uint63,
    Uint64,
)

Lanes = Field(ge=1, lt=0xFFFFFFFF, description="VCU", examples=[8])
OrderState = Literal[
    "open", "cancelled", "expired", "clearing", "cleared", "delivering", "settled", "refunded"
]


class OrderTerms(Body):
    """What a buyer asks for, before it is signed."""

    maker: Address
    class_id: Uint32 = Field(examples=[0])
    zones: list[int] | None = Field(
        default=None, min_length=1, max_length=64, description="allowed zones; none = all", examples=[[0, 1]]
    )
    lanes: int = Lanes
    min_lanes: Uint32 = 0
    duration_slots: int = Field(ge=1, le=0xFFFF, examples=[12])
    start: Seconds
    deadline: Seconds
    limit_price: Uint63 = Field(description="micro-units per VCU-slot, all in", examples=[1200000])
    min_green_bps: int = Field(default=0, ge=0, le=10_000, examples=[8000])
    max_carbon: Uint32 = 0xFFFFFFFF
    carbon_price: Uint32 = 0
    kind: int = Field(default=0, ge=0, le=4, description="0 divisible, 1 minimum, 2 fill or kill")
    expiry: Seconds | None = Field(default=None, description="none = the deadline")
    nonce: Uint64 | None = Field(default=None, description="none = the maker's next one")


class SignedOrder(Body):
    """The message `BundleOrder` as signed, and its signature."""

    maker: Address
    class_id: Uint32
    zone_mask: Uint64
    lanes: Uint32
    min_lanes: Uint32 = 0
    duration_slots: int = Field(ge=0, le=0xFFFF)
    start: Uint63
    deadline: Uint63
    limit_price: Uint63
    min_green_bps: int = Field(default=0, ge=0, le=0xFFFF)
    max_carbon: Uint32 = 0xFFFFFFFF
    carbon_price: Uint32 = 0
    kind: int = Field(default=0, ge=0, le=255)
    epoch: Uint32 = 0
    nonce: Uint64
    expiry: Uint63


class OrderNew(Body):
    """An order to be placed."""

    order: SignedOrder
    signature: Signature
    template_id: Id | None = None


class ComputeOfferTerms(Body):
    """What a provider offers, before it is signed."""

    maker: Address
    site_id: Uint32 = Field(examples=[1])
    class_id: Uint32
    capacity: int = Field(ge=1, le=32_767, description="VCU per slot")
    energy_wh_per_vcu_slot: int = Field(ge=1, le=0xFFFFFFFF, description="facility energy, PUE included")
    ask_price: Uint63 = Field(description="micro-units per VCU-slot, without energy")
    start: Seconds
    end: Seconds
    expiry: Seconds | None = Field(default=None, description="none = the end")
    nonce: Uint64 | None = None


class SignedComputeOffer(Body):
    """The message `ComputeOffer` as signed."""

    maker: Address
    site_id: Uint32
    class_id: Uint32
    zone_id: Uint32
    capacity: Uint32
    energy_wh_per_vcu_slot: Uint32
    ask_price: Uint63
    start: Uint63
    end: Uint63
    epoch: Uint32 = 0
    nonce: Uint64
    expiry: Uint63


class ComputeOfferNew(Body):
    """A compute offer to be placed."""

    offer: SignedComputeOffer
    signature: Signature


class Tranche(Body):
    """So much at so much."""

    wh: Uint32 = Field(examples=[250_000])
    ask: int = Field(ge=-(1 << 31), lt=1 << 31, description="micro-units per kWh", examples=[30_000])


Profile = list[list[Tranche]]


class PowerOfferTerms(Body):
    """What a supplier offers, before it is signed."""

    maker: Address
    plant_id: Uint32 = Field(examples=[7])
    start: Seconds
    profile: Profile = Field(
        min_length=1, max_length=1024, description="[slot][tranche]; every slot the same number of tranches"
    )
    expiry: Seconds | None = Field(default=None, description="none = the end of the last slot")
    nonce: Uint64 | None = None


class SignedPowerOffer(Body):
    """The message `PowerOffer` as signed; the profile goes beside it."""

    maker: Address
    plant_id: Uint32
    zone_id: Uint32
    source: int = Field(ge=0, le=255)
    tranches: int = Field(ge=1, le=255)
    start: Uint63
    slots: int = Field(ge=1, le=0xFFFF)
    profile_hash: Hash
    epoch: Uint32 = 0
    nonce: Uint64
    expiry: Uint63


class PowerOfferNew(Body):
    """A power offer to be placed; `profile` as packed bytes (uint32 Wh, int32 ask) [slot][tranche], hex."""

    offer: SignedPowerOffer
    profile: HexData = Field(max_length=120_000)
    signature: Signature


class TypedData(Answer):
    """Exactly what the wallet signs (eth_signTypedData_v4), and the body to send with the signature."""

    typed_data: dict[str, object]
    digest: Hash = Field(description="the EIP-712 digest, which is also the message's id")
    message: dict[str, object] = Field(description="send this as `order` or `offer`")
    profile: HexData | None = Field(default=None, description="of a power offer: send this as `profile`")


class Transaction(Answer):
    """A transaction for the wallet to send."""

    to: Address
    data: HexData
    chain_id: int
    description: str


class OrderOut(Answer):
    """An order and what became of it."""

    order_hash: Hash
    state: OrderState
    maker: Address
    class_id: int
    zones: list[int]
    lanes: int
    min_lanes: int
    duration_slots: int
    start: int
    deadline: int
    limit_price: Micro
    min_green_bps: int
    max_carbon: int
    carbon_price: int
    kind: int
    epoch: int
    nonce: Digits
    expiry: Digits
    received_at: Moment
    template_id: Id | None
    lanes_filled: int
    cost_micro: Micro
    batch_ids: list[int]
    slots: int = Field(description="slots of its agreements")
    slots_settled: int
    slots_refunded: int


class Withdrawn(Answer):
    """The order is out of the book; `transaction` also cancels it on chain, which nobody can undo."""

    order_hash: Hash
    state: OrderState
    transaction: Transaction | None


class ComputeOfferOut(Answer):
    """A compute offer."""

    offer_hash: Hash
    maker: Address
    site_id: int
    class_id: int
    zone_id: int
    capacity: int
    energy_wh_per_vcu_slot: int
    ask_price: Micro
    start: int
    end: int
    epoch: int
    nonce: Digits
    expiry: Digits
    received_at: Moment
    withdrawn: bool = False


class PowerOfferOut(Answer):
    """A power offer; profile [slot][tranche] of Wh and ask."""

    offer_hash: Hash
    maker: Address
    plant_id: int
    zone_id: int
    source: int
    start: int
    wh: list[list[int]]
    ask_micro_per_kwh: list[list[int]]
    epoch: int
    nonce: Digits
    expiry: Digits
    received_at: Moment
    withdrawn: bool = False


class TemplateSpec(Body):
    """A bundle without its date: the window is an offset from the day's start, or from now."""

    class_id: Uint32
    zones: list[int] | None = Field(default=None, min_length=1, max_length=64)
    lanes: int = Lanes
    duration_slots: int = Field(ge=1, le=0xFFFF)
    window_from: Literal["day", "now"] = "day"
    window_start_seconds: int = Field(default=0, ge=0, le=7 * 86_400)
    window_seconds: int = Field(ge=60, le=7 * 86_400, examples=[86_400])
    limit_price: Uint63
    min_green_bps: int = Field(default=0, ge=0, le=10_000)
    max_carbon: Uint32 = 0xFFFFFFFF
    carbon_price: Uint32 = 0
    daily: bool = Field(default=False, description="meant to be placed every day")

    @field_validator("zones")
    @classmethod
    def _zones(cls, zones: list[int] | None) -> list[int] | None:
        if zones is not None and not all(0 <= zone < 64 for zone in zones):
            raise ValueError("zones are 0 to 63")
        return zones


class TemplateNew(Body):
    """A template to save."""

    name: Name
    spec: TemplateSpec


class TemplateOut(Answer):
    """A template."""

    id: Id
    name: str
    spec: TemplateSpec
    revision: int
    created_by: str
    created_at: Moment
    updated_at: Moment


class TemplateDraft(Body):
    """For which account and which market days a template is to be signed."""

    maker: Address
    day: Seconds | None = Field(default=None, description="in the first market day; none = the next open one")
    days: int = Field(default=1, ge=1, le=31, description="how many days in a row", examples=[7])


class ScheduleNew(Body):
    """Orders a template every market day; the maker signs each order (see GET /scheduled-orders)."""

    maker: Address
    first_day: Seconds
    until: Seconds | None = Field(default=None, description="last day; none = until further notice")


class ScheduleOut(Answer):
    """A template's daily schedule."""

    template_id: Id
    maker: Address
    first_day: Seconds
    until: Seconds | None
    created_by: str
    created_at: Moment


class ScheduledOut(Answer):
    """One day of a schedule: to be signed before `gate_closes_at`, placed, or missed."""

    template_id: Id
    template_name: str
    revision: int
    maker: Address
    day: Seconds
    start: Seconds
    deadline: Seconds
    gate_closes_at: Seconds
    state: Literal["due", "placed", "missed"]
    order_hash: Hash | None
