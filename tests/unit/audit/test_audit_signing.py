"""Signed reports: whole they name their signer, changed anywhere they are refused."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from audit import pdf
from audit.cli import app, write_report
from audit.gather import Window
from audit.output import full_report
from audit.run import run
from audit.signing import (
    Identity,
    KeyFileError,
    ReportForged,
    create_identity,
    fingerprint,
    load_identity,
    sign_report,
    verify_report,
    write_identity,
)
from tests.faults.world import World


@pytest.fixture(scope="module")
def identity() -> Identity:
    return create_identity("auditor of the tests")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    world = World(tmp_path_factory.mktemp("world"))
    world.rewrite("book", b'"ask_micro_per_vcu_slot":50', b'"ask_micro_per_vcu_slot":51')
    facts = world.facts()
    return full_report(facts, Window(), run(facts))


def test_a_key_file_is_private_kept_and_read_back(identity: Identity, tmp_path: Path) -> None:
    path = tmp_path / "auditor.pem"
    write_identity(identity, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert fingerprint(load_identity(path).certificate) == fingerprint(identity.certificate)
    with pytest.raises(KeyFileError, match="exists"):
        write_identity(identity, path)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN EC KEY-----\nAAAA\n"])
def test_an_unusable_key_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "auditor.pem"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match="bitwatt audit key"):
        load_identity(path)


def test_the_certificate_of_another_key_is_refused(identity: Identity, tmp_path: Path) -> None:
    path = tmp_path / "auditor.pem"
    path.write_bytes(identity.pem()[0] + create_identity("another").pem()[1])
    with pytest.raises(KeyFileError, match="another key"):
        load_identity(path)


def test_a_signed_json_report_verifies(identity: Identity, report: dict[str, Any]) -> None:
    content = json.dumps(sign_report(report, identity)).encode()
    assert verify_report(content) == (json.loads(json.dumps(report)), fingerprint(identity.certificate))


def test_a_changed_json_report_is_refused(identity: Identity, report: dict[str, Any]) -> None:
    content = json.dumps(sign_report(report, identity)).encode()
    failed = f'"failed": {report["failed"]}'.encode()
    assert report["failed"] and failed in content
    changed = content.replace(failed, b'"failed": 0')
    with pytest.raises(ReportForged, match="does not fit"):
        verify_report(changed)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"report":{},"signature":{"algorithm":"none"}}'])
def test_what_is_no_signed_report_is_refused(content: bytes) -> None:
    with pytest.raises(ReportForged):
        verify_report(content)


def test_a_signed_pdf_verifies_and_a_changed_one_does_not(identity: Identity, report: dict[str, Any]) -> None:
    assert pdf.draw(report) == pdf.draw(report)
    content = pdf.sign(pdf.draw(report), identity)
    assert pdf.verify(content) == fingerprint(identity.certificate)
    at = len(content) // 3
    with pytest.raises(ReportForged):
        pdf.verify(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(ReportForged):
        pdf.verify(pdf.draw(report))
    with pytest.raises(ReportForged):
        pdf.verify(b"%PDF-1.7 nonsense")


def test_hostile_text_is_shown_not_run(identity: Identity, report: dict[str, Any]) -> None:
    finding = {"subject": "<b>x</b>& \u202e\u7535", "expected": "]]>", "found": "\x00"}
    rows = [{**report["checks"][0], "verdict": "fail", "findings": [finding]}]
    assert pdf.verify(pdf.sign(pdf.draw({**report, "checks": rows}), identity))


def test_the_command_verifies_both_forms(identity: Identity, report: dict[str, Any], tmp_path: Path) -> None:
    for name in ("report.json", "report.pdf"):
        write_report(tmp_path / name, report, identity)
        good = CliRunner().invoke(app, ["verify", str(tmp_path / name), "--json"])
        assert (good.exit_code, json.loads(good.stdout)["signer"]) == (0, fingerprint(identity.certificate))
        other = CliRunner().invoke(app, ["verify", str(tmp_path / name), "--signer", "00", "--json"])
        assert (other.exit_code, json.loads(other.stdout)["valid"]) == (1, False)


def test_a_report_without_a_key_is_refused_before_the_audit(tmp_path: Path) -> None:
    common = ["--rpc", "http://127.0.0.1:1", "--archive", str(tmp_path), "--json"]
    for more, names in (
        (["--report", "x.pdf"], "--key"),
        (["--report", "x.txt", "--key", "k"], ".json or .pdf"),
        (["--report", "x.pdf", "--key", str(tmp_path / "k")], "k: No such file"),
    ):
        result = CliRunner().invoke(app, [*common, *more])
        assert result.exit_code == 2
        assert names in json.loads(result.stdout)["error"]
