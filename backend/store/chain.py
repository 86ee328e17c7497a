"""What the contracts' events say, in tables. Every row can be made again from the chain alone.

Each row carries the block it comes from, so that a reorganisation is undone by deleting above the fork.
Money in
micro-units, energy in Wh, carbon in g/kWh, times in unix seconds, slots counted from the batch's start.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from backend.store.types import Hex, Int256, JsonValue, UInt64


def _big(**kwargs: Any) -> Any:
    """A BIGINT column; part of a key where `key` is set."""
    key = kwargs.pop("key", False)
    return Field(
        sa_column=Column(
            BigInteger, primary_key=key, autoincrement=False, nullable=kwargs.pop("nullable", False), **kwargs
        )
    )


class ChainEvent(SQLModel, table=True):
    """The journal: every event of the contracts, in order. (block, log index) is also the stream's event
    id.
    """

    __tablename__ = "chain_event"
    __table_args__ = (Index("chain_event_batch", "batch_id", "block_number", "log_index"),)

    block_number: int = _big(key=True)
    log_index: int = _big(key=True)
    tx_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    timestamp: int = _big()
    contract: str = Field(max_length=24)
    name: str = Field(max_length=40)
    batch_id: int | None = _big(nullable=True)
    arguments: dict[str, Any] = Field(sa_column=Column(JsonValue, nullable=False))


class Zone(SQLModel, table=True):
    """A zone of grid price and latency."""

    __tablename__ = "zone"

    zone_id: int = _big(key=True)
    name: str
    block_number: int = _big(index=True)


class ComputeClass(SQLModel, table=True):
    """A class of compute."""

    __tablename__ = "compute_class"

    class_id: int = _big(key=True)
    name: str
    block_number: int = _big(index=True)


class Site(SQLModel, table=True):
    """A provider's site."""

    __tablename__ = "site"

    site_id: int = _big(key=True)
    owner: str = Field(sa_column=Column(Hex(20), nullable=False, index=True))
    zone_id: int
    nameplate_w: int = _big()
    block_number: int = _big(index=True)


class Plant(SQLModel, table=True):
    """A supplier's plant; source 0 is the grid of its zone."""

    __tablename__ = "plant"

    plant_id: int = _big(key=True)
    owner: str = Field(sa_column=Column(Hex(20), nullable=False, index=True))
    zone_id: int
    source: int
    nameplate_w: int = _big()
    emission_factor: int
    block_number: int = _big(index=True)


class Device(SQLModel, table=True):
    """One attestation of a measuring device; the latest of a meter counts."""

    __tablename__ = "device"

    meter_id: int = _big(key=True)
    block_number: int = _big(key=True, index=True)
    log_index: int = _big(key=True)
    asset_kind: int
    asset_id: int = _big(index=True)
    x: str = Field(sa_column=Column(Hex(32), nullable=False))
    y: str = Field(sa_column=Column(Hex(32), nullable=False))
    measurement: str = Field(sa_column=Column(Hex(32), nullable=False))
    attested_until: int = Field(sa_column=Column(UInt64, nullable=False))
    evidence_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    evidence_kind: int


class Batch(SQLModel, table=True):
    """A batch, from opening to its end."""

    __tablename__ = "batch"

    batch_id: int = _big(key=True)
    solver: str = Field(sa_column=Column(Hex(20), nullable=False))
    start: int = _big(index=True)
    slot_seconds: int
    slots: int
    zones: int
    classes: int
    publication_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    book_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    solution_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    welfare_micro: int = Field(sa_column=Column(Int256, nullable=False))
    dual_bound_micro: int = Field(sa_column=Column(Int256, nullable=False))
    opened_at: int = _big()
    block_number: int = _big(index=True)
    finalised_block: int | None = _big(nullable=True, index=True)
    finalised_at: int | None = _big(nullable=True)
    voided_block: int | None = _big(nullable=True, index=True)
    voided_at: int | None = _big(nullable=True)


class PricePart(SQLModel, table=True):
    """A part of a batch's price table, as posted."""

    __tablename__ = "price_part"

    batch_id: int = _big(key=True)
    part: int = _big(key=True)
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    block_number: int = _big(index=True)


class BatchComputeOffer(SQLModel, table=True):
    """A compute offer that takes part in a batch, by its index there."""

    __tablename__ = "batch_compute_offer"

    batch_id: int = _big(key=True)
    offer_index: int = _big(key=True)
    offer_hash: str = Field(sa_column=Column(Hex(32), nullable=False, index=True))
    block_number: int = _big(index=True)


class BatchPowerOffer(SQLModel, table=True):
    """A power offer that takes part in a batch, with what it sold in each slot (uint32 Wh, big-endian)."""

    __tablename__ = "batch_power_offer"

    batch_id: int = _big(key=True)
    offer_index: int = _big(key=True)
    offer_hash: str = Field(sa_column=Column(Hex(32), nullable=False, index=True))
    sold: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    block_number: int = _big(index=True)


