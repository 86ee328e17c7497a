"""The node's memory of reported generation, as the screening asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from oracle.node.expect import metered_of
from oracle.node.facts import Facts
from oracle.node.store import Store
from oracle.wire.reading import Kind, Reading
from oracle.wire.screen import TAIL, WINDOW, contiguous, fingerprint, keep


class StoredHistory:
    """Tails of meters in memory, fingerprints in the store; a `History` of the screening."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tails: dict[int, list[Reading]] = {}

    def tail(self, meter_id: int) -> Sequence[Reading]:
        """The last reported generation readings of a meter, oldest first."""
        tail = self._tails.get(meter_id)
        if tail is None:
            tail = self._tails[meter_id] = self._store.last_readings(meter_id, Kind.GENERATION, TAIL)
        return tail

    def origin(self, mark: int) -> tuple[int, int] | None:
        """(meter, end) of the first window that had a fingerprint."""
        return self._store.origin(mark)

    def absorb(self, readings: Iterable[Reading], facts: Facts) -> list[tuple[int, int, int]]:
        """Takes in what a report holds; returns (fingerprint, meter, end) rows for the store."""
        marks = []
        for reading in sorted(readings, key=lambda item: (item.start, item.meter_id, item.seq)):
            device = facts.devices.get(reading.meter_id)
            metered = metered_of(device, facts) if device else None
            if reading.kind != Kind.GENERATION or metered is None:
                continue
            tail = list(self.tail(reading.meter_id))
            mark = fingerprint(contiguous(tail, reading)[-WINDOW:], metered)
            if mark is not None:
                marks.append((mark, reading.meter_id, reading.end))
            keep(tail, reading)
            self._tails[reading.meter_id] = tail
        return marks
