"""Events to rows (pure): what each contract event means for the tables of `backend.store.chain`."""

from __future__ import annotations

from backend.service.indexer import delivery_events, market_events, points_events
from backend.service.indexer.changes import Changes, plain
from backend.service.indexer.source import Log
from backend.store import chain as t

_HANDLERS = market_events.HANDLERS | delivery_events.HANDLERS | points_events.HANDLERS


def project(log: Log, changes: Changes) -> None:
    """Adds what one event means to `changes`; every event also enters the journal."""
    arguments = log.arguments
    changes.rows.append(
        t.ChainEvent(
            block_number=log.block.number,
            log_index=log.log_index,
            tx_hash=log.tx_hash,
            timestamp=log.block.timestamp,
            contract=log.contract,
            name=log.name,
            batch_id=arguments.get("batchId"),
            arguments={name: plain(value) for name, value in arguments.items()},
        )
    )
    handler = _HANDLERS.get((log.contract, log.name))
    if handler is not None:
        handler(log, arguments, changes)
