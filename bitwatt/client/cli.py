"""The user's commands: wallet, order, offer, template, account, certificate, listing, what-if.

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
from bitwatt.client.times import BadText, parse_money, parse_share, parse_time, show_money, split_quantity
from bitwatt.client.wallet import Wallet, WalletError

WALLETS = Path(os.environ.get("XDG_CONFIG_HOME", str(Path.home() / ".config"))) / "bitwatt" / "wallets"
Url = Annotated[str, typer.Option("--url", envvar="BITWATT_URL", help="the service")]
WalletName = Annotated[
    str | None, typer.Option("--wallet", envvar="BITWATT_WALLET", help="name or file of the wallet")
]
ApiKey = Annotated[str | None, typer.Option("--api-key", envvar="BITWATT_API_KEY", help="access by a key")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask before signing")]
_LOCAL = "http://127.0.0.1:8000"


def _group(text: str) -> typer.Typer:
    return typer.Typer(help=text, add_completion=False, no_args_is_help=True, rich_markup_mode=None)


wallet = _group("keys in encrypted files")
order = _group("orders for compute with its power")
offer = _group("offers of sites and plants")
template = _group("saved bundles")
account = _group("money: balances, payments, deposits, statements")
certificate = _group("certificates and credits")
listing = _group("the secondary market")
what_if = typer.Typer(add_completion=False, rich_markup_mode=None)


def wallet_path(name: str) -> Path:
    """The file of a wallet, by name or path."""
    return Path(name) if "/" in name or name.endswith(".json") else WALLETS / f"{name}.json"


def _password(text: str, confirm: bool = False) -> str:
    given = os.environ.get("BITWATT_WALLET_PASSWORD")
    return (
        given if given is not None else str(typer.prompt(text, hide_input=True, confirmation_prompt=confirm))
    )


def _open_wallet(name: str | None) -> Wallet:
    if name is None:
        raise WalletError("which wallet? give --wallet, or make one with `bitwatt wallet new`")
    path = wallet_path(name)
    if not path.exists():
        raise WalletError(f"there is no wallet {name} ({path}): make it with `bitwatt wallet new {name}`")
    return Wallet.load(path, _password(f"password of {name}"))


@contextmanager
def _client(url: str, wallet_name: str | None = None, api_key: str | None = None) -> Iterator[Client]:
    """A client; what goes wrong is said in a line and ends the command with code 1."""
    try:
        opened = _open_wallet(wallet_name) if api_key is None and wallet_name is not None else None
        with Client(url, wallet=opened, api_key=api_key) as made:
            yield made
    except (ApiError, WalletError, SignatureRefused, BadText) as error:
        typer.echo(f"bitwatt: {error}", err=True)
        raise typer.Exit(1) from None


def _print(value: Any, as_json: bool, columns: Sequence[str] = (), title: str = "") -> None:
    if as_json:
        typer.echo(json.dumps(value))
        return
    rows = value if isinstance(value, list) else [value]
    table = Table(title=title or None)
    names = list(columns) or (list(rows[0]) if rows else ["nothing"])
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*(_cell(name, row.get(name)) for name in names))
    Console().print(table)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name.endswith("_micro"):
        return show_money(int(value))
    if name in ("start", "deadline", "at", "expiry", "gate_closes_at") and str(value).isdigit():
        return datetime.fromtimestamp(int(value), UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _named(items: list[dict[str, Any]], name: str, key: str, what: str) -> int:
    """The id of a thing by its name or its number."""
    for item in items:
        if name in (item["name"], str(item[key])):
            return int(item[key])
    known = ", ".join(item["name"] for item in items) or "none yet"
    raise BadText(f"there is no {what} {name}: known are {known}")


# --- wallets -------------------------------------------------------------------
@wallet.command("new")
def wallet_new(name: str, as_json: AsJson = False) -> None:
    """Makes a key and encrypts it with a password."""
    path = wallet_path(name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        made = Wallet.create(path, _password(f"password for {name}", confirm=True))
    except WalletError as error:
        typer.echo(f"bitwatt: {error}", err=True)
        raise typer.Exit(1) from None
    _print({"name": name, "address": made.address, "file": str(path)}, as_json)


@wallet.command("list")
def wallet_list(as_json: AsJson = False) -> None:
    """Wallets on this machine."""
    paths = sorted(WALLETS.glob("*.json")) if WALLETS.is_dir() else []
    rows = [{"name": path.stem, "address": Wallet.address_in(path), "file": str(path)} for path in paths]
    _print(rows, as_json, ("name", "address", "file"))


# --- orders --------------------------------------------------------------------
@order.command("place")
def order_place(
    quantity: Annotated[int, typer.Option(help="VCU-slots in all", min=1)],
    by: Annotated[str, typer.Option(help="deadline: tomorrow-09:00, +6h, ISO 8601")],
    limit: Annotated[str, typer.Option(help="most you pay per VCU-slot, all in, in tokens")],
    class_name: Annotated[str, typer.Option("--class", help="class of compute")] = "gpu-training",
    green: Annotated[str, typer.Option(help="least green share")] = "0%",
    start: Annotated[str, typer.Option("--from", help="earliest start")] = "now",
    zone: Annotated[list[str] | None, typer.Option(help="allowed zone, repeated; none = all")] = None,
    lanes: Annotated[int | None, typer.Option(help="VCU at the same time", min=1)] = None,
    duration: Annotated[int | None, typer.Option(help="slots that each lane runs", min=1)] = None,
    all_or_nothing: Annotated[bool, typer.Option(help="fill or kill")] = False,
    max_carbon: Annotated[int | None, typer.Option(help="cap of grid carbon, g/kWh", min=0)] = None,
    url: Url = _LOCAL,
    wallet_name: WalletName = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Quotes a bundle, asks, signs it and places it."""
    with _client(url, wallet_name) as market:
        if market.wallet is None:
            raise WalletError("which wallet signs? give --wallet")
        terms = _terms(
            market,
            quantity,
            by,
            start,
            class_name,
            green,
            zone,
            lanes,
            duration,
            max_carbon,
            parse_money(limit),
        )
        ask = dict(terms)
        quote = market.quote(**ask)
        if not as_json:
            _show_quote(quote, terms)
        if not yes and not as_json and not typer.confirm("sign and place it?"):
            raise typer.Exit(1)
        placed = market.place_order(kind=2 if all_or_nothing else 0, **terms)
        if as_json:
            typer.echo(json.dumps({"quote": quote, "order": placed}))
        else:
            typer.echo(f"placed {placed['order_hash']}: {placed['state']}")


