"""`bitwatt operator` on a real chain: each verb changes what `status` shows, each refusal says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from typer.testing import CliRunner

from backend.chain.addressbook import save_book
from backend.chain.anvil import give_gas_money
from backend.chain.cli import DEV_KEY, run
from backend.chain.operator_cli import app
from backend.chain.rpc import Rpc

GUARDIAN_KEY = bytes([0x6A]) * 32
NEXT = [Account.from_key(bytes([0xE0 + number]) * 32).address for number in range(4)]


@pytest.fixture
def place(anvil_rpc: Rpc, tmp_path: Path) -> list[str]:
    book = run(anvil_rpc.url, None, None, (), None)
    save_book(book, tmp_path / "book.json")
    (tmp_path / "guardian").write_text(GUARDIAN_KEY.hex())
    give_gas_money(anvil_rpc, [Account.from_key(GUARDIAN_KEY).address])
    return ["--rpc", anvil_rpc.url, "--book", str(tmp_path / "book.json"), "--json"]


def ask(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_every_power_shows_in_the_status(place: list[str], tmp_path: Path) -> None:
    guardian = Account.from_key(GUARDIAN_KEY).address
    key = ["--key-file", str(tmp_path / "guardian")]
    assert ask("status", *place)["owner"] == Account.from_key(DEV_KEY).address

    ask("guardian", guardian, *place)
    ask("pause", "--hours", "1", *key, *place)
    now = ask("status", *place)
    assert (now["guardian"], now["new_batches_paused"]) == (guardian, True)
    ask("resume", *place)
    assert not ask("status", *place)["new_batches_paused"]

    members = [part for account in NEXT for part in ("--member", account)]
    ask("committee", "announce", *members, *place)
    assert sorted(ask("status", *place)["announced_committee"]) == sorted(NEXT)
    early = CliRunner().invoke(app, ["committee", "install", *place])
    assert early.exit_code == 1 and "committee too early" in early.output
    ask("committee", "withdraw", *place)
    assert ask("status", *place)["announced_committee"] == []


def test_who_lacks_a_power_is_told(place: list[str]) -> None:
    refused = CliRunner().invoke(app, ["pause", *place])
    assert refused.exit_code == 1 and "not guardian" in refused.output
    bad = CliRunner().invoke(app, ["measurement", "allow", "xyz", "0", *place])
    assert bad.exit_code == 1 and "64 hex digits" in bad.output
