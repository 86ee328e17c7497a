"""Every named check must notice its own corruption and name it; a clean day must pass them all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from audit.faults import CLEAN_DAYS, judge, load_library
from audit.run import CHECKS, run
from audit.verdict import Checked
from tests.faults.corruptions import Case
from tests.faults.library import FAULTS, at_another_time, clean_days, corrupted
from tests.faults.world import World


def audit(world: World) -> dict[str, Checked]:
    """Every check over the facts of a world."""
    return {item.name: item for item in run(world.facts())}


def test_a_clean_day_passes_every_check(tmp_path: Path) -> None:
    results = audit(World(tmp_path))
    assert {name: item.result.findings + item.result.doubts for name, item in results.items()} == {
        check.name: () for check in CHECKS
    }
    nothing = {name for name, item in results.items() if item.result.checked == 0}
    assert nothing == {"settlement.refund", "treasury.withdrawals", "carbon.statement", "synergy.index"}


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: f"{case.check}: {case.names}")
def test_a_corruption_is_noticed_and_named_by_the_due_checks_alone(case: Case, tmp_path: Path) -> None:
    results = {item.name: item.result for item in run(corrupted(case, tmp_path))}
    result = results[case.check]
    assert result.verdict == case.verdict
    said = [f"{one.subject} {one.expected} {one.found}" for one in (*result.findings, *result.doubts)]
    assert any(case.names in text for text in said), said
    assert {name for name, found in results.items() if found.verdict == "fail"} == case.fails


def test_harmless_days_raise_no_alarm(tmp_path: Path) -> None:
    for happened, facts in clean_days(tmp_path, 6, seed=1):
        for seen in (facts, at_another_time(facts)):
            alarms = {item.name: item.result for item in run(seen) if item.result.verdict != "pass"}
            assert alarms == {}, happened


def test_the_command_holds_the_auditor_to_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    library = load_library()
    monkeypatch.setattr(library, "FAULTS", FAULTS[:3])
    figures = judge(library)["figures"]
    assert figures == {"faults": 3, "caught": 3, "exact": 3, "clean_days": CLEAN_DAYS, "false_alarms": 0}
    missed = replace(FAULTS[0], check="orders.green")
    monkeypatch.setattr(library, "FAULTS", (missed,))
    assert judge(library)["figures"]["caught"] == 0


def test_every_check_has_a_corruption_it_notices() -> None:
    # logs that do not decode are not facts a world can make: test_undecodable_logs has them
    assert {case.check for case in FAULTS} == {check.name for check in CHECKS} - {"book.abi"}


def test_undecodable_logs_fail_the_abi_check(tmp_path: Path) -> None:
    facts = replace(World(tmp_path).facts(), odd_logs=("Treasury.Posted in 0x12: too short",))
    result = next(item for item in run(facts) if item.name == "book.abi").result
    assert [finding.found for finding in result.findings] == ["Treasury.Posted in 0x12: too short"]
