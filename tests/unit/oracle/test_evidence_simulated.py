"""Simulated evidence takes the path of real evidence, and only on the development chain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oracle.archive import Archive, ArchiveError
from oracle.cli import evidence as command
from oracle.evidence import dev_root
from oracle.evidence.document import EvidenceDocument, decode_document
from oracle.evidence.simulated import attest
from oracle.evidence.verify import Policy, SimulatedOffDevChain, verify, verify_device
from oracle.wire.errors import WireError
from oracle.wire.keys import DeviceKey, sha256

NOW = 1_508_198_400
KEY = DeviceKey.from_seed(b"simulated")
COLLATERAL = dev_root.collateral(NOW)
DAY = 86_400


def document(meter_id: int = 7) -> EvidenceDocument:
    return attest("meter", KEY.public, meter_id, bytes(32), COLLATERAL, 31337)


def test_verifies_on_the_development_chain() -> None:
    verdict = verify_device(document(), COLLATERAL, NOW + DAY, 31337)
    assert verdict.genuine and verdict.allowed, verdict.reason
    assert verdict.status == "UpToDate"
    assert verdict.measurement == dev_root.MEASUREMENTS["meter"]
    assert verdict.valid_until == NOW + 30 * DAY
    policy = Policy(measurements=frozenset({dev_root.MEASUREMENTS["workload"]}))
    assert not verify_device(document(), COLLATERAL, NOW + DAY, 31337, policy).allowed


def test_refused_on_every_other_chain() -> None:
    with pytest.raises(SimulatedOffDevChain, match="chain 1"):
        attest("meter", KEY.public, 7, bytes(32), COLLATERAL, 1)
    elsewhere = replace(document(), chain_id=1)
    verdict = verify_device(elsewhere, COLLATERAL, NOW, 1)
    assert not verdict.genuine and "refused on chain 1" in verdict.reason
    assert "not 1" in verify_device(document(), COLLATERAL, NOW, 1).reason
    assert "no chain" in verify("simulated", document().evidence, COLLATERAL, NOW).reason


def test_a_quote_of_another_key_meter_or_nonce() -> None:
    for change in (
        {"x": DeviceKey.from_seed(b"other").public.x},
        {"meter_id": 8},
        {"nonce": sha256(b"other")},
    ):
        verdict = verify_device(replace(document(), **change), COLLATERAL, NOW, 31337)  # type: ignore[arg-type]
        assert verdict.genuine and not verdict.allowed
        assert "another key" in verdict.reason


def test_expired_altered_and_swapped() -> None:
    good = document()
    assert "Expired" in verify_device(good, COLLATERAL, NOW + 31 * DAY, 31337).reason
    later = dev_root.collateral(NOW + DAY)
    assert verify_device(good, later, NOW + DAY, 31337).field == "collateral"
    for at in range(0, 432 + 4 + 64 + 64 + 384 + 64, 13):
        broken = bytearray(good.evidence)
        broken[at] ^= 0x40
        verdict = verify_device(replace(good, evidence=bytes(broken)), COLLATERAL, NOW, 31337)
        assert not (verdict.genuine and verdict.allowed), at


def test_debug_and_outdated_are_refused_by_policy() -> None:
    data = document().report_data()
    debug = dev_root.quote(data, dev_root.MEASUREMENTS["meter"], debug=True)
    verdict = verify("simulated", debug, COLLATERAL, NOW, 31337)
    assert not verdict.allowed and "debug" in verdict.reason.lower()
    for status, allowed in (("OutOfDate", False), ("SWHardeningNeeded", True)):
        collateral = dev_root.collateral(NOW, status)
        found = verify("simulated", document().evidence, collateral, NOW, 31337)
        assert found.genuine and found.allowed is allowed and found.status == status
    revoked = verify("simulated", document().evidence, dev_root.collateral(NOW, "Revoked"), NOW, 31337)
    assert not revoked.allowed


def test_documents_are_deterministic_and_strict() -> None:
    data = document().encode()
    assert document().encode() == data
    assert decode_document(data) == document()
    for length in range(0, len(data), 41):
        with pytest.raises(WireError):
            decode_document(data[:length])


def test_command_takes_documents(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_bytes(document().encode())
    (tmp_path / "collateral").write_bytes(COLLATERAL)
    arguments = ["verify", "--kind", "simulated", "--evidence", str(tmp_path / "evidence")]
    arguments += ["--collateral", str(tmp_path / "collateral"), "--at", "signed"]
    good = CliRunner().invoke(command, arguments)
    assert good.exit_code == 0, good.stdout
    elsewhere = CliRunner().invoke(command, [*arguments, "--chain-id", "1"])
    assert elsewhere.exit_code == 1
    (tmp_path / "evidence").write_bytes(document().evidence)
    bare = CliRunner().invoke(command, arguments)
    assert bare.exit_code == 1 and "simulated evidence is refused" in bare.stdout


def test_archive(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    digest = archive.put("collateral", COLLATERAL)
    assert digest == sha256(COLLATERAL) == archive.put("collateral", COLLATERAL)
    assert archive.get("collateral", digest) == COLLATERAL
    assert list(archive.digests("collateral")) == [digest]
    assert list(archive.digests("evidence")) == []
    with pytest.raises(ArchiveError, match="missing"):
        archive.get("evidence", digest)
    path = archive.path("collateral", digest)
    path.write_bytes(COLLATERAL[:-1] + b" ")
    with pytest.raises(ArchiveError, match="altered"):
        archive.get("collateral", digest)
