"""The transaction plan against a real node: resume, refusal, reverts, the clock."""

from __future__ import annotations

import pytest
from eth_account import Account

from backend.chain.anvil import DevClock, give_gas_money
from backend.chain.errors import ChainError, PlanMismatch, Reverted, RpcUnavailable
from backend.chain.plan import Call, Sender
from backend.chain.rpc import Rpc

KEY = b"\x05" * 32
ADDRESS = Account.from_key(KEY).address
CREATE = bytes.fromhex("600160005360016000f3")  # deploys the one byte 01


def creations(count: int) -> list[Call]:
    return [Call(None, CREATE, 200_000 + position, f"creation {position}") for position in range(count)]


def test_a_second_run_of_the_plan_continues_and_repeats_nothing(anvil_rpc: Rpc) -> None:
    give_gas_money(anvil_rpc, [ADDRESS])
    first = Sender(anvil_rpc, KEY, 31337, 0).send(creations(60))
    again = Sender(anvil_rpc, KEY, 31337, 0).send(creations(100))
    assert again[:60] == first and len({receipt.contract_address for receipt in again}) == 100
    assert anvil_rpc.nonce(ADDRESS) == 100
    assert all(anvil_rpc.code(receipt.contract_address or "") == b"\x01" for receipt in again[::33])


def test_another_plan_on_the_same_account_is_refused(anvil_rpc: Rpc) -> None:
    give_gas_money(anvil_rpc, [ADDRESS])
    Sender(anvil_rpc, KEY, 31337, 0).send(creations(2))
    with pytest.raises(PlanMismatch, match="number 1, where this run has other"):
        Sender(anvil_rpc, KEY, 31337, 0).send([creations(1)[0], Call(None, CREATE, 999_999, "other")])


def test_a_revert_names_the_transaction_and_the_reason(anvil_rpc: Rpc) -> None:
    give_gas_money(anvil_rpc, [ADDRESS])
    error_string = bytes.fromhex("08c379a0" + f"{32:064x}" + f"{4:064x}" + b"nope".hex().ljust(64, "0"))
    # creation code that copies its own tail (the revert data) to memory and reverts with it
    code = bytes.fromhex("6064600c60003960646000fd") + error_string
    errors_free = Sender(anvil_rpc, KEY, 31337, 0)
    with pytest.raises(Reverted, match="try it: refused with an unknown error 0x08c379a0"):
        errors_free.send([Call(None, code, 300_000, "try it")])
    from backend.chain.abi import merge_errors

    with pytest.raises(Reverted, match="try it: nope"):
        Sender(anvil_rpc, KEY, 31337, 1, merge_errors([])).send([Call(None, code, 300_000, "try it")])
    with pytest.raises(ChainError, match="gas exceeds 16777216"):
        Sender(anvil_rpc, KEY, 31337, 2).send([Call(None, code, 20_000_000, "too much")])


def test_clock_moves_only_forward(anvil_rpc: Rpc) -> None:
    clock = DevClock(anvil_rpc)
    assert clock.advance_to(1_500_000_900) == 1_500_000_900
    assert clock.advance_to(1_500_000_100) == 1_500_000_900
    anvil_rpc.call("evm_mine")
    assert clock.now() == 1_500_000_901


def test_nobody_at_the_address_is_said_plainly() -> None:
    with pytest.raises(RpcUnavailable, match="start the node or correct --rpc"):
        Rpc("http://127.0.0.1:1").chain_id()
