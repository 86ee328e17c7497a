"""Screening: false data is marked and earns nothing; real series pass."""

from __future__ import annotations

import csv
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from backend.day.embedded import simbench_profiles
from oracle.node.expect import build_bundle
from oracle.node.ledger import Ledger
from oracle.node.store import Store
from oracle.wire.reading import NO_AGREEMENT, Quality, Reading
from oracle.wire.screen import (
    MATCHES,
    STUCK_AFTER,
    WINDOW,
    Metered,
    Suspicion,
    contiguous,
    fingerprint,
    is_sentinel,
    keep,
    screen,
)
from tests.unit.oracle.oracle_facts import (
    CHAIN,
    END,
    JOB,
    PLANT,
    PLANT_METER,
    SITE_METER,
    SLOT,
    START,
    WORKLOAD,
    device,
    facts,
    reading,
    signed,
)

SHARED = Path(__file__).parents[3].parent / "shared" / "data" / "generation"
PV = Metered(nameplate_w=1_000_000, source=1)
FULL = 1_000_000 * SLOT * 1000 // 3600


class Memory:
    """A history in memory."""

    def __init__(self) -> None:
        self.tails: defaultdict[int, list[Reading]] = defaultdict(list)
        self.marks: dict[int, tuple[int, int]] = {}

    def tail(self, meter_id: int) -> list[Reading]:
        return self.tails[meter_id]

    def origin(self, mark: int) -> tuple[int, int] | None:
        return self.marks.get(mark)

    def report(self, items: list[Reading], meters: Mapping[int, Metered]) -> dict[tuple[int, int], Suspicion]:
        """Screens one report's readings and takes them in."""
        found = screen(items, meters, self)
        for item in items:
            tail = self.tails[item.meter_id]
            mark = fingerprint(contiguous(tail, item)[-WINDOW:], meters[item.meter_id])
            if mark is not None:
                self.marks.setdefault(mark, (item.meter_id, item.end))
            keep(tail, item)
        return found


def generation(meter_id: int, slot: int, quantity: int, seq: int | None = None) -> Reading:
    start = START + slot * SLOT
    return Reading(
        CHAIN,
        meter_id,
        1,
        NO_AGREEMENT,
        slot if seq is None else seq,
        start,
        start + SLOT,
        quantity,
        quantity,
    )


def run(
    memory: Memory, meter_id: int, values: Iterable[int], first: int = 0, meter: Metered = PV
) -> list[Suspicion | None]:
    """One meter's values slot by slot, each as a report of its own."""
    found = []
    for slot, quantity in enumerate(values, start=first):
        item = generation(meter_id, slot, quantity)
        found.append(memory.report([item], {meter_id: meter}).get((meter_id, slot)))
    return found


def day(seed: int, scale: float = 1.0, offset: int = 0) -> list[int]:
    """A cloudy day of a plant, mWh in each slot."""
    chance = random.Random(seed)
    bell = [max(0.0, 1 - ((slot - 48) / 24) ** 2) for slot in range(96)]
    return [int(scale * FULL * 0.7 * height * chance.uniform(0.6, 1)) + offset for height in bell]


def test_different_days_pass() -> None:
    memory = Memory()
    for number in range(8):
        assert set(run(memory, 1, day(number), 96 * number)) == {None}


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0), (0.83, 0), (1.07, 0), (1.0, 1_000_000), (0.6, 777)])
@pytest.mark.parametrize("shift", [0, 1, 17])
def test_a_scaled_and_shifted_copy_of_another_day(scale: float, offset: int, shift: int) -> None:
    memory = Memory()
    assert set(run(memory, 1, day(1))) == {None}
    copy = [value + offset for value in day(1, scale)]
    found = run(memory, 1, copy, 96 + shift)
    caught = [index for index, doubt in enumerate(found) if doubt == Suspicion.REPLAY]
    light = sum(1 for value in day(1) if value)
    assert caught and caught[0] <= 24 + WINDOW + MATCHES
    assert len(caught) >= light - WINDOW - MATCHES - 2


