"""The fixtures of the service's tests, for virtual power plants."""

from tests.unit.api.fixtures import (
    context,
    migrated_url,
    postgres,
    settings,
    sqlite,
    store,
    world,
)

__all__ = ["context", "migrated_url", "postgres", "settings", "sqlite", "store", "world"]
