"""Corruptions of evidence, reports and readings, each noticed by the check that is named for it."""

from __future__ import annotations

from dataclasses import replace

from oracle.wire.reading import Kind
from tests.unit.audit.audit_cases import (
    REGISTRY,
    Case,
    conflicting,
    early,
    edited,
    flipped,
    forged,
    moved_key,
    only,
    overwritten,
    removed,
    report,
    stranger,
    when,
)
from tests.unit.audit.audit_world import START

CASES = (
    # --- evidence
    Case("evidence.quorum", "DeviceRecorded", after=edited(REGISTRY, "DeviceRecorded", device={})),
    Case("evidence.file", "evidence/", after=removed("evidence")),
    Case("evidence.binding", "meter", {"evidence": lambda document: replace(document, meter_id=104)}),
    Case("evidence.binding", "chain id", {"evidence": lambda document: replace(document, chain_id=1)}),
    Case("evidence.quote", "meter 103", {"evidence": lambda document: replace(document, nonce=b"\1" * 32)}),
    Case(
        "evidence.quote",
        "meter 103",
        {"evidence": lambda document: replace(document, evidence=flipped(200)(document.evidence))},
    ),
    Case("evidence.quote", "collateral/", after=removed("collateral")),
    Case("evidence.policy", "measurement", after=edited(REGISTRY, "MeasurementSet", 1, allowed=False)),
    # --- reports
    Case(
        "reports.committee",
        "configDigest",
        {"views": lambda found: replace(found, committee=replace(found.committee, quorum=2))},
    ),
    Case("reports.quorum", "3 distinct members", {"report_sigs": lambda sigs: sigs[:130]}),
    Case("reports.quorum", "3 distinct members", {"report_sigs": lambda sigs: sigs[:65] * 3}),
    Case(
        "reports.quorum", "bonded committee members", {"report_sigs": lambda sigs: sigs + stranger(bytes(32))}
    ),
    Case(
        "reports.quorum",
        "bonded",
        {"views": lambda found: replace(found, committee=replace(found.committee, bond_micro=1))},
    ),
    Case("reports.policy", "policyHash", report(policy_hash=b"\1" * 32)),
    Case("reports.policy", "MeasurementSet", after=edited(REGISTRY, "MeasurementSet", 0, allowed=False)),
    Case("reports.sequence", "epoch 7", report(epoch=7)),
    Case("reports.sequence", "end before", after=early),
    Case("reports.chain", "prevHash", report(prev_hash=b"\1" * 32)),
    Case("reports.conflict", "epoch 0", after=conflicting),
    Case("reports.archive", "readings/", after=removed("readings")),
    Case("reports.archive", "readings/", after=overwritten("readings", b"\xff" * 1000, 1)),
    Case("reports.bundle", "start", report(start=START - 900)),
    Case("reports.root", "root", report(root=b"\1" * 32)),
    Case("reports.root", "count", report(count=3)),
    Case("reports.totals", "total of kind 3", report(totals=(0, 700, 600, 481, 5_400, 0, 0, 0))),
    Case("reports.totals", "evidenceRoot", report(evidence_root=b"\1" * 32)),
    Case("reports.outcomes", "batch 1 chunk 0 slot", {"outcomes": flipped(3)}),
    # --- readings
    Case("readings.encoding", "chain 31337", {"reading": only(Kind.GENERATION, chain_id=1)}),
    Case("readings.signature", "meter 103 kind 1 seq 1", {"envelope": forged}),
    Case("readings.signature", "no attestation holds", {"attested_until": lambda until: START}),
    Case("readings.device", "device 0", after=moved_key),
    Case(
        "readings.quality",
        "quality 1 or worse",
        {"reading": only(Kind.GENERATION, quality=1), "quality": lambda quality: 0},
    ),
    Case(
        "readings.sequence",
        "seq 4 of meter 103 next",
        {"reading": when(Kind.GENERATION, lambda r: r._replace(seq=r.seq * 3))},
    ),
    Case(
        "readings.register",
        "meter 103 kind 1",
        {"reading": when(Kind.GENERATION, lambda r: r._replace(register=r.register + r.seq))},
    ),
    Case(
        "readings.unique",
        "meter 103 kind 1 seq 2",
        {"reading": only(Kind.GENERATION, start=START, end=START + 900)},
    ),
    Case(
        "readings.slots", "meter 103", {"reading": when(Kind.GENERATION, lambda r: r._replace(end=r.end - 1))}
    ),
    Case(
        "readings.nameplate",
        "of nameplate",
        {"reading": only(Kind.GENERATION, quantity=1_050_001, register=10**9)},
    ),
    Case("readings.pue", "site 1", {"reading": only(Kind.SITE_IMPORT, quantity=100)}),
    Case(
        "readings.agreement", "an agreement cleared", {"reading": only(Kind.COMPUTE, agreement_id=b"\1" * 32)}
    ),
    Case("readings.agreement", "no agreement", {"reading": only(Kind.GENERATION, agreement_id=b"\1" * 32)}),
)
