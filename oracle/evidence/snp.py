"""AMD SEV-SNP: the attestation report of the AMD Secure Processor (SEV-SNP ABI, report versions 2 to 5).

ECDSA P-384 over the first 672 bytes by the chip's VCEK, whose chain is VCEK -> ASK -> ARK. The VCEK is issued
for one chip at one firmware level; both stand in its extensions and must be those of the report.

Pinned is `roots/amd-ark-milan.pem`, the ARK of the Milan family, which signed itself and the ASK. SHA-256:
69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd. `roots/amd-ask-milan.pem` ships beside it as
an intermediate, not as an anchor. Genoa and Turin have ARKs of their own, which are not pinned: their reports
are refused at the root. Signatures by a VLEK (a cloud's key in place of the chip's) are refused too.

The report is taken bare (1184 bytes), in hexadecimal inside {"attestation": ...}, or in a dstack envelope.
`collateral` is the VCEK, and the ASK if it is not the one shipped, as PEM in any order or as one DER file; it
may be left out when an envelope carries them. A report states no time of signing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from oracle.evidence import dstack
from oracle.evidence.certificates import (
    Attested,
    Refused,
    bounded,
    check_p384,
    check_path,
    from_pem,
    path_from,
    pinned,
    window,
)

KIND = "snp"
ROOT, INTERMEDIATE = "amd-ark-milan", "amd-ask-milan"
MAX_EVIDENCE = MAX_COLLATERAL = 64 * 1024
REPORT_BYTES, SIGNED_BYTES = 1184, 0x2A0
VERSIONS = range(2, 6)
ECDSA_P384_SHA384 = 1
POLICY_DEBUG = 1 << 19
POLICY_MIGRATION_AGENT = 1 << 18
SIGNED_BY_VCEK = 0
COMPONENT_BYTES, COORDINATE_BYTES = 72, 48
AMD = "1.3.6.1.4.1.3704.1"
CHIP_ID = x509.ObjectIdentifier(f"{AMD}.4")
# Firmware levels in the order of the bytes of a TCB_VERSION word of the Milan and Genoa families:
# boot loader, TEE, four reserved, SNP, microcode.
TCB = tuple(x509.ObjectIdentifier(f"{AMD}.3.{part}") for part in (1, 2, 4, 5, 6, 7, 3, 8))


@dataclass(frozen=True)
class Report:
    """The fields read here; the TCB words are 8 bytes, one firmware level each, as in `TCB`."""

    signed: bytes
    r: int
    s: int
    version: int
    policy: int
    vmpl: int
    report_data: bytes
    measurement: bytes
    host_data: bytes
    chip_id: bytes
    current_tcb: bytes
    reported_tcb: bytes
    committed_tcb: bytes
    launch_tcb: bytes


def attested(
    evidence: bytes, collateral: bytes | None, at: int, root: x509.Certificate | None = None
) -> Attested:
    """Check a report at unix second `at`, under `root` (the pinned one unless given).

    Raises Refused with field size, envelope, report.<field>, collateral, certificate <name>, root, signature,
    vcek.tcb or vcek.chip_id.
    """
    report, certificates = _opened(evidence, collateral)
    path = _path(certificates)
    limits = check_path(path, root or pinned(ROOT), at)
    vcek = path[0]
    check_p384("signature", vcek, report.r, report.s, report.signed)
    if _raw(vcek, CHIP_ID) != report.chip_id:
        raise Refused("vcek.chip_id", "issued for another chip than the report's")
    tcb = bytes(_small_integer(vcek, oid) for oid in TCB)
    if tcb != report.reported_tcb:
        raise Refused("vcek.tcb", f"issued for {_levels(tcb)}; reported is {_levels(report.reported_tcb)}")
    return Attested(
        measurement=report.measurement,
        report_data=report.report_data,
        signed_at=None,
        limits=limits,
        status=_status(report),
        forbidden=_forbidden(report.policy),
        details={
            "report_version": str(report.version),
            "guest_policy": f"0x{report.policy:x}",
            "vmpl": str(report.vmpl),
            "chip_id": report.chip_id.hex(),
            "host_data": report.host_data.hex(),
            "tcb_reported": _levels(report.reported_tcb),
            "tcb_current": _levels(report.current_tcb),
            "tcb_committed": _levels(report.committed_tcb),
            "tcb_launch": _levels(report.launch_tcb),
        },
    )


def _status(report: Report) -> str:
    """AMD publishes no verdict on a firmware level, so this says how the report's own levels agree."""
    if report.reported_tcb == report.current_tcb == report.committed_tcb == report.launch_tcb:
        return "UpToDate"
    return "ReportedTcbDiffers"


def _forbidden(policy: int) -> str:
    if policy & POLICY_DEBUG:
        return "debug mode: the guest policy lets the host read and change the guest"
    if policy & POLICY_MIGRATION_AGENT:
        return "the guest policy lets a migration agent move the guest to another machine"
    return ""


