"""Database engines and sessions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlmodel import Session

from backend.settings import Settings


def database_url(url: str) -> str:
    """`url` with the driver this service uses (psycopg for PostgreSQL)."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def make_engine(settings: Settings) -> Engine:
    """An engine for the configured database; SQLite gets write-ahead logging and foreign keys."""
    url = database_url(settings.database_url)
    if url.startswith("sqlite"):
        engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": 30})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    size = settings.database_pool_size
    return create_engine(url, pool_size=size, max_overflow=size, pool_pre_ping=True)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Connection pragmas; transactions are opened by `_begin_sqlite`, not by the driver."""
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Any) -> None:
    """Writers say so at the start, so that two of them wait instead of failing half-way."""
    mode = "IMMEDIATE" if connection.get_execution_options().get("write") else ""
    connection.exec_driver_sql(f"BEGIN {mode}")


class Store:
    """Hands out sessions: `reading()` for queries, `writing()` for one transaction per command."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(write=True)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that is never committed."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def connect(self) -> Connection:
        """A connection for one thread alone to keep, whose transactions may write."""
        return self._writer.connect()

    @property
    def is_postgresql(self) -> bool:
        """Whether the database is PostgreSQL."""
        return self.engine.dialect.name == "postgresql"
