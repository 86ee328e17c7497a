"""Archived readings: signed by the registered key, continuous, and physically possible."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from audit.bundle import Item
from audit.eip712 import keccak
from audit.facts import DeviceFact, Facts, ReportFact, asset_at
from audit.signatures import Signed, verified_everywhere
from audit.verdict import Result, Tally, check
from oracle.wire.reading import NO_AGREEMENT, Kind, Reading

SITE_IMPORT, SITE_WORKLOAD, PLANT = 0, 1, 2
STORAGE = {Kind.STORAGE_CHARGE: -1, Kind.STORAGE_DISCHARGE: 1}
ASSETS_OF_KIND = {
    Kind.GENERATION: {PLANT},
    Kind.SITE_IMPORT: {SITE_IMPORT, PLANT},
    Kind.JOB_IT_ENERGY: {SITE_WORKLOAD},
    Kind.COMPUTE: {SITE_WORKLOAD},
    Kind.STORAGE_CHARGE: {SITE_IMPORT, PLANT},
    Kind.STORAGE_DISCHARGE: {SITE_IMPORT, PLANT},
}
METERED_SITE_KINDS = (Kind.JOB_IT_ENERGY, Kind.COMPUTE)
ACTUAL = 0
BELIEVED_PERCENT = 105
"""Meter class and short overload: what the committee, too, believes above a nameplate."""


def every(facts: Facts) -> Iterator[tuple[ReportFact, Item]]:
    """Every archived reading with the report it stands under."""
    for item in facts.reports:
        for entry in item.bundle.items:
            yield item, entry


def readable(facts: Facts) -> Iterator[tuple[ReportFact, Item, Reading]]:
    """Every archived reading that can be read."""
    for item, entry in every(facts):
        if entry.reading is not None:
            yield item, entry, entry.reading


def where(item: ReportFact, entry: Item) -> str:
    """How findings call an archived reading."""
    return f"{item.document.path} {entry.name()} of {item.name()}"


def devices_by_meter(facts: Facts) -> dict[int, list[DeviceFact]]:
    """Attestations by meter, in chain order."""
    found: dict[int, list[DeviceFact]] = defaultdict(list)
    for device in sorted(facts.devices, key=lambda device: device.place):
        found[device.meter_id].append(device)
    return found


def holding(history: list[DeviceFact], item: ReportFact, reading: Reading) -> list[DeviceFact]:
    """Attestations of a meter that stood before the report and had not run out when the interval ended."""
    return [
        device
        for device in history
        if device.place <= item.place and device.terms["attestedUntil"] >= reading.end
    ]


@check("readings.encoding", "RFC 8949 4.2 deterministic CBOR; SPEC reading map")
def encoding(facts: Facts) -> Result:
    tally = Tally()
    for item, entry in every(facts):
        tally.checked += 1
        if entry.reading is None:
            tally.fail(where(item, entry), "one deterministic reading", entry.problem)
        elif entry.reading.chain_id != facts.chain_id:
            tally.fail(where(item, entry), f"chain {facts.chain_id}", entry.reading.chain_id)
    return tally.result()


@check("readings.signature", "ES256 low-s by the device key on chain; DeviceAttestation")
def signature(facts: Facts) -> Result:
    tally = Tally()
    history = devices_by_meter(facts)
    waiting: list[tuple[ReportFact, Item, bool]] = []
    rows: list[Signed] = []
    notes: list[tuple[bytes, int, int]] = []
    for item in facts.reports:
        begin = len(rows)
        found, readable_ones = _signed_rows(tally, item, history)
        note = _note(item, [row for _, _, row in found])
        if readable_ones and facts.memo.knows(note):
            continue
        for entry, attested, row in found:
            waiting.append((item, entry, attested))
            rows.append(row)
        if readable_ones:
            notes.append((note, begin, len(rows)))
    good = verified_everywhere(rows, facts.step)
    for (item, entry, attested), passed in zip(waiting, good, strict=True):
        if not passed and entry.reading is not None:
            due = f"signed by the key of meter {entry.reading.meter_id} on chain"
            tally.fail(where(item, entry), due, "not by any of them" if attested else "no attestation holds")
    for note, begin, end in notes:
        if all(good[begin:end]):
            facts.memo.note(note)
    return tally.result()


def _signed_rows(
    tally: Tally, item: ReportFact, history: dict[int, list[DeviceFact]]
) -> tuple[list[tuple[Item, bool, Signed]], bool]:
    """(reading, whether an attestation holds, what to verify) of a bundle, and whether all could be read."""
    found: list[tuple[Item, bool, Signed]] = []
    whole = True
    for entry in item.bundle.items:
        tally.checked += 1
        reading = entry.reading
        if reading is None:
            tally.fail(where(item, entry), "a signed reading", entry.problem)
            whole = False
            continue
        held = holding(history.get(reading.meter_id, []), item, reading)
        points = tuple((device.terms["x"], device.terms["y"]) for device in reversed(held))
        found.append((entry, bool(held), (entry.payload, entry.signature, points)))
    return found, whole


def _note(item: ReportFact, rows: list[Signed]) -> bytes:
    """A hash over all that the verdict on a bundle's signatures depends on."""
    hashed = hashlib.sha256(b"readings.signature/1" + item.document.expected)
    for payload, signature_, points in rows:
        for part in (payload, signature_, *(word for point in points for word in point)):
            hashed.update(len(part).to_bytes(4, "big") + part)
    return hashed.digest()


