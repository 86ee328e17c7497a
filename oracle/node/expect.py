"""Which readings an epoch waits for, and which bundle its readings make. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from oracle.node.facts import PLANT, SITE_IMPORT, SITE_WORKLOAD, Device, Facts
from oracle.wire.bundle import MAX_LEAVES, Bundle, DeviceRecord, OutcomeEntry, make_bundle
from oracle.wire.memory import STORAGE_KINDS
from oracle.wire.outcomes import agreement_bytes, slot_outcomes, slot_readings
from oracle.wire.reading import NO_AGREEMENT, Envelope, Kind, Leaf, Reading
from oracle.wire.screen import QUALITY_OF, History, Metered, Suspicion, screen

Stream = tuple[int, bytes]
"""(kind, agreement id) for jobs, (kind, asset id as bytes) for sites and plants: what must have been read."""


class Held(NamedTuple):
    """An accepted reading as the store holds it."""

    reading: Reading
    envelope: Envelope
    device: DeviceRecord

    def leaf(self, quality: int) -> Leaf:
        """Its leaf with the committee's quality."""
        return Leaf(
            self.reading, quality, self.device.key_id, self.device.evidence_hash, self.envelope.payload_hash
        )


def asset_stream(kind: int, asset_id: int) -> Stream:
    """The stream of a site's or plant's own meter."""
    return kind, asset_id.to_bytes(32, "big")


def expected(facts: Facts, start: int, end: int, storage: Iterable[int] = ()) -> set[Stream]:
    """What the finalised batches of [start, end) need read, as far as attested devices exist.

    Every active job twice, every site that has an offer and every green plant once; charge and discharge of
    the meters in `storage` that are at those sites and plants.
    """
    held = {
        (device.asset_kind, device.asset_id)
        for device in facts.devices.values()
        if device.attested_until >= end
    }
    stores: dict[tuple[int, int], list[int]] = {}
    for meter_id in storage:
        if (device := facts.devices.get(meter_id)) and device.attested_until >= end:
            stores.setdefault((device.asset_kind, device.asset_id), []).append(meter_id)
    wanted: set[Stream] = set()
    for batch in facts.batches.values():
        slot = batch.slot_of(start, end)
        if slot is None or not batch.finalised:
            continue
        for offer in batch.offers.values():
            if (SITE_IMPORT, offer.site_id) in held:
                wanted.add(asset_stream(Kind.SITE_IMPORT, offer.site_id))
                wanted |= _storage_streams(stores.get((SITE_IMPORT, offer.site_id), ()))
        for position in batch.plants(slot):
            if (PLANT, position.plant_id) in held:
                wanted.add(asset_stream(Kind.GENERATION, position.plant_id))
                wanted |= _storage_streams(stores.get((PLANT, position.plant_id), ()))
        for run in batch.positions(slot):
            if (SITE_WORKLOAD, run.site_id) in held:
                agreement = agreement_bytes(batch.batch_id, run.chunk_index, run.run_index)
                wanted.add((Kind.JOB_IT_ENERGY, agreement))
                wanted.add((Kind.COMPUTE, agreement))
    return wanted


def _storage_streams(meters: Iterable[int]) -> set[Stream]:
    return {asset_stream(kind, meter_id) for meter_id in meters for kind in STORAGE_KINDS}


def fitting(facts: Facts, held: Sequence[Held], wanted: set[Stream], start: int) -> Sequence[Held]:
    """What of `held` goes into the report of the epoch from `start`: all of it, as far as a tree has room.

    First what the epoch waits for, then the oldest; the rest goes into later reports.
    """
    if len(held) <= MAX_LEAVES:
        return held

    def rank(item: Held) -> tuple[bool, int, int, int]:
        reading = item.reading
        agreement = reading.agreement_id
        if reading.kind in STORAGE_KINDS:
            agreement = asset_stream(reading.kind, reading.meter_id)[1]
        elif agreement == NO_AGREEMENT and (device := facts.devices.get(reading.meter_id)):
            agreement = device.asset_word
        due = reading.start == start and (reading.kind, agreement) in wanted
        return not due, reading.start, reading.meter_id, reading.seq

    return sorted(held, key=rank)[:MAX_LEAVES]


def outcomes_of(facts: Facts, start: int, end: int, leaves: Sequence[Leaf]) -> list[OutcomeEntry]:
    """The outcomes of every finalised batch in [start, end)."""
    readings = slot_readings(leaves, start, end, facts.site_of, facts.plant_of)
    entries = []
    for batch in facts.batches.values():
        slot = batch.slot_of(start, end)
        if slot is None or not batch.finalised:
            continue
        packed = slot_outcomes(
            batch.batch_id, batch.slot_seconds, batch.positions(slot), batch.plants(slot), readings
        )
        entries += [OutcomeEntry(batch.batch_id, chunk, slot, data) for chunk, data in packed.items()]
    return entries


def metered_of(device: Device, facts: Facts) -> Metered | None:
    """What a device measures, None when its asset is not registered."""
    asset = facts.asset(device)
    if asset is None:
        return None
    plant = device.asset_kind == PLANT
    return Metered(
        asset.nameplate_w,
        asset.source,
        site_id=None if plant else device.asset_id,
        plant_id=device.asset_id if plant else None,
        allowed=facts.allowed(device),
        attested_until=device.attested_until,
    )


def meters_of(readings: Iterable[Reading], facts: Facts, history: History) -> dict[int, Metered]:
    """The meters of some readings, and of storages, as far as the chain knows them."""
    found = {}
    for meter_id in {reading.meter_id for reading in readings}.union(history.storage()):
        device = facts.devices.get(meter_id)
        metered = metered_of(device, facts) if device else None
        if metered is not None:
            found[meter_id] = metered
    return found


def judge(
    facts: Facts, held: Sequence[Held], history: History
) -> tuple[list[int], dict[tuple[int, int], Suspicion]]:
    """The committee's quality of each reading, never better than the device's own, and what is suspected."""
    readings = [item.reading for item in held]
    doubts = screen(readings, meters_of(readings, facts, history), history)
    qualities = []
    for reading in readings:
        doubt = doubts.get((reading.meter_id, reading.seq))
        qualities.append(max(reading.quality, QUALITY_OF[doubt]) if doubt else reading.quality)
    return qualities, doubts


def build_bundle(
    facts: Facts,
    chain_id: int,
    epoch: int,
    start: int,
    end: int,
    held: Sequence[Held],
    history: History,
    machines: Sequence[Envelope] = (),
) -> tuple[Bundle, list[Leaf]]:
    """The bundle of an epoch with its leaves: all `held` readings, late ones too, outcomes, machines."""
    qualities, _ = judge(facts, held, history)
    leaves = [item.leaf(quality) for item, quality in zip(held, qualities, strict=True)]
    entries = [(item.envelope, leaf.quality, item.device) for item, leaf in zip(held, leaves, strict=True)]
    outcomes = outcomes_of(facts, start, end, leaves)
    return make_bundle(chain_id, facts.feed_id, epoch, start, end, entries, outcomes, machines), leaves
