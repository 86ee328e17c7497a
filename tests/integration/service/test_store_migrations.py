"""The migrations make exactly the tables the models describe, on both databases, and take them away again."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect

from backend.store import migrate
from backend.store.tables import metadata


def test_up_gives_the_models_tables(empty_engine: Engine) -> None:
    migrate.upgrade(empty_engine)
    with empty_engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    assert migrate.current(empty_engine) == migrate.head() is not None


def test_down_leaves_nothing(empty_engine: Engine) -> None:
    migrate.upgrade(empty_engine)
    migrate.downgrade(empty_engine)
    assert set(inspect(empty_engine).get_table_names()) <= {"alembic_version"}
    migrate.upgrade(empty_engine)
    assert set(metadata.tables) <= set(inspect(empty_engine).get_table_names())
