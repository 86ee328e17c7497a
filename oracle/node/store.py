"""A node's SQLite store: accepted readings, what was set aside and why, and the node's promises.

One writer, write-ahead log, full synchronisation: what a call has stored survives the death of the process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from oracle.node.expect import Held
from oracle.wire.bundle import DeviceRecord
from oracle.wire.keys import sha256
from oracle.wire.reading import Envelope, decode_reading

_SCHEMA = """
CREATE TABLE IF NOT EXISTS readings (
  meter_id INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, agreement BLOB NOT NULL,
  start INTEGER NOT NULL, "end" INTEGER NOT NULL, quantity INTEGER NOT NULL, register INTEGER NOT NULL,
  payload BLOB NOT NULL, signature BLOB NOT NULL, x BLOB NOT NULL, y BLOB NOT NULL,
  evidence_hash BLOB NOT NULL, reported_epoch INTEGER,
  PRIMARY KEY (meter_id, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine (
  payload_hash BLOB PRIMARY KEY, payload BLOB NOT NULL, signature BLOB NOT NULL,
  field TEXT NOT NULL, problem TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS promises (
  epoch INTEGER NOT NULL, what TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (epoch, what)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS publications (start INTEGER PRIMARY KEY, content_hash BLOB NOT NULL);
"""


class Store:
    """Rows in, rows out; no rule of the oracle lives here."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    # --- readings -------------------------------------------------------------
    def add(self, items: Iterable[Held], set_aside: Iterable[tuple[Envelope, str, str]] = ()) -> None:
        """Stores accepted readings, in place of one with the same meter and seq, and quarantined ones."""
        rows = [_row(item) for item in items]
        aside = [(e.payload_hash, e.payload, e.signature, field, problem) for e, field, problem in set_aside]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT OR REPLACE INTO readings VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,NULL)", rows
            )
            self._db.executemany("INSERT OR IGNORE INTO quarantine VALUES (?,?,?,?,?)", aside)

    def find(self, meter_id: int, seq: int) -> tuple[bytes, int | None] | None:
        """(payload, epoch that reported it or None) of one reading, None when it is not held."""
        return self._db.execute(
            "SELECT payload, reported_epoch FROM readings WHERE meter_id=? AND seq=?", (meter_id, seq)
        ).fetchone()

    def unreported(self) -> Iterator[Held]:
        """Accepted readings that no report holds yet."""
        cursor = self._db.execute(
            "SELECT payload, signature, meter_id, x, y, evidence_hash FROM readings"
            " WHERE reported_epoch IS NULL"
        )
        for payload, signature, meter_id, x, y, evidence_hash in cursor:
            record = DeviceRecord(meter_id, x, y, evidence_hash)
            yield Held(decode_reading(payload), Envelope(payload, signature), record)

    def mark_reported(self, epoch: int, keys: Iterable[tuple[int, int]]) -> None:
        """Remembers that the report of `epoch` holds these (meter, seq)."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "UPDATE readings SET reported_epoch=? WHERE meter_id=? AND seq=? AND reported_epoch IS NULL",
                ((epoch, meter_id, seq) for meter_id, seq in keys),
            )
            self._db.execute("INSERT OR REPLACE INTO promises VALUES (?, 'booked', x'01')", (epoch,))

    def booked(self) -> set[int]:
        """Epochs whose reported readings are marked."""
        return {epoch for (epoch,) in self._db.execute("SELECT epoch FROM promises WHERE what='booked'")}

    def last_of_streams(self) -> Iterator[tuple[int, int, bytes, int, int, int]]:
        """(meter, kind, agreement, seq, end, register) of the latest reading of every stream."""
        yield from self._db.execute(
            'SELECT meter_id, kind, agreement, MAX(seq), "end", register FROM readings'
            " GROUP BY meter_id, kind, agreement"
        )

    def sequences(self) -> Iterator[tuple[int, int, int]]:
        """(meter, highest seq, number of readings) of every meter."""
        yield from self._db.execute("SELECT meter_id, MAX(seq), COUNT(*) FROM readings GROUP BY meter_id")

    def neighbours(
        self, meter_id: int, kind: int, agreement: bytes, seq: int
    ) -> tuple[tuple[int, int, int, int, int] | None, tuple[int, int, int, int, int] | None]:
        """(seq, start, end, quantity, register) of the readings just before and after `seq` in its stream."""
        query = (
            'SELECT seq, start, "end", quantity, register FROM readings'
            " WHERE meter_id=? AND kind=? AND agreement=? AND seq{} ORDER BY seq {} LIMIT 1"
        )
        key = (meter_id, kind, agreement, seq)
        before = self._db.execute(query.format("<?", "DESC"), key).fetchone()
        after = self._db.execute(query.format(">?", "ASC"), key).fetchone()
        return before, after

    def missing_between(self, meter_id: int, low: int, high: int) -> int:
        """How many seq strictly between `low` and `high` are not held."""
        held = self._db.execute(
            "SELECT COUNT(*) FROM readings WHERE meter_id=? AND seq>? AND seq<?", (meter_id, low, high)
        ).fetchone()[0]
        return high - low - 1 - int(held)

    def quarantine_size(self) -> int:
        """How many readings were set aside."""
        return int(self._db.execute("SELECT COUNT(*) FROM quarantine").fetchone()[0])

    def quarantined(self) -> list[tuple[bytes, str, str]]:
        """(payload hash, field, problem) of everything that was set aside."""
        return list(
            self._db.execute("SELECT payload_hash, field, problem FROM quarantine ORDER BY payload_hash")
        )

    # --- promises -------------------------------------------------------------
    def promise(self, epoch: int, what: str) -> bytes | None:
        """What this node has promised for an epoch under that name, None if nothing."""
        row = self._db.execute(
            "SELECT value FROM promises WHERE epoch=? AND what=?", (epoch, what)
        ).fetchone()
        return bytes(row[0]) if row else None

    def keep_promise(self, epoch: int, what: str, value: bytes) -> None:
        """Stores a promise before it is given."""
        self._db.execute("INSERT OR REPLACE INTO promises VALUES (?,?,?)", (epoch, what, value))

    def forget_promises(self, before: int) -> None:
        """Drops what was promised for epochs below `before`, except that they are booked."""
        self._db.execute("DELETE FROM promises WHERE epoch<? AND what<>'booked'", (before,))

    def publication(self, start: int) -> bytes | None:
        """The content hash this node signed for a batch start, None if none."""
        row = self._db.execute("SELECT content_hash FROM publications WHERE start=?", (start,)).fetchone()
        return bytes(row[0]) if row else None

    def keep_publication(self, start: int, content_hash: bytes) -> None:
        """Remembers what was signed for a batch start."""
        self._db.execute("INSERT OR REPLACE INTO publications VALUES (?,?)", (start, content_hash))


def _row(item: Held) -> tuple[object, ...]:
    reading, envelope, device = item.reading, item.envelope, item.device
    return (
        reading.meter_id,
        reading.seq,
        reading.kind,
        reading.agreement_id,
        reading.start,
        reading.end,
        reading.quantity,
        reading.register,
        envelope.payload,
        envelope.signature,
        device.x,
        device.y,
        device.evidence_hash,
    )


def payload_order(payload: bytes) -> bytes:
    """Of two signed readings with one seq, every node keeps the one with the smaller value of this."""
    return sha256(payload)
