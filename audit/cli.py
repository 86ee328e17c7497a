"""`bitwatt audit`: re-derives everything from chain and archive and says what does not hold."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from audit.archive import Archive
from audit.chain import BookError, Chain, read_book
from audit.facts import Facts
from audit.gather import Gatherer, Progress, Window
from audit.memo import Memo, MemoError
from audit.output import full_report, show, show_faults, show_statement, summary
from audit.rpc import Rpc, RpcError, RpcUnreachable
from audit.run import CHECKS, run
from audit.signing import (
    Identity,
    KeyFileError,
    ReportForged,
    create_identity,
    fingerprint,
    load_identity,
    sign_report,
    verify_report,
    write_identity,
)
from audit.statement import RESIDUAL_G_PER_KWH
from audit.statement import statement as statement_of
from audit.verdict import Check, Checked

app = typer.Typer(add_completion=False, rich_markup_mode=None)
UNUSABLE = 2


def audit(
    rpc_url: str,
    archive: Path,
    book: Path | None = None,
    window: Window | None = None,
    quiet: bool = True,
    state: Path | None = None,
    checks: Sequence[Check] = CHECKS,
) -> tuple[Facts, list[Checked]]:
    """What was read, and every check's verdict (or those of `checks`).

    `state` is the folder that remembers signatures verified before. Raises BookError, MemoError, RpcError or
    RpcUnreachable where nothing can be read at all."""
    memo = Memo(state)
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
            facts = Gatherer(chain, Archive(archive), window or Window(), progress, memo).facts()
        finally:
            rpc.close()
        bar.reset(task, description="checking", total=len(checks))

        def begin(name: str) -> None:
            bar.update(task, description=f"checking {name}", advance=1)

        return facts, run(facts, checks, begin)


@app.callback(invoke_without_command=True)
def command(
    context: typer.Context,
    rpc: Annotated[str | None, typer.Option(help="JSON-RPC endpoint of the chain")] = None,
    archive: Annotated[
        Path | None, typer.Option(help="folder of archived bundles", exists=True, file_okay=False)
    ] = None,
    book: Annotated[
        Path | None, typer.Option(help="address book; default: addresses.json in the archive")
    ] = None,
    start: Annotated[int | None, typer.Option("--from", help="unix second the audited time begins")] = None,
    end: Annotated[int | None, typer.Option("--to", help="unix second the audited time ends")] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="folder that remembers verified signatures: a killed or later audit goes on there"),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="write the signed report: NAME.json or NAME.pdf; needs --key")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="the auditor's key (`bitwatt audit key --out FILE`)")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Re-derive everything from chain and archive; exit 1 if any check fails, 2 if nothing can be read."""
    if context.invoked_subcommand is not None:
        return
    if rpc is None or archive is None:
        raise typer.BadParameter("give --rpc URL and --archive DIR", context)
    identity = _identity(report, key, as_json)
    window = Window(start, end)
    try:
        facts, checks = audit(rpc, archive, book, window, as_json or not sys.stderr.isatty(), state)
    except (BookError, MemoError, RpcError, RpcUnreachable) as error:
        _refuse(str(error), as_json)
    if report is not None and identity is not None:
        write_report(report, full_report(facts, window, checks), identity)
    if as_json:
        print(json.dumps(summary(checks), indent=1))
    else:
        show(checks, Console())
    if any(item.result.verdict == "fail" for item in checks):
        raise typer.Exit(1)


