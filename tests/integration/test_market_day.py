"""One small market day end to end: real chain, committee, agents, faults, audit; restarts after kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from day_runner import __file__ as RUNNER
from small_day import SLOTS, TARIFF, small_day

from backend.day.children import process_started
from backend.day.report import stable_part

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def start(out: Path) -> subprocess.Popen[bytes]:
    with (out.parent / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen([sys.executable, RUNNER, str(out)], stdout=log, stderr=log)


def finish(out: Path, seconds: float = 240.0) -> dict[str, Any]:
    process = start(out)
    assert process.wait(timeout=seconds) == 0, (out.parent / f"{out.name}.log").read_text()[-3000:]
    return json.loads((out / "report.json").read_text())


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished small day."""
    out = tmp_path_factory.mktemp("day") / "run"
    finish(out)
    return out


@pytest.fixture(scope="module")
def report(day: Path) -> dict[str, Any]:
    return json.loads((day / "report.json").read_text())


def test_the_audit_finds_nothing_wrong(report: dict[str, Any]) -> None:
    assert report["audit"]["failed"] == 0 and report["audit"]["passed"] > 60


def test_the_faults_end_in_refunds_and_penalties(report: dict[str, Any]) -> None:
    kinds = [fault["kind"] for fault in report["faults"]]
    assert kinds == ["under_delivery", "forecast_miss", "late_meter", "lying_node"]
    settled = report["settlement"]
    assert settled["refund_micro"] > 0 and settled["site_penalty_micro"] > 0
    assert settled["plant_penalty_micro"] > 0 and settled["slots_settled"] > 0


def test_money_is_conserved(report: dict[str, Any], day: Path) -> None:
    settled = report["settlement"]
    paid = settled["paid_compute_micro"] + settled["paid_power_micro"] + settled["refund_micro"]
    assert paid == report["buyer_cost_micro"]
    from backend.day.stages.funding import DEFAULT_BOND_MICRO, deposits

    assert settled["treasury_micro"] == sum(deposits(small_day()).values()) + 4 * DEFAULT_BOND_MICRO
    assert day.exists()


def test_every_matched_wh_is_retired_and_every_other_metered_one_minted(report: dict[str, Any]) -> None:
    settled = report["settlement"]
    assert settled["certificates_retired_wh"] + settled["certificates_minted_wh"] <= settled["metered_wh"]
    assert 0 < settled["certificates_retired_wh"] <= settled["delivered_green_wh"]
    assert settled["users_sold_credits_g"] > 0 and settled["users_retired_certificates_wh"] > 0
    assert report["credits_g"] == settled["credits_g"] > 0


def test_reference_mechanisms_and_required_keys(report: dict[str, Any]) -> None:
    assert set(report["reference"]) == {"fcfs", "sequential"}
    for key in ("orders", "welfare_micro", "optimality_gap", "green_share", "gas_total", "gas_per_order"):
        assert key in report
    assert report["orders"] == 24 and report["welfare_micro"] >= report["reference"]["fcfs"]["welfare_micro"]
    assert {"clear", "report", "meter", "settle", "pay"} <= set(report["gas"])
    assert TARIFF and SLOTS


def test_no_child_outlives_the_run(day: Path) -> None:
    assert json.loads((day / "run.json").read_text())["children"] == {}


def test_a_finished_run_answers_again_at_once_and_refuses_another_command(day: Path) -> None:
    from backend.day.driver import Options, run_day
    from backend.day.progress import Narrator
    from backend.day.run_state import RunMismatch

    options = Options(day, 0, None, {"command": "small", "rpc": None}, small_day)
    assert run_day(options, Narrator()) == json.loads((day / "report.json").read_text())
    with pytest.raises(RunMismatch, match="command = 'small', this command has 'other'"):
        run_day(Options(day, 0, None, {"command": "other", "rpc": None}, small_day), Narrator())


MOMENTS = (
    ("right after the chain came up", lambda out: "url" in chain(out)),
    ("while the committee starts", lambda out: (out / "nodes" / "node-1" / "config.json").exists()),
    ("while it clears", lambda out: any((out / "archive" / "book").glob("*.json"))),
    ("while the agents deliver", lambda out: len(list((out / "archive" / "readings").glob("*.cbor"))) >= 3),
    ("when the committee was dismissed", lambda out: chain(out).get("delivered")),
)


def chain(out: Path) -> dict[str, Any]:
    try:
        return json.loads((out / "run.json").read_text()).get("chain", {})
    except FileNotFoundError:
        return {}


def test_killed_again_and_again_it_finishes_the_same_day(tmp_path: Path, report: dict[str, Any]) -> None:
    out = tmp_path / "run"
    killed: Counter[str] = Counter()
    for name, reached in MOMENTS:
        process = start(out)
        deadline = time.monotonic() + 120
        while not reached(out):
            assert process.poll() is None, (tmp_path / "run.log").read_text()[-3000:]
            assert time.monotonic() < deadline, name
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        killed[name] += 1
        if name == "while the agents deliver":  # a member and the meters die with it
            for child in ("node-2", "meter"):
                record = json.loads((out / "run.json").read_text())["children"][child]
                assert process_started(record["pid"]) == record["started"]
                os.kill(record["pid"], signal.SIGKILL)
    again = finish(out)
    assert len(killed) == len(MOMENTS)
    assert stable_part(again) == stable_part(report)


def test_told_to_stop_it_takes_its_children_along(tmp_path: Path, report: dict[str, Any]) -> None:
    out = tmp_path / "run"
    process = start(out)
    deadline = time.monotonic() + 120
    while "node-3" not in (children := recorded(out)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) != 0
    assert recorded(out) == {}
    assert all(process_started(child["pid"]) != child["started"] for child in children.values())


def recorded(out: Path) -> dict[str, Any]:
    try:
        return json.loads((out / "run.json").read_text()).get("children", {})
    except FileNotFoundError:
        return {}
