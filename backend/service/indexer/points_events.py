"""Events of the points market to rows (pure)."""

from __future__ import annotations

from typing import Any

from backend.service.indexer.changes import Changes, Handler, hex_of
from backend.service.indexer.source import Log
from backend.store import chain as t


def _filled(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(
        t.ListingFill(
            block_number=log.block.number,
            log_index=log.log_index,
            offer_hash=hex_of(a["offerHash"]),
            maker=a["maker"],
            taker=a["taker"],
            certificate_id=a["id"],
            maker_sells=a["makerSells"],
            amount=a["amount"],
            cost_micro=a["costMicro"],
            filled_total=a["filledTotal"],
            tx_hash=log.tx_hash,
            timestamp=log.block.timestamp,
        )
    )


def _cancelled(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(
        t.ListingCancellation(
            block_number=log.block.number,
            log_index=log.log_index,
            maker=a["maker"],
            nonce=a.get("nonce"),
            epoch=a.get("epoch"),
        )
    )


HANDLERS: dict[tuple[str, str], Handler] = {
    ("PointsMarket", "Filled"): _filled,
    ("PointsMarket", "Cancelled"): _cancelled,
    ("PointsMarket", "AllCancelled"): _cancelled,
}
