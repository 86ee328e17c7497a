"""What was sold with an agreement, as the chain has it: the guarantees in the class of its offer."""

from __future__ import annotations

import logging

from backend.chain.addressbook import AddressBook
from backend.chain.rpc import Rpc
from oracle.node.chain import ChainReader
from oracle.node.facts import Facts
from oracle.wire.errors import WireError
from oracle.wire.guarantees import NONE, Guarantees, parse_class

log = logging.getLogger("bitwatt.agent")


class Terms:
    """Follows batches and classes on chain."""

    def __init__(self, rpc: Rpc, book: AddressBook) -> None:
        self._reader, self.facts = ChainReader(rpc, book), Facts(bytes(32))

    def refresh(self) -> None:
        """Takes in new blocks; raises ChainError."""
        news = self._reader.poll()
        if news.rewritten:
            self.facts.reset()
        for name, event in news.events:
            self.facts.apply(name, event)

    def of(self, agreement_id: bytes) -> Guarantees:
        """The guarantees of an agreement; none for one that is not on this chain."""
        return guarantees_of(self.facts, agreement_id)


def guarantees_of(facts: Facts, agreement_id: bytes) -> Guarantees:
    """The guarantees in the name of the class that an agreement was sold in."""
    number = int.from_bytes(agreement_id, "big")
    batch = facts.batches.get(number >> 64)
    run = batch.run(number >> 32 & 0xFFFFFFFF, number & 0xFFFFFFFF) if batch else None
    if batch is None or run is None:
        return NONE
    name = facts.classes.get(batch.offers[run.offer_index].class_id, "")
    try:
        return parse_class(name)[1]
    except WireError as error:
        log.warning("%s", error)
        return NONE