def _refuse(text: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": text}))
    else:
        Console(stderr=True).print(f"audit: {text}", style="red", markup=False)
    raise typer.Exit(UNUSABLE) from None


def _identity(report: Path | None, key: Path | None, as_json: bool) -> Identity | None:
    """The key to sign with, refused before the audit runs for minutes."""
    if report is None:
        return None
    if report.suffix not in (".json", ".pdf"):
        _refuse(f"--report {report}: the name must end in .json or .pdf", as_json)
    if key is None:
        _refuse("--report needs --key; make one with `bitwatt audit key --out FILE`", as_json)
    try:
        return load_identity(key)  # type: ignore[arg-type]
    except KeyFileError as error:
        _refuse(str(error), as_json)
    return None


def write_report(path: Path, report: dict[str, Any], identity: Identity) -> None:
    """Writes the signed report as JSON or PDF, whichever the name says."""
    if path.suffix == ".pdf":
        from audit import pdf  # slow to import, and seldom asked for

        path.write_bytes(pdf.sign(pdf.draw(report), identity))
    else:
        path.write_text(json.dumps(sign_report(report, identity), indent=1))


@app.command("key")
def make_key(
    out: Annotated[Path, typer.Option(help="file to write; must not exist")],
    name: Annotated[str, typer.Option(help="name on the certificate")] = "BitWatt auditor",
) -> None:
    """Make the auditor's signing key and its certificate, in one PEM file."""
    identity = create_identity(name)
    try:
        write_identity(identity, out)
    except KeyFileError as error:
        _refuse(str(error), False)
    print(f"{out}: certificate fingerprint {fingerprint(identity.certificate)}")


@app.command("verify")
def verify_file(
    file: Annotated[Path, typer.Argument(help="signed report, .json or .pdf", exists=True, dir_okay=False)],
    signer: Annotated[str | None, typer.Option(help="fingerprint the signer must have")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Verify a signed audit report; exit 1 if it was changed or is not of the named signer."""
    content = file.read_bytes()
    problem, found = "", ""
    try:
        if content.startswith(b"%PDF"):
            from audit import pdf

            found = pdf.verify(content)
        else:
            found = verify_report(content)[1]
    except ReportForged as error:
        problem = str(error)
    if not problem and signer is not None and signer.lower() != found:
        problem = f"signed by {found}, not by {signer.lower()}"
    if as_json:
        print(json.dumps({"valid": not problem, "signer": found or None, "problem": problem or None}))
    else:
        Console().print(f"{file}: {problem or f'signed by {found}, unchanged'}", markup=False)
    if problem:
        raise typer.Exit(1)


@app.command("pack")
def open_evidence_pack(
    file: Annotated[
        Path, typer.Argument(help="file of `bitwatt evidence export`", exists=True, dir_okay=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Check the evidence of one agreement offline; exit 1 if anything in it does not hold."""
    from oracle.evidence.pack import open_pack, verdict_text
    from oracle.wire.errors import WireError
    from oracle.wire.pack import parse_pack

    try:
        verdict = open_pack(parse_pack(file.read_bytes()))
    except (WireError, OSError) as error:
        _refuse(f"{file}: {error}", as_json)
    print(json.dumps(verdict, indent=1) if as_json else verdict_text(verdict))
    if verdict["problems"]:
        raise typer.Exit(1)


@app.command("statement")
def statement(
    rpc: Annotated[str, typer.Option(help="JSON-RPC endpoint of the chain")],
    archive: Annotated[Path, typer.Option(help="folder of archived bundles", exists=True, file_okay=False)],
    start: Annotated[int, typer.Option("--from", help="unix second the period begins")] = 0,
    end: Annotated[
        int | None, typer.Option("--to", help="unix second it ends; default: the head block")
    ] = None,
    account: Annotated[str | None, typer.Option(help="one buyer's address; default: all, with F14")] = None,
    residual: Annotated[
        int, typer.Option(help="g/kWh of power without a certificate (residual mix)", min=0)
    ] = RESIDUAL_G_PER_KWH,
    book: Annotated[Path | None, typer.Option(help="address book; default: in the archive")] = None,
    publish: Annotated[
        bool, typer.Option(help="write it to the archive, where every audit checks it")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Carbon of a period by location and by market, with the synergy index, re-derived from the chain."""
    try:
        facts, _ = audit(rpc, archive, book, quiet=as_json or not sys.stderr.isatty(), checks=())
    except (BookError, RpcError, RpcUnreachable) as error:
        _refuse(str(error), as_json)
    stop = facts.head.timestamp if end is None else end
    if stop <= start:
        _refuse(f"--to {stop} is not after --from {start}", as_json)
    found = statement_of(facts, start, stop, account.lower() if account else None, residual)
    content = json.dumps(found, indent=1).encode()
    if publish:
        path = archive / "statement" / f"{hashlib.sha256(content).hexdigest()}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        Console(stderr=True).print(f"published as {path}", markup=False)
    if as_json:
        print(content.decode())
    else:
        show_statement(found, Console())


@app.command("faults")
def faults(
    seed: Annotated[int, typer.Option(help="draws the clean days", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Hold the auditor to its fault library: every corruption caught, no false alarm; exit 1 otherwise."""
    from audit.faults import NoLibrary, judge, load_library

    try:
        library = load_library()
    except NoLibrary as error:
        _refuse(str(error), as_json)
    console = Console(stderr=True)
    with Bar(console=console, disable=as_json or not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("corrupting", total=len(library.FAULTS))
        found = judge(library, seed, lambda: bar.advance(task))
    figures = found["figures"]
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        show_faults(found, Console())
    if not (figures["faults"] == figures["caught"] == figures["exact"] and not figures["false_alarms"]):
        raise typer.Exit(1)
