"""`bitwatt scenario`: the eight reference projects, with and without coordination."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from backend.vpp.errors import FlexError
from backend.vpp.scenario import PRESETS, run

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
ROWS = (
    ("cost_usd", "cost, USD", "{:,.0f}"), ("cost_usd_per_mwh", "USD per MWh", "{:.2f}"),
    ("location_kg", "carbon, location-based, kg", "{:,.0f}"),
    ("market_kg", "carbon, market-based, kg", "{:,.0f}"),
    ("curtailed_share", "renewables curtailed", "{:.1%}"),
    ("green_share", "green share, matched at 15 min", "{:.1%}"),
    ("response_share", "response to the event", "{:.1%}"), ("deadlines_kept", "moved work on time", "{:.1%}"),
    ("sei", "SEI (0..100)", "{:.1f}"),
)  # fmt: skip


@app.callback()
def main() -> None:
    """Reference projects on drawn days; the assumptions are printed with every run."""


@app.command("list")
def list_scenarios(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """The presets and what they assume."""
    if as_json:
        typer.echo(json.dumps({key: {"title": p.title, "basis": p.basis} for key, p in PRESETS.items()}))
        return
    for key, p in PRESETS.items():
        typer.echo(f"{key:20} {p.title}: {p.basis}")


@app.command("run")
def run_scenario(
    key: Annotated[str, typer.Argument(help="a preset of `scenario list`, or `all`")],
    seed: Annotated[int, typer.Option(help="of the drawn day")] = 1,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Run a preset's day with and without coordination."""
    try:
        results = [run(one, seed) for one in (PRESETS if key == "all" else [key])]
    except FlexError as wrong:
        typer.echo(str(wrong), err=True)
        raise typer.Exit(2) from wrong
    if as_json:
        typer.echo(json.dumps(results if key == "all" else results[0], sort_keys=True))
        return
    for result in results:
        _print(result)


def _print(result: dict[str, Any]) -> None:
    typer.echo(f"\n{result['title']} (drawn day, seed {result['seed']})")
    shown = {k: v for k, v in result["assumptions"].items() if k not in ("key", "title")}
    typer.echo("  assumes: " + ", ".join(f"{name} {value}" for name, value in shown.items()))
    typer.echo(f"  {'':32} {'without':>14} {'with':>14}")
    for name, label, form in ROWS:
        before, after = (form.format(result[case][name]) for case in ("without", "with"))
        typer.echo(f"  {label:32} {before:>14} {after:>14}")
