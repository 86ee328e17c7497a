"""What a check says: a verdict, how much it looked at, and each thing that is not as it should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["pass", "fail", "inconclusive"]
MAX_FINDINGS = 200
MAX_TEXT = 400


@dataclass(frozen=True, slots=True)
class Finding:
    """One mismatch: what it is about (leaf, order, account, run or file), what had to be, what was."""

    subject: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Result:
    """What a rule returns: the number of things it checked, the mismatches, and what it could not decide."""

    checked: int
    findings: tuple[Finding, ...] = ()
    doubts: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """`fail` on any mismatch, `inconclusive` where something could not be decided, else `pass`."""
        if self.findings:
            return "fail"
        return "inconclusive" if self.doubts else "pass"


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of one named check, with its reference (formula, contract, event)."""

    name: str
    reference: str
    result: Result


def _short(value: object) -> str:
    text = "0x" + value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}... ({len(text)} characters)"


@dataclass(slots=True)
class Tally:
    """Collects what one rule sees. Mismatches beyond `MAX_FINDINGS` are counted, not kept."""

    checked: int = 0
    _findings: list[Finding] = field(default_factory=list)
    _doubts: list[Finding] = field(default_factory=list)
    _dropped: int = 0

    def count(self, number: int = 1) -> None:
        """Adds `number` things looked at."""
        self.checked += number

    def fail(self, subject: str, expected: object, found: object) -> None:
        """Records a mismatch."""
        self._keep(self._findings, subject, expected, found)

    def doubt(self, subject: str, expected: object, found: object) -> None:
        """Records something that could not be decided."""
        self._keep(self._doubts, subject, expected, found)

    def equal(self, subject: str, expected: object, found: object) -> bool:
        """Counts one thing and records a mismatch unless both are equal."""
        self.checked += 1
        if expected == found:
            return True
        self.fail(subject, expected, found)
        return False

    def true(self, condition: bool, subject: str, expected: object, found: object) -> bool:
        """Counts one thing and records a mismatch unless `condition` holds."""
        self.checked += 1
        if not condition:
            self.fail(subject, expected, found)
        return condition

    def result(self) -> Result:
        """The frozen result."""
        findings = self._findings
        if self._dropped:
            findings = [
                *findings,
                Finding("and more", "none", f"{self._dropped} more mismatches of this check"),
            ]
        return Result(self.checked, tuple(findings), tuple(self._doubts))

    def _keep(self, where: list[Finding], subject: str, expected: object, found: object) -> None:
        if len(where) >= MAX_FINDINGS:
            self._dropped += where is self._findings
            return
        where.append(Finding(_short(subject), _short(expected), _short(found)))


Rule = Callable[..., Result]


@dataclass(frozen=True, slots=True)
class Check:
    """A named rule: `name` is topic.rule, `reference` says which formula, contract or event it re-derives."""

    name: str
    reference: str
    rule: Rule


def check(name: str, reference: str) -> Callable[[Rule], Check]:
    """Decorator that names a rule, so that it can be listed, run alone and found in the report."""

    def named(rule: Rule) -> Check:
        return Check(name, reference, rule)

    return named
