"""Machines in a bundle: the auditor takes only those that the workload device of their meter signed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from audit.checks.screening import _machines
from audit.facts import Place
from audit.verdict import Tally
from oracle.wire.keys import DeviceKey
from oracle.wire.machine import Machine, sign_machine
from oracle.wire.memory import Memory

KEY, OTHER = DeviceKey.from_seed(b"one"), DeviceKey.from_seed(b"other")
GOOD = Machine(31337, 7, "cpu", "zone", ("x",), 500, 1_000, 1, 900)


def taken(
    machine: Machine, key: DeviceKey = KEY, kind: int = 1, memory: Memory | None = None
) -> tuple[Any, int]:
    tally = Tally()
    envelope = sign_machine(key, machine)
    item = SimpleNamespace(
        bundle=SimpleNamespace(machines=(tuple(envelope),)),
        document=SimpleNamespace(path="readings/x"),
        name=lambda: "report",
        place=Place(2, 0, 0),
    )
    terms = {"x": KEY.public.x, "y": KEY.public.y, "assetKind": kind}
    devices = {7: [SimpleNamespace(place=Place(1, 0, 0), terms=terms)]}
    found = _machines(tally, SimpleNamespace(chain_id=31337), item, devices, memory or Memory())  # type: ignore[arg-type]
    return tally.result().verdict, len(found)


def test_a_machine_signed_by_its_device_counts() -> None:
    assert taken(GOOD) == ("pass", 1)


@pytest.mark.parametrize(
    ("machine", "key", "kind"),
    [
        (GOOD, OTHER, 1),
        (GOOD, KEY, 2),
        (Machine(1, 7, "cpu", "zone", ("x",), 500, 1_000, 1, 900), KEY, 1),
        (Machine(31337, 8, "cpu", "zone", ("x",), 500, 1_000, 1, 900), KEY, 1),
    ],
    ids=["another key", "a plant's meter", "another chain", "an unknown meter"],
)
def test_a_machine_that_does_not_count_is_named(machine: Machine, key: DeviceKey, kind: int) -> None:
    assert taken(machine, key, kind) == ("fail", 0)


def test_an_older_measurement_is_named() -> None:
    memory = Memory()
    memory.learn([GOOD])
    assert taken(GOOD, memory=memory)[0] == "fail"
    assert memory.milli_vcu(7) == 500