@check("readings.device", "bundle device table = DeviceAttestation on chain; keyId, evidenceHash, asset kind")
def device_table(facts: Facts) -> Result:
    tally = Tally()
    history = devices_by_meter(facts)
    for item in facts.reports:
        for number, row in enumerate(item.bundle.devices):
            known = [
                (device.terms["x"], device.terms["y"], device.terms["evidenceHash"])
                for device in history.get(row.meter_id, [])
                if device.place <= item.place
            ]
            text = f"{item.document.path} device {number} (meter {row.meter_id}) of {item.name()}"
            same = (row.x, row.y, row.evidence_hash) in known
            key = f"key 0x{keccak(row.x + row.y).hex()} evidence 0x{row.evidence_hash.hex()}"
            tally.true(same, text, "a key and evidence attested on chain", key)
    for item, entry, reading in readable(facts):
        tally.checked += 1
        devices = item.bundle.devices
        if devices and (entry.device >= len(devices) or devices[entry.device].meter_id != reading.meter_id):
            tally.fail(where(item, entry), f"a device row of meter {reading.meter_id}", f"row {entry.device}")
        due = ASSETS_OF_KIND.get(Kind(reading.kind), set())
        kinds = {device.terms["assetKind"] for device in history.get(reading.meter_id, [])}
        if not due & kinds:
            tally.fail(where(item, entry), f"a meter of asset kind {sorted(due)}", sorted(kinds))
    return tally.result()


@check("readings.quality", "DESIGN 6: the committee's quality is never better than the device's own")
def quality(facts: Facts) -> Result:
    tally = Tally()
    for item, entry, reading in readable(facts):
        if item.bundle.problem:
            continue
        tally.checked += 1
        if entry.quality < reading.quality:
            tally.fail(where(item, entry), f"quality {reading.quality} or worse", entry.quality)
    return tally.result()


@check("readings.sequence", "SPEC: seq per meter +1, no gaps, no reading twice")
def sequence(facts: Facts) -> Result:
    tally = Tally()
    by_meter: dict[int, list[tuple[int, ReportFact, Item]]] = defaultdict(list)
    for item, entry, reading in readable(facts):
        by_meter[reading.meter_id].append((reading.seq, item, entry))
    for meter, rows in by_meter.items():
        rows.sort(key=lambda row: row[0])
        tally.count(len(rows))
        for before, after in pairwise(rows):
            if after[0] != before[0] + 1:
                due = f"seq {before[0] + 1} of meter {meter} next"
                tally.fail(where(after[1], after[2]), due, f"seq {after[0]} (in {after[1].document.path})")
    return tally.result()


@check("readings.register", "SPEC: cumulative register per (meter, kind, agreement)")
def register(facts: Facts) -> Result:
    tally = Tally()
    series: dict[tuple[int, int, bytes], list[tuple[int, Reading, ReportFact, Item]]] = defaultdict(list)
    for item, entry, reading in readable(facts):
        series[reading.meter_id, reading.kind, reading.agreement_id].append(
            (reading.seq, reading, item, entry)
        )
    for rows in series.values():
        rows.sort(key=lambda row: row[0])
        tally.count(len(rows))
        for (_, before, _, _), (_, reading, item, entry) in pairwise(rows):
            if reading.register != before.register + reading.quantity:
                due = f"register {before.register} + {reading.quantity} after seq {before.seq}"
                tally.fail(where(item, entry), due, reading.register)
    return tally.result()


@check(
    "readings.unique", "F11 one Wh one use: one reading per meter, kind, agreement and interval, none overlap"
)
def unique(facts: Facts) -> Result:
    tally = Tally()
    series: dict[tuple[int, int, bytes], list[tuple[int, int, ReportFact, Item]]] = defaultdict(list)
    for item, entry, reading in readable(facts):
        key = reading.meter_id, reading.kind, reading.agreement_id
        series[key].append((reading.start, reading.end, item, entry))
    for rows in series.values():
        rows.sort(key=lambda row: row[:2])
        tally.count(len(rows))
        for before, after in pairwise(rows):
            if after[0] < before[1]:
                due = f"an interval from {before[1]} on"
                tally.fail(
                    where(after[2], after[3]), due, f"[{after[0]}, {after[1]}) overlaps {before[3].name()}"
                )
    return tally.result()


