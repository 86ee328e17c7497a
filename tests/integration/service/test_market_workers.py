"""The service's own market on a real chain: gates close, batches clear, slots settle; crashes and reorgs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import select

from backend.chain.clients import Treasury
from backend.service.calendar import MarketDays
from backend.service.indexer.follow import reindex
from backend.service.workers import settlement
from backend.service.workers.gates import day_ahead, intraday
from backend.settings import Settings
from backend.store.chain import Account, SlotResult
from backend.store.engine import Store
from backend.store.market import OrderRow, Withdrawal
from tests.integration.service.own_market import BUYERS, SLOT, SLOTS, START, OwnMarket
from tests.integration.service.test_store_indexer import dump
from tests.unit.api.callers import Key


@pytest.fixture
def market(store: Store, tmp_path: Path) -> Iterator[OwnMarket]:
    """A market with the service on it."""
    made = OwnMarket(tmp_path)
    made.serve(store)
    yield made
    made.close()


def until(market: OwnMarket, state: str, seconds: float = 90, crash: bool = False) -> None:
    """Steps until the gate is in a state; with `crash`, every step is done by workers that just started."""
    deadline = time.monotonic() + seconds
    while (gate := market.gate()) is None or gate.state != state:
        assert gate is None or gate.state != "failed", gate.error
        assert time.monotonic() < deadline, f"the gate is {gate.state if gate else 'not closed'}"
        if crash and (gate is None or gate.state != "sealed"):
            market.restart()
        market.step()
        time.sleep(0.02)


def settle(market: OwnMarket, slots: range, steps: int = 40) -> None:
    """Delivers and settles slots."""
    for slot in slots:
        market.deliver(slot)
    market.clock.advance_to(START + SLOTS * SLOT + market.settler._window + market.settler._grace + 60)
    for _ in range(steps):
        market.step()
        if all(row.state in ("mined", "final") for row in market.outbox()):
            market.step()


def test_a_day_is_closed_cleared_posted_and_settled_by_workers_that_crash(market: OwnMarket) -> None:
    market.trade()
    with market.store.writing() as session:
        gone = session.exec(select(OrderRow).order_by(OrderRow.nonce)).all()[-1]  # type: ignore[arg-type]
        session.add(Withdrawal(order_hash=gone.order_hash, maker=gone.maker, at=1))
    market.step()
    assert market.gate() is None
    market.clock.advance_to(START - 3600)
    until(market, "finalised", crash=True)
    gate = market.gate()
    assert gate is not None and gate.batch_id == 1 and gate.orders == 5 and gate.left_out == 1
    keys = [row.key for row in market.outbox()]
    assert len(keys) == len(set(keys)) and [row.nonce for row in market.outbox()] == sorted(
        row.nonce or 0 for row in market.outbox()
    )
    settle(market, range(SLOTS))
    with market.store.reading() as session:
        results = session.exec(select(SlotResult)).all()
        accounts = {row.address: row for row in session.exec(select(Account))}
    plan = market.settler._plan(market.batch())
    assert plan is not None
    due = {(chunk.index, slot) for chunk in plan.chunks for slot in chunk.active_slots}
    assert {(row.chunk_index, row.slot) for row in results} == due
    treasury = Treasury(market.book, market.rpc)
    for name in BUYERS:
        address = Key.of(name).address
        row = accounts[address.lower()]
        assert treasury.ledger(address) == (row.available_micro, row.locked_micro) and row.locked_micro == 0
    before = len(market.outbox())
    for _ in range(3):
        market.restart()
        market.step()
    assert len(market.outbox()) == before
    live = dump(market.store)
    reindex(market.store, market.rpc, market.book, market.settings)
    assert dump(market.store) == live


def test_a_reorganisation_of_ten_blocks_during_settlement_ends_in_one_truth(
    market: OwnMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlement, "RETRY_SECONDS", 0)
    market.trade(orders=4)
    market.clock.advance_to(START - 3600)
    until(market, "finalised")
    settle(market, range(SLOTS))
    before = market.rpc.block_number()
    market.rpc.call("anvil_reorg", 10, [])
    assert market.rpc.block_number() == before
    # the new blocks are earlier: what came back before its time failed, and is asked for again
    market.step()
    after = START + SLOTS * SLOT + market.settler._window + 120
    for graces in (1, 2, 3):  # a plant marked missing again can be shown for one more grace
        market.clock.advance_to(after + graces * (market.settler._grace + 60))
        for _ in range(20):
            market.step()
    with market.store.reading() as session:
        results = session.exec(select(SlotResult)).all()
    plan = market.settler._plan(market.batch())
    assert plan is not None
    due = {(chunk.index, slot) for chunk in plan.chunks for slot in chunk.active_slots}
    assert {(row.chunk_index, row.slot) for row in results if row.outcomes is not None} == due
    live = dump(market.store)
    reindex(market.store, market.rpc, market.book, market.settings)
    assert dump(market.store) == live
    last = {row.key.split("#")[0]: row.state for row in market.outbox()}
    assert set(last.values()) <= {"mined", "final"}, last


def test_a_day_without_orders_is_empty_and_without_reports_is_refunded(market: OwnMarket) -> None:
    market.trade(orders=2)
    market.clock.advance_to(START - 3600)
    until(market, "finalised")
    market.clock.advance_to(START + SLOTS * SLOT + market.settler._refund_delay + 60)
    for _ in range(30):
        market.step()
    with market.store.reading() as session:
        results = session.exec(select(SlotResult)).all()
    assert results and all(row.outcomes is None for row in results)
    treasury = Treasury(market.book, market.rpc)
    assert all(treasury.ledger(Key.of(name).address)[1] == 0 for name in BUYERS)


def test_an_intraday_batch_is_closed_cleared_and_settled(store: Store, tmp_path: Path) -> None:
    market = OwnMarket(tmp_path, {"intraday_slots": 4, "intraday_every_slots": 4})
    market.serve(store)
    try:
        market.clock.advance_to(START - 3600)
        until(market, "empty")  # nobody asked for the day
        start = START + 4 * SLOT
        market.trade(orders=3, start=start, slots=4)
        market.clock.advance_to(start - 3600)
        deadline = time.monotonic() + 90
        while not (found := [g for g in market.gates_of("intraday", start) if g.state == "finalised"]):
            assert time.monotonic() < deadline, market.gates_of("intraday", start)
            market.step()
            time.sleep(0.02)
        batch = market.batch(found[0].batch_id or 0)
        assert (batch.start, batch.slots) == (start, 4) and found[0].orders == 3
        for slot in range(4):
            market.deliver(slot, start, batch.batch_id)
        market.clock.advance_to(start + 4 * SLOT + market.settler._window + market.settler._grace + 60)
        for _ in range(20):
            market.step()
        plan = market.settler._plan(batch)
        assert plan is not None and plan.chunks
        due = {(chunk.index, slot) for chunk in plan.chunks for slot in chunk.active_slots}
        with store.reading() as session:
            results = session.exec(select(SlotResult).where(SlotResult.batch_id == batch.batch_id)).all()
        assert {(row.chunk_index, row.slot) for row in results if row.outcomes is not None} == due
    finally:
        market.close()


def test_gates_close_once_the_lead_begins() -> None:
    days = MarketDays(anchor=0, seconds=86_400, slot_seconds=900, lead_seconds=3600)
    assert day_ahead(days, 10 * 86_400 - 3601) == []
    assert day_ahead(days, 10 * 86_400 - 3600) == [10 * 86_400]
    assert day_ahead(days, 10 * 86_400 - 10) == []
    assert intraday(days, 3600, 3600 * 5) == [3600 * 6]
    assert Settings(intraday_slots=4).intraday_every_slots == 4
