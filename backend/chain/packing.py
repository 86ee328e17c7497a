"""Big-endian byte layouts of what the market posts on chain: prices, carbon, runs, sold rows, profiles.

Everything is numpy in, bytes out, and back; a value that does not fit its field raises FieldError.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.chain.errors import FieldError
from backend.chain.keccak import checksum_address, keccak

PART_BYTES = 24_000
"""Largest part that `postPrices` takes."""

IntArray = NDArray[np.int64]

# 13 bytes a run: orderIdx | offerIdx | mode | startSlot | endSlot (exclusive) | lanes
RUN_DTYPE = np.dtype(
    [("order", ">u2"), ("offer", ">u2"), ("mode", "u1"), ("start", ">u2"), ("end", ">u2"), ("lanes", ">u4")]
)
PROFILE_DTYPE = np.dtype([("wh", ">u4"), ("ask", ">i4")])
OUTCOME_DTYPE = np.dtype([("delivered_milli_lanes", ">u4"), ("matched_wh", ">u4")])


def _pack(field: str, values: NDArray[np.integer[Any]] | list[int], dtype: str) -> bytes:
    """`values` as big-endian `dtype`; raises FieldError with the first value that does not fit."""
    array = np.asarray(values)
    target = np.dtype(dtype)
    if array.size == 0:
        return b""
    if not np.issubdtype(array.dtype, np.integer):
        raise FieldError(field, array.dtype, "give integers")
    info = np.iinfo(target)
    outside = (array < info.min) | (array > info.max)
    if outside.any():
        raise FieldError(field, int(array[outside].flat[0]), f"give {info.min} to {info.max}")
    return np.ascontiguousarray(array, dtype=target).tobytes()


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Everything one batch posts, per class k, zone z, mode m and slot t.

    `compute_price` [k][z][m][t] micro-units per VCU-slot; `energy_price` [z][m][t] micro-units per kWh
    (signed); `grid_carbon` and `green_factor` [z][t] g/kWh.
    """

    compute_price: IntArray
    energy_price: IntArray
    grid_carbon: IntArray
    green_factor: IntArray


def pack_carbon(grid_carbon: IntArray) -> bytes:
    """The grid-carbon section (uint16 [zone][slot], g/kWh) whose hash the committee publishes."""
    return _pack("grid carbon", grid_carbon, ">u2")


def pack_prices(table: PriceTable) -> bytes:
    """The whole table: compute price uint32, energy price int32, grid carbon uint16, green factor uint16."""
    zones, modes, slots = table.energy_price.shape
    if table.compute_price.shape[1:] != (zones, modes, slots) or modes != 2:
        raise FieldError("compute price", table.compute_price.shape, f"give [class][{zones}][2][{slots}]")
    for field, part in (("grid carbon", table.grid_carbon), ("green factor", table.green_factor)):
        if part.shape != (zones, slots):
            raise FieldError(field, part.shape, f"give [{zones}][{slots}]")
    return (
        _pack("compute price", table.compute_price, ">u4")
        + _pack("energy price", table.energy_price, ">i4")
        + pack_carbon(table.grid_carbon)
        + _pack("green factor", table.green_factor, ">u2")
    )


def unpack_prices(data: bytes, classes: int, zones: int, slots: int) -> PriceTable:
    """The table that `pack_prices` made; raises FieldError when the length does not fit."""
    sizes = [classes * zones * 2 * slots * 4, zones * 2 * slots * 4, zones * slots * 2, zones * slots * 2]
    if len(data) != sum(sizes):
        raise FieldError("price table", len(data), f"give {sum(sizes)} bytes")
    cuts = np.cumsum([0, *sizes])
    parts = [data[a:b] for a, b in pairwise(cuts)]

    def read(part: bytes, dtype: str, *shape: int) -> IntArray:
        return np.frombuffer(part, dtype=dtype).astype(np.int64).reshape(shape)

    return PriceTable(
        read(parts[0], ">u4", classes, zones, 2, slots),
        read(parts[1], ">i4", zones, 2, slots),
        read(parts[2], ">u2", zones, slots),
        read(parts[3], ">u2", zones, slots),
    )


def split_parts(data: bytes, size: int = PART_BYTES) -> list[bytes]:
    """`data` cut into parts of at most `size` bytes, in order."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def publication_hash(start: int, slot_seconds: int, slots: int, zones: int, carbon: bytes) -> bytes:
    """What the committee publishes for a batch.

    keccak256(abi.encode(start, slotSeconds, slots, zones, keccak256(carbon))).
    """
    words = b"".join(value.to_bytes(32, "big") for value in (start, slot_seconds, slots, zones))
    return keccak(words + keccak(carbon))


def pack_runs(runs: list[tuple[int, int, int, int, int, int]]) -> bytes:
    """Runs (orderIdx, offerIdx, mode, startSlot, endSlot, lanes) of a chunk, 13 bytes each, in order."""
    if not runs:
        return b""
    array = np.asarray(runs, dtype=np.int64)
    packed = np.empty(len(runs), dtype=RUN_DTYPE)
    for column, name in enumerate(RUN_DTYPE.names or ()):
        info = np.iinfo(RUN_DTYPE[name])
        values = array[:, column]
        outside = (values < 0) | (values > info.max)
        if outside.any():
            raise FieldError(f"run.{name}", int(values[outside][0]), f"give 0 to {info.max}")
        packed[name] = values
    return packed.tobytes()


def unpack_runs(data: bytes) -> list[tuple[int, int, int, int, int, int]]:
    """The runs that `pack_runs` packed."""
    if len(data) % RUN_DTYPE.itemsize:
        raise FieldError("runs", len(data), f"give a multiple of {RUN_DTYPE.itemsize} bytes")
    return [tuple(int(value) for value in row) for row in np.frombuffer(data, dtype=RUN_DTYPE)]  # type: ignore[misc]


def pack_sold(sold_wh: IntArray) -> bytes:
    """One offer's sold Wh per batch slot (uint32)."""
    return _pack("sold Wh", sold_wh, ">u4")


