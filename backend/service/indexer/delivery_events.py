"""Oracle, settlement, certificate and treasury events to rows (pure)."""

from __future__ import annotations

from typing import Any

from backend.chain.packing import unpack_locked, unpack_settled
from backend.service.indexer.changes import Changes, Handler, hex_of
from backend.service.indexer.source import Log
from backend.store import chain as t

_ZERO = "0x" + "00" * 20
ENTRY_BITS = 12
"""A packed event has many ledger entries: their index is the log's, then their place in it."""


def _slot_settled(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(
        t.SlotResult(
            batch_id=a["batchId"],
            chunk_index=a["chunkIndex"],
            slot=a["slot"],
            outcomes=a["outcomes"],
            compute_micro=a["computeMicro"],
            power_micro=a["powerMicro"],
            refund_micro=a["refundMicro"],
            penalty_micro=a["penaltyMicro"],
            timestamp=log.block.timestamp,
            block_number=log.block.number,
        )
    )


def _slot_refunded(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(
        t.SlotResult(
            batch_id=a["batchId"],
            chunk_index=a["chunkIndex"],
            slot=a["slot"],
            outcomes=None,
            compute_micro=0,
            power_micro=0,
            refund_micro=a["refundMicro"],
            penalty_micro=0,
            timestamp=log.block.timestamp,
            block_number=log.block.number,
        )
    )


def _plant_metered(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(
        t.PlantMetered(
            batch_id=a["batchId"],
            slot=a["slot"],
            offer_index=a["powerOfferIndex"],
            sold_wh=a["soldWh"],
            metered_wh=a["meteredWh"],
            delivered_wh=a["deliveredWh"],
            penalty_micro=a["penaltyMicro"],
            block_number=log.block.number,
        )
    )


def _plant_paid(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(
        t.PlantPaid(
            batch_id=a["batchId"],
            slot=a["slot"],
            offer_index=a["powerOfferIndex"],
            money_micro=a["moneyMicro"],
            matched_wh=a["matchedWh"],
            minted_wh=a["mintedWh"],
            block_number=log.block.number,
        )
    )


def _moves(log: Log, a: dict[str, Any], c: Changes) -> None:
    pairs = list(zip(a["ids"], a["values"], strict=True)) if "ids" in a else [(a["id"], a["value"])]
    sender, receiver = (None if a[name] == _ZERO else a[name] for name in ("from", "to"))
    for position, (number, amount) in enumerate(pairs):
        c.rows.append(
            t.CertificateMove(
                block_number=log.block.number,
                log_index=log.log_index,
                position=position,
                certificate_id=number,
                sender=sender,
                receiver=receiver,
                amount=amount,
                tx_hash=log.tx_hash,
                timestamp=log.block.timestamp,
            )
        )


def _retired(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(
        t.Retirement(
            block_number=log.block.number,
            log_index=log.log_index,
            account=a["account"],
            certificate_id=a["id"],
            amount=a["amount"],
            beneficiary=a["beneficiary"],
            purpose_hash=hex_of(a["purposeHash"]),
            tx_hash=log.tx_hash,
            timestamp=log.block.timestamp,
        )
    )


def _report(log: Log, a: dict[str, Any], c: Changes) -> None:
    feed, epoch, start, end, root, count, totals, outcomes, evidence, policy, archive, previous, _ = a[
        "report"
    ]
    c.rows.append(
        t.ReportRow(
            feed_id=hex_of(feed),
            epoch=epoch,
            start=start,
            end=end,
            report_hash=hex_of(a["reportHash"]),
            root=hex_of(root),
            leaves=count,
            totals=list(totals),
            outcomes_root=hex_of(outcomes),
            evidence_root=hex_of(evidence),
            policy_hash=hex_of(policy),
            archive_hash=hex_of(archive),
            prev_hash=hex_of(previous),
            signer_bitmap=a["signerBitmap"],
            posted_at=log.block.timestamp,
            tx_hash=log.tx_hash,
            block_number=log.block.number,
        )
    )


def _dispute(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(
        t.Dispute(
            block_number=log.block.number,
            log_index=log.log_index,
            feed_id=hex_of(a["feedId"]),
            start=a["start"],
            disputer=a.get("disputer"),
            upheld=a.get("upheld"),
        )
    )


def _leaf_ended(answered: bool) -> Handler:
    """A dispute of a leaf that ended: answered by the device, or not in time (the report is void)."""

    def handle(log: Log, a: dict[str, Any], c: Changes) -> None:
        _dispute(log, a | {"upheld": answered}, c)

    return handle


def _entry(
    log: Log, account: str, kind: str, available: int, locked: int, position: int = 0
) -> t.LedgerEntry:
    return t.LedgerEntry(
        block_number=log.block.number,
        log_index=log.log_index << ENTRY_BITS | position,
        account=account,
        kind=kind,
        available_micro=available,
        locked_micro=locked,
        tx_hash=log.tx_hash,
        timestamp=log.block.timestamp,
    )


def _deposited(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(_entry(log, a["account"], "deposit", a["amountMicro"], 0))


def _withdrawn(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(_entry(log, a["account"], "withdrawal", -a["amountMicro"], 0))


def _posted(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(_entry(log, a["account"], "posting", a["available"], a["locked"]))


def _locked(log: Log, a: dict[str, Any], c: Changes) -> None:
    for position, (account, cost) in enumerate(unpack_locked(a["entries"])):
        c.rows.append(_entry(log, account, "posting", -cost, cost, position))


def _settled(log: Log, a: dict[str, Any], c: Changes) -> None:
    for position, (account, available, locked, *_) in enumerate(unpack_settled(a["entries"])):
        if available or locked:
            c.rows.append(_entry(log, account, "posting", available, locked, position))


HANDLERS: dict[tuple[str, str], Handler] = {
    ("Settlement", "SlotSettled"): _slot_settled,
    ("Settlement", "SlotRefunded"): _slot_refunded,
    ("Settlement", "PlantMetered"): _plant_metered,
    ("Settlement", "PlantPaid"): _plant_paid,
    ("Certificates", "TransferSingle"): _moves,
    ("Certificates", "TransferBatch"): _moves,
    ("Certificates", "Retired"): _retired,
    ("DeliveryOracle", "ReportSubmitted"): _report,
    ("DeliveryOracle", "Disputed"): _dispute,
    ("DeliveryOracle", "Ruled"): _dispute,
    ("DeliveryOracle", "LeafDisputed"): _dispute,
    ("DeliveryOracle", "LeafAnswered"): _leaf_ended(True),
    ("DeliveryOracle", "LeafUnanswered"): _leaf_ended(False),
    ("Treasury", "Deposited"): _deposited,
    ("Treasury", "Withdrawn"): _withdrawn,
    ("Treasury", "Posted"): _posted,
    ("Treasury", "Locked"): _locked,
    ("Treasury", "Settled"): _settled,
}
