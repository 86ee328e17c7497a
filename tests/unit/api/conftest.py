"""The fixtures of the service's tests."""

from tests.unit.api.fixtures import (
    context,
    database_url,
    empty_engine,
    migrated_url,
    postgres,
    settings,
    sqlite,
    store,
    world,
)

__all__ = [
    "context",
    "database_url",
    "empty_engine",
    "migrated_url",
    "postgres",
    "settings",
    "sqlite",
    "store",
    "world",
]
