"""All tables, for migrations and for tests."""

from __future__ import annotations

from sqlmodel import SQLModel

from backend.store import chain, flex, identity, market, operations, readings

MODULES = (identity, market, chain, operations, flex, readings)
metadata = SQLModel.metadata
