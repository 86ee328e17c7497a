"""Screening: false data is marked and earns nothing; real series pass."""

from __future__ import annotations

import csv
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from backend.day.embedded import simbench_profiles
from oracle.node.expect import build_bundle, judge
from oracle.node.ledger import Ledger
from oracle.node.store import Store
from oracle.wire import memory as wire_memory
from oracle.wire.machine import Machine
from oracle.wire.reading import NO_AGREEMENT, Quality, Reading
from oracle.wire.screen import (
    MATCHES,
    STUCK_AFTER,
    WINDOW,
    Metered,
    Suspicion,
    is_sentinel,
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


class Memory(wire_memory.Memory):
    """A history that reports."""

    def report(self, items: list[Reading], meters: Mapping[int, Metered]) -> dict[tuple[int, int], Suspicion]:
        """Screens one report's readings and takes them in."""
        found = screen(items, meters, self)
        self.absorb(items, meters)
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


# --- storage ----------------------------------------------------------------------
PLANT_1 = Metered(1_000_000, 1, plant_id=1)
EXPORT, STORE = 1, 2


def with_storage(
    slot: int, exported: int, charge: tuple[int, int], discharge: tuple[int, int], bought: int = 0
) -> list[Reading]:
    """A plant's export and its storage's (quantity, register) in a slot; `bought` is imported so far."""
    start = START + slot * SLOT
    rows = [(EXPORT, 1, exported, exported), (STORE, 5, *charge), (STORE, 6, *discharge)]
    if bought:
        rows.append((STORE, 2, 0, bought))
    return [
        Reading(CHAIN, meter, kind, NO_AGREEMENT, 4 * slot + kind, start, start + SLOT, quantity, register)
        for meter, kind, quantity, register in rows
    ]


def storage_days(*slots: tuple[int, tuple[int, int], tuple[int, int], int]) -> list[set[Suspicion]]:
    memory, meters = Memory(), {EXPORT: PLANT_1, STORE: PLANT_1}
    return [set(memory.report(with_storage(n, *slot), meters).values()) for n, slot in enumerate(slots)]


def test_a_storage_gives_less_than_its_plant_put_in() -> None:
    full = FULL // 2
    day_one = (0, (full, full), (0, 0), 0)
    assert storage_days(day_one, (full * 98 // 100, (0, full), (full * 98 // 100,) * 2, 0)) == [set(), set()]
    lossless = (full, (0, full), (full, full), 0)
    assert storage_days(day_one, lossless) == [set(), {Suspicion.STORAGE}]
    # half of the charge was bought from the grid: that half is nobody's green power
    grid = (0, (full, full), (0, 0), full // 2)
    given = full * 98 // 100
    assert storage_days(grid, (given, (0, full), (given, given), 0)) == [set(), {Suspicion.STORAGE}]
    half = full // 2 * 98 // 100
    assert storage_days(grid, (half, (0, full), (half, half), 0)) == [set(), set()]
    # more than storage and panels together can make
    assert storage_days(day_one, (full // 4, (0, full), (full // 2, full // 2), 0))[1] == {Suspicion.STORAGE}


def test_a_plant_with_storage_is_believed_only_together_with_it() -> None:
    memory, meters = Memory(), {EXPORT: PLANT_1, STORE: PLANT_1}
    whole = with_storage(0, FULL // 3, (0, 10), (0, 0))
    assert memory.report(whole, meters) == {}
    alone = with_storage(1, FULL // 3, (0, 10), (0, 0))
    for left_out in (1, 2):
        part = [item for number, item in enumerate(alone) if number != left_out]
        assert set(screen(part, meters, memory).values()) == {Suspicion.STORAGE}
    guessed = [item._replace(quality=1) if item.kind == 6 else item for item in alone]
    assert set(screen(guessed, meters, memory).values()) == {Suspicion.STORAGE}
    assert screen(alone, meters, memory) == {}
    gone = {EXPORT: PLANT_1, STORE: replace(PLANT_1, attested_until=START + SLOT)}
    assert screen(alone[:1], gone, memory) == {}, "a storage that is not attested any more is not waited for"


def test_a_site_with_storage_balances() -> None:
    store = 22
    meters = {21: SITE, 31: SITE, store: SITE}

    def slot(imported: int, charged: int, given: int) -> set[Suspicion]:
        items = site_slot(imported, 100_000)
        for kind, quantity in ((5, charged), (6, given)):
            items.append(
                Reading(CHAIN, store, kind, NO_AGREEMENT, kind, START, START + SLOT, quantity, quantity)
            )
        return set(screen(items, meters, Memory()).values())

    assert slot(120_000, 0, 0) == set()
    assert slot(20_000, 0, 90_000) == set(), "the jobs ran on storage"
    assert slot(20_000, 0, 70_000) == {Suspicion.MASS_BALANCE}
    assert slot(120_000, 30_000, 0) == {Suspicion.MASS_BALANCE}, "what was charged the jobs have not used"
    assert set(screen(site_slot(120_000, 100_000), meters, Memory()).values()) == set()


# --- machines ---------------------------------------------------------------------
def test_compute_beyond_the_measured_machine_is_not_believed() -> None:
    memory, meters = Memory(), {31: SITE}

    def jobs(*milliseconds: int) -> list[Reading]:
        return [
            Reading(CHAIN, 31, 4, bytes([n]) * 32, n, START, START + SLOT, quantity, quantity)
            for n, quantity in enumerate(milliseconds)
        ]

    assert screen(jobs(10**9), meters, memory) == {}, "a machine that never registered is not measured"
    memory.learn([Machine(CHAIN, 31, "cpu", "z", ("x",), 1_500, 1_000, 1, 50)])
    assert screen(jobs(900_000, 450_000), meters, memory) == {}
    assert set(screen(jobs(900_000, 450_001), meters, memory).values()) == {Suspicion.CAPACITY}
    memory.learn([Machine(CHAIN, 31, "cpu", "z", ("x",), 9_000, 1_000, 1, 50)])
    assert memory.milli_vcu(31) == 1_500, "the younger measurement stands"
    memory.learn([Machine(CHAIN, 31, "cpu", "z", ("x",), 2_000, 1_000, 1, 51)])
    assert screen(jobs(900_000, 900_000), meters, memory) == {}


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


def test_a_forbidden_measurement_earns_nothing_from_the_next_report_on(tmp_path: Path) -> None:
    known = facts()
    ledger = Ledger(Store(tmp_path / "node.sqlite"), known, CHAIN)
    ledger.take([signed(reading()), signed(reading(SITE_METER, 2))], END)
    due = ledger.due(END)
    assert judge(known, due, ledger.history)[0] == [Quality.ACTUAL] * 2
    rule = {"measurement": known.devices[PLANT_METER].measurement[0], "evidenceKind": 0}
    known.apply("MeasurementSet", {**rule, "allowed": False, "policyHash": bytes(32)})
    qualities, doubts = judge(known, due, ledger.history)
    assert qualities == [Quality.ESTIMATED] * 2 and set(doubts.values()) == {Suspicion.FORBIDDEN}
    known.apply("MeasurementSet", {**rule, "allowed": True, "policyHash": bytes(32)})
    assert judge(known, due, ledger.history)[0] == [Quality.ACTUAL] * 2


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
