"""What the event handlers share: the rows they add to, JSON of arguments, ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import SQLModel

from backend.service.indexer.source import Log
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
    """Rows to insert, in order; batch and chunk milestones; and what a chunk must know of earlier events."""

    rows: list[SQLModel] = field(default_factory=list)
    finalised: dict[int, tuple[int, int]] = field(default_factory=dict)
    voided: dict[int, tuple[int, int]] = field(default_factory=dict)
    released: dict[tuple[int, int], int] = field(default_factory=dict)
    offers: dict[tuple[int, int], Offer] = field(default_factory=dict)


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


Handler = Callable[[Log, dict[str, Any], Changes], None]


def seen_id(log: Log, index: int) -> str:
    """An id that orders rows as the chain does and is the same in every reindex."""
    place = log.block.number << 40 | log.log_index << 16 | (index & 0xFFFF)
    return new_id(log.block.timestamp * 1000)[:10] + _tail(place)


def _tail(value: int) -> str:
    """80 bits as 16 characters of the id alphabet."""
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    return "".join(alphabet[(value >> shift) & 31] for shift in range(75, -1, -5))
