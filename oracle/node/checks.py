"""What a reading must satisfy besides its signature: time, key, kind, agreement, nameplate. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from oracle.node.facts import PLANT, SITE_IMPORT, SITE_WORKLOAD, Asset, Batch, Device, Facts
from oracle.wire.reading import NO_AGREEMENT, Kind, Reading

KINDS_OF = {
    SITE_IMPORT: frozenset({Kind.SITE_IMPORT, Kind.STORAGE_CHARGE, Kind.STORAGE_DISCHARGE}),
    SITE_WORKLOAD: frozenset({Kind.JOB_IT_ENERGY, Kind.COMPUTE}),
    PLANT: frozenset({Kind.GENERATION, Kind.SITE_IMPORT, Kind.STORAGE_CHARGE, Kind.STORAGE_DISCHARGE}),
}
NAMEPLATE_TOLERANCE = (105, 100)
"""Meter class and short overload: 5 % above nameplate is still believed."""
MAX_STORED = 1 << 63
_JOB_KINDS = frozenset({3, 4})
_NO_KINDS: frozenset[Kind] = frozenset()


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a reading is not accepted. `retry`: the same bytes may do later, so they are not set aside."""

    field: str
    text: str
    retry: bool = False


def problem_of(reading: Reading, device: Device, facts: Facts, chain_id: int, now: int) -> Problem | None:
    """The first thing wrong with a reading whose signature holds; `now` is chain time, unix seconds."""
    if reading.chain_id != chain_id:
        return Problem("reading.chain_id", f"{reading.chain_id} is another chain than {chain_id}")
    if reading.end > now:
        return Problem("reading.end", f"{reading.end} is after chain time {now}", retry=True)
    if device.attested_until < reading.end:
        return Problem("device.attested_until", f"the key was attested until {device.attested_until} only")
    if reading.kind not in KINDS_OF.get(device.asset_kind, _NO_KINDS):
        return Problem("reading.kind", f"{reading.kind} is not measured by this kind of device")
    if reading.register >= MAX_STORED or reading.seq >= MAX_STORED:  # the quantity is in the register
        return Problem("reading", "a number beyond 2**63 is no meter's")
    asset = facts.asset(device)
    if asset is None:
        return Problem("device.asset_id", f"asset {device.asset_id} is not registered")
    return _agreement_problem(reading, device, facts) or _nameplate_problem(reading, asset)


def _agreement_problem(reading: Reading, device: Device, facts: Facts) -> Problem | None:
    """A job's reading names a run that is active in its slot at the device's site; others name none."""
    if reading.kind not in _JOB_KINDS:
        if reading.agreement_id != NO_AGREEMENT:
            return Problem("reading.agreement_id", "only jobs carry one")
        return None
    number = int.from_bytes(reading.agreement_id, "big")
    batch = facts.batches.get(number >> 64)
    if batch is None or not batch.finalised:
        return Problem("reading.agreement_id", "names no finalised batch", retry=True)
    return _run_problem(reading, device, batch, number >> 32 & 0xFFFFFFFF, number & 0xFFFFFFFF)


def _run_problem(reading: Reading, device: Device, batch: Batch, chunk: int, index: int) -> Problem | None:
    run = batch.run(chunk, index)
    slot = batch.slot_of(reading.start, reading.end)
    if run is None:
        return Problem("reading.agreement_id", f"chunk {chunk} of batch {batch.batch_id} has no run {index}")
    if slot is None or not run.start_slot <= slot < run.end_slot:
        return Problem("reading.start", f"[{reading.start}, {reading.end}) is no slot of the agreement")
    if batch.offers[run.offer_index].site_id != device.asset_id:
        return Problem("reading.agreement_id", "is delivered by another site than the device's")
    return None


def _nameplate_problem(reading: Reading, asset: Asset) -> Problem | None:
    """Energy above nameplate x time cannot have flowed. mWh x 3600 <= W x s x 1000."""
    if reading.kind == Kind.COMPUTE:
        return None
    above, below = NAMEPLATE_TOLERANCE
    limit = asset.nameplate_w * (reading.end - reading.start) * 1000 * above
    if reading.quantity * 3600 * below > limit:
        return Problem("reading.quantity", f"{reading.quantity} mWh is above nameplate {asset.nameplate_w} W")
    return None


def continuity_problem(
    reading: Reading,
    before: tuple[int, int, int, int, int] | None,
    after: tuple[int, int, int, int, int] | None,
    gap_before: bool,
    gap_after: bool,
) -> Problem | None:
    """Whether a reading fits between its neighbours (seq, start, end, quantity, register) of the same stream.

    Registers add up exactly where no seq is missing in between, and never run backwards; intervals do not
    overlap.
    """
    if before is not None:
        if reading.start < before[2]:
            return Problem("reading.start", f"{reading.start} overlaps the reading before, up to {before[2]}")
        due = before[4] + reading.quantity
        if reading.register < due or (reading.register != due and not gap_before):
            return Problem("reading.register", f"{reading.register} where {due} continues the register")
    if after is not None:
        if reading.end > after[1]:
            return Problem("reading.end", f"{reading.end} overlaps the reading after it, from {after[1]}")
        due = after[4] - after[3]
        if reading.register > due or (reading.register != due and not gap_after):
            return Problem("reading.register", f"{reading.register} where the next reading needs {due}")
    return None
