"""A node's SQLite store: accepted readings, what was set aside and why, and the node's promises.

Readings that no report holds yet are written as they come, a whole batch in one row of `inbox`; once
reported they move to `readings`, where each can be found. What is written in a hurry is written in one piece.

One writer, write-ahead log, full synchronisation: what a call has stored survives the death of the process.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from oracle.node.expect import Held
from oracle.wire.bundle import DeviceRecord
from oracle.wire.keys import sha256
from oracle.wire.reading import NO_AGREEMENT, Envelope, Reading, decode_reading

MAX_QUARANTINE = 100_000
"""Rows set aside at most: whoever floods a node with rubbish must not fill its disk."""
_VERSION = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS devices (
  id INTEGER PRIMARY KEY, meter_id INTEGER NOT NULL, x BLOB NOT NULL, y BLOB NOT NULL,
  evidence_hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS readings (
  meter_id INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, agreement BLOB NOT NULL,
  device INTEGER NOT NULL, payload BLOB NOT NULL, signature BLOB NOT NULL, reported_epoch INTEGER NOT NULL,
  PRIMARY KEY (meter_id, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS fingerprints (
  mark INTEGER PRIMARY KEY, meter_id INTEGER NOT NULL, "end" INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS suspicions (
  epoch INTEGER NOT NULL, meter_id INTEGER NOT NULL, seq INTEGER NOT NULL, why TEXT NOT NULL,
  PRIMARY KEY (meter_id, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine (
  payload_hash BLOB PRIMARY KEY, payload BLOB NOT NULL, signature BLOB NOT NULL,
  field TEXT NOT NULL, problem TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS promises (
  epoch INTEGER NOT NULL, what TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (epoch, what)) WITHOUT ROWID;
DROP TABLE IF EXISTS machines;
CREATE TABLE IF NOT EXISTS registrations (
  meter_id INTEGER NOT NULL, measured_at INTEGER NOT NULL, payload BLOB NOT NULL, signature BLOB NOT NULL,
  epoch INTEGER, PRIMARY KEY (meter_id, measured_at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS publications (start INTEGER PRIMARY KEY, content_hash BLOB NOT NULL);
"""


_HEAD = struct.Struct(">IH")
"""Of an inbox entry: number of the device, size of the payload; payload and signature follow."""


_NOBODY: tuple[DeviceRecord | None, int] = (None, 0)
"""Records are found by identity first: hashing 100 bytes for every reading costs more than storing it."""


class StoreError(Exception):
    """A store file that this node cannot use."""


class StoreFull(StoreError):
    """The disk takes no more: nothing of the call was stored, and the sender must keep what it has."""


