"""Readings of meters, by month on PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend.store.types import Hex, Int256, UInt64

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds them."""
    op.create_table(
        "meter_reading",
        sa.Column("meter_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", UInt64(), autoincrement=False, nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("agreement_id", Int256(), nullable=False),
        sa.Column("quantity", UInt64(), nullable=False),
        sa.Column("register_value", UInt64(), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("report_start", sa.BigInteger(), nullable=False),
        sa.Column("leaf_index", sa.Integer(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("meter_id", "start", "kind", "seq"),
        postgresql_partition_by="RANGE (start)",
    )
    op.create_index("meter_reading_block", "meter_reading", ["block_number"])
    op.create_table(
        "readings_taken",
        sa.Column("feed_id", Hex(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("feed_id", "epoch"),
    )
    op.create_index("ix_readings_taken_block_number", "readings_taken", ["block_number"])


def downgrade() -> None:
    """Takes them away, every month of them."""
    op.drop_table("readings_taken")
    op.drop_table("meter_reading")
