"""`bitwatt deploy`: puts the contracts on a chain and writes the address book."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from eth_account import Account
from rich.console import Console
from rich.table import Table

from backend.chain.addressbook import AddressBook, save_book
from backend.chain.anvil import give_gas_money
from backend.chain.deploy import DeploySettings, check_settings, deploy
from backend.chain.errors import ChainError, FieldError, WrongChain
from backend.chain.plan import DEV_CHAIN_ID, Fees, Sender, key_bytes
from backend.chain.rpc import Rpc

app = typer.Typer(add_completion=False)

DEV_KEY = bytes.fromhex("b1" * 32)
DEV_MEMBERS = tuple(Account.from_key(bytes([0xC0 + number]) * 32).address for number in range(1, 5))


@app.command()
def main(
    rpc: Annotated[str, typer.Option(help="JSON-RPC address of the chain")],
    key_file: Annotated[Path | None, typer.Option(help="file with the deployer's private key in hex")] = None,
    out: Annotated[Path, typer.Option(help="where the address and ABI book goes")] = Path("addresses.json"),
    token: Annotated[str | None, typer.Option(help="settlement token; none: the dev chain's faucet")] = None,
    member: Annotated[list[str] | None, typer.Option(help="committee member's address, repeated")] = None,
    quorum: Annotated[int | None, typer.Option(help="signatures that make a report")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="print the book's addresses as JSON")] = False,
) -> None:
    """Deploys and wires the contracts; on the development chain key, token and committee have defaults."""
    try:
        book = run(rpc, key_file, token, tuple(member or ()), quorum)
    except (ChainError, OSError) as error:
        Console(stderr=True).print(f"bitwatt deploy: {error}", markup=False, highlight=False)
        raise typer.Exit(1) from None
    save_book(book, out)
    addresses = {name: contract.address for name, contract in sorted(book.contracts.items())}
    if json_output:
        summary = {"chain_id": book.chain_id, "deploy_block": book.deploy_block, "book": str(out)}
        typer.echo(json.dumps({**summary, "contracts": addresses}, indent=1))
        return
    table = Table(title=f"chain {book.chain_id}, block {book.deploy_block}, written to {out}")
    for column in ("contract", "address"):
        table.add_column(column)
    for name, address in addresses.items():
        table.add_row(name, address)
    Console().print(table)


def run(
    url: str, key_file: Path | None, token: str | None, members: tuple[str, ...], quorum: int | None
) -> AddressBook:
    """Deploys through the node at `url`; raises ChainError naming what is missing off the dev chain."""
    with Rpc(url) as rpc:
        chain_id = rpc.chain_id()
        dev = chain_id == DEV_CHAIN_ID
        key = deployer_key(key_file, chain_id)
        if not members and not dev:
            raise WrongChain(chain_id, "there is no default committee here", "name four or more --member")
        members = members or DEV_MEMBERS
        settings = DeploySettings(
            members, quorum or len(members) * 2 // 3 + 1, token, policy_delay=0 if dev else 86_400
        )
        check_settings(settings, chain_id)
        account = str(Account.from_key(key).address)
        if dev:
            give_gas_money(rpc, [account])
        price = int(rpc.call("eth_gasPrice"), 16)
        sender = Sender(
            rpc, key, chain_id, rpc.nonce(account), fees=Fees(2 * price + 1, 0 if dev else price // 10)
        )
        return deploy(sender, chain_id, settings)[0]


def deployer_key(key_file: Path | None, chain_id: int) -> bytes:
    """The private key in a file, or the dev chain's; raises ChainError naming what is wrong with it."""
    if key_file is None:
        if chain_id != DEV_CHAIN_ID:
            raise WrongChain(chain_id, "there is no default key here", "give the deployer's with --key-file")
        return DEV_KEY
    try:
        key = key_bytes(key_file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FieldError("--key-file", str(key_file), "write the key as 64 hex digits") from error
    if len(key) != 32:
        raise FieldError("--key-file", str(key_file), "write the key as 64 hex digits")
    return key
