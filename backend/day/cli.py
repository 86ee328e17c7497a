"""`bitwatt market-day` and `bitwatt demo`: one driver, on given files or on the embedded day."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from backend.chain.errors import ChainError
from backend.day.errors import DataFileError
from backend.day.types import DayInput
from backend.market.errors import MarketError

market_day = typer.Typer(add_completion=False, rich_markup_mode=None)
demo = typer.Typer(add_completion=False, rich_markup_mode=None)

DEMO_ORDERS = 400
Json = Annotated[bool, typer.Option("--json", help="print report.json on stdout, and nothing else there")]
Rpc = Annotated[str | None, typer.Option(help="a development chain (31337); none: an embedded Anvil")]
Seed = Annotated[int, typer.Option(help="draws keys, deadlines, faults", min=0)]


Fresh = Annotated[bool, typer.Option("--fresh", help="drop what --out holds and start anew")]


def _file(help_text: str) -> Any:
    return typer.Option(help=help_text, exists=True, dir_okay=False, readable=True)


@market_day.command()
def market_day_command(
    day: Annotated[datetime, typer.Option("--date", formats=["%Y-%m-%d"], help="local day of the jobs")],
    jobs: Annotated[Path, _file("jobs: Philly or openb")],
    generation: Annotated[Path, _file("generation: RTS-GMLC, Luxembourg, simbench or PV")],
    carbon: Annotated[Path, _file("grid carbon: EIA, Electricity Maps or Chinese factors")],
    price: Annotated[Path, _file("prices: AEMO, DE-LU or RTS")],
    out: Annotated[Path, typer.Option(help="folder of the run", file_okay=False)],
    supply_date: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="local day of generation, price and carbon"),
    ] = None,
    rpc: Rpc = None,
    orders: Annotated[int | None, typer.Option(help="take at most this many orders", min=1)] = None,
    seed: Seed = 0,
    fresh: Fresh = False,
    json_output: Json = False,
) -> None:
    """Run a whole market day on given files; repeat the command to finish a run that was killed."""
    files = {"jobs": jobs, "generation": generation, "carbon": carbon, "price": price}
    on, supply = day.date(), supply_date.date() if supply_date else None

    def load() -> DayInput:
        from backend.day.join import load_day
        from backend.day.params import DayParameters

        return load_day(
            **files, date=on, supply_date=supply, params=DayParameters(), seed=seed, orders=orders
        )

    parameters = {
        "command": "market-day",
        "date": on.isoformat(),
        "supply_date": supply.isoformat() if supply else None,
        "orders": orders,
        **{name: f"sha256:{_digest(path)}" for name, path in files.items()},
    }
    _run(out, rpc, seed, parameters, load, fresh, json_output)


@demo.command()
def demo_command(
    out: Annotated[Path, typer.Option(help="folder of the run", file_okay=False)] = Path("runs/demo"),
    rpc: Rpc = None,
    orders: Annotated[int, typer.Option(help="how many orders", min=1)] = DEMO_ORDERS,
    seed: Seed = 0,
    fresh: Fresh = False,
    json_output: Json = False,
) -> None:
    """Run the embedded market day; needs no files and no network."""

    def load() -> DayInput:
        from backend.day.embedded import embedded_day

        return embedded_day(seed=seed, orders=orders)

    _run(out, rpc, seed, {"command": "demo", "orders": orders}, load, fresh, json_output)


def _run(
    out: Path,
    rpc: str | None,
    seed: int,
    parameters: dict[str, Any],
    load: Callable[[], DayInput],
    fresh: bool,
    json_output: bool,
) -> None:
    from backend.day.driver import Interrupted, Options, run_day
    from backend.day.progress import Narrator
    from backend.day.run_state import DriverError
    from backend.day.stages.finishing import show
    from oracle.archive import ArchiveError
    from oracle.wire.errors import WireError

    narrator = Narrator()
    options = Options(out, seed, rpc, {**parameters, "seed": seed, "rpc": rpc}, load, fresh)
    known = (ChainError, DataFileError, MarketError, DriverError, ArchiveError, WireError, OSError)
    try:
        report = run_day(options, narrator)
    except known as error:
        narrator.say(f"bitwatt: {error}")
        raise typer.Exit(130 if isinstance(error, Interrupted) else 1) from None
    if json_output:
        typer.echo((out / "report.json").read_text(encoding="utf-8"), nl=False)
    else:
        show(report, out, Console())
    if report["audit"]["failed"]:
        raise typer.Exit(2)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
