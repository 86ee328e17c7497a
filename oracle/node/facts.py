"""What a node knows from the chain: assets, devices, the measurement policy, cleared batches, its own feed.

Built from events alone, in their order, so that every node that reads the same chain knows the same.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oracle.evidence.verify import Policy
from oracle.wire.bundle import DeviceRecord
from oracle.wire.keys import DevicePublicKey
from oracle.wire.outcomes import PlantPosition, RunPosition

SITE_IMPORT, SITE_WORKLOAD, PLANT = 0, 1, 2
GRID_SOURCE = 0
_RUN = struct.Struct(">HHBHHI")


@dataclass(frozen=True, slots=True)
class Asset:
    """A site or a plant; `source` is None for a site."""

    zone_id: int
    nameplate_w: int
    source: int | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A device key on chain; `attested_until` in unix seconds, `measurement` with its evidence kind.

    `record` and `asset_word` (the asset id as 32 bytes) are made once, because every reading needs them.
    """

    meter_id: int
    asset_kind: int
    asset_id: int
    key: DevicePublicKey
    evidence_hash: bytes
    attested_until: int
    measurement: tuple[bytes, int] = (bytes(32), 0)
    record: DeviceRecord = field(init=False, compare=False)
    asset_word: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        record = DeviceRecord(self.meter_id, self.key.x, self.key.y, self.evidence_hash)
        object.__setattr__(self, "record", record)
        object.__setattr__(self, "asset_word", self.asset_id.to_bytes(32, "big"))


