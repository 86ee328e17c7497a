"""Follows the chain: takes in new blocks, steps back when they change, never stops for a fault that
passes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from backend.chain.addressbook import AddressBook
from backend.chain.errors import ChainError
from backend.chain.rpc import Rpc
from backend.service.indexer import apply
from backend.service.indexer.source import Block, Moved, Source
from backend.settings import Settings
from backend.store.engine import Store
from backend.store.operations import IndexedChain

log = logging.getLogger(__name__)
BLOCKS_AT_ONCE = 500
ANVIL_CHAIN_ID = 31337


class WrongDatabase(Exception):
    """The database follows another deployment."""


class Indexer:
    """One deployment into one database. `on_change(from_block)` is called after a step back, `on_events`
    after new ones.
    """

    def __init__(self, store: Store, rpc: Rpc, book: AddressBook, settings: Settings) -> None:
        self.store = store
        self._rpc = rpc
        self._book = book
        self._source = Source(rpc, book)
        self._settings = settings
        self.on_events: Callable[[int, int], None] = lambda count, last: None
        self.on_reorganised: Callable[[int], None] = lambda fork: None

    def prepare(self) -> None:
        """Binds the database to this deployment; a dev database of another chain is emptied, others are
        refused.
        """
        genesis = self._source.blocks([0])[0].hash
        market = self._book["BundleMarket"].address.lower()
        with self.store.reading() as session:
            bound = session.get(IndexedChain, 1)
        if bound is not None:
            same = (bound.chain_id, bound.market, bound.genesis_hash) == (
                self._book.chain_id,
                market,
                genesis,
            )
            if same:
                return
            if self._book.chain_id != ANVIL_CHAIN_ID:
                raise WrongDatabase(
                    f"the database follows market {bound.market} on chain {bound.chain_id}: "
                    "give the right address book, or another database"
                )
            log.warning("another dev chain than before: indexing anew")
        apply.forget_all(self.store)
        with self.store.writing() as session:
            session.add(IndexedChain(id=1, chain_id=self._book.chain_id, market=market, genesis_hash=genesis))

    def step(self) -> bool:
        """One step; whether there may be more to do at once."""
        with self.store.reading() as session:
            at = apply.cursor(session)
        if at is not None and self._step_back(at):
            return True
        head = self._source.head() - self._settings.confirmations
        first = self._source.first_block if at is None else at + 1
        if first > head:
            return False
        last = min(head, first + BLOCKS_AT_ONCE - 1)
        depth = self._settings.reorg_depth
        try:
            piece = self._source.read(first, last, depth)
            if at is not None and not self._continues(first, at):
                return True
            count = apply.take_in(self.store, piece, at, depth)
        except (Moved, apply.Overtaken):
            return True
        self.on_events(count, last)
        return last < head

    def _continues(self, first: int, at: int) -> bool:
        """Whether block `first` stands on the block `at` that is in the database."""
        with self.store.reading() as session:
            known = {block.number: block.block_hash for block in apply.remembered(session)}
        block = self._source.blocks([first]).get(first)
        return block is not None and block.parent_hash == known.get(at)

    def _step_back(self, at: int) -> bool:
        """Takes back the blocks that are no longer in the chain; whether there were any."""
        with self.store.reading() as session:
            known = apply.remembered(session)
        newest = self._source.blocks([at]).get(at)
        if newest is not None and known and newest.hash == known[0].block_hash:
            return False
        now: dict[int, Block] = self._source.blocks([block.number for block in known])
        common = [
            block.number for block in known if (b := now.get(block.number)) and b.hash == block.block_hash
        ]
        fork = common[0] if common else self._source.first_block - 1
        log.warning("the chain changed above block %d", fork)
        try:
            apply.roll_back(self.store, fork, at)
        except apply.Overtaken:
            return True
        self.on_reorganised(fork)
        return True

    def catch_up(self) -> None:
        """Takes in everything there is now."""
        while self.step():
            pass

    def run(self, stop: threading.Event) -> None:
        """Follows until `stop` is set; a node that does not answer is asked again."""
        pause = self._settings.index_poll_seconds
        prepared = False
        while not stop.is_set():
            try:
                if not prepared:
                    self.prepare()
                    prepared = True
                if self.step():
                    continue
            except ChainError as error:
                log.warning("the node does not answer: %s", error)
            stop.wait(pause)


def reindex(store: Store, rpc: Rpc, book: AddressBook, settings: Settings) -> int | None:
    """Empties what the chain can fill and fills it again; returns the last block."""
    apply.forget_all(store)
    indexer = Indexer(store, rpc, book, settings)
    indexer.prepare()
    indexer.catch_up()
    with store.reading() as session:
        return apply.cursor(session)
