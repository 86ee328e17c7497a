"""The points market on a real chain: Python signs what the contract checks."""

from __future__ import annotations

import pytest
from eth_account import Account

from backend.chain.cli import run
from backend.chain.plan import read_contract
from backend.chain.points import ANYONE, CONTRACT, PointsOffer, cost_micro, digest, domain
from backend.chain.rpc import Rpc


@pytest.mark.parametrize("sell", [True, False])
def test_hash_and_cost_are_the_contracts(anvil_rpc: Rpc, sell: bool) -> None:
    book = run(anvil_rpc.url, None, None, (), None)
    market = book[CONTRACT]
    maker = Account.from_key(bytes([7]) * 32).address
    offer = PointsOffer(
        maker, sell, book["Certificates"].address, (1 << 248) | 77, 5_000, 1_001, ANYONE, 3, 0, 1 << 40
    )
    hashed = read_contract(anvil_rpc, market, "hashOffer", offer.abi_tuple())
    assert hashed == digest(offer, domain(book.chain_id, market.address))
    for amount in (1, 999, 1_000, 1_001):
        assert read_contract(anvil_rpc, market, "costUp", amount, 1_001) == cost_micro(amount, 1_001)
