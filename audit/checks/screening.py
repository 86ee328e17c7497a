"""Screening again: the committee's quality of every reading follows from the readings of earlier reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from audit.checks.readings import PLANT, SITE_WORKLOAD, where
from audit.checks.reports import feeds
from audit.facts import DeviceFact, Facts, Place, ReportFact, Terms, asset_at
from audit.verdict import Result, Tally, check
from oracle.wire.errors import WireError
from oracle.wire.keys import DevicePublicKey
from oracle.wire.machine import Machine, decode_machine
from oracle.wire.memory import Memory
from oracle.wire.reading import Reading
from oracle.wire.screen import QUALITY_OF, Metered, screen

Policy = list[tuple[Place, tuple[bytes, int], bool]]


@check(
    "readings.screening",
    "oracle.wire.screen over the archive: Leaf.quality is the device's or the doubt's",
)
def screening(facts: Facts) -> Result:
    tally = Tally()
    devices: dict[int, list[DeviceFact]] = defaultdict(list)
    for device in sorted(facts.devices, key=lambda item: item.place):
        devices[device.meter_id].append(device)
    rules = _policy(facts)
    for items in feeds(facts).values():
        memory = Memory()
        for item in items:
            if item.document.state != "intact" or item.bundle.problem or item.bundle.damage:
                tally.doubt(item.name(), "the bundles of all reports up to it", item.document.state)
                break
            _report(tally, facts, item, devices, rules, memory)
    return tally.result()


def _report(
    tally: Tally,
    facts: Facts,
    item: ReportFact,
    devices: dict[int, list[DeviceFact]],
    rules: Policy,
    memory: Memory,
) -> None:
    """One report: every quality compared, then everything taken in."""
    entries = [(entry, entry.reading) for entry in item.bundle.items if entry.reading is not None]
    readings = [reading for _, reading in entries]
    meters = _meters(facts, item, readings, devices, rules, memory)
    doubts = screen(readings, meters, memory)
    for entry, reading in entries:
        doubt = doubts.get((reading.meter_id, reading.seq))
        due = max(reading.quality, QUALITY_OF[doubt]) if doubt else reading.quality
        tally.checked += 1
        if entry.quality != due:
            tally.fail(where(item, entry), f"quality {due} ({doubt or 'nothing against it'})", entry.quality)
    memory.absorb(readings, meters)
    memory.learn(_machines(tally, facts, item, devices, memory))


def _meters(
    facts: Facts,
    item: ReportFact,
    readings: Iterable[Reading],
    devices: dict[int, list[DeviceFact]],
    rules: Policy,
    memory: Memory,
) -> dict[int, Metered]:
    """The meters of a report and of all storages, as the chain had them when it was submitted."""
    found = {}
    allowed = {key: yes for place, key, yes in rules if place < item.place}
    for meter_id in {reading.meter_id for reading in readings}.union(memory.storage()):
        terms = _terms(devices, meter_id, item.place)
        plant = terms is not None and terms["assetKind"] == PLANT
        asset = (
            asset_at(facts.plants if plant else facts.sites, terms["assetId"], item.place) if terms else None
        )
        if terms is None or asset is None:
            continue
        found[meter_id] = Metered(
            asset["nameplateW"],
            asset["source"] if plant else None,
            site_id=None if plant else terms["assetId"],
            plant_id=terms["assetId"] if plant else None,
            allowed=allowed.get((terms["measurement"], terms["evidenceKind"]), True),
            attested_until=terms["attestedUntil"],
        )
    return found


def _terms(devices: dict[int, list[DeviceFact]], meter_id: int, place: Place) -> Terms | None:
    """A meter's device as it was recorded last before a place."""
    held = [device.terms for device in devices.get(meter_id, ()) if device.place < place]
    return held[-1] if held else None


def _policy(facts: Facts) -> Policy:
    """Every change of the measurement policy with its place."""
    return [
        (
            Place(event.block, event.index, 0),
            (event.args["measurement"], event.args["evidenceKind"]),
            event.args["allowed"],
        )
        for event in facts.log("Registry", "MeasurementSet")
    ]


def _machines(
    tally: Tally, facts: Facts, item: ReportFact, devices: dict[int, list[DeviceFact]], memory: Memory
) -> list[Machine]:
    """The machines a report registers; each is signed by the workload device it names."""
    found = []
    for number, (payload, signature) in enumerate(item.bundle.machines):
        subject = f"{item.document.path} machine {number} of {item.name()}"
        try:
            machine = decode_machine(payload)
            terms = _terms(devices, machine.meter_id, item.place)
            key = DevicePublicKey(terms["x"], terms["y"]) if terms else None
        except WireError as error:
            tally.fail(subject, "a machine's document", error)
            continue
        workload = terms is not None and terms["assetKind"] == SITE_WORKLOAD
        signed = key is not None and key.verify(payload, signature)
        good = workload and signed and machine.chain_id == facts.chain_id
        if tally.true(good, subject, f"signed by the workload device of meter {machine.meter_id}", "not so"):
            younger = machine.measured_at > memory.measured_at(machine.meter_id)
            tally.true(younger, subject, "measured after the one before", machine.measured_at)
            found.append(machine)
    return found


CHECKS = (screening,)
