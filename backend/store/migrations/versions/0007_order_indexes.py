"""Indexes of orders that few rows are in leave the others out."""

from __future__ import annotations

from alembic import op

from backend.store.types import where_set

revision = "0007"
down_revision = "0006_flex_periods"
branch_labels = None
depends_on = None
_INDEXES = {"bundle_order_first_block": ["first_block"], "bundle_order_template": ["template_id", "start"]}


def upgrade() -> None:
    """Makes them anew, partial."""
    for name, columns in _INDEXES.items():
        op.drop_index(name, "bundle_order")
        op.create_index(name, "bundle_order", columns, **where_set(columns[0]))


def downgrade() -> None:
    """Makes them anew, whole."""
    for name, columns in _INDEXES.items():
        op.drop_index(name, "bundle_order")
        op.create_index(name, "bundle_order", columns)
