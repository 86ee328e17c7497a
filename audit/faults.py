"""`bitwatt audit faults`: holds the auditor to the fault library of the source tree."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from audit.run import run

ROOT = Path(__file__).resolve().parent.parent
CLEAN_DAYS = 12


class NoLibrary(Exception):
    """The fault library is not there; says where it was looked for."""


def load_library(root: Path = ROOT) -> ModuleType:
    """tests/faults/library.py of the source tree."""
    if not (root / "tests" / "faults" / "library.py").is_file():
        raise NoLibrary(f"{root / 'tests' / 'faults'} is not there: run this in a source tree")
    if "tests" not in sys.modules:  # a namespace of the tree, before any package of that name elsewhere
        package = ModuleType("tests")
        package.__path__ = [str(root / "tests")]
        sys.modules["tests"] = package
    return importlib.import_module("tests.faults.library")


def judge(library: ModuleType, seed: int = 0, step: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """{"figures": {"faults", "caught", "exact", "clean_days", "false_alarms"}, "rows": [...]}.

    A fault is caught when its named check fails (or cannot decide, where that is the due answer) and names
    the culprit; exact when no other check fails than the library expects.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(library.FAULTS):
            results = {
                item.name: item.result
                for item in run(library.corrupted(case, Path(folder) / f"fault-{number}"))
            }
            result = results[case.check]
            said = (*result.findings, *result.doubts)
            named = any(case.names in f"{one.subject} {one.expected} {one.found}" for one in said)
            failing = sorted(name for name, found in results.items() if found.verdict == "fail")
            rows.append(
                {
                    "fault": case.story,
                    "by": case.by,
                    "check": case.check,
                    "caught": result.verdict == case.verdict and named,
                    "exact": frozenset(failing) == case.fails,
                    "failing": failing,
                }
            )
            step()
        alarms = [
            {"day": what, "failing": failing}
            for what, facts in library.clean_days(Path(folder) / "clean", CLEAN_DAYS, seed)
            if (failing := [item.name for item in run(facts) if item.result.verdict != "pass"])
        ]
    figures = {
        "faults": len(rows),
        "caught": sum(row["caught"] for row in rows),
        "exact": sum(row["exact"] for row in rows),
        "clean_days": CLEAN_DAYS,
        "false_alarms": len(alarms),
    }
    return {"figures": figures, "rows": rows, "alarms": alarms}