class Chunk(SQLModel, table=True):
    """A chunk of cleared orders."""

    __tablename__ = "chunk"

    batch_id: int = _big(key=True)
    chunk_index: int = _big(key=True)
    orders: int
    runs: int
    tx_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    block_number: int = _big(index=True)
    released_block: int | None = _big(nullable=True, index=True)


class ClearedOrder(SQLModel, table=True):
    """What one chunk gave one order."""

    __tablename__ = "cleared_order"
    __table_args__ = (Index("cleared_order_maker", "maker", "batch_id"),)

    batch_id: int = _big(key=True)
    chunk_index: int = _big(key=True)
    order_index: int = _big(key=True)
    order_hash: str = Field(sa_column=Column(Hex(32), nullable=False, index=True))
    maker: str = Field(sa_column=Column(Hex(20), nullable=False))
    lanes_filled: int = _big()
    cost_micro: int = _big()
    block_number: int = _big(index=True)


class Agreement(SQLModel, table=True):
    """A run: constant lanes of one order at one site over [start_slot, end_slot)."""

    __tablename__ = "agreement"
    __table_args__ = (
        Index("agreement_maker", "maker", "batch_id", "chunk_index", "run_index"),
        Index("agreement_seller", "seller", "batch_id", "chunk_index", "run_index"),
        Index("agreement_order", "order_hash"),
    )

    batch_id: int = _big(key=True)
    chunk_index: int = _big(key=True)
    run_index: int = _big(key=True)
    order_index: int
    order_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    maker: str = Field(sa_column=Column(Hex(20), nullable=False))
    offer_index: int
    seller: str = Field(sa_column=Column(Hex(20), nullable=False))
    site_id: int = _big()
    class_id: int
    zone_id: int
    mode: int
    start_slot: int
    end_slot: int
    lanes: int = _big()
    energy_wh_per_vcu_slot: int = _big()
    block_number: int = _big(index=True)


class SlotResult(SQLModel, table=True):
    """What settlement did with one slot of a chunk; `outcomes` are 8 bytes per active run, None when
    refunded.
    """

    __tablename__ = "slot_result"

    batch_id: int = _big(key=True)
    chunk_index: int = _big(key=True)
    slot: int = _big(key=True)
    outcomes: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    compute_micro: int = _big()
    power_micro: int = _big()
    refund_micro: int = _big()
    penalty_micro: int = _big()
    timestamp: int = _big()
    block_number: int = _big(index=True)


class PlantMetered(SQLModel, table=True):
    """What a plant was metered to deliver of what it sold in a slot."""

    __tablename__ = "plant_metered"

    batch_id: int = _big(key=True)
    slot: int = _big(key=True)
    offer_index: int = _big(key=True)
    sold_wh: int = _big()
    metered_wh: int = _big()
    delivered_wh: int = _big()
    penalty_micro: int = _big()
    block_number: int = _big(index=True)


class PlantPaid(SQLModel, table=True):
    """What a plant was paid for a slot, the Wh matched and the Wh minted to its owner."""

    __tablename__ = "plant_paid"

    batch_id: int = _big(key=True)
    slot: int = _big(key=True)
    offer_index: int = _big(key=True)
    money_micro: int = _big()
    matched_wh: int = _big()
    minted_wh: int = _big()
    block_number: int = _big(index=True)


class CertificateMove(SQLModel, table=True):
    """A certificate or credit changed hands: mint (no sender), transfer, or retirement (no receiver)."""

    __tablename__ = "certificate_move"
    __table_args__ = (
        Index("certificate_move_sender", "sender", "certificate_id"),
        Index("certificate_move_receiver", "receiver", "certificate_id"),
        Index("certificate_move_id", "certificate_id", "block_number"),
    )

    block_number: int = _big(key=True)
    log_index: int = _big(key=True)
    position: int = _big(key=True)
    certificate_id: int = Field(sa_column=Column(Int256, nullable=False))
    sender: str | None = Field(default=None, sa_column=Column(Hex(20), nullable=True))
    receiver: str | None = Field(default=None, sa_column=Column(Hex(20), nullable=True))
    amount: int = _big()
    tx_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    timestamp: int = _big()


class Retirement(SQLModel, table=True):
    """Units retired for a beneficiary; final."""

    __tablename__ = "retirement"

    block_number: int = _big(key=True)
    log_index: int = _big(key=True)
    account: str = Field(sa_column=Column(Hex(20), nullable=False, index=True))
    certificate_id: int = Field(sa_column=Column(Int256, nullable=False, index=True))
    amount: int = _big()
    beneficiary: str = Field(sa_column=Column(Hex(20), nullable=False, index=True))
    purpose_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    tx_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    timestamp: int = _big()