def _terms(
    market: Client, quantity: int, by: str, start: str, class_name: str, green: str, zones: list[str] | None,
    lanes: int | None, duration: int | None, max_carbon: int | None, limit: int,
) -> dict[str, Any]:  # fmt: skip
    product = market.products()[0]
    slot = int(product["slot_seconds"])
    chain = market.chain()
    now = datetime.now().astimezone()
    if chain["chain_id"] == 31337:  # a dev chain has a clock of its own
        now = datetime.fromtimestamp(chain["timestamp"], now.tzinfo)
    first, last = parse_time(start, now), parse_time(by, now)
    open_from = next(
        (int(p["start"]) for p in market.products() if p["state"] == "open"), -(-first // slot) * slot
    )
    begin = max(-(-first // slot) * slot, open_from)
    end = last // slot * slot
    lanes, duration = split_quantity(quantity, (end - begin) // slot, lanes, duration)
    terms: dict[str, Any] = {
        "class_id": _named(market.classes(), class_name, "class_id", "class"),
        "lanes": lanes,
        "duration_slots": duration,
        "start": begin,
        "deadline": end,
        "limit_price": limit,
        "min_green_bps": parse_share(green),
    }
    if zones:
        known = market.zones()
        terms["zones"] = sorted({_named(known, name, "zone_id", "zone") for name in zones})
    if max_carbon is not None:
        terms["max_carbon"] = max_carbon
    return terms


def _show_quote(quote: dict[str, Any], terms: dict[str, Any]) -> None:
    """What is about to be signed, and what it would cost now."""
    table = Table(title="quote", show_header=False)
    for name in ("start", "deadline"):
        table.add_row(name, _cell(name, terms[name]))
    table.add_row("lanes x slots", f"{terms['lanes']} x {terms['duration_slots']}")
    most = terms["limit_price"] * terms["lanes"] * terms["duration_slots"]
    table.add_row("at most", show_money(most))
    if quote.get("feasible"):
        table.add_row("expected cost", show_money(quote["cost_micro"]))
        table.add_row("per VCU-slot", show_money(quote["price_micro"]))
        table.add_row("green share", f"{quote['green_share_bps'] / 100:.1f} %")
        table.add_row("carbon", f"{quote['carbon_g']} g (grid alone {quote['grid_carbon_g']} g)")
        if quote.get("fill_probability_bps") is not None:
            table.add_row("chance of a fill", f"{quote['fill_probability_bps'] / 100:.0f} %")
    table.add_row("basis", quote["basis"])
    Console().print(table)


@order.command("quote")
def order_quote(
    quantity: Annotated[int, typer.Option(min=1)],
    by: str,
    limit: Annotated[str, typer.Option()] = "1000000",
    class_name: Annotated[str, typer.Option("--class")] = "gpu-training",
    green: str = "0%",
    start: Annotated[str, typer.Option("--from")] = "now",
    url: Url = _LOCAL,
    as_json: AsJson = False,
) -> None:
    """What a bundle would cost, without signing anything."""
    with _client(url) as market:
        terms = _terms(
            market, quantity, by, start, class_name, green, None, None, None, None, parse_money(limit)
        )
        quote = market.quote(**terms)
        typer.echo(json.dumps(quote)) if as_json else _show_quote(quote, terms)


@order.command("list")
def order_list(
    state: Annotated[str | None, typer.Option()] = None,
    url: Url = _LOCAL,
    wallet_name: WalletName = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Your organisation's orders."""
    with _client(url, wallet_name, api_key) as market:
        columns = ("order_hash", "state", "lanes", "duration_slots", "lanes_filled", "cost_micro", "deadline")
        _print(market.orders(state), as_json, columns)


@order.command("show")
def order_show(
    order_hash: str,
    url: Url = _LOCAL,
    wallet_name: WalletName = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """One order and what became of it."""
    with _client(url, wallet_name, api_key) as market:
        found = market.order(order_hash)
        rows = [{"field": name, "value": _cell(name, value)} for name, value in found.items()]
        _print(found if as_json else rows, as_json)


@order.command("cancel")
def order_cancel(
    order_hash: str,
    on_chain: Annotated[bool, typer.Option(help="also cancel its nonce on chain, for good")] = False,
    url: Url = _LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Takes an order out of the book."""
    with _client(url, wallet_name) as market:
        gone = market.cancel_order(order_hash, on_chain=on_chain)
        _print({"order_hash": order_hash, "state": gone["state"]}, as_json)


# --- offers --------------------------------------------------------------------
@offer.command("compute")
def offer_compute(
    site: Annotated[int, typer.Option(help="site id")],
    capacity: Annotated[int, typer.Option(help="VCU in every slot", min=1)],
    ask: Annotated[str, typer.Option(help="tokens per VCU-slot, without energy")],
    energy_wh: Annotated[int, typer.Option(help="facility Wh of a VCU-slot", min=1)],
    start: Annotated[str, typer.Option("--from")],
    end: Annotated[str, typer.Option("--to")],
    class_name: Annotated[str, typer.Option("--class")] = "gpu-training",
    url: Url = _LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Signs and places an offer of a site's capacity."""
    with _client(url, wallet_name) as market:
        now = datetime.now().astimezone()
        placed = market.place_compute_offer(
            site_id=site,
            class_id=_named(market.classes(), class_name, "class_id", "class"),
            capacity=capacity,
            energy_wh_per_vcu_slot=energy_wh,
            ask_price=parse_money(ask),
            start=parse_time(start, now),
            end=parse_time(end, now),
        )
        _print(placed, as_json, ("offer_hash", "site_id", "capacity", "start", "end"))


@offer.command("power")
def offer_power(
    plant: Annotated[int, typer.Option(help="plant id")],
    start: Annotated[str, typer.Option("--from")],
    profile: Annotated[Path, typer.Option(help="JSON: [slot][tranche] of {wh, ask}; ask in micro per kWh")],
    url: Url = _LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Signs and places an offer of a plant's energy."""
    with _client(url, wallet_name) as market:
        try:
            rows = json.loads(profile.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadText(f"{profile}: {error}") from None
        at = parse_time(start, datetime.now().astimezone())
        placed = market.place_power_offer(plant_id=plant, start=at, profile=rows)
        _print(placed, as_json, ("offer_hash", "plant_id", "start"))


@offer.command("list")
def offer_list(
    url: Url = _LOCAL, wallet_name: WalletName = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Your organisation's offers."""
    with _client(url, wallet_name, api_key) as market:
        rows = [{"kind": "compute", **row} for row in market.compute_offers()]
        rows += [{"kind": "power", **row} for row in market.power_offers()]
        _print(rows, as_json, ("kind", "offer_hash", "zone_id", "start", "withdrawn"))


@offer.command("cancel")
def offer_cancel(
    offer_hash: str, url: Url = _LOCAL, wallet_name: WalletName = None, as_json: AsJson = False
) -> None:
    """Takes an offer out of the book."""
    with _client(url, wallet_name) as market:
        market.cancel_offer(offer_hash)
        _print({"offer_hash": offer_hash, "state": "withdrawn"}, as_json)


# --- templates -----------------------------------------------------------------
@template.command("list")
def template_list(
    url: Url = _LOCAL, wallet_name: WalletName = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Your organisation's templates."""
    with _client(url, wallet_name, api_key) as market:
        _print(market.templates(), as_json, ("id", "name", "revision", "created_at"))


@template.command("order")
def template_order(
    template_id: str,
    days: Annotated[int, typer.Option(min=1, max=31)] = 1,
    url: Url = _LOCAL,
    wallet_name: WalletName = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Signs and places a template for one market day or several in a row."""
    with _client(url, wallet_name) as market:
        if not yes and not as_json and not typer.confirm(f"sign {days} order(s) of this template?"):
            raise typer.Exit(1)
        columns = ("order_hash", "state", "start", "deadline")
        _print(market.order_template(template_id, days=days), as_json, columns)


@template.command("due")
def template_due(
    url: Url = _LOCAL, wallet_name: WalletName = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """What your schedules have due, placed and missed."""
    with _client(url, wallet_name, api_key) as market:
        columns = ("template_name", "start", "gate_closes_at", "state", "order_hash")
        _print(market.scheduled_orders(), as_json, columns)


# --- money ---------------------------------------------------------------------
def _listing_command(
    group: typer.Typer, name: str, text: str, ask: Callable[[Client], Any], columns: Sequence[str]
) -> None:
    """A command that prints one listing."""

    def command(
        url: Url = _LOCAL, wallet_name: WalletName = None, api_key: ApiKey = None, as_json: AsJson = False
    ) -> None:
        with _client(url, wallet_name, api_key) as market:
            _print(ask(market), as_json, columns)

    command.__doc__ = text
    group.command(name)(command)


_listing_command(
    account, "show", "Money of your accounts.", lambda market: market.accounts(),
    ("address", "available_micro", "locked_micro", "epoch"),
)  # fmt: skip
_listing_command(
    account, "payments", "Every movement on your accounts, newest first.", lambda market: market.payments(),
    ("at", "kind", "account", "available_micro", "locked_micro", "tx_hash"),
)  # fmt: skip
_listing_command(
    account, "deliveries", "What you bought and what was delivered.", lambda market: market.deliveries(),
    ("agreement", "start", "lanes", "slots", "slots_settled", "bundle_micro", "refund_micro"),
)  # fmt: skip
_listing_command(
    certificate, "list", "What your accounts hold.", lambda market: market.certificates(),
    ("certificate_id", "kind", "unit", "year_month", "zone_id", "amount", "retired"),
)  # fmt: skip
_listing_command(
    listing, "list", "Open listings.", lambda market: market.listings(state="open"),
    ("offer_hash", "side", "kind", "left", "unit", "price_micro_per_thousand", "zone_id"),
)  # fmt: skip


@account.command("deposit")
def account_deposit(
    amount: Annotated[str, typer.Argument(help="tokens")],
    url: Url = _LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Deposits tokens of the wallet into its trading account."""
    with _client(url, wallet_name) as market:
        _print(market.deposit(parse_money(amount)), as_json)


@account.command("invoice")
def account_invoice(
    month: Annotated[str, typer.Argument(help="YYYY-MM")],
    url: Url = _LOCAL,
    wallet_name: WalletName = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """A month's statement."""
    with _client(url, wallet_name, api_key) as market:
        found = market.invoice(month)
        columns = ("kind", "reference", "quantity", "unit", "gross_micro", "refund_micro", "net_micro")
        title = f"{found['number']}  closing {show_money(found['closing_micro'])}"
        _print(found if as_json else found["lines"], as_json, columns, title)


# --- certificates --------------------------------------------------------------
@certificate.command("history")
def certificate_history(certificate_id: str, url: Url = _LOCAL, as_json: AsJson = False) -> None:
    """Every step of a certificate or credit."""
    with _client(url) as market:
        columns = ("at", "event", "sender", "receiver", "amount", "tx_hash")
        _print(market.certificate_history(certificate_id), as_json, columns)


@certificate.command("retire")
def certificate_retire(
    certificate_id: str,
    amount: Annotated[int, typer.Argument(min=1, help="Wh or g")],
    beneficiary: Annotated[str | None, typer.Option("--for", help="account; none = your wallet")] = None,
    purpose: str = "",
    url: Url = _LOCAL,
    wallet_name: WalletName = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Retires units for a beneficiary; final."""
    with _client(url, wallet_name) as market:
        if market.wallet is None:
            raise WalletError("which wallet retires? give --wallet")
        if not yes and not as_json and not typer.confirm(f"retire {amount} units for good?"):
            raise typer.Exit(1)
        target = beneficiary or market.wallet.address
        _print(market.retire(certificate_id, amount, target, purpose), as_json)


# --- the secondary market --------------------------------------------------------
@listing.command("place")
def listing_place(
    side: Annotated[str, typer.Argument(help="sell or buy")],
    certificate_id: str,
    amount: Annotated[int, typer.Argument(min=1, help="Wh or g")],
    price: Annotated[str, typer.Option(help="tokens per 1,000 units (kWh or kg)")],
    until: Annotated[str, typer.Option(help="expiry")] = "+7d",
    url: Url = _LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Signs and places an offer of certificates or credits."""
    with _client(url, wallet_name) as market:
        placed = market.place_listing(
            side=side, certificate_id=certificate_id, amount=amount,
            price_micro_per_thousand=parse_money(price),
            expiry=parse_time(until, datetime.now().astimezone()),
        )  # fmt: skip
        _print(placed, as_json, ("offer_hash", "state", "side", "amount", "price_micro_per_thousand"))


@listing.command("fill")
def listing_fill(
    offer_hash: str,
    amount: Annotated[int, typer.Argument(min=1)],
    url: Url = _LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Takes units of a listing."""
    with _client(url, wallet_name) as market:
        _print(market.fill_listing(offer_hash, amount), as_json)


@listing.command("approve")
def listing_approve(url: Url = _LOCAL, wallet_name: WalletName = None, as_json: AsJson = False) -> None:
    """Lets the market hand over what the wallet sells; once per wallet."""
    with _client(url, wallet_name) as market:
        _print(market.approve_listings(), as_json)


@what_if.command()
def what_if_command(
    demand: Annotated[str, typer.Option(help="of the demand there was")] = "100%",
    grid_price: Annotated[str, typer.Option(help="of the grid's price")] = "100%",
    batch: Annotated[int | None, typer.Option(help="none = the last one")] = None,
    no_delay: Annotated[bool, typer.Option(help="every order runs at once")] = False,
    url: Url = _LOCAL,
    wallet_name: WalletName = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Replays a cleared batch under other circumstances."""
    with _client(url, wallet_name, api_key) as market:
        changes = {"demand_bps": _scale(demand), "grid_price_bps": _scale(grid_price), "no_delay": no_delay}
        job = market.what_if(changes, batch_id=batch)
        if as_json or job["state"] != "done":
            typer.echo(json.dumps(job))
            return
        sides = {name: job["result"][name]["figures"] for name in ("before", "after")}
        rows = [{"figure": name, **{side: sides[side][name] for side in sides}} for name in sides["before"]]
        _print(rows, False, ("figure", "before", "after"))


def _scale(text: str) -> int:
    """1/10000 of a percentage that may pass 100 %."""
    try:
        value = int(float(text.rstrip("%")) * 100)
    except ValueError:
        raise BadText(f"{text}: write a percentage such as 120%") from None
    if not 0 <= value <= 100_000:
        raise BadText(f"{text}: write 0% to 1000%")
    return value
