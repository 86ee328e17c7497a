"""Bodies of the secondary market."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from backend.api.schemas.base import (
    Address,
    Answer,
    Body,
    Digits,
    Hash,
    HexData,
    Micro,
    Moment,
    Seconds,
    Signature,
    Uint32,
    Uint63,
    Uint64,
    big,
)
from backend.api.schemas.trading import Transaction

Side = Literal["sell", "buy"]
KindName = Literal["certificate", "credit"]
Price = Annotated[
    int,
    BeforeValidator(big, json_schema_input_type=int | str),
    Field(ge=1, lt=1 << 62, description="micro-units per 1,000 units (kWh or kg)", examples=[12_000]),
]
Amount = Annotated[
    int,
    BeforeValidator(big, json_schema_input_type=int | str),
    Field(ge=1, lt=1 << 62, description="units: Wh or g", examples=[250_000]),
]


class ListingTerms(Body):
    """What is to be sold or bought, before it is signed."""

    maker: Address
    side: Side
    certificate_id: Digits
    amount: Amount
    price_micro_per_thousand: Price
    expiry: Seconds
    taker: Address | None = Field(default=None, description="the only account that may fill; none = anyone")
    nonce: Uint64 | None = None


class SignedListing(Body):
    """The message `Offer` as signed."""

    maker: Address
    sell: bool
    asset: Address
    token_id: Digits
    amount: Amount
    price_micro_per_thousand: Price
    taker: Address
    nonce: Uint64
    epoch: Uint32
    expiry: Uint63


class ListingNew(Body):
    """A listing to be placed."""

    offer: SignedListing
    signature: Signature


class ListingOut(Answer):
    """A listing and what became of it."""

    offer_hash: Hash
    state: Literal["open", "filled", "cancelled", "expired"]
    side: Side
    kind: KindName
    unit: Literal["Wh", "g"]
    maker: Address
    certificate_id: Digits
    year_month: int = Field(examples=[201710])
    zone_id: int
    source: int
    amount: int
    filled: int
    left: int
    price_micro_per_thousand: Micro
    taker: Address | None
    nonce: Digits
    epoch: int
    expiry: int
    received_at: Moment


class ListingFillOut(Answer):
    """A part of a listing that was filled."""

    taker: Address
    amount: int
    cost_micro: Micro
    at: Seconds
    tx_hash: Hash
    block_number: int


class ListingDetail(ListingOut):
    """A listing with its signature and its fills, newest first."""

    asset: Address
    signature: HexData
    fills: list[ListingFillOut]


class FillNew(Body):
    """How much of a listing to take, for which account."""

    account: Address
    amount: Amount


class FillDraft(Answer):
    """The transaction that fills, and what the buyer pays."""

    cost_micro: Micro
    transaction: Transaction
