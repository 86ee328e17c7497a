"""`bitwatt bench`: the clearing engine beside its peers, and mechanisms beside each other, with figures as
JSON."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import Annotated

import typer

from backend.market.check import check
from backend.market.clearing import EffortName, clear
from backend.market.errors import MarketError
from backend.market.instances import plausible
from backend.market.metrics import Metrics, metrics

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

PEER_ORDERS = 100  # what HiGHS can do in a bearable time; it needs minutes at 1,000
Report = dict[str, object]


@app.command("clearing")
def clearing(
    orders: Annotated[int, typer.Option(min=1, help="orders of the generated book")] = 1000,
    effort: Annotated[str, typer.Option(help="quick or fine")] = "quick",
    slots: Annotated[int, typer.Option(min=1)] = 96,
    seed: Annotated[int, typer.Option()] = 1,
    time_limit: Annotated[float | None, typer.Option(help="seconds; the best by then is certified")] = None,
    target_gap: Annotated[
        float | None, typer.Option(help="clear again with fine effort above this certified gap")
    ] = None,
    peer_orders: Annotated[
        int, typer.Option(help="orders of the book HiGHS solves; 0 leaves it out")
    ] = PEER_ORDERS,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Clear a generated book of five zones and four classes; time, memory, certified gap by cause, and a
    peer."""
    if effort not in ("quick", "fine"):
        raise typer.BadParameter("must be quick or fine", param_hint="--effort")
    started = time.perf_counter()
    clear(plausible(30, slots=16, sites=20, plants=5))  # compiles, or loads what is compiled
    compiled = time.perf_counter() - started
    figures, causes = _measure(orders, effort, slots, seed, time_limit, target_gap)
    figures["compile_seconds"] = round(compiled, 3)
    report: Report = {"figures": figures, "gap_by_cause": causes, "peers": _peers(peer_orders, slots, seed)}
    _print(report, as_json)


@app.command("outcome")
def outcome(
    book: Annotated[
        list[Path] | None, typer.Option("--book", exists=True, help="books to compare on")
    ] = None,
    orders: Annotated[int, typer.Option(help="orders of the generated book where no book is given")] = 2000,
    data: Annotated[
        Path | None,
        typer.Option("--data", exists=True, file_okay=False, help="folder of trace files: clears its days"),
    ] = None,
    samples: Annotated[int, typer.Option(help="sampled misreports of limit and window per book")] = 0,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Compare joint with fcfs, sequential and greedy on the same books, and what misreporting would gain."""
    from backend.market.files import read_book
    from backend.market.honesty import misreports

    try:
        books = {str(path): read_book(path) for path in book or ()}
        if data is not None:
            from backend.day.trace_days import trace_books

            books |= trace_books(data)
        books = books or {"generated": plausible(orders)}
    except MarketError as wrong:
        typer.echo(str(wrong), err=True)
        raise typer.Exit(2) from wrong
    report: Report = {}
    for name, one in books.items():
        figures: dict[str, Metrics] = {}
        for mechanism in ("joint", "fcfs", "sequential", "greedy"):
            figures[mechanism] = metrics(one, clear(one, mechanism))
        report[name] = {"mechanisms": figures, "misreports": misreports(one, samples) if samples else []}
    _print(report, as_json)


def _measure(
    orders: int,
    effort: EffortName | str,
    slots: int,
    seed: int,
    time_limit: float | None,
    target_gap: float | None,
) -> tuple[Metrics, Metrics]:
    book = plausible(orders, slots=slots, seed=seed)
    started = time.perf_counter()
    solution = clear(
        book,
        "joint",
        "fine" if effort == "fine" else "quick",
        time_limit=time_limit,
        target_gap=target_gap,
    )
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    verdict = check(book, solution)
    check_seconds = time.perf_counter() - started
    certificate = solution.certificate
    assert certificate is not None
    bound = max(certificate.bound_milli, 1)
    figures: Metrics = {
        "orders": orders,
        "slots": slots,
        "effort": effort,
        "seconds": round(seconds, 3),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "gap": certificate.gap,
        "check_seconds": round(check_seconds, 3),
        "check_ok": int(verdict.ok),
        "fills": len(solution.fills),
        "welfare": certificate.welfare_milli // 1000,
    }
    causes: Metrics = {
        "unfilled_surplus": certificate.unfilled_milli / bound,
        "regret": certificate.regret_milli / bound,
        "unsold_rent": certificate.unsold_milli / bound,
        "unused_power": certificate.unused_power_milli / bound,
    }
    return figures, causes


def _peers(orders: int, slots: int, seed: int) -> Report:
    """HiGHS on a book it can do, with what joint reaches on the same book."""
    if orders <= 0:
        return {}
    from backend.market.lp import optimum

    book = plausible(orders, slots=slots, seed=seed)
    best = optimum(book)
    started = time.perf_counter()
    ours = clear(book).certificate
    seconds = time.perf_counter() - started
    assert ours is not None
    return {
        "highs": {
            "orders": orders,
            "seconds": round(best.seconds, 3),
            "welfare": int(best.welfare_milli) // 1000,
        },
        "joint_same_book": {
            "orders": orders,
            "seconds": round(seconds, 3),
            "welfare": ours.welfare_milli // 1000,
            "gap": ours.gap,
            "loss_to_highs": 1 - ours.welfare_milli / best.welfare_milli if best.welfare_milli > 0 else 0.0,
        },
    }


def _print(report: Report, as_json: bool) -> None:
    typer.echo(
        json.dumps(report, sort_keys=True) if as_json else json.dumps(report, indent=2, sort_keys=True)
    )
