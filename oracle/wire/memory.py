"""What screening remembers of earlier reports: all of it in memory, as the auditor keeps it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from oracle.wire.machine import Machine
from oracle.wire.reading import NO_AGREEMENT, Kind, Reading
from oracle.wire.screen import WINDOW, Metered, contiguous, fingerprint, keep

Mark = tuple[int, int, int]
"""(fingerprint, meter, end)"""
STORAGE_KINDS = (Kind.STORAGE_CHARGE, Kind.STORAGE_DISCHARGE)
_KEPT = (Kind.SITE_IMPORT, *STORAGE_KINDS)


class Memory:
    """A `History` of the screening."""

    def __init__(self) -> None:
        self._tails: dict[int, list[Reading]] = {}
        self._marks: dict[int, tuple[int, int]] = {}
        self._registers: dict[tuple[int, int], tuple[int, int]] = {}
        self._storage: set[int] = set()
        self._machines: dict[int, tuple[int, int]] = {}

    def tail(self, meter_id: int) -> Sequence[Reading]:
        """See History."""
        return self._tails.get(meter_id, ())

    def origin(self, mark: int) -> tuple[int, int] | None:
        """See History."""
        return self._marks.get(mark)

    def storage(self) -> Collection[int]:
        """See History."""
        return self._storage

    def register(self, meter_id: int, kind: int) -> int:
        """See History."""
        return self._registers.get((meter_id, kind), (0, 0))[1]

    def milli_vcu(self, meter_id: int) -> int | None:
        """See History."""
        found = self._machines.get(meter_id)
        return found[1] if found else None

    def measured_at(self, meter_id: int) -> int:
        """When the machine that was reported last was measured, unix seconds; 0 before the first."""
        return self._machines.get(meter_id, (0, 0))[0]

    def note(self, meter_id: int, kind: int, seq: int, register: int) -> None:
        """Remembers the register of an import or a storage, unless a later one is known."""
        if kind in STORAGE_KINDS:
            self._storage.add(meter_id)
        if kind in _KEPT and seq >= self._registers.get((meter_id, kind), (0, 0))[0]:
            self._registers[meter_id, kind] = seq, register

    def learn(self, machines: Iterable[Machine]) -> None:
        """Takes in the machines of a report; of two of one meter the younger stands."""
        for machine in machines:
            if machine.measured_at > self.measured_at(machine.meter_id):
                self._machines[machine.meter_id] = machine.measured_at, machine.milli_vcu

    def absorb(self, readings: Iterable[Reading], meters: Mapping[int, Metered]) -> list[Mark]:
        """Takes in what a report holds; returns its fingerprints in the order in which they came."""
        marks = []
        for reading in sorted(readings, key=lambda item: (item.start, item.meter_id, item.seq)):
            if reading.agreement_id == NO_AGREEMENT:
                self.note(reading.meter_id, reading.kind, reading.seq, reading.register)
            metered = meters.get(reading.meter_id)
            if reading.kind != Kind.GENERATION or metered is None:
                continue
            tail = list(self.tail(reading.meter_id))
            mark = fingerprint(contiguous(tail, reading)[-WINDOW:], metered)
            if mark is not None:
                marks.append((mark, reading.meter_id, reading.end))
            keep(tail, reading)
            self._tails[reading.meter_id] = tail
        self._remember(marks)
        return marks

    def _remember(self, marks: Iterable[Mark]) -> None:
        for mark, meter_id, end in marks:
            self._marks.setdefault(mark, (meter_id, end))
