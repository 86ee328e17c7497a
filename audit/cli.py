"""`bitwatt audit`: re-derives everything from chain and archive and says what does not hold."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from audit.archive import Archive
from audit.chain import BookError, Chain, read_book
from audit.gather import Gatherer, Progress, Window
from audit.output import show, summary
from audit.rpc import Rpc, RpcError, RpcUnreachable
from audit.run import CHECKS, run
from audit.verdict import Checked

app = typer.Typer(add_completion=False, rich_markup_mode=None)
UNUSABLE = 2


def audit(
    rpc_url: str, archive: Path, book: Path | None = None, window: Window | None = None, quiet: bool = True
) -> list[Checked]:
    """Runs every check; raises BookError, RpcError or RpcUnreachable where nothing can be read at all."""
    path = book or archive / "addresses.json"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BookError(f"{path}: {error.strerror}; give --book") from error
    addresses = read_book(content, str(path))
    rpc = Rpc(rpc_url)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        progress = Progress(
            lambda text, total: bar.reset(task, description=text, total=total),
            lambda number: bar.advance(task, number),
        )
        try:
            chain = Chain(rpc, addresses)
            facts = Gatherer(chain, Archive(archive), window or Window(), progress).facts()
        finally:
            rpc.close()
        bar.reset(task, description="checking", total=len(CHECKS))

        def begin(name: str) -> None:
            bar.update(task, description=f"checking {name}", advance=1)

        return run(facts, CHECKS, begin)


@app.command()
def command(
    rpc: Annotated[str, typer.Option(help="JSON-RPC endpoint of the chain")],
    archive: Annotated[Path, typer.Option(help="folder of archived bundles", exists=True, file_okay=False)],
    book: Annotated[
        Path | None, typer.Option(help="address book; default: addresses.json in the archive")
    ] = None,
    start: Annotated[int | None, typer.Option("--from", help="unix second the audited time begins")] = None,
    end: Annotated[int | None, typer.Option("--to", help="unix second the audited time ends")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Re-derive everything from chain and archive; exit 1 if any check fails, 2 if nothing can be read."""
    quiet = as_json or not sys.stderr.isatty()
    try:
        checks = audit(rpc, archive, book, Window(start, end), quiet)
    except (BookError, RpcError, RpcUnreachable) as error:
        if as_json:
            print(json.dumps({"error": str(error)}))
        else:
            Console(stderr=True).print(f"audit: {error}", style="red", markup=False)
        raise typer.Exit(UNUSABLE) from None
    if as_json:
        print(json.dumps(summary(checks), indent=1))
    else:
        show(checks, Console())
    if any(item.result.verdict == "fail" for item in checks):
        raise typer.Exit(1)