@check("readings.slots", "SPEC: intervals are slots, not later than their report's epoch")
def slots(facts: Facts) -> Result:
    tally = Tally()
    for item, entry, reading in readable(facts):
        tally.checked += 1
        length = item.report.end - item.report.start
        aligned = reading.end - reading.start == length and (reading.start - item.report.start) % length == 0
        if not aligned or reading.end > item.report.end:
            due = f"a slot of {length} s up to {item.report.end}"
            tally.fail(where(item, entry), due, f"[{reading.start}, {reading.end})")
    return tally.result()


@check("readings.nameplate", "Registry nameplate: energy of a slot <= 105 % of W x seconds / 3600")
def nameplate(facts: Facts) -> Result:
    tally = Tally()
    history = devices_by_meter(facts)
    for item, entry, reading in readable(facts):
        if entry.quality != ACTUAL or reading.kind not in (Kind.GENERATION, Kind.SITE_IMPORT, *STORAGE):
            continue
        tally.checked += 1
        owner = history.get(reading.meter_id)
        if not owner:
            continue
        assets = facts.plants if owner[-1].terms["assetKind"] == PLANT else facts.sites
        asset = asset_at(assets, owner[-1].terms["assetId"], item.place)
        if asset is None:
            tally.fail(where(item, entry), "a registered asset", f"asset {owner[-1].terms['assetId']}")
            continue
        most = asset["nameplateW"] * (reading.end - reading.start) * 10 * BELIEVED_PERCENT // 3600
        if reading.quantity > most:
            tally.fail(
                where(item, entry),
                f"at most {most} mWh at {BELIEVED_PERCENT} % of nameplate",
                reading.quantity,
            )
    return tally.result()


@check("readings.pue", "F2: energy of the jobs of a site and slot <= its import and its storage's (PUE >= 1)")
def pue(facts: Facts) -> Result:
    tally = Tally()
    at_sites = (device for device in facts.devices if device.terms["assetKind"] != PLANT)
    asset_of = {device.meter_id: device.terms["assetId"] for device in at_sites}
    stored: dict[tuple[int, int], int] = defaultdict(int)
    jobs: dict[tuple[int, int], int] = defaultdict(int)
    imports: dict[tuple[int, int], int] = {}
    places: dict[tuple[int, int], str] = {}
    for item, entry, reading in readable(facts):
        if entry.quality != ACTUAL or reading.meter_id not in asset_of:
            continue
        key = asset_of[reading.meter_id], reading.start
        if reading.kind == Kind.JOB_IT_ENERGY:
            jobs[key] += reading.quantity
        elif reading.kind == Kind.SITE_IMPORT:
            imports[key] = imports.get(key, 0) + reading.quantity
            places[key] = where(item, entry)
        elif reading.kind in STORAGE:
            stored[key] += STORAGE[Kind(reading.kind)] * reading.quantity
    for key, metered in imports.items():
        text = f"site {key[0]} slot {key[1]}: {places[key]}"
        used = metered + stored[key]
        tally.true(jobs.get(key, 0) <= used, text, f"at least {jobs.get(key, 0)} mWh of jobs", used)
    return tally.result()


@check(
    "readings.agreement",
    "agreement id = batch << 64 | chunk << 32 | run, at the meter's own site, in its slots",
)
def agreement(facts: Facts) -> Result:
    tally = Tally()
    owed: dict[int, tuple[int, int, int]] = {}
    for batch in facts.batches:
        for chunk in batch.chunks:
            for run in chunk.runs:
                if run.offer < len(batch.compute_offers):
                    site = batch.compute_offers[run.offer].terms["siteId"]
                    begin = batch.start + run.start_slot * batch.slot_seconds
                    end = batch.start + run.end_slot * batch.slot_seconds
                    owed[batch.id << 64 | chunk.index << 32 | run.index] = (site, begin, end)
    asset_of = {device.meter_id: device.terms["assetId"] for device in facts.devices}
    for item, entry, reading in readable(facts):
        if reading.kind not in METERED_SITE_KINDS:
            if reading.agreement_id != NO_AGREEMENT:
                tally.fail(where(item, entry), "no agreement", reading.agreement_id)
            continue
        tally.checked += 1
        due = owed.get(int.from_bytes(reading.agreement_id, "big"))
        site = asset_of.get(reading.meter_id)
        if due is None:
            tally.fail(where(item, entry), "an agreement cleared on chain", reading.agreement_id)
        elif due[0] != site or not due[1] <= reading.start < reading.end <= due[2]:
            text = f"site {site} [{reading.start}, {reading.end})"
            tally.fail(where(item, entry), f"site {due[0]} within [{due[1]}, {due[2]})", text)
    return tally.result()


CHECKS = (
    encoding,
    signature,
    device_table,
    quality,
    sequence,
    register,
    unique,
    slots,
    nameplate,
    pue,
    agreement,
)
