"""Genuine SGX and TDX quotes, and everything that must be refused about them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oracle.cli import evidence as command
from oracle.evidence.dcap import stated_time
from oracle.evidence.verify import Policy, verify

STATUS = {"sgx": "ConfigurationAndSWHardeningNeeded", "tdx": "UpToDate"}
DAY = 86_400


def vector(genuine: Path, kind: str) -> tuple[bytes, bytes, int]:
    folder = genuine / "dcap-qvl"
    collateral = (folder / f"{kind}_quote_collateral.json").read_bytes()
    return (folder / f"{kind}_quote").read_bytes(), collateral, stated_time(collateral)


@pytest.mark.parametrize("kind", ["sgx", "tdx"])
def test_genuine_inside_the_window(genuine: Path, kind: str) -> None:
    quote, collateral, issued = vector(genuine, kind)
    for at in (issued, issued + 25 * DAY):
        verdict = verify(kind, quote, collateral, at)
        assert verdict.genuine and verdict.allowed, verdict.reason
        assert verdict.status == STATUS[kind]
        assert at < verdict.valid_until < issued + 31 * DAY


@pytest.mark.parametrize("kind", ["sgx", "tdx"])
def test_outside_the_window(genuine: Path, kind: str) -> None:
    quote, collateral, issued = vector(genuine, kind)
    late = verify(kind, quote, collateral, issued + 40 * DAY)
    assert not late.genuine and "TCBInfo expired" in late.reason
    early = verify(kind, quote, collateral, issued - 40 * DAY)
    assert not early.genuine and "in the future" in early.reason


@pytest.mark.parametrize("kind", ["sgx", "tdx"])
def test_every_flipped_byte_of_the_signed_region(genuine: Path, kind: str) -> None:
    quote, collateral, issued = vector(genuine, kind)
    signed = 432 if kind == "sgx" else 632
    for at in range(0, signed + 4 + 64 + 64, 7):
        broken = bytearray(quote)
        broken[at] ^= 1
        verdict = verify(kind, bytes(broken), collateral, issued)
        assert not verdict.genuine and verdict.reason, at


@pytest.mark.parametrize("kind", ["sgx", "tdx"])
def test_truncated_and_foreign(genuine: Path, kind: str) -> None:
    quote, collateral, issued = vector(genuine, kind)
    for length in (0, 1, 47, 48, 431, 436, 1000, 4000):
        assert not verify(kind, quote[:length], collateral, issued).genuine
    assert "padding" in verify(kind, quote + b"x", collateral, issued).reason
    assert verify(kind, quote + bytes(8), collateral, issued).genuine
    other = "tdx" if kind == "sgx" else "sgx"
    assert "not TDX" in verify("tdx", *vector(genuine, "sgx")).reason
    _, others, when = vector(genuine, other)
    assert not verify(kind, quote, others, when).genuine
    assert verify(kind, quote, None, issued).field == "collateral"
    assert verify(kind, quote, b"{}", issued).field == "collateral"
    assert verify(kind, quote, b"\xff", issued).field == "collateral"
    assert verify(kind, bytes(65_537), collateral, issued).field == "quote"


@pytest.mark.parametrize("name", ["tcb_info", "qe_identity", "root_ca_crl", "pck_crl"])
def test_altered_collateral(genuine: Path, name: str) -> None:
    quote, collateral, issued = vector(genuine, "sgx")
    table = json.loads(collateral)
    middle = len(table[name]) // 2
    old = table[name][middle]
    table[name] = table[name][:middle] + ("0" if old != "0" else "1") + table[name][middle + 1 :]
    assert not verify("sgx", quote, json.dumps(table).encode(), issued).genuine


def test_a_simulated_quote_is_not_genuine_sgx() -> None:
    from oracle.evidence import dev_root

    quote = dev_root.quote(bytes(32), dev_root.MEASUREMENTS["meter"])
    assert not verify("sgx", quote, dev_root.collateral(1_700_000_000), 1_700_000_100).genuine


def test_policy(genuine: Path) -> None:
    quote, collateral, issued = vector(genuine, "sgx")
    good = verify("sgx", quote, collateral, issued)
    for policy, reason in (
        (Policy(measurements=frozenset({bytes(32)})), "not in the policy"),
        (Policy(statuses=frozenset({"UpToDate"})), "ConfigurationAndSWHardeningNeeded"),
        (Policy(rejected_advisories=frozenset({"INTEL-SA-00615"})), "INTEL-SA-00615"),
    ):
        verdict = verify("sgx", quote, collateral, issued, policy=policy)
        assert verdict.genuine and not verdict.allowed and reason in verdict.reason
    allowed = Policy(measurements=frozenset({good.measurement}), statuses=frozenset({good.status}))
    assert verify("sgx", quote, collateral, issued, policy=allowed).allowed


@pytest.mark.parametrize("kind", ["sgx", "tdx"])
def test_command(genuine: Path, kind: str, tmp_path: Path) -> None:
    folder = genuine / "dcap-qvl"
    arguments = ["verify", "--kind", kind, "--evidence", str(folder / f"{kind}_quote")]
    arguments += ["--collateral", str(folder / f"{kind}_quote_collateral.json"), "--json", "--at"]
    good = CliRunner().invoke(command, [*arguments, "signed"])
    assert good.exit_code == 0
    assert json.loads(good.stdout)["status"] == STATUS[kind]
    for at in ("1", "99999999999", "yesterday", "9" * 30):
        assert CliRunner().invoke(command, [*arguments, at]).exit_code == 1
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"measurements": ["0x" + "00" * 32]}))
    strict = CliRunner().invoke(command, [*arguments, "signed", "--policy", str(policy)])
    assert strict.exit_code == 1 and json.loads(strict.stdout)["genuine"]
    policy.write_text('{"measurement": []}')
    refused = CliRunner().invoke(command, [*arguments, "signed", "--policy", str(policy)])
    assert refused.exit_code == 1 and json.loads(refused.stdout)["field"] == "policy"
