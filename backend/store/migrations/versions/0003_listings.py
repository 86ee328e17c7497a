"""The points market: listings, their fills and cancellations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend.store.types import Hex, Int256, UInt64

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _big(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def _hex(name: str, size: int) -> sa.Column[str]:
    return sa.Column(name, Hex(size), nullable=False)


def upgrade() -> None:
    """Adds them."""
    op.create_table(
        "listing",
        _hex("offer_hash", 32),
        sa.Column("seen_id", sa.String(26), nullable=False),
        _hex("maker", 20),
        sa.Column("sell", sa.Boolean(), nullable=False),
        _hex("asset", 20),
        sa.Column("certificate_id", Int256(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("year_month", sa.Integer(), nullable=False),
        sa.Column("zone_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("price_micro_per_thousand", sa.BigInteger(), nullable=False),
        _hex("taker", 20),
        sa.Column("nonce", UInt64(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("expiry", UInt64(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("offer_hash"),
        sa.UniqueConstraint("seen_id"),
    )
    op.create_index("listing_maker", "listing", ["maker", "seen_id"])
    op.create_index("listing_kind", "listing", ["kind", "sell", "seen_id"])
    op.create_table(
        "listing_fill",
        _big("block_number"),
        _big("log_index"),
        _hex("offer_hash", 32),
        _hex("maker", 20),
        _hex("taker", 20),
        sa.Column("certificate_id", Int256(), nullable=False),
        sa.Column("maker_sells", sa.Boolean(), nullable=False),
        _big("amount"),
        _big("cost_micro"),
        _big("filled_total"),
        _hex("tx_hash", 32),
        _big("timestamp"),
        sa.PrimaryKeyConstraint("block_number", "log_index"),
    )
    op.create_index("listing_fill_offer", "listing_fill", ["offer_hash", "block_number"])
    op.create_table(
        "listing_cancellation",
        _big("block_number"),
        _big("log_index"),
        _hex("maker", 20),
        sa.Column("nonce", UInt64(), nullable=True),
        _big("epoch", nullable=True),
        sa.PrimaryKeyConstraint("block_number", "log_index"),
    )
    op.create_index("listing_cancellation_maker", "listing_cancellation", ["maker", "nonce"])


def downgrade() -> None:
    """Drops them."""
    for table in ("listing_cancellation", "listing_fill", "listing"):
        op.drop_table(table)
