"""What the command says and with which code it ends, where nothing can be audited; the two outputs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from audit.chain import BookError, read_book
from audit.cli import app
from audit.output import show, summary
from audit.run import run
from tests.faults.world import ADDRESSES, World

BOOK = {
    "chain_id": 31337,
    "deploy_block": 0,
    "contracts": {name: {"address": address, "abi": []} for name, address in ADDRESSES.items()},
}


def test_an_archive_without_an_address_book_ends_with_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--rpc", "http://127.0.0.1:1", "--archive", str(tmp_path), "--json"])
    assert result.exit_code == 2
    assert "addresses.json: No such file" in json.loads(result.stdout)["error"]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"contracts": {}}, "contracts.Treasury.address"),
        ({"chain_id": "x"}, "invalid literal"),
        ({"contracts": {"Treasury": {}}}, "address"),
    ],
)
def test_an_unusable_address_book_is_refused_by_field(change: dict[str, object], names: str) -> None:
    with pytest.raises(BookError, match=names):
        read_book(json.dumps({**BOOK, **change}).encode(), "addresses.json")


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"null", b"\xff", b'{"contracts": 3}'])
def test_a_hostile_address_book_is_refused(content: bytes) -> None:
    with pytest.raises(BookError, match=r"addresses\.json"):
        read_book(content, "addresses.json")


def test_a_good_address_book_is_read() -> None:
    assert dict(read_book(json.dumps(BOOK).encode(), "addresses.json").addresses) == ADDRESSES


def test_both_outputs_say_the_same(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.rewrite("book", b'"ask_micro_per_vcu_slot":50', b'"ask_micro_per_vcu_slot":51')
    checks = run(world.facts())
    found = summary(checks)
    assert found["passed"] + found["failed"] + found["inconclusive"] == len(checks) == len(found["checks"])
    row = next(item for item in found["checks"] if item["name"] == "clearing.book")
    assert (row["verdict"], row["findings"][0]["expected"], row["findings"][0]["found"]) == (
        "fail",
        "50",
        "51",
    )
    text = io.StringIO()
    show(checks, Console(file=text, width=200))
    assert f"{found['passed']} passed, {found['failed']} failed" in text.getvalue()
    assert row["findings"][0]["subject"] in text.getvalue()