def stated_time(evidence: bytes, collateral: bytes | None = None) -> int:
    """The first unix second at which the whole chain is valid: a report itself states no time."""
    path = _path(_opened(evidence, collateral)[1])
    return window([*path, pinned(ROOT)]).not_before


def _opened(evidence: bytes, collateral: bytes | None) -> tuple[Report, tuple[x509.Certificate, ...]]:
    """The report and every certificate that came with it."""
    bounded("size", evidence, MAX_EVIDENCE)
    if evidence.lstrip()[:1] == b"{":
        evidence = _from_json(evidence)
    blobs = [] if collateral is None else [bounded("collateral", collateral, MAX_COLLATERAL)]
    if not dstack.is_envelope(evidence):
        report = _report(evidence)
    else:
        envelope = dstack.unwrap(evidence, dstack.SNP)
        report = _report(envelope.document)
        if report.report_data != envelope.report_data:
            raise Refused("envelope.report_data", "is not what the report signs")
        blobs += envelope.certificates
    if not blobs:
        raise Refused("collateral", "no VCEK came with the report", "give it as PEM, with the ASK if need be")
    return report, tuple(one for blob in blobs for one in from_pem("collateral", blob))


def _from_json(evidence: bytes) -> bytes:
    try:
        return bytes.fromhex(json.loads(evidence)["attestation"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused("envelope", 'not a JSON object with hexadecimal "attestation"') from None


def _report(data: bytes) -> Report:
    """The fields of a bare report; raises Refused("report.<field>")."""
    if len(data) != REPORT_BYTES:
        raise Refused("report.size", f"{len(data)} bytes where {REPORT_BYTES} are due")

    def number(start: int, size: int) -> int:
        return int.from_bytes(data[start : start + size], "little")

    version, flags = number(0x00, 4), number(0x48, 4)
    if version not in VERSIONS:
        raise Refused("report.version", f"{version}, read are {VERSIONS.start} to {VERSIONS.stop - 1}")
    if number(0x34, 4) != ECDSA_P384_SHA384:
        raise Refused("report.signature_algo", f"{number(0x34, 4)} is not ECDSA P-384 with SHA-384")
    if flags >> 2 & 7 != SIGNED_BY_VCEK:
        raise Refused(
            "report.signing_key", f"{flags >> 2 & 7} is not the VCEK", "VLEK and no key are refused"
        )
    r_at, s_at = SIGNED_BYTES, SIGNED_BYTES + COMPONENT_BYTES
    if any(data[r_at + COORDINATE_BYTES : s_at]) or any(data[s_at + COORDINATE_BYTES :]):
        raise Refused("report.signature", "holds something in its reserved bytes")
    return Report(
        signed=data[:SIGNED_BYTES],
        r=number(r_at, COORDINATE_BYTES),
        s=number(s_at, COORDINATE_BYTES),
        version=version,
        policy=number(0x08, 8),
        vmpl=number(0x30, 4),
        report_data=data[0x50:0x90],
        measurement=data[0x90:0xC0],
        host_data=data[0xC0:0xE0],
        chip_id=data[0x1A0:0x1E0],
        current_tcb=data[0x38:0x40],
        reported_tcb=data[0x180:0x188],
        committed_tcb=data[0x1E0:0x1E8],
        launch_tcb=data[0x1F0:0x1F8],
    )


def _path(certificates: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """VCEK, ASK and so on, whatever their order: the VCEK is the one with an elliptic-curve key."""
    vceks = {one for one in certificates if isinstance(one.public_key(), ec.EllipticCurvePublicKey)}
    if len(vceks) != 1:
        raise Refused("collateral", f"{len(vceks)} VCEKs in {len(certificates)} certificates, expected one")
    return path_from(vceks.pop(), [*certificates, pinned(INTERMEDIATE)])


def _raw(vcek: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes:
    """The bytes of one of AMD's extensions; raises Refused("vcek.extension") when it is missing."""
    try:
        return vcek.extensions.get_extension_for_oid(oid).value.public_bytes()
    except x509.ExtensionNotFound:
        raise Refused("vcek.extension", f"{oid.dotted_string} is missing") from None


def _small_integer(vcek: x509.Certificate, oid: x509.ObjectIdentifier) -> int:
    """A DER INTEGER of 0..255."""
    value = _raw(vcek, oid)
    number = int.from_bytes(value[2:], "big", signed=True)
    if value[:2] not in (b"\2\1", b"\2\2") or len(value) != 2 + value[1] or not 0 <= number < 256:
        raise Refused("vcek.extension", f"{oid.dotted_string} is not a number of one byte")
    return number


def _levels(tcb: bytes) -> str:
    return f"boot loader {tcb[0]}, TEE {tcb[1]}, SNP {tcb[6]}, microcode {tcb[7]}"
