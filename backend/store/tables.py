"""All tables, for migrations and for tests."""

from __future__ import annotations

from sqlmodel import SQLModel

from backend.store import chain, identity, market, operations

MODULES = (identity, market, chain, operations)
metadata = SQLModel.metadata
