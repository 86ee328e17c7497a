"""Oracle, settlement, certificate and treasury events to rows (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from backend.chain.packing import unpack_locked, unpack_settled
from backend.service.indexer.changes import Changes, Handler, always, argument, block_time, into
from backend.service.indexer.source import Log
from backend.store import chain as t

_ZERO = "0x" + "00" * 20
ENTRY_BITS = 12
"""A packed event has many ledger entries: their index is the log's, then their place in it."""
_REPORT = (
    "feed_id epoch start end root leaves totals outcomes_root evidence_root policy_hash archive_hash "
    "prev_hash"
)


def _moves(log: Log, a: dict[str, Any], c: Changes) -> None:
    pairs = list(zip(a["ids"], a["values"], strict=True)) if "ids" in a else [(a["id"], a["value"])]
    sender, receiver = (None if a[name] == _ZERO else a[name] for name in ("from", "to"))
    for position, (number, amount) in enumerate(pairs):
        c.rows[t.CertificateMove].append(
            {
                "block_number": log.block.number,
                "log_index": log.log_index,
                "position": position,
                "certificate_id": number,
                "sender": sender,
                "receiver": receiver,
                "amount": amount,
                "tx_hash": log.tx_hash,
                "timestamp": log.block.timestamp,
            }
        )


def _entries(log: Log, c: Changes, kind: str, moves: Iterable[tuple[str, int, int]]) -> None:
    """Ledger entries of (account, available, locked); those that move nothing only take up their place."""
    for position, (account, available, locked) in enumerate(moves):
        if available or locked:
            c.rows[t.LedgerEntry].append(
                {
                    "block_number": log.block.number,
                    "log_index": log.log_index << ENTRY_BITS | position,
                    "account": account,
                    "kind": kind,
                    "available_micro": available,
                    "locked_micro": locked,
                    "tx_hash": log.tx_hash,
                    "timestamp": log.block.timestamp,
                }
            )


def _deposited(log: Log, a: dict[str, Any], c: Changes) -> None:
    _entries(log, c, "deposit", [(a["account"], a["amountMicro"], 0)])


def _withdrawn(log: Log, a: dict[str, Any], c: Changes) -> None:
    _entries(log, c, "withdrawal", [(a["account"], -a["amountMicro"], 0)])


def _posted(log: Log, a: dict[str, Any], c: Changes) -> None:
    _entries(log, c, "posting", [(a["account"], a["available"], a["locked"])])


def _locked(log: Log, a: dict[str, Any], c: Changes) -> None:
    _entries(log, c, "posting", ((account, -cost, cost) for account, cost in unpack_locked(a["entries"])))


def _settled(log: Log, a: dict[str, Any], c: Changes) -> None:
    _entries(log, c, "posting", (entry[:3] for entry in unpack_settled(a["entries"])))


HANDLERS: dict[tuple[str, str], Handler] = {
    ("Settlement", "SlotSettled"): into(t.SlotResult),
    ("Settlement", "SlotRefunded"): into(
        t.SlotResult, compute_micro=always(0), power_micro=always(0), penalty_micro=always(0)
    ),
    ("Settlement", "PlantMetered"): into(t.PlantMetered, offer_index=argument("powerOfferIndex")),
    ("Settlement", "PlantPaid"): into(t.PlantPaid, offer_index=argument("powerOfferIndex")),
    ("Certificates", "TransferSingle"): _moves,
    ("Certificates", "TransferBatch"): _moves,
    ("Certificates", "Retired"): into(t.Retirement, certificate_id=argument("id")),
    ("DeliveryOracle", "ReportSubmitted"): into(t.ReportRow, ("report", _REPORT), posted_at=block_time),
    ("DeliveryOracle", "Disputed"): into(t.Dispute),
    ("DeliveryOracle", "Ruled"): into(t.Dispute),
    ("DeliveryOracle", "LeafDisputed"): into(t.Dispute),
    # a dispute of a leaf ends answered by the device, or not in time: the report is void
    ("DeliveryOracle", "LeafAnswered"): into(t.Dispute, upheld=always(True)),
    ("DeliveryOracle", "LeafUnanswered"): into(t.Dispute, upheld=always(False)),
    ("Treasury", "Deposited"): _deposited,
    ("Treasury", "Withdrawn"): _withdrawn,
    ("Treasury", "Posted"): _posted,
    ("Treasury", "Locked"): _locked,
    ("Treasury", "Settled"): _settled,
}
