"""One interface to every kind of attestation evidence.

`verify` answers for bare evidence, `verify_device` for a device's evidence document. Neither raises for bad
evidence: the verdict says what was wrong. A genuine quote proves which code made a signature, not what a
sensor saw.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from dataclasses import field as default

from oracle.evidence import dcap, dev_root
from oracle.evidence.certificates import Attested, Refused
from oracle.evidence.document import EvidenceDocument
from oracle.wire.errors import WireError
from oracle.wire.keys import sha256

DEV_CHAIN_ID = 31337
Verifier = Callable[[bytes, bytes | None, int], Attested]


class SimulatedOffDevChain(Refused):
    """Simulated evidence where real money may be: refused whatever it says."""

    def __init__(self, chain_id: int | None) -> None:
        where = "no chain" if chain_id is None else f"chain {chain_id}"
        super().__init__(
            "kind",
            f"simulated evidence is refused on {where}",
            f"it counts on the development chain {DEV_CHAIN_ID} only; attest with real hardware",
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """What is allowed beyond being genuine; empty sets allow everything.

    `measurements` are the 32-byte values of the on-chain policy, `rejected_advisories` vendor advisory ids.
    """

    measurements: frozenset[bytes] = frozenset()
    statuses: frozenset[str] = frozenset()
    rejected_advisories: frozenset[str] = frozenset()

    def objection(self, found: Attested) -> str:
        """Why `found` is not allowed, empty when it is."""
        if found.forbidden:
            return found.forbidden
        if self.measurements and measurement_word(found) not in self.measurements:
            return f"measurement 0x{measurement_word(found).hex()} is not in the policy"
        if self.statuses and found.status not in self.statuses:
            return f"status {found.status} is not in the policy ({', '.join(sorted(self.statuses))})"
        hits = self.rejected_advisories & set(found.details.get("advisories", "").split())
        return f"advisories {', '.join(sorted(hits))} are rejected by the policy" if hits else ""


ANY = Policy()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: `genuine` = vendor-signed and valid at `at`; `allowed` = genuine and inside the policy.

    `measurement` is the 32-byte word of the chain's policy; times are unix seconds.
    """

    kind: str
    at: int
    genuine: bool
    allowed: bool
    status: str = ""
    field: str = ""
    reason: str = ""
    measurement: bytes = b""
    report_data: bytes = b""
    valid_until: int = 0
    details: dict[str, str] = default(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The verdict with bytes as 0x hex."""
        return {
            name: "0x" + value.hex() if isinstance(value, bytes) else value
            for name, value in asdict(self).items()
        }

    def to_text(self) -> str:
        """The verdict for people."""
        if not self.genuine:
            return f"{self.kind}: NOT genuine at {self.at}\n  {self.reason}"
        lines = [
            f"{self.kind}: genuine at {self.at}, "
            + ("allowed" if self.allowed else f"NOT allowed: {self.reason}"),
            f"  status       {self.status}",
            f"  measurement  0x{self.measurement.hex()}",
            f"  report data  0x{self.report_data.hex()}",
            f"  valid until  {self.valid_until}",
        ]
        return "\n".join(lines + [f"  {name:12} {value}" for name, value in sorted(self.details.items())])


def measurement_word(found: Attested) -> bytes:
    """The measurement as one 32-byte word: itself, or its sha256 where the vendor's is longer."""
    return found.measurement if len(found.measurement) == 32 else sha256(found.measurement)


def verify(
    kind: str,
    evidence: bytes,
    collateral: bytes | None,
    at: int,
    chain_id: int | None = None,
    policy: Policy = ANY,
) -> Verdict:
    """The verdict on bare evidence of `kind` at unix second `at`, for use on chain `chain_id`."""
    try:
        found = attested(kind, evidence, collateral, at, chain_id)
    except (Refused, WireError) as refusal:
        return Verdict(kind, at, False, False, field=refusal.field, reason=str(refusal))
    return _verdict(kind, at, found, policy.objection(found))


def verify_device(
    document: EvidenceDocument, collateral: bytes | None, at: int, chain_id: int, policy: Policy = ANY
) -> Verdict:
    """The verdict on a device's document: genuine, allowed, for this chain, and bound to exactly its key."""
    if document.chain_id != chain_id:
        reason = f"the document is for chain {document.chain_id}, not {chain_id}"
        return Verdict(document.kind, at, False, False, field="chain_id", reason=reason)
    if document.collateral_hash != (sha256(collateral) if collateral else bytes(32)):
        reason = "the collateral is not the one the document names by its sha256"
        return Verdict(document.kind, at, False, False, field="collateral", reason=reason)
    try:
        found = attested(document.kind, document.evidence, collateral, at, chain_id)
    except (Refused, WireError) as refusal:
        return Verdict(document.kind, at, False, False, field=refusal.field, reason=str(refusal))
    objection = policy.objection(found)
    due = document.report_data()
    if found.report_data[:32] != due or any(found.report_data[32:]):
        objection = "report data is not SHA-256 over this key, nonce and meter: a quote of another key"
    return _verdict(document.kind, at, found, objection)


def attested(kind: str, evidence: bytes, collateral: bytes | None, at: int, chain_id: int | None) -> Attested:
    """What genuine evidence attests; raises Refused (simulated off chain 31337: SimulatedOffDevChain)."""
    if kind == "simulated":
        if chain_id != DEV_CHAIN_ID:
            raise SimulatedOffDevChain(chain_id)
        return dcap.attested(dcap.SGX, evidence, collateral, at, dev_root.root_der())
    return _verifier(kind)(evidence, collateral, at)


def stated_time(kind: str, evidence: bytes, collateral: bytes | None) -> int:
    """The time the evidence itself states, unix seconds; raises Refused when it states none."""
    if kind in ("simulated", dcap.SGX, dcap.TDX):
        return dcap.stated_time(collateral)
    if kind in _MODULES:
        return importlib.import_module(_MODULES[kind]).stated_time(evidence, collateral)
    raise _unknown(kind)


_MODULES = {kind: f"oracle.evidence.{kind}" for kind in ("nitro", "snp", "nvgpu")}


def _verifier(kind: str) -> Verifier:
    if kind == dcap.SGX:
        return dcap.attested_sgx
    if kind == dcap.TDX:
        return dcap.attested_tdx
    if kind in _MODULES:
        return importlib.import_module(_MODULES[kind]).attested
    raise _unknown(kind)


def _unknown(kind: str) -> Refused:
    return Refused(
        "kind", f"{kind!r} is not a kind of evidence", "kinds are sgx, tdx, nitro, snp, nvgpu, simulated"
    )


def _verdict(kind: str, at: int, found: Attested, objection: str) -> Verdict:
    return Verdict(
        kind,
        at,
        genuine=True,
        allowed=not objection,
        status=found.status,
        field="policy" if objection else "",
        reason=objection,
        measurement=measurement_word(found),
        report_data=found.report_data,
        valid_until=found.limits.not_after,
        details=found.details,
    )
