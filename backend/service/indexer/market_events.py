"""Registry and market events to rows (pure)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from backend.chain.order_codec import unpack_groups
from backend.chain.packing import unpack_fills, unpack_makers, unpack_runs
from backend.service.indexer.changes import Changes, Handler, Offer, hex_of, seen_id
from backend.service.indexer.source import Log
from backend.store import chain as t
from backend.store.market import ComputeOfferRow, OrderRow, PowerOfferRow


def _zone(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(t.Zone(zone_id=a["zoneId"], name=a["name"], block_number=log.block.number))


def _class(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(t.ComputeClass(class_id=a["classId"], name=a["name"], block_number=log.block.number))


def _site(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(
        t.Site(
            site_id=a["siteId"],
            owner=a["owner"],
            zone_id=a["zoneId"],
            nameplate_w=a["nameplateW"],
            block_number=log.block.number,
        )
    )


def _plant(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(
        t.Plant(
            plant_id=a["plantId"],
            owner=a["owner"],
            zone_id=a["zoneId"],
            source=a["source"],
            nameplate_w=a["nameplateW"],
            emission_factor=a["emissionFactor"],
            block_number=log.block.number,
        )
    )


def _device(log: Log, a: dict[str, Any], c: Changes) -> None:
    x, y, measurement, evidence, until, asset, kind, evidence_kind = a["device"]
    c.rows.append(
        t.Device(
            meter_id=a["meterId"],
            block_number=log.block.number,
            log_index=log.log_index,
            asset_kind=kind,
            asset_id=asset,
            x=hex_of(x),
            y=hex_of(y),
            measurement=hex_of(measurement),
            attested_until=until,
            evidence_hash=hex_of(evidence),
            evidence_kind=evidence_kind,
        )
    )


def _batch(log: Log, a: dict[str, Any], c: Changes) -> None:
    start, slot_seconds, slots, zones, classes, publication, book, solution, welfare, bound = a["header"]
    c.rows.append(
        t.Batch(
            batch_id=a["batchId"],
            solver=a["solver"],
            start=start,
            slot_seconds=slot_seconds,
            slots=slots,
            zones=zones,
            classes=classes,
            publication_hash=hex_of(publication),
            book_hash=hex_of(book),
            solution_hash=hex_of(solution),
            welfare_micro=welfare,
            dual_bound_micro=bound,
            opened_at=log.block.timestamp,
            block_number=log.block.number,
        )
    )


def _prices(log: Log, a: dict[str, Any], c: Changes) -> None:
    assert log.code is not None
    c.rows.append(
        t.PricePart(batch_id=a["batchId"], part=a["part"], data=log.code, block_number=log.block.number)
    )


def _compute_offer(log: Log, a: dict[str, Any], c: Changes) -> None:
    maker, site, kind, zone, capacity, energy, ask, start, end, epoch, nonce, expiry = a["offer"]
    key = (a["batchId"], a["offerIndex"])
    c.offers[key] = Offer(maker, site, kind, zone, energy)
    offer_hash = hex_of(a["offerHash"])
    c.rows.append(
        t.BatchComputeOffer(
            batch_id=key[0], offer_index=key[1], offer_hash=offer_hash, block_number=log.block.number
        )
    )
    c.rows.append(
        ComputeOfferRow(
            offer_hash=offer_hash,
            seen_id=seen_id(log, key[1]),
            maker=maker,
            site_id=site,
            class_id=kind,
            zone_id=zone,
            capacity=capacity,
            energy_wh_per_vcu_slot=energy,
            ask_price=ask,
            start=start,
            end=end,
            epoch=epoch,
            nonce=nonce,
            expiry=expiry,
            signature=_signature(log, nonce, maker),
            received_at=log.block.timestamp,
            source="chain",
            first_block=log.block.number,
        )
    )


def _signature(log: Log, nonce: int, maker: str) -> bytes:
    """The signature that came with an offer, empty when the market was called through another contract."""
    if log.call is None:
        return b""
    for offer, signature in zip(log.call.arguments[1], log.call.arguments[2], strict=True):
        if offer[0].lower() == maker.lower() and offer[-2] == nonce:
            return bytes(signature)
    return b""


def _power_offer(log: Log, a: dict[str, Any], c: Changes) -> None:
    maker, plant, zone, source, tranches, start, slots, _, epoch, nonce, expiry = a["offer"]
    offer_hash = hex_of(a["offerHash"])
    c.rows.append(
        t.BatchPowerOffer(
            batch_id=a["batchId"],
            offer_index=a["offerIndex"],
            offer_hash=offer_hash,
            sold=a["sold"],
            block_number=log.block.number,
        )
    )
    profile = _profile(log, maker, nonce)
    if profile is not None:
        c.rows.append(
            PowerOfferRow(
                offer_hash=offer_hash,
                seen_id=seen_id(log, a["offerIndex"]),
                maker=maker,
                plant_id=plant,
                zone_id=zone,
                source_kind=source,
                tranches=tranches,
                start=start,
                slots=slots,
                profile=profile,
                epoch=epoch,
                nonce=nonce,
                expiry=expiry,
                signature=_signature(log, nonce, maker),
                received_at=log.block.timestamp,
                source="chain",
                first_block=log.block.number,
            )
        )


def _profile(log: Log, maker: str, nonce: int) -> bytes | None:
    if log.call is None:
        return None
    for offer, profile in zip(log.call.arguments[1], log.call.arguments[3], strict=True):
        if offer[0].lower() == maker.lower() and offer[-2] == nonce:
            return bytes(profile)
    return None


def _chunk(log: Log, a: dict[str, Any], c: Changes) -> None:
    batch_id, chunk = a["batchId"], a["chunkIndex"]
    makers = unpack_makers(a["makers"])
    raw = a["orderHashes"]
    hashes = [hex_of(raw[at : at + 32]) for at in range(0, len(raw), 32)]
    runs = unpack_runs(a["runs"])
    number = log.block.number
    c.rows.append(
        t.Chunk(
            batch_id=batch_id,
            chunk_index=chunk,
            orders=len(makers),
            runs=len(runs),
            tx_hash=log.tx_hash,
            block_number=number,
        )
    )
    fills = unpack_fills(a["fills"])
    for index, (maker, order_hash, (lanes, cost)) in enumerate(zip(makers, hashes, fills, strict=True)):
        c.rows.append(
            t.ClearedOrder(
                batch_id=batch_id,
                chunk_index=chunk,
                order_index=index,
                order_hash=order_hash,
                maker=maker,
                lanes_filled=lanes,
                cost_micro=cost,
                block_number=number,
            )
        )
    for index, (order, offer_index, mode, first, last, lanes) in enumerate(runs):
        offer = c.offers[(batch_id, offer_index)]
        c.rows.append(
            t.Agreement(
                batch_id=batch_id,
                chunk_index=chunk,
                run_index=index,
                order_index=order,
                order_hash=hashes[order],
                maker=makers[order],
                offer_index=offer_index,
                seller=offer.seller,
                site_id=offer.site_id,
                class_id=offer.class_id,
                zone_id=offer.zone_id,
                mode=mode,
                start_slot=first,
                end_slot=last,
                lanes=lanes,
                energy_wh_per_vcu_slot=offer.energy_wh_per_vcu_slot,
                block_number=number,
            )
        )
    if log.call is not None:
        _orders(log, hashes, c)


def _orders(log: Log, hashes: list[str], c: Changes) -> None:
    assert log.call is not None
    signed = [
        (order, group.signature) for group in unpack_groups(log.call.arguments[1]) for order in group.orders
    ]
    for index, (order_hash, (order, signature)) in enumerate(zip(hashes, signed, strict=True)):
        c.rows.append(
            OrderRow(
                order_hash=order_hash,
                seen_id=seen_id(log, index),
                **asdict(order),
                signature=signature,
                received_at=log.block.timestamp,
                source="chain",
                first_block=log.block.number,
            )
        )


def _finalised(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.finalised[a["batchId"]] = (log.block.number, log.block.timestamp)


def _voided(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.voided[a["batchId"]] = (log.block.number, log.block.timestamp)


def _released(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.released[(a["batchId"], a["chunkIndex"])] = log.block.number


def _cancelled(log: Log, a: dict[str, Any], c: Changes) -> None:
    c.rows.append(
        t.Cancellation(
            block_number=log.block.number,
            log_index=log.log_index,
            maker=a["maker"],
            nonce=a.get("nonce"),
            epoch=a.get("epoch"),
        )
    )


HANDLERS: dict[tuple[str, str], Handler] = {
    ("Registry", "ZoneAdded"): _zone,
    ("Registry", "ClassAdded"): _class,
    ("Registry", "SiteAdded"): _site,
    ("Registry", "PlantAdded"): _plant,
    ("Registry", "DeviceRecorded"): _device,
    ("BundleMarket", "BatchOpened"): _batch,
    ("BundleMarket", "PricesPosted"): _prices,
    ("BundleMarket", "ComputeOfferAdded"): _compute_offer,
    ("BundleMarket", "PowerOfferAdded"): _power_offer,
    ("BundleMarket", "ChunkCleared"): _chunk,
    ("BundleMarket", "BatchFinalised"): _finalised,
    ("BundleMarket", "BatchVoided"): _voided,
    ("BundleMarket", "ChunkReleased"): _released,
    ("BundleMarket", "Cancelled"): _cancelled,
    ("BundleMarket", "AllCancelled"): _cancelled,
}
