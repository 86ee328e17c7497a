"""Signed orders and offers as received, and the templates members save.

A signed message never changes; what became of it is read from the tables of `backend.store.chain`.
`source` is `api` (received here) or `chain` (seen first in a transaction, in block `first_block`).
Prices in micro-units, energy in Wh, market times in unix seconds aligned to slots.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from backend.store.types import Hex, Int256, JsonValue, UInt64, new_id, where_set


class OrderRow(SQLModel, table=True):
    """A buyer's signed bundle order (EIP-712 `BundleOrder`)."""

    __tablename__ = "bundle_order"
    __table_args__ = (
        Index("bundle_order_maker", "maker", "seen_id"),
        Index("bundle_order_maker_nonce", "maker", "nonce"),
        Index("bundle_order_window", "start", "deadline"),
        Index("bundle_order_first_block", "first_block", **where_set("first_block")),
        Index("bundle_order_template", "template_id", "start", **where_set("template_id")),
    )

    order_hash: str = Field(sa_column=Column(Hex(32), primary_key=True))
    seen_id: str = Field(default_factory=new_id, max_length=26, unique=True)
    maker: str = Field(sa_column=Column(Hex(20), nullable=False))
    class_id: int
    zone_mask: int = Field(sa_column=Column(UInt64, nullable=False))
    lanes: int = Field(sa_type=BigInteger)
    min_lanes: int = Field(sa_type=BigInteger)
    duration_slots: int
    start: int = Field(sa_column=Column(UInt64, nullable=False))
    deadline: int = Field(sa_column=Column(UInt64, nullable=False))
    limit_price: int = Field(sa_column=Column(UInt64, nullable=False))
    min_green_bps: int
    max_carbon: int = Field(sa_type=BigInteger)
    carbon_price: int = Field(sa_type=BigInteger)
    kind: int
    epoch: int = Field(sa_type=BigInteger)
    nonce: int = Field(sa_column=Column(UInt64, nullable=False))
    expiry: int = Field(sa_column=Column(UInt64, nullable=False))
    signature: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    received_at: int = Field(sa_type=BigInteger)
    source: str = Field(default="api", max_length=8)
    first_block: int | None = Field(default=None, sa_type=BigInteger)
    template_id: str | None = Field(default=None, max_length=26)


class ComputeOfferRow(SQLModel, table=True):
    """A provider's signed offer of one site's capacity (EIP-712 `ComputeOffer`)."""

    __tablename__ = "compute_offer"
    __table_args__ = (
        Index("compute_offer_maker", "maker", "seen_id"),
        Index("compute_offer_first_block", "first_block"),
    )

    offer_hash: str = Field(sa_column=Column(Hex(32), primary_key=True))
    seen_id: str = Field(default_factory=new_id, max_length=26, unique=True)
    maker: str = Field(sa_column=Column(Hex(20), nullable=False))
    site_id: int = Field(sa_type=BigInteger, index=True)
    class_id: int
    zone_id: int
    capacity: int = Field(sa_type=BigInteger)
    energy_wh_per_vcu_slot: int = Field(sa_type=BigInteger)
    ask_price: int = Field(sa_column=Column(UInt64, nullable=False))
    start: int = Field(sa_column=Column(UInt64, nullable=False))
    end: int = Field(sa_column=Column(UInt64, nullable=False))
    epoch: int = Field(sa_type=BigInteger)
    nonce: int = Field(sa_column=Column(UInt64, nullable=False))
    expiry: int = Field(sa_column=Column(UInt64, nullable=False))
    signature: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    received_at: int = Field(sa_type=BigInteger)
    source: str = Field(default="api", max_length=8)
    first_block: int | None = Field(default=None, sa_type=BigInteger)


