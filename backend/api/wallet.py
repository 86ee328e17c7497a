"""Messages and transactions in the form a wallet takes."""

from __future__ import annotations

from backend.api.schemas.trading import Transaction, TypedData
from backend.chain.eip712 import Domain, order_digest, typed_data
from backend.chain.keccak import hex0x
from backend.chain.orders import FIELDS, Order
from backend.chain.plan import Call

_WIDE = {"uint64"}


def typed(order: Order, domain: Domain, profile: bytes | None = None) -> TypedData:
    """What to sign, its digest, and the body to send with the signature; wide integers as decimal text."""
    document = typed_data(order, domain)
    message: dict[str, object] = {}
    for solidity, name, attribute in FIELDS[type(order)]:
        value = document["message"][name]
        if solidity in _WIDE:
            document["message"][name] = value = str(value)
        message[attribute] = value.lower() if solidity == "address" else value
    return TypedData(
        typed_data=document,
        digest=hex0x(order_digest(order, domain)),
        message=message,
        profile=hex0x(profile) if profile is not None else None,
    )


def transaction(call: Call, chain_id: int) -> Transaction:
    """A contract call as a transaction for the wallet to send."""
    assert call.to is not None
    return Transaction(to=call.to, data=hex0x(call.data), chain_id=chain_id, description=call.label)
