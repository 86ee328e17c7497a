"""Readings of meters as the committee reported them, for whoever asks for a meter's series.

The archive and the root on chain are the truth; these rows can be filled again at any time. On PostgreSQL the
table is split by month of the readings' start: a query for a week touches a month or two, and old months
can be detached. Times in unix seconds, quantities in mWh or resource-milliseconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, text
from sqlmodel import Field, Session, SQLModel

from backend.store.types import Hex, Int256, UInt64


def _number(**kwargs: Any) -> Any:
    return Field(sa_column=Column(BigInteger, autoincrement=False, nullable=False, **kwargs))


class MeterReading(SQLModel, table=True):
    """One reading under a report. `leaf_index` is its place in the report's tree of `report_start`."""

    __tablename__ = "meter_reading"
    __table_args__ = (
        Index("meter_reading_block", "block_number"),
        {"postgresql_partition_by": "RANGE (start)"},
    )

    meter_id: int = _number(primary_key=True)
    start: int = _number(primary_key=True)
    kind: int = Field(primary_key=True)
    seq: int = Field(sa_column=Column(UInt64, primary_key=True, autoincrement=False))
    end: int = _number()
    agreement_id: int = Field(sa_column=Column(Int256, nullable=False))
    quantity: int = Field(sa_column=Column(UInt64, nullable=False))
    register_value: int = Field(sa_column=Column(UInt64, nullable=False))
    quality: int
    report_start: int = _number()
    leaf_index: int
    block_number: int = _number()


class ReadingsTaken(SQLModel, table=True):
    """A report whose readings are in the table."""

    __tablename__ = "readings_taken"

    feed_id: str = Field(sa_column=Column(Hex(32), primary_key=True))
    epoch: int = _number(primary_key=True)
    readings: int
    block_number: int = _number(index=True)


def month_of(start: int) -> tuple[str, int, int]:
    """(name of the partition, first second, first second after it) of the month of a reading."""
    day = datetime.fromtimestamp(start, UTC).replace(day=1, hour=0, minute=0, second=0)
    after = day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1)
    return f"meter_reading_{day:%Y_%m}", int(day.timestamp()), int(after.timestamp())


def make_partition(session: Session, start: int) -> None:
    """The partition of a reading's month, on PostgreSQL; one that is there is left alone."""
    if session.get_bind().dialect.name != "postgresql":
        return
    name, first, after = month_of(start)
    session.execute(
        text(
            f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF meter_reading "
            f"FOR VALUES FROM ({first}) TO ({after})"
        )
    )
