"""The carbon table the committee publishes before a batch, and the hash the market checks it by."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from oracle.wire.errors import WireError
from oracle.wire.keys import keccak256
from oracle.wire.typed import uint_word

DOMAIN = "bitwatt/publication/1"
MAX_G_PER_KWH = 0xFFFF


def pack_carbon(grid_carbon: Sequence[Sequence[int]]) -> bytes:
    """uint16 big-endian [zone][slot], grid carbon intensity in g/kWh."""
    for zone, row in enumerate(grid_carbon):
        for slot, value in enumerate(row):
            if not 0 <= value <= MAX_G_PER_KWH:
                raise WireError(f"carbon[{zone}][{slot}]", f"{value} g/kWh is outside 0..{MAX_G_PER_KWH}")
    return b"".join(struct.pack(f">{len(row)}H", *row) for row in grid_carbon)


def unpack_carbon(data: bytes, zones: int, slots: int) -> list[list[int]]:
    """The table [zone][slot] in g/kWh; raises WireError when the length does not fit."""
    if len(data) != 2 * zones * slots:
        raise WireError("carbon", f"{len(data)} bytes where {zones} zones x {slots} slots x 2 are due")
    flat = struct.unpack(f">{zones * slots}H", data)
    return [list(flat[zone * slots : (zone + 1) * slots]) for zone in range(zones)]


def publication_hash(start: int, slot_seconds: int, slots: int, zones: int, carbon: bytes) -> bytes:
    """keccak256(abi.encode(start, slotSeconds, slots, zones, keccak256(carbon))); `start` in unix seconds."""
    if len(carbon) != 2 * zones * slots:
        raise WireError("carbon", f"{len(carbon)} bytes where {zones} zones x {slots} slots x 2 are due")
    head = b"".join(uint_word(value) for value in (start, slot_seconds, slots, zones))
    return keccak256(head + keccak256(carbon))


@dataclass(frozen=True, slots=True)
class CarbonDocument:
    """The published file: grid carbon in g/kWh [zone][slot] for a batch, and where the numbers come from."""

    start: int
    slot_seconds: int
    grid_carbon: tuple[tuple[int, ...], ...]
    sources: tuple[str, ...] = ()

    def content_hash(self) -> bytes:
        """What the committee signs and the market requires."""
        carbon = pack_carbon(self.grid_carbon)
        return publication_hash(
            self.start, self.slot_seconds, len(self.grid_carbon[0]), len(self.grid_carbon), carbon
        )

    def encode(self) -> bytes:
        """Canonical JSON, the archived form."""
        document = {
            "domain": DOMAIN,
            "start": self.start,
            "slot_seconds": self.slot_seconds,
            "grid_carbon_g_per_kwh": self.grid_carbon,
            "sources": self.sources,
        }
        return (
            json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        )


def decode_carbon_document(data: bytes) -> CarbonDocument:
    """The document in `data`; raises WireError naming what is wrong."""
    try:
        table = json.loads(data)
        if table["domain"] != DOMAIN:
            raise WireError("publication.domain", f"{table['domain']!r} is not {DOMAIN!r}")
        document = CarbonDocument(
            table["start"],
            table["slot_seconds"],
            tuple(tuple(row) for row in table["grid_carbon_g_per_kwh"]),
            tuple(table["sources"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, WireError):
            raise
        raise WireError("publication", f"is not a published carbon file ({error!r})") from None
    numbers = [
        document.start,
        document.slot_seconds,
        *(value for row in document.grid_carbon for value in row),
    ]
    if any(type(value) is not int for value in numbers):
        raise WireError("publication", "holds a number that is not an integer")
    widths = {len(row) for row in document.grid_carbon}
    if len(widths) != 1 or widths == {0}:
        raise WireError("publication.grid_carbon_g_per_kwh", "is no table of zones with equally many slots")
    if document.encode() != data:
        raise WireError("publication", "is not canonical JSON", "write it with CarbonDocument.encode")
    return document
