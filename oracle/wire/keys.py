"""Hashes and the two kinds of keys: P-256 of devices (ES256, low-s) and secp256k1 of committee members."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import coincurve
import sha3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from oracle.wire.errors import SignatureError, WireError

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_HALF_ORDER = P256_ORDER >> 1
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECP256K1_HALF_ORDER = SECP256K1_ORDER >> 1
_ES256 = ec.ECDSA(hashes.SHA256())
_ES256_SIGN = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_CURVE = ec.SECP256R1()
_HALF_ORDER_BYTES = P256_HALF_ORDER.to_bytes(32, "big")
_DER_HIGH_R, _DER_LOW_R = b"\x30\x45\x02\x21\x00", b"\x30\x44\x02\x20"


def keccak256(data: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it."""
    return sha3.keccak_256(data).digest()


def sha256(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


# --- P-256, devices ----------------------------------------------------------
@dataclass(frozen=True, slots=True)
class DevicePublicKey:
    """A P-256 point, 32 bytes a coordinate; `verify` is the hot path of the oracle."""

    x: bytes
    y: bytes
    _point: ec.EllipticCurvePublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.x) != 32 or len(self.y) != 32:
            raise WireError("key", "a P-256 coordinate has 32 bytes")
        numbers = ec.EllipticCurvePublicNumbers(
            int.from_bytes(self.x, "big"), int.from_bytes(self.y, "big"), _CURVE
        )
        try:
            object.__setattr__(self, "_point", numbers.public_key())
        except ValueError:
            raise WireError("key", "the point is not on P-256") from None

    @property
    def key_id(self) -> bytes:
        """keccak256(x || y), 32 bytes."""
        return keccak256(self.x + self.y)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` (r || s, 64 bytes, low-s) is this key's ES256 signature of `message`."""
        r, s = signature[:32], signature[32:]
        if len(signature) != 64 or s > _HALF_ORDER_BYTES:
            return False
        if r[0] and s[0]:  # the usual case: DER with both integers in full length
            der = (_DER_HIGH_R if r[0] > 127 else _DER_LOW_R) + r + b"\x02\x20" + s
        else:
            der = _der(signature)
        try:
            self._point.verify(der, message, _ES256)
        except (InvalidSignature, ValueError):
            return False
        return True


def _der_integer(word: bytes) -> bytes:
    digits = word.lstrip(b"\0") or b"\0"
    if digits[0] & 0x80:
        digits = b"\0" + digits
    return bytes((2, len(digits))) + digits


def _der(signature: bytes) -> bytes:
    body = _der_integer(signature[:32]) + _der_integer(signature[32:])
    return bytes((0x30, len(body))) + body


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A device's private P-256 key; signatures are deterministic (RFC 6979) and low-s."""

    secret: int = field(repr=False)
    public: DevicePublicKey = field(init=False)
    _private: ec.EllipticCurvePrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.secret < P256_ORDER:
            raise WireError("key", "a P-256 secret lies between 1 and the group order")
        private = ec.derive_private_key(self.secret, _CURVE)
        numbers = private.public_key().public_numbers()
        object.__setattr__(self, "_private", private)
        object.__setattr__(
            self, "public", DevicePublicKey(numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"))
        )

    @classmethod
    def from_seed(cls, seed: bytes) -> DeviceKey:
        """A key derived from `seed`, for test vectors and reproducible demo days."""
        wide = hashlib.sha512(b"bitwatt/device-key/1" + seed).digest()
        return cls(int.from_bytes(wide, "big") % (P256_ORDER - 1) + 1)

    def sign(self, message: bytes) -> bytes:
        """ES256 signature r || s, 64 bytes, low-s."""
        r, s = decode_dss_signature(self._private.sign(message, _ES256_SIGN))
        if s > P256_HALF_ORDER:
            s = P256_ORDER - s
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


# --- secp256k1, committee members ---------------------------------------------
def address_of(secret: bytes) -> str:
    """The account address (lower-case 0x hex) of a 32-byte secp256k1 secret."""
    return _address(coincurve.PrivateKey(secret).public_key)


def _address(key: coincurve.PublicKey) -> str:
    return "0x" + keccak256(key.format(compressed=False)[1:])[12:].hex()


def sign_digest(secret: bytes, digest: bytes) -> bytes:
    """65-byte signature r || s || v (v is 27 or 28, low-s) of a 32-byte digest."""
    raw = coincurve.PrivateKey(secret).sign_recoverable(digest, hasher=None)
    return raw[:64] + bytes((raw[64] + 27,))


def recover(digest: bytes, signature: bytes) -> str:
    """The address whose key signed `digest`; raises SignatureError when malformed or malleable."""
    if len(signature) != 65:
        raise SignatureError("signature", f"{len(signature)} bytes where 65 are due")
    if signature[64] not in (27, 28):
        raise SignatureError("signature", f"recovery byte {signature[64]} is neither 27 nor 28")
    if int.from_bytes(signature[32:64], "big") > SECP256K1_HALF_ORDER:
        raise SignatureError("signature", "s is in the upper half of the group order")
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            signature[:64] + bytes((signature[64] - 27,)), digest, hasher=None
        )
    except ValueError:
        raise SignatureError("signature", "no key made this signature") from None
    return _address(key)


def join_signatures(digest: bytes, signatures: list[bytes]) -> bytes:
    """Signatures of distinct members concatenated in ascending signer order, as the contracts take them."""
    by_signer = {recover(digest, signature): signature for signature in signatures}
    return b"".join(by_signer[signer] for signer in sorted(by_signer))
