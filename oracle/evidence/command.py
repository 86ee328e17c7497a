"""What `bitwatt evidence verify` does: evidence in whatever form, a time, a policy, one verdict."""

from __future__ import annotations

import json
from typing import Any

from oracle.evidence import verify
from oracle.evidence.certificates import Refused
from oracle.evidence.document import EvidenceDocument, decode_document, is_document
from oracle.evidence.verify import ANY, Policy, Verdict
from oracle.wire.errors import WireError

SIGNED = "signed"
FAR_FUTURE = 253_402_300_799


def judge(
    kind: str, evidence: bytes, collateral: bytes | None, at: str, chain_id: int | None, policy: bytes | None
) -> Verdict:
    """The verdict on a file; never raises for what the files contain."""
    try:
        rules = read_policy(policy) if policy is not None else ANY
        document = decode_document(evidence) if is_document(evidence) else None
        if document and document.kind != kind:
            raise Refused("kind", f"the document holds {document.kind} evidence, not {kind}", "name its kind")
        bare = document.evidence if document else evidence
        chain = document.chain_id if document and chain_id is None else chain_id
        when = _time(kind, bare, collateral, at)
    except (Refused, WireError) as refusal:
        return Verdict(kind, 0, False, False, field=refusal.field, reason=str(refusal))
    if isinstance(document, EvidenceDocument):
        return verify.verify_device(document, collateral, when, chain if chain is not None else -1, rules)
    return verify.verify(kind, bare, collateral, when, chain, rules)


def _time(kind: str, evidence: bytes, collateral: bytes | None, at: str) -> int:
    """Unix seconds of `at`; for `signed`, the time the evidence itself states. Raises Refused."""
    if at != SIGNED:
        if not at.isdecimal() or int(at) > FAR_FUTURE:
            raise Refused("at", f"{at!r} is no time", "give unix seconds, or `signed`")
        return int(at)
    return verify.stated_time(kind, evidence, collateral)


def read_policy(data: bytes) -> Policy:
    """A policy file: {"measurements": [hex], "statuses": [..], "rejected_advisories": [..]}, all optional."""
    try:
        table: dict[str, Any] = json.loads(data)
        unknown = set(table) - {"measurements", "statuses", "rejected_advisories"}
        if unknown:
            raise Refused("policy", f"{sorted(unknown)} is not understood")
        measurements = frozenset(
            bytes.fromhex(item.removeprefix("0x")) for item in table.get("measurements", [])
        )
        if any(len(item) != 32 for item in measurements):
            raise Refused("policy.measurements", "a measurement has 32 bytes")
        return Policy(
            measurements,
            frozenset(table.get("statuses", [])),
            frozenset(table.get("rejected_advisories", [])),
        )
    except (ValueError, TypeError, AttributeError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused("policy", f"cannot be read ({error})") from None
