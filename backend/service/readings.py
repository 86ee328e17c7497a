"""Fills the table of readings from the archive's bundles, report by report; what is there is left alone."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from sqlmodel import Session, and_, col, select

from backend.service.context import Context
from backend.service.fills import archived
from backend.store.bulk import Row, insert_all
from backend.store.chain import ReportRow
from backend.store.engine import Store
from backend.store.readings import MeterReading, ReadingsTaken, make_partition, month_of
from oracle.wire.bundle import decode_bundle
from oracle.wire.errors import WireError

log = logging.getLogger(__name__)
AT_ONCE = 8
AGAIN_SECONDS = 60
"""A bundle that the archive does not have is looked for again after this."""


class ReadingsFiller:
    """One step takes in a few reports; safe to run twice, since rows that are there are left alone."""

    def __init__(self, store: Store, archive: Path) -> None:
        self._store, self._archive = store, archive
        self._missing: dict[tuple[str, int], float] = {}
        self._months: set[str] = set()
        """Partitions that are surely there: making one locks the table, if only for a moment."""

    def step(self) -> bool:
        """Takes in what is new; whether there may be more to do at once."""
        with self._store.reading() as session:
            waiting = self._waiting(session)
        taken = [self._take(report) for report in waiting]
        return any(taken)

    def _waiting(self, session: Session) -> list[ReportRow]:
        now = time.monotonic()
        self._missing = {key: at for key, at in self._missing.items() if now - at < AGAIN_SECONDS}
        same = and_(
            col(ReadingsTaken.feed_id) == col(ReportRow.feed_id),
            col(ReadingsTaken.epoch) == col(ReportRow.epoch),
        )
        query = (
            select(ReportRow)
            .outerjoin(ReadingsTaken, same)
            .where(col(ReadingsTaken.epoch).is_(None))
            .order_by(col(ReportRow.epoch))
            .limit(AT_ONCE + len(self._missing))
        )
        found = session.exec(query).all()
        return [row for row in found if (row.feed_id, row.epoch) not in self._missing][:AT_ONCE]

    def _take(self, report: ReportRow) -> bool:
        data = archived(self._archive, "readings", report.archive_hash)
        try:
            rows = [] if data is None else _rows(report, data)
        except WireError as error:
            log.warning("the bundle of report %d is malformed: %s", report.epoch, error)
            data = None
        if data is None:
            self._missing[(report.feed_id, report.epoch)] = time.monotonic()
            return False
        with self._store.writing() as session:
            known = session.get(ReportRow, (report.feed_id, report.epoch))
            if known is None or known.report_hash != report.report_hash:
                return True  # a reorganisation came between
            for name, start in {month_of(row["start"])[0]: row["start"] for row in rows}.items():
                if name not in self._months:
                    make_partition(session, start)
            insert_all(session, MeterReading, rows)
            taken = {"feed_id": report.feed_id, "epoch": report.epoch, "readings": len(rows)}
            insert_all(session, ReadingsTaken, [taken | {"block_number": report.block_number}])
        self._months |= {month_of(row["start"])[0] for row in rows}
        return True


def _rows(report: ReportRow, data: bytes) -> list[Row]:
    return [
        {
            "meter_id": leaf.reading.meter_id,
            "start": leaf.reading.start,
            "kind": leaf.reading.kind,
            "seq": leaf.reading.seq,
            "end": leaf.reading.end,
            "agreement_id": int.from_bytes(leaf.reading.agreement_id),
            "quantity": leaf.reading.quantity,
            "register_value": leaf.reading.register,
            "quality": leaf.quality,
            "report_start": report.start,
            "leaf_index": index,
            "block_number": report.block_number,
        }
        for index, leaf in enumerate(decode_bundle(data).leaves())
    ]


def fill_all(store: Store, archive: Path) -> None:
    """Takes in every report whose bundle the archive has."""
    filler = ReadingsFiller(store, archive)
    while filler.step():
        pass


def series(
    context: Context, meter_id: int, start: int, end: int, after: tuple[int, int, int] | None, limit: int
) -> list[MeterReading]:
    """Readings of a meter that start in [start, end), oldest first, behind (start, kind, seq) `after`."""
    query = select(MeterReading).where(
        MeterReading.meter_id == meter_id, col(MeterReading.start) >= start, col(MeterReading.start) < end
    )
    if after is not None:
        at, kind, seq = after
        here = col(MeterReading.start) == at
        same = and_(here, col(MeterReading.kind) == kind, col(MeterReading.seq) > seq)
        later = (col(MeterReading.start) > at) | and_(here, col(MeterReading.kind) > kind) | same
        query = query.where(col(MeterReading.start) >= at, later)
    order = (col(MeterReading.start), col(MeterReading.kind), col(MeterReading.seq))
    with context.store.reading() as session:
        return list(session.exec(query.order_by(*order).limit(limit)).all())
