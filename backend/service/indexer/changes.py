"""What the event handlers share: the rows they add to, tables of columns, JSON of arguments, ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column
from sqlmodel import SQLModel

from backend.service.indexer.source import Log
from backend.store.bulk import Row
from backend.store.types import new_id

_LARGE = 200
_SAFE = 1 << 53


@dataclass(frozen=True, slots=True)
class Offer:
    """What a run needs to know of the compute offer it uses."""

    seller: str
    site_id: int
    class_id: int
    zone_id: int
    energy_wh_per_vcu_slot: int


@dataclass
class Changes:
    """Rows to insert, by table; batch and chunk milestones; and what a chunk must know of earlier events."""

    rows: dict[type[SQLModel], list[Row]] = field(default_factory=lambda: defaultdict(list))
    finalised: dict[int, tuple[int, int]] = field(default_factory=dict)
    voided: dict[int, tuple[int, int]] = field(default_factory=dict)
    released: dict[tuple[int, int], int] = field(default_factory=dict)
    offers: dict[tuple[int, int], Offer] = field(default_factory=dict)


Handler = Callable[[Log, dict[str, Any], Changes], None]
Getter = Callable[[Log], Any]
_PLACE: dict[str, Getter] = {
    "block_number": lambda log: log.block.number,
    "log_index": lambda log: log.log_index,
    "tx_hash": lambda log: log.tx_hash,
    "timestamp": lambda log: log.block.timestamp,
}
"""Columns that say where an event stands."""


def block_time(log: Log) -> int:
    """The block's time, for columns under another name than `timestamp`."""
    return log.block.timestamp


def argument(name: str) -> Getter:
    """An argument under another name than the column's."""
    return lambda log: log.arguments[name]


def always(value: object) -> Getter:
    """The same value for every event."""
    return lambda log: value


def into(model: type[SQLModel], struct: tuple[str, str] | None = None, **columns: Getter) -> Handler:
    """A handler that writes one row of `model` for each event.

    A column is what `columns` says; or where the event stands; or a field of `struct` (its argument's name
    and its fields' columns in order); or the argument of the column's name in camel case, None where it is
    missing and may be.
    """
    getters = dict(columns)
    if struct is not None:
        for position, name in enumerate(struct[1].split()):
            getters.setdefault(name, _field(struct[0], position))
    table = model.__table__  # type: ignore[attr-defined]
    plan = [(column.key, getters.get(column.key) or _getter(column)) for column in table.columns]

    def handle(log: Log, arguments: dict[str, Any], changes: Changes) -> None:
        changes.rows[model].append({name: get(log) for name, get in plan})

    return handle


def _field(struct: str, position: int) -> Getter:
    return lambda log: log.arguments[struct][position]


def _getter(column: Column[Any]) -> Getter:
    first, *rest = column.key.split("_")
    name = first + "".join(part.capitalize() for part in rest)
    if column.key in _PLACE:
        return _PLACE[column.key]
    return (lambda log: log.arguments.get(name)) if column.nullable else argument(name)


def hex_of(value: bytes) -> str:
    return "0x" + value.hex()


def plain(value: Any) -> Any:
    """An event argument as JSON: bytes as hex, wide integers as text, long blobs and lists by their size."""
    if isinstance(value, bytes):
        return hex_of(value) if len(value) <= _LARGE else {"bytes": len(value)}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value] if len(value) <= 16 else {"items": len(value)}
    if isinstance(value, bool) or not isinstance(value, int):
        return value.lower() if isinstance(value, str) and value.startswith("0x") else value
    return value if -_SAFE < value < _SAFE else str(value)


def seen_id(log: Log, index: int) -> str:
    """An id that orders rows as the chain does and is the same in every reindex."""
    place = log.block.number << 40 | log.log_index << 16 | (index & 0xFFFF)
    return new_id(log.block.timestamp * 1000)[:10] + _tail(place)


def _tail(value: int) -> str:
    """80 bits as 16 characters of the id alphabet."""
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    return "".join(alphabet[(value >> shift) & 31] for shift in range(75, -1, -5))
