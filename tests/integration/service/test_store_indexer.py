"""The indexer against a real chain: what it reads, reorganisations, restarts, two at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlmodel
from sqlalchemy import select

from backend.chain.anvil import DevClock
from backend.chain.clients import Settlement, Token, Treasury
from backend.service.indexer import apply
from backend.service.indexer.follow import Indexer, WrongDatabase, reindex
from backend.settings import Settings
from backend.store.chain import ROWS_BY_BLOCK, Account, Agreement, Batch, SlotResult
from backend.store.engine import Store
from backend.store.market import ComputeOfferRow, OrderRow, PowerOfferRow
from tests.unit.api.callers import Key
from tests.unit.api.market_chain import BUYERS, DEPOSIT, SLOTS, MarketChain, account


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketChain]:
    """A market that is registered; nothing has cleared."""
    chain = MarketChain(tmp_path_factory.mktemp("chain"))
    chain.register()
    yield chain
    chain.close()


@pytest.fixture
def chain(registered: MarketChain) -> Iterator[MarketChain]:
    """The registered market, put back afterwards to where it was."""
    snapshot = registered.rpc.call("evm_snapshot")
    positions = {name: sender.position for name, sender in registered.senders.items()}
    yield registered
    assert registered.rpc.call("evm_revert", snapshot)
    for name, position in positions.items():
        registered.senders[name].position = position
    registered.chunks, registered.order_hashes, registered.head_hash = {}, [], bytes(32)


@pytest.fixture
def indexer(store: Store, chain: MarketChain, settings: Settings) -> Indexer:
    """An indexer of the market."""
    indexer = Indexer(store, chain.rpc, chain.book, settings)
    indexer.prepare()
    return indexer


def dump(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Every row the chain can fill, in key order."""
    tables = (*ROWS_BY_BLOCK, Account, OrderRow, ComputeOfferRow, PowerOfferRow)
    rows: dict[str, list[tuple[object, ...]]] = {}
    with store.engine.connect() as connection:
        for model in tables:
            table = model.__table__  # type: ignore[attr-defined]
            found = connection.execute(select(table).order_by(*table.primary_key.columns))
            rows[table.name] = [tuple(row) for row in found]
    return rows


def fresh_dump(store: Store, chain: MarketChain, settings: Settings) -> dict[str, list[tuple[object, ...]]]:
    """The same, after indexing everything anew."""
    reindex(store, chain.rpc, chain.book, settings)
    return dump(store)


def test_the_tables_say_what_the_contracts_did(indexer: Indexer, chain: MarketChain, store: Store) -> None:
    chain.clear()
    chain.deliver(2)
    indexer.catch_up()
    rows = dump(store)
    assert [row[0] for row in rows["zone"]] == [0] and rows["compute_class"][0][1] == "gpu-training"
    assert len(rows["bundle_order"]) == len(rows["agreement"]) == len(rows["cleared_order"]) == 6
    assert {row[0] for row in rows["bundle_order"]} == set(chain.order_hashes)
    assert [(row[1], row[2]) for row in rows["slot_result"]] == [(1, 0), (1, 1)]
    treasury = Treasury(chain.book, chain.rpc)
    for address, available, locked, _ in rows["account"]:
        assert treasury.ledger(str(address)) == (available, locked)
    with store.reading() as session:
        orders = session.exec(sqlmodel.select(OrderRow)).all()
    assert all(len(order.signature) == 65 and order.source == "chain" for order in orders)


def test_a_reorganisation_of_ten_blocks_is_undone_and_done_again(
    indexer: Indexer, chain: MarketChain, store: Store, settings: Settings
) -> None:
    chain.clear()
    for slot in range(6):
        chain.report(slot)
    chain.clock.advance_to(1_508_198_400 + 6 * 900 + 1000)
    chain.settle(0)
    for slot in range(1, 6):
        chain.settle(slot)
        indexer.catch_up()
    before = dump(store)
    assert len(before["slot_result"]) == 6
    chain.rpc.call("anvil_reorg", 10, [])
    indexer.catch_up()
    after = dump(store)
    assert after["slot_result"] == []
    assert after == fresh_dump(store, chain, settings)
    treasury = Treasury(chain.book, chain.rpc)
    for name in BUYERS:
        available, locked = treasury.ledger(account(name))
        assert (account(name).lower(), available, locked, 0) in after["account"]


