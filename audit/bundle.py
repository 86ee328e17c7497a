"""An archived bundle read as far as it can be: a damaged one still tells which readings are whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from oracle.wire import cbor
from oracle.wire.bundle import DOMAIN
from oracle.wire.errors import WireError
from oracle.wire.reading import DOMAIN as READING_DOMAIN
from oracle.wire.reading import Reading, decode_reading

_READING_START = re.compile(re.escape(b"\xab\x00\x71" + READING_DOMAIN.encode()))
_KEYS = (list(range(9)), list(range(10)))
_TAG_BYTES = 3 + len(READING_DOMAIN)
_MAX_PAYLOAD = 256


@dataclass(frozen=True, slots=True)
class Item:
    """One archived reading: where it stands, its bytes, and what they say or why they say nothing."""

    position: int
    payload: bytes
    signature: bytes
    quality: int
    device: int
    reading: Reading | None
    problem: str = ""

    def name(self) -> str:
        """How findings call this reading."""
        if self.reading is None:
            return f"reading {self.position} ({_guess(self.payload, _TAG_BYTES)}, damaged)"
        reading = self.reading
        return f"reading {self.position} (meter {reading.meter_id} kind {reading.kind} seq {reading.seq})"


@dataclass(frozen=True, slots=True)
class Device:
    """A row of the bundle's device table."""

    meter_id: int
    x: bytes
    y: bytes
    evidence_hash: bytes


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The packed outcomes of one chunk in one slot."""

    batch_id: int
    chunk_index: int
    slot: int
    packed: bytes


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a bundle holds. `problem` is set when it is not a well-formed bundle; `damage` says where."""

    header: tuple[int, bytes, int, int, int] | None
    devices: tuple[Device, ...] = ()
    items: tuple[Item, ...] = ()
    outcomes: tuple[Outcomes, ...] = ()
    machines: tuple[tuple[bytes, bytes], ...] = ()
    problem: str = ""
    damage: tuple[str, ...] = ()


def read_bundle(data: bytes) -> Parsed:
    """Everything in `data` that can be read; never raises on hostile bytes."""
    try:
        table = cbor.decode(data)
    except (WireError, RecursionError) as error:
        return _salvage(data, str(error))
    if not isinstance(table, dict) or list(table) not in _KEYS or table[0] != DOMAIN:
        return _salvage(data, f"is not a {DOMAIN!r} map")
    damage: list[str] = []
    header = (table[1], table[2], table[3], table[4], table[5])
    if not _fits(header, "ibiii"):
        damage.append("header fields have wrong types")
        header = None  # type: ignore[assignment]
    devices = [Device(*row) for row in _rows(table[6], "ibbb", "device", damage)]
    outcomes = [Outcomes(*row) for row in _rows(table[8], "iiib", "outcome", damage)]
    rows = _rows(table[7], "bbii", "reading", damage)
    items = tuple(_item(position, *row) for position, row in enumerate(rows))
    machines = [(row[0], row[1]) for row in _rows(table.get(9, []), "bb", "machine", damage)]
    return Parsed(header, tuple(devices), items, tuple(outcomes), tuple(machines), "", tuple(damage))


def _fits(row: Sequence[object], kinds: str) -> bool:
    types = {"i": int, "b": bytes}
    return len(row) == len(kinds) and all(
        isinstance(value, types[kind]) for value, kind in zip(row, kinds, strict=True)
    )


def _rows(value: object, kinds: str, what: str, damage: list[str]) -> list[list]:  # type: ignore[type-arg]
    if not isinstance(value, list):
        damage.append(f"the table of {what}s is not an array")
        return []
    good = []
    for number, row in enumerate(value):
        if isinstance(row, list) and _fits(row, kinds):
            good.append(row)
        else:
            damage.append(f"{what} {number} has wrong fields")
    return good


def _item(position: int, payload: bytes, signature: bytes, quality: int, device: int) -> Item:
    try:
        return Item(position, payload, signature, quality, device, decode_reading(payload))
    except WireError as error:
        return Item(position, payload, signature, quality, device, None, str(error))


def _salvage(data: bytes, problem: str) -> Parsed:
    """Finds readings by the tag each begins with, and names the bytes between whole ones."""
    items: list[Item] = []
    damage: list[str] = []
    end = 0
    for match in _READING_START.finditer(data):
        whole = _whole_reading(data, match.start(), len(items))
        if whole is None:
            damage.append(
                f"reading {len(items) + len(damage)} at byte {match.start()}: {_guess(data, match.end())}"
            )
            continue
        item, end = whole
        items.append(item)
    if not damage:
        damage.append(
            f"no reading could be read at fault; {len(items)} are whole, the last ends at byte {end}"
        )
    return Parsed(None, (), tuple(items), (), (), problem, tuple(damage))


def _whole_reading(data: bytes, start: int, position: int) -> tuple[Item, int] | None:
    for size in range(60, _MAX_PAYLOAD):
        stop = start + size
        if data[stop : stop + 2] != b"\x58\x40":
            continue
        item = _item(position, data[start:stop], data[stop + 2 : stop + 66], 0, -1)
        if item.reading is None or len(item.signature) != 64:
            continue
        try:
            quality, after = cbor.read_item(data, stop + 66)
            device, after = cbor.read_item(data, after)
        except WireError:
            return None
        if not isinstance(quality, int) or not isinstance(device, int):
            return None
        return Item(position, item.payload, item.signature, quality, device, item.reading), after
    return None


def _guess(data: bytes, at: int) -> str:
    """Meter, kind and seq of a damaged reading, as far as its first fields can still be read."""
    names = {2: "meter", 3: "kind", 5: "seq"}
    seen: list[str] = []
    try:
        for key in (1, 2, 3, 4, 5):
            if data[at] != key:
                break
            if key == 4:
                at += 35
                continue
            _, value, at = cbor.read_head(data, at + 1)
            if key in names:
                seen.append(f"{names[key]} {value}")
    except (WireError, IndexError):
        pass
    return " ".join(seen) if seen else "unreadable"
