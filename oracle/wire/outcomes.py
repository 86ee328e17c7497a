"""From readings to outcomes: what each run delivered in one slot, and how much of it green power matched.

F2 (facility energy, storage apart), F9 (green match in the same zone and slot) and the delivered part of
F15. The committee computes outcomes by these functions and the auditor computes them again; a reading that is
missing, or that is not actual, counts as 0.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from oracle.wire.errors import WireError
from oracle.wire.keys import keccak256
from oracle.wire.reading import Kind, Leaf
from oracle.wire.typed import uint_word

GREEN = 1
SITE_KINDS = frozenset({Kind.SITE_IMPORT, Kind.STORAGE_CHARGE, Kind.STORAGE_DISCHARGE})
MAX_U32 = 0xFFFFFFFF


def agreement_id(batch_id: int, chunk_index: int, run_index: int) -> int:
    """batchId << 64 | chunkIndex << 32 | runIndex."""
    return batch_id << 64 | chunk_index << 32 | run_index


def agreement_bytes(batch_id: int, chunk_index: int, run_index: int) -> bytes:
    """The agreement id as 32 bytes, as readings carry it."""
    return agreement_id(batch_id, chunk_index, run_index).to_bytes(32, "big")


@dataclass(frozen=True, slots=True)
class RunPosition:
    """A run that is active in the slot: what the site owes.

    `lanes` VCU, `energy_wh_per_vcu_slot` facility energy one VCU-slot may use, `mode` 0 grey or 1 green.
    """

    chunk_index: int
    run_index: int
    site_id: int
    zone_id: int
    mode: int
    lanes: int
    energy_wh_per_vcu_slot: int

    @property
    def energy_wh(self) -> int:
        """Wh bought for this run in the slot."""
        return self.lanes * self.energy_wh_per_vcu_slot


@dataclass(frozen=True, slots=True)
class PlantPosition:
    """What a green plant sold into the pool of its zone in the slot, Wh."""

    plant_id: int
    zone_id: int
    sold_wh: int


@dataclass(frozen=True, slots=True)
class SlotReadings:
    """The actual readings of one slot: mWh, resource-milliseconds for `compute_ms`."""

    it_energy_mwh: Mapping[int, int] = field(default_factory=dict)  # by agreement id
    compute_ms: Mapping[int, int] = field(default_factory=dict)  # by agreement id
    import_mwh: Mapping[int, int] = field(default_factory=dict)  # by site id
    generation_mwh: Mapping[int, int] = field(default_factory=dict)  # by plant id
    charge_mwh: Mapping[int, int] = field(default_factory=dict)  # by site id, into storage behind its import
    discharge_mwh: Mapping[int, int] = field(default_factory=dict)  # by site id, out of it


def slot_readings(
    leaves: Iterable[Leaf], start: int, end: int, site_of: Mapping[int, int], plant_of: Mapping[int, int]
) -> SlotReadings:
    """The actual readings of exactly [start, end) among `leaves`.

    `site_of` gives the site of a site's meter, `plant_of` the plant of a plant meter. Several meters of one
    asset add up. Leaves of other intervals (reported late) and of other qualities do not count.
    """
    tables: dict[int, defaultdict[int, int]] = {kind: defaultdict(int) for kind in range(1, 7)}
    for leaf in leaves:
        reading = leaf.reading
        if leaf.quality or reading.start != start or reading.end != end:
            continue
        if reading.kind in (Kind.JOB_IT_ENERGY, Kind.COMPUTE):
            tables[reading.kind][int.from_bytes(reading.agreement_id, "big")] += reading.quantity
        elif reading.kind in SITE_KINDS and reading.meter_id in site_of:
            tables[reading.kind][site_of[reading.meter_id]] += reading.quantity
        elif reading.kind == Kind.GENERATION and reading.meter_id in plant_of:
            tables[reading.kind][plant_of[reading.meter_id]] += reading.quantity
    return SlotReadings(
        it_energy_mwh=tables[Kind.JOB_IT_ENERGY],
        compute_ms=tables[Kind.COMPUTE],
        import_mwh=tables[Kind.SITE_IMPORT],
        generation_mwh=tables[Kind.GENERATION],
        charge_mwh=tables[Kind.STORAGE_CHARGE],
        discharge_mwh=tables[Kind.STORAGE_DISCHARGE],
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run got in one slot: thousandths of a lane, and matched Wh."""

    delivered_milli_lanes: int
    matched_wh: int


