"""`bitwatt wallet`, `bitwatt order` and `bitwatt offer`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bitwatt.client.cli_base import (
    LOCAL,
    WALLETS,
    ApiKey,
    AsJson,
    Url,
    WalletName,
    Yes,
    bundle_terms,
    cell,
    client,
    group,
    market_now,
    named,
    password,
    show,
    show_fields,
    wallet_path,
)
from bitwatt.client.client import Client
from bitwatt.client.times import BadText, parse_money, parse_time, show_money
from bitwatt.client.wallet import Wallet, WalletError

wallet = group("keys in encrypted files")
order = group("orders for compute with its power")
offer = group("offers of sites and plants")


# --- wallets -------------------------------------------------------------------
@wallet.command("new")
def wallet_new(name: str, as_json: AsJson = False) -> None:
    """Makes a key and encrypts it with a password."""
    path = wallet_path(name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        made = Wallet.create(path, password(f"password for {name}", confirm=True))
    except WalletError as error:
        typer.echo(f"bitwatt: {error}", err=True)
        raise typer.Exit(1) from None
    show({"name": name, "address": made.address, "file": str(path)}, as_json)


@wallet.command("list")
def wallet_list(as_json: AsJson = False) -> None:
    """Wallets on this machine."""
    paths = sorted(WALLETS.glob("*.json")) if WALLETS.is_dir() else []
    rows = [{"name": path.stem, "address": Wallet.address_in(path), "file": str(path)} for path in paths]
    show(rows, as_json, ("name", "address", "file"))


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
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Quotes a bundle, asks, signs it and places it."""
    with client(url, wallet_name) as market:
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
    now = market_now(market)
    first, last = parse_time(start, now), parse_time(by, now)
    open_from = next(
        (int(p["start"]) for p in market.products() if p["state"] == "open"), -(-first // slot) * slot
    )
    begin = max(-(-first // slot) * slot, open_from)
    end = last // slot * slot
    slots = (end - begin) // slot
    shape = bundle_terms(market, class_name, quantity, slots, lanes, duration, limit, green, zones)
    terms = shape | {"start": begin, "deadline": end}
    if max_carbon is not None:
        terms["max_carbon"] = max_carbon
    return terms


def _show_quote(quote: dict[str, Any], terms: dict[str, Any]) -> None:
    """What is about to be signed, and what it would cost now."""
    table = Table(title="quote", show_header=False)
    for name in ("start", "deadline"):
        table.add_row(name, cell(name, terms[name]))
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
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """What a bundle would cost, without signing anything."""
    with client(url) as market:
        terms = _terms(
            market, quantity, by, start, class_name, green, None, None, None, None, parse_money(limit)
        )
        quote = market.quote(**terms)
        typer.echo(json.dumps(quote)) if as_json else _show_quote(quote, terms)


@order.command("list")
def order_list(
    state: Annotated[str | None, typer.Option()] = None,
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Your organisation's orders."""
    with client(url, wallet_name, api_key) as market:
        columns = ("order_hash", "state", "lanes", "duration_slots", "lanes_filled", "cost_micro", "deadline")
        show(market.orders(state), as_json, columns)


@order.command("show")
def order_show(
    order_hash: str,
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """One order and what became of it."""
    with client(url, wallet_name, api_key) as market:
        found = market.order(order_hash)
        show(found, as_json) if as_json else show_fields(found)


@order.command("cancel")
def order_cancel(
    order_hash: str,
    on_chain: Annotated[bool, typer.Option(help="also cancel its nonce on chain, for good")] = False,
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Takes an order out of the book."""
    with client(url, wallet_name) as market:
        gone = market.cancel_order(order_hash, on_chain=on_chain)
        show({"order_hash": order_hash, "state": gone["state"]}, as_json)


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
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Signs and places an offer of a site's capacity."""
    with client(url, wallet_name) as market:
        now = market_now(market)
        placed = market.place_compute_offer(
            site_id=site,
            class_id=named(market.classes(), class_name, "class_id", "class"),
            capacity=capacity,
            energy_wh_per_vcu_slot=energy_wh,
            ask_price=parse_money(ask),
            start=parse_time(start, now),
            end=parse_time(end, now),
        )
        show(placed, as_json, ("offer_hash", "site_id", "capacity", "start", "end"))


@offer.command("power")
def offer_power(
    plant: Annotated[int, typer.Option(help="plant id")],
    start: Annotated[str, typer.Option("--from")],
    profile: Annotated[Path, typer.Option(help="JSON: [slot][tranche] of {wh, ask}; ask in micro per kWh")],
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Signs and places an offer of a plant's energy."""
    with client(url, wallet_name) as market:
        try:
            rows = json.loads(profile.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadText(f"{profile}: {error}") from None
        at = parse_time(start, market_now(market))
        placed = market.place_power_offer(plant_id=plant, start=at, profile=rows)
        show(placed, as_json, ("offer_hash", "plant_id", "start"))


@offer.command("list")
def offer_list(
    url: Url = LOCAL, wallet_name: WalletName = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Your organisation's offers."""
    with client(url, wallet_name, api_key) as market:
        rows = [{"kind": "compute", **row} for row in market.compute_offers()]
        rows += [{"kind": "power", **row} for row in market.power_offers()]
        show(rows, as_json, ("kind", "offer_hash", "zone_id", "start", "withdrawn"))


@offer.command("cancel")
def offer_cancel(
    offer_hash: str, url: Url = LOCAL, wallet_name: WalletName = None, as_json: AsJson = False
) -> None:
    """Takes an offer out of the book."""
    with client(url, wallet_name) as market:
        market.cancel_offer(offer_hash)
        show({"offer_hash": offer_hash, "state": "withdrawn"}, as_json)
