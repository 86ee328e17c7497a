"""Events to rows (pure): what each contract event means for the tables of `backend.store.chain`."""

from __future__ import annotations

from backend.service.indexer import delivery_events, market_events, points_events
from backend.service.indexer.changes import Changes, into, plain
from backend.service.indexer.source import Log
from backend.store import chain as t

_journal = into(
    t.ChainEvent,
    arguments=lambda log: {name: plain(value) for name, value in log.arguments.items()},
    contract=lambda log: log.contract,
    name=lambda log: log.name,
)
_HANDLERS = market_events.HANDLERS | delivery_events.HANDLERS | points_events.HANDLERS


def project(log: Log, changes: Changes) -> None:
    """Adds what one event means to `changes`; every event also enters the journal."""
    arguments = log.arguments
    _journal(log, arguments, changes)
    handler = _HANDLERS.get((log.contract, log.name))
    if handler is not None:
        handler(log, arguments, changes)
