"""The outbox with its signed variants, and gate closures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend.store.types import Hex, UInt64

revision = "0005"
down_revision = "0004_flexibility"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds them; the first outbox was never filled and is made anew."""
    op.drop_table("outbox")
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("key", sa.String(160), nullable=False),
        sa.Column("group_key", sa.String(80), nullable=False),
        sa.Column("sender", Hex(20), nullable=False),
        sa.Column("to", Hex(20), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("gas", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.String(120), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("nonce", UInt64(), nullable=True),
        sa.Column("tx_hash", Hex(32), nullable=True),
        sa.Column("block_number", sa.BigInteger(), nullable=True),
        sa.Column("gas_used", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(400), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("outbox_state", "outbox", ["sender", "state", "id"])
    op.create_index("outbox_sender_nonce", "outbox", ["sender", "nonce"], unique=True)
    op.create_index("outbox_group", "outbox", ["group_key", "state"])
    op.create_table(
        "outbox_attempt",
        sa.Column("tx_hash", Hex(32), nullable=False),
        sa.Column("outbox_id", sa.String(26), nullable=False),
        sa.Column("nonce", UInt64(), nullable=False),
        sa.Column("max_fee_wei", sa.BigInteger(), nullable=False),
        sa.Column("priority_wei", sa.BigInteger(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.id"]),
        sa.PrimaryKeyConstraint("tx_hash"),
    )
    op.create_index("ix_outbox_attempt_outbox_id", "outbox_attempt", ["outbox_id"])
    op.create_table(
        "gate",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("slot_seconds", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("left_out", sa.Integer(), nullable=False),
        sa.Column("book_hash", Hex(32), nullable=True),
        sa.Column("solution_hash", Hex(32), nullable=True),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.String(400), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("gate_start", "gate", ["kind", "start"], unique=True)
    op.create_index("gate_state", "gate", ["state", "start"])


def downgrade() -> None:
    """Back to the first outbox."""
    for table in ("gate", "outbox_attempt", "outbox"):
        op.drop_table(table)
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("sender", Hex(20), nullable=False),
        sa.Column("to", Hex(20), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("label", sa.String(120), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("nonce", UInt64(), nullable=True),
        sa.Column("tx_hash", Hex(32), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(400), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("outbox_sender_nonce", "outbox", ["sender", "nonce"], unique=True)
    op.create_index("outbox_state", "outbox", ["state", "id"])
