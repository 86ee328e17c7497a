"""Alembic's entry: runs the migrations on the engine that `backend.store.migrate` hands over."""

from __future__ import annotations

from alembic import context

from backend.store.tables import metadata

with context.config.attributes["engine"].connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
