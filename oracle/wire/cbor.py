"""Deterministic CBOR (RFC 8949 section 4.2), only what the wire format uses.

Unsigned integers below 2**64, byte strings, text, arrays, and maps with integer keys in rising order.
Everything else, and every second way to write the same value, is refused, so that one value has one hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from oracle.wire.errors import NotCanonicalError, TruncatedError, WireError

Value = int | bytes | str | Sequence["Value"] | Mapping[int, "Value"]
MAX_DEPTH = 8


def head(major: int, argument: int) -> bytes:
    """The initial bytes of an item: major type 0..7 and its argument, in the shortest form."""
    if argument < 24:
        return bytes((major << 5 | argument,))
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * size):
            return bytes((major << 5 | extra,)) + argument.to_bytes(size, "big")
    raise WireError("cbor", f"{argument} does not fit in 64 bits")


def encode(value: Value) -> bytes:
    """The deterministic encoding of `value`; raises WireError for a type or size it does not have."""
    if isinstance(value, bool):
        raise WireError("cbor", "a boolean has no place in the wire format")
    if isinstance(value, int):
        if value < 0:
            raise WireError("cbor", f"{value} is negative")
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return head(3, len(text)) + text
    if isinstance(value, Mapping):
        parts = [head(5, len(value))]
        for key in sorted(value):
            parts += (encode(key), encode(value[key]))
        return b"".join(parts)
    return head(4, len(value)) + b"".join([encode(item) for item in value])


def read_head(data: bytes, at: int) -> tuple[int, int, int]:
    """Major type, argument and next offset of the item at `at`; refuses longer than shortest forms."""
    try:
        first = data[at]
        major, low = first >> 5, first & 31
        if low < 24:
            return major, low, at + 1
        if low > 27:
            raise NotCanonicalError("cbor", f"initial byte 0x{first:02x} at offset {at} is not allowed")
        size = 1 << (low - 24)
        stop = at + 1 + size
        if stop > len(data):
            raise IndexError
        argument = int.from_bytes(data[at + 1 : stop], "big")
    except IndexError:
        raise TruncatedError("cbor", f"the data ends inside the item at offset {at}") from None
    if argument < (24 if size == 1 else 1 << (4 * size)):
        raise NotCanonicalError("cbor", f"{argument} at offset {at} is not in its shortest form")
    return major, argument, stop


def read_item(data: bytes, at: int, depth: int = 0) -> tuple[Value, int]:
    """The item at `at` and the offset behind it."""
    if depth > MAX_DEPTH:
        raise WireError("cbor", f"nested deeper than {MAX_DEPTH}")
    major, argument, at = read_head(data, at)
    if major == 0:
        return argument, at
    if major in (2, 3):
        stop = at + argument
        if stop > len(data):
            raise TruncatedError("cbor", f"a string of {argument} bytes at offset {at} runs past the end")
        if major == 2:
            return data[at:stop], stop
        try:
            return data[at:stop].decode(), stop
        except UnicodeDecodeError:
            raise WireError("cbor", f"the text at offset {at} is not UTF-8") from None
    if argument > len(data) - at:
        raise TruncatedError("cbor", f"{argument} items at offset {at} cannot fit in what is left")
    if major == 4:
        items: list[Value] = []
        for _ in range(argument):
            item, at = read_item(data, at, depth + 1)
            items.append(item)
        return items, at
    if major == 5:
        table: dict[int, Value] = {}
        last = -1
        for _ in range(argument):
            key, at = read_item(data, at, depth + 1)
            if not isinstance(key, int) or key <= last:
                raise NotCanonicalError("cbor", f"map key {key!r} is not an integer in rising order")
            table[key], at = read_item(data, at, depth + 1)
            last = key
        return table, at
    raise WireError("cbor", f"major type {major} has no place in the wire format")


def decode(data: bytes) -> Value:
    """The one value in `data`; raises WireError when it is not exactly one deterministic item."""
    value, at = read_item(data, 0)
    if at != len(data):
        raise WireError("cbor", f"{len(data) - at} bytes follow the value")
    return value
