"""Registry and market events to rows (pure)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from backend.chain.order_codec import unpack_groups
from backend.chain.packing import unpack_fills, unpack_makers, unpack_runs
from backend.service.indexer.changes import Changes, Handler, Offer, block_time, into, seen_id
from backend.service.indexer.source import Log
from backend.store import chain as t
from backend.store.market import ComputeOfferRow, OrderRow, PowerOfferRow

_DEVICE = "x y measurement evidence_hash attested_until asset_id asset_kind evidence_kind"
_HEADER = (
    "start slot_seconds slots zones classes publication_hash book_hash solution_hash welfare_micro "
    "dual_bound_micro"
)
_COMPUTE = (
    "maker site_id class_id zone_id capacity energy_wh_per_vcu_slot ask_price start end epoch nonce expiry"
)
_POWER = "maker plant_id zone_id source_kind tranches start slots profile_hash epoch nonce expiry"


def _sent_with(log: Log, position: int) -> bytes:
    """What came with an offer in the transaction's argument at `position` (2 its signature, 3 its profile);
    empty when the market was called through another contract.
    """
    if log.call is None:
        return b""
    maker, nonce = log.arguments["offer"][0].lower(), log.arguments["offer"][-2]
    for offer, given in zip(log.call.arguments[1], log.call.arguments[position], strict=True):
        if offer[0].lower() == maker and offer[-2] == nonce:
            return bytes(given)
    return b""


_SIGNED: dict[str, Any] = {
    "seen_id": lambda log: seen_id(log, log.arguments["offerIndex"]),
    "signature": lambda log: _sent_with(log, 2),
    "received_at": block_time,
    "source": lambda log: "chain",
    "first_block": lambda log: log.block.number,
}
"""Columns of a signed offer that is seen first on the chain."""
_compute_place, _power_place = into(t.BatchComputeOffer), into(t.BatchPowerOffer)
_compute_row = into(ComputeOfferRow, ("offer", _COMPUTE), **_SIGNED)
_power_row = into(PowerOfferRow, ("offer", _POWER), profile=lambda log: _sent_with(log, 3), **_SIGNED)


def _compute_offer(log: Log, a: dict[str, Any], c: Changes) -> None:
    maker, site, kind, zone, _, energy, *_rest = a["offer"]
    c.offers[(a["batchId"], a["offerIndex"])] = Offer(maker, site, kind, zone, energy)
    _compute_place(log, a, c)
    _compute_row(log, a, c)


def _power_offer(log: Log, a: dict[str, Any], c: Changes) -> None:
    _power_place(log, a, c)
    if _sent_with(log, 3):
        _power_row(log, a, c)


def _chunk(log: Log, a: dict[str, Any], c: Changes) -> None:
    batch_id, chunk = a["batchId"], a["chunkIndex"]
    makers = unpack_makers(a["makers"])
    raw = a["orderHashes"]
    hashes = [raw[at : at + 32] for at in range(0, len(raw), 32)]
    runs = unpack_runs(a["runs"])
    place = {"batch_id": batch_id, "chunk_index": chunk, "block_number": log.block.number}
    c.rows[t.Chunk].append(
        place | {"orders": len(makers), "runs": len(runs), "tx_hash": log.tx_hash, "released_block": None}
    )
    fills = unpack_fills(a["fills"])
    c.rows[t.ClearedOrder] += [
        place
        | {
            "order_index": index,
            "order_hash": order_hash,
            "maker": maker,
            "lanes_filled": lanes,
            "cost_micro": cost,
        }
        for index, (maker, order_hash, (lanes, cost)) in enumerate(zip(makers, hashes, fills, strict=True))
    ]
    for index, (order, offer_index, mode, first, last, lanes) in enumerate(runs):
        offer = c.offers[(batch_id, offer_index)]
        c.rows[t.Agreement].append(
            place
            | {
                "run_index": index,
                "order_index": order,
                "order_hash": hashes[order],
                "maker": makers[order],
                "offer_index": offer_index,
                "seller": offer.seller,
                "site_id": offer.site_id,
                "class_id": offer.class_id,
                "zone_id": offer.zone_id,
                "mode": mode,
                "start_slot": first,
                "end_slot": last,
                "lanes": lanes,
                "energy_wh_per_vcu_slot": offer.energy_wh_per_vcu_slot,
            }
        )
    if log.call is not None:
        _orders(log, log.call.arguments[1], hashes, c)


def _orders(log: Log, groups: bytes, hashes: list[bytes], c: Changes) -> None:
    signed = [(order, group.signature) for group in unpack_groups(groups) for order in group.orders]
    c.rows[OrderRow] += [
        {
            "order_hash": order_hash,
            "seen_id": seen_id(log, index),
            **asdict(order),
            "signature": signature,
            "received_at": log.block.timestamp,
            "source": "chain",
            "first_block": log.block.number,
            "template_id": None,
        }
        for index, (order_hash, (order, signature)) in enumerate(zip(hashes, signed, strict=True))
    ]


def _finalised(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.finalised[a["batchId"]] = (log.block.number, log.block.timestamp)


def _voided(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.voided[a["batchId"]] = (log.block.number, log.block.timestamp)


def _released(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.released[(a["batchId"], a["chunkIndex"])] = log.block.number


HANDLERS: dict[tuple[str, str], Handler] = {
    ("Registry", "ZoneAdded"): into(t.Zone),
    ("Registry", "ClassAdded"): into(t.ComputeClass),
    ("Registry", "SiteAdded"): into(t.Site),
    ("Registry", "PlantAdded"): into(t.Plant),
    ("Registry", "DeviceRecorded"): into(t.Device, ("device", _DEVICE)),
    ("BundleMarket", "BatchOpened"): into(t.Batch, ("header", _HEADER), opened_at=block_time),
    ("BundleMarket", "PricesPosted"): into(t.PricePart, data=lambda log: log.code),
    ("BundleMarket", "ComputeOfferAdded"): _compute_offer,
    ("BundleMarket", "PowerOfferAdded"): _power_offer,
    ("BundleMarket", "ChunkCleared"): _chunk,
    ("BundleMarket", "BatchFinalised"): _finalised,
    ("BundleMarket", "BatchVoided"): _voided,
    ("BundleMarket", "ChunkReleased"): _released,
    ("BundleMarket", "Cancelled"): into(t.Cancellation),
    ("BundleMarket", "AllCancelled"): into(t.Cancellation),
}
