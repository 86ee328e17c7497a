"""The outcomes a bundle's readings deserve, by the rule the committee shares."""

from __future__ import annotations

import hashlib

from audit.eip712 import keccak
from audit.facts import Batch, Facts, ReportFact, asset_at, parse_sold
from oracle.wire.outcomes import PlantPosition, RunPosition, slot_outcomes, slot_readings
from oracle.wire.reading import Leaf

PLANT = 2
SITE_IMPORT = 0
GRID = 0
Key = tuple[int, int, int]


def active_runs(facts: Facts, batch: Batch, slot: int) -> list[RunPosition]:
    """The runs of a batch that deliver in `slot`, as the outcome rule takes them."""
    return [
        RunPosition(
            chunk.index,
            run.index,
            (terms := batch.compute_offers[run.offer].terms)["siteId"],
            terms["zoneId"],
            run.mode,
            run.lanes,
            terms["energyWhPerVcuSlot"],
        )
        for chunk in batch.chunks
        for run in chunk.runs
        if run.start_slot <= slot < run.end_slot and run.offer < len(batch.compute_offers)
    ]


def plant_positions(batch: Batch, slot: int) -> list[PlantPosition]:
    """What every green plant sold in `slot`."""
    found = []
    for offer in batch.power_offers:
        sold = parse_sold(offer.sold)
        if offer.terms["source"] != GRID and sold and slot < len(sold):
            found.append(PlantPosition(offer.terms["plantId"], offer.terms["zoneId"], sold[slot]))
    return found


def rebuild_outcomes(facts: Facts, item: ReportFact) -> dict[Key, bytes] | None:
    """(batch, chunk, slot) -> packed outcomes of the slots a report covers; None if nothing is readable."""
    leaves = readable_leaves(item)
    if leaves is None:
        return None
    site_of, plant_of = {}, {}
    for device in facts.devices:
        if device.place <= item.place:
            if device.terms["assetKind"] == PLANT:
                plant_of[device.meter_id] = device.terms["assetId"]
            elif device.terms["assetKind"] == SITE_IMPORT:
                site_of[device.meter_id] = device.terms["assetId"]
    report = item.report
    readings = slot_readings(leaves, report.start, report.end, site_of, plant_of)
    rebuilt: dict[Key, bytes] = {}
    for batch in facts.batches:
        slot, rest = divmod(report.start - batch.start, batch.slot_seconds)
        if rest or not 0 <= slot < batch.slots or report.end - report.start != batch.slot_seconds:
            continue
        if batch.finalised is None or batch.finalised > item.place:
            continue
        packed = slot_outcomes(
            batch.id,
            batch.slot_seconds,
            active_runs(facts, batch, slot),
            plant_positions(batch, slot),
            readings,
        )
        rebuilt.update({(batch.id, chunk, slot): row for chunk, row in packed.items()})
    return rebuilt


def readable_leaves(item: ReportFact) -> list[Leaf] | None:
    """Leaves of the readings that can be read; None where the bundle gives none at all."""
    if item.bundle.problem:
        return None
    found = []
    for entry in item.bundle.items:
        if entry.reading is None or entry.device >= len(item.bundle.devices):
            continue
        device = item.bundle.devices[entry.device]
        key_id = keccak(device.x + device.y)
        payload_hash = hashlib.sha256(entry.payload).digest()
        found.append(Leaf(entry.reading, entry.quality, key_id, device.evidence_hash, payload_hash))
    return found


__all__ = ["active_runs", "asset_at", "plant_positions", "rebuild_outcomes"]
