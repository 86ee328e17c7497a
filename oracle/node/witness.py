"""Watches what members sign: two reports of one epoch under one signature are proven on chain and slashed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from backend.chain.errors import ChainError, Reverted
from oracle.wire.signed import Equivocation, SignedReport, conflict

if TYPE_CHECKING:
    from oracle.node.node import Node

EPOCHS = 96
"""How far back, and how far ahead, signed reports are remembered."""
log = logging.getLogger("bitwatt.oracle")


class Witness:
    """Signed reports that went round, at most two a member and epoch: two are enough to prove it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._seen: dict[int, list[SignedReport]] = {}
        self._counts: dict[tuple[int, str], int] = {}
        self._open: set[int] = set()
        self.proofs: dict[tuple[int, str], Equivocation] = {}

    def hear(self, signed: SignedReport) -> bool:
        """Takes in a signed report; whether it differs from what is known of its epoch."""
        node, epoch = self._node, signed.report.epoch
        near = abs(epoch - node.facts.next_epoch) <= EPOCHS
        if not near or signed.report.feed_id != node.feed_id or signed in self._seen.get(epoch, ()):
            return False
        members = signed.signers(node.contract.separator).keys() & set(node.committee.members)
        fresh = [member for member in members if self._counts.get((epoch, member), 0) < 2]
        if not fresh:
            return False
        for member in fresh:
            self._counts[epoch, member] = self._counts.get((epoch, member), 0) + 1
        self._seen.setdefault(epoch, []).append(signed)
        self._open.add(epoch)
        self._forget(node.facts.next_epoch - EPOCHS)
        return True

    def _forget(self, before: int) -> None:
        for epoch in [epoch for epoch in self._seen if epoch < before]:
            del self._seen[epoch]
        self._counts = {key: count for key, count in self._counts.items() if key[0] >= before}

    async def judge(self) -> None:
        """Compares what was heard of reported epochs with what stands on chain; sends every new proof."""
        node = self._node
        for epoch in sorted(self._open):
            if epoch >= node.facts.next_epoch:
                continue
            self._open.discard(epoch)
            heard = self._seen.get(epoch, [])
            if any(item.report.struct_hash() != node.facts.report_hashes.get(epoch) for item in heard):
                standing = await asyncio.to_thread(node.contract.signed_report, node.feed_id, epoch)
                heard = [*heard, *([standing] if standing else [])]
            for number, first in enumerate(heard):
                for second in heard[number + 1 :]:
                    for proof in conflict(first, second, node.contract.separator):
                        if proof.member in node.committee.members:
                            await self._prove(epoch, proof)

    async def _prove(self, epoch: int, proof: Equivocation) -> None:
        if (epoch, proof.member) in self.proofs:
            return
        node = self._node
        self.proofs[epoch, proof.member] = proof
        node.counters["equivocations seen"] += 1
        log.warning("epoch %d: %s signed two reports", epoch, proof.member)
        try:
            await asyncio.to_thread(node.contract.prove_equivocation, proof)
            node.counters["equivocations proven"] += 1
        except Reverted as error:
            log.info("epoch %d: %s", epoch, error)  # another member was quicker
        except ChainError as error:
            del self.proofs[epoch, proof.member]
            self._open.add(epoch)
            log.warning("epoch %d: the proof could not be sent: %s", epoch, error)
