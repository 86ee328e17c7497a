"""Readings: what a device signs, its envelope, and its leaf in the tree."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import cbor2

from oracle.wire.cbor import head, read_head
from oracle.wire.errors import NotCanonicalError, SignatureError, TruncatedError, WireError
from oracle.wire.keys import DeviceKey, DevicePublicKey, keccak256, sha256

DOMAIN = "bitwatt/reading/1"
NO_AGREEMENT = bytes(32)
MAX_MESSAGE_BYTES = 8 << 20
_LEAST_ENVELOPE = 68
"""Array head, empty payload, signature: fewer bytes hold no envelope."""


class Kind(IntEnum):
    """What a reading measures; the quantity is mWh, for COMPUTE resource-milliseconds."""

    GENERATION = 1
    SITE_IMPORT = 2
    JOB_IT_ENERGY = 3
    COMPUTE = 4
    STORAGE_CHARGE = 5
    STORAGE_DISCHARGE = 6
    FLEXIBILITY = 7


class Quality(IntEnum):
    """How the value came about; only ACTUAL earns certificates, credits or money."""

    ACTUAL = 0
    ESTIMATED = 1
    SUBSTITUTED = 2
    MISSING = 3
    EDITED = 4


class Reading(NamedTuple):
    """One interval value of one meter.

    Times are unix seconds, `quantity` and `register` mWh or resource-milliseconds; `register` is the running
    sum of the quantities of (meter, kind, agreement) including this one; `seq` rises by one per reading of
    the meter.
    """

    chain_id: int
    meter_id: int
    kind: int
    agreement_id: bytes
    seq: int
    start: int
    end: int
    quantity: int
    register: int
    quality: int = 0

    def check(self) -> None:
        """Raises WireError naming the first field that no reading may have."""
        for name, limit in _LIMITS:
            value = getattr(self, name)
            if not 0 <= value < limit:
                raise WireError(f"reading.{name}", f"{value} is outside 0..{limit - 1}")
        if len(self.agreement_id) != 32:
            raise WireError("reading.agreement_id", f"{len(self.agreement_id)} bytes where 32 are due")
        if not 1 <= self.kind <= 7:
            raise WireError("reading.kind", f"{self.kind} is not a kind", "kinds are 1 to 7")
        if self.meter_id == 0:
            raise WireError("reading.meter_id", "0 is no meter")
        if self.quality > 4:
            raise WireError("reading.quality", f"{self.quality} is not a quality", "qualities are 0 to 4")
        if self.end <= self.start:
            raise WireError("reading.end", f"the interval [{self.start}, {self.end}) is empty")
        if self.register < self.quantity:
            raise WireError(
                "reading.register", f"{self.register} is below the quantity {self.quantity} it includes"
            )


_U64 = 1 << 64
_LIMITS = (
    ("chain_id", _U64),
    ("meter_id", 1 << 32),
    ("seq", _U64),
    ("start", _U64),
    ("end", _U64),
    ("quantity", _U64),
    ("register", _U64),
    ("quality", 256),
)
_PREFIX = head(5, 11) + b"\x00" + head(3, len(DOMAIN)) + DOMAIN.encode()


def encode_reading(reading: Reading) -> bytes:
    """The payload a device signs: deterministic CBOR of the reading."""
    reading.check()
    return b"".join(
        (
            _PREFIX,
            b"\x01" + head(0, reading.chain_id),
            b"\x02" + head(0, reading.meter_id),
            b"\x03" + head(0, reading.kind),
            b"\x04\x58\x20" + reading.agreement_id,
            b"\x05" + head(0, reading.seq),
            b"\x06" + head(0, reading.start),
            b"\x07" + head(0, reading.end),
            b"\x08" + head(0, reading.quantity),
            b"\x09" + head(0, reading.register),
            b"\x0a" + head(0, reading.quality),
        )
    )


_UINT = (
    rb"(?:[\x00-\x17]|\x18[\x18-\xff]|\x19(?!\x00)..|\x1a(?!\x00\x00)....|\x1b(?!\x00\x00\x00\x00)........)"
)
_UINTS_BEFORE = b"".join(bytes((key,)) + _UINT for key in range(1, 4))
_UINTS_AFTER = b"".join(re.escape(bytes((key,))) + _UINT for key in range(5, 11))
_CANONICAL = re.compile(
    re.escape(_PREFIX) + _UINTS_BEFORE + rb"\x04\x58\x20.{32}" + _UINTS_AFTER, re.DOTALL
).fullmatch
_loads = cbor2.loads


def decode_reading(payload: bytes) -> Reading:
    """The reading in `payload`; raises WireError unless it is its one deterministic encoding."""
    if _CANONICAL(payload) is None:
        raise _not_canonical(payload)
    _, *values = _loads(payload).values()
    reading = Reading._make(values)
    meter_id, kind, _, _, start, end, quantity, register, quality = values[1:]
    if not (0 < meter_id < 1 << 32 and 0 < kind < 8 and quality < 5 and start < end and quantity <= register):
        reading.check()
    return reading


def _not_canonical(payload: bytes) -> WireError:
    """Why bytes are not the one encoding of a reading."""
    at = len(_PREFIX)
    if payload[:at] != _PREFIX:
        if _PREFIX.startswith(payload):
            return TruncatedError("reading", "the data ends inside the domain tag")
        return WireError("reading", f"does not begin as a {DOMAIN!r} map of 11 entries")
    for key in range(1, 11):
        if at >= len(payload):
            return TruncatedError("reading", f"the data ends before key {key}")
        if payload[at] != key:
            return NotCanonicalError("reading", f"key {key} is due at offset {at}")
        try:
            major, argument, after = read_head(payload, at + 1)
        except TruncatedError:
            return TruncatedError("reading", f"the data ends inside key {key}")
        except NotCanonicalError:
            return NotCanonicalError("reading", f"key {key} is not in its shortest form")
        if key == 4:
            if (major, argument) != (2, 32):
                return WireError("reading.agreement_id", "key 4 holds no byte string of 32 bytes")
            after += argument
        elif major != 0:
            return WireError("reading", f"key {key} holds no unsigned integer")
        at = after
    if at > len(payload):
        return TruncatedError("reading", "the data ends inside key 4")
    return WireError("reading", f"{len(payload) - at} bytes follow the reading")


# --- envelopes ------------------------------------------------------------------
class Envelope(NamedTuple):
    """A payload and the device's signature over it (r || s, 64 bytes, low-s)."""

    payload: bytes
    signature: bytes

    @property
    def payload_hash(self) -> bytes:
        """sha256 of the payload."""
        return sha256(self.payload)


