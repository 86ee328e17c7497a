"""Keccak-256, addresses and hex."""

from __future__ import annotations

from functools import lru_cache

import sha3

from backend.chain.errors import FieldError


def keccak(data: bytes) -> bytes:
    """Keccak-256 of `data` (32 bytes)."""
    return sha3.keccak_256(data).digest()


def hex0x(data: bytes) -> str:
    """`data` as lower-case hex with 0x."""
    return "0x" + data.hex()


def unhex(text: str) -> bytes:
    """Bytes of a hex string with or without 0x."""
    return bytes.fromhex(text[2:] if text[:2] in ("0x", "0X") else text)


@lru_cache(maxsize=65_536)
def checksum_address(address: bytes | str) -> str:
    """EIP-55 form of an address given as 20 bytes or hex.

    Raises FieldError when it is not 20 bytes long.
    """
    try:
        raw = address if isinstance(address, bytes) else unhex(address)
    except ValueError as error:
        raise FieldError("address", address, "give 0x and 40 hex digits") from error
    if len(raw) != 20:
        raise FieldError("address", address, "give 0x and 40 hex digits")
    digits = raw.hex()
    mask = keccak(digits.encode()).hex()
    return "0x" + "".join(c.upper() if int(m, 16) >= 8 else c for c, m in zip(digits, mask, strict=False))


def address_bytes(address: str) -> bytes:
    """The 20 bytes of a hex address; raises FieldError when it is malformed."""
    try:
        raw = unhex(address)
    except ValueError as error:
        raise FieldError("address", address, "give 0x and 40 hex digits") from error
    if len(raw) != 20:
        raise FieldError("address", address, "give 0x and 40 hex digits")
    return raw


def create_address(sender: str, nonce: int) -> str:
    """Address of the contract that `sender` creates with transaction number `nonce`."""
    import rlp

    return checksum_address(keccak(rlp.encode([address_bytes(sender), nonce]))[12:])
