"""`bitwatt deploy` on a real node, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend.chain.addressbook import load_book
from backend.chain.cli import DEV_MEMBERS, app
from backend.chain.clients import Certificates, Market, Oracle, Registry, Settlement, Treasury
from backend.chain.deploy import DeploySettings, check_settings
from backend.chain.errors import FieldError, WrongChain
from backend.chain.plan import MAX_TRANSACTION_GAS
from backend.chain.rpc import Rpc

CONTRACTS = (
    "BundleMarket",
    "Challenges",
    "OptimisticMarket",
    "Certificates",
    "DeliveryOracle",
    "DevToken",
    "FlexMarket",
    "PointsMarket",
    "Registry",
    "Settlement",
    "Treasury",
)


def test_deploy_writes_a_book_of_wired_contracts(anvil_rpc: Rpc, tmp_path: Path) -> None:
    out = tmp_path / "book.json"
    done = CliRunner().invoke(app, ["--rpc", anvil_rpc.url, "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    book = load_book(out)
    assert sorted(book.contracts) == sorted(summary["contracts"]) == sorted(CONTRACTS)
    assert book.chain_id == 31337
    assert all(anvil_rpc.code(contract.address) for contract in book.contracts.values())
    oracle = Oracle(book, anvil_rpc)
    assert oracle.read("members") == tuple(sorted(DEV_MEMBERS, key=lambda member: int(member, 16)))
    assert oracle.read("quorum") == 3 and oracle.next_epoch(bytes(32)) == 0
    assert Treasury(book, anvil_rpc).read("token") == book["DevToken"].address
    assert Market(book, anvil_rpc).read("batchCount") == 0
    assert Settlement(book, anvil_rpc).read("refundDelay") == 86_400
    assert Certificates(book, anvil_rpc).balance(DEV_MEMBERS[0], 1) == 0
    assert Registry(book, anvil_rpc).read("zoneName", 0) == ""
    for number in range(book.deploy_block, anvil_rpc.block_number() + 1):
        for transaction in anvil_rpc.call("eth_getBlockByNumber", hex(number), True)["transactions"]:
            assert int(transaction["gas"], 16) <= MAX_TRANSACTION_GAS


def test_deploying_twice_gives_two_deployments(anvil_rpc: Rpc, tmp_path: Path) -> None:
    books = []
    for name in ("a.json", "b.json"):
        done = CliRunner().invoke(app, ["--rpc", anvil_rpc.url, "--out", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        books.append(load_book(tmp_path / name))
    assert books[0]["Treasury"].address != books[1]["Treasury"].address


def test_nobody_at_the_address(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["--rpc", "http://127.0.0.1:1", "--out", str(tmp_path / "book.json")])
    assert done.exit_code == 1 and "start the node or correct --rpc" in done.output.replace("\n", " ")


def test_a_bad_key_file_is_named(anvil_rpc: Rpc, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("not hex")
    done = CliRunner().invoke(app, ["--rpc", anvil_rpc.url, "--key-file", str(key)])
    assert done.exit_code == 1 and "64 hex digits" in done.output.replace("\n", " ")


def test_off_the_development_chain_token_and_committee_must_be_named() -> None:
    with pytest.raises(WrongChain, match=r"chain id 1: the faucet token .* --token"):
        check_settings(DeploySettings(DEV_MEMBERS, 3), 1)
    check_settings(DeploySettings(DEV_MEMBERS, 3, token="0x" + "11" * 20, policy_delay=86_400), 1)
    with pytest.raises(FieldError, match="policy_delay"):
        check_settings(DeploySettings(DEV_MEMBERS, 3, token="0x" + "11" * 20), 1)
    with pytest.raises(FieldError, match="more than 2n/3"):
        check_settings(DeploySettings(DEV_MEMBERS, 2), 31337)
    with pytest.raises(FieldError, match="more than 2n/3"):
        check_settings(DeploySettings(DEV_MEMBERS[:3], 3), 31337)
    with pytest.raises(FieldError, match="every committee member once"):
        check_settings(DeploySettings((*DEV_MEMBERS[:3], DEV_MEMBERS[0]), 3), 31337)
