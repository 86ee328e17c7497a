"""The readings of a node: judged when they come, kept in the store, counted until they are reported."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from oracle.node.checks import Problem, continuity_problem, problem_of
from oracle.node.expect import Held, Stream, asset_stream, judge, meters_of
from oracle.node.facts import Facts
from oracle.node.history import StoredHistory
from oracle.node.store import Store, StoreFull, payload_order
from oracle.wire.errors import WireError
from oracle.wire.machine import decode_machine
from oracle.wire.memory import STORAGE_KINDS
from oracle.wire.reading import NO_AGREEMENT, Envelope, Reading, decode_reading

_STORAGE = frozenset(map(int, STORAGE_KINDS))
Key = tuple[int, int]
"""(meter, seq)"""


Tip = tuple[int, int, int]
"""(seq, end, register) of the latest reading of a stream (meter, kind, agreement)."""


@dataclass(slots=True)
class Receipt:
    """What became of a batch of envelopes; `refused` is (index in the batch, problem)."""

    accepted: int = 0
    duplicates: int = 0
    refused: list[tuple[int, Problem]] = field(default_factory=list)


class Ledger:
    """Accepted readings by meter and seq; every rule is deterministic, so that honest nodes agree."""

    def __init__(self, store: Store, facts: Facts, chain_id: int) -> None:
        self._store, self._facts, self._chain_id = store, facts, chain_id
        self.history = StoredHistory(store)
        self.counters: Counter[str] = Counter()
        for why, count in store.suspicion_counts().items():
            self.counters[f"suspected {why}"] = count
        self._load()

    def counts(self) -> dict[str, int]:
        """Numbers of accepted, unreported and quarantined readings."""
        aside = self._store.quarantine_size()
        return {"accepted": self._total, "unreported": len(self.open), "quarantined": aside}

    def _load(self) -> None:
        """Everything in memory, as the store has it."""
        self.open: dict[Key, Held] = {}
        self._tips: dict[tuple[int, int, bytes], Tip] = {}
        self._next_seq: dict[int, int] = {}
        self._seen: defaultdict[int, set[Stream]] = defaultdict(set)
        self._open_seqs: dict[int, list[int]] = {}
        self._total = 0
        out_of_order = self.counters["out of order"]
        self.counters["gaps"] = 0
        for meter_id, kind, agreement, seq, end, register in self._store.last_of_streams():
            self._tips[meter_id, kind, agreement] = seq, end, register
            if agreement == NO_AGREEMENT:
                self.history.note(meter_id, kind, seq, register)
        for meter_id, highest, count in self._store.sequences():
            self._next_seq[meter_id] = highest + 1
            self.counters["gaps"] += highest + 1 - count
            self._total += count
        for item in self._store.unreported():
            key = item.reading.meter_id, item.reading.seq
            self._advance(item.reading, key in self.open)
            self.open[key] = item
        self.counters["out of order"] = out_of_order

    # --- reading in -----------------------------------------------------------
    def take(self, envelopes: Sequence[Envelope], now: int) -> Receipt:
        """Judges a batch and stores what it accepts and what it sets aside in one transaction."""
        receipt = Receipt()
        accepted: dict[Key, Held] = {}
        aside: list[tuple[Envelope, str, str]] = []
        for index, judged in enumerate(self._verified(envelopes)):
            if isinstance(judged, Held):
                judged = self._judge(judged, now)
            if isinstance(judged, Held):
                reading = judged.reading
                key = reading.meter_id, reading.seq
                self._advance(reading, key in self.open)
                accepted[key] = self.open[key] = judged
            elif judged is None:
                receipt.duplicates += 1
            else:
                receipt.refused.append((index, judged))
                self.counters[f"refused {judged.field}"] += 1
                if not judged.retry:
                    aside.append((envelopes[index], judged.field, judged.text))
        receipt.accepted = len(envelopes) - receipt.duplicates - len(receipt.refused)
        if accepted or aside:
            try:
                self._store.add(accepted.values(), aside)
            except StoreFull:
                self._load()  # what could not be written was not accepted
                raise
        self.counters["accepted"] += receipt.accepted
        self.counters["duplicates"] += receipt.duplicates
        return receipt

    def _verified(self, envelopes: Sequence[Envelope]) -> list[Held | Problem | None]:
        """Every envelope parsed, then every signature checked: two tight loops are quicker than one wide one.

        None stands for the bytes of a reading that is held already.
        """
        devices, held_already = self._facts.devices, self.open
        found: list[Held | Problem | None] = []
        checks = []
        for index, envelope in enumerate(envelopes):
            try:
                reading = decode_reading(envelope.payload)
            except WireError as error:
                found.append(Problem(error.field, str(error)))
                continue
            meter_id = reading.meter_id
            same = held_already.get((meter_id, reading.seq))
            if same is not None and same.envelope.payload == envelope.payload:
                found.append(None)
                continue
            device = devices.get(meter_id)
            if device is None:
                found.append(Problem("reading.meter_id", f"meter {meter_id} is not attested", retry=True))
                continue
            found.append(Held(reading, envelope, device.record))
            checks.append((index, device.key, envelope))
        for index, key, envelope in checks:
            if not key.verify(envelope.payload, envelope.signature):
                found[index] = Problem("envelope.signature", "is not the registered key's low-s signature")
        return found

    def _judge(self, held: Held, now: int) -> Held | Problem | None:
        """The reading to keep, why not, or None for a duplicate; its signature holds."""
        reading = held.reading
        meter_id = reading.meter_id
        problem = problem_of(reading, self._facts.devices[meter_id], self._facts, self._chain_id, now)
        if problem:
            return problem
        if reading.seq < self._next_seq.get(meter_id, 0):
            key = meter_id, reading.seq
            same = self.open.get(key)
            stored = same.envelope.payload if same else self._store.find(*key)
            if stored is not None:
                return self._conflict(held, stored, reported=same is None)
            problem = self._late_problem(reading)
        else:
            tip = self._tips.get((meter_id, reading.kind, reading.agreement_id))
            if tip is not None:
                problem = self._tip_problem(reading, tip)
        return problem or held

    def _conflict(self, held: Held, payload: bytes, reported: bool) -> Held | Problem | None:
        """A second reading under one seq: the same bytes, or a device that signs two values.

        Until one is reported, the one with the smaller hash stands, on every node alike.
        """
        if payload == held.envelope.payload:
            return None
        self.counters["equivocating devices"] += 1
        if reported or payload_order(payload) < payload_order(held.envelope.payload):
            meter_id, seq = held.reading.meter_id, held.reading.seq
            return Problem("reading.seq", f"meter {meter_id} signed two readings with seq {seq}")
        return held

    def _tip_problem(self, reading: Reading, tip: Tip) -> Problem | None:
        """Continuity of a reading that comes in order."""
        last_seq, last_end, register = tip
        expected = self._next_seq[reading.meter_id]
        if reading.register == register + reading.quantity and reading.start >= last_end:
            return None
        gap = reading.seq != expected or self._hole(reading.meter_id, last_seq, expected)
        return continuity_problem(reading, (last_seq, 0, last_end, 0, register), None, gap, False)

    def _hole(self, meter_id: int, low: int, high: int) -> bool:
        """Whether a seq strictly between is missing; asked of the store only where there are gaps at all."""
        if high - low <= 1 or not self.counters["gaps"]:
            return False
        return self._missing_between(meter_id, low, high) > 0

    def _missing_between(self, meter_id: int, low: int, high: int) -> int:
        """How many seq strictly between are not held."""
        seqs = self._open_seqs.get(meter_id, [])
        waiting = bisect_left(seqs, high) - bisect_right(seqs, low)
        return high - low - 1 - waiting - self._store.reported_between(meter_id, low, high)

    def _late_problem(self, reading: Reading) -> Problem | None:
        """Continuity of a reading that fills a gap, against its neighbours in the stream."""
        meter_id, seq = reading.meter_id, reading.seq
        before, after = self._store.neighbours(meter_id, reading.kind, reading.agreement_id, seq)
        seqs = self._open_seqs.get(meter_id, [])
        place = bisect_left(seqs, seq)
        before = self._nearest(reading, reversed(seqs[:place]), before)
        after = self._nearest(reading, iter(seqs[place:]), after)
        gap_before = before is not None and self._missing_between(meter_id, before.seq, seq) > 0
        gap_after = after is not None and self._missing_between(meter_id, seq, after.seq) > 0
        return continuity_problem(reading, _facts_of(before), _facts_of(after), gap_before, gap_after)

    def _nearest(self, reading: Reading, seqs: Iterator[int], reported: Reading | None) -> Reading | None:
        """The nearer of the first unreported reading of the same stream among `seqs` and a reported one."""
        for seq in seqs:
            found = self.open[reading.meter_id, seq].reading
            if (found.kind, found.agreement_id) == (reading.kind, reading.agreement_id):
                return min((found, reported or found), key=lambda item: abs(item.seq - reading.seq))
        return reported

    def _advance(self, reading: Reading, replaces: bool) -> None:
        meter_id, kind, agreement, seq = reading.meter_id, reading.kind, reading.agreement_id, reading.seq
        due = self._next_seq.get(meter_id, 0)
        if seq >= due:
            if seq > due:
                self.counters["gaps"] += seq - due
            self._next_seq[meter_id] = seq + 1
        elif not replaces:
            self.counters["gaps"] -= 1
            self.counters["out of order"] += 1
        if not replaces:
            self._total += 1
            seqs = self._open_seqs.get(meter_id)
            if seqs is None:
                self._open_seqs[meter_id] = [seq]
            elif seq > seqs[-1]:
                seqs.append(seq)
            else:
                insort(seqs, seq)
        key = meter_id, kind, agreement
        tip = self._tips.get(key)
        if tip is None or seq >= tip[0]:
            self._tips[key] = seq, reading.end, reading.register
        self._see(reading)

    def _see(self, reading: Reading) -> None:
        """Notes that the stream has a reading of its interval, once the meter is known from the chain."""
        agreement = reading.agreement_id
        if reading.kind in _STORAGE:
            agreement = asset_stream(reading.kind, reading.meter_id)[1]
        elif agreement == NO_AGREEMENT:
            device = self._facts.devices.get(reading.meter_id)
            if device is None:
                return
            agreement = device.asset_word
        self._seen[reading.start].add((reading.kind, agreement))

    # --- epochs ----------------------------------------------------------------
    def missing(self, wanted: Iterable[Stream], start: int) -> set[Stream]:
        """Those of the wanted streams that have no reading beginning at `start`."""
        return set(wanted) - self._seen[start]

    def due(self, end: int) -> list[Held]:
        """Unreported readings of intervals that end by `end`, the late ones of earlier epochs too."""
        return [item for item in self.open.values() if item.reading.end <= end]

    def book(self, epoch: int, keys: Iterable[Key], machines: Sequence[Envelope] = ()) -> None:
        """Marks readings, and machines that registered, as reported by an epoch on chain."""
        items = [item for key in keys if (item := self.open.pop(key, None))]
        _, doubts = judge(self._facts, items, self.history)
        readings = [item.reading for item in items]
        marks = self.history.absorb(readings, meters_of(readings, self._facts, self.history))
        documents = [(decode_machine(envelope.payload), envelope) for envelope in machines]
        self.history.learn(found for found, _ in documents)
        suspicions = [(*key, doubt.value) for key, doubt in doubts.items()]
        registered = [(found.meter_id, found.measured_at, envelope) for found, envelope in documents]
        self._store.report(epoch, items, self.open.values(), marks, suspicions, registered)
        for _, _, why in suspicions:
            self.counters[f"suspected {why}"] += 1
        for item in items:
            meter_id = item.reading.meter_id
            seqs = self._open_seqs[meter_id]
            seqs.remove(item.reading.seq)
            if not seqs:
                del self._open_seqs[meter_id]
            self._seen.pop(item.reading.start, None)

    def refresh_seen(self) -> None:
        """Counts the open readings again, once the chain's devices are known after a start."""
        for item in self.open.values():
            self._see(item.reading)


def _facts_of(reading: Reading | None) -> tuple[int, int, int, int, int] | None:
    if reading is None:
        return None
    return reading.seq, reading.start, reading.end, reading.quantity, reading.register
