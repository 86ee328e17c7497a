"""Periods of the flexibility market: offers, requirements, lines, positions, and awards, events and
settlements that belong to a period.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend.store.types import Hex, JsonValue

revision = "0006_flex_periods"
down_revision = "0005"
branch_labels = None
depends_on = None


def _text(name: str, size: int = 26, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(size), nullable=nullable)


def _big(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def _int(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), autoincrement=False, nullable=nullable)


def _hex(name: str, size: int, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, Hex(size), nullable=nullable)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, JsonValue, nullable=False)


def _refers(column: str, table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{table}.id"])


def _indexes(table: str, *columns: str) -> None:
    for column in columns:
        op.create_index(f"ix_{table}_{column}", table, [column])


def upgrade() -> None:
    """Adds them; awards, events and settlements were never filled and are made anew."""
    for table in ("flex_award", "flex_event", "flex_settlement"):
        op.drop_table(table)
    op.add_column("flex_bid", _hex("account", 20, nullable=True))
    op.add_column(
        "flex_bid", sa.Column("product", sa.String(30), nullable=False, server_default="energy_shed")
    )
    op.add_column("flex_bid", sa.Column("blocks", JsonValue, nullable=False, server_default="[]"))
    op.add_column("flex_bid", sa.Column("refused", sa.String(200), nullable=False, server_default=""))
    op.drop_index("flex_bid_day", "flex_bid")
    op.create_index("flex_bid_day", "flex_bid", ["market", "day", "aggregator_id"])
    _indexes("flex_bid", "aggregator_id")
    op.create_table(
        "flex_offer",
        *(_text("id"), _text("aggregator_id"), _text("resource_id"), _hex("account", 20)),
        *(_text("product", 30), _text("day", 10), _big("start"), _big("end"), _big("capacity_w")),
        *(_big("price_micro_per_kw_h"), _big("received_at"), _big("withdrawn_at", True)),
        *(_text("refused", 200), sa.PrimaryKeyConstraint("id")),
        *(_refers("aggregator_id", "organisation"), _refers("resource_id", "flex_resource")),
    )
    op.create_index("flex_offer_day", "flex_offer", ["day", "product"])
    _indexes("flex_offer", "aggregator_id", "resource_id")
    op.create_table(
        "flex_requirement",
        *(_text("id"), _text("organisation_id"), _hex("account", 20), _text("market", 12)),
        *(_text("product", 30), _text("day", 10), _int("zone_id", True), _json("ladders")),
        *(_json("required_w"), _big("cap_micro_per_kw_h"), _big("received_at"), _big("withdrawn_at", True)),
        *(sa.PrimaryKeyConstraint("id"), _refers("organisation_id", "organisation")),
    )
    op.create_index("flex_requirement_day", "flex_requirement", ["market", "day"])
    _indexes("flex_requirement", "organisation_id")
    op.create_table(
        "flex_line",
        *(_int("from_zone"), _int("to_zone"), _big("forward_w"), _big("backward_w")),
        sa.PrimaryKeyConstraint("from_zone", "to_zone"),
    )
    op.create_table(
        "flex_period",
        *(_text("id"), _text("market", 12), _text("day", 10), _int("first_slot"), _int("slots")),
        *(_int("slot_seconds"), _big("start"), _big("chain_period"), _text("state", 12)),
        *(_hex("payer", 20, True), _json("prices"), _int("positions"), _int("attempts")),
        *(_hex(name, 32, True) for name in ("awards_root", "deliveries_root", "inputs_hash")),
        *(_text("error", 400), _big("closed_at"), _big("updated_at")),
        *(sa.PrimaryKeyConstraint("id"), sa.UniqueConstraint("chain_period")),
    )
    op.create_index("flex_period_start", "flex_period", ["market", "start"], unique=True)
    op.create_index("flex_period_state", "flex_period", ["state", "start"])
    op.create_table(
        "flex_position",
        *(_text("period_id"), _int("position"), _text("aggregator_id"), _hex("account", 20)),
        *(_text("product", 30), _int("zone_id", True), _big("start"), _int("seconds"), _big("declared_wh")),
        *(_big("price_micro_per_kwh"), _big("delivered_wh", True), _big("payment_micro", True)),
        *(_big("penalty_micro", True), sa.Column("settled", sa.Boolean(), nullable=False)),
        *(sa.PrimaryKeyConstraint("period_id", "position"), _refers("period_id", "flex_period")),
        _refers("aggregator_id", "organisation"),
    )
    _indexes("flex_position", "aggregator_id")
    op.create_table(
        "flex_award",
        *(_text("period_id"), _text("source_id"), _big("start"), _int("position"), _text("aggregator_id")),
        *(_text("resource_id"), _int("seconds"), _big("energy_wh"), _big("price_micro_per_kwh")),
        *(sa.PrimaryKeyConstraint("period_id", "source_id", "start"), _refers("period_id", "flex_period")),
        *(_refers("aggregator_id", "organisation"), _refers("resource_id", "flex_resource")),
    )
    op.create_index("flex_award_position", "flex_award", ["period_id", "position"])
    _indexes("flex_award", "aggregator_id", "resource_id")
    op.create_table(
        "flex_event",
        *(_text("id"), _text("period_id"), _text("aggregator_id"), _text("resource_id")),
        *(_text("product", 30), _big("start"), _int("slot_seconds"), _json("set_w"), _json("change_w")),
        *(_text("state", 12), _big("deadline"), _text("reason", 200), _big("created_at")),
        *(_big("sent_at", True), _big("answered_at", True), sa.PrimaryKeyConstraint("id")),
        *(_refers("period_id", "flex_period"), _refers("aggregator_id", "organisation")),
        _refers("resource_id", "flex_resource"),
    )
    op.create_index("flex_event_due", "flex_event", ["state", "deadline"])
    _indexes("flex_event", "period_id", "aggregator_id", "resource_id")
    op.create_table(
        "flex_settlement",
        *(_text("id"), _text("period_id"), _int("position"), _text("aggregator_id"), _text("resource_id")),
        *(_hex("account", 20), _big("declared_wh"), _big("delivered_wh"), _int("share_bps")),
        *(_int("penalty_bps"), _big("payment_micro"), _big("penalty_micro"), _big("to_member_micro")),
        *(_text("method", 40), _text("version", 20), _hex("inputs_hash", 32), _text("reason", 200)),
        *(_big("created_at"), sa.PrimaryKeyConstraint("id"), _refers("period_id", "flex_period")),
        *(_refers("aggregator_id", "organisation"), _refers("resource_id", "flex_resource")),
    )
    op.create_index("flex_settlement_period", "flex_settlement", ["period_id", "position"])
    _indexes("flex_settlement", "aggregator_id", "resource_id")


def downgrade() -> None:
    """Back to bids alone."""
    for table in (
        *("flex_settlement", "flex_event", "flex_award", "flex_position", "flex_period", "flex_line"),
        *("flex_requirement", "flex_offer"),
    ):
        op.drop_table(table)
    op.drop_index("ix_flex_bid_aggregator_id", "flex_bid")
    op.drop_index("flex_bid_day", "flex_bid")
    op.create_index("flex_bid_day", "flex_bid", ["aggregator_id", "market", "day"])
    for column in ("refused", "blocks", "product", "account"):
        op.drop_column("flex_bid", column)
    op.create_table(
        "flex_award",
        *(_text("bid_id"), _int("slot"), _big("energy_wh"), _int("price_ticks")),
        *(_refers("bid_id", "flex_bid"), sa.PrimaryKeyConstraint("bid_id", "slot")),
    )
    op.create_table(
        "flex_event",
        *(_text("id"), _text("aggregator_id"), _text("resource_id"), _text("product", 30), _big("start")),
        *(_int("slot_seconds"), _json("set_w"), _text("state", 12), _big("deadline"), _text("reason", 200)),
        *(_big("created_at"), _big("updated_at"), sa.PrimaryKeyConstraint("id")),
        *(_refers("aggregator_id", "organisation"), _refers("resource_id", "flex_resource")),
    )
    op.create_index("flex_event_due", "flex_event", ["state", "deadline"])
    _indexes("flex_event", "aggregator_id", "resource_id")
    op.create_table(
        "flex_settlement",
        *(_text("id"), _text("aggregator_id"), _text("resource_id", nullable=True), _text("event_id")),
        *(_big("declared_wh"), _big("delivered_wh"), _big("payment_micro"), _big("penalty_micro")),
        *(_text("method", 40), _text("version", 20), _hex("inputs_hash", 32), _big("created_at")),
        *(sa.PrimaryKeyConstraint("id"), _refers("aggregator_id", "organisation")),
        _refers("resource_id", "flex_resource"),
    )
    _indexes("flex_settlement", "aggregator_id", "event_id", "resource_id")
