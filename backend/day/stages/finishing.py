"""The end of a day: the audit, the figures of settlement, gas and time, and the report."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from backend.chain.abi import Event
from backend.chain.clients import Treasury
from backend.day.children import ChildFailed, bitwatt_command, child_environment
from backend.day.report import ReportInput, build_report, write_report
from backend.day.report_console import print_report
from backend.day.stages.clearing import Cleared
from backend.day.stages.context import Context
from backend.day.stages.faults import Fault
from backend.day.stages.settling import settlement_events, settlement_figures
from backend.day.stages.signing import SignedDay
from backend.market.domain import Book

_AUDIT_SECONDS = 900
STAGES = ("clear", "report", "meter", "settle", "pay", "claim", "trade")
"""Stages whose gas the report adds up; deployment, registration, attestation and deposits are left out."""


def finish(
    context: Context,
    signed: SignedDay,
    cleared: Cleared,
    planned: Sequence[Fault],
    traded: Mapping[str, int],
) -> dict[str, Any]:
    """Audits, writes report.json and report.html, marks the run finished, and returns the report."""
    state = context.state
    with context.narrator.stage("audit"), state.timed("audit"):
        verdict = audit(context)
    events = settlement_events(context.rpc, context.book["Settlement"], context.book.deploy_block)
    settlement = settlement_figures(events)
    treasury = Treasury(context.book, context.rpc).total()
    given = ReportInput(
        day=context.day,
        book=cleared.book,
        solutions=cleared.solutions,
        ids=signed.ids(),
        settlement={**settlement, **traded, "treasury_micro": treasury},
        credits_g=settlement.get("credits_g", 0),
        faults=[{**fault.as_dict(), "outcome": outcome_of(fault, events, cleared.book)} for fault in planned],
        audit=verdict_of(verdict),
        refused_orders=[str(problem) for problem in signed.refused],
        gas={stage: context.gas[stage] for stage in STAGES if stage in context.gas},
        seconds=seconds_of(state.seconds),
        addresses={name: contract.address for name, contract in sorted(context.book.contracts.items())},
    )
    report = build_report(given)
    write_report(context.out, given, report)
    state.finish()
    return report


def verdict_of(audited: Mapping[str, Any]) -> dict[str, Any]:
    """The audit for the report: every check's name and verdict; audit.json has the evidence."""
    checks = [{"name": check["name"], "verdict": check["verdict"]} for check in audited["checks"]]
    return {**{key: audited[key] for key in ("passed", "failed", "inconclusive")}, "checks": checks}


def seconds_of(spent: Mapping[str, float]) -> dict[str, float]:
    """Seconds by the report's names; `total` adds everything up, over all starts of the run."""
    named = {name: spent.get(name, 0.0) for name in ("clear", "chain", "oracle")}
    return {**named, "total": sum(spent.values())}


def outcome_of(fault: Fault, events: Sequence[Event], book: Book) -> str:
    """What a fault came to, read from the settlement's events."""
    slots = set(fault.slots)
    if fault.kind == "lying_node":
        return "outvoted: every report carries a quorum of the others"
    if fault.kind == "under_delivery":
        hit = [
            event.arguments
            for event in events
            if event.name == "SlotSettled" and event.arguments["slot"] in slots
        ]
        refund, penalty = (sum(each[key] for each in hit) for key in ("refundMicro", "penaltyMicro"))
        return f"{refund} micro refunded in these slots, {penalty} micro penalty to the buyers"
    rows = {row for row, offer in enumerate(book.power_offers) if offer.plant_id == fault.target}
    metered = [
        event.arguments
        for event in events
        if event.name == "PlantMetered"
        and event.arguments["slot"] in slots
        and event.arguments["powerOfferIndex"] in rows
    ]
    sold, delivered, penalty = (
        sum(each[key] for each in metered) for key in ("soldWh", "deliveredWh", "penaltyMicro")
    )
    return f"{delivered} of {sold} Wh delivered, {penalty} micro penalty to the grid account"


def audit(context: Context) -> dict[str, Any]:
    """What `bitwatt audit` says of the chain and the archive, as it would to anybody.

    Raises ChildFailed when it says nothing.
    """
    command = bitwatt_command("audit", "--rpc", context.rpc.url, "--archive", str(context.archive), "--json")
    log = context.children.log("audit")
    with log.open("wb") as errors:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            timeout=_AUDIT_SECONDS,
            check=False,
            env=child_environment(),
        )
    try:
        verdict: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise ChildFailed("audit", f"ended with code {done.returncode} and without a verdict", log) from None
    _write(context.out / "audit.json", done.stdout)
    return verdict


def _write(path: Path, content: bytes) -> None:
    scratch = path.with_suffix(".part")
    scratch.write_bytes(content)
    scratch.replace(path)


def show(report: Mapping[str, Any], out: Path, console: Console) -> None:
    """Prints the report's table and where the files are."""
    print_report(report, console)
    console.print(
        f"report: {out / 'report.html'}  figures: {out / 'report.json'}", markup=False, highlight=False
    )
