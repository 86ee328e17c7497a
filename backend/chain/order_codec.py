"""Signed orders as `clearChunk` takes them: groups of one maker's orders under one signature, packed.

A group is maker 20 | total u8 | present u32 | signature length u16 | signature | items, big-endian. Item i
of `total` is the terms of an order (its EIP-712 fields after the maker) where bit i of `present` is set, else
the struct hash of an order that was signed with the others. One order alone is signed as BundleOrder, several
as BundleOrders(BundleOrder[] orders).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coincurve import PrivateKey

from backend.chain.eip712 import Domain, domain_separator, sign_digest, struct_hash, type_string
from backend.chain.errors import FieldError
from backend.chain.keccak import address_bytes, checksum_address, keccak
from backend.chain.orders import FIELDS, BundleOrder

MOST_TOGETHER = 32
"""Orders that one signature covers at most."""
QUEUE_NONCE = 1 << 52
"""First queued nonce: cheaper, sixteen that follow each other open at a time (libraries/OrderWindow.sol)."""
QUEUE_PLACES = 16
_HEAD = struct.Struct(">20sBIH")
_TERMS = struct.Struct(">IQIIHQQQHIIBIQQ")
_ATTRIBUTES = tuple(attribute for _, _, attribute in FIELDS[BundleOrder])[1:]
_HALF = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


@dataclass(frozen=True, slots=True)
class OrderGroup:
    """Orders of one maker under one signature; an item of 32 bytes stands for an order that is not here."""

    maker: str
    signature: bytes
    items: tuple[BundleOrder | bytes, ...]

    @property
    def orders(self) -> tuple[BundleOrder, ...]:
        """The orders that are here."""
        return tuple(item for item in self.items if isinstance(item, BundleOrder))


def compact(signature: bytes) -> bytes:
    """A 65-byte signature of an account in 64 bytes (EIP-2098); anything else as it is."""
    s = int.from_bytes(signature[32:64], "big")
    if len(signature) != 65 or signature[64] not in (27, 28) or s > _HALF:
        return signature
    return signature[:32] + (s | (signature[64] - 27) << 255).to_bytes(32, "big")


def expand(signature: bytes) -> bytes:
    """The 65 bytes r || s || v of a compact signature; anything else as it is."""
    if len(signature) != 64:
        return signature
    word = int.from_bytes(signature[32:], "big")
    return signature[:32] + (word & (1 << 255) - 1).to_bytes(32, "big") + bytes((27 + (word >> 255),))


def pack_groups(groups: Sequence[OrderGroup]) -> bytes:
    """Groups as `clearChunk` takes them; FieldError where makers do not ascend or a value does not fit."""
    parts: list[bytes] = []
    last = b""
    for group in groups:
        maker = address_bytes(group.maker)
        if maker < last:
            raise FieldError("BundleOrder.maker", group.maker, "sort the orders of a chunk by maker")
        last = maker
        parts.append(_pack_group(maker, group))
    return b"".join(parts)


def pack_orders(orders: Sequence[BundleOrder], signatures: Sequence[bytes]) -> bytes:
    """Orders signed one by one, by ascending maker."""
    return pack_groups(
        [
            OrderGroup(order.maker, signature, (order,))
            for order, signature in zip(orders, signatures, strict=True)
        ]
    )


def _pack_group(maker: bytes, group: OrderGroup) -> bytes:
    if not 0 < len(group.items) <= MOST_TOGETHER or not group.orders:
        raise FieldError("orders", len(group.items), f"give 1 to {MOST_TOGETHER} orders, one of them here")
    present = sum(1 << at for at, item in enumerate(group.items) if isinstance(item, BundleOrder))
    signature = compact(group.signature)
    if len(signature) > 0xFFFF:
        raise FieldError("signature", len(signature), "give at most 65535 bytes")
    head = _HEAD.pack(maker, len(group.items), present, len(signature))
    return head + signature + b"".join(_pack_item(item) for item in group.items)


def _pack_item(item: BundleOrder | bytes) -> bytes:
    if isinstance(item, bytes):
        if len(item) != 32:
            raise FieldError("struct hash", item.hex(), "give 32 bytes")
        return item
    struct_hash(item)  # names the field that does not fit
    return _TERMS.pack(*(getattr(item, name) for name in _ATTRIBUTES))


def unpack_groups(data: bytes) -> Iterator[OrderGroup]:
    """The groups of packed orders; raises FieldError where they end inside one."""
    at = 0
    while at < len(data):
        try:
            maker, total, present, size = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            signature, at = data[at : at + size], at + size
            items: list[BundleOrder | bytes] = []
            for number in range(total):
                if present >> number & 1:
                    terms = _TERMS.unpack_from(data, at)
                    items.append(BundleOrder(checksum_address(maker), *terms))
                    at += _TERMS.size
                else:
                    items.append(data[at : at + 32])
                    at += 32
        except struct.error as error:
            raise FieldError("orders", len(data), f"they end inside a group: {error}") from error
        yield OrderGroup(checksum_address(maker), expand(signature), tuple(items))
    if at != len(data):
        raise FieldError("orders", len(data), f"they end inside a group: {at} bytes are needed")


def list_digest(items: Sequence[BundleOrder | bytes], domain: Domain) -> bytes:
    """What one signature for many orders signs: the EIP-712 digest of BundleOrders(BundleOrder[] orders)."""
    type_hash = keccak(b"BundleOrders(BundleOrder[] orders)" + type_string(BundleOrder).encode())
    hashes = b"".join(item if isinstance(item, bytes) else struct_hash(item) for item in items)
    return keccak(b"\x19\x01" + domain_separator(domain) + keccak(type_hash + keccak(hashes)))


def sign_orders(orders: Sequence[BundleOrder], domain: Domain, key: PrivateKey) -> OrderGroup:
    """Orders of one maker under one signature of its key."""
    makers = {order.maker for order in orders}
    if len(makers) != 1 or len(orders) > MOST_TOGETHER:
        raise FieldError("orders", len(orders), f"give up to {MOST_TOGETHER} orders of one maker")
    if len(orders) == 1:
        raise FieldError("orders", 1, "sign one order alone with eip712.sign_order")
    return OrderGroup(orders[0].maker, sign_digest(list_digest(orders, domain), key), tuple(orders))
