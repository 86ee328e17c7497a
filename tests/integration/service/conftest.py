"""The fixtures of the service's tests: one PostgreSQL and one market for all of them."""

from tests.unit.api.fixtures import (
    database_url,
    empty_engine,
    market_chain,
    migrated_url,
    postgres,
    settings,
    sqlite,
    store,
    trading,
)

__all__ = [
    "database_url",
    "empty_engine",
    "market_chain",
    "migrated_url",
    "postgres",
    "settings",
    "sqlite",
    "store",
    "trading",
]
