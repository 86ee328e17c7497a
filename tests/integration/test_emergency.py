"""The emergency page, rehearsed: every command block of docs/emergency.md runs on a chain, in its order."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from typer.testing import CliRunner

from backend.chain.addressbook import AddressBook, save_book
from backend.chain.anvil import give_gas_money
from backend.chain.cli import DEV_KEY, run
from backend.chain.clients import Oracle, Registry, Token, Treasury
from backend.chain.operator_cli import app
from backend.chain.plan import Sender
from backend.chain.rpc import Rpc

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
ROLES = ("GUARDIAN", "OPERATOR", "NEXT_OWNER", "LEAKED", "FRESH", "LOST_SOLVER", "NEXT_SOLVER")
ROLES += ("LOST_REGISTRAR", "NEXT_REGISTRAR", "NEXT_GUARDIAN", "MEMBER_1", "MEMBER_2", "MEMBER_3", "MEMBER_4")
SECRETS = {role: bytes([0x80 + at]) * 32 for at, role in enumerate(ROLES)} | {"OWNER": DEV_KEY}
ADDRESS = {role: Account.from_key(secret).address for role, secret in SECRETS.items()}
BAD, GOOD = bytes([1]) * 32, bytes([2]) * 32
DEPOSIT = 50_000_000_000


class Rehearsal:
    """Runs blocks of the page, with the page's variables set and time passing where it says to wait."""

    def __init__(self, rpc: Rpc, folder: Path) -> None:
        self.rpc = rpc
        self.book: AddressBook = run(rpc.url, None, None, (), None)
        save_book(self.book, folder / "book.json")
        self.variables = {"RPC": rpc.url, "BOOK": str(folder / "book.json")}
        for role, secret in SECRETS.items():
            (folder / role).write_text(secret.hex())
            self.variables |= {role: ADDRESS[role], f"{role}_KEY": str(folder / role)}
        self.variables |= {"FRESH_ACCOUNT": ADDRESS["FRESH"]}
        self.variables |= {"BAD_MEASUREMENT": BAD.hex(), "GOOD_MEASUREMENT": GOOD.hex()}
        give_gas_money(rpc, list(ADDRESS.values()))
        self.registry = Registry(self.book, rpc)
        self.send("OWNER", self.registry.set_guardian(ADDRESS["GUARDIAN"]))
        self.send("OWNER", self.registry.set_operator(ADDRESS["OPERATOR"]))
        self.send("OPERATOR", self.registry.set_measurement(BAD, 0))
        for role in ("LEAKED", "MEMBER_1", "MEMBER_2", "MEMBER_3"):
            token, treasury = Token(self.book), Treasury(self.book)
            calls = [token.mint(ADDRESS[role], DEPOSIT), token.approve(treasury.address)]
            self.send(role, *calls, treasury.deposit(ADDRESS[role], DEPOSIT))

    def send(self, role: str, *calls: Any) -> None:
        """Transactions of a role that the page presupposes."""
        nonce = self.rpc.nonce(ADDRESS[role])
        Sender(self.rpc, SECRETS[role], self.book.chain_id, nonce).send(calls)

    def wait(self) -> None:
        """More than a week passes; meanwhile new members lock their bonds."""
        announced = Oracle(self.book, self.rpc).read("announcedCommittee")[0]
        for role in ("MEMBER_1", "MEMBER_2", "MEMBER_3") if announced else ():
            self.command(f"bitwatt operator committee bond --rpc $RPC --book $BOOK --key-file ${role}_KEY")
        self.rpc.call("evm_setNextBlockTimestamp", self.rpc.timestamp() + 8 * 86_400)
        self.rpc.call("evm_mine")

    def command(self, line: str) -> dict[str, Any]:
        """Runs one line as a shell would; it must succeed."""
        filled = re.sub(r"\$(\w+)", lambda match: self.variables[match[1]], line)
        words = shlex.split(filled)
        assert words[:2] == ["bitwatt", "operator"], line
        done = CliRunner().invoke(app, [*words[2:], "--json"])
        assert done.exit_code == 0, f"{line}\n{done.output}"
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def block(self, text: str) -> None:
        """Runs a block line by line."""
        for line in text.splitlines():
            self.wait() if line.startswith("# wait") else self.command(line)

    def status(self) -> dict[str, Any]:
        """Who holds which power."""
        return self.command("bitwatt operator status --rpc $RPC --book $BOOK")


def test_every_block_of_the_page_does_what_it_says(anvil_rpc: Rpc, tmp_path: Path) -> None:
    page = (DOCS / "emergency.md").read_text(encoding="utf-8")
    blocks = [match[1] for match in BLOCK.finditer(page)]
    rehearsal = Rehearsal(anvil_rpc, tmp_path)
    registry, oracle = rehearsal.registry, Oracle(rehearsal.book, anvil_rpc)
    look, pause, resume, leaked, solver, registrar, owner, announce, again, forbid, allow = blocks

    rehearsal.block(look)
    rehearsal.block(pause)
    assert rehearsal.status()["new_batches_paused"]
    rehearsal.block(resume)
    assert not rehearsal.status()["new_batches_paused"]

    rehearsal.block(leaked)
    assert Treasury(rehearsal.book, anvil_rpc).ledger(ADDRESS["LEAKED"]) == (0, 0)
    assert Token(rehearsal.book, anvil_rpc).read("balanceOf", ADDRESS["FRESH"]) == DEPOSIT

    rehearsal.send("OWNER", registry.set_solver(ADDRESS["LOST_SOLVER"]))
    rehearsal.block(solver)
    assert [registry.read("isSolver", ADDRESS[f"{which}_SOLVER"]) for which in ("LOST", "NEXT")] == [
        False,
        True,
    ]
    rehearsal.send("OWNER", registry.set_operator(ADDRESS["LOST_REGISTRAR"]))
    rehearsal.block(registrar)
    held = [registry.read("isOperator", ADDRESS[f"{which}_REGISTRAR"]) for which in ("LOST", "NEXT")]
    assert held == [False, True]
    assert rehearsal.status()["guardian"] == ADDRESS["NEXT_GUARDIAN"]
    rehearsal.block(owner)
    assert rehearsal.status()["owner"] == ADDRESS["NEXT_OWNER"]

    rehearsal.block(announce)
    assert rehearsal.status()["announced_committee"] != []
    rehearsal.block(again)
    members = {ADDRESS[f"MEMBER_{number}"] for number in range(1, 5)}
    assert {str(member) for member in oracle.read("members")} == members

    assert registry.read("measurementAllowed", BAD, 0)
    rehearsal.block(forbid)
    assert not registry.read("measurementAllowed", BAD, 0)
    rehearsal.block(allow)
    assert registry.read("measurementAllowed", GOOD, 0)


@pytest.mark.parametrize("name", ["emergency.zh.md"])
def test_a_translation_has_the_same_commands(name: str) -> None:
    blocks = [BLOCK.findall((DOCS / page).read_text(encoding="utf-8")) for page in ("emergency.md", name)]
    commands = [
        [line for b in found for line in b.splitlines() if not line.startswith("#")] for found in blocks
    ]
    assert commands[0] == commands[1]
