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
    out: Annotated[Path, typer.Option(help="folder for the archive and address book")] = Path("runs/vpp"),
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Run a day with simulated members: bids, zonal clearing, 20 events, telemetry, settlement on a local
    chain, audit. Exit code 1 where the audit finds something."""
    from audit.cli import audit
    from audit.output import summary
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
        _, checks = audit(node.url, out / "archive")
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
        "audit": summary(checks),
    }  # fmt: skip
    typer.echo(json.dumps(figures, sort_keys=True) if as_json else json.dumps(figures, indent=2))
    if any(item.result.verdict == "fail" for item in checks) or chain.paid_micro != chain.members_micro:
        raise typer.Exit(1)


@app.command("gateway")
def gateway(
    url: Annotated[str, typer.Option(help="the service, such as https://market.example.org")],
    resource: Annotated[str, typer.Option(help="id of the compute site's resource")],
    driver: Annotated[str, typer.Option(help="kubernetes or slurm")],
    place: Annotated[str, typer.Option(help="namespace (kubernetes) or partition (slurm)")],
    every: Annotated[float, typer.Option(min=0.2, help="seconds between looks")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per set-point")] = False,
) -> None:
    """Answer a compute site's events and follow them with its jobs until interrupted; the API key (flex:read,
    flex:write) comes from BITWATT_TOKEN."""
    import httpx

    from backend.vpp.gateway import Gateway
    from backend.vpp.jobs import JobControl, JobError

    token = os.environ.get("BITWATT_TOKEN")
    if not token or driver not in ("kubernetes", "slurm"):
        typer.echo("set BITWATT_TOKEN to an API key, and --driver to kubernetes or slurm", err=True)
        raise typer.Exit(2)
    control: JobControl
    if driver == "kubernetes":
        from kubernetes import client, config

        from backend.vpp.jobs.kubernetes import KubernetesJobs

        config.load_config()  # type: ignore[no-untyped-call]
        control = KubernetesJobs(client.ApiClient(), place)
    else:
        from backend.vpp.jobs.slurm import SlurmJobs

        control = SlurmJobs(place)
    with httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}) as http:

        def ask(method: str, path: str, body: dict[str, object] | None) -> dict[str, object]:
            answer = http.request(method, path, json=body)
            answer.raise_for_status()
            found: dict[str, object] = answer.json()
            return found

        site = Gateway(ask, control, resource)
        while True:
            try:
                reached = site.step(int(time.time()))
                if reached is not None:
                    fields = {
                        "asked_w": reached.asked_w,
                        "after_w": reached.after_w,
                        "actions": reached.actions,
                    }
                    typer.echo(
                        json.dumps(fields) if as_json else f"{reached.asked_w} W -> {reached.after_w} W"
                    )
            except (httpx.HTTPError, JobError) as error:
                typer.echo(f"{type(error).__name__}: {error}", err=True)
            except KeyboardInterrupt:
                return
            time.sleep(every)