def seal(key: DeviceKey, reading: Reading) -> Envelope:
    """The signed envelope of `reading`."""
    payload = encode_reading(reading)
    return Envelope(payload, key.sign(payload))


def open_envelope(envelope: Envelope, key: DevicePublicKey) -> Reading:
    """The reading in the envelope; raises SignatureError unless `key` signed it, WireError when malformed."""
    if not key.verify(envelope.payload, envelope.signature):
        raise SignatureError(
            "envelope.signature", "is not the registered key's low-s signature of the payload"
        )
    return decode_reading(envelope.payload)


def encode_envelope(envelope: Envelope) -> bytes:
    """CBOR [payload, signature]."""
    return b"".join(
        (b"\x82", head(2, len(envelope.payload)), envelope.payload, b"\x58\x40", envelope.signature)
    )


def encode_envelopes(envelopes: Iterable[Envelope]) -> bytes:
    """The body of POST /readings: a CBOR array of envelopes."""
    items = [encode_envelope(envelope) for envelope in envelopes]
    return head(4, len(items)) + b"".join(items)


def decode_envelopes(body: bytes) -> list[Envelope]:
    """The envelopes in a POST body; raises WireError when the array itself cannot be read.

    The payloads are not looked into: one bad reading does not spoil its neighbours.
    """
    if len(body) > MAX_MESSAGE_BYTES:
        raise WireError("body", f"{len(body)} bytes", f"send at most {MAX_MESSAGE_BYTES} a message")
    major, count, at = read_head(body, 0)
    if major != 4:
        raise WireError("body", "is not a CBOR array of envelopes")
    if count > len(body) // _LEAST_ENVELOPE:
        raise TruncatedError("body", f"{count} envelopes cannot fit in {len(body)} bytes")
    envelopes = []
    for _ in range(count):
        size = body[at + 2 : at + 3]
        if body[at : at + 2] == b"\x82\x58" and size > b"\x17":  # a payload of 24 to 255 bytes
            stop = at + 3 + size[0]
            if body[stop : stop + 2] == b"\x58\x40" and stop + 66 <= len(body):
                envelopes.append(Envelope(body[at + 3 : stop], body[stop + 2 : stop + 66]))
                at = stop + 66
                continue
        envelope, at = _read_envelope(body, at)
        envelopes.append(envelope)
    if at != len(body):
        raise WireError("body", f"{len(body) - at} bytes follow the array")
    return envelopes


def decode_envelope(data: bytes) -> Envelope:
    """The one envelope in `data`."""
    envelope, at = _read_envelope(data, 0)
    if at != len(data):
        raise WireError("envelope", f"{len(data) - at} bytes follow the envelope")
    return envelope


def _read_envelope(data: bytes, at: int) -> tuple[Envelope, int]:
    if data[at : at + 1] != b"\x82":
        if at >= len(data):
            raise TruncatedError("envelope", f"the data ends at offset {at}")
        raise WireError("envelope", f"no array of two at offset {at}")
    major, size, at = read_head(data, at + 1)
    stop = at + size
    if major != 2:
        raise WireError("envelope.payload", "is no byte string")
    if stop + 66 > len(data):
        raise TruncatedError("envelope", f"the data ends inside the envelope at offset {at}")
    if data[stop : stop + 2] != b"\x58\x40":
        raise WireError("envelope.signature", "is no byte string of 64 bytes")
    return Envelope(data[at:stop], data[stop + 2 : stop + 66]), stop + 66


# --- leaves ---------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Leaf:
    """A reading as the committee reports it: 12 static words on chain.

    `quality` is the committee's verdict, never better than the device's own.
    """

    reading: Reading
    quality: int
    key_id: bytes
    evidence_hash: bytes
    payload_hash: bytes

    def encode(self) -> bytes:
        """abi.encode of the twelve words, 384 bytes."""
        reading = self.reading
        words = (
            reading.kind,
            reading.meter_id,
            int.from_bytes(reading.agreement_id, "big"),
            reading.seq,
            reading.start,
            reading.end,
            reading.quantity,
            reading.register,
            self.quality,
        )
        parts = [word.to_bytes(32, "big") for word in words]
        parts += (self.key_id, self.evidence_hash, self.payload_hash)
        return b"".join(parts)

    def hash(self) -> bytes:
        """The double keccak that stands in the tree."""
        return keccak256(keccak256(self.encode()))
