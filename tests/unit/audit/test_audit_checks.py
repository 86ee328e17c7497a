"""Every named check must notice its own corruption and name it; a clean day must pass them all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from audit.run import CHECKS, run
from audit.verdict import Checked
from tests.unit.audit import audit_cases_market, audit_cases_money, audit_cases_oracle
from tests.unit.audit.audit_cases import Case
from tests.unit.audit.audit_world import World

CASES = (*audit_cases_market.CASES, *audit_cases_oracle.CASES, *audit_cases_money.CASES)


def audit(world: World) -> dict[str, Checked]:
    """Every check over the facts of a world."""
    return {item.name: item for item in run(world.facts())}


def test_a_clean_day_passes_every_check(tmp_path: Path) -> None:
    results = audit(World(tmp_path))
    assert {name: item.result.findings + item.result.doubts for name, item in results.items()} == {
        check.name: () for check in CHECKS
    }
    nothing = {name for name, item in results.items() if item.result.checked == 0}
    assert nothing == {"settlement.refund", "treasury.withdrawals"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}: {case.names}")
def test_a_corruption_is_noticed_and_named(case: Case, tmp_path: Path) -> None:
    world = World(tmp_path, dict(case.changes))
    case.after(world)
    result = audit(world)[case.check].result
    assert result.verdict == case.verdict
    said = [f"{one.subject} {one.expected} {one.found}" for one in (*result.findings, *result.doubts)]
    assert any(case.names in text for text in said), said


def test_every_check_has_a_corruption_it_notices() -> None:
    # logs that do not decode are not facts a world can make: test_undecodable_logs has them
    assert {case.check for case in CASES} == {check.name for check in CHECKS} - {"book.abi"}


def test_undecodable_logs_fail_the_abi_check(tmp_path: Path) -> None:
    facts = replace(World(tmp_path).facts(), odd_logs=("Treasury.Posted in 0x12: too short",))
    result = next(item for item in run(facts) if item.name == "book.abi").result
    assert [finding.found for finding in result.findings] == ["Treasury.Posted in 0x12: too short"]
