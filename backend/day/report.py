"""The report of a market day: one dictionary, written as report.json and drawn as report.html.

Two runs of one command give the same report apart from `VOLATILE_KEYS`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from backend.day.report_figures import figures_of
from backend.day.report_html import render
from backend.day.types import DayInput, SourceNote
from backend.market.domain import Book, Solution
from backend.market.metrics import metrics

JsonValue = object
MAX_LISTED_ROWS: Final = 200
MAIN: Final = "joint"
VOLATILE_KEYS: Final = (
    "seconds_clear",
    "seconds_chain",
    "seconds_oracle",
    "seconds_total",
    "gas_total",
    "gas_per_order",
    "gas",
    "addresses",
)
"""What may differ between two runs of the same command."""

_FIGURES: Final = (
    "orders",
    "filled_vcu_slots",
    "requested_vcu_slots",
    "deadline_missed",
    "buyer_cost_micro",
    "compute_cost_micro",
    "energy_cost_micro",
    "energy_cost_micro_per_kwh",
    "green_share",
    "green_matched_wh",
    "energy_wh",
    "curtailed_wh",
    "available_green_wh",
    "carbon_location_g",
    "carbon_market_g",
    "welfare_micro",
)


def _nothing() -> Mapping[str, JsonValue]:
    return MappingProxyType({})


@dataclass(frozen=True)
class ReportInput:
    """Everything the report tells. `ids` maps readable ids to the ids in `book` where those are hashes."""

    day: DayInput
    book: Book
    solutions: Mapping[str, Solution]
    ids: Mapping[str, str] = field(default_factory=dict)
    settlement: Mapping[str, JsonValue] = field(default_factory=_nothing)
    credits_g: int = 0
    faults: Sequence[Mapping[str, JsonValue]] = ()
    audit: Mapping[str, JsonValue] = field(default_factory=_nothing)
    refused_orders: Sequence[str] = ()
    gas: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)


def build_report(given: ReportInput) -> dict[str, JsonValue]:
    """The report as a dictionary in a fixed key order. Every mechanism is measured on the same basis."""
    figures = {name: metrics(given.book, solution) for name, solution in given.solutions.items()}
    main, day = figures[MAIN], given.day
    audit = given.audit
    refused = Counter(row.file for row in day.refused)
    gas_total = sum(given.gas.values())
    return {
        "format": "bitwatt/report/1",
        "day": {
            "name": day.name,
            "date": day.date.isoformat(),
            "supply_date": day.supply_date.isoformat(),
            "timezone": day.timezone,
            "slots": day.slots,
            "slot_seconds": day.slot_seconds,
            "seed": day.seed,
            "zones": [asdict(zone) for zone in day.zones],
            "classes": [c.name for c in day.classes],
            "sites": len(day.sites),
            "plants": sum(plant.source != 0 for plant in day.plants),
            "sources": [_note(note) for note in day.notes],
            "remarks": list(day.remarks),
            "parameters": _plain(asdict_params(day)),
        },
        **{key: main[key] for key in _FIGURES},
        "optimality_gap": main["optimality_gap"],
        "reason": main["reason"],
        "credits_g": given.credits_g,
        "fill": {name: fill_by_group(given, solution) for name, solution in given.solutions.items()},
        "reference": {
            name: {key: values[key] for key in _FIGURES} for name, values in figures.items() if name != MAIN
        },
        "against": {name: _against(main, values) for name, values in figures.items() if name != MAIN},
        "settlement": _plain(given.settlement),
        "faults": [_plain(fault) for fault in given.faults],
        "audit": {
            "passed": audit.get("passed", 0),
            "failed": audit.get("failed", 0),
            "inconclusive": audit.get("inconclusive", 0),
            "checks": _plain(audit.get("checks", [])),
        },
        "refused": {
            "rows": len(day.refused),
            "rows_by_file": dict(sorted(refused.items())),
            "listed": [asdict(row) for row in day.refused[:MAX_LISTED_ROWS]],
            "orders": len(given.refused_orders),
            "listed_orders": list(given.refused_orders[:MAX_LISTED_ROWS]),
        },
        **{f"seconds_{k}": _seconds(given.seconds.get(k)) for k in ("clear", "chain", "oracle", "total")},
        "gas_total": gas_total,
        "gas_per_order": gas_total // len(day.jobs) if day.jobs else 0,
        "gas": dict(given.gas),
        "addresses": dict(sorted(given.addresses.items())),
    }


def stable_part(report: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The report without what may differ between two runs."""
    return {key: value for key, value in report.items() if key not in VOLATILE_KEYS}


def write_report(out: Path, given: ReportInput, report: Mapping[str, JsonValue]) -> tuple[Path, Path]:
    """Writes report.json and report.html into `out` and returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    data, page = out / "report.json", out / "report.html"
    data.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    drawings = figures_of(given.day, given.book, given.solutions, report)
    page.write_text(render(report, drawings), encoding="utf-8")
    return data, page


def fill_by_group(given: ReportInput, solution: Solution) -> dict[str, float]:
    """Filled share of the requested VCU-slots: all, urgent, flexible, with and without a green share."""
    filled: dict[str, int] = {}
    names = given.book.orders.id
    for order, lanes in zip(solution.fills.order.tolist(), solution.fills.lanes.tolist(), strict=True):
        key = str(names[order])
        filled[key] = filled.get(key, 0) + lanes
    wanted: dict[str, int] = {}
    got: dict[str, int] = {}
    for job in given.day.jobs:
        groups = (
            "all",
            "urgent" if job.urgent else "flexible",
            "green" if job.min_green_bps else "any_power",
        )
        for group in groups:
            wanted[group] = wanted.get(group, 0) + job.vcu_slots
            got[group] = got.get(group, 0) + filled.get(given.ids.get(job.job_id, job.job_id), 0)
    order = ("all", "urgent", "flexible", "green", "any_power")
    return {group: round(got[group] / wanted[group], 6) for group in order if wanted.get(group)}


def asdict_params(day: DayInput) -> dict[str, JsonValue]:
    """The day's parameters as plain values."""
    params = day.params
    return {name: getattr(params, name) for name in params.__dataclass_fields__}


def _against(main: Mapping[str, object], other: Mapping[str, object]) -> dict[str, JsonValue]:
    """Joint against a reference: positive is better for each of the three, costs as a saving."""
    welfare, cost, green = "welfare_micro", "energy_cost_micro", "green_share"
    a, b = (
        {k: _number(main[k]) for k in (welfare, cost, green)},
        {k: _number(other[k]) for k in (welfare, cost, green)},
    )
    per_kwh = "energy_cost_micro_per_kwh"
    return {
        "welfare_gain_micro": int(a[welfare] - b[welfare]),
        "green_share_gain": round(a[green] - b[green], 6),
        "energy_cost_saving_micro": int(b[cost] - a[cost]),
        "energy_cost_per_kwh_saving": _share(
            _number(other[per_kwh]) - _number(main[per_kwh]), _number(other[per_kwh])
        ),
        "beats": a[welfare] > b[welfare] and a[green] > b[green] and a[cost] < b[cost],
    }


def _share(part: float, whole: float) -> float:
    return round(part / whole, 6) if whole else 0.0


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _note(note: SourceNote) -> dict[str, JsonValue]:
    return {**asdict(note), "wanted": note.wanted.isoformat(), "used": note.used.isoformat()}


def _plain(value: JsonValue) -> JsonValue:
    """Mappings, sequences and numpy integers as JSON can write them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    item = getattr(value, "item", None)
    return item() if callable(item) else str(value)
