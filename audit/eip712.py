"""EIP-712 hashing of flat structs, and who signed a digest (secp256k1 recovery, low s only)."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import coincurve
import sha3

HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"

BUNDLE_ORDER = (
    "BundleOrder(address maker,uint32 classId,uint64 zoneMask,uint32 lanes,uint32 minLanes,"
    "uint16 durationSlots,uint64 start,uint64 deadline,uint64 limitPrice,uint16 minGreenBps,"
    "uint32 maxCarbon,uint32 carbonPrice,uint8 kind,uint32 epoch,uint64 nonce,uint64 expiry)"
)
COMPUTE_OFFER = (
    "ComputeOffer(address maker,uint32 siteId,uint32 classId,uint32 zoneId,uint32 capacity,"
    "uint32 energyWhPerVcuSlot,uint64 askPrice,uint64 start,uint64 end,uint32 epoch,uint64 nonce,"
    "uint64 expiry)"
)
POWER_OFFER = (
    "PowerOffer(address maker,uint32 plantId,uint32 zoneId,uint8 source,uint8 tranches,uint64 start,"
    "uint16 slots,bytes32 profileHash,uint32 epoch,uint64 nonce,uint64 expiry)"
)
STRUCTS = {"order": BUNDLE_ORDER, "compute offer": COMPUTE_OFFER, "power offer": POWER_OFFER}
RULING = "Ruling(bytes32 feedId,uint64 start,bytes32 reportHash,bool upheld,bytes32 configDigest)"


def keccak(data: bytes) -> bytes:
    """Keccak-256."""
    return bytes(sha3.keccak_256(data).digest())


@functools.cache
def _fields(struct: str) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    inner = struct[struct.index("(") + 1 : -1]
    pairs = tuple((part.split(" ")[1], part.split(" ")[0]) for part in inner.split(","))
    return keccak(struct.encode()), pairs


def word(kind: str, value: object) -> bytes:
    """One 32-byte EIP-712 word of an elementary type, or the hash of a static array."""
    if kind.endswith("]"):
        base = kind[: kind.index("[")]
        return keccak(b"".join(word(base, item) for item in value))  # type: ignore[attr-defined]
    if kind == "bytes32":
        assert isinstance(value, bytes)
        return value.ljust(32, b"\0")
    if kind == "address":
        return bytes.fromhex(str(value)[2:]).rjust(32, b"\0")
    number = int(value)  # type: ignore[call-overload]
    return (number % (1 << 256)).to_bytes(32, "big")


def struct_hash(struct: str, values: Mapping[str, object]) -> bytes:
    """hashStruct of a flat struct given its type string and its values by field name."""
    type_hash, fields = _fields(struct)
    parts = [type_hash]
    for name, kind in fields:
        value = values[name]
        plain = type(value) is int and value >= 0
        parts.append(value.to_bytes(32, "big") if plain else word(kind, value))  # type: ignore[attr-defined]
    return keccak(b"".join(parts))


@functools.cache
def domain_separator(name: str, version: str, chain_id: int, contract: str) -> bytes:
    """The EIP-712 domain separator."""
    return keccak(
        keccak(DOMAIN.encode())
        + keccak(name.encode())
        + keccak(version.encode())
        + word("uint256", chain_id)
        + word("address", contract)
    )


def digest(separator: bytes, hashed: bytes) -> bytes:
    """What the wallet signs."""
    return keccak(b"\x19\x01" + separator + hashed)


@functools.lru_cache(maxsize=1 << 18)
def recover(message: bytes, signature: bytes) -> str | None:
    """Lower-case address that signed `message`, or None for a malformed or malleable signature."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    if int.from_bytes(signature[32:64], "big") > HALF_ORDER:
        return None
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            signature[:64] + bytes([signature[64] - 27]), message, hasher=None
        )
    except Exception:  # coincurve raises a bare Exception where no point fits the signature
        return None
    return "0x" + keccak(key.format(compressed=False)[1:])[12:].hex()
