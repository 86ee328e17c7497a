"""The outbox on a real chain: one nonce a row whatever happens to node, process or fees."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sqlmodel import select

from backend.chain.anvil import give_gas_money
from backend.chain.clients import Registry
from backend.service import outbox
from backend.service.outbox import Confirmations, FeePolicy, OutboxSender
from backend.store.engine import Store
from backend.store.operations import OutboxAttempt, OutboxRow
from tests.unit.api.callers import Key
from tests.unit.api.market_chain import ANVIL, MarketChain, account


@pytest.fixture(scope="module")
def module_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketChain]:
    """A market whose operator has a second key, which the outbox uses."""
    made = MarketChain(tmp_path_factory.mktemp("outbox"))
    give_gas_money(made.rpc, [account("outbox")])
    made.send("owner", Registry(made.book).set_operator(account("outbox")))
    yield made
    made.close()


@pytest.fixture
def chain(module_chain: MarketChain) -> Iterator[MarketChain]:
    """The market, put back afterwards."""
    snapshot = module_chain.rpc.call("evm_snapshot")
    yield module_chain
    module_chain.rpc.call("evm_setAutomine", True)
    module_chain.rpc.call("evm_revert", snapshot)


def sender(chain: MarketChain, store: Store, **fees: int) -> OutboxSender:
    """A sender as a fresh process makes it."""
    return OutboxSender(
        store, chain.rpc, Key.of("outbox").private.secret, ANVIL, chain.book.errors,
        FeePolicy(**fees), Confirmations(3),
    )  # fmt: skip


def ask(chain: MarketChain, store: Store, *zones: int, group: str = "") -> None:
    """Asks for zones to be added."""
    with store.writing() as session:
        for zone in zones:
            call = Registry(chain.book).add_zone(zone, f"zone {zone}")
            outbox.enqueue(session, account("outbox"), call, f"zone-{zone}", group)


def rows(store: Store) -> list[OutboxRow]:
    """The outbox in order."""
    with store.reading() as session:
        return list(session.exec(select(OutboxRow).order_by(OutboxRow.id)))


def settle(one: OutboxSender, steps: int = 12) -> None:
    """Steps until nothing moves."""
    for _ in range(steps):
        one.step()


def zones_on_chain(chain: MarketChain) -> int:
    """How many times a zone was added."""
    topic = "0x" + chain.book["Registry"].abi.topic("ZoneAdded").hex()
    return len(chain.rpc.logs([chain.book["Registry"].address], [topic], 0))


def test_rows_are_sent_in_order_once_and_become_final(chain: MarketChain, store: Store) -> None:
    ask(chain, store, 1, 2, 3)
    with store.writing() as session:
        again = outbox.enqueue(session, account("outbox"), Registry(chain.book).add_zone(1, "x"), "zone-1")
    assert not again
    settle(sender(chain, store))
    assert [row.state for row in rows(store)] == ["mined"] * 3
    assert [row.nonce for row in rows(store)] == [0, 1, 2]
    for _ in range(3):
        chain.rpc.call("evm_mine")
    settle(sender(chain, store))
    assert {row.state for row in rows(store)} == {"final"} and zones_on_chain(chain) == 3


def test_a_process_that_ends_after_signing_leaves_one_transaction(chain: MarketChain, store: Store) -> None:
    ask(chain, store, 1, 2)
    dying = sender(chain, store)
    dying._broadcast = lambda raws: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        dying.step()
    assert [row.state for row in rows(store)] == ["sent", "sent"] and zones_on_chain(chain) == 0
    settle(sender(chain, store))
    assert [row.state for row in rows(store)] == ["mined"] * 2 and zones_on_chain(chain) == 2


def test_two_senders_of_one_key_never_send_twice(chain: MarketChain, store: Store) -> None:
    ask(chain, store, *range(1, 9))
    one, other = sender(chain, store), sender(chain, store)
    for _ in range(10):
        one.step()
        other.step()
    # the node may mine many blocks meanwhile: then the first ones are final already
    assert {row.state for row in rows(store)} <= {"mined", "final"} and zones_on_chain(chain) == 8


def test_a_dropped_transaction_is_sent_again(chain: MarketChain, store: Store) -> None:
    ask(chain, store, 1)
    chain.rpc.call("evm_setAutomine", False)
    one = sender(chain, store)
    one._nudged = float("inf")
    one.step()
    chain.rpc.call("anvil_dropAllTransactions")
    heard: list[str] = []
    one.on_event = heard.append
    one.step()
    assert "dropped" in heard
    chain.rpc.call("evm_mine")
    settle(one)
    assert [row.state for row in rows(store)] == ["mined"] and zones_on_chain(chain) == 1


def test_a_slow_transaction_gets_higher_fees_under_the_same_nonce(chain: MarketChain, store: Store) -> None:
    ask(chain, store, 1)
    chain.rpc.call("evm_setAutomine", False)
    one = sender(chain, store, bump_seconds=0)
    one._nudged = float("inf")
    for _ in range(4):
        one.step()
    with store.reading() as session:
        attempts = session.exec(select(OutboxAttempt).order_by(OutboxAttempt.max_fee_wei)).all()  # type: ignore[arg-type]
    assert len(attempts) >= 3 and len({attempt.nonce for attempt in attempts}) == 1
    assert all(b.max_fee_wei * 1000 >= a.max_fee_wei * 1125 for a, b in pairwise(attempts))
    chain.rpc.call("evm_mine")
    settle(sender(chain, store))
    assert [row.state for row in rows(store)] == ["mined"] and zones_on_chain(chain) == 1


def test_a_nonce_that_another_program_used_is_replaced(
    chain: MarketChain, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_RECEIPT_SECONDS", 0)
    ask(chain, store, 1)
    chain.rpc.call("evm_setAutomine", False)
    one = sender(chain, store)
    one._nudged = float("inf")
    one.step()
    chain.rpc.call("anvil_dropAllTransactions")
    chain.rpc.call("evm_setAutomine", True)
    chain.rpc.call("anvil_impersonateAccount", account("outbox"))
    chain.rpc.call("eth_sendTransaction", {"from": account("outbox"), "to": account("owner"), "value": "0x1"})
    heard: list[str] = []
    one.on_event = heard.append
    settle(one)
    (row,) = rows(store)
    assert "replaced" in heard and row.state == "mined" and row.nonce == 1 and zones_on_chain(chain) == 1


def test_a_revert_says_why_and_holds_back_what_came_after(chain: MarketChain, store: Store) -> None:
    ask(chain, store, 1)
    settle(sender(chain, store))
    with store.writing() as session:
        again = Registry(chain.book).add_zone(1, "again")
        outbox.enqueue(session, account("outbox"), again, "zone-1-again", "batch")
    settle(sender(chain, store))
    ask(chain, store, 2, group="batch")
    ask(chain, store, 3)
    settle(sender(chain, store))
    states = {row.key: row for row in rows(store)}
    assert states["zone-1-again"].state == "failed" and "already exists" in states["zone-1-again"].error
    assert states["zone-2"].state == "failed" and "earlier step" in states["zone-2"].error
    assert states["zone-3"].state == "mined"


def test_a_reorganisation_of_depth_ten_sends_again_what_it_took_back(store: Store, tmp_path: Path) -> None:
    own = MarketChain(tmp_path)
    try:
        give_gas_money(own.rpc, [account("outbox")])
        own.send("owner", Registry(own.book).set_operator(account("outbox")))
        for _ in range(12):
            own.rpc.call("evm_mine")
        ask(own, store, *range(1, 6))
        one = sender(own, store)
        one._final = 64
        settle(one)
        assert zones_on_chain(own) == 5
        own.rpc.call("anvil_reorg", 10, [])
        assert zones_on_chain(own) == 0
        heard: list[str] = []
        one.on_event = heard.append
        settle(one, 30)
        assert "taken back" in heard
        assert {row.state for row in rows(store)} == {"mined"} and zones_on_chain(own) == 5
    finally:
        own.close()


def test_a_caller_that_lost_the_key_writes_nothing(chain: MarketChain, store: Store, tmp_path: Path) -> None:
    ask(chain, store, 1)
    one = sender(chain, store)

    def refuse(session: object) -> None:
        raise RuntimeError("another process owns the key")

    one._guard = refuse
    with pytest.raises(RuntimeError):
        one.step()
    assert [row.state for row in rows(store)] == ["waiting"] and zones_on_chain(chain) == 0