def test_a_copy_of_another_plant_in_the_same_slots() -> None:
    memory = Memory()
    meters = {1: PV, 2: PV}
    found: Counter[tuple[int, Suspicion]] = Counter()
    for slot, (value, copy) in enumerate(zip(day(1), day(1, 0.5), strict=True)):
        doubts = memory.report([generation(1, slot, value), generation(2, slot, copy)], meters)
        found.update((meter, doubt) for (meter, _), doubt in doubts.items())
    assert set(found) == {(2, Suspicion.DUPLICATE)}, "the meter that was registered first is the original"


def test_stuck_values() -> None:
    level = FULL // 3
    assert run(Memory(), 1, [level] * 8) == [None] * (STUCK_AFTER - 1) + [Suspicion.STUCK] * 3
    assert set(run(Memory(), 1, [0] * 20)) == {None}, "night"
    assert set(run(Memory(), 1, [FULL] * 20)) == {None}, "full load"
    assert set(run(Memory(), 1, [level] * 20, meter=Metered(1_000_000, 3))) == {None}, "hydro runs level"
    assert set(run(Memory(), 1, [level, level + 1] * 10)) == {None}


def test_ramps() -> None:
    assert run(Memory(), 1, [0, FULL * 9 // 10]) == [None, Suspicion.RAMP]
    assert run(Memory(), 1, [0, FULL * 8 // 10]) == [None, None]
    assert run(Memory(), 1, [FULL, 0], meter=Metered(1_000_000, 3)) == [None, None]


@pytest.mark.parametrize(
    "value", [65_535, 6_553_500, 32_767_000, 999_999, 2**32 - 1, 2**31 - 1, 65_535 * 10**9]
)
def test_sentinels(value: int) -> None:
    assert is_sentinel(value)
    assert run(Memory(), 1, [value], meter=Metered(10**15, 3)) == [Suspicion.SENTINEL]


def test_plain_values_are_no_sentinels() -> None:
    assert not any(map(is_sentinel, (1, 99, 440_000, 110_000, 250_000_000, 65_534, 999_998)))


def test_gaps_and_late_readings_do_not_confuse_the_tail() -> None:
    memory = Memory()
    run(memory, 1, day(1)[:40])
    assert memory.report([generation(1, 41, 5)], {1: PV}) == {}
    assert memory.report([generation(1, 40, 5)], {1: PV}) == {}
    assert [item.seq for item in memory.tail(1)][-3:] == [39, 40, 41]


# --- sites ------------------------------------------------------------------------
SITE = Metered(2_000_000, None, site_id=1)


def site_slot(imported: int, *jobs: int) -> list[Reading]:
    items = [Reading(CHAIN, 21, 2, NO_AGREEMENT, 0, START, START + SLOT, imported, imported)]
    for number, used in enumerate(jobs):
        agreement = number.to_bytes(32, "big")
        items.append(Reading(CHAIN, 31, 3, agreement, number, START, START + SLOT, used, used))
    return items


@pytest.mark.parametrize(
    ("imported", "jobs", "doubted"),
    [
        (120_000, (50_000, 50_000), False),
        (100_000, (50_000, 50_000), False),
        (99_999, (50_000, 50_000), True),  # PUE below 1
        (500_000_000, (50_000, 50_000), True),  # a spike that no job explains
        (100_000_000, (50_000, 50_000), False),  # idle energy
        (0, (), False),
    ],
)
def test_mass_balance_of_a_site(imported: int, jobs: tuple[int, ...], doubted: bool) -> None:
    found = screen(site_slot(imported, *jobs), {21: SITE, 31: SITE}, Memory())
    assert found == ({(21, 0): Suspicion.MASS_BALANCE} if doubted else {})


# --- the node ---------------------------------------------------------------------
def test_what_is_doubted_is_reported_and_earns_nothing(tmp_path: Path) -> None:
    known = facts()
    ledger = Ledger(Store(tmp_path / "node.sqlite"), known, CHAIN)
    items = [
        reading(quantity=65_535),
        reading(SITE_METER, 2, quantity=220_000),
        reading(WORKLOAD, 3, quantity=180_000, register=180_000, seq=0, agreement=JOB),
        reading(WORKLOAD, 4, quantity=1_800_000, register=1_800_000, seq=1, agreement=JOB),
    ]
    assert ledger.take([signed(item) for item in items], END).accepted == 4
    due = ledger.due(END)
    bundle, leaves = build_bundle(known, CHAIN, 0, START, START + SLOT, due, ledger.history)
    qualities = {(leaf.reading.meter_id, leaf.reading.kind): leaf.quality for leaf in leaves}
    assert qualities[PLANT_METER, 1] == Quality.MISSING and qualities[SITE_METER, 2] == Quality.ACTUAL
    assert bundle.outcomes[0].packed[4:8] == bytes(4), "no Wh is matched"
    ledger.book(0, list(ledger.open))
    assert ledger._store.suspicions() == [(0, PLANT_METER, 0, "sentinel")]
    assert Ledger(ledger._store, known, CHAIN).counters["suspected sentinel"] == 1


def test_a_restart_remembers_tails_and_fingerprints(tmp_path: Path) -> None:
    known = facts()
    device(known, PLANT_METER, 2, PLANT, until=START + 10**6)
    store = Store(tmp_path / "node.sqlite")
    ledger = Ledger(store, known, CHAIN)
    values = [value // 1000 for value in day(3)]  # the plant has 1 kW
    register = 0
    for slot, value in enumerate(values):
        register += value
        begin = START + slot * SLOT
        ledger.take([signed(reading(slot=slot, quantity=value, register=register, start=begin))], END + 10**6)
        ledger.book(slot, list(ledger.open))
    again = Ledger(Store(tmp_path / "node.sqlite"), known, CHAIN)
    assert again.history.tail(PLANT_METER) == ledger.history.tail(PLANT_METER)
    for slot, value in enumerate(values, start=96):
        register += value
        begin = START + slot * SLOT
        again.take([signed(reading(slot=slot, quantity=value, register=register, start=begin))], END + 10**6)
        again.book(slot, list(again.open))
    copies = [why for _, _, _, why in store.suspicions()]
    assert copies.count("replay of another period") > 25


# --- real series --------------------------------------------------------------------
def simbench(column: str, days: int) -> list[int]:
    """The first quarter-hours of a profile with a nameplate of 1 MW, mWh."""
    with simbench_profiles().open(newline="") as stream:
        rows = csv.DictReader(stream, delimiter=";")
        return [int(float(row[column]) * FULL) for row, _ in zip(rows, range(96 * days), strict=False)]


@pytest.mark.parametrize(("column", "source"), [("PV1", 1), ("WP4", 2), ("WP7", 2)])
def test_a_fortnight_of_a_profile_passes(column: str, source: int) -> None:
    found = run(Memory(), 1, simbench(column, 14), meter=Metered(1_000_000, source))
    assert Counter(found) == {None: 96 * 14}


@pytest.fixture
def chinese_pv() -> Iterator[dict[str, list[tuple[str, float]]]]:
    path = SHARED / "cn_pv_15min.csv"
    if not path.is_file():
        pytest.skip("../shared/data is not here")
    series: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            series[row["site_id"]].append((row["interval_start_utc"], float(row["power_mw_raw"])))
    yield series


def test_another_year_of_a_real_plant_scaled_is_flagged(
    chinese_pv: dict[str, list[tuple[str, float]]],
) -> None:
    memory, meter = Memory(), Metered(50_000_000, 1)
    values = [max(0, round(power * 250_000_000)) for _, power in chinese_pv["CN_PV_1"]]
    genuine = run(memory, 1, values, meter=meter)
    assert Counter(genuine)[None] == len(values), "6 months of real data raise no false alarm"
    a_year = 35_040
    forged = [value * 107 // 100 for value in values[:2880]]
    found = Counter(run(memory, 1, forged, a_year, meter))
    assert found[Suspicion.REPLAY] > sum(1 for value in forged if value) * 3 // 4