class PowerOfferRow(SQLModel, table=True):
    """A supplier's signed offer of one plant's energy (EIP-712 `PowerOffer`) with its profile bytes."""

    __tablename__ = "power_offer"
    __table_args__ = (
        Index("power_offer_maker", "maker", "seen_id"),
        Index("power_offer_first_block", "first_block"),
    )

    offer_hash: str = Field(sa_column=Column(Hex(32), primary_key=True))
    seen_id: str = Field(default_factory=new_id, max_length=26, unique=True)
    maker: str = Field(sa_column=Column(Hex(20), nullable=False))
    plant_id: int = Field(sa_type=BigInteger, index=True)
    zone_id: int
    source_kind: int
    tranches: int
    start: int = Field(sa_column=Column(UInt64, nullable=False))
    slots: int
    profile: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    epoch: int = Field(sa_type=BigInteger)
    nonce: int = Field(sa_column=Column(UInt64, nullable=False))
    expiry: int = Field(sa_column=Column(UInt64, nullable=False))
    signature: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    received_at: int = Field(sa_type=BigInteger)
    source: str = Field(default="api", max_length=8)
    first_block: int | None = Field(default=None, sa_type=BigInteger)


class Withdrawal(SQLModel, table=True):
    """An order or offer its maker took back before the gate; it is kept out of the book (the chain's
    cancel is final).
    """

    __tablename__ = "withdrawal"

    order_hash: str = Field(sa_column=Column(Hex(32), primary_key=True))
    maker: str = Field(sa_column=Column(Hex(20), nullable=False))
    at: int = Field(sa_type=BigInteger)


class ServiceTemplate(SQLModel, table=True):
    """A saved, named bundle: class, green terms and window rule; `revision` grows with each change."""

    __tablename__ = "service_template"
    __table_args__ = (Index("service_template_name", "organisation_id", "name", unique=True),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    organisation_id: str = Field(foreign_key="organisation.id", max_length=26)
    name: str = Field(max_length=120)
    spec: dict[str, Any] = Field(sa_column=Column(JsonValue, nullable=False))
    revision: int = 1
    created_by: str = Field(max_length=80)
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)


class TemplateSchedule(SQLModel, table=True):
    """A template that is to be ordered every day from `first_day` (start of a market day) until `until`, by
    `maker`; the maker still signs every order.
    """

    __tablename__ = "template_schedule"

    template_id: str = Field(foreign_key="service_template.id", primary_key=True, max_length=26)
    organisation_id: str = Field(foreign_key="organisation.id", max_length=26, index=True)
    maker: str = Field(sa_column=Column(Hex(20), nullable=False))
    first_day: int = Field(sa_type=BigInteger)
    until: int | None = Field(default=None, sa_type=BigInteger)
    created_by: str = Field(max_length=80)
    created_at: int = Field(sa_type=BigInteger)


class Listing(SQLModel, table=True):
    """A signed offer of the points market, to sell or to buy certificates or credits; `kind`, `year_month`,
    `zone_id` and `source` are what the token's id says.
    """

    __tablename__ = "listing"
    __table_args__ = (
        Index("listing_maker", "maker", "seen_id"),
        Index("listing_kind", "kind", "sell", "seen_id"),
    )

    offer_hash: str = Field(sa_column=Column(Hex(32), primary_key=True))
    seen_id: str = Field(default_factory=new_id, max_length=26, unique=True)
    maker: str = Field(sa_column=Column(Hex(20), nullable=False))
    sell: bool
    asset: str = Field(sa_column=Column(Hex(20), nullable=False))
    certificate_id: int = Field(sa_column=Column(Int256, nullable=False))
    kind: int
    year_month: int
    zone_id: int
    source: int
    amount: int = Field(sa_type=BigInteger)
    price_micro_per_thousand: int = Field(sa_type=BigInteger)
    taker: str = Field(sa_column=Column(Hex(20), nullable=False))
    nonce: int = Field(sa_column=Column(UInt64, nullable=False))
    epoch: int = Field(sa_type=BigInteger)
    expiry: int = Field(sa_column=Column(UInt64, nullable=False))
    signature: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    received_at: int = Field(sa_type=BigInteger)
    withdrawn_at: int | None = Field(default=None, sa_type=BigInteger)
