"""All tables, for migrations and for tests."""

from __future__ import annotations

from sqlmodel import SQLModel

from backend.store import chain, flex, identity, market, operations

MODULES = (identity, market, chain, operations, flex)
metadata = SQLModel.metadata
