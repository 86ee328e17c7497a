"""Makes what `bitwatt bench api` measures with: contract events in bulk, and a cleared day's prices."""

from __future__ import annotations

import time

import numpy as np
from coincurve import PrivateKey

from backend.chain.addressbook import AddressBook
from backend.chain.clients import Token, Treasury
from backend.chain.eip712 import address_of
from backend.chain.packing import PriceTable, pack_prices
from backend.chain.plan import Sender
from backend.chain.rpc import Rpc
from backend.service.signers import dev_secret
from backend.settings import Settings
from backend.store.chain import Batch, PricePart
from backend.store.engine import Store, make_engine

_ACCOUNTS = 200
_SLOTS, _ZONES, _CLASSES = 96, 6, 4


def cleared_day(database: str) -> int:
    """A finalised batch of 96 slots, 6 zones and 4 classes with prices, as the indexer would write it; its
    start.
    """
    start = int(time.time()) // 86_400 * 86_400
    draw = np.random.default_rng(1)
    shape = (_ZONES, 2, _SLOTS)
    table = PriceTable(
        draw.integers(20_000, 60_000, (_CLASSES, *shape)), draw.integers(50_000, 900_000, shape),
        draw.integers(200, 900, (_ZONES, _SLOTS)), np.full((_ZONES, _SLOTS), 40),
    )  # fmt: skip
    zero = "0x" + "00" * 32
    engine = make_engine(Settings(database_url=database))
    with Store(engine).writing() as session:
        session.add(
            Batch(
                batch_id=1, solver=zero[:42], start=start, slot_seconds=900, slots=_SLOTS, zones=_ZONES,
                classes=_CLASSES, publication_hash=zero, book_hash=zero, solution_hash=zero, welfare_micro=0,
                dual_bound_micro=0, opened_at=start, block_number=1, finalised_block=1, finalised_at=start,
            )
        )  # fmt: skip
        session.add(PricePart(batch_id=1, part=0, data=pack_prices(table), block_number=1))
    engine.dispose()
    return start


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
