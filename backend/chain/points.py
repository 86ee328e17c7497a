"""Signed offers of the points market: certificates and credits resold, an EIP-712 struct of its own domain.

Amounts in units of the token (Wh or g), prices in micro-units per 1,000 units; a buyer's cost is rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from backend.chain.eip712 import Domain, domain_separator
from backend.chain.keccak import address_bytes, keccak

DOMAIN_NAME = "BitWatt Points"
CONTRACT = "PointsMarket"
ANYONE = "0x" + "00" * 20
_TYPES = (
    ("maker", "address"), ("sell", "bool"), ("asset", "address"), ("id", "uint256"), ("amount", "uint128"),
    ("priceMicroPerThousand", "uint128"), ("taker", "address"), ("nonce", "uint64"), ("epoch", "uint32"),
    ("expiry", "uint64"),
)  # fmt: skip
_TYPE_HASH = keccak(("Offer(" + ",".join(f"{kind} {name}" for name, kind in _TYPES) + ")").encode())
_DOMAIN_TYPES = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
)


@dataclass(frozen=True, slots=True)
class PointsOffer:
    """An offer to sell (`sell`) or to buy `amount` units of `token_id` at a price; `taker` zero = anyone."""

    maker: str
    sell: bool
    asset: str
    token_id: int
    amount: int
    price_micro_per_thousand: int
    taker: str
    nonce: int
    epoch: int
    expiry: int

    def abi_tuple(self) -> tuple[object, ...]:
        """The struct as the contract takes it."""
        return tuple(getattr(self, field.name) for field in fields(self))


def domain(chain_id: int, market: str) -> Domain:
    """The domain of offers."""
    return Domain(chain_id, market, DOMAIN_NAME)


def _word(kind: str, value: Any) -> bytes:
    if kind == "address":
        return address_bytes(value).rjust(32, b"\0")
    return int(value).to_bytes(32, "big")


def digest(offer: PointsOffer, where: Domain) -> bytes:
    """What is signed; also the offer's id."""
    words = [_word(kind, value) for (_, kind), value in zip(_TYPES, offer.abi_tuple(), strict=True)]
    return keccak(b"\x19\x01" + domain_separator(where) + keccak(_TYPE_HASH + b"".join(words)))


def typed_data(offer: PointsOffer, where: Domain) -> dict[str, Any]:
    """The document that a wallet signs (eth_signTypedData_v4); wide integers as decimal text."""
    message = dict(zip((name for name, _ in _TYPES), offer.abi_tuple(), strict=True))
    wide = {"id", "amount", "priceMicroPerThousand", "nonce", "expiry"}
    return {
        "types": {
            "EIP712Domain": [{"name": name, "type": kind} for name, kind in _DOMAIN_TYPES],
            "Offer": [{"name": name, "type": kind} for name, kind in _TYPES],
        },
        "primaryType": "Offer",
        "domain": {
            "name": where.name,
            "version": where.version,
            "chainId": where.chain_id,
            "verifyingContract": where.verifying_contract,
        },
        "message": {name: str(value) if name in wide else value for name, value in message.items()},
    }


def cost_micro(amount: int, price_micro_per_thousand: int) -> int:
    """What the buyer of `amount` units pays, rounded up."""
    return -(-amount * price_micro_per_thousand // 1000)
