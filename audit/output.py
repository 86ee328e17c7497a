"""How an audit is shown: a table for people, an object for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.facts import Facts
from audit.gather import Window
from audit.verdict import Checked

COLOURS = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}
SHOWN = 8


def summary(checks: Sequence[Checked]) -> dict[str, Any]:
    """{"passed", "failed", "inconclusive", "checks": [...]} with every finding."""
    verdicts = [item.result.verdict for item in checks]
    return {
        "passed": verdicts.count("pass"),
        "failed": verdicts.count("fail"),
        "inconclusive": verdicts.count("inconclusive"),
        "checks": [
            {
                "name": item.name,
                "reference": item.reference,
                "verdict": item.result.verdict,
                "checked": item.result.checked,
                "findings": [asdict(finding) for finding in (*item.result.findings, *item.result.doubts)],
            }
            for item in checks
        ],
    }


def full_report(facts: Facts, window: Window, checks: Sequence[Checked]) -> dict[str, Any]:
    """The summary with what it is about: chain, head block, audited time and addresses.

    It holds no clock of the auditor's own, so that the same audit gives the same report."""
    return {
        "chain_id": facts.chain_id,
        "head": {"number": facts.head.number, "timestamp": facts.head.timestamp},
        "window": {"start": window.start, "end": window.end},
        "addresses": dict(sorted(facts.addresses.items())),
        **summary(checks),
    }


def show(checks: Sequence[Checked], console: Console) -> None:
    """Prints one line per check, then what was found wrong or undecided, then the count."""
    table = Table(box=None, pad_edge=False)
    for title in ("verdict", "check", "checked", "reference"):
        table.add_column(
            title, justify="right" if title == "checked" else "left", no_wrap=title != "reference"
        )
    for item in checks:
        verdict = item.result.verdict
        mark = Text(verdict, style=COLOURS[verdict])
        table.add_row(mark, item.name, f"{item.result.checked:,}", Text(item.reference, style="dim"))
    console.print(table)
    for item in checks:
        _show_findings(item, console)
    counts = summary(checks)
    console.print(
        f"\n{counts['passed']} passed, {counts['failed']} failed, {counts['inconclusive']} inconclusive",
        style=COLOURS["fail" if counts["failed"] else "pass"],
    )


def _show_findings(item: Checked, console: Console) -> None:
    every = (*item.result.findings, *item.result.doubts)
    if not every:
        return
    console.print(f"\n{item.name}", style=COLOURS[item.result.verdict])
    for finding in every[:SHOWN]:
        console.print(Text(f"  {finding.subject}"))
        console.print(Text(f"    expected {finding.expected}"))
        console.print(Text(f"    found    {finding.found}"))
    if len(every) > SHOWN:
        console.print(f"  ... {len(every) - SHOWN} more; --json shows all")


def show_faults(found: dict[str, Any], console: Console) -> None:
    """Prints a line for every fault with the check that caught it, then the count."""
    table = Table(box=None, pad_edge=False)
    for title in ("", "fault", "caught by", "by"):
        table.add_column(title, no_wrap=title != "fault")
    for row in found["rows"]:
        good = row["caught"] and row["exact"]
        mark = Text("ok" if good else "MISSED" if not row["caught"] else "INEXACT")
        mark.stylize(COLOURS["pass" if good else "fail"])
        table.add_row(mark, Text(row["fault"]), row["check"], Text(row["by"], style="dim"))
    console.print(table)
    for alarm in found["alarms"]:
        console.print(f"false alarm on a day with {alarm['day']}: {', '.join(alarm['failing'])}", style="red")
    figures = found["figures"]
    console.print(
        f"\n{figures['caught']} of {figures['faults']} faults caught, {figures['exact']} of them exactly, "
        f"{figures['false_alarms']} false alarms on {figures['clean_days']} clean days"
    )


def show_statement(found: dict[str, Any], console: Console) -> None:
    """Prints a carbon statement with units people read: kWh, kg, per cent."""
    console.print(
        f"period {found['start']} to {found['end']}, {found['account'] or 'all buyers'}", highlight=False
    )
    for text, name, per, unit in (
        ("energy used", "load_wh", 1000, "kWh"),
        ("green matched in its slot", "matched_wh", 1000, "kWh"),
        ("carbon-free share (F9)", "cfe_ppm", 10_000, "%"),
        ("emissions by location (F10)", "location_mg", 1_000_000, "kg"),
        ("emissions by market (F10)", "market_mg", 1_000_000, "kg"),
        ("avoided (F11)", "avoided_mg", 1_000_000, "kg"),
    ):
        console.print(f"{text:<30}{found[name] / per:>14,.1f} {unit}", highlight=False)
    for name, value in found.get("synergy", {}).items():
        console.print(f"{name:<30}{value / 10_000:>14.1f}", highlight=False)
