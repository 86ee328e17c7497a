"""The spool of an agent: sequence numbers, registers and signed readings, on disk before anything is posted.

A crash at any moment loses no reading and never uses a sequence number twice: seq, register, row position
and the signed reading change in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oracle.agents.fleet import Row
from oracle.agents.live import Mark
from oracle.wire.keys import DeviceKey
from oracle.wire.reading import Envelope, Reading, seal

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meters (meter_id INTEGER PRIMARY KEY, next_seq INTEGER, next_row INTEGER);
DROP TABLE IF EXISTS marks;
CREATE TABLE IF NOT EXISTS states (
  meter_id INTEGER NOT NULL, kind INTEGER NOT NULL, "end" INTEGER NOT NULL, register_mwh INTEGER NOT NULL,
  late INTEGER NOT NULL, PRIMARY KEY (meter_id, kind)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS registers (
  meter_id INTEGER, kind INTEGER, agreement BLOB, value INTEGER,
  PRIMARY KEY (meter_id, kind, agreement)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS readings (id INTEGER PRIMARY KEY, payload BLOB NOT NULL, signature BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
  node TEXT NOT NULL, id INTEGER NOT NULL, due INTEGER NOT NULL, PRIMARY KEY (node, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (node, due);
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """A row of a device that has come to its end."""

    meter_id: int
    key: DeviceKey
    row: Row


class Spool:
    """SQLite; one process owns it."""

    def __init__(self, path: Path, nodes: Sequence[str], chain_id: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._nodes, self._chain_id = tuple(nodes), chain_id
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)
        self._meters = {
            meter_id: (next_seq, next_row)
            for meter_id, next_seq, next_row in self._db.execute("SELECT * FROM meters")
        }
        self._registers: dict[tuple[int, int, bytes], int] = {
            (meter_id, kind, agreement): value
            for meter_id, kind, agreement, value in self._db.execute("SELECT * FROM registers")
        }

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def next_row(self, meter_id: int) -> int:
        """How many rows of a device's replay are spooled already."""
        return self._meters.get(meter_id, (0, 0))[1]

    def mark(self, meter_id: int, kind: int) -> Mark | None:
        """Where the register of a kind of a device with a driver stood last."""
        row = self._db.execute(
            'SELECT "end", register_mwh, late FROM states WHERE meter_id=? AND kind=?', (meter_id, kind)
        ).fetchone()
        return Mark(row[0], row[1], bool(row[2])) if row else None

    def measure(self, items: Iterable[Measured], marks: Mapping[tuple[int, int], Mark] | None = None) -> int:
        """Signs readings for rows that have ended and puts them out to every node; returns how many.

        `marks` are the register states of (meter, kind) that the rows lead up to: they change in the same
        transaction.
        """
        meters: dict[int, tuple[int, int]] = {}
        registers: dict[tuple[int, int, bytes], int] = {}
        sealed: list[tuple[Envelope, int]] = []
        for item in items:
            row, meter_id = item.row, item.meter_id
            seq, position = meters.get(meter_id) or self._meters.get(meter_id, (0, 0))
            stream = (meter_id, row.kind, row.agreement_id)
            register = registers.get(stream, self._registers.get(stream, 0)) + row.quantity
            reading = Reading(
                self._chain_id,
                meter_id,
                row.kind,
                row.agreement_id,
                seq,
                row.start,
                row.end,
                row.quantity,
                register,
                row.quality,
            )
            sealed.append((seal(item.key, reading), row.end + row.delay_seconds))
            meters[meter_id] = (seq + 1, position + 1)
            registers[stream] = register
        if sealed or marks:
            self._write(meters, registers, sealed, marks or {})
            self._meters.update(meters)
            self._registers.update(registers)
        return len(sealed)

    def _write(
        self,
        meters: dict[int, tuple[int, int]],
        registers: dict[tuple[int, int, bytes], int],
        sealed: list[tuple[Envelope, int]],
        marks: Mapping[tuple[int, int], Mark],
    ) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            first = self._db.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM readings").fetchone()[0]
            self._db.executemany(
                "INSERT OR REPLACE INTO meters VALUES (?,?,?)",
                [(meter_id, *state) for meter_id, state in meters.items()],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO states VALUES (?,?,?,?,?)",
                [(*stream, *mark) for stream, mark in marks.items()],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO registers VALUES (?,?,?,?)",
                [(*stream, value) for stream, value in registers.items()],
            )
            self._db.executemany(
                "INSERT INTO readings VALUES (?,?,?)",
                [
                    (first + offset, envelope.payload, envelope.signature)
                    for offset, (envelope, _) in enumerate(sealed)
                ],
            )
            self._db.executemany(
                "INSERT INTO outbox VALUES (?,?,?)",
                [
                    (node, first + offset, due)
                    for offset, (_, due) in enumerate(sealed)
                    for node in self._nodes
                ],
            )

    def due(self, node: str, now: int, limit: int) -> list[tuple[int, Envelope]]:
        """(id, envelope) of what is to be posted to a node by chain time `now`, oldest first."""
        rows = self._db.execute(
            "SELECT readings.id, payload, signature FROM outbox JOIN readings USING (id)"
            " WHERE node=? AND due<=? ORDER BY readings.id LIMIT ?",
            (node, now, limit),
        )
        return [(number, Envelope(payload, signature)) for number, payload, signature in rows]

    def posted(self, node: str, ids: Iterable[int]) -> None:
        """Takes what a node has off its outbox."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "DELETE FROM outbox WHERE node=? AND id=?", [(node, number) for number in ids]
            )

    def waiting(self, node: str | None = None) -> int:
        """How many readings are still to be posted (to one node, or to the one that has fewest)."""
        if node is not None:
            return int(self._db.execute("SELECT COUNT(*) FROM outbox WHERE node=?", (node,)).fetchone()[0])
        return min(self.waiting(name) for name in self._nodes)
