"""Writes what the events mean, and takes it back: one transaction per slice of blocks, each block
exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, update
from sqlmodel import Session, SQLModel, col, select

from backend.service.indexer.changes import Changes, Offer
from backend.service.indexer.projection import project
from backend.service.indexer.source import Block, Log, Slice
from backend.store import chain as t
from backend.store.bulk import Row, insert_all
from backend.store.engine import Store
from backend.store.market import ComputeOfferRow, OrderRow, PowerOfferRow
from backend.store.operations import IndexedBlock, IndexedChain
from backend.store.readings import MeterReading, ReadingsTaken

_MAX = (1 << 63) - 1


class Overtaken(Exception):
    """Another process took these blocks in first."""


def cursor(session: Session) -> int | None:
    """The highest block taken in."""
    return session.exec(select(func.max(IndexedBlock.number))).one()


def remembered(session: Session) -> list[IndexedBlock]:
    """The blocks whose hashes are kept, highest first."""
    return list(session.exec(select(IndexedBlock).order_by(col(IndexedBlock.number).desc())))


def _claim(session: Session, expected: int | None) -> None:
    """Holds the chain's row until the transaction ends; Overtaken when the cursor is not where it was."""
    session.exec(select(IndexedChain).with_for_update()).first()
    if cursor(session) != expected:
        raise Overtaken


def take_in(store: Store, piece: Slice, expected: int | None, keep_blocks: int) -> int:
    """Stores a slice that follows block `expected`; returns the number of events."""
    with store.writing() as session:
        _claim(session, expected)
        changes = Changes(offers=_known_offers(session, piece.logs))
        for log in piece.logs:
            project(log, changes)
        for model, rows in changes.rows.items():
            insert_all(session, model, rows)
        _milestones(session, changes)
        _add_to_accounts(session, changes.rows[t.LedgerEntry], changes.rows[t.Cancellation])
        insert_all(session, IndexedBlock, [_as_row(block) for block in piece.blocks])
        session.execute(delete(IndexedBlock).where(col(IndexedBlock.number) <= piece.last - keep_blocks))
    return len(piece.logs)


def _as_row(block: Block) -> Row:
    return {"number": block.number, "block_hash": block.hash, "timestamp": block.timestamp}


def _known_offers(session: Session, logs: Sequence[Log]) -> dict[tuple[int, int], Offer]:
    """Offers that earlier slices added to the batches whose chunks are in `logs`."""
    batches = {log.arguments["batchId"] for log in logs if log.name == "ChunkCleared"}
    if not batches:
        return {}
    rows = session.exec(
        select(t.BatchComputeOffer, ComputeOfferRow)
        .join(ComputeOfferRow, col(ComputeOfferRow.offer_hash) == col(t.BatchComputeOffer.offer_hash))
        .where(col(t.BatchComputeOffer.batch_id).in_(batches))
    )
    return {
        (place.batch_id, place.offer_index): Offer(
            offer.maker, offer.site_id, offer.class_id, offer.zone_id, offer.energy_wh_per_vcu_slot
        )
        for place, offer in rows
    }


def _milestones(session: Session, changes: Changes) -> None:
    for batch_id, (block, at) in changes.finalised.items():
        batch = session.get_one(t.Batch, batch_id)
        batch.finalised_block, batch.finalised_at = block, at
    for batch_id, (block, at) in changes.voided.items():
        batch = session.get_one(t.Batch, batch_id)
        batch.voided_block, batch.voided_at = block, at
    for key, block in changes.released.items():
        session.get_one(t.Chunk, key).released_block = block
    session.flush()


def _saturated(value: int) -> int:
    return max(-_MAX, min(_MAX, value))


def _add_to_accounts(session: Session, entries: Sequence[Row], cancellations: Sequence[Row]) -> None:
    sums: dict[str, list[int]] = {}
    for row in entries:
        sum_ = sums.setdefault(row["account"].lower(), [0, 0])
        sum_[0] += row["available_micro"]
        sum_[1] += row["locked_micro"]
    epochs = {row["maker"].lower(): row["epoch"] for row in cancellations if row["epoch"] is not None}
    touched = sorted(sums.keys() | epochs.keys())
    empty = {"available_micro": 0, "locked_micro": 0, "epoch": 0}
    insert_all(session, t.Account, [{"address": address, **empty} for address in touched])
    known = session.exec(select(t.Account).where(col(t.Account.address).in_(touched))) if touched else ()
    for account in known:
        available, locked = sums.get(account.address, (0, 0))
        account.available_micro = _saturated(account.available_micro + available)
        account.locked_micro = _saturated(account.locked_micro + locked)
        account.epoch = epochs.get(account.address, account.epoch)
        session.add(account)
    session.flush()


def roll_back(store: Store, fork: int, expected: int | None) -> None:
    """Takes back everything above block `fork`, as if it had never been."""
    with store.writing() as session:
        _claim(session, expected)
        touched = set(
            session.exec(
                select(t.LedgerEntry.account).where(col(t.LedgerEntry.block_number) > fork).distinct()
            )
        ) | set(
            session.exec(
                select(t.Cancellation.maker).where(col(t.Cancellation.block_number) > fork).distinct()
            )
        )
        for table in t.ROWS_BY_BLOCK:
            session.execute(delete(table).where(table.block_number > fork))  # type: ignore[attr-defined]
        forget_readings_above(session, fork)
        for messages in (OrderRow, ComputeOfferRow, PowerOfferRow):
            session.execute(delete(messages).where(col(messages.first_block) > fork))
        session.execute(
            update(t.Batch)
            .where(col(t.Batch.finalised_block) > fork)
            .values(finalised_block=None, finalised_at=None)
        )
        session.execute(
            update(t.Batch).where(col(t.Batch.voided_block) > fork).values(voided_block=None, voided_at=None)
        )
        session.execute(update(t.Chunk).where(col(t.Chunk.released_block) > fork).values(released_block=None))
        for address in touched:
            _recount(session, address)
        session.execute(delete(IndexedBlock).where(col(IndexedBlock.number) > fork))


def forget_readings_above(session: Session, fork: int) -> None:
    """Takes out the readings of reports that are gone; whoever fills the table finds the new ones."""
    for readings in (MeterReading, ReadingsTaken):
        session.execute(delete(readings).where(col(readings.block_number) > fork))


def _recount(session: Session, address: str) -> None:
    """An account's row from its entries; gone when it has none."""
    entries, available, locked = session.exec(
        select(
            func.count(), func.sum(t.LedgerEntry.available_micro), func.sum(t.LedgerEntry.locked_micro)
        ).where(t.LedgerEntry.account == address)
    ).one()
    epoch = session.exec(select(func.max(t.Cancellation.epoch)).where(t.Cancellation.maker == address)).one()
    account = session.get(t.Account, address)
    if account is None:
        return
    if not entries and epoch is None:
        session.delete(account)
        return
    account.available_micro, account.locked_micro = int(available or 0), int(locked or 0)
    account.epoch = epoch or 0
    session.add(account)


def forget_all(store: Store) -> None:
    """Empties every table that the chain can fill again."""
    with store.writing() as session:
        emptied: tuple[type[SQLModel], ...] = (
            *t.ROWS_BY_BLOCK, t.Account, MeterReading, ReadingsTaken, IndexedBlock, IndexedChain,
        )  # fmt: skip
        for table in emptied:
            session.execute(delete(table))
        for messages in (OrderRow, ComputeOfferRow, PowerOfferRow):
            session.execute(delete(messages).where(col(messages.source) == "chain"))
