"""Metrics, certificates, admission with reasons, groups, one VPP per member."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.vpp.capability import (
    Certificate,
    Metrics,
    admit,
    certify,
    declared_limits,
    kappa_microkwh,
    measure,
    regulation_w,
    typical_response,
)
from backend.vpp.errors import FlexError
from backend.vpp.resources import Contract, Kind, Resource, ResponseTest, members_of, require_one_vpp

NOW = 1_700_000_000
HISTORY = np.tile(np.array([4_000_000, 6_000_000, 5_000_000, 3_000_000]), 96)


def shed_test(took_ms: int = 60_000, hold_ms: int = 3_700_000, reach: float = 1.0) -> ResponseTest:
    times = np.array([0, took_ms, took_ms + hold_ms, took_ms + hold_ms + 60_000])
    down = int(2_000_000 * reach)
    power = 6_000_000 - np.array([0, down, down, 0])
    return ResponseTest(NOW, 6_000_000, -2_000_000, times, power)


def site(name: str = "s", **changed: object) -> Resource:
    return replace(
        Resource(name, "m-" + name, Kind.COMPUTE_SITE, 0, "n1", "mp-" + name, 8_000_000), **changed
    )


def contract(name: str = "s", aggregator: str = "agg", kind: str = "shed", start: int = 0) -> Contract:
    return Contract(name, "m-" + name, aggregator, kind, 8000, 900, 10_000, start, NOW + 10**8)


def certificate(name: str = "s", **changed: int) -> Certificate:
    metrics = Metrics(0, 1, 3_000_000, 60_000, 1500, 100, 4000)
    return Certificate(name, replace(metrics, **changed), "F7", "1", "0x", NOW, NOW + 1000)


def test_seven_metrics_are_those_of_the_history() -> None:
    m = measure(HISTORY, 900, [shed_test(), shed_test(120_000), shed_test(60_000, 3_900_000)])
    assert m.adjustable_w == 2_000_000 and m.generation_w == 0
    assert m.annual_energy_wh == 4_500_000 * 8760
    assert m.response_ms == 60_000 and m.ramp_bps_per_min == 10_000
    assert m.sustain_s == 3700
    assert m.deviation_bps > 0  # the return after the hold counts against it


def test_one_lucky_test_certifies_nothing() -> None:
    m = measure(HISTORY, 900, [shed_test(reach=1.0), shed_test(reach=0.3), shed_test(reach=0.3)])
    assert m.adjustable_w == 600_000 and m.sustain_s == 0


def test_overdelivery_certifies_no_more_than_was_asked() -> None:
    assert measure(HISTORY, 900, [shed_test(reach=1.4)]).adjustable_w == 2_000_000


def test_certificate_carries_its_inputs_and_expires() -> None:
    one = certify(site(), HISTORY, 900, [shed_test()], NOW, valid_seconds=100)
    other = certify(site(), HISTORY + 1, 900, [shed_test()], NOW, valid_seconds=100)
    assert one.inputs_hash != other.inputs_hash and one.method == "F7"
    assert one.valid(NOW) and not one.valid(NOW + 100)


@pytest.mark.parametrize(
    ("history", "tests", "nameplate", "rule"),
    [
        (HISTORY[:50], 1, 9_000_000, "history"),
        (HISTORY, 0, 9_000_000, "history"),
        (HISTORY, 1, 5_000_000, "nameplate"),
    ],
)
def test_too_little_or_too_much_history(history: np.ndarray, tests: int, nameplate: int, rule: str) -> None:
    with pytest.raises(FlexError) as caught:
        certify(site(nameplate_w=nameplate), history, 900, [shed_test()] * tests, NOW)
    assert caught.value.rule == rule


def test_admission_and_all_its_reasons() -> None:
    good = [(site(n), certificate(n), contract(n)) for n in ("a", "b")]
    assert admit(good, NOW).admitted
    bad = [
        (site("a", nameplate_w=500_000), certificate("a", ramp_bps_per_min=200, sustain_s=60), contract("a")),
        (site("b", node="n2"), None, contract("b")),
        (site("c"), replace(certificate("c"), expires_at=NOW - 1), contract("c")),
        (site("d"), certificate("d"), contract("d", start=NOW + 5)),
    ]
    found = admit(bad, NOW)
    text = "\n".join(found.reasons)
    for piece in (
        "a unit needs", "bp/min", "60 s", "no capability", "expired", "not in force", "2 nodes",
        "W adjustable",
    ):  # fmt: skip
        assert piece in text, piece


def test_a_member_in_two_vpps() -> None:
    with pytest.raises(FlexError) as caught:
        require_one_vpp(contract(aggregator="other"), [contract()])
    assert caught.value.rule == "two_vpps"
    require_one_vpp(contract(aggregator="other", kind="frequency"), [contract()])  # another contract type
    ended = replace(contract(), end=NOW)
    require_one_vpp(replace(contract(aggregator="other"), start=NOW), [ended])
    twice = [
        (site("a"), certificate("a"), contract("a")),
        (site("a"), certificate("a"), contract("a", "other")),
    ]
    assert any("2 VPPs" in reason for reason in admit(twice, NOW).reasons)


def test_groups_nest_and_never_in_a_circle() -> None:
    parents = {"vpp": None, "park": "vpp", "b1": "park", "b2": "park", "pv": "vpp"}
    assert members_of("vpp", parents) == ["b1", "b2", "pv"]
    with pytest.raises(FlexError):
        members_of("x", {"x": "y", "y": "x"})


def test_declared_limits_are_the_certified_difference() -> None:
    declared_limits(1000, 3000, 2000)
    with pytest.raises(FlexError):
        declared_limits(1000, 3001, 2000)


def test_gpu_hours_as_capacity() -> None:
    assert regulation_w(10_000, 200_000, 3600) == 2_000_000  # the seed's 10,000 GPU-hours = 2 MW for an hour
    assert kappa_microkwh(366, 2500, 1200) == 109_800
    with pytest.raises(FlexError):
        regulation_w(1, 1, 0)


def test_typical_curve_of_a_kind() -> None:
    curve = typical_response(Kind.COMPUTE_SITE, [shed_test(100 * n) for n in range(1, 11)])
    assert curve.p50_bps[0] == 0 and curve.p50_bps[-2] == 10_000
    assert all(a <= b <= c for a, b, c in zip(curve.p10_bps, curve.p50_bps, curve.p90_bps, strict=True))
