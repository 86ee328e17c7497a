"""The node's memory of reported readings, as the screening asks for it: fingerprints are in the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from oracle.node.store import Store
from oracle.wire.machine import decode_machine
from oracle.wire.memory import Mark, Memory
from oracle.wire.reading import Kind, Reading
from oracle.wire.screen import TAIL


class StoredHistory(Memory):
    """A `History` that survives a restart."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self.learn(map(decode_machine, store.reported_machines()))

    def tail(self, meter_id: int) -> Sequence[Reading]:
        """The last reported generation readings of a meter, oldest first."""
        tail = self._tails.get(meter_id)
        if tail is None:
            tail = self._tails[meter_id] = self._store.last_readings(meter_id, Kind.GENERATION, TAIL)
        return tail

    def origin(self, mark: int) -> tuple[int, int] | None:
        """(meter, end) of the first window that had a fingerprint."""
        return self._store.origin(mark)

    def _remember(self, marks: Iterable[Mark]) -> None:
        """The ledger writes them, in one transaction with the report's readings."""
