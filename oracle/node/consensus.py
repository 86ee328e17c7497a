"""How the committee comes to one report per epoch, though f of its 3f+1 members may crash, stall or lie.

A member signs at most one report per feed and epoch, because two would be slashed on chain. So the
signature comes last, after two rounds of votes that the leader of the turn collects (the scheme of
Tendermint):

1. propose: members who find the proposal true vote for it; a quorum of votes is a certificate.
2. lock: on a certificate a member locks on the report and says so; a quorum of locks is a decision.
3. sign: on a decision a member signs the report itself, and never another one.

The lead passes on by turns of wall time. A later leader asks for locks first and proposes what the highest
lock holds; a locked member votes for something else only against a certificate of a later round. Every vote
is stored before it is given, so that a restart changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from oracle.wire.errors import SignatureError
from oracle.wire.keys import address_of, join_signatures, keccak256, recover, sign_digest

PROPOSE, VOTE, LOCK = 0, 1, 2
ATTEMPTS = 16
"""Rounds in a turn: a leader that learns of a missing reading proposes again."""
_TAG = b"bitwatt/vote/1"


class Promises(Protocol):
    """Where votes are kept."""

    def promise(self, epoch: int, what: str) -> bytes | None: ...
    def keep_promise(self, epoch: int, what: str, value: bytes) -> None: ...


class Refusal(Exception):
    """A message that gets no vote, with the reason; `lock` is the lock that stands against it."""

    def __init__(self, reason: str, lock: Lock | None = None) -> None:
        super().__init__(reason)
        self.lock = lock


@dataclass(frozen=True, slots=True)
class Committee:
    """Members in ascending order of address (lower-case 0x), and how many make a quorum."""

    members: tuple[str, ...]
    quorum: int
    config_digest: bytes
    feed_id: bytes

    def leader(self, epoch: int, round_number: int) -> str:
        """Who leads a round."""
        return self.members[(epoch + round_number // ATTEMPTS) % len(self.members)]

    def vote_digest(self, phase: int, epoch: int, round_number: int, report: bytes) -> bytes:
        """What a member signs to vote for the report with that digest in a phase of a round."""
        numbers = bytes((phase,)) + epoch.to_bytes(8, "big") + round_number.to_bytes(8, "big")
        return keccak256(_TAG + self.config_digest + self.feed_id + numbers + report)

    def proposed(self, epoch: int, round_number: int, content: bytes, signature: bytes) -> bool:
        """Whether the leader of the round signed a proposal of that content (sha256 of its bundle)."""
        digest = self.vote_digest(PROPOSE, epoch, round_number, content)
        return self.leader(epoch, round_number) in self.signers(digest, [signature])

    def certifies(self, phase: int, epoch: int, round_number: int, report: bytes, signatures: bytes) -> bool:
        """Whether `signatures` (65 bytes each) are votes of a quorum of distinct members."""
        digest = self.vote_digest(phase, epoch, round_number, report)
        return len(self.signers(digest, _split(signatures))) >= self.quorum

    def signers(self, digest: bytes, signatures: Sequence[bytes]) -> dict[str, bytes]:
        """Valid signatures of `digest` by member."""
        found: dict[str, bytes] = {}
        for signature in signatures:
            try:
                signer = recover(digest, signature)
            except SignatureError:
                continue
            if signer in self.members:
                found[signer] = signature
        return found

    def without(self, members: Collection[str]) -> Committee:
        """The same committee, in which the signatures of some members do not count on chain."""
        return replace(self, members=tuple(member for member in self.members if member not in members))


def _split(signatures: bytes) -> list[bytes]:
    return [signatures[at : at + 65] for at in range(0, len(signatures), 65)]


@dataclass(frozen=True, slots=True)
class Lock:
    """A report a member is locked on, and the certificate of votes that justifies it."""

    round_number: int
    report: bytes
    certificate: bytes

    def encode(self) -> bytes:
        """As the store keeps it."""
        return self.round_number.to_bytes(8, "big") + self.report + self.certificate


def decode_lock(data: bytes) -> Lock:
    """The lock in stored bytes."""
    return Lock(int.from_bytes(data[:8], "big"), data[8:40], data[40:])


class Voter:
    """One member's votes. `report` is always the EIP-712 digest of a report the caller has found true."""

    def __init__(self, committee: Committee, secret: bytes, promises: Promises) -> None:
        self.committee, self._secret, self._promises = committee, secret, promises
        self.address = address_of(secret)

    def lock(self, epoch: int) -> Lock | None:
        """What this member is locked on."""
        stored = self._promises.promise(epoch, "lock")
        return decode_lock(stored) if stored else None

    def round_of(self, epoch: int) -> int:
        """The highest round this member has taken part in."""
        return int.from_bytes(self._promises.promise(epoch, "round") or b"", "big")

    def proposal(self, epoch: int, round_number: int, content: bytes) -> bytes:
        """A leader's signature under its proposal; `content` is the sha256 of the bundle."""
        return sign_digest(self._secret, self.committee.vote_digest(PROPOSE, epoch, round_number, content))

    def vote(
        self,
        epoch: int,
        round_number: int,
        report: bytes,
        content: bytes,
        proposal: bytes,
        justification: Lock | None = None,
    ) -> bytes:
        """Step 1: the vote for a report, whose bundle the leader proposed; raises Refusal."""
        committee = self.committee
        if not committee.proposed(epoch, round_number, content, proposal):
            raise Refusal(f"round {round_number} is not led by the proposer")
        self._enter(epoch, round_number)
        cast = self._promises.promise(epoch, "vote")
        mine = round_number.to_bytes(8, "big") + report
        if cast and cast[:8] == mine[:8] and cast != mine:
            raise Refusal(f"already voted for another report in round {round_number}")
        lock = self.lock(epoch)
        if lock and lock.report != report and not self._supersedes(epoch, lock, report, justification):
            raise Refusal(f"locked on another report since round {lock.round_number}", lock)
        self._promises.keep_promise(epoch, "vote", mine)
        return sign_digest(self._secret, committee.vote_digest(VOTE, epoch, round_number, report))

    def _supersedes(self, epoch: int, lock: Lock, report: bytes, other: Lock | None) -> bool:
        return (
            other is not None
            and other.report == report
            and other.round_number > lock.round_number
            and self.committee.certifies(VOTE, epoch, other.round_number, report, other.certificate)
        )

    def take_lock(self, epoch: int, round_number: int, report: bytes, certificate: bytes) -> bytes:
        """Step 2: locks on a certified report and says so; raises Refusal."""
        if not self.committee.certifies(VOTE, epoch, round_number, report, certificate):
            raise Refusal("the certificate lacks a quorum of votes")
        self._enter(epoch, round_number)
        self._promises.keep_promise(epoch, "lock", Lock(round_number, report, certificate).encode())
        return sign_digest(self._secret, self.committee.vote_digest(LOCK, epoch, round_number, report))

    def sign(self, epoch: int, round_number: int, report: bytes, decision: bytes) -> bytes:
        """Step 3: the signature that counts on chain; Refusal without a decision, or after another one."""
        if not self.committee.certifies(LOCK, epoch, round_number, report, decision):
            raise Refusal("the decision lacks a quorum of locks")
        signed = self._promises.promise(epoch, "signed")
        if signed not in (None, report):
            raise Refusal("another report of this epoch is signed already")
        self._promises.keep_promise(epoch, "signed", report)
        return sign_digest(self._secret, report)

    def _enter(self, epoch: int, round_number: int) -> None:
        current = self.round_of(epoch)
        if round_number < current:
            raise Refusal(f"round {round_number} is over, this is round {current}")
        if round_number > current:
            self._promises.keep_promise(epoch, "round", round_number.to_bytes(8, "big"))


def tally(committee: Committee, digest: bytes, signatures: Sequence[bytes]) -> bytes | None:
    """The signatures of a quorum joined in the order the contract wants, None when they are too few."""
    found = committee.signers(digest, signatures)
    if len(found) < committee.quorum:
        return None
    return join_signatures(digest, list(found.values()))
