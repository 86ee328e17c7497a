"""`bitwatt evidence verify` on the vendors' own evidence: exit codes and reasons, kind by kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from oracle.cli import evidence as command
from oracle.evidence.document import EvidenceDocument
from oracle.evidence.verify import verify_device
from oracle.wire.keys import sha256

ATTEST = "dstack/dstack__dstack-attest__tests__"
NITRO, DEBUG = f"{ATTEST}nitro_attestation.bin", f"{ATTEST}nitro_attestation_dbg.bin"
SNP, VCEK, ASK = (f"{ATTEST}sev_snp_{name}" for name in ("attestation.bin", "vcek.pem", "ask.pem"))
GPU, GPU_CHAIN = "nvtrust/hopperAttestationReport.txt", "nvtrust/hopperCertChain.txt"

ALLOWED = (
    ("nitro", NITRO, None, "signed"),
    ("nitro", "dstack/dstack__nsm-qvl__tests__nitro_attestation.bin", None, "signed"),
    ("snp", SNP, VCEK, "signed"),
    ("snp", SNP, VCEK, "2000000000"),
    ("snp", "dstack/dstack__verifier__fixtures__sev-snp-attestation.json", None, "signed"),
    ("nvgpu", GPU, GPU_CHAIN, "signed"),
    ("nvgpu", GPU, GPU_CHAIN, "1790000000"),
    ("nvgpu", "nvtrust/gpu_evidence.json", None, "signed"),
)
REFUSED = (
    ("nitro", DEBUG, None, "signed", "policy", "debug mode: PCR0 is zero"),
    ("nitro", NITRO, None, "1766700000", "certificate", "expired"),
    ("nitro", NITRO, None, "1766600000", "certificate", "not yet valid"),
    ("nitro", SNP, None, "signed", "envelope", "expected version 0 variant 2"),
    ("nitro", GPU, None, "signed", "cose", ""),
    ("snp", SNP, None, "signed", "collateral", "no VCEK"),
    ("snp", SNP, ASK, "signed", "collateral", "0 VCEKs"),
    ("snp", SNP, VCEK, "2002583105", "certificate SEV-VCEK", "expired"),
    ("snp", SNP, VCEK, "1700000000", "certificate SEV-VCEK", "not yet valid"),
    ("snp", NITRO, VCEK, "signed", "envelope", "expected version 0 variant 3"),
    ("snp", SNP, GPU_CHAIN, "signed", "collateral", "5 VCEKs"),
    ("nvgpu", GPU, None, "signed", "collateral", "missing"),
    ("nvgpu", GPU, GPU_CHAIN, "1600000000", "certificate", "not yet valid"),
    ("nvgpu", GPU, VCEK, "signed", "collateral", "only one certificate"),
    ("nvgpu", SNP, GPU_CHAIN, "signed", "evidence", "neither"),
)


def run(
    genuine: Path, kind: str, evidence: Path, collateral: str | None, at: str
) -> tuple[int, dict[str, Any]]:
    options = ["--kind", kind, "--evidence", str(evidence), "--at", at, "--json"]
    if collateral:
        options += ["--collateral", str(genuine / collateral)]
    result = CliRunner().invoke(command, ["verify", *options])
    return result.exit_code, json.loads(result.output)


@pytest.mark.parametrize(("kind", "name", "collateral", "at"), ALLOWED)
def test_allowed(genuine: Path, kind: str, name: str, collateral: str | None, at: str) -> None:
    code, verdict = run(genuine, kind, genuine / name, collateral, at)
    assert (code, verdict["genuine"], verdict["allowed"]) == (0, True, True), verdict


@pytest.mark.parametrize(("kind", "name", "collateral", "at", "field", "reason"), REFUSED)
def test_refused(
    genuine: Path, kind: str, name: str, collateral: str | None, at: str, field: str, reason: str
) -> None:
    code, verdict = run(genuine, kind, genuine / name, collateral, at)
    assert (code, verdict["allowed"]) == (1, False)
    assert verdict["field"].startswith(field)
    assert reason in verdict["reason"]


@pytest.mark.parametrize(("kind", "name", "collateral", "at"), [ALLOWED[0], ALLOWED[3], ALLOWED[6]])
@pytest.mark.parametrize("offset", [4, 200, 600, 1100])
def test_a_flipped_byte(
    genuine: Path, tmp_path: Path, kind: str, name: str, collateral: str | None, at: str, offset: int
) -> None:
    data = bytearray((genuine / name).read_bytes())
    (tmp_path / "evidence").write_bytes(data)
    when = "1766678659" if at == "signed" else at
    assert run(genuine, kind, tmp_path / "evidence", collateral, when)[0] == 0
    data[offset] ^= 1
    (tmp_path / "evidence").write_bytes(data)
    code, verdict = run(genuine, kind, tmp_path / "evidence", collateral, when)
    assert (code, verdict["genuine"]) == (1, False)


@pytest.mark.parametrize(("kind", "name", "collateral", "at"), [ALLOWED[0], ALLOWED[3], ALLOWED[6]])
def test_genuine_evidence_of_another_key(
    genuine: Path, kind: str, name: str, collateral: str | None, at: str
) -> None:
    proof = (genuine / collateral).read_bytes() if collateral else None
    document = EvidenceDocument(
        kind=kind,
        chain_id=1,
        meter_id=7,
        x=b"\x01" * 32,
        y=b"\x02" * 32,
        nonce=b"\x03" * 32,
        evidence=(genuine / name).read_bytes(),
        collateral_hash=sha256(proof) if proof else bytes(32),
    )
    verdict = verify_device(document, proof, 1766678659 if at == "signed" else int(at), 1)
    assert verdict.genuine and not verdict.allowed
    assert "another key" in verdict.reason
