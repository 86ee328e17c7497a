"""What binds a quote to a device key: the report data every kind of evidence carries."""

from __future__ import annotations

from oracle.wire.errors import WireError
from oracle.wire.keys import sha256

TAG = b"bitwatt/device/1"
NONCE_BYTES = 32


def report_data(x: bytes, y: bytes, nonce: bytes, meter_id: int) -> bytes:
    """SHA-256(tag || x || y || nonce || meterId as uint32 big-endian), 32 bytes.

    A 64-byte report-data field carries it first and zeros after it.
    """
    if len(x) != 32 or len(y) != 32:
        raise WireError("key", "a P-256 coordinate has 32 bytes")
    if len(nonce) != NONCE_BYTES:
        raise WireError("nonce", f"{len(nonce)} bytes where {NONCE_BYTES} are due")
    if not 0 < meter_id < 1 << 32:
        raise WireError("meter_id", f"{meter_id} is no meter")
    return sha256(TAG + x + y + nonce + meter_id.to_bytes(4, "big"))
