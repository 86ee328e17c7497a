"""The report as a table on the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from backend.day.report_html import comparison, number


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """Prints the comparison, then what the chain, the oracle and the audit said."""
    compared = comparison(report)
    day = report["day"]
    table = Table(title=f"Market day {day['date']} · {report['orders']} orders · {day['slots']} slots")
    table.add_column("")
    for name in compared["names"]:
        table.add_column(name, justify="right")
    table.add_column("")
    for row in compared["rows"]:
        cells = [f"[bold green]{c['text']}[/]" if c["best"] else c["text"] for c in row["cells"]]
        table.add_row(row["label"], *cells, row["unit"])
    console.print(table)
    audit, refused = report["audit"], report["refused"]
    facts = Table(show_header=False, box=None, pad_edge=False)
    facts.add_column(style="dim")
    facts.add_column()
    facts.add_row("certified gap", f"{report['optimality_gap']:.2%}")
    facts.add_row("credits", f"{number(report['credits_g'])} g avoided")
    facts.add_row("gas", f"{number(report['gas_total'])} in all, {number(report['gas_per_order'])} per order")
    facts.add_row("refused", f"{refused['rows']} rows, {refused['orders']} orders")
    for fault in report["faults"]:
        facts.add_row(
            f"fault: {fault.get('kind', '')}", f"{fault.get('target', '')}: {fault.get('outcome', '')}"
        )
    verdict = f"{audit['passed']} passed, {audit['failed']} failed, {audit['inconclusive']} inconclusive"
    facts.add_row("audit", verdict if not audit["failed"] else f"[bold red]{verdict}[/]")
    facts.add_row(
        "seconds",
        ", ".join(f"{k} {number(report[f'seconds_{k}'])}" for k in ("clear", "chain", "oracle", "total")),
    )
    console.print(facts)
