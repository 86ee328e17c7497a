"""Devices: who vouched for them, and evidence documents verified again at their own time."""

from __future__ import annotations

from audit.archive import Document, parse_json
from audit.checks.reports import signed_by_quorum
from audit.facts import DeviceFact, Facts, Place
from audit.verdict import Result, Tally, check
from oracle.evidence.document import EvidenceDocument, decode_document, kind_number
from oracle.evidence.verify import verify_device
from oracle.wire.errors import WireError
from oracle.wire.typed import DeviceAttestation

FIELDS = ("assetKind", "assetId", "x", "y", "measurement", "attestedUntil", "evidenceHash", "evidenceKind")


def proves(device: DeviceFact) -> str:
    """Path of the evidence document and what it should prove."""
    return f"{device.document.path} proving the key of {device.name()}"


@check("evidence.quorum", "EIP-712 DeviceAttestation; DeliveryOracle.attestDevice, event DeviceRecorded")
def quorum(facts: Facts) -> Result:
    tally = Tally()
    for device in facts.devices:
        sent = device.sent
        if sent is None:
            tally.doubt(device.name(), "the attestation that was sent", "the call cannot be seen")
            continue
        tally.true(device.recorded, device.name(), f"DeviceRecorded in {device.place.tx}", "none")
        for name in FIELDS:
            tally.equal(f"{device.name()} {name}", sent[name], device.terms.get(name))
        hashed = DeviceAttestation(
            sent["meterId"],
            sent["assetKind"],
            sent["assetId"],
            sent["x"],
            sent["y"],
            sent["measurement"],
            sent["attestedUntil"],
            sent["evidenceHash"],
            sent["evidenceKind"],
            sent["configDigest"],
        ).struct_hash()
        config = sent["configDigest"]
        signed_by_quorum(tally, facts, device.name(), hashed, device.signatures, config, device.place)
    return tally.result()


@check("evidence.file", "Device.evidenceHash = sha256 of evidence/<hash>")
def file(facts: Facts) -> Result:
    tally = Tally()
    for device in facts.devices:
        tally.count()
        if device.document.state != "intact":
            due = f"sha256 {device.document.expected.hex()}"
            tally.fail(proves(device), due, f"{device.document.state}, {device.document.found}")
    return tally.result()


@check(
    "evidence.binding", "document names chain, meter and key; report data = SHA-256(tag, key, nonce, meter)"
)
def binding(facts: Facts) -> Result:
    tally = Tally()
    for device in facts.devices:
        document = _document(tally, device)
        if document is None:
            continue
        terms = device.terms
        tally.equal(f"{proves(device)}: chain id", facts.chain_id, document.chain_id)
        tally.equal(f"{proves(device)}: meter", device.meter_id, document.meter_id)
        tally.equal(f"{proves(device)}: x", terms["x"], document.x)
        tally.equal(f"{proves(device)}: y", terms["y"], document.y)
        tally.equal(f"{proves(device)}: evidence kind", terms["evidenceKind"], kind_number(document.kind))
    return tally.result()


def _document(tally: Tally, device: DeviceFact) -> EvidenceDocument | None:
    if device.document.state not in ("intact", "altered"):
        return None
    try:
        return decode_document(device.document.content)
    except (WireError, AssertionError, RecursionError) as error:
        tally.count()
        tally.fail(proves(device), "an evidence document", error)
        return None


@check(
    "evidence.quote",
    "quote verified at its attestation: vendor chain, report data, measurement, platform status",
)
def quote(facts: Facts) -> Result:
    tally = Tally()
    collaterals: dict[bytes, Document] = {}
    for device in facts.devices:
        document = _document(Tally(), device)
        if document is None or facts.archive is None:
            continue
        tally.count()
        name = document.collateral_hash
        if name not in collaterals:
            collaterals[name] = facts.archive.get("collateral", name)
        collateral = collaterals[name]
        needed = any(name)
        if needed and collateral.state != "intact":
            due = f"sha256 {name.hex()}"
            tally.fail(
                f"{collateral.path}, collateral of {proves(device)}",
                due,
                f"{collateral.state}, {collateral.found}",
            )
            if collateral.state in ("missing", "unreadable"):
                continue
        content = collateral.content if needed else None
        problem = parse_json(content)[1] if content else ""
        if problem:
            tally.fail(f"{collateral.path}, collateral of {proves(device)}", "JSON", problem)
            continue
        verdict = verify_device(document, content, device.place.timestamp, facts.chain_id)
        if not verdict.allowed:
            tally.fail(proves(device), "a genuine quote bound to this key", verdict.reason)
            continue
        statuses = statuses_at(facts, device.place, device.terms["evidenceKind"])
        if statuses and verdict.status not in statuses:
            tally.fail(f"{proves(device)}: platform status", ", ".join(sorted(statuses)), verdict.status)
        if verdict.measurement != device.terms["measurement"]:
            tally.fail(f"{proves(device)}: measurement", device.terms["measurement"], verdict.measurement)
    return tally.result()


@check("evidence.policy", "Registry.MeasurementSet: measurement allowed when the device was recorded")
def policy(facts: Facts) -> Result:
    tally = Tally()
    for device in facts.devices:
        key = device.terms.get("measurement"), device.terms.get("evidenceKind")
        allowed = allowed_at(facts, device.place).get(key, False)  # type: ignore[arg-type]
        where = f"{device.name()} measurement 0x{(key[0] or b'').hex()}"
        tally.true(allowed, where, "in the policy of that block", "not allowed")
        simulated = device.terms.get("evidenceKind") == 0 and facts.chain_id != 31337
        tally.true(
            not simulated, device.name(), "real hardware evidence", "simulated evidence off the dev chain"
        )
    return tally.result()


def allowed_at(facts: Facts, place: Place) -> dict[tuple[bytes, int], bool]:
    """The measurement policy at a place: (measurement, evidence kind) -> allowed."""
    found = {}
    for event in facts.log("Registry", "MeasurementSet"):
        if (event.block, event.index) < (place.block, place.index):
            found[event.args["measurement"], event.args["evidenceKind"]] = event.args["allowed"]
    return found


def statuses_at(facts: Facts, place: Place, evidence_kind: int) -> set[str]:
    """The platform statuses that the policy lists at a place for a kind of evidence; empty: it lists none."""
    found: set[str] = set()
    for event in facts.log("Registry", "TcbStatusSet"):
        if (event.block, event.index) < (place.block, place.index):
            args = event.args
            if args["evidenceKind"] == evidence_kind:
                found = found | {args["status"]} if args["allowed"] else found - {args["status"]}
    return found


CHECKS = (quorum, file, binding, quote, policy)
