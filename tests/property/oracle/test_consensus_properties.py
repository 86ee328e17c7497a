"""Safety of the committee's agreement under loss, rotation, and a member that says anything to anyone."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.node.consensus import ATTEMPTS, LOCK, PROPOSE, VOTE, Committee, Lock, Refusal, Voter, tally
from oracle.wire.keys import address_of, sha256, sign_digest

SECRETS = sorted((sha256(bytes([number])) for number in range(4)), key=address_of)
COMMITTEE = Committee(tuple(address_of(secret) for secret in SECRETS), 3, bytes(32), bytes(32))
EPOCH = 0
REPORTS = [sha256(b"report A"), sha256(b"report B")]


class Memory:
    """Promises in a dictionary; survives the voter."""

    def __init__(self) -> None:
        self.table: dict[tuple[int, str], bytes] = {}

    def promise(self, epoch: int, what: str) -> bytes | None:
        return self.table.get((epoch, what))

    def keep_promise(self, epoch: int, what: str, value: bytes) -> None:
        self.table[epoch, what] = value


class World:
    """Three honest members, one liar (the last), a network that loses messages."""

    def __init__(self, seed: int, loss: float) -> None:
        self.random = random.Random(seed)
        self.loss = loss
        self.memories = [Memory() for _ in range(3)]
        self.final: dict[int, set[bytes]] = {number: set() for number in range(3)}
        self.signatures: dict[bytes, list[bytes]] = {report: [] for report in REPORTS}
        self.votes: dict[tuple[int, int, bytes], list[bytes]] = {}
        self.kept: list[tuple[int, bytes, bytes]] = []  # certificates the liar brings back later

    def voter(self, number: int) -> Voter:
        """A member as it is after a restart: nothing but its promises."""
        return Voter(COMMITTEE, SECRETS[number], self.memories[number])

    def arrives(self) -> bool:
        return self.random.random() >= self.loss

    def highest_lock(self) -> Lock | None:
        locks = [self.voter(number).lock(EPOCH) for number in range(3) if self.arrives()]
        found = [lock for lock in locks if lock]
        return max(found, key=lambda lock: lock.round_number, default=None)

    def collect(self, phase: int, round_number: int, report: bytes, lies: bool) -> bytes | None:
        digest = COMMITTEE.vote_digest(phase, EPOCH, round_number, report)
        votes = list(self.votes.get((phase, round_number, report), []))
        if lies:
            votes.append(sign_digest(SECRETS[3], digest))
        return tally(COMMITTEE, digest, votes)

    def votes_for(self, round_number: int, report: bytes, receivers: list[int], leader: int) -> bytes | None:
        """First step: (certificate for) the report the leader proposes to `receivers`."""
        lock = self.highest_lock() if leader < 3 else None
        proposal = sign_digest(SECRETS[leader], COMMITTEE.vote_digest(PROPOSE, EPOCH, round_number, report))
        for number in receivers:
            if self.arrives():
                try:
                    vote = self.voter(number).vote(EPOCH, round_number, report, report, proposal, lock)
                    self.votes.setdefault((VOTE, round_number, report), []).append(vote)
                except Refusal:
                    pass
        certificate = self.collect(VOTE, round_number, report, lies=True)
        if certificate:
            self.kept.append((round_number, report, certificate))
        return certificate

    def locks_on(
        self, round_number: int, report: bytes, receivers: list[int], certificate: bytes
    ) -> bytes | None:
        """Second step: (decision on) a certified report."""
        for number in receivers:
            if self.arrives():
                try:
                    vote = self.voter(number).take_lock(EPOCH, round_number, report, certificate)
                    self.votes.setdefault((LOCK, round_number, report), []).append(vote)
                except Refusal:
                    pass
        return self.collect(LOCK, round_number, report, lies=True)

    def signatures_under(self, round_number: int, report: bytes, decision: bytes) -> None:
        """Third step."""
        for number in range(3):
            if self.arrives():
                try:
                    signature = self.voter(number).sign(EPOCH, round_number, report, decision)
                    self.final[number].add(report)
                    self.signatures[report].append(signature)
                except Refusal:
                    pass

    def round(self, round_number: int, report: bytes, leader: int) -> None:
        """An honest leader's round, as far as it comes."""
        lock = self.highest_lock()
        report = lock.report if lock else report
        everybody = [0, 1, 2]
        certificate = self.votes_for(round_number, report, everybody, leader)
        decision = certificate and self.locks_on(round_number, report, everybody, certificate)
        if decision:
            self.signatures_under(round_number, report, decision)

    def split(self, round_number: int) -> None:
        """The liar's round: both reports at once, each shown to whom it likes, in any order."""

        def some() -> list[int]:
            return self.random.sample(range(3), self.random.randint(1, 3))

        certificates = {report: self.votes_for(round_number, report, some(), 3) for report in REPORTS}
        assert len([certificate for certificate in certificates.values() if certificate]) < 2
        for old_round, report, certificate in self.random.sample(self.kept, len(self.kept)):
            decision = self.locks_on(old_round, report, some(), certificate)
            if decision:
                self.signatures_under(old_round, report, decision)


LIAR = 3


def leader_of(turn: int) -> int:
    return COMMITTEE.members.index(COMMITTEE.leader(EPOCH, turn * ATTEMPTS))


@given(seed=st.integers(0, 2**64), loss=st.sampled_from([0.0, 0.1, 0.25, 0.4]))
@settings(max_examples=40, deadline=None)
def test_no_member_signs_two_reports_and_no_two_get_a_quorum(seed: int, loss: float) -> None:
    world = World(seed, loss)
    turn = 0
    for _ in range(6):
        turn += world.random.randint(1, 3)
        if world.random.random() < 0.5:  # the others time out until the liar leads
            turn += (LIAR - leader_of(turn)) % 4
        for attempt in range(world.random.randint(1, 2)):
            if leader_of(turn) == LIAR:
                world.split(turn * ATTEMPTS + attempt)
            else:
                world.round(turn * ATTEMPTS + attempt, world.random.choice(REPORTS), leader_of(turn))
    assert all(len(reports) <= 1 for reports in world.final.values())
    assert not (world.signatures[REPORTS[0]] and world.signatures[REPORTS[1]])


@given(seed=st.integers(0, 2**32), turns=st.integers(0, 6))
@settings(max_examples=20, deadline=None)
def test_once_messages_arrive_an_honest_turn_decides(seed: int, turns: int) -> None:
    world = World(seed, 0.5)
    for turn in range(turns):
        if leader_of(turn) == LIAR:
            world.split(turn * ATTEMPTS)
        else:
            world.round(turn * ATTEMPTS, world.random.choice(REPORTS), leader_of(turn))
    world.loss = 0.0
    for turn in range(turns, turns + 2):
        if leader_of(turn) != LIAR:
            world.round(turn * ATTEMPTS, world.random.choice(REPORTS), leader_of(turn))
    decided = [report for report in REPORTS if world.signatures[report]]
    assert len(decided) == 1
    assert len({bytes(item) for item in world.signatures[decided[0]]}) >= 3
