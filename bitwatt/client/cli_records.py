"""`bitwatt account`, `bitwatt certificate` and `bitwatt what-if`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bitwatt.client.cli_base import (
    LOCAL,
    ApiKey,
    AsJson,
    Url,
    WalletName,
    Yes,
    client,
    group,
    listing_command,
    show,
)
from bitwatt.client.times import BadText, parse_money, show_money
from bitwatt.client.wallet import WalletError

account = group("money: balances, payments, deposits, statements")
certificate = group("certificates and credits")
what_if = typer.Typer(add_completion=False, rich_markup_mode=None)


# --- money ---------------------------------------------------------------------
listing_command(
    account, "show", "Money of your accounts.", lambda market: market.accounts(),
    ("address", "available_micro", "locked_micro", "epoch"),
)  # fmt: skip
listing_command(
    account, "payments", "Every movement on your accounts, newest first.", lambda market: market.payments(),
    ("at", "kind", "account", "available_micro", "locked_micro", "tx_hash"),
)  # fmt: skip
listing_command(
    account, "deliveries", "What you bought and what was delivered.", lambda market: market.deliveries(),
    ("agreement", "start", "lanes", "slots", "slots_settled", "bundle_micro", "refund_micro"),
)  # fmt: skip
listing_command(
    certificate, "list", "What your accounts hold.", lambda market: market.certificates(),
    ("certificate_id", "kind", "unit", "year_month", "zone_id", "amount", "retired"),
)  # fmt: skip


@account.command("deposit")
def account_deposit(
    amount: Annotated[str, typer.Argument(help="tokens")],
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Deposits tokens of the wallet into its trading account."""
    with client(url, wallet_name) as market:
        show(market.deposit(parse_money(amount)), as_json)


@account.command("invoice")
def account_invoice(
    month: Annotated[str, typer.Argument(help="YYYY-MM")],
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """A month's statement."""
    with client(url, wallet_name, api_key) as market:
        found = market.invoice(month)
        columns = ("kind", "reference", "quantity", "unit", "gross_micro", "refund_micro", "net_micro")
        title = f"{found['number']}  closing {show_money(found['closing_micro'])}"
        show(found if as_json else found["lines"], as_json, columns, title)


# --- certificates --------------------------------------------------------------
@certificate.command("history")
def certificate_history(certificate_id: str, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """Every step of a certificate or credit."""
    with client(url) as market:
        columns = ("at", "event", "sender", "receiver", "amount", "tx_hash")
        show(market.certificate_history(certificate_id), as_json, columns)


@certificate.command("retire")
def certificate_retire(
    certificate_id: str,
    amount: Annotated[int, typer.Argument(min=1, help="Wh or g")],
    beneficiary: Annotated[str | None, typer.Option("--for", help="account; none = your wallet")] = None,
    purpose: str = "",
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Retires units for a beneficiary; final."""
    with client(url, wallet_name) as market:
        if market.wallet is None:
            raise WalletError("which wallet retires? give --wallet")
        if not yes and not as_json and not typer.confirm(f"retire {amount} units for good?"):
            raise typer.Exit(1)
        target = beneficiary or market.wallet.address
        show(market.retire(certificate_id, amount, target, purpose), as_json)


@what_if.command()
def what_if_command(
    demand: Annotated[str, typer.Option(help="of the demand there was")] = "100%",
    grid_price: Annotated[str, typer.Option(help="of the grid's price")] = "100%",
    batch: Annotated[int | None, typer.Option(help="none = the last one")] = None,
    no_delay: Annotated[bool, typer.Option(help="every order runs at once")] = False,
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Replays a cleared batch under other circumstances."""
    with client(url, wallet_name, api_key) as market:
        changes = {"demand_bps": _scale(demand), "grid_price_bps": _scale(grid_price), "no_delay": no_delay}
        job = market.what_if(changes, batch_id=batch)
        if as_json or job["state"] != "done":
            typer.echo(json.dumps(job))
            return
        sides = {name: job["result"][name]["figures"] for name in ("before", "after")}
        rows = [{"figure": name, **{side: sides[side][name] for side in sides}} for name in sides["before"]]
        show(rows, False, ("figure", "before", "after"))


def _scale(text: str) -> int:
    """1/10000 of a percentage that may pass 100 %."""
    try:
        value = int(float(text.rstrip("%")) * 100)
    except ValueError:
        raise BadText(f"{text}: write a percentage such as 120%") from None
    if not 0 <= value <= 100_000:
        raise BadText(f"{text}: write 0% to 1000%")
    return value
