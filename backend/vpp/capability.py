"""Capability of a resource: seven metrics measured from its history, a certificate, admission (F7, F8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from backend.vpp.errors import FlexError
from backend.vpp.resources import Contract, Kind, Resource, ResponseTest, digest
from backend.vpp.spot import Ints

METHOD, VERSION = "F7", "1"
YEAR_SECONDS = 365 * 86_400
REACHED_BPS = 9000
VALID_SECONDS = 180 * 86_400
CURVE_MS = (100, 200, 500, 1_000, 5_000, 30_000, 60_000, 300_000, 900_000, 3_600_000)
DEFAULT_KAPPA_MICROKWH = 200_000
"""F8: 0.2 kWh of regulation per GPU-hour, in millionths of a kWh."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """The seven metrics of F7. `ramp_bps_per_min` is the share of adjustable capacity per minute."""

    generation_w: int
    annual_energy_wh: int
    adjustable_w: int
    response_ms: int
    ramp_bps_per_min: int
    deviation_bps: int
    sustain_s: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """Metrics that hold until they expire, with the hash of what they were measured from."""

    resource_id: str
    metrics: Metrics
    method: str
    version: str
    inputs_hash: str
    issued_at: int
    expires_at: int

    def valid(self, now: int) -> bool:
        """Whether it is in force."""
        return self.issued_at <= now < self.expires_at


def measure(history_w: Ints, slot_seconds: int, tests: Sequence[ResponseTest]) -> Metrics:
    """The metrics from a metered series and response tests; FlexError where there is too little to measure.

    Adjustable capacity is the least that every test direction really showed: the median of what tests moved,
    so that one lucky test does not certify a resource. Response and ramp are the median test's, deviation
    the mean, sustain the shortest hold of the tests that reached 90 %.
    """
    if len(history_w) < 96:
        raise FlexError("history", "history_w", len(history_w), "give at least 96 intervals of readings")
    if not tests:
        raise FlexError("history", "tests", 0, "give at least one response test")
    moved, response, ramp, off, hold = [], [], [], [], []
    for test in tests:
        achieved = test.achieved_bps()
        peak = int(np.max(achieved))
        change = min(peak, 10_000) * abs(test.requested_w) // 10_000
        moved.append(change)
        reached = np.flatnonzero(achieved >= REACHED_BPS)
        first = int(reached[0]) if len(reached) else int(np.argmax(achieved))
        took = int(test.times_ms[first])
        response.append(took if len(reached) else int(test.times_ms[-1]))
        ramp.append(min(int(achieved[first]), 10_000) * 60_000 // max(took, 1))
        off.append(int(np.mean(np.abs(achieved[first:] - 10_000))))
        hold.append(_held_ms(test.times_ms, achieved) // 1000)
    years = len(history_w) * slot_seconds
    energy = int(np.abs(history_w).sum()) * slot_seconds // 3600
    return Metrics(
        generation_w=max(0, -int(history_w.min())),
        annual_energy_wh=energy * YEAR_SECONDS // years,
        adjustable_w=int(np.median(moved)),
        response_ms=int(np.median(response)),
        ramp_bps_per_min=int(np.median(ramp)),
        deviation_bps=int(np.mean(off)),
        sustain_s=min(hold),
    )


def _held_ms(times: Ints, achieved: Ints) -> int:
    """The longest time at 90 % or more without a break."""
    best, since = 0, -1
    for time, share in zip(times.tolist(), achieved.tolist(), strict=True):
        if share < REACHED_BPS:
            since = -1
        elif since < 0:
            since = time
        else:
            best = max(best, time - since)
    return best


def certify(
    resource: Resource, history_w: Ints, slot_seconds: int, tests: Sequence[ResponseTest], now: int,
    valid_seconds: int = VALID_SECONDS,
) -> Certificate:  # fmt: skip
    """A certificate from history; adjustable capacity is never more than the nameplate."""
    metrics = measure(history_w, slot_seconds, tests)
    if metrics.adjustable_w > resource.nameplate_w or int(np.abs(history_w).max()) > resource.nameplate_w:
        raise FlexError(
            "nameplate", "history_w", int(np.abs(history_w).max()),
            f"readings and tests must stay within the nameplate of {resource.nameplate_w} W",
        )  # fmt: skip
    inputs = {
        "resource": resource.id, "slot_seconds": slot_seconds, "history_w": history_w,
        "tests": [[t.at, t.baseline_w, t.requested_w, t.times_ms, t.power_w] for t in tests],
    }  # fmt: skip
    return Certificate(resource.id, metrics, METHOD, VERSION, digest(inputs), now, now + valid_seconds)


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """What a VPP must reach (F7); data of the market, these are its defaults."""

    aggregate_w: int = 10_000_000
    adjustable_w: int = 5_000_000
    unit_w: int = 1_000_000
    ramp_bps_per_min: int = 300
    sustain_s: int = 3_600


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a VPP is admitted; each reason names what is missing and by how much."""

    admitted: bool
    reasons: tuple[str, ...]
    aggregate_w: int
    adjustable_w: int


