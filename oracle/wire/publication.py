"""The carbon table the committee publishes before a batch, and the hash the market checks it by."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from oracle.wire.errors import WireError
from oracle.wire.keys import keccak256
from oracle.wire.typed import uint_word

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
