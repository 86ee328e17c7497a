"""A committee node: follows the chain, takes in readings, knows what is due and what is true."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from backend.chain.addressbook import load_book
from oracle.archive import ArchiveError, open_archive
from oracle.evidence.verify import DEV_CHAIN_ID
from oracle.node.chain import ChainReader, OracleContract
from oracle.node.config import ConfigError, NodeConfig, read_secret
from oracle.node.consensus import ATTEMPTS, VOTE, Committee, Lock, Voter
from oracle.node.expect import build_bundle, expected, fitting
from oracle.node.facts import Facts
from oracle.node.ledger import Key, Ledger, Receipt
from oracle.node.machines import reportable
from oracle.node.peers import Peers
from oracle.node.store import Store
from oracle.node.witness import Witness
from oracle.rpc import LeanRpc
from oracle.wire.bundle import Bundle, decode_bundle, encode_bundle, make_report
from oracle.wire.errors import WireError
from oracle.wire.keys import address_of, sha256
from oracle.wire.reading import Envelope, Leaf, decode_envelopes, encode_envelopes
from oracle.wire.typed import Report, digest, feed_id

SLICE = 500
"""Readings judged at a stretch, so that peers are answered in between."""
SUSPECTED_SHARE = 0.1
"""Part of its turn that a leader gets who let the last one pass."""
log = logging.getLogger("bitwatt.oracle")


class NotTrue(Exception):
    """A proposal this node does not find true.

    `missing` are readings it holds and the proposal lacks; `false` says that no honest leader proposes this.
    """

    def __init__(self, reason: str, missing: Sequence[Envelope] = (), false: bool = False) -> None:
        super().__init__(reason)
        self.missing, self.false = missing, false


@dataclass(frozen=True, slots=True)
class Draft:
    """A report that this node finds true, with the bundle it stands on and the readings in that."""

    report: Report
    digest: bytes
    bundle: bytes
    keys: tuple[Key, ...] = ()
    machines: tuple[Envelope, ...] = ()


class Node:
    """State and duties; HTTP and the duty loop are in the service."""

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        book = load_book(config.book)
        self.chain_id = book.chain_id
        if config.fault and self.chain_id != DEV_CHAIN_ID:
            raise ConfigError(
                f"fault {config.fault!r} is refused on chain {self.chain_id}: for development only"
            )
        secret = read_secret(config.key)
        self.address = address_of(secret)
        self.feed_id = feed_id(config.feed.name)
        self._reader_rpc, self._writer_rpc = LeanRpc(config.rpc), LeanRpc(config.rpc)
        found = self._reader_rpc.chain_id()
        if found != self.chain_id:
            raise ConfigError(f"{config.rpc} is chain {found}, the address book is for chain {self.chain_id}")
        self.contract = OracleContract(self._writer_rpc, book, secret)
        self.committee: Committee = self.contract.committee(self.feed_id)
        if self.address not in self.committee.members:
            raise ConfigError(f"{self.address} is not a member of the committee")
        self.secret = secret
        self.store = Store(config.store)
        if config.max_store_mib:
            self.store.limit_mib(config.max_store_mib)
        self.archive = open_archive(config.archive)
        self.facts = Facts(self.feed_id)
        self.ledger = Ledger(self.store, self.facts, self.chain_id)
        self.voter = Voter(self.committee, secret, self.store)
        self.peers = Peers(config.nodes)
        self.now = 0
        self.counters: Counter[str] = Counter()
        self._reader = ChainReader(self._reader_rpc, book)
        self._polling = asyncio.Lock()
        self._booked = self.store.booked()
        self.drafts: dict[bytes, Draft] = {}
        self._wanted: tuple[int, int, set[tuple[int, bytes]]] = (-1, -1, set())
        self._ready_since: tuple[int, float] = (-1, 0.0)
        self._passed: dict[int, int] = {}
        self.suspects: set[str] = set()
        self.wake = asyncio.Event()
        self.submit_seconds = 0.0
        self.witness = Witness(self)

    async def close(self) -> None:
        """Closes connections and files."""
        await self.peers.close()
        self._reader_rpc.close()
        self._writer_rpc.close()
        self.store.close()

    # --- the chain ---------------------------------------------------------------
    async def refresh(self) -> None:
        """Takes in what happened on chain since the last time."""
        async with self._polling:
            news = await asyncio.to_thread(self._reader.poll)
            if news.rewritten:
                log.warning("blocks were replaced: reading the chain again")
                self.facts.reset()
            known = len(self.facts.devices)
            for name, event in news.events:
                self.facts.apply(name, event)
            self.facts.block = news.head.number
            self.now = news.head.timestamp
            if len(self.facts.devices) != known:
                self.ledger.refresh_seen()
        for epoch in sorted(set(self.facts.archive_hashes) - self._booked):
            await self._book(epoch)
        await self.witness.judge()

    async def _book(self, epoch: int) -> None:
        """Marks the readings of a report on chain; fetches its bundle where this node was not there."""
        if epoch in self._booked:
            return
        archive_hash = self.facts.archive_hashes[epoch]
        for draft in self.drafts.values():
            if draft.report.archive_hash == archive_hash:
                keys: Sequence[Key] = draft.keys
                machines = draft.machines
                break
        else:
            content = await self._fetch_bundle(archive_hash)
            if content is None or epoch in self._booked:
                return
            bundle = decode_bundle(content)
            self.ledger.take([entry.envelope for entry in bundle.entries], self.now)
            keys, machines = keys_of(bundle), bundle.machines
        self.ledger.book(epoch, keys, machines)
        self._booked.add(epoch)
        self.store.forget_promises(epoch)
        self.drafts = {key: draft for key, draft in self.drafts.items() if draft.report.epoch > epoch}
        self.counters["epochs booked"] += 1

    async def _fetch_bundle(self, archive_hash: bytes) -> bytes | None:
        try:
            return self.archive.get("readings", archive_hash)
        except ArchiveError:
            async for content in self.peers.fetch(f"/bundles/{archive_hash.hex()}", 2.0):
                if sha256(content) == archive_hash:
                    self.archive.put("readings", content)
                    return content
        return None

    # --- readings ----------------------------------------------------------------
    async def ingest(self, body: bytes) -> Receipt:
        """Takes in a POST body of readings; raises WireError when the body itself cannot be read."""
        envelopes = decode_envelopes(body)
        receipt = Receipt()
        for first in range(0, len(envelopes), SLICE):
            part = self.ledger.take(envelopes[first : first + SLICE], self.now)
            receipt.accepted += part.accepted
            receipt.duplicates += part.duplicates
            receipt.refused += [(first + index, problem) for index, problem in part.refused]
            await asyncio.sleep(0)
        again = [(index, problem) for index, problem in receipt.refused if problem.retry]
        if again:
            await self.refresh()
            second = self.ledger.take([envelopes[index] for index, _ in again], self.now)
            receipt.accepted += second.accepted
            receipt.duplicates += second.duplicates
            receipt.refused = [item for item in receipt.refused if not item[1].retry]
            receipt.refused += [(again[position][0], problem) for position, problem in second.refused]
        if receipt.accepted and self.closed(self.facts.next_epoch):
            self.wake.set()
        return receipt

    # --- epochs ------------------------------------------------------------------
    def wanted(self, epoch: int) -> set[tuple[int, bytes]]:
        """The streams an epoch waits for, computed once per block."""
        if self._wanted[:2] != (epoch, self.facts.block):
            start, end = self.config.feed.interval(epoch)
            storage = self.ledger.history.storage()
            self._wanted = (epoch, self.facts.block, expected(self.facts, start, end, storage))
        return self._wanted[2]

    def closed(self, epoch: int) -> bool:
        """Whether an epoch may be reported: it is over, and complete or past its grace."""
        start, end = self.config.feed.interval(epoch)
        if self.now < end:
            return False
        if self.now >= end + self.config.grace_seconds:
            return True
        return not self.ledger.missing(self.wanted(epoch), start)

    def turn(self) -> tuple[int, int] | None:
        """(epoch, turn) to be led now, None when nothing is due; turns pass in wall time since it was due."""
        epoch = self.facts.next_epoch
        if (epoch and epoch - 1 not in self._booked) or not self.closed(epoch):
            return None
        if self._ready_since[0] != epoch:
            self._ready_since = (epoch, time.monotonic())
        elapsed, turn = time.monotonic() - self._ready_since[1], 0
        while elapsed >= (lasts := self._given(epoch, turn)):
            self.suspects.add(self.committee.leader(epoch, turn * ATTEMPTS))
            elapsed, turn = elapsed - lasts, turn + 1
        return epoch, max(turn, self._passed.get(epoch, 0))

    def _given(self, epoch: int, turn: int) -> float:
        """Wall seconds a turn is waited for: little where its leader let the last one pass."""
        suspected = self.committee.leader(epoch, turn * ATTEMPTS) in self.suspects
        return self.patience(turn) * (SUSPECTED_SHARE if suspected else 1.0)

    def pass_turn(self, epoch: int, turn: int) -> None:
        """Waits no longer for the leader of a turn, because it has proposed what is not true."""
        self.suspects.add(self.committee.leader(epoch, turn * ATTEMPTS))
        self._passed = {epoch: max(turn + 1, self._passed.get(epoch, 0))}
        self.wake.set()

    def patience(self, turn: int) -> float:
        """Seconds a turn lasts: twice the one before, so that some turn is long enough on a slow day."""
        return self.config.turn_seconds * 2.0**turn

    def draft(self, epoch: int) -> Draft:
        """The report this node would make."""
        start, end = self.config.feed.interval(epoch)
        due = fitting(self.facts, self.ledger.due(end), self.wanted(epoch), start)
        history = self.ledger.history
        machines = reportable(self.store.new_machines(), self.facts, self.chain_id, history)
        bundle, leaves = build_bundle(self.facts, self.chain_id, epoch, start, end, due, history, machines)
        return self._keep(bundle, encode_bundle(bundle), leaves)

    def _keep(self, bundle: Bundle, encoded: bytes, leaves: Sequence[Leaf]) -> Draft:
        digests = (self.facts.policy_hash, self.facts.head_hash, self.committee.config_digest)
        report = make_report(bundle, encoded, leaves, *digests)
        keys = tuple((leaf.reading.meter_id, leaf.reading.seq) for leaf in leaves)
        due = digest(self.contract.separator, report.struct_hash())
        draft = Draft(report, due, encoded, keys, bundle.machines)
        self.drafts[draft.digest] = draft
        return draft

    async def examine(self, epoch: int, encoded: bytes, justification: Lock | None = None) -> Draft:
        """The draft of a proposed bundle that is true for all this node knows; NotTrue if it is not."""
        if epoch != self.facts.next_epoch or not self.closed(epoch):
            await self.refresh()
        if epoch != self.facts.next_epoch:
            raise NotTrue(f"epoch {self.facts.next_epoch} is due, not {epoch}")
        if epoch and epoch - 1 not in self._booked:
            raise NotTrue(f"the bundle of epoch {epoch - 1} is not at hand")
        start, end = self.config.feed.interval(epoch)
        bundle = decode_bundle(encoded)
        proposed = {entry.envelope.payload for entry in bundle.entries}
        held = {item.envelope.payload for item in self.ledger.open.values()}
        unknown = [entry.envelope for entry in bundle.entries if entry.envelope.payload not in held]
        if unknown:
            receipt = self.ledger.take(unknown, self.now)
            if receipt.refused:
                raise NotTrue(f"a reading is not acceptable: {receipt.refused[0][1].text}", false=True)
        if not self.closed(epoch):
            raise NotTrue(f"epoch {epoch} is not closed at {self.now}: readings may still come")
        due = self.ledger.due(end)
        mine = [item for item in due if item.envelope.payload in proposed]
        if len(mine) != len(proposed):
            raise NotTrue(f"{len(proposed) - len(mine)} readings do not belong into this epoch")
        history = self.ledger.history
        if reportable(bundle.machines, self.facts, self.chain_id, history) != bundle.machines:
            raise NotTrue("a machine is not registered as the bundle says", false=True)
        rebuilt, leaves = build_bundle(
            self.facts, self.chain_id, epoch, start, end, mine, history, bundle.machines
        )
        if encode_bundle(rebuilt) != encoded:
            raise NotTrue("the bundle differs from what its readings make", false=True)
        draft = self._keep(rebuilt, encoded, leaves)
        best = fitting(self.facts, due, self.wanted(epoch), start)
        lacking = [item.envelope for item in best if item.envelope.payload not in proposed]
        if lacking and not self._certified(epoch, draft, justification):
            raise NotTrue(f"{len(lacking)} readings are left out", lacking)
        return draft

    def _certified(self, epoch: int, draft: Draft, lock: Lock | None) -> bool:
        """Whether a quorum has voted for the draft: readings that came since wait for a later epoch."""
        return (
            lock is not None
            and lock.report == draft.digest
            and self.committee.certifies(VOTE, epoch, lock.round_number, lock.report, lock.certificate)
        )

    # --- what the operator sees ----------------------------------------------------
    def health(self) -> dict[str, object]:
        """The node's state for people and supervisors."""
        epoch = self.facts.next_epoch
        start, end = self.config.feed.interval(epoch)
        missing = self.ledger.missing(self.wanted(epoch), start) if self.now >= end else self.wanted(epoch)
        return {
            "address": self.address,
            "chain_id": self.chain_id,
            "chain_time": self.now,
            "block": self.facts.block,
            "feed": self.config.feed.name,
            "next_epoch": epoch,
            "epoch_end": end,
            "expected": len(self.wanted(epoch)),
            "missing": len(missing),
            "closed": self.closed(epoch),
            "fault": self.config.fault,
            "submit_seconds": round(self.submit_seconds, 3),
            **self.ledger.counts(),
        }


def keys_of(bundle: Bundle) -> list[Key]:
    """(meter, seq) of the entries; raises WireError for a malformed payload or a foreign device."""
    keys = []
    for leaf, entry in zip(bundle.leaves(), bundle.entries, strict=True):
        if leaf.reading.meter_id != bundle.devices[entry.device].meter_id:
            raise WireError("bundle.entry.device", "is another meter than the reading's")
        keys.append((leaf.reading.meter_id, leaf.reading.seq))
    return keys


def envelopes_payload(envelopes: Sequence[Envelope]) -> bytes:
    """Envelopes as the payload of a `missing` answer."""
    return encode_envelopes(envelopes)
