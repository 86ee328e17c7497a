"""The list of all checks, and how they are run over the facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from audit.checks import (
    book,
    books,
    carbon,
    certificates,
    clearing,
    evidence,
    fairness,
    flexibility,
    orders,
    pools,
    postings,
    publication,
    readings,
    reports,
    screening,
    settlement,
    treasury,
)
from audit.facts import Facts
from audit.verdict import Check, Checked, Finding, Result

TOPICS = (
    book,
    orders,
    publication,
    clearing,
    books,
    fairness,
    evidence,
    reports,
    readings,
    screening,
    settlement,
    pools,
    postings,
    treasury,
    certificates,
    carbon,
    flexibility,
)
CHECKS: tuple[Check, ...] = tuple(check for topic in TOPICS for check in topic.CHECKS)


def run(
    facts: Facts, checks: Sequence[Check] = CHECKS, begin: Callable[[str], None] = lambda name: None
) -> list[Checked]:
    """Every check's verdict, in order. A check that facts manage to stop is a failed check, not a crash."""
    results = []
    for item in checks:
        begin(item.name)
        try:
            result = item.rule(facts)
        except Exception as error:  # hostile facts must neither stop the audit nor pass it
            stopped = Finding(item.name, "facts the check can read", f"{type(error).__name__}: {error}")
            result = Result(0, (stopped,))
        results.append(Checked(item.name, item.reference, result))
    return results
