"""Column types that keep chain values exact on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import time
from threading import Lock
from typing import Any

from sqlalchemy import JSON, BigInteger, LargeBinary, Numeric, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

JsonValue = JSON().with_variant(JSONB(), "postgresql")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_SHIFTS = tuple(range(120, -1, -10))


_issued = Lock()
_newest = 0
_entropy = b""


def _random(count: int) -> int:
    """`count` random bytes as an integer, drawn from the system many at a time: a call for each id would let
    every other thread run in between. The caller holds `_issued`.
    """
    global _entropy
    if len(_entropy) < count:
        _entropy = os.urandom(4096)
    taken, _entropy = _entropy[:count], _entropy[count:]
    return int.from_bytes(taken)


def new_id(at_ms: int | None = None) -> str:
    """A 26-character id whose text order is its time order (48 bits of milliseconds, 80 random bits).

    Ids of one process rise strictly, also within a millisecond or when the clock steps back: what is written
    together keeps its order. An id for a given `at_ms` stands apart from that.
    """
    global _newest
    now = at_ms if at_ms is not None else time.time_ns() // 1_000_000
    with _issued:
        value = now << 80 | _random(10)
        if at_ms is None:
            if value <= _newest:
                value = _newest + 1 + _random(5)
            _newest = value
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in _SHIFTS])


def where_set(column: str) -> dict[str, Any]:
    """Options of an index that leaves rows without a value out, so that they cost nothing."""
    return {f"{name}_where": text(f"{column} IS NOT NULL") for name in ("postgresql", "sqlite")}


class Hex(TypeDecorator[str]):
    """Fixed-length bytes, seen in Python as lower-case `0x...` text (hashes, addresses); bytes go in too."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size

    def process_bind_param(self, value: str | bytes | None, dialect: Dialect) -> bytes | None:
        """Text to bytes; ValueError when the length is not the column's."""
        if value is None:
            return None
        raw = value if isinstance(value, bytes) else bytes.fromhex(value.removeprefix("0x"))
        if len(raw) != self.size:
            raise ValueError(f"expected {self.size} bytes, got {len(raw)}")
        return raw

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        """Bytes to `0x...` text."""
        return None if value is None else "0x" + bytes(value).hex()


class UInt64(TypeDecorator[int]):
    """An unsigned 64-bit integer in a signed BIGINT (two's complement), exact over the whole range.

    Below 2**63 order is kept as well; the service accepts only such times and prices.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        """Unsigned to signed; ValueError outside 0..2**64-1."""
        if value is None:
            return None
        if not 0 <= value < 1 << 64:
            raise ValueError(f"{value} is not an unsigned 64-bit integer")
        return value - (1 << 64) if value >= 1 << 63 else value

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:
        """Signed to unsigned."""
        return None if value is None else value & ((1 << 64) - 1)


class Int256(TypeDecorator[int]):
    """An integer of any EVM width: NUMERIC(78,0) on PostgreSQL, text on SQLite (whose NUMERIC would
    round).
    """

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The column type of the dialect."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(78, 0))
        return dialect.type_descriptor(String(79))

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | str | None:
        """Python integer to what the dialect stores."""
        if value is None or dialect.name == "postgresql":
            return value
        return str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """Back to a Python integer."""
        return None if value is None else int(value)
