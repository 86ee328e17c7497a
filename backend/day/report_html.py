"""report.html: one self-contained page from the report's dictionary and drawings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

COMPARED: Final = (
    # (key, label, divisor, unit, better: +1 higher, -1 lower, 0 neither)
    ("welfare_micro", "welfare", 1e6, "{currency}", 1),
    ("filled_vcu_slots", "VCU-slots filled", 1, "", 1),
    ("deadline_missed", "orders not filled in full", 1, "", -1),
    ("energy_cost_micro", "energy cost", 1e6, "{currency}", -1),
    ("energy_cost_micro_per_kwh", "energy cost per kWh", 1e6, "{currency}", -1),
    ("energy_wh", "energy used", 1000, "kWh", 0),
    ("green_share", "green share", 0.01, "%", 1),
    ("curtailed_wh", "green curtailed", 1000, "kWh", -1),
    ("carbon_location_g", "carbon by location", 1000, "kg", -1),
    ("carbon_market_g", "carbon by market", 1000, "kg", -1),
    ("buyer_cost_micro", "paid by buyers", 1e6, "{currency}", 0),
)


def render(report: Mapping[str, Any], drawings: Mapping[str, str]) -> str:
    """The page. Every text from files is escaped; the drawings are our own SVG."""
    environment = Environment(
        loader=PackageLoader("backend.day", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    template = environment.get_template("report.html.j2")
    return template.render(
        report=report,
        currency=report["day"]["parameters"]["settlement_currency"],
        comparison=comparison(report),
        drawings={name: Markup(svg) for name, svg in drawings.items()},  # nosec B704: our own SVG
    )


def comparison(report: Mapping[str, Any]) -> dict[str, Any]:
    """Names of the mechanisms and, row by row, their figures; the best of a row is marked."""
    columns = {"joint": report, **report["reference"]}
    currency = report["day"]["parameters"]["settlement_currency"]
    rows = []
    for key, label, divisor, unit, better in COMPARED:
        values = [columns[name][key] / divisor for name in columns]
        best = max(values) if better > 0 else min(values)
        rows.append(
            {
                "label": label,
                "unit": unit.format(currency=currency),
                "cells": [
                    {"text": number(value), "best": bool(better) and value == best} for value in values
                ],
            }
        )
    return {"names": list(columns), "rows": rows}


def number(value: object) -> str:
    """A number for people: thousands apart, as many decimals as its size needs."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    if isinstance(value, int) or value == int(value):
        return f"{int(value):,}".replace(",", " ")
    decimals = 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 4
    return f"{value:,.{decimals}f}".replace(",", " ")
