"""`bitwatt listing`: the secondary market of certificates and credits."""

from __future__ import annotations

from typing import Annotated

import typer

from bitwatt.client.cli_base import (
    LOCAL,
    AsJson,
    Url,
    WalletName,
    cell,
    client,
    group,
    listing_command,
    market_now,
    show,
)
from bitwatt.client.times import parse_money, parse_time

listing = group("the secondary market")


listing_command(
    listing, "list", "Open listings.", lambda market: market.listings(state="open"),
    ("offer_hash", "side", "kind", "left", "unit", "price_micro_per_thousand", "zone_id"),
)  # fmt: skip


@listing.command("show")
def listing_show(offer_hash: str, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """One listing, its signature and its fills."""
    with client(url) as market:
        found = market.listing(offer_hash)
        rows = [{"field": name, "value": cell(name, value)} for name, value in found.items()]
        show(found if as_json else rows, as_json)


@listing.command("cancel")
def listing_cancel(
    offer_hash: str,
    on_chain: Annotated[bool, typer.Option(help="also cancel its nonce on chain, for good")] = False,
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Takes your listing off the board; who kept its signature can fill it until it is cancelled on chain."""
    with client(url, wallet_name) as market:
        show(market.cancel_listing(offer_hash, on_chain=on_chain), as_json)


@listing.command("place")
def listing_place(
    side: Annotated[str, typer.Argument(help="sell or buy")],
    certificate_id: str,
    amount: Annotated[int, typer.Argument(min=1, help="Wh or g")],
    price: Annotated[str, typer.Option(help="tokens per 1,000 units (kWh or kg)")],
    until: Annotated[str, typer.Option(help="expiry")] = "+7d",
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Signs and places an offer of certificates or credits."""
    with client(url, wallet_name) as market:
        placed = market.place_listing(
            side=side, certificate_id=certificate_id, amount=amount,
            price_micro_per_thousand=parse_money(price),
            expiry=parse_time(until, market_now(market)),
        )  # fmt: skip
        show(placed, as_json, ("offer_hash", "state", "side", "amount", "price_micro_per_thousand"))


@listing.command("fill")
def listing_fill(
    offer_hash: str,
    amount: Annotated[int, typer.Argument(min=1)],
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Takes units of a listing."""
    with client(url, wallet_name) as market:
        show(market.fill_listing(offer_hash, amount), as_json)


@listing.command("approve")
def listing_approve(url: Url = LOCAL, wallet_name: WalletName = None, as_json: AsJson = False) -> None:
    """Lets the market hand over what the wallet sells; once per wallet."""
    with client(url, wallet_name) as market:
        show(market.approve_listings(), as_json)
