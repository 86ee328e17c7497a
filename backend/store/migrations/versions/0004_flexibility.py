"""Virtual power plants: resources, ledger, bids, events, settlement and the objects of OpenADR."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend.store.types import Hex, JsonValue

revision = "0004_flexibility"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates them."""
    op.create_table(
        "flex_resource",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("organisation_id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("parent_id", sa.String(26), nullable=True),
        sa.Column("metering_point", sa.String(60), nullable=False),
        sa.Column("zone_id", sa.Integer(), nullable=False),
        sa.Column("node", sa.String(60), nullable=False),
        sa.Column("nameplate_w", sa.BigInteger(), nullable=False),
        sa.Column("site_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"],
            ["flex_resource.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("metering_point"),
        sa.UniqueConstraint("site_id"),
    )
    op.create_index(
        op.f("ix_flex_resource_organisation_id"), "flex_resource", ["organisation_id"], unique=False
    )
    op.create_index(op.f("ix_flex_resource_parent_id"), "flex_resource", ["parent_id"], unique=False)
    op.create_table(
        "openadr_object",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("organisation_id", sa.String(26), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("client", sa.String(80), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("parent_id", sa.String(26), nullable=True),
        sa.Column("body", JsonValue, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_openadr_object_parent_id"), "openadr_object", ["parent_id"], unique=False)
    op.create_index("openadr_object_kind", "openadr_object", ["organisation_id", "kind", "id"], unique=False)
    op.create_table(
        "flex_bid",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("aggregator_id", sa.String(26), nullable=False),
        sa.Column("resource_id", sa.String(26), nullable=False),
        sa.Column("market", sa.String(12), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("zone_id", sa.Integer(), nullable=False),
        sa.Column(
            "ladders",
            JsonValue,
            nullable=False,
        ),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["aggregator_id"],
            ["organisation.id"],
        ),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["flex_resource.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("flex_bid_day", "flex_bid", ["aggregator_id", "market", "day"], unique=False)
    op.create_index(op.f("ix_flex_bid_resource_id"), "flex_bid", ["resource_id"], unique=False)
    op.create_table(
        "flex_certificate",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("resource_id", sa.String(26), nullable=False),
        sa.Column(
            "metrics",
            JsonValue,
            nullable=False,
        ),
        sa.Column("method", sa.String(20), nullable=False),
        sa.Column("version", sa.String(20), nullable=False),
        sa.Column("inputs_hash", Hex(32), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["flex_resource.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_flex_certificate_resource_id"), "flex_certificate", ["resource_id"], unique=False
    )
    op.create_table(
        "flex_contract",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("resource_id", sa.String(26), nullable=False),
        sa.Column("member_id", sa.String(26), nullable=False),
        sa.Column("aggregator_id", sa.String(26), nullable=False),
        sa.Column("contract_type", sa.String(30), nullable=False),
        sa.Column("share_bps", sa.Integer(), nullable=False),
        sa.Column("notice_seconds", sa.Integer(), nullable=False),
        sa.Column("penalty_bps", sa.Integer(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["aggregator_id"],
            ["organisation.id"],
        ),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["organisation.id"],
        ),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["flex_resource.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("flex_contract_member", "flex_contract", ["member_id", "contract_type"], unique=False)
    op.create_index(op.f("ix_flex_contract_aggregator_id"), "flex_contract", ["aggregator_id"], unique=False)
    op.create_index(op.f("ix_flex_contract_resource_id"), "flex_contract", ["resource_id"], unique=False)
    op.create_table(
        "flex_event",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("aggregator_id", sa.String(26), nullable=False),
        sa.Column("resource_id", sa.String(26), nullable=False),
        sa.Column("product", sa.String(30), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("slot_seconds", sa.Integer(), nullable=False),
        sa.Column(
            "set_w",
            JsonValue,
            nullable=False,
        ),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["aggregator_id"],
            ["organisation.id"],
        ),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["flex_resource.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("flex_event_due", "flex_event", ["state", "deadline"], unique=False)
    op.create_index(op.f("ix_flex_event_aggregator_id"), "flex_event", ["aggregator_id"], unique=False)
    op.create_index(op.f("ix_flex_event_resource_id"), "flex_event", ["resource_id"], unique=False)
    op.create_table(
        "flex_reservation",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("resource_id", sa.String(26), nullable=False),
        sa.Column("market", sa.String(12), nullable=False),
        sa.Column("reference", sa.String(80), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("slot_seconds", sa.Integer(), nullable=False),
        sa.Column("watts", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["flex_resource.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "flex_reservation_reference", "flex_reservation", ["market", "reference", "resource_id"], unique=True
    )
    op.create_index(
        op.f("ix_flex_reservation_resource_id"), "flex_reservation", ["resource_id"], unique=False
    )
    op.create_table(
        "flex_response",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("resource_id", sa.String(26), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("baseline_w", sa.BigInteger(), nullable=False),
        sa.Column("requested_w", sa.BigInteger(), nullable=False),
        sa.Column(
            "times_ms",
            JsonValue,
            nullable=False,
        ),
        sa.Column(
            "power_w",
            JsonValue,
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["flex_resource.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_flex_response_kind"), "flex_response", ["kind"], unique=False)
    op.create_index(op.f("ix_flex_response_resource_id"), "flex_response", ["resource_id"], unique=False)
    op.create_table(
        "flex_room",
        sa.Column("resource_id", sa.String(26), nullable=False),
        sa.Column("slot_start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("capacity_w", sa.BigInteger(), nullable=False),
        sa.Column("used_w", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("used_w >= 0 AND used_w <= capacity_w", name="flex_room_never_oversold"),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["flex_resource.id"],
        ),
        sa.PrimaryKeyConstraint("resource_id", "slot_start"),
    )
    op.create_table(
        "flex_series",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("organisation_id", sa.String(26), nullable=False),
        sa.Column("resource_id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("unit", sa.String(8), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("slot_seconds", sa.Integer(), nullable=False),
        sa.Column(
            "readings",
            JsonValue,
            nullable=False,
        ),
        sa.Column("known_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
        ),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["flex_resource.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("flex_series_of", "flex_series", ["resource_id", "name", "start"], unique=False)
    op.create_index(op.f("ix_flex_series_organisation_id"), "flex_series", ["organisation_id"], unique=False)
    op.create_table(
        "flex_settlement",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("aggregator_id", sa.String(26), nullable=False),
        sa.Column("resource_id", sa.String(26), nullable=True),
        sa.Column("event_id", sa.String(26), nullable=False),
        sa.Column("declared_wh", sa.BigInteger(), nullable=False),
        sa.Column("delivered_wh", sa.BigInteger(), nullable=False),
        sa.Column("payment_micro", sa.BigInteger(), nullable=False),
        sa.Column("penalty_micro", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.String(40), nullable=False),
        sa.Column("version", sa.String(20), nullable=False),
        sa.Column("inputs_hash", Hex(32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["aggregator_id"],
            ["organisation.id"],
        ),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["flex_resource.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_flex_settlement_aggregator_id"), "flex_settlement", ["aggregator_id"], unique=False
    )
    op.create_index(op.f("ix_flex_settlement_event_id"), "flex_settlement", ["event_id"], unique=False)
    op.create_index(op.f("ix_flex_settlement_resource_id"), "flex_settlement", ["resource_id"], unique=False)
    op.create_table(
        "flex_award",
        sa.Column("bid_id", sa.String(26), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("energy_wh", sa.BigInteger(), nullable=False),
        sa.Column("price_ticks", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["bid_id"],
            ["flex_bid.id"],
        ),
        sa.PrimaryKeyConstraint("bid_id", "slot"),
    )
    # ### end Alembic commands ###


def downgrade() -> None:
    """Drops them."""
    op.drop_table("flex_award")
    op.drop_index(op.f("ix_flex_settlement_resource_id"), table_name="flex_settlement")
    op.drop_index(op.f("ix_flex_settlement_event_id"), table_name="flex_settlement")
    op.drop_index(op.f("ix_flex_settlement_aggregator_id"), table_name="flex_settlement")
    op.drop_table("flex_settlement")
    op.drop_index(op.f("ix_flex_series_organisation_id"), table_name="flex_series")
    op.drop_index("flex_series_of", table_name="flex_series")
    op.drop_table("flex_series")
    op.drop_table("flex_room")
    op.drop_index(op.f("ix_flex_response_resource_id"), table_name="flex_response")
    op.drop_index(op.f("ix_flex_response_kind"), table_name="flex_response")
    op.drop_table("flex_response")
    op.drop_index(op.f("ix_flex_reservation_resource_id"), table_name="flex_reservation")
    op.drop_index("flex_reservation_reference", table_name="flex_reservation")
    op.drop_table("flex_reservation")
    op.drop_index(op.f("ix_flex_event_resource_id"), table_name="flex_event")
    op.drop_index(op.f("ix_flex_event_aggregator_id"), table_name="flex_event")
    op.drop_index("flex_event_due", table_name="flex_event")
    op.drop_table("flex_event")
    op.drop_index(op.f("ix_flex_contract_resource_id"), table_name="flex_contract")
    op.drop_index(op.f("ix_flex_contract_aggregator_id"), table_name="flex_contract")
    op.drop_index("flex_contract_member", table_name="flex_contract")
    op.drop_table("flex_contract")
    op.drop_index(op.f("ix_flex_certificate_resource_id"), table_name="flex_certificate")
    op.drop_table("flex_certificate")
    op.drop_index(op.f("ix_flex_bid_resource_id"), table_name="flex_bid")
    op.drop_index("flex_bid_day", table_name="flex_bid")
    op.drop_table("flex_bid")
    op.drop_index("openadr_object_kind", table_name="openadr_object")
    op.drop_index(op.f("ix_openadr_object_parent_id"), table_name="openadr_object")
    op.drop_table("openadr_object")
    op.drop_index(op.f("ix_flex_resource_parent_id"), table_name="flex_resource")
    op.drop_index(op.f("ix_flex_resource_organisation_id"), table_name="flex_resource")
    op.drop_table("flex_resource")