class Store:
    """Rows in, rows out; no rule of the oracle lives here."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA cache_size=-65536")  # 64 MiB
        self._db.execute("PRAGMA wal_autocheckpoint=8192")  # 32 MiB: a page written often is copied once
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION and self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise StoreError(f"{path}: is a store of version {version}, this node needs {_VERSION}")
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version={_VERSION}")
        self._devices = {
            DeviceRecord(*record): number for number, *record in self._db.execute("SELECT * FROM devices")
        }
        self._numbers: dict[int, tuple[DeviceRecord | None, int]] = {}

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def pages(self) -> int:
        """Pages in the file."""
        return int(self._db.execute("PRAGMA page_count").fetchone()[0])

    def limit_mib(self, most: int) -> None:
        """The file grows to this size and no further: then calls raise StoreFull."""
        page = int(self._db.execute("PRAGMA page_size").fetchone()[0])
        self.limit_pages((most << 20) // page)

    def limit_pages(self, most: int) -> None:
        """The file grows to this many pages and no further: then calls raise StoreFull."""
        self._db.execute(f"PRAGMA max_page_count={most}")

    # --- readings -------------------------------------------------------------
    def add(self, items: Iterable[Held], set_aside: Iterable[tuple[Envelope, str, str]] = ()) -> None:
        """Stores accepted readings, in place of one with the same meter and seq, and quarantined ones."""
        aside = [(e.payload_hash, e.payload, e.signature, field, problem) for e, field, problem in set_aside]
        if aside and self.quarantine_size() + len(aside) > MAX_QUARANTINE:
            aside = []
        known = len(self._devices)
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                self._write_inbox(items)
                if aside:
                    self._db.executemany("INSERT OR IGNORE INTO quarantine VALUES (?,?,?,?,?)", aside)
        except sqlite3.OperationalError as error:
            self._devices = dict(list(self._devices.items())[:known])
            self._numbers.clear()
            raise StoreFull(f"the store takes no more: {error}") from error

    def _write_inbox(self, items: Iterable[Held]) -> None:
        parts: list[bytes] = []
        new: list[tuple[object, ...]] = []
        devices, numbers = self._devices, self._numbers
        for _, (payload, signature), device in items:
            same, number = numbers.get(id(device), _NOBODY)
            if same is not device:
                number = devices.get(device, 0)
                if not number:
                    number = devices[device] = len(devices) + 1
                    new.append((number, device.meter_id, device.x, device.y, device.evidence_hash))
                numbers[id(device)] = device, number
            parts += (_HEAD.pack(number, len(payload)), payload, signature)
        if new:
            self._db.executemany("INSERT INTO devices VALUES (?,?,?,?,?)", new)
        if parts:
            self._db.execute("INSERT INTO inbox (body) VALUES (?)", (b"".join(parts),))

    def find(self, meter_id: int, seq: int) -> bytes | None:
        """The payload of a reported reading, None when there is none."""
        row = self._db.execute(
            "SELECT payload FROM readings WHERE meter_id=? AND seq=?", (meter_id, seq)
        ).fetchone()
        return bytes(row[0]) if row else None

    def unreported(self) -> Iterator[Held]:
        """Accepted readings that no report holds yet; of two with one meter and seq the later one stands."""
        records = {number: record for record, number in self._devices.items()}
        for (body,) in self._db.execute("SELECT body FROM inbox ORDER BY id"):
            at = 0
            while at < len(body):
                number, size = _HEAD.unpack_from(body, at)
                at += _HEAD.size
                stop = at + size
                payload, signature = body[at:stop], body[stop : stop + 64]
                at = stop + 64
                yield Held(decode_reading(payload), Envelope(payload, signature), records[number])

    def report(
        self,
        epoch: int,
        items: Iterable[Held],
        left: Iterable[Held],
        marks: Iterable[tuple[int, int, int]] = (),
        suspicions: Iterable[tuple[int, int, str]] = (),
        machines: Iterable[tuple[int, int, Envelope]] = (),
    ) -> None:
        """Remembers that the report of `epoch` holds these readings; `left` are all that stay unreported.

        `marks` are their new fingerprints (mark, meter, end), `suspicions` (meter, seq, why), `machines`
        (meter, measured at, document) of its registrations.
        """
        rows = []
        for reading, envelope, device in items:
            agreement = b"" if reading.agreement_id == NO_AGREEMENT else reading.agreement_id
            key = reading.meter_id, reading.seq, reading.kind, agreement
            rows.append((*key, self._devices[device], *envelope, epoch))
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR IGNORE INTO readings VALUES (?,?,?,?,?,?,?,?)", rows)
            self._db.executemany("INSERT OR IGNORE INTO fingerprints VALUES (?,?,?)", marks)
            self._db.executemany(
                "INSERT OR IGNORE INTO suspicions VALUES (?,?,?,?)", [(epoch, *row) for row in suspicions]
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO registrations VALUES (?,?,?,?,?)",
                [(meter, at, *envelope, epoch) for meter, at, envelope in machines],
            )
            self._db.execute("DELETE FROM inbox")
            self._write_inbox(left)
            self._db.execute("INSERT OR REPLACE INTO promises VALUES (?, 'booked', x'01')", (epoch,))

    def last_readings(self, meter_id: int, kind: int, most: int) -> list[Reading]:
        """The last reported readings of one kind of a meter, oldest first."""
        rows = self._db.execute(
            "SELECT payload FROM readings WHERE meter_id=? AND kind=? ORDER BY seq DESC LIMIT ?",
            (meter_id, kind, most),
        )
        return [decode_reading(payload) for (payload,) in rows][::-1]

    def origin(self, mark: int) -> tuple[int, int] | None:
        """(meter, end) of the first window with a fingerprint."""
        row = self._db.execute('SELECT meter_id, "end" FROM fingerprints WHERE mark=?', (mark,)).fetchone()
        return (row[0], row[1]) if row else None

    def suspicions(self, most: int = 1000) -> list[tuple[int, int, int, str]]:
        """(epoch, meter, seq, why) of the latest readings that were reported but not believed."""
        query = "SELECT * FROM suspicions ORDER BY epoch DESC, meter_id, seq LIMIT ?"
        return list(self._db.execute(query, (most,)))

    def suspicion_counts(self) -> dict[str, int]:
        """How many readings were not believed, by reason."""
        return dict(self._db.execute("SELECT why, COUNT(*) FROM suspicions GROUP BY why"))

    def booked(self) -> set[int]:
        """Epochs whose reported readings are marked."""
        return {epoch for (epoch,) in self._db.execute("SELECT epoch FROM promises WHERE what='booked'")}

    def last_of_streams(self) -> Iterator[tuple[int, int, bytes, int, int, int]]:
        """(meter, kind, agreement, seq, end, register) of the latest reported reading of every stream."""
        for payload, _ in self._db.execute(
            "SELECT payload, MAX(seq) FROM readings GROUP BY meter_id, kind, agreement"
        ):
            reading = decode_reading(payload)
            stream = reading.meter_id, reading.kind, reading.agreement_id
            yield *stream, reading.seq, reading.end, reading.register

    def sequences(self) -> Iterator[tuple[int, int, int]]:
        """(meter, highest seq, number of readings) of every meter, as far as they are reported."""
        yield from self._db.execute("SELECT meter_id, MAX(seq), COUNT(*) FROM readings GROUP BY meter_id")

    def neighbours(
        self, meter_id: int, kind: int, agreement: bytes, seq: int
    ) -> tuple[Reading | None, Reading | None]:
        """The reported readings just before and after `seq` in its stream."""
        query = (
            "SELECT payload FROM readings"
            " WHERE meter_id=? AND kind=? AND agreement=? AND seq{} ORDER BY seq {} LIMIT 1"
        )
        key = (meter_id, kind, b"" if agreement == NO_AGREEMENT else agreement, seq)
        before = self._db.execute(query.format("<?", "DESC"), key).fetchone()
        after = self._db.execute(query.format(">?", "ASC"), key).fetchone()
        return (
            decode_reading(before[0]) if before else None,
            decode_reading(after[0]) if after else None,
        )

    def reported_between(self, meter_id: int, low: int, high: int) -> int:
        """How many seq strictly between `low` and `high` are reported."""
        query = "SELECT COUNT(*) FROM readings WHERE meter_id=? AND seq>? AND seq<?"
        return int(self._db.execute(query, (meter_id, low, high)).fetchone()[0])

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

    def keep_machine(self, meter_id: int, measured_at: int, document: Envelope) -> None:
        """Keeps a machine's signed document until a report holds it."""
        self._db.execute(
            "INSERT OR IGNORE INTO registrations VALUES (?,?,?,?,NULL)", (meter_id, measured_at, *document)
        )

    def machines(self) -> list[bytes]:
        """The youngest document of every machine, by meter."""
        rows = self._db.execute("SELECT payload, MAX(measured_at) FROM registrations GROUP BY meter_id")
        return [payload for payload, _ in rows]

    def reported_machines(self) -> list[bytes]:
        """The documents that reports hold."""
        rows = self._db.execute("SELECT payload FROM registrations WHERE epoch IS NOT NULL")
        return [payload for (payload,) in rows]

    def new_machines(self) -> list[Envelope]:
        """The youngest document of every machine, where no report holds it yet."""
        rows = self._db.execute(
            "SELECT payload, signature, epoch, MAX(measured_at) FROM registrations GROUP BY meter_id"
        )
        return [Envelope(payload, signature) for payload, signature, epoch, _ in rows if epoch is None]

    def publication(self, start: int) -> bytes | None:
        """The content hash this node signed for a batch start, None if none."""
        row = self._db.execute("SELECT content_hash FROM publications WHERE start=?", (start,)).fetchone()
        return bytes(row[0]) if row else None

    def keep_publication(self, start: int, content_hash: bytes) -> None:
        """Remembers what was signed for a batch start."""
        self._db.execute("INSERT OR REPLACE INTO publications VALUES (?,?)", (start, content_hash))


def payload_order(payload: bytes) -> bytes:
    """Of two signed readings with one seq, every node keeps the one with the smaller value of this."""
    return sha256(payload)
