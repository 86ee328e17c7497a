"""Faults injected into real generation series, and how many of them the screening of readings notices.

A trial feeds one plant's history to `oracle.wire.screen`, as a committee node does report by report, and then
an interval of false data that is signed, continuous and within nameplate. Caught: at least one reading of the
interval is not believed. False alarm: a reading of a series as it is, that is not believed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from oracle.wire.memory import Memory
from oracle.wire.reading import NO_AGREEMENT, Reading
from oracle.wire.screen import Metered, screen

SENTINEL_MWH = 65_535_000
HISTORY = 4 * 96
Values = Sequence[int]


@dataclass(frozen=True, slots=True)
class Plant:
    """A metered series: mWh in each slot of `slot_seconds`, without gaps."""

    name: str
    meter: Metered
    slot_seconds: int
    values: tuple[int, ...]


def _doubted(memory: Memory, items: Sequence[Reading], meters: Mapping[int, Metered]) -> set[int]:
    """Meters whose reading of this report is not believed; takes the report in."""
    found = screen(items, meters, memory)
    memory.absorb(items, meters)
    return {meter for meter, _ in found}


def _reading(meter_id: int, slot: int, quantity: int, slot_seconds: int) -> Reading:
    start = slot * slot_seconds
    return Reading(31337, meter_id, 1, NO_AGREEMENT, slot, start, start + slot_seconds, quantity, 0)


def false_alarms(plants: Sequence[Plant]) -> tuple[int, int]:
    """(readings not believed, readings) of series as they are, all plants of one step in one report."""
    alarms = total = 0
    steps = sorted({plant.slot_seconds for plant in plants})
    for step in steps:
        group = [plant for plant in plants if plant.slot_seconds == step]
        meters, memory = {number: plant.meter for number, plant in enumerate(group)}, Memory()
        for slot in range(max(len(plant.values) for plant in group)):
            items = [
                _reading(number, slot, plant.values[slot], step)
                for number, plant in enumerate(group)
                if slot < len(plant.values)
            ]
            alarms, total = alarms + len(_doubted(memory, items, meters)), total + len(items)
    return alarms, total


# --- faults -------------------------------------------------------------------------------
def _full(plant: Plant) -> int:
    return plant.meter.nameplate_w * plant.slot_seconds * 1000 // 3600


def _capped(plant: Plant, values: Sequence[int]) -> list[int]:
    return [max(0, min(_full(plant), value)) for value in values]


def stuck(plant: Plant, at: int, chance: random.Random, other: Plant) -> list[int]:
    """The sensor freezes."""
    return [plant.values[at]] * 12


def sentinel(plant: Plant, at: int, chance: random.Random, other: Plant) -> list[int]:
    """The value a device gives when it has none."""
    return [SENTINEL_MWH]


def jump(plant: Plant, at: int, chance: random.Random, other: Plant) -> list[int]:
    """Full load out of nothing, for one interval."""
    return [_full(plant)]


def replay(plant: Plant, at: int, chance: random.Random, other: Plant) -> list[int]:
    """A better day of its own, scaled."""
    back, scale = at - 96 * chance.randrange(1, 4), chance.uniform(0.8, 1.2)
    return _capped(plant, [round(value * scale) for value in plant.values[back : back + 48]])


def copied(plant: Plant, at: int, chance: random.Random, other: Plant) -> list[int]:
    """What another plant reports in the same slots, scaled to this one's size."""
    scale = plant.meter.nameplate_w / other.meter.nameplate_w * chance.uniform(0.8, 1.1)
    return _capped(plant, [round(value * scale) for value in other.values[at : at + 48]])


def gain(plant: Plant, at: int, chance: random.Random, other: Plant) -> list[int]:
    """A fifth more than was generated."""
    return _capped(plant, [value * 6 // 5 for value in plant.values[at : at + 48]])


def invented(plant: Plant, at: int, chance: random.Random, other: Plant) -> list[int]:
    """A made-up smooth day with noise: plausible, and never measured."""
    level = [plant.values[at]]
    for _ in range(47):
        level.append(round(level[-1] + chance.gauss(0, 0.03) * _full(plant)))
    return _capped(plant, level)


Fault = Callable[[Plant, int, random.Random, Plant], list[int]]
FAULTS: Mapping[str, Fault] = {
    "stuck value": stuck,
    "sentinel": sentinel,
    "jump": jump,
    "replayed day": replay,
    "copied plant": copied,
    "gain of a fifth": gain,
    "invented values": invented,
}


def caught(plant: Plant, other: Plant, fault: Fault, chance: random.Random) -> bool | None:
    """Whether a fault at a random slot with generation is noticed; None where there is no such slot."""
    least = _full(plant) // 10
    slots = [
        slot
        for slot in range(HISTORY, min(len(plant.values), len(other.values)) - 48)
        if least < plant.values[slot] < 9 * least
    ]
    if not slots:
        return None
    at = chance.choice(slots)
    values = fault(plant, at, chance, other)
    meters, memory = {1: plant.meter, 2: other.meter}, Memory()
    hit = False
    for slot in range(at - HISTORY, at + len(values)):
        own = plant.values[slot] if slot < at else values[slot - at]
        items = [
            _reading(2, slot, other.values[slot], plant.slot_seconds),
            _reading(1, slot, own, plant.slot_seconds),
        ]
        doubted = _doubted(memory, items, meters)
        hit = hit or (slot >= at and bool(doubted))
    return hit


def measure(plants: Sequence[Plant], trials: int, seed: int) -> dict[str, object]:
    """Detection by kind of fault, and the false-alarm rate per reading."""
    alarms, total = false_alarms(plants)
    rows = []
    for name, fault in FAULTS.items():
        chance = random.Random(f"{seed}/{name}")
        verdicts: list[bool] = []
        for _ in range(20 * trials):
            if len(verdicts) == trials:
                break
            plant = chance.choice(plants)
            others = [one for one in plants if one.slot_seconds == plant.slot_seconds and one is not plant]
            verdict = caught(plant, chance.choice(others), fault, chance) if others else None
            verdicts += [] if verdict is None else [verdict]
        rows.append({"fault": name, "trials": len(verdicts), "caught": sum(verdicts)})
    figures = {
        "detection_rate": round(sum(r["caught"] for r in rows) / max(1, sum(r["trials"] for r in rows)), 4),  # type: ignore[misc]
        "false_alarm_rate": round(alarms / max(total, 1), 6),
        "clean_readings": total,
        "false_alarms": alarms,
    }
    return {"figures": figures, "rows": rows, "plants": [plant.name for plant in plants]}
