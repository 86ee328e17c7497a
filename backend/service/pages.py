"""Cursor pagination: a page ends with the key of its last row, and the next one starts behind it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from backend.service.errors import Invalid

Cursor = tuple[int | str, ...]
Row = TypeVar("Row")


def encode_cursor(key: Cursor) -> str:
    """The key as opaque text."""
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(text: str) -> Cursor:
    """The key in a cursor; Invalid when it is not one of ours."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError as error:
        raise _malformed() from error
    if not isinstance(parts, list) or not parts:
        raise _malformed()
    for part in parts:
        fits = (isinstance(part, str) and "\0" not in part) or (type(part) is int and abs(part) < 1 << 62)
        if not fits:
            raise _malformed()
    return tuple(parts)


def _malformed() -> Invalid:
    return Invalid(
        "this is not a cursor", field="cursor", mend="use next_cursor of the page before, unchanged"
    )


def cursor_of(cursor: Cursor | None, *kinds: type) -> Cursor | None:
    """The cursor when it has the parts that a listing expects; Invalid otherwise."""
    if cursor is not None and [type(part) for part in cursor] != list(kinds):
        raise _malformed()
    return cursor


def split_page(
    rows: Sequence[Row], limit: int, key: Callable[[Row], Cursor]
) -> tuple[Sequence[Row], str | None]:
    """`rows` were asked for with limit + 1: the page, and the cursor of the next one if there is one."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], encode_cursor(key(rows[limit - 1]))
