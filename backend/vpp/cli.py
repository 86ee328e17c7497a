"""`bitwatt vpp`: a market day of virtual power plants on a development chain, and its audit."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def main() -> None:
    """Virtual power plants: bids, clearing, dispatch, settlement, audit."""


@app.command("day")
def day(
    data: Annotated[Path | None, typer.Option(help="folder of published series; none = a drawn day")] = None,
    date: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="delivery day")] = None,
    resources: Annotated[int, typer.Option(min=50, help="resources over five zones")] = 10_000,
    seed: Annotated[int, typer.Option()] = 1,
    out: Annotated[Path, typer.Option(help="folder for the address book and the auditor's bundle")] = Path(
        "runs/vpp"
    ),
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Run a day with simulated members: bids, zonal clearing, 20 events, telemetry, settlement on a local
    chain, audit. Exit code 1 where the audit finds something."""
    from audit.flex import audit_flex
    from audit.rpc import Rpc as AuditRpc
    from backend.chain.anvil import start_anvil
    from backend.chain.rpc import Rpc
    from backend.vpp.calendar import trading_day
    from backend.vpp.data import LU, drawn_day, read_day
    from backend.vpp.day import default_date, run
    from backend.vpp.day_chain import settle_on_chain
    from backend.vpp.errors import FlexError

    began = time.monotonic()

    def say(text: str) -> None:
        if not as_json:
            typer.echo(f"{time.monotonic() - began:7.1f} s  {text}")

    when = date.date() if date else default_date()
    out.mkdir(parents=True, exist_ok=True)
    try:
        series = read_day(data, when) if data else drawn_day(when)
    except FlexError as wrong:
        typer.echo(str(wrong), err=True)
        raise typer.Exit(2) from wrong
    say(f"series: {series.source}")
    result = run(series, trading_day(when, LU), resources, seed, say)
    node = start_anvil(out / "anvil.log", series.start - 43_200)
    try:
        with Rpc(node.url) as rpc:
            chain = settle_on_chain(result, rpc, out, say)
        auditor = AuditRpc(node.url)
        findings = audit_flex(auditor, out / "book.json", out)
        auditor.close()
    finally:
        os.kill(node.pid, signal.SIGKILL)
        os.waitpid(node.pid, 0)
    events = {(z, w) for a in result.awards for z, w in [(a.zone, a.slot // 4)]}
    figures = {
        "source": series.source, "resources": resources, "events": len(events), "awards": len(result.awards),
        "dispatches": len(result.dispatches), "states": dict(Counter(d.state for d in result.dispatches)),
        "declared_wh": sum(a.declared for a in result.awards),
        "delivered_wh": sum(a.settled.total.delivered_wh for a in result.awards),
        "paid_micro": chain.paid_micro, "member_payments_micro": chain.members_micro,
        "penalty_micro": chain.penalty_micro, "accounts_paid": chain.members_paid,
        "gas_settle_per_award": chain.gas_settle_per_award,
        "gas_claim_per_member": chain.gas_claim_per_member,
        "seconds": round(time.monotonic() - began, 1),
        "audit": {f.check: {"verdict": f.verdict, "count": f.count, "detail": f.detail} for f in findings},
    }  # fmt: skip
    typer.echo(json.dumps(figures, sort_keys=True) if as_json else json.dumps(figures, indent=2))
    if any(f.verdict != "pass" for f in findings) or chain.paid_micro != chain.members_micro:
        raise typer.Exit(1)
