"""Many rows in one statement, leaving rows that are there as they are: arrays on PostgreSQL, one prepared
statement on SQLite. Values go in as the columns' types would have them; every column of the rows is named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ARRAY, JSON, ColumnElement, Table, any_, literal
from sqlalchemy.engine import Dialect
from sqlmodel import Session, SQLModel, col

from backend.store.types import Hex, Int256, UInt64

ROWS_AT_ONCE = 5_000
Row = dict[str, Any]
_Bind = Callable[[Any], Any]


def insert_all(session: Session, model: type[SQLModel], rows: Sequence[Row]) -> None:
    """Inserts rows by column name, in the session's transaction; all rows name the same columns."""
    if not rows:
        return
    connection = session.connection()
    table: Table = model.__table__  # type: ignore[attr-defined]
    statement, binds = _plan(table, tuple(rows[0]), connection.dialect)
    for at in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[at : at + ROWS_AT_ONCE]
        columns = [
            [row[name] for row in part] if bind is None else [bind(row[name]) for row in part]
            for name, bind in binds
        ]
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(statement, tuple(columns))
        else:
            connection.exec_driver_sql(statement, list(zip(*columns, strict=True)))


def among(session: Session, column: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """Whether a column's value is one of `values`, as a statement that is the same for any number of them."""
    if session.get_bind().dialect.name == "postgresql":
        return col(column) == any_(literal(list(values), ARRAY(column.type)))
    return col(column).in_(values)


@lru_cache(maxsize=256)
def _plan(
    table: Table, names: tuple[str, ...], dialect: Dialect
) -> tuple[str, tuple[tuple[str, _Bind | None], ...]]:
    """The statement, and how each column's values are made ready for the driver."""
    columns = [table.c[name] for name in names]
    binds = tuple((column.key, _bind(column.type, dialect)) for column in columns)
    quote = dialect.identifier_preparer.quote
    quoted = ", ".join(quote(name) for name in names)
    into = f"INSERT INTO {quote(table.name)} ({quoted})"
    if dialect.name != "postgresql":
        return f"{into} VALUES ({', '.join('?' * len(names))}) ON CONFLICT DO NOTHING", binds
    kinds = [column.type.compile(dialect) for column in columns]
    arrays = ", ".join(f"%b::{'text' if kind == 'JSONB' else kind}[]" for kind in kinds)
    values = ", ".join(
        f"{quote(name)}::jsonb" if kind == "JSONB" else quote(name)
        for name, kind in zip(names, kinds, strict=True)
    )
    source = f"unnest({arrays}) AS given ({quoted})"
    # names are those of our own tables, quoted; values are bound
    return f"{into} SELECT {values} FROM {source} ON CONFLICT DO NOTHING", binds  # nosec B608


def _bind(kind: Any, dialect: Dialect) -> _Bind | None:
    """What a type does to a value on its way to the driver, None when nothing; JSON becomes text."""
    if isinstance(kind, JSON):
        return _json_text
    if isinstance(kind, (Hex, UInt64, Int256)):
        return lambda value: kind.process_bind_param(value, dialect)
    return None


def _json_text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, separators=(",", ":"))
