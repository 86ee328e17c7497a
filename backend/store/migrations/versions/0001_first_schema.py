"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend.store.types import Hex, Int256, JsonValue, UInt64

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates every table."""
    op.create_table(
        "account",
        sa.Column("address", Hex(20), nullable=False),
        sa.Column("available_micro", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("locked_micro", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("address"),
    )
    op.create_table(
        "agreement",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("chunk_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("order_index", sa.Integer(), nullable=False),
        sa.Column("order_hash", Hex(32), nullable=False),
        sa.Column("maker", Hex(20), nullable=False),
        sa.Column("offer_index", sa.Integer(), nullable=False),
        sa.Column("seller", Hex(20), nullable=False),
        sa.Column("site_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("class_id", sa.Integer(), nullable=False),
        sa.Column("zone_id", sa.Integer(), nullable=False),
        sa.Column("mode", sa.Integer(), nullable=False),
        sa.Column("start_slot", sa.Integer(), nullable=False),
        sa.Column("end_slot", sa.Integer(), nullable=False),
        sa.Column("lanes", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("energy_wh_per_vcu_slot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "chunk_index", "run_index"),
    )
    op.create_index(
        "agreement_maker", "agreement", ["maker", "batch_id", "chunk_index", "run_index"], unique=False
    )
    op.create_index("agreement_order", "agreement", ["order_hash"], unique=False)
    op.create_index(
        "agreement_seller", "agreement", ["seller", "batch_id", "chunk_index", "run_index"], unique=False
    )
    op.create_index(op.f("ix_agreement_block_number"), "agreement", ["block_number"], unique=False)
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("organisation_id", sa.String(26), nullable=True),
        sa.Column("actor", sa.String(80), nullable=False),
        sa.Column("action", sa.String(80), nullable=False),
        sa.Column("target", sa.String(length=160), nullable=False),
        sa.Column("detail", JsonValue, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_entry_organisation", "audit_entry", ["organisation_id", "id"], unique=False)
    op.create_table(
        "batch",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("solver", Hex(20), nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("slot_seconds", sa.Integer(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("zones", sa.Integer(), nullable=False),
        sa.Column("classes", sa.Integer(), nullable=False),
        sa.Column("publication_hash", Hex(32), nullable=False),
        sa.Column("book_hash", Hex(32), nullable=False),
        sa.Column("solution_hash", Hex(32), nullable=False),
        sa.Column("welfare_micro", Int256(), nullable=False),
        sa.Column("dual_bound_micro", Int256(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("finalised_block", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("finalised_at", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("voided_block", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("voided_at", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("batch_id"),
    )
    op.create_index(op.f("ix_batch_block_number"), "batch", ["block_number"], unique=False)
    op.create_index(op.f("ix_batch_finalised_block"), "batch", ["finalised_block"], unique=False)
    op.create_index(op.f("ix_batch_start"), "batch", ["start"], unique=False)
    op.create_index(op.f("ix_batch_voided_block"), "batch", ["voided_block"], unique=False)
    op.create_table(
        "batch_compute_offer",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("offer_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("offer_hash", Hex(32), nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "offer_index"),
    )
    op.create_index(
        op.f("ix_batch_compute_offer_block_number"), "batch_compute_offer", ["block_number"], unique=False
    )
    op.create_index(
        op.f("ix_batch_compute_offer_offer_hash"), "batch_compute_offer", ["offer_hash"], unique=False
    )
    op.create_table(
        "batch_power_offer",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("offer_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("offer_hash", Hex(32), nullable=False),
        sa.Column("sold", sa.LargeBinary(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "offer_index"),
    )
    op.create_index(
        op.f("ix_batch_power_offer_block_number"), "batch_power_offer", ["block_number"], unique=False
    )
    op.create_index(
        op.f("ix_batch_power_offer_offer_hash"), "batch_power_offer", ["offer_hash"], unique=False
    )
    op.create_table(
        "bundle_order",
        sa.Column("order_hash", Hex(32), nullable=False),
        sa.Column("seen_id", sa.String(26), nullable=False),
        sa.Column("maker", Hex(20), nullable=False),
        sa.Column("class_id", sa.Integer(), nullable=False),
        sa.Column("zone_mask", UInt64(), nullable=False),
        sa.Column("lanes", sa.BigInteger(), nullable=False),
        sa.Column("min_lanes", sa.BigInteger(), nullable=False),
        sa.Column("duration_slots", sa.Integer(), nullable=False),
        sa.Column("start", UInt64(), nullable=False),
        sa.Column("deadline", UInt64(), nullable=False),
        sa.Column("limit_price", UInt64(), nullable=False),
        sa.Column("min_green_bps", sa.Integer(), nullable=False),
        sa.Column("max_carbon", sa.BigInteger(), nullable=False),
        sa.Column("carbon_price", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("nonce", UInt64(), nullable=False),
        sa.Column("expiry", UInt64(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(8), nullable=False),
        sa.Column("first_block", sa.BigInteger(), nullable=True),
        sa.Column("template_id", sa.String(26), nullable=True),
        sa.PrimaryKeyConstraint("order_hash"),
        sa.UniqueConstraint("seen_id"),
    )
    op.create_index("bundle_order_first_block", "bundle_order", ["first_block"], unique=False)
    op.create_index("bundle_order_maker", "bundle_order", ["maker", "seen_id"], unique=False)
    op.create_index("bundle_order_maker_nonce", "bundle_order", ["maker", "nonce"], unique=False)
    op.create_index("bundle_order_window", "bundle_order", ["start", "deadline"], unique=False)
    op.create_table(
        "cancellation",
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("maker", Hex(20), nullable=False),
        sa.Column("nonce", UInt64(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("block_number", "log_index"),
    )
    op.create_index("cancellation_maker", "cancellation", ["maker", "nonce"], unique=False)
    op.create_table(
        "certificate_move",
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate_id", Int256(), nullable=False),
        sa.Column("sender", Hex(20), nullable=True),
        sa.Column("receiver", Hex(20), nullable=True),
        sa.Column("amount", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tx_hash", Hex(32), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("block_number", "log_index", "position"),
    )
    op.create_index(
        "certificate_move_id", "certificate_move", ["certificate_id", "block_number"], unique=False
    )
    op.create_index(
        "certificate_move_receiver", "certificate_move", ["receiver", "certificate_id"], unique=False
    )
    op.create_index("certificate_move_sender", "certificate_move", ["sender", "certificate_id"], unique=False)
    op.create_table(
        "chain_event",
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tx_hash", Hex(32), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("contract", sa.String(24), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("arguments", JsonValue, nullable=False),
        sa.PrimaryKeyConstraint("block_number", "log_index"),
    )
    op.create_index(
        "chain_event_batch", "chain_event", ["batch_id", "block_number", "log_index"], unique=False
    )
    op.create_table(
        "chunk",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("chunk_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("tx_hash", Hex(32), nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("released_block", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("batch_id", "chunk_index"),
    )
    op.create_index(op.f("ix_chunk_block_number"), "chunk", ["block_number"], unique=False)
    op.create_index(op.f("ix_chunk_released_block"), "chunk", ["released_block"], unique=False)
    op.create_table(
        "cleared_order",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("chunk_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("order_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("order_hash", Hex(32), nullable=False),
        sa.Column("maker", Hex(20), nullable=False),
        sa.Column("lanes_filled", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cost_micro", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "chunk_index", "order_index"),
    )
    op.create_index("cleared_order_maker", "cleared_order", ["maker", "batch_id"], unique=False)
    op.create_index(op.f("ix_cleared_order_block_number"), "cleared_order", ["block_number"], unique=False)
    op.create_index(op.f("ix_cleared_order_order_hash"), "cleared_order", ["order_hash"], unique=False)
    op.create_table(
        "compute_class",
        sa.Column("class_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("class_id"),
    )
    op.create_index(op.f("ix_compute_class_block_number"), "compute_class", ["block_number"], unique=False)
    op.create_table(
        "compute_offer",
        sa.Column("offer_hash", Hex(32), nullable=False),
        sa.Column("seen_id", sa.String(26), nullable=False),
        sa.Column("maker", Hex(20), nullable=False),
        sa.Column("site_id", sa.BigInteger(), nullable=False),
        sa.Column("class_id", sa.Integer(), nullable=False),
        sa.Column("zone_id", sa.Integer(), nullable=False),
        sa.Column("capacity", sa.BigInteger(), nullable=False),
        sa.Column("energy_wh_per_vcu_slot", sa.BigInteger(), nullable=False),
        sa.Column("ask_price", UInt64(), nullable=False),
        sa.Column("start", UInt64(), nullable=False),
        sa.Column("end", UInt64(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("nonce", UInt64(), nullable=False),
        sa.Column("expiry", UInt64(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(8), nullable=False),
        sa.Column("first_block", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("offer_hash"),
        sa.UniqueConstraint("seen_id"),
    )
    op.create_index("compute_offer_first_block", "compute_offer", ["first_block"], unique=False)
    op.create_index("compute_offer_maker", "compute_offer", ["maker", "seen_id"], unique=False)
    op.create_index(op.f("ix_compute_offer_site_id"), "compute_offer", ["site_id"], unique=False)
    op.create_table(
        "device",
        sa.Column("meter_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("asset_kind", sa.Integer(), nullable=False),
        sa.Column("asset_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("x", Hex(32), nullable=False),
        sa.Column("y", Hex(32), nullable=False),
        sa.Column("measurement", Hex(32), nullable=False),
        sa.Column("attested_until", UInt64(), nullable=False),
        sa.Column("evidence_hash", Hex(32), nullable=False),
        sa.Column("evidence_kind", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("meter_id", "block_number", "log_index"),
    )
    op.create_index(op.f("ix_device_asset_id"), "device", ["asset_id"], unique=False)
    op.create_index(op.f("ix_device_block_number"), "device", ["block_number"], unique=False)
    op.create_table(
        "dispute",
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("feed_id", Hex(32), nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("disputer", Hex(20), nullable=True),
        sa.Column("upheld", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("block_number", "log_index"),
    )
    op.create_index("dispute_report", "dispute", ["feed_id", "start"], unique=False)
    op.create_table(
        "idempotency_key",
        sa.Column("actor", sa.String(80), nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("fingerprint", Hex(32), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "key"),
    )
    op.create_index(op.f("ix_idempotency_key_created_at"), "idempotency_key", ["created_at"], unique=False)
    op.create_table(
        "indexed_block",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_hash", Hex(32), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "indexed_chain",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("market", Hex(20), nullable=False),
        sa.Column("genesis_hash", Hex(32), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("holder", sa.String(80), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account", Hex(20), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("available_micro", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("locked_micro", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tx_hash", Hex(32), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("block_number", "log_index"),
    )
    op.create_index(
        "ledger_entry_account", "ledger_entry", ["account", "block_number", "log_index"], unique=False
    )
    op.create_table(
        "login_nonce",
        sa.Column("nonce", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("nonce"),
    )
    op.create_index(op.f("ix_login_nonce_expires_at"), "login_nonce", ["expires_at"], unique=False)
    op.create_table(
        "organisation",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("plan", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
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
    op.create_index("outbox_state", "outbox", ["state", "id"], unique=False)
    op.create_table(
        "plant",
        sa.Column("plant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("owner", Hex(20), nullable=False),
        sa.Column("zone_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Integer(), nullable=False),
        sa.Column("nameplate_w", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("emission_factor", sa.Integer(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("plant_id"),
    )
    op.create_index(op.f("ix_plant_block_number"), "plant", ["block_number"], unique=False)
    op.create_index(op.f("ix_plant_owner"), "plant", ["owner"], unique=False)
    op.create_table(
        "plant_metered",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("slot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("offer_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sold_wh", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("metered_wh", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("delivered_wh", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("penalty_micro", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "slot", "offer_index"),
    )
    op.create_index(op.f("ix_plant_metered_block_number"), "plant_metered", ["block_number"], unique=False)
    op.create_table(
        "plant_paid",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("slot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("offer_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("money_micro", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("matched_wh", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("minted_wh", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "slot", "offer_index"),
    )
    op.create_index(op.f("ix_plant_paid_block_number"), "plant_paid", ["block_number"], unique=False)
    op.create_table(
        "power_offer",
        sa.Column("offer_hash", Hex(32), nullable=False),
        sa.Column("seen_id", sa.String(26), nullable=False),
        sa.Column("maker", Hex(20), nullable=False),
        sa.Column("plant_id", sa.BigInteger(), nullable=False),
        sa.Column("zone_id", sa.Integer(), nullable=False),
        sa.Column("source_kind", sa.Integer(), nullable=False),
        sa.Column("tranches", sa.Integer(), nullable=False),
        sa.Column("start", UInt64(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("profile", sa.LargeBinary(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("nonce", UInt64(), nullable=False),
        sa.Column("expiry", UInt64(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(8), nullable=False),
        sa.Column("first_block", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("offer_hash"),
        sa.UniqueConstraint("seen_id"),
    )
    op.create_index(op.f("ix_power_offer_plant_id"), "power_offer", ["plant_id"], unique=False)
    op.create_index("power_offer_first_block", "power_offer", ["first_block"], unique=False)
    op.create_index("power_offer_maker", "power_offer", ["maker", "seen_id"], unique=False)
    op.create_table(
        "price_part",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("part", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "part"),
    )
    op.create_index(op.f("ix_price_part_block_number"), "price_part", ["block_number"], unique=False)
    op.create_table(
        "report",
        sa.Column("feed_id", Hex(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("end", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("report_hash", Hex(32), nullable=False),
        sa.Column("root", Hex(32), nullable=False),
        sa.Column("leaves", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("totals", JsonValue, nullable=False),
        sa.Column("outcomes_root", Hex(32), nullable=False),
        sa.Column("evidence_root", Hex(32), nullable=False),
        sa.Column("policy_hash", Hex(32), nullable=False),
        sa.Column("archive_hash", Hex(32), nullable=False),
        sa.Column("prev_hash", Hex(32), nullable=False),
        sa.Column("signer_bitmap", Int256(), nullable=False),
        sa.Column("posted_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tx_hash", Hex(32), nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("feed_id", "epoch"),
    )
    op.create_index(op.f("ix_report_block_number"), "report", ["block_number"], unique=False)
    op.create_index("report_start", "report", ["feed_id", "start"], unique=True)
    op.create_table(
        "retirement",
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account", Hex(20), nullable=False),
        sa.Column("certificate_id", Int256(), nullable=False),
        sa.Column("amount", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("beneficiary", Hex(20), nullable=False),
        sa.Column("purpose_hash", Hex(32), nullable=False),
        sa.Column("tx_hash", Hex(32), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("block_number", "log_index"),
    )
    op.create_index(op.f("ix_retirement_account"), "retirement", ["account"], unique=False)
    op.create_index(op.f("ix_retirement_beneficiary"), "retirement", ["beneficiary"], unique=False)
    op.create_index(op.f("ix_retirement_certificate_id"), "retirement", ["certificate_id"], unique=False)
    op.create_table(
        "site",
        sa.Column("site_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("owner", Hex(20), nullable=False),
        sa.Column("zone_id", sa.Integer(), nullable=False),
        sa.Column("nameplate_w", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("site_id"),
    )
    op.create_index(op.f("ix_site_block_number"), "site", ["block_number"], unique=False)
    op.create_index(op.f("ix_site_owner"), "site", ["owner"], unique=False)
    op.create_table(
        "slot_result",
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("chunk_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("slot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("outcomes", sa.LargeBinary(), nullable=True),
        sa.Column("compute_micro", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("power_micro", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("refund_micro", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("penalty_micro", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("timestamp", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "chunk_index", "slot"),
    )
    op.create_index(op.f("ix_slot_result_block_number"), "slot_result", ["block_number"], unique=False)
    op.create_table(
        "withdrawal",
        sa.Column("order_hash", Hex(32), nullable=False),
        sa.Column("maker", Hex(20), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("order_hash"),
    )
    op.create_table(
        "zone",
        sa.Column("zone_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("zone_id"),
    )
    op.create_index(op.f("ix_zone_block_number"), "zone", ["block_number"], unique=False)
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("organisation_id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("secret_hash", Hex(32), nullable=False),
        sa.Column("scopes", JsonValue, nullable=False),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("secret_hash"),
    )
    op.create_index(op.f("ix_api_key_organisation_id"), "api_key", ["organisation_id"], unique=False)
    op.create_table(
        "member",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("organisation_id", sa.String(26), nullable=False),
        sa.Column("address", Hex(20), nullable=False),
        sa.Column("display_name", sa.String(120), nullable=False),
        sa.Column("roles", JsonValue, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("member_address", "member", ["address"], unique=False)
    op.create_index("member_seat", "member", ["organisation_id", "address"], unique=True)
    op.create_table(
        "oauth_client",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("organisation_id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("secret_hash", Hex(32), nullable=False),
        sa.Column("scopes", JsonValue, nullable=False),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_oauth_client_organisation_id"), "oauth_client", ["organisation_id"], unique=False
    )
    op.create_table(
        "service_template",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("organisation_id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("spec", JsonValue, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("service_template_name", "service_template", ["organisation_id", "name"], unique=True)
    op.create_table(
        "wallet",
        sa.Column("address", Hex(20), nullable=False),
        sa.Column("organisation_id", sa.String(26), nullable=False),
        sa.Column("label", sa.String(120), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
        ),
        sa.PrimaryKeyConstraint("address"),
    )
    op.create_index(op.f("ix_wallet_organisation_id"), "wallet", ["organisation_id"], unique=False)
    op.create_table(
        "webhook",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("organisation_id", sa.String(26), nullable=False),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("events", JsonValue, nullable=False),
        sa.Column("secret", sa.String(80), nullable=False),
        sa.Column("created_by", sa.String(80), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisation.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_webhook_organisation_id"), "webhook", ["organisation_id"], unique=False)
    op.create_table(
        "access_token",
        sa.Column("token_hash", Hex(32), nullable=False),
        sa.Column("client_id", sa.String(26), nullable=False),
        sa.Column("scopes", JsonValue, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["oauth_client.id"],
        ),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_index(op.f("ix_access_token_client_id"), "access_token", ["client_id"], unique=False)
    op.create_index(op.f("ix_access_token_expires_at"), "access_token", ["expires_at"], unique=False)
    op.create_table(
        "login_session",
        sa.Column("token_hash", Hex(32), nullable=False),
        sa.Column("member_id", sa.String(26), nullable=False),
        sa.Column("address", Hex(20), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["member.id"],
        ),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_index(op.f("ix_login_session_expires_at"), "login_session", ["expires_at"], unique=False)
    op.create_index(op.f("ix_login_session_member_id"), "login_session", ["member_id"], unique=False)
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
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhook.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_webhook_delivery_webhook_id"), "webhook_delivery", ["webhook_id"], unique=False)
    op.create_index("webhook_delivery_due", "webhook_delivery", ["state", "next_at"], unique=False)


def downgrade() -> None:
    """Drops every table."""
    op.drop_index("webhook_delivery_due", table_name="webhook_delivery")
    op.drop_index(op.f("ix_webhook_delivery_webhook_id"), table_name="webhook_delivery")
    op.drop_table("webhook_delivery")
    op.drop_index(op.f("ix_login_session_member_id"), table_name="login_session")
    op.drop_index(op.f("ix_login_session_expires_at"), table_name="login_session")
    op.drop_table("login_session")
    op.drop_index(op.f("ix_access_token_expires_at"), table_name="access_token")
    op.drop_index(op.f("ix_access_token_client_id"), table_name="access_token")
    op.drop_table("access_token")
    op.drop_index(op.f("ix_webhook_organisation_id"), table_name="webhook")
    op.drop_table("webhook")
    op.drop_index(op.f("ix_wallet_organisation_id"), table_name="wallet")
    op.drop_table("wallet")
    op.drop_index("service_template_name", table_name="service_template")
    op.drop_table("service_template")
    op.drop_index(op.f("ix_oauth_client_organisation_id"), table_name="oauth_client")
    op.drop_table("oauth_client")
    op.drop_index("member_seat", table_name="member")
    op.drop_index("member_address", table_name="member")
    op.drop_table("member")
    op.drop_index(op.f("ix_api_key_organisation_id"), table_name="api_key")
    op.drop_table("api_key")
    op.drop_index(op.f("ix_zone_block_number"), table_name="zone")
    op.drop_table("zone")
    op.drop_table("withdrawal")
    op.drop_index(op.f("ix_slot_result_block_number"), table_name="slot_result")
    op.drop_table("slot_result")
    op.drop_index(op.f("ix_site_owner"), table_name="site")
    op.drop_index(op.f("ix_site_block_number"), table_name="site")
    op.drop_table("site")
    op.drop_index(op.f("ix_retirement_certificate_id"), table_name="retirement")
    op.drop_index(op.f("ix_retirement_beneficiary"), table_name="retirement")
    op.drop_index(op.f("ix_retirement_account"), table_name="retirement")
    op.drop_table("retirement")
    op.drop_index("report_start", table_name="report")
    op.drop_index(op.f("ix_report_block_number"), table_name="report")
    op.drop_table("report")
    op.drop_index(op.f("ix_price_part_block_number"), table_name="price_part")
    op.drop_table("price_part")
    op.drop_index("power_offer_maker", table_name="power_offer")
    op.drop_index("power_offer_first_block", table_name="power_offer")
    op.drop_index(op.f("ix_power_offer_plant_id"), table_name="power_offer")
    op.drop_table("power_offer")
    op.drop_index(op.f("ix_plant_paid_block_number"), table_name="plant_paid")
    op.drop_table("plant_paid")
    op.drop_index(op.f("ix_plant_metered_block_number"), table_name="plant_metered")
    op.drop_table("plant_metered")
    op.drop_index(op.f("ix_plant_owner"), table_name="plant")
    op.drop_index(op.f("ix_plant_block_number"), table_name="plant")
    op.drop_table("plant")
    op.drop_index("outbox_state", table_name="outbox")
    op.drop_index("outbox_sender_nonce", table_name="outbox")
    op.drop_table("outbox")
    op.drop_table("organisation")
    op.drop_index(op.f("ix_login_nonce_expires_at"), table_name="login_nonce")
    op.drop_table("login_nonce")
    op.drop_index("ledger_entry_account", table_name="ledger_entry")
    op.drop_table("ledger_entry")
    op.drop_table("lease")
    op.drop_table("indexed_chain")
    op.drop_table("indexed_block")
    op.drop_index(op.f("ix_idempotency_key_created_at"), table_name="idempotency_key")
    op.drop_table("idempotency_key")
    op.drop_index("dispute_report", table_name="dispute")
    op.drop_table("dispute")
    op.drop_index(op.f("ix_device_block_number"), table_name="device")
    op.drop_index(op.f("ix_device_asset_id"), table_name="device")
    op.drop_table("device")
    op.drop_index(op.f("ix_compute_offer_site_id"), table_name="compute_offer")
    op.drop_index("compute_offer_maker", table_name="compute_offer")
    op.drop_index("compute_offer_first_block", table_name="compute_offer")
    op.drop_table("compute_offer")
    op.drop_index(op.f("ix_compute_class_block_number"), table_name="compute_class")
    op.drop_table("compute_class")
    op.drop_index(op.f("ix_cleared_order_order_hash"), table_name="cleared_order")
    op.drop_index(op.f("ix_cleared_order_block_number"), table_name="cleared_order")
    op.drop_index("cleared_order_maker", table_name="cleared_order")
    op.drop_table("cleared_order")
    op.drop_index(op.f("ix_chunk_released_block"), table_name="chunk")
    op.drop_index(op.f("ix_chunk_block_number"), table_name="chunk")
    op.drop_table("chunk")
    op.drop_index("chain_event_batch", table_name="chain_event")
    op.drop_table("chain_event")
    op.drop_index("certificate_move_sender", table_name="certificate_move")
    op.drop_index("certificate_move_receiver", table_name="certificate_move")
    op.drop_index("certificate_move_id", table_name="certificate_move")
    op.drop_table("certificate_move")
    op.drop_index("cancellation_maker", table_name="cancellation")
    op.drop_table("cancellation")
    op.drop_index("bundle_order_window", table_name="bundle_order")
    op.drop_index("bundle_order_maker_nonce", table_name="bundle_order")
    op.drop_index("bundle_order_maker", table_name="bundle_order")
    op.drop_index("bundle_order_first_block", table_name="bundle_order")
    op.drop_table("bundle_order")
    op.drop_index(op.f("ix_batch_power_offer_offer_hash"), table_name="batch_power_offer")
    op.drop_index(op.f("ix_batch_power_offer_block_number"), table_name="batch_power_offer")
    op.drop_table("batch_power_offer")
    op.drop_index(op.f("ix_batch_compute_offer_offer_hash"), table_name="batch_compute_offer")
    op.drop_index(op.f("ix_batch_compute_offer_block_number"), table_name="batch_compute_offer")
    op.drop_table("batch_compute_offer")
    op.drop_index(op.f("ix_batch_voided_block"), table_name="batch")
    op.drop_index(op.f("ix_batch_start"), table_name="batch")
    op.drop_index(op.f("ix_batch_finalised_block"), table_name="batch")
    op.drop_index(op.f("ix_batch_block_number"), table_name="batch")
    op.drop_table("batch")
    op.drop_index("audit_entry_organisation", table_name="audit_entry")
    op.drop_table("audit_entry")
    op.drop_index(op.f("ix_agreement_block_number"), table_name="agreement")
    op.drop_index("agreement_seller", table_name="agreement")
    op.drop_index("agreement_order", table_name="agreement")
    op.drop_index("agreement_maker", table_name="agreement")
    op.drop_table("agreement")
    op.drop_table("account")
