"""The readings of a node: judged when they come, kept in the store, counted until they are reported."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from oracle.node.checks import Problem, continuity_problem, problem_of
from oracle.node.expect import Held, Stream, stream_of
from oracle.node.facts import Device, Facts
from oracle.node.store import Store, payload_order
from oracle.wire.bundle import DeviceRecord
from oracle.wire.errors import WireError
from oracle.wire.reading import Envelope, Reading, decode_reading

Key = tuple[int, int]
"""(meter, seq)"""


@dataclass(slots=True)
class _Tip:
    """The latest reading of a stream (meter, kind, agreement)."""

    seq: int
    end: int
    register: int


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
        self.open: dict[Key, Held] = {}
        self.counters: Counter[str] = Counter()
        self._tips: dict[tuple[int, int, bytes], _Tip] = {}
        self._next_seq: dict[int, int] = {}
        self._seen: defaultdict[int, set[Stream]] = defaultdict(set)
        self._total = 0
        self._load()

    def counts(self) -> dict[str, int]:
        """Numbers of accepted, unreported and quarantined readings."""
        aside = self._store.quarantine_size()
        return {"accepted": self._total, "unreported": len(self.open), "quarantined": aside}

    def _load(self) -> None:
        for meter_id, kind, agreement, seq, end, register in self._store.last_of_streams():
            self._tips[meter_id, kind, agreement] = _Tip(seq, end, register)
        for meter_id, highest, count in self._store.sequences():
            self._next_seq[meter_id] = highest + 1
            self.counters["gaps"] += highest + 1 - count
            self._total += count
        for item in self._store.unreported():
            self.open[item.reading.meter_id, item.reading.seq] = item

    # --- reading in -----------------------------------------------------------
    def take(self, envelopes: Sequence[Envelope], now: int) -> Receipt:
        """Judges a batch and stores what it accepts and what it sets aside in one transaction."""
        receipt = Receipt()
        accepted: dict[Key, Held] = {}
        aside: list[tuple[Envelope, str, str]] = []
        for index, envelope in enumerate(envelopes):
            judged = self._judge(envelope, now, accepted)
            if judged is None:
                receipt.duplicates += 1
            elif isinstance(judged, Problem):
                receipt.refused.append((index, judged))
                self.counters[f"refused {judged.field}"] += 1
                if not judged.retry:
                    aside.append((envelope, judged.field, judged.text))
            else:
                receipt.accepted += 1
                key = (judged.reading.meter_id, judged.reading.seq)
                replaces = key in self.open
                self._total += not replaces
                self._advance(judged.reading, replaces)
                accepted[key] = judged
                self.open[key] = judged
        if accepted or aside:
            self._store.add(accepted.values(), aside)
        self.counters["accepted"] += receipt.accepted
        self.counters["duplicates"] += receipt.duplicates
        return receipt

    def _judge(self, envelope: Envelope, now: int, pending: dict[Key, Held]) -> Held | Problem | None:
        """The reading to keep, why not, or None for a duplicate."""
        try:
            reading = decode_reading(envelope.payload)
        except WireError as error:
            return Problem(error.field, str(error))
        key = (reading.meter_id, reading.seq)
        same = self.open.get(key)
        if same is not None and same.envelope.payload == envelope.payload:
            return None
        device = self._facts.devices.get(reading.meter_id)
        if device is None:
            return Problem("reading.meter_id", f"meter {reading.meter_id} is not attested", retry=True)
        if not device.key.verify(envelope.payload, envelope.signature):
            return Problem("envelope.signature", "is not the registered key's low-s signature")
        problem = problem_of(reading, device, self._facts, self._chain_id, now)
        if problem:
            return problem
        if reading.seq < self._next_seq.get(reading.meter_id, 0):
            stored = (same.envelope.payload, None) if same else self._store.find(*key)
            if stored is not None:
                return self._conflict(envelope, reading, device_record(device), stored)
            problem = self._late_problem(reading, pending)
        else:
            problem = self._tip_problem(reading)
        return problem or Held(reading, envelope, device_record(device))

    def _conflict(
        self, envelope: Envelope, reading: Reading, record: DeviceRecord, stored: tuple[bytes, int | None]
    ) -> Held | Problem | None:
        """A second reading under one seq: the same bytes, or a device that signs two values.

        Until one is reported, the one with the smaller hash stands, on every node alike.
        """
        payload, reported = stored
        if payload == envelope.payload:
            return None
        self.counters["equivocating devices"] += 1
        if reported is not None or payload_order(payload) < payload_order(envelope.payload):
            return Problem(
                "reading.seq", f"meter {reading.meter_id} signed two readings with seq {reading.seq}"
            )
        return Held(reading, envelope, record)

    def _tip_problem(self, reading: Reading) -> Problem | None:
        """Continuity of a reading that comes in order."""
        tip = self._tips.get((reading.meter_id, reading.kind, reading.agreement_id))
        if tip is None:
            return None
        expected = self._next_seq.get(reading.meter_id, 0)
        gap = reading.seq != expected or self._hole(reading.meter_id, tip.seq, expected)
        return continuity_problem(reading, (tip.seq, 0, tip.end, 0, tip.register), None, gap, False)

    def _hole(self, meter_id: int, low: int, high: int) -> bool:
        """Whether a seq strictly between is missing; asked of the store only where there are gaps at all."""
        if high - low <= 1 or not self.counters["gaps"]:
            return False
        return self._store.missing_between(meter_id, low, high) > 0

    def _late_problem(self, reading: Reading, pending: dict[Key, Held]) -> Problem | None:
        """Continuity of a reading that fills a gap, against its neighbours in the store."""
        if pending:
            self._store.add(pending.values())
        before, after = self._store.neighbours(
            reading.meter_id, reading.kind, reading.agreement_id, reading.seq
        )
        missing = self._store.missing_between
        gap_before = before is not None and missing(reading.meter_id, before[0], reading.seq) > 0
        gap_after = after is not None and missing(reading.meter_id, reading.seq, after[0]) > 0
        return continuity_problem(reading, before, after, gap_before, gap_after)

    def _advance(self, reading: Reading, replaces: bool) -> None:
        due = self._next_seq.get(reading.meter_id, 0)
        if reading.seq >= due:
            self.counters["gaps"] += reading.seq - due
            self._next_seq[reading.meter_id] = reading.seq + 1
        elif not replaces:
            self.counters["gaps"] -= 1
            self.counters["out of order"] += 1
        key = (reading.meter_id, reading.kind, reading.agreement_id)
        tip = self._tips.get(key)
        if tip is None or reading.seq >= tip.seq:
            self._tips[key] = _Tip(reading.seq, reading.end, reading.register)
        self._seen[reading.start].add(stream_of(self._facts, reading))

    # --- epochs ----------------------------------------------------------------
    def missing(self, wanted: Iterable[Stream], start: int) -> set[Stream]:
        """Those of the wanted streams that have no reading beginning at `start`."""
        return set(wanted) - self._seen[start]

    def due(self, end: int) -> list[Held]:
        """Unreported readings of intervals that end by `end`, the late ones of earlier epochs too."""
        return [item for item in self.open.values() if item.reading.end <= end]

    def book(self, epoch: int, keys: Iterable[Key]) -> None:
        """Marks readings as reported by an epoch on chain."""
        known = list(keys)
        self._store.mark_reported(epoch, known)
        for key in known:
            if item := self.open.pop(key, None):
                self._seen.pop(item.reading.start, None)

    def refresh_seen(self) -> None:
        """Counts the open readings again, once the chain's devices are known after a start."""
        for item in self.open.values():
            if item.reading.meter_id in self._facts.devices:
                self._seen[item.reading.start].add(stream_of(self._facts, item.reading))


def device_record(device: Device) -> DeviceRecord:
    """The bundle's record of a chain device."""
    return DeviceRecord(device.meter_id, device.key.x, device.key.y, device.evidence_hash)
