"""Makes contract events in bulk on a dev chain, for the indexer to read."""

from __future__ import annotations

from coincurve import PrivateKey

from backend.chain.addressbook import AddressBook
from backend.chain.clients import Token, Treasury
from backend.chain.eip712 import address_of
from backend.chain.plan import Sender
from backend.chain.rpc import Rpc
from backend.service.signers import dev_secret

_ACCOUNTS = 200


def emit(url: str, book: AddressBook, events: int) -> int:
    """Deposits until there are about `events` events; returns how many were made."""
    operator = address_of(PrivateKey(dev_secret("operator")).public_key)
    token, treasury = Token(book), Treasury(book)
    accounts = ["0x" + (0xACC000 + n).to_bytes(20).hex() for n in range(_ACCOUNTS)]
    with Rpc(url) as rpc:
        sender = Sender(rpc, dev_secret("operator"), 31337, rpc.nonce(operator), book.errors)
        sender.send([token.mint(operator, events * 10), token.approve(treasury.address)])
        sender.send([treasury.deposit(accounts[n % _ACCOUNTS], 1) for n in range(events)])
    return events