def unpack_sold(data: bytes) -> IntArray:
    """Sold Wh per slot."""
    return np.frombuffer(data, dtype=">u4").astype(np.int64)


def pack_profile(wh: IntArray, ask_micro_per_kwh: IntArray) -> bytes:
    """A power offer's profile [slot][tranche] of (uint32 Wh, int32 ask micro-units per kWh)."""
    if wh.shape != ask_micro_per_kwh.shape or wh.ndim != 2:
        raise FieldError("profile", (wh.shape, ask_micro_per_kwh.shape), "give two [slot][tranche] arrays")
    packed = np.empty(wh.shape, dtype=PROFILE_DTYPE)
    for name, values in (("wh", wh), ("ask", ask_micro_per_kwh)):
        info = np.iinfo(PROFILE_DTYPE[name])
        outside = (values < info.min) | (values > info.max)
        if outside.any():
            first = int(values[outside].flat[0])
            raise FieldError(f"profile.{name}", first, f"give {info.min} to {info.max}")
        packed[name] = values
    return packed.tobytes()


def unpack_profile(data: bytes, tranches: int) -> tuple[IntArray, IntArray]:
    """The two [slot][tranche] arrays (Wh, ask) of a profile."""
    if tranches < 1 or len(data) % (PROFILE_DTYPE.itemsize * tranches):
        size = PROFILE_DTYPE.itemsize * max(tranches, 1)
        raise FieldError("profile", len(data), f"give a multiple of {size} bytes")
    table = np.frombuffer(data, dtype=PROFILE_DTYPE).reshape(-1, tranches)
    return table["wh"].astype(np.int64), table["ask"].astype(np.int64)


def agreement_id(batch_id: int, chunk_index: int, run_index: int) -> int:
    """The agreement of one run: batchId << 64 | chunkIndex << 32 | runIndex."""
    parts = (("batchId", batch_id, 64), ("chunkIndex", chunk_index, 32), ("runIndex", run_index, 32))
    for field, value, bits in parts:
        if not 0 <= value < 1 << bits:
            raise FieldError(field, value, f"give 0 to 2^{bits} - 1")
    return batch_id << 64 | chunk_index << 32 | run_index


def certificate_id(kind: int, timestamp: int, zone_id: int, source: int, issuer: str) -> int:
    """Id of certificates (kind 1, Wh) or credits (kind 2, g; source 0) of the UTC month of `timestamp`.

    Bits, high to low: kind 8 | year * 100 + month 24 | zone 16 | source 8 | zero 40 | issuer 160.
    """
    month = datetime.fromtimestamp(timestamp, UTC)
    stamp = month.year * 100 + month.month
    return kind << 248 | stamp << 224 | zone_id << 208 | source << 200 | int(issuer, 16)


def credit_key(timestamp: int, zone_id: int) -> int:
    """Key of the credits of a zone in the UTC month of `timestamp`: zone << 12 | months since 1970."""
    month = datetime.fromtimestamp(timestamp, UTC)
    return zone_id << 12 | (month.year - 1970) * 12 + month.month - 1


def split_agreement_id(agreement: int) -> tuple[int, int, int]:
    """(batchId, chunkIndex, runIndex) of an agreement."""
    return agreement >> 64, agreement >> 32 & 0xFFFFFFFF, agreement & 0xFFFFFFFF


def unpack_makers(data: bytes) -> list[str]:
    """Makers of a chunk, 20 bytes each."""
    return [checksum_address(data[at : at + 20]) for at in range(0, len(data), 20)]


def unpack_fills(data: bytes) -> list[tuple[int, int]]:
    """(lanes filled, cost in micro-units) of each order of a chunk, 12 bytes each."""
    return [(lanes, cost) for lanes, cost in struct.iter_unpack(">IQ", data)]


def unpack_locked(data: bytes) -> list[tuple[str, int]]:
    """(account, micro-units locked) of an event Locked, 28 bytes each."""
    return [(checksum_address(account), cost) for account, cost in struct.iter_unpack(">20sQ", data)]


def unpack_settled(data: bytes) -> list[tuple[str, int, int, int, int]]:
    """(account, available, locked, credit key, mg earned) of an event Settled; micro-units, signed."""
    return [
        (checksum_address(account), available, locked, credit >> 40, credit & (1 << 40) - 1)
        for account, available, locked, credit in struct.iter_unpack(">20sqqQ", data)
    ]