def admit(
    members: Sequence[tuple[Resource, Certificate | None, Contract]],
    now: int,
    rules: AdmissionRules | None = None,
) -> Admission:
    """Checks a VPP's members against the rules of admission; every reason is given, not only the first."""
    rules = rules or AdmissionRules()
    reasons: list[str] = []
    aggregate = adjustable = 0
    for resource, certificate, contract in members:
        aggregate += resource.nameplate_w
        if certificate is None:
            reasons.append(f"{resource.id}: has no capability certificate")
            continue
        if not certificate.valid(now):
            reasons.append(f"{resource.id}: certificate expired at {certificate.expires_at}")
            continue
        if not contract.start <= now < contract.end:
            reasons.append(f"{resource.id}: its contract is not in force")
            continue
        m = certificate.metrics
        adjustable += m.adjustable_w
        if resource.nameplate_w < rules.unit_w:
            reasons.append(f"{resource.id}: {resource.nameplate_w} W, a unit needs {rules.unit_w} W")
        if m.ramp_bps_per_min < rules.ramp_bps_per_min:
            reasons.append(
                f"{resource.id}: ramps {m.ramp_bps_per_min} bp/min, {rules.ramp_bps_per_min} needed"
            )
        if m.sustain_s < rules.sustain_s:
            reasons.append(f"{resource.id}: lasts {m.sustain_s} s, {rules.sustain_s} s needed")
    for pair in sorted({(c.member_id, c.contract_type) for _, _, c in members}):
        with_whom = {c.aggregator_id for _, _, c in members if (c.member_id, c.contract_type) == pair}
        if len(with_whom) > 1:
            reasons.append(f"{pair[0]}: is in {len(with_whom)} VPPs for {pair[1]}")
    nodes = {resource.node for resource, _, _ in members}
    if len(nodes) > 1:
        reasons.append(f"members are at {len(nodes)} nodes, one is allowed")
    if aggregate < rules.aggregate_w:
        reasons.append(f"{aggregate} W in all, {rules.aggregate_w} W needed")
    if adjustable < rules.adjustable_w:
        reasons.append(f"{adjustable} W adjustable, {rules.adjustable_w} W needed")
    return Admission(not reasons, tuple(reasons), aggregate, adjustable)


def declared_limits(lower_w: int, upper_w: int, certified_adjustable_w: int) -> None:
    """F7: the declared limits of a load-type VPP differ by exactly its certified adjustable capacity."""
    if upper_w - lower_w != certified_adjustable_w:
        raise FlexError(
            "outside_capacity", "upper_w", upper_w,
            f"upper - lower must be the certified adjustable capacity, {certified_adjustable_w} W",
        )  # fmt: skip


def kappa_microkwh(gpu_w: int, flexible_bps: int, pue_milli: int) -> int:
    """Regulation per GPU-hour (F8): P x phi x PUE, in millionths of a kWh, rounded down."""
    return gpu_w * flexible_bps * pue_milli // 10_000


def regulation_w(gpu_hours: int, kappa: int, duration_s: int) -> int:
    """Capacity that GPU-hours give for a duration (F8): P = E / d, in W, rounded down."""
    if duration_s <= 0:
        raise FlexError("duration", "duration_s", duration_s, "energy needs a duration to become capacity")
    return gpu_hours * kappa * 3600 // (1000 * duration_s)


@dataclass(frozen=True, slots=True)
class TypicalResponse:
    """How a kind of resource answers: share of the request (basis points) after each of CURVE_MS; the 10 %,
    50 % and 90 % quantiles of `tests` tests."""

    kind: Kind
    tests: int
    times_ms: tuple[int, ...]
    p10_bps: tuple[int, ...]
    p50_bps: tuple[int, ...]
    p90_bps: tuple[int, ...]


def typical_response(kind: Kind, tests: Sequence[ResponseTest]) -> TypicalResponse:
    """The curve of many tests of one kind; between samples the last value holds."""
    if not tests:
        raise FlexError("history", "tests", 0, "give at least one test")
    table = np.zeros((len(tests), len(CURVE_MS)), np.int64)
    for n, test in enumerate(tests):
        at = np.searchsorted(test.times_ms, CURVE_MS, side="right") - 1
        table[n] = np.where(at >= 0, test.achieved_bps()[np.maximum(at, 0)], 0)
    bands = np.quantile(table, (0.1, 0.5, 0.9), axis=0, method="lower").astype(int)
    p10, p50, p90 = (tuple(row) for row in bands.tolist())
    return TypicalResponse(kind, len(tests), CURVE_MS, p10, p50, p90)


def metrics_json(metrics: Metrics) -> dict[str, int]:
    """The metrics by name."""
    return asdict(metrics)