class ReportRow(SQLModel, table=True):
    """A committee report."""

    __tablename__ = "report"
    __table_args__ = (Index("report_start", "feed_id", "start", unique=True),)

    feed_id: str = Field(sa_column=Column(Hex(32), primary_key=True))
    epoch: int = _big(key=True)
    start: int = _big()
    end: int = _big()
    report_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    root: str = Field(sa_column=Column(Hex(32), nullable=False))
    leaves: int = _big()
    totals: list[int] = Field(sa_column=Column(JsonValue, nullable=False))
    outcomes_root: str = Field(sa_column=Column(Hex(32), nullable=False))
    evidence_root: str = Field(sa_column=Column(Hex(32), nullable=False))
    policy_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    archive_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    prev_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    signer_bitmap: int = Field(sa_column=Column(Int256, nullable=False))
    posted_at: int = _big()
    tx_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    block_number: int = _big(index=True)


class Dispute(SQLModel, table=True):
    """A dispute was raised (`upheld` None) or ruled on."""

    __tablename__ = "dispute"
    __table_args__ = (Index("dispute_report", "feed_id", "start"),)

    block_number: int = _big(key=True)
    log_index: int = _big(key=True)
    feed_id: str = Field(sa_column=Column(Hex(32), nullable=False))
    start: int = _big()
    disputer: str | None = Field(default=None, sa_column=Column(Hex(20), nullable=True))
    upheld: bool | None = None


class LedgerEntry(SQLModel, table=True):
    """One movement on an account of the Treasury; `kind` deposit, withdrawal or posting.

    `log_index` is the log's index << 12 | the entry's place in a packed event.
    """

    __tablename__ = "ledger_entry"
    __table_args__ = (Index("ledger_entry_account", "account", "block_number", "log_index"),)

    block_number: int = _big(key=True)
    log_index: int = _big(key=True)
    account: str = Field(sa_column=Column(Hex(20), nullable=False))
    kind: str = Field(max_length=12)
    available_micro: int = _big()
    locked_micro: int = _big()
    tx_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    timestamp: int = _big()


class Account(SQLModel, table=True):
    """The sum of an account's entries, and its signing epoch; kept so that order intake reads one row."""

    __tablename__ = "account"

    address: str = Field(sa_column=Column(Hex(20), primary_key=True))
    available_micro: int = _big()
    locked_micro: int = _big()
    epoch: int = _big()


class Cancellation(SQLModel, table=True):
    """A maker cancelled one nonce, or (nonce None) everything signed before `epoch`."""

    __tablename__ = "cancellation"
    __table_args__ = (Index("cancellation_maker", "maker", "nonce"),)

    block_number: int = _big(key=True)
    log_index: int = _big(key=True)
    maker: str = Field(sa_column=Column(Hex(20), nullable=False))
    nonce: int | None = Field(default=None, sa_column=Column(UInt64, nullable=True))
    epoch: int | None = _big(nullable=True)


class ListingFill(SQLModel, table=True):
    """A part of a points-market offer was filled; `filled_total` is how much of it is filled since."""

    __tablename__ = "listing_fill"
    __table_args__ = (Index("listing_fill_offer", "offer_hash", "block_number"),)

    block_number: int = _big(key=True)
    log_index: int = _big(key=True)
    offer_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    maker: str = Field(sa_column=Column(Hex(20), nullable=False))
    taker: str = Field(sa_column=Column(Hex(20), nullable=False))
    certificate_id: int = Field(sa_column=Column(Int256, nullable=False))
    maker_sells: bool
    amount: int = _big()
    cost_micro: int = _big()
    filled_total: int = _big()
    tx_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    timestamp: int = _big()


class ListingCancellation(SQLModel, table=True):
    """A maker cancelled one nonce of its points-market offers, or (nonce None) all before `epoch`."""

    __tablename__ = "listing_cancellation"
    __table_args__ = (Index("listing_cancellation_maker", "maker", "nonce"),)

    block_number: int = _big(key=True)
    log_index: int = _big(key=True)
    maker: str = Field(sa_column=Column(Hex(20), nullable=False))
    nonce: int | None = Field(default=None, sa_column=Column(UInt64, nullable=True))
    epoch: int | None = _big(nullable=True)


ROWS_BY_BLOCK: tuple[type[SQLModel], ...] = (
    ChainEvent, Zone, ComputeClass, Site, Plant, Device, Batch, PricePart, BatchComputeOffer,
    BatchPowerOffer, Chunk,
    ClearedOrder, Agreement, SlotResult, PlantMetered, PlantPaid, CertificateMove, Retirement, ReportRow,
    Dispute, LedgerEntry, Cancellation, ListingFill, ListingCancellation,
)  # fmt: skip
"""Tables whose rows are deleted above a fork by `block_number`."""
