"""Which readings an epoch waits for, and which bundle its readings make. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from oracle.node.facts import PLANT, SITE_IMPORT, SITE_WORKLOAD, Facts
from oracle.wire.bundle import Bundle, DeviceRecord, OutcomeEntry, make_bundle
from oracle.wire.outcomes import agreement_bytes, slot_outcomes, slot_readings
from oracle.wire.reading import Envelope, Kind, Leaf, Reading

Stream = tuple[int, bytes]
"""(kind, agreement id) for jobs, (kind, asset id as bytes) for sites and plants: what must have been read."""


class Held(NamedTuple):
    """An accepted reading as the store holds it."""

    reading: Reading
    envelope: Envelope
    device: DeviceRecord

    def leaf(self) -> Leaf:
        """Its leaf; the committee keeps the device's own quality."""
        return Leaf(
            self.reading,
            self.reading.quality,
            self.device.key_id,
            self.device.evidence_hash,
            self.envelope.payload_hash,
        )


def asset_stream(kind: int, asset_id: int) -> Stream:
    """The stream of a site's or plant's own meter."""
    return kind, asset_id.to_bytes(32, "big")


def expected(facts: Facts, start: int, end: int) -> set[Stream]:
    """What the finalised batches of [start, end) need read, as far as attested devices exist.

    Every active job twice, every site that has an offer and every green plant once.
    """
    held = {
        (device.asset_kind, device.asset_id)
        for device in facts.devices.values()
        if device.attested_until >= end
    }
    wanted: set[Stream] = set()
    for batch in facts.batches.values():
        slot = batch.slot_of(start, end)
        if slot is None or not batch.finalised:
            continue
        for offer in batch.offers.values():
            if (SITE_IMPORT, offer.site_id) in held:
                wanted.add(asset_stream(Kind.SITE_IMPORT, offer.site_id))
        for position in batch.plants(slot):
            if (PLANT, position.plant_id) in held:
                wanted.add(asset_stream(Kind.GENERATION, position.plant_id))
        for run in batch.positions(slot):
            if (SITE_WORKLOAD, run.site_id) in held:
                agreement = agreement_bytes(batch.batch_id, run.chunk_index, run.run_index)
                wanted.add((Kind.JOB_IT_ENERGY, agreement))
                wanted.add((Kind.COMPUTE, agreement))
    return wanted


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


def build_bundle(
    facts: Facts, chain_id: int, epoch: int, start: int, end: int, held: Iterable[Held]
) -> Bundle:
    """The bundle of an epoch: all `held` readings (late ones too) and the outcomes that follow from them."""
    items = list(held)
    leaves = [item.leaf() for item in items]
    entries = [(item.envelope, item.reading.quality, item.device) for item in items]
    outcomes = outcomes_of(facts, start, end, leaves)
    return make_bundle(chain_id, facts.feed_id, epoch, start, end, entries, outcomes)
