"""What the user's commands share: options, the client, and how answers are printed.

Where the service is and who asks comes from --url, --wallet and --api-key, or BITWATT_URL, BITWATT_WALLET,
BITWATT_API_KEY; a wallet's password from BITWATT_WALLET_PASSWORD or a prompt.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bitwatt.client.client import Client
from bitwatt.client.protocol import ApiError, SignatureRefused
from bitwatt.client.times import BadText, parse_share, show_money, split_quantity
from bitwatt.client.wallet import Wallet, WalletError

WALLETS = Path(os.environ.get("XDG_CONFIG_HOME", str(Path.home() / ".config"))) / "bitwatt" / "wallets"
Url = Annotated[str, typer.Option("--url", envvar="BITWATT_URL", help="the service")]
WalletName = Annotated[
    str | None, typer.Option("--wallet", envvar="BITWATT_WALLET", help="name or file of the wallet")
]
ApiKey = Annotated[str | None, typer.Option("--api-key", envvar="BITWATT_API_KEY", help="access by a key")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask before signing")]
LOCAL = "http://127.0.0.1:8000"


def group(text: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(help=text, add_completion=False, no_args_is_help=True, rich_markup_mode=None)


def wallet_path(name: str) -> Path:
    """The file of a wallet, by name or path."""
    return Path(name) if "/" in name or name.endswith(".json") else WALLETS / f"{name}.json"


def password(text: str, confirm: bool = False) -> str:
    """A wallet's password, from the environment or a prompt."""
    given = os.environ.get("BITWATT_WALLET_PASSWORD")
    return (
        given if given is not None else str(typer.prompt(text, hide_input=True, confirmation_prompt=confirm))
    )


def open_wallet(name: str | None) -> Wallet:
    """The wallet of a name; WalletError when there is none."""
    if name is None:
        raise WalletError("which wallet? give --wallet, or make one with `bitwatt wallet new`")
    path = wallet_path(name)
    if not path.exists():
        raise WalletError(f"there is no wallet {name} ({path}): make it with `bitwatt wallet new {name}`")
    return Wallet.load(path, password(f"password of {name}"))


@contextmanager
def client(url: str, wallet_name: str | None = None, api_key: str | None = None) -> Iterator[Client]:
    """A client; what goes wrong is said in a line and ends the command with code 1."""
    try:
        opened = open_wallet(wallet_name) if api_key is None and wallet_name is not None else None
        with Client(url, wallet=opened, api_key=api_key) as made:
            yield made
    except (ApiError, WalletError, SignatureRefused, BadText) as error:
        typer.echo(f"bitwatt: {error}", err=True)
        raise typer.Exit(1) from None


def show(value: Any, as_json: bool, columns: Sequence[str] = (), title: str = "") -> None:
    if as_json:
        typer.echo(json.dumps(value))
        return
    rows = value if isinstance(value, list) else [value]
    table = Table(title=title or None)
    names = list(columns) or (list(rows[0]) if rows else ["nothing"])
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*(cell(name, row.get(name)) for name in names))
    Console().print(table)


def cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name.endswith("_micro"):
        return show_money(int(value))
    if name in ("start", "deadline", "at", "expiry", "gate_closes_at") and str(value).isdigit():
        return datetime.fromtimestamp(int(value), UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def market_now(market: Client) -> datetime:
    """Now, in the local time zone, by the clock the market goes by: a dev chain has one of its own."""
    now = datetime.now().astimezone()
    chain = market.chain()
    return datetime.fromtimestamp(chain["timestamp"], now.tzinfo) if chain["chain_id"] == 31337 else now


def named(items: list[dict[str, Any]], name: str, key: str, what: str) -> int:
    """The id of a thing by its name or its number."""
    for item in items:
        if name in (item["name"], str(item[key])):
            return int(item[key])
    known = ", ".join(item["name"] for item in items) or "none yet"
    raise BadText(f"there is no {what} {name}: known are {known}")


def show_fields(found: dict[str, Any], title: str = "") -> None:
    """One thing, a field in every line."""
    show([{"field": name, "value": cell(name, value)} for name, value in found.items()], False, title=title)


def bundle_terms(
    market: Client, class_name: str, quantity: int, slots: int, lanes: int | None, duration: int | None,
    limit: int, green: str, zones: Sequence[str] | None,
) -> dict[str, Any]:  # fmt: skip
    """What an order and a template have in common: class, shape, limit, green share and zones."""
    lanes, duration = split_quantity(quantity, slots, lanes, duration)
    terms: dict[str, Any] = {
        "class_id": named(market.classes(), class_name, "class_id", "class"),
        "lanes": lanes,
        "duration_slots": duration,
        "limit_price": limit,
        "min_green_bps": parse_share(green),
    }
    if zones:
        known = market.zones()
        terms["zones"] = sorted({named(known, name, "zone_id", "zone") for name in zones})
    return terms


def listing_command(
    owner: typer.Typer, name: str, text: str, ask: Callable[[Client], Any], columns: Sequence[str]
) -> None:
    """A command that prints one listing."""

    def command(
        url: Url = LOCAL, wallet_name: WalletName = None, api_key: ApiKey = None, as_json: AsJson = False
    ) -> None:
        with client(url, wallet_name, api_key) as market:
            show(ask(market), as_json, columns)

    command.__doc__ = text
    owner.command(name)(command)
