"""`bitwatt operator`: the powers of owner, operator and guardian, each one transaction of the given key."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from eth_account import Account
from rich.console import Console

from backend.chain.addressbook import AddressBook, load_book
from backend.chain.cli import deployer_key
from backend.chain.clients import SMALL_GAS, Oracle, Registry
from backend.chain.errors import ChainError, FieldError
from backend.chain.keccak import address_bytes
from backend.chain.plan import Call, Fees, Sender
from backend.chain.rpc import Rpc

app = typer.Typer(add_completion=False, no_args_is_help=True)
committee_app = typer.Typer(add_completion=False, no_args_is_help=True)
measurement_app = typer.Typer(add_completion=False, no_args_is_help=True)
app.add_typer(committee_app, name="committee", help="announce, take back or install the next committee")
app.add_typer(measurement_app, name="measurement", help="allow or forbid device code and platform statuses")

RpcOption = Annotated[str, typer.Option("--rpc", help="JSON-RPC address of the chain")]
BookOption = Annotated[Path, typer.Option("--book", help="address and ABI book of the deployment")]
KeyOption = Annotated[
    Path | None,
    typer.Option("--key-file", help="file with the private key in hex; dev chains have a default"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print machine-readable JSON")]
BOOK = Path("addresses.json")
EVERYTHING_MICRO = (1 << 127) - 1
"""A withdrawal pays at most what is available when it is made."""


def _say(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    for name, value in answer.items():
        Console().print(f"{name.replace('_', ' ')}: {value}", markup=False, highlight=False)


def _guarded(work: Callable[[], dict[str, Any]], as_json: bool) -> None:
    try:
        answer = work()
    except (ChainError, OSError) as error:
        Console(stderr=True).print(f"bitwatt operator: {error}", markup=False, highlight=False)
        raise typer.Exit(1) from None
    _say(answer, as_json)


def _send(
    rpc_url: str,
    book: Path,
    key_file: Path | None,
    as_json: bool,
    make: Callable[[AddressBook], Call | list[Call]],
) -> None:
    """Sends the calls that `make` builds and prints what became of the last one."""

    def work() -> dict[str, Any]:
        addresses = load_book(book)
        made = make(addresses)
        calls = made if isinstance(made, list) else [made]
        with Rpc(rpc_url) as rpc:
            chain_id = rpc.chain_id()
            if chain_id != addresses.chain_id:
                raise FieldError("--book", addresses.chain_id, f"the node is on chain {chain_id}")
            key = deployer_key(key_file, chain_id)
            account = str(Account.from_key(key).address)
            price = int(rpc.call("eth_gasPrice"), 16)
            fees = Fees(2 * price + 1, price // 10)
            sender = Sender(rpc, key, chain_id, rpc.nonce(account), fees=fees, errors=addresses.errors)
            receipts = sender.send(calls)
            receipt = receipts[-1]
        return {
            "done": ", ".join(item.label for item in receipts),
            "sender": account,
            "transaction": receipt.transaction_hash,
            "block": receipt.block_number,
            "gas": sum(item.gas_used for item in receipts),
        }

    _guarded(work, as_json)


def _measurement(text: str) -> bytes:
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        value = b""
    if len(value) != 32:
        raise FieldError("measurement", text, "give 64 hex digits")
    return value


@app.command()
def status(rpc: RpcOption, book: BookOption = BOOK, json_output: JsonOption = False) -> None:
    """Who holds which power now, what is paused and what is announced."""

    def work() -> dict[str, Any]:
        addresses = load_book(book)
        with Rpc(rpc) as node:
            registry, oracle = Registry(addresses, node), Oracle(addresses, node)
            members, quorum, takes_office_at = oracle.read("announcedCommittee")
            paused = registry.read("batchesPausedUntil")
            return {
                "owner": registry.read("owner"),
                "pending_owner": registry.read("pendingOwner"),
                "guardian": registry.read("guardian"),
                "new_batches_paused": paused > node.timestamp(),
                "paused_until": paused,
                "policy_delay_seconds": registry.read("policyDelay"),
                "committee": list(oracle.read("members")),
                "quorum": oracle.read("quorum"),
                "committee_delay_seconds": oracle.read("committeeDelay"),
                "announced_committee": list(members),
                "announced_quorum": quorum,
                "takes_office_at": takes_office_at,
            }

    _guarded(work, json_output)


@app.command()
def guardian(
    account: str,
    rpc: RpcOption,
    book: BookOption = BOOK,
    key_file: KeyOption = None,
    json_output: JsonOption = False,
) -> None:
    """Names the guardian (owner)."""
    _send(rpc, book, key_file, json_output, lambda b: Registry(b).set_guardian(account))


@app.command()
def pause(
    rpc: RpcOption,
    hours: Annotated[float, typer.Option(help="how long, at most 72; the pause ends by itself")] = 24.0,
    book: BookOption = BOOK,
    key_file: KeyOption = None,
    json_output: JsonOption = False,
) -> None:
    """Stops new batches (guardian). Open batches, settlement, withdrawal and retirement go on."""
    _send(rpc, book, key_file, json_output, lambda b: Registry(b).pause_batches(round(hours * 3600)))


@app.command()
def resume(
    rpc: RpcOption, book: BookOption = BOOK, key_file: KeyOption = None, json_output: JsonOption = False
) -> None:
    """Ends a pause early (guardian or owner)."""
    _send(rpc, book, key_file, json_output, lambda b: Registry(b).resume_batches())


def _role_command(name: str, text: str, make: Callable[[Registry, str, bool], Call]) -> None:
    """A command that gives a role to an account, or takes it away."""

    def command(
        account: str,
        rpc: RpcOption,
        forbid: Annotated[bool, typer.Option("--forbid", help="take the role away")] = False,
        book: BookOption = BOOK,
        key_file: KeyOption = None,
        json_output: JsonOption = False,
    ) -> None:
        _send(rpc, book, key_file, json_output, lambda b: make(Registry(b), account, not forbid))

    app.command(name, help=text)(command)


_role_command("solver", "Lets an account open batches, or no longer (owner).", Registry.set_solver)
_role_command(
    "registrar",
    "Lets an account register assets and set the device policy, or no longer (owner).",
    Registry.set_operator,
)


@app.command("owner")
def owner(
    account: Annotated[str | None, typer.Argument(help="the next owner; without it, take over")] = None,
    *,
    rpc: RpcOption,
    book: BookOption = BOOK,
    key_file: KeyOption = None,
    json_output: JsonOption = False,
) -> None:
    """Offers the ownership to an account (owner), or takes an offered one over (that account)."""

    def make(addresses: AddressBook) -> Call:
        if account is None:
            return Registry(addresses).call("acceptOwnership")
        return Registry(addresses).call("transferOwnership", account)

    _send(rpc, book, key_file, json_output, make)


@app.command("key-leaked")
def key_leaked(
    rpc: RpcOption, book: BookOption = BOOK, key_file: KeyOption = None, json_output: JsonOption = False
) -> None:
    """For whoever's key leaked: cancels all it ever signed, in every market, and asks for all its money."""

    def make(addresses: AddressBook) -> list[Call]:
        markets = ("BundleMarket", "PointsMarket", "OptimisticMarket")
        cancels = [_plain(addresses, name, "cancelAll") for name in markets if name in addresses.contracts]
        return [*cancels, _plain(addresses, "Treasury", "requestWithdraw", EVERYTHING_MICRO)]

    _send(rpc, book, key_file, json_output, make)


