"""The report: its keys, its stability, its escaping."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from backend.day.book import to_book
from backend.day.embedded import embedded_day
from backend.day.errors import RefusedRow
from backend.day.report import VOLATILE_KEYS, ReportInput, build_report, stable_part, write_report
from backend.day.report_console import print_report
from backend.day.report_html import number
from backend.market.clearing import clear

ASKED_FOR = (
    "orders",
    "filled_vcu_slots",
    "requested_vcu_slots",
    "deadline_missed",
    "buyer_cost_micro",
    "energy_cost_micro",
    "green_share",
    "green_matched_wh",
    "energy_wh",
    "curtailed_wh",
    "available_green_wh",
    "carbon_location_g",
    "carbon_market_g",
    "credits_g",
    "gas_total",
    "gas_per_order",
    "welfare_micro",
    "optimality_gap",
    "seconds_clear",
    "seconds_chain",
    "seconds_oracle",
    "seconds_total",
)


@pytest.fixture(scope="module")
def given() -> ReportInput:
    day = embedded_day(seed=0, orders=60)
    row = RefusedRow("jobs.csv", 7, "vc", "<script>alert(1)</script>", "is <b>bad</b>", "mend it")
    day = replace(day, refused=(row,) * 300)
    book = to_book(day)
    return ReportInput(
        day=day,
        book=book,
        solutions={name: clear(book, name) for name in ("joint", "fcfs", "sequential")},
        settlement={"refund_micro": 12, "paid": {"compute": 3}},
        credits_g=77,
        faults=[{"kind": "under_delivery", "target": 3, "slots": [4, 5], "outcome": "refund 12 micro"}],
        audit={"passed": 1, "failed": 0, "inconclusive": 0, "checks": [{"name": "roots", "verdict": "pass"}]},
        refused_orders=["order 9: signed for another chain"],
        gas={"clear": 600, "settle": 1200},
        seconds={"clear": 1.234, "total": 9.0},
        addresses={"Treasury": "0x01"},
    )


def test_it_has_every_key(given: ReportInput) -> None:
    report = build_report(given)
    assert set(ASKED_FOR) <= set(report)
    assert set(report["audit"]) >= {"passed", "failed", "inconclusive"}  # type: ignore[call-overload]
    for name in ("fcfs", "sequential"):
        reference = report["reference"][name]  # type: ignore[index]
        assert {"welfare_micro", "green_share", "energy_cost_micro", "filled_vcu_slots"} <= set(reference)
    assert (report["gas_total"], report["gas_per_order"], report["credits_g"]) == (1800, 30, 77)
    refused = report["refused"]
    assert (refused["rows"], len(refused["listed"]), refused["orders"]) == (300, 200, 1)  # type: ignore[index,call-overload]


def test_volatile_values_stand_apart(given: ReportInput) -> None:
    later = replace(given, seconds={"total": 99.0}, gas={"clear": 1}, addresses={"Treasury": "0x02"})
    one, two = build_report(given), build_report(later)
    assert one != two
    assert json.dumps(stable_part(one)) == json.dumps(stable_part(two))
    assert set(one) - set(stable_part(one)) == set(VOLATILE_KEYS)


def test_files_are_the_same_bytes_every_time_and_stand_alone(given: ReportInput, tmp_path: Path) -> None:
    written = [write_report(tmp_path / name, given, build_report(given)) for name in ("a", "b")]
    for one, two in zip(*written, strict=True):
        assert one.read_bytes() == two.read_bytes()
    page = written[0][1].read_text()
    assert page.count("<svg") == 6
    assert "http://" not in page.replace("http://www.w3.org/", "").replace("http://purl.org/", "").replace(
        "http://creativecommons.org/", ""
    )
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert json.loads(written[0][0].read_text())["fill"]["joint"]["all"] > 0


def test_comparison_is_honest(given: ReportInput) -> None:
    report = build_report(given)
    for name, against in report["against"].items():  # type: ignore[attr-defined]
        reference = report["reference"][name]  # type: ignore[index]
        assert against["welfare_gain_micro"] == report["welfare_micro"] - reference["welfare_micro"]
        worse = (
            report["energy_cost_micro"] >= reference["energy_cost_micro"]
            or report["green_share"] <= reference["green_share"]
            or report["welfare_micro"] <= reference["welfare_micro"]
        )
        assert against["beats"] is not worse


def test_console_shows_the_audit_and_the_faults(given: ReportInput) -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    print_report(build_report(given), console)
    text = console.export_text()
    for part in ("energy cost", "fcfs", "under_delivery", "1 passed, 0 failed", "300 rows, 1 orders"):
        assert part in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234567, "1 234 567"), (0.0151, "0.0151"), (85.871, "85.87"), (124.94, "124.9"), (None, "")],
)
def test_numbers_for_people(value: object, text: str) -> None:
    assert number(value) == text
