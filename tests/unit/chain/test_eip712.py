"""The fast path agrees with eth_account on every order type."""

from __future__ import annotations

from typing import Any

import pytest
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.chain import eip712
from backend.chain.errors import FieldError
from backend.chain.keccak import checksum_address, keccak
from backend.chain.orders import FIELDS, BundleOrder, ComputeOffer, Order, PowerOffer, abi_tuple

ADDRESSES = st.binary(min_size=20, max_size=20).map(checksum_address)


def values_of(solidity: str) -> st.SearchStrategy[Any]:
    if solidity == "address":
        return ADDRESSES
    if solidity == "bytes32":
        return st.binary(min_size=32, max_size=32)
    return st.integers(0, 2 ** int(solidity.removeprefix("uint")) - 1)


def orders() -> st.SearchStrategy[Order]:
    return st.one_of(
        *[
            st.builds(kind, **{attribute: values_of(solidity) for solidity, _, attribute in fields})
            for kind, fields in FIELDS.items()
        ]
    )


@given(orders(), st.integers(1, 2**64), ADDRESSES)
@settings(max_examples=150, deadline=None)
def test_digest_and_signature_agree_with_eth_account(order: Order, chain_id: int, contract: str) -> None:
    domain = eip712.Domain(chain_id, contract)
    message = encode_typed_data(full_message=eip712.typed_data(order, domain))
    digest = eip712.order_digest(order, domain)
    assert keccak(b"\x19" + message.version + message.header + message.body) == digest
    key = keccak(digest)
    signature = eip712.sign_order(order, domain, PrivateKey(key))
    theirs = Account.sign_message(message, key)
    assert signature == bytes(theirs.signature)
    assert eip712.recover(digest, signature) == Account.from_key(key).address


def test_type_strings_are_the_published_ones() -> None:
    assert eip712.type_string(BundleOrder) == (
        "BundleOrder(address maker,uint32 classId,uint64 zoneMask,uint32 lanes,uint32 minLanes,"
        "uint16 durationSlots,uint64 start,uint64 deadline,uint64 limitPrice,uint16 minGreenBps,"
        "uint32 maxCarbon,uint32 carbonPrice,uint8 kind,uint32 epoch,uint64 nonce,uint64 expiry)"
    )
    assert eip712.type_string(ComputeOffer) == (
        "ComputeOffer(address maker,uint32 siteId,uint32 classId,uint32 zoneId,uint32 capacity,"
        "uint32 energyWhPerVcuSlot,uint64 askPrice,uint64 start,uint64 end,"
        "uint32 epoch,uint64 nonce,uint64 expiry)"
    )
    assert eip712.type_string(PowerOffer) == (
        "PowerOffer(address maker,uint32 plantId,uint32 zoneId,uint8 source,uint8 tranches,uint64 start,"
        "uint16 slots,bytes32 profileHash,uint32 epoch,uint64 nonce,uint64 expiry)"
    )


def offer(**changes: Any) -> ComputeOffer:
    fields: dict[str, Any] = {attribute: 1 for _, _, attribute in FIELDS[ComputeOffer]} | {
        "maker": "0x" + "11" * 20
    }
    return ComputeOffer(**(fields | changes))


def test_a_value_outside_its_field_is_refused_by_name() -> None:
    domain = eip712.Domain(31337, "0x" + "22" * 20)
    with pytest.raises(FieldError, match=r"ComputeOffer\.askPrice = 18446744073709551616"):
        eip712.order_digest(offer(ask_price=2**64), domain)
    with pytest.raises(FieldError, match="address"):
        eip712.order_digest(offer(maker="0x12"), domain)
    assert len(abi_tuple(offer())) == 12


def test_another_chain_gives_another_digest_and_signer() -> None:
    key = PrivateKey(b"\x07" * 32)
    here, there = eip712.Domain(31337, "0x" + "22" * 20), eip712.Domain(1, "0x" + "22" * 20)
    signature = eip712.sign_order(offer(), there, key)
    assert eip712.recover(eip712.order_digest(offer(), here), signature) != eip712.address_of(key.public_key)


def test_malformed_signatures_are_refused() -> None:
    for bad in (b"", b"\1" * 64, b"\1" * 64 + b"\0", b"\xff" * 64 + b"\x1b"):
        with pytest.raises(FieldError, match="signature"):
            eip712.recover(b"\1" * 32, bad)
