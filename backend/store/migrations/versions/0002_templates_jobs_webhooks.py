"""Schedules of templates, jobs, and webhooks that can sign."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend.store.types import Hex, JsonValue

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds them; webhooks were never filled before and are made anew."""
    op.create_index("bundle_order_template", "bundle_order", ["template_id", "start"])
    op.create_table(
        "template_schedule",
        sa.Column("template_id", sa.String(26), nullable=False),
        sa.Column("organisation_id", sa.String(26), nullable=False),
        sa.Column("maker", Hex(20), nullable=False),
        sa.Column("first_day", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["template_id"], ["service_template.id"]),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"]),
        sa.PrimaryKeyConstraint("template_id"),
    )
    op.create_index("ix_template_schedule_organisation_id", "template_schedule", ["organisation_id"])
    op.create_table(
        "job",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("organisation_id", sa.String(26), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("request", JsonValue, nullable=False),
        sa.Column("fingerprint", Hex(32), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("progress_bps", sa.Integer(), nullable=False),
        sa.Column("result", JsonValue, nullable=True),
        sa.Column("error", sa.String(400), nullable=False),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("job_state", "job", ["state", "id"])
    op.create_index("job_organisation", "job", ["organisation_id", "id"])
    op.create_index("job_fingerprint", "job", ["organisation_id", "fingerprint"])
    op.create_table(
        "worker_cursor",
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("position", JsonValue, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.drop_table("webhook_delivery")
    op.drop_table("webhook")
    _webhooks(sa.Column("sealed_secret", sa.LargeBinary(), nullable=False))
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("webhook_id", sa.String(26), nullable=False),
        sa.Column("event", sa.String(60), nullable=False),
        sa.Column("event_key", sa.String(120), nullable=False),
        sa.Column("payload", JsonValue, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("webhook_delivery_due", "webhook_delivery", ["state", "next_at"])
    op.create_index("webhook_delivery_event", "webhook_delivery", ["webhook_id", "event_key"], unique=True)


def _webhooks(secret: sa.Column[object]) -> None:
    op.create_table(
        "webhook",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("organisation_id", sa.String(26), nullable=False),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("events", JsonValue, nullable=False),
        secret,
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_webhook_organisation_id", "webhook", ["organisation_id"])


def downgrade() -> None:
    """Back to the first schema."""
    op.drop_table("webhook_delivery")
    op.drop_table("webhook")
    _webhooks(sa.Column("secret", sa.String(80), nullable=False))
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("webhook_id", sa.String(26), nullable=False),
        sa.Column("event", sa.String(60), nullable=False),
        sa.Column("payload", JsonValue, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("webhook_delivery_due", "webhook_delivery", ["state", "next_at"])
    op.create_index("ix_webhook_delivery_webhook_id", "webhook_delivery", ["webhook_id"])
    op.drop_table("worker_cursor")
    op.drop_table("job")
    op.drop_table("template_schedule")
    op.drop_index("bundle_order_template", "bundle_order")