@app.command("take-out")
def take_out(
    to: str,
    rpc: RpcOption,
    book: BookOption = BOOK,
    key_file: KeyOption = None,
    json_output: JsonOption = False,
) -> None:
    """Pays out what was asked for, as far as it is still available, once the request is a day old."""
    _send(rpc, book, key_file, json_output, lambda b: _plain(b, "Treasury", "withdraw", to))


def _plain(addresses: AddressBook, contract: str, function: str, *arguments: object) -> Call:
    deployed = addresses[contract]
    data = deployed.abi.encode_call(function, arguments)
    return Call(deployed.address, data, SMALL_GAS, f"{contract}.{function}")


@committee_app.command("bond")
def bond(
    rpc: RpcOption, book: BookOption = BOOK, key_file: KeyOption = None, json_output: JsonOption = False
) -> None:
    """Locks a member's bond from its deposit (the member); a committee takes office once a quorum has one."""
    _send(rpc, book, key_file, json_output, lambda b: Oracle(b).post_bond())


@committee_app.command("announce")
def announce(
    rpc: RpcOption,
    member: Annotated[list[str], typer.Option(help="a member's address, repeated")],
    quorum: Annotated[int | None, typer.Option(help="signatures that make a report")] = None,
    book: BookOption = BOOK,
    key_file: KeyOption = None,
    json_output: JsonOption = False,
) -> None:
    """Announces the next committee (owner); it takes office after the delay, once a quorum has bonds."""

    def make(addresses: AddressBook) -> Call:
        members = sorted(member, key=address_bytes)
        return Oracle(addresses).announce_committee(members, quorum or len(members) * 2 // 3 + 1)

    _send(rpc, book, key_file, json_output, make)


@committee_app.command("withdraw")
def withdraw(
    rpc: RpcOption, book: BookOption = BOOK, key_file: KeyOption = None, json_output: JsonOption = False
) -> None:
    """Takes the announcement back (owner)."""
    _send(rpc, book, key_file, json_output, lambda b: Oracle(b).call("withdrawAnnouncement"))


@committee_app.command("install")
def install(
    rpc: RpcOption, book: BookOption = BOOK, key_file: KeyOption = None, json_output: JsonOption = False
) -> None:
    """Puts the announced committee in office after its delay (anyone)."""
    _send(rpc, book, key_file, json_output, lambda b: Oracle(b).call("installCommittee"))


@measurement_app.command("allow")
def allow(
    measurement: str,
    evidence_kind: int,
    rpc: RpcOption,
    book: BookOption = BOOK,
    key_file: KeyOption = None,
    json_output: JsonOption = False,
) -> None:
    """Allows device code of a measurement from the policy delay on (operator)."""
    _send(rpc, book, key_file, json_output, _setting(measurement, evidence_kind, True))


@measurement_app.command("forbid")
def forbid(
    measurement: str,
    evidence_kind: int,
    rpc: RpcOption,
    book: BookOption = BOOK,
    key_file: KeyOption = None,
    json_output: JsonOption = False,
) -> None:
    """Forbids device code at once (operator)."""
    _send(rpc, book, key_file, json_output, _setting(measurement, evidence_kind, False))


@measurement_app.command("allow-status")
def allow_status(
    evidence_kind: int,
    status: str,
    rpc: RpcOption,
    book: BookOption = BOOK,
    key_file: KeyOption = None,
    json_output: JsonOption = False,
) -> None:
    """Puts a platform status ("UpToDate" ...) on the list of a kind of evidence (operator)."""
    call = partial(_status, evidence_kind, status, True)
    _send(rpc, book, key_file, json_output, call)


@measurement_app.command("forbid-status")
def forbid_status(
    evidence_kind: int,
    status: str,
    rpc: RpcOption,
    book: BookOption = BOOK,
    key_file: KeyOption = None,
    json_output: JsonOption = False,
) -> None:
    """Takes a platform status off the list (operator)."""
    call = partial(_status, evidence_kind, status, False)
    _send(rpc, book, key_file, json_output, call)


def _status(evidence_kind: int, status: str, allowed: bool, book: AddressBook) -> Call:
    return Registry(book).set_tcb_status(evidence_kind, status, allowed)


def _setting(measurement: str, evidence_kind: int, allowed: bool) -> Callable[[AddressBook], Call]:
    return lambda b: Registry(b).set_measurement(_measurement(measurement), evidence_kind, allowed)