def test_a_rollback_of_the_chain_is_followed(
    indexer: Indexer, chain: MarketChain, store: Store, settings: Settings
) -> None:
    chain.open_batch()
    indexer.catch_up()
    chain.post_chunks()
    chain.send("owner", chain.market.finalize(1))
    indexer.catch_up()
    with store.reading() as session:
        assert session.get_one(Batch, 1).finalised_block is not None
    steps: list[int] = []
    indexer.on_reorganised = steps.append
    chain.rpc.call("anvil_rollback", 3)
    chain.rpc.call("evm_mine")
    indexer.catch_up()
    assert len(steps) == 1
    with store.reading() as session:
        assert session.get_one(Batch, 1).finalised_block is None
        assert session.get(Agreement, (1, 0, 0)) is None
    assert dump(store) == fresh_dump(store, chain, settings)


def test_blocks_are_taken_in_once_however_often_the_indexer_starts(
    indexer: Indexer, chain: MarketChain, store: Store, settings: Settings
) -> None:
    indexer.catch_up()
    first = dump(store)
    for _ in range(2):
        again = Indexer(store, chain.rpc, chain.book, settings)
        again.prepare()
        again.catch_up()
    assert dump(store) == first
    with store.reading() as session:
        buyer = session.get_one(Account, account(BUYERS[0]).lower())
    assert buyer.available_micro == DEPOSIT


def test_a_slice_that_another_process_took_in_first_is_left_alone(
    indexer: Indexer, chain: MarketChain, store: Store, settings: Settings
) -> None:
    piece = indexer._source.read(indexer._source.first_block, chain.rpc.block_number(), 64)
    apply.take_in(store, piece, None, 64)
    with pytest.raises(apply.Overtaken):
        apply.take_in(store, piece, None, 64)
    with store.reading() as session:
        assert session.get_one(Account, account(BUYERS[0]).lower()).available_micro == DEPOSIT


def test_signed_messages_that_came_by_the_api_survive_a_step_back(
    indexer: Indexer, chain: MarketChain, store: Store
) -> None:
    chain.clear()
    with store.writing() as session:
        session.add(
            OrderRow(
                order_hash="0x" + "77" * 32, maker=Key.of(BUYERS[0]).address, class_id=0,
                zone_mask=1, lanes=1,
                min_lanes=0, duration_slots=1, start=0, deadline=900, limit_price=1, min_green_bps=0,
                max_carbon=0,
                carbon_price=0, kind=0, epoch=0, nonce=99, expiry=1, signature=b"", received_at=0,
            )
        )  # fmt: skip
    indexer.catch_up()
    chain.rpc.call("anvil_rollback", 5)
    chain.rpc.call("evm_mine")
    indexer.catch_up()
    with store.reading() as session:
        assert session.get(OrderRow, "0x" + "77" * 32) is not None
        assert session.get(OrderRow, chain.order_hashes[-1]) is None


def test_cancellations_and_epochs_reach_the_account(
    indexer: Indexer, chain: MarketChain, store: Store
) -> None:
    chain.send(BUYERS[0], chain.market.call("cancel", 5), chain.market.call("cancelAll"))
    indexer.catch_up()
    rows = dump(store)
    maker = account(BUYERS[0]).lower()
    assert [(row[2], row[3], row[4]) for row in rows["cancellation"]] == [(maker, 5, None), (maker, None, 1)]
    with store.reading() as session:
        assert session.get_one(Account, maker).epoch == 1


def test_a_refunded_slot_is_not_settled(indexer: Indexer, chain: MarketChain, store: Store) -> None:
    chain.clear()
    chain.clock.advance_to(1_508_198_400 + SLOTS * 900 + 2 * 86_400)
    chain.send("owner", Settlement(chain.book).refund_chunk(1, 0, chain.chunks[0], [0, 1]))
    indexer.catch_up()
    with store.reading() as session:
        result = session.get_one(SlotResult, (1, 0, 0))
    assert result.outcomes is None and result.refund_micro > 0


def test_a_database_of_another_deployment_is_refused_off_the_dev_chain(
    indexer: Indexer, chain: MarketChain, store: Store, settings: Settings
) -> None:
    other = type(chain.book)(1, chain.book.deploy_block, chain.book.contracts)
    with pytest.raises(WrongDatabase):
        Indexer(store, chain.rpc, other, settings).prepare()


def test_another_dev_chain_starts_the_tables_anew(
    indexer: Indexer, chain: MarketChain, store: Store, settings: Settings, tmp_path: Path
) -> None:
    indexer.catch_up()
    (tmp_path / "other").mkdir()
    other = MarketChain(tmp_path / "other")
    try:
        DevClock(other.rpc).advance_to(1_508_190_500)
        other.send("owner", Token(other.book).mint(account("owner"), 1))
        second = Indexer(store, other.rpc, other.book, settings)
        second.prepare()
        second.catch_up()
        assert dump(store)["account"] == []
    finally:
        other.close()
