"""`bitwatt template`: saved bundles, and ordering them for days in a row."""

from __future__ import annotations

from typing import Annotated

import typer

from bitwatt.client.cli_base import (
    LOCAL,
    ApiKey,
    AsJson,
    Url,
    WalletName,
    Yes,
    bundle_terms,
    client,
    group,
    market_now,
    show,
    show_fields,
)
from bitwatt.client.times import parse_clock, parse_money, parse_time

template = group("saved bundles")


# --- templates -----------------------------------------------------------------
@template.command("list")
def template_list(
    url: Url = LOCAL, wallet_name: WalletName = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Your organisation's templates."""
    with client(url, wallet_name, api_key) as market:
        show(market.templates(), as_json, ("id", "name", "revision", "created_at"))


@template.command("save")
def template_save(
    name: str,
    quantity: Annotated[int, typer.Option(help="VCU-slots in all", min=1)],
    limit: Annotated[str, typer.Option(help="most you pay per VCU-slot, all in, in tokens")],
    class_name: Annotated[str, typer.Option("--class", help="class of compute")] = "gpu-training",
    green: Annotated[str, typer.Option(help="least green share")] = "0%",
    start: Annotated[str, typer.Option("--from", help="start of the window in the day")] = "00:00",
    hours: Annotated[int, typer.Option(help="length of the window", min=1, max=168)] = 24,
    lanes: Annotated[int | None, typer.Option(help="VCU at the same time", min=1)] = None,
    duration: Annotated[int | None, typer.Option(help="slots that each lane runs", min=1)] = None,
    zone: Annotated[list[str] | None, typer.Option(help="allowed zone, repeated; none = all")] = None,
    replace: Annotated[str | None, typer.Option(help="id of the template to replace")] = None,
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Saves a bundle under a name, or replaces one."""
    with client(url, wallet_name) as market:
        slot = int(market.products()[0]["slot_seconds"])
        slots, price = hours * 3600 // slot, parse_money(limit)
        shape = bundle_terms(market, class_name, quantity, slots, lanes, duration, price, green, zone)
        spec = shape | {"window_start_seconds": parse_clock(start), "window_seconds": hours * 3600}
        made = (
            market.save_template(name, **spec)
            if replace is None
            else market.change_template(replace, name, **spec)
        )
        show(made, as_json, ("id", "name", "revision"))


@template.command("show")
def template_show(
    template_id: str,
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """What a template asks for."""
    with client(url, wallet_name, api_key) as market:
        found = market.request("GET", f"/templates/{template_id}")
        show(found, as_json) if as_json else show_fields(found["spec"], found["name"])


@template.command("delete")
def template_delete(
    template_id: str, url: Url = LOCAL, wallet_name: WalletName = None, as_json: AsJson = False
) -> None:
    """Deletes a template with its schedule; orders that were placed stay."""
    with client(url, wallet_name) as market:
        market.delete_template(template_id)
        show({"id": template_id, "state": "deleted"}, as_json)


@template.command("schedule")
def template_schedule(
    template_id: str,
    start: Annotated[str, typer.Option("--from", help="first day")] = "tomorrow-00:00",
    until: Annotated[str | None, typer.Option(help="last day; none = until further notice")] = None,
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    as_json: AsJson = False,
) -> None:
    """Schedules a template for every market day; `template due` says what is to be signed."""
    with client(url, wallet_name) as market:
        now = market_now(market)
        first = parse_time(start, now)
        last = parse_time(until, now) if until else None
        made = market.schedule_template(template_id, first_day=first, until=last)
        show(made, as_json, ("template_id", "maker", "first_day", "until"))


@template.command("unschedule")
def template_unschedule(
    template_id: str, url: Url = LOCAL, wallet_name: WalletName = None, as_json: AsJson = False
) -> None:
    """Ends a template's schedule."""
    with client(url, wallet_name) as market:
        market.unschedule_template(template_id)
        show({"template_id": template_id, "state": "not scheduled"}, as_json)


@template.command("order")
def template_order(
    template_id: str,
    days: Annotated[int, typer.Option(min=1, max=31)] = 1,
    url: Url = LOCAL,
    wallet_name: WalletName = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Signs and places a template for one market day or several in a row."""
    with client(url, wallet_name) as market:
        if not yes and not as_json and not typer.confirm(f"sign {days} order(s) of this template?"):
            raise typer.Exit(1)
        columns = ("order_hash", "state", "start", "deadline")
        show(market.order_template(template_id, days=days), as_json, columns)


@template.command("due")
def template_due(
    url: Url = LOCAL, wallet_name: WalletName = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """What your schedules have due, placed and missed."""
    with client(url, wallet_name, api_key) as market:
        columns = ("template_name", "start", "gate_closes_at", "state", "order_hash")
        show(market.scheduled_orders(), as_json, columns)
