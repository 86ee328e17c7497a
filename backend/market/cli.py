"""`bitwatt clear`: clear a book of orders, or check a solution that somebody else found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from backend.market.check import check as check_solution
from backend.market.clearing import EffortName, clear
from backend.market.codec import digest, solution_to_json
from backend.market.errors import MarketError
from backend.market.files import read_book, read_solution
from backend.market.metrics import metrics

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


@app.command("run")
def run(
    book: Annotated[
        Path, typer.Option("--book", exists=True, help="book: .json, or a folder of Parquet tables")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="where to write the solution")] = None,
    mechanism: Annotated[str, typer.Option(help="joint, lp, fcfs, sequential or greedy")] = "joint",
    effort: Annotated[str, typer.Option(help="quick or fine")] = "quick",
    time_limit: Annotated[
        float | None, typer.Option(help="seconds; the best by then is certified and says its gap")
    ] = None,
    target_gap: Annotated[
        float | None, typer.Option(help="clear again with fine effort above this certified gap, e.g. 0.01")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="spread the work on Ray: local, or the address of a cluster")
    ] = None,
    blocks: Annotated[int, typer.Option(min=1, help="blocks (and local workers) to spread over")] = 2,
    as_json: AsJson = False,
) -> None:
    """Clear a book and write the solution."""
    try:
        given = read_book(book)
        solution = clear(
            given,
            mechanism,
            _effort(effort),
            time_limit=time_limit,
            target_gap=target_gap,
            ray=ray,
            blocks=blocks,
        )
    except MarketError as wrong:
        raise _stop(wrong, as_json) from wrong
    data = solution_to_json(solution)
    if out:
        out.write_bytes(data)
    figures = metrics(given, solution) | {"solution_sha256": digest(data)}
    if as_json:
        typer.echo(json.dumps(figures, sort_keys=True))
        return
    for name, value in figures.items():
        typer.echo(f"{name:28} {value}")


@app.command("check")
def check(
    book: Annotated[
        Path, typer.Option("--book", exists=True, help="book: .json, or a folder of Parquet tables")
    ],
    solution: Annotated[Path, typer.Option("--solution", exists=True, dir_okay=False, help="solution .json")],
    as_json: AsJson = False,
) -> None:
    """Check a solution against its book: integers only, no engine. Exit code 1 where a rule is broken."""
    try:
        verdict = check_solution(read_book(book), read_solution(solution))
    except MarketError as wrong:
        raise _stop(wrong, as_json) from wrong
    found = [{"rule": v.rule, "subject": v.subject, "detail": v.detail} for v in verdict.violations]
    certificate = verdict.certificate
    if as_json:
        shown = {name: getattr(certificate, name) for name in certificate.__slots__} if certificate else None
        typer.echo(json.dumps({"ok": verdict.ok, "violations": found, "certificate": shown}, sort_keys=True))
    else:
        for v in verdict.violations:
            typer.echo(f"{v.rule}: {v.subject}: {v.detail}")
        if certificate:
            typer.echo(f"welfare {certificate.welfare_milli}, bound {certificate.bound_milli} milli-micro, "
                       f"gap {100 * certificate.gap:.3f} %")  # fmt: skip
        typer.echo("ok" if verdict.ok else "NOT ok")
    raise typer.Exit(0 if verdict.ok else 1)


def _effort(name: str) -> EffortName:
    return name  # type: ignore[return-value]


def _stop(wrong: MarketError, as_json: bool) -> typer.Exit:
    typer.echo(
        json.dumps({"error": type(wrong).__name__, "detail": str(wrong)}) if as_json else str(wrong), err=True
    )
    return typer.Exit(2)
