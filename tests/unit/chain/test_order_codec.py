"""Packed orders: round trip, one signature for many, what is refused; the auditor reads the same."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from coincurve import PrivateKey

from audit.abi import Call
from audit.packed import spell_out_call
from backend.chain.eip712 import Domain, address_of, order_digest, recover, sign_order, struct_hash
from backend.chain.errors import FieldError
from backend.chain.order_codec import (
    OrderGroup,
    compact,
    expand,
    list_digest,
    pack_groups,
    pack_orders,
    sign_orders,
    unpack_groups,
)
from backend.chain.orders import BundleOrder

DOMAIN = Domain(31337, "0x" + "11" * 20)
KEYS = sorted(
    (PrivateKey(bytes([7] * 31 + [n])) for n in range(1, 4)), key=lambda k: address_of(k.public_key).lower()
)


def order(key: PrivateKey, nonce: int = 0) -> BundleOrder:
    maker = address_of(key.public_key)
    return BundleOrder(maker, 1, 7, 30, 2, 4, 900, 9_000, 10**9, 5_000, 0xFFFFFFFF, 3, 2, 0, nonce, 10_000)


def test_orders_come_back_with_their_signatures() -> None:
    orders = [order(key) for key in KEYS]
    signatures = [sign_order(item, DOMAIN, key) for item, key in zip(orders, KEYS, strict=True)]
    groups = list(unpack_groups(pack_orders(orders, signatures)))
    assert [group.orders for group in groups] == [(item,) for item in orders]
    assert [group.signature for group in groups] == signatures
    for item, group in zip(orders, groups, strict=True):
        assert recover(order_digest(item, DOMAIN), group.signature) == item.maker


def test_one_signature_covers_many_orders_some_of_them_elsewhere() -> None:
    orders = [order(KEYS[0], nonce) for nonce in range(3)]
    group = sign_orders(orders, DOMAIN, KEYS[0])
    shown = replace(group, items=(orders[0], struct_hash(orders[1]), orders[2]))
    (found,) = unpack_groups(pack_groups([shown]))
    assert found == shown
    assert recover(list_digest(found.items, DOMAIN), found.signature) == orders[0].maker


def test_the_auditor_reads_the_same_orders() -> None:
    orders = [order(KEYS[0], nonce) for nonce in range(3)]
    group = sign_orders(orders, DOMAIN, KEYS[0])
    last = order(KEYS[2])
    alone = OrderGroup(last.maker, sign_order(last, DOMAIN, KEYS[2]), (last,))
    data = pack_groups([group, alone])
    call = spell_out_call(
        Call("BundleMarket", "clearChunk", {"batchId": 1, "orders": data, "runs": b""}, "", 1, "0x")
    )
    assert [list(terms.values())[1:] for terms in call.args["orders"]] == [
        list(asdict(item).values())[1:] for item in (*orders, last)
    ]
    assert call.args["sigs"] == (group.signature,) * 3 + (alone.signature,)
    assert call.args["signed"][3] == b"" and len(set(call.args["signed"][:3])) == 1


def test_compact_signatures_expand_to_what_they_were() -> None:
    signature = sign_order(order(KEYS[1]), DOMAIN, KEYS[1])
    assert len(compact(signature)) == 64 and expand(compact(signature)) == signature
    assert compact(b"wallet") == b"wallet" == expand(b"wallet")


def test_what_does_not_fit_is_refused_by_name() -> None:
    orders = [order(key) for key in reversed(KEYS)]
    with pytest.raises(FieldError, match="sort the orders"):
        pack_orders(orders, [b""] * 3)
    with pytest.raises(FieldError, match="lanes"):
        pack_orders([replace(orders[0], lanes=1 << 32)], [b""])
    with pytest.raises(FieldError, match="end inside a group"):
        list(unpack_groups(pack_orders([orders[0]], [bytes(65)])[:-1]))