def delivered_milli_lanes(lanes: int, compute_ms: int, slot_seconds: int) -> int:
    """min(1000 lanes, floor(resource-milliseconds / slot seconds))."""
    return min(1000 * lanes, compute_ms // slot_seconds)


def drawn_mwh(site_it_mwh: int, import_mwh: int, charge_mwh: int = 0, discharge_mwh: int = 0) -> int:
    """F2, F9: what a site drew in the slot and used in the slot.

    What it used is import - charge + discharge, at least its IT energy (PUE >= 1; without an import reading
    it is the IT energy, which can only understate). What came out of storage was not drawn now: F9 does not
    carry green power over, so energy that storage took, gave or lost is never matched.
    """
    used = max(import_mwh - charge_mwh + discharge_mwh, site_it_mwh)
    return max(used - discharge_mwh, 0)


def facility_wh(it_mwh: int, site_it_mwh: int, drawn: int) -> int:
    """F2: a run's part, by IT energy, of what its site drew, Wh rounded down."""
    return it_mwh * drawn // (site_it_mwh * 1000) if it_mwh else 0


def coverage(
    positions: Iterable[PlantPosition], generation_mwh: Mapping[int, int]
) -> dict[int, tuple[int, int]]:
    """zone -> (delivered G, sold S) in Wh, with G = sum of min(sold, metered)."""
    pools: dict[int, tuple[int, int]] = {}
    for position in positions:
        delivered, sold = pools.get(position.zone_id, (0, 0))
        metered_wh = generation_mwh.get(position.plant_id, 0) // 1000
        pools[position.zone_id] = delivered + min(position.sold_wh, metered_wh), sold + position.sold_wh
    return pools


def slot_outcomes(
    batch_id: int,
    slot_seconds: int,
    runs: Iterable[RunPosition],
    positions: Iterable[PlantPosition],
    readings: SlotReadings,
) -> dict[int, bytes]:
    """chunk index -> packed outcomes of the runs active in the slot, in run order.

    Chunks without an active run have no entry.
    """
    active = sorted(runs, key=lambda run: (run.chunk_index, run.run_index))
    ids = [agreement_id(batch_id, run.chunk_index, run.run_index) for run in active]
    site_it: defaultdict[int, int] = defaultdict(int)
    for run, agreement in zip(active, ids, strict=True):
        site_it[run.site_id] += readings.it_energy_mwh.get(agreement, 0)
    drawn = {site: _drawn(site, it_mwh, readings) for site, it_mwh in site_it.items()}
    pools = coverage(positions, readings.generation_mwh)
    packed: defaultdict[int, list[bytes]] = defaultdict(list)
    for run, agreement in zip(active, ids, strict=True):
        it_mwh = readings.it_energy_mwh.get(agreement, 0)
        energy = facility_wh(it_mwh, site_it[run.site_id], drawn[run.site_id])
        outcome = Outcome(
            delivered_milli_lanes(run.lanes, readings.compute_ms.get(agreement, 0), slot_seconds),
            _matched_wh(run, energy, pools),
        )
        packed[run.chunk_index].append(pack_outcome(outcome))
    return {chunk: b"".join(parts) for chunk, parts in packed.items()}


def _drawn(site_id: int, site_it_mwh: int, readings: SlotReadings) -> int:
    tables = (readings.import_mwh, readings.charge_mwh, readings.discharge_mwh)
    return drawn_mwh(site_it_mwh, *(table.get(site_id, 0) for table in tables))


def _matched_wh(run: RunPosition, energy_wh: int, pools: Mapping[int, tuple[int, int]]) -> int:
    """F9 for one run: never more than bought, used, or its share of what the pool's plants delivered."""
    if run.mode != GREEN:
        return 0
    delivered, sold = pools.get(run.zone_id, (0, 0))
    covered = run.energy_wh * delivered // sold if sold else 0
    return min(run.energy_wh, energy_wh, covered)


# --- bytes and hashes -----------------------------------------------------------
def pack_outcome(outcome: Outcome) -> bytes:
    """uint32 deliveredMilliLanes | uint32 matchedWh."""
    if outcome.delivered_milli_lanes > MAX_U32 or outcome.matched_wh > MAX_U32:
        raise WireError("outcome", f"{outcome} does not fit in two uint32")
    return struct.pack(">II", outcome.delivered_milli_lanes, outcome.matched_wh)


def unpack_outcomes(data: bytes) -> list[Outcome]:
    """The outcomes packed in `data`, 8 bytes each."""
    if len(data) % 8:
        raise WireError("outcomes", f"{len(data)} bytes are no whole number of 8-byte outcomes")
    return [Outcome(delivered, matched) for delivered, matched in struct.iter_unpack(">II", data)]


def outcome_leaf(batch_id: int, chunk_index: int, slot: int, packed: bytes) -> bytes:
    """keccak(keccak(abi.encode(uint64 batchId, uint32 chunkIndex, uint16 slot, keccak256(outcomes))))."""
    head = uint_word(batch_id, 64, "batch_id") + uint_word(chunk_index, 32, "chunk_index")
    return keccak256(keccak256(head + uint_word(slot, 16, "slot") + keccak256(packed)))