@dataclass(frozen=True, slots=True)
class Run:
    """A cleared run: constant lanes of one offer from `start_slot` up to `end_slot`, exclusive."""

    chunk_index: int
    run_index: int
    offer_index: int
    mode: int
    start_slot: int
    end_slot: int
    lanes: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A compute offer of a batch."""

    site_id: int
    zone_id: int
    energy_wh_per_vcu_slot: int
    class_id: int = 0


@dataclass(frozen=True, slots=True)
class Power:
    """A power offer of a batch and the Wh it sold in each slot."""

    plant_id: int
    zone_id: int
    source: int
    sold_wh: tuple[int, ...]


@dataclass(slots=True)
class Batch:
    """A batch as it grows; only finalised ones are delivered."""

    batch_id: int
    start: int
    slot_seconds: int
    slots: int
    offers: dict[int, Offer] = field(default_factory=dict)
    powers: dict[int, Power] = field(default_factory=dict)
    chunks: dict[int, tuple[Run, ...]] = field(default_factory=dict)
    finalised: bool = False
    active: dict[int, list[Run]] = field(default_factory=dict)

    def slot_of(self, start: int, end: int) -> int | None:
        """The slot that is exactly [start, end), None when there is none."""
        slot, rest = divmod(start - self.start, self.slot_seconds)
        if rest or end - start != self.slot_seconds or not 0 <= slot < self.slots:
            return None
        return slot

    def run(self, chunk_index: int, run_index: int) -> Run | None:
        """One run, None when there is none."""
        runs = self.chunks.get(chunk_index, ())
        return runs[run_index] if run_index < len(runs) else None

    def positions(self, slot: int) -> list[RunPosition]:
        """The runs active in a slot as the outcome rule takes them."""
        found = []
        for run in self.active.get(slot, ()):
            offer = self.offers[run.offer_index]
            found.append(
                RunPosition(
                    run.chunk_index,
                    run.run_index,
                    offer.site_id,
                    offer.zone_id,
                    run.mode,
                    run.lanes,
                    offer.energy_wh_per_vcu_slot,
                )
            )
        return found

    def plants(self, slot: int) -> list[PlantPosition]:
        """What the green plants sold in a slot."""
        return [
            PlantPosition(power.plant_id, power.zone_id, power.sold_wh[slot])
            for power in self.powers.values()
            if power.source != GRID_SOURCE
        ]


def unpack_runs(chunk_index: int, data: bytes) -> tuple[Run, ...]:
    """The runs of a chunk, 13 bytes each: orderIdx | offerIdx | mode | startSlot | endSlot | lanes."""
    return tuple(
        Run(chunk_index, index, offer, mode, start, end, lanes)
        for index, (_, offer, mode, start, end, lanes) in enumerate(_RUN.iter_unpack(data))
    )


@dataclass(slots=True)
class Facts:
    """The chain as one node sees it, up to and including `block`."""

    feed_id: bytes
    block: int = -1
    classes: dict[int, str] = field(default_factory=dict)
    sites: dict[int, Asset] = field(default_factory=dict)
    plants: dict[int, Asset] = field(default_factory=dict)
    devices: dict[int, Device] = field(default_factory=dict)
    measurements: dict[tuple[bytes, int], bool] = field(default_factory=dict)
    statuses: dict[tuple[str, int], bool] = field(default_factory=dict)
    policy_hash: bytes = bytes(32)
    batches: dict[int, Batch] = field(default_factory=dict)
    published: dict[int, bytes] = field(default_factory=dict)
    next_epoch: int = 0
    head_hash: bytes = bytes(32)
    archive_hashes: dict[int, bytes] = field(default_factory=dict)
    report_hashes: dict[int, bytes] = field(default_factory=dict)
    slashed: set[str] = field(default_factory=set)
    site_of: dict[int, int] = field(default_factory=dict)
    plant_of: dict[int, int] = field(default_factory=dict)

    def apply(self, name: str, event: Mapping[str, Any]) -> None:
        """Takes in one event of Registry, BundleMarket or DeliveryOracle; others are passed over."""
        handler = getattr(self, f"_on_{name}", None)
        if handler:
            handler(event)

    def reset(self) -> None:
        """Forgets everything, to read the chain again from its beginning."""
        fresh = Facts(self.feed_id)
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))

    def policy(self, evidence_kind: int) -> Policy:
        """Measurements and platform statuses that the chain allows for a kind of evidence."""
        codes = (code for (code, kind), yes in self.measurements.items() if yes and kind == evidence_kind)
        statuses = (name for (name, kind), yes in self.statuses.items() if yes and kind == evidence_kind)
        return Policy(frozenset(codes), frozenset(statuses))

    def allowed(self, device: Device) -> bool:
        """Whether the code a device was attested with has not been forbidden since."""
        return self.measurements.get(device.measurement, True)

    def asset(self, device: Device) -> Asset | None:
        """The asset a device measures."""
        return (self.plants if device.asset_kind == PLANT else self.sites).get(device.asset_id)

    def _on_ClassAdded(self, event: Mapping[str, Any]) -> None:
        self.classes[event["classId"]] = event["name"]

    def _on_SiteAdded(self, event: Mapping[str, Any]) -> None:
        self.sites[event["siteId"]] = Asset(event["zoneId"], event["nameplateW"])

    def _on_PlantAdded(self, event: Mapping[str, Any]) -> None:
        self.plants[event["plantId"]] = Asset(event["zoneId"], event["nameplateW"], event["source"])

    def _on_DeviceRecorded(self, event: Mapping[str, Any]) -> None:
        meter_id = event["meterId"]
        x, y, measurement, evidence_hash, attested_until, asset_id, asset_kind, how = event["device"]
        self.devices[meter_id] = Device(
            meter_id,
            asset_kind,
            asset_id,
            DevicePublicKey(x, y),
            evidence_hash,
            attested_until,
            (measurement, how),
        )
        self.site_of.pop(meter_id, None)
        self.plant_of.pop(meter_id, None)
        if asset_kind == SITE_IMPORT:
            self.site_of[meter_id] = asset_id
        elif asset_kind == PLANT:
            self.plant_of[meter_id] = asset_id

    def _on_MeasurementSet(self, event: Mapping[str, Any]) -> None:
        self.measurements[event["measurement"], event["evidenceKind"]] = event["allowed"]
        self.policy_hash = event["policyHash"]

    def _on_TcbStatusSet(self, event: Mapping[str, Any]) -> None:
        self.statuses[event["status"], event["evidenceKind"]] = event["allowed"]
        self.policy_hash = event["policyHash"]

    def _on_BatchOpened(self, event: Mapping[str, Any]) -> None:
        start, slot_seconds, slots = event["header"][:3]
        self.batches[event["batchId"]] = Batch(event["batchId"], start, slot_seconds, slots)

    def _on_ComputeOfferAdded(self, event: Mapping[str, Any]) -> None:
        _, site_id, class_id, zone_id, _, energy, *_ = event["offer"]
        offer = Offer(site_id, zone_id, energy, class_id)
        self.batches[event["batchId"]].offers[event["offerIndex"]] = offer

    def _on_PowerOfferAdded(self, event: Mapping[str, Any]) -> None:
        _, plant_id, zone_id, source, *_ = event["offer"]
        sold = event["sold"]
        row = struct.unpack(f">{len(sold) // 4}I", sold)
        self.batches[event["batchId"]].powers[event["offerIndex"]] = Power(plant_id, zone_id, source, row)

    def _on_ChunkCleared(self, event: Mapping[str, Any]) -> None:
        batch = self.batches[event["batchId"]]
        runs = unpack_runs(event["chunkIndex"], event["runs"])
        batch.chunks[event["chunkIndex"]] = runs
        for run in runs:
            for slot in range(run.start_slot, run.end_slot):
                batch.active.setdefault(slot, []).append(run)

    def _on_BatchFinalised(self, event: Mapping[str, Any]) -> None:
        self.batches[event["batchId"]].finalised = True

    def _on_BatchVoided(self, event: Mapping[str, Any]) -> None:
        self.batches.pop(event["batchId"], None)

    def _on_Published(self, event: Mapping[str, Any]) -> None:
        self.published[event["start"]] = event["contentHash"]

    def _on_ReportSubmitted(self, event: Mapping[str, Any]) -> None:
        if event["feedId"] != self.feed_id:
            return
        self.next_epoch = event["epoch"] + 1
        self.head_hash = event["reportHash"]
        self.archive_hashes[event["epoch"]] = event["report"][10]
        self.report_hashes[event["epoch"]] = event["reportHash"]

    def _on_Equivocated(self, event: Mapping[str, Any]) -> None:
        self.slashed.add(event["member"].lower())

    def _on_Bonded(self, event: Mapping[str, Any]) -> None:
        self.slashed.discard(event["member"].lower())
