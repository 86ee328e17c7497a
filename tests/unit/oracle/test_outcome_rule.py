"""The outcome rule by hand: F2, F9 and the delivered part of F15."""

from __future__ import annotations

import pytest

from oracle.wire.outcomes import (
    Outcome,
    PlantPosition,
    RunPosition,
    SlotReadings,
    agreement_bytes,
    agreement_id,
    coverage,
    delivered_milli_lanes,
    drawn_mwh,
    facility_wh,
    slot_outcomes,
    slot_readings,
    unpack_outcomes,
)
from oracle.wire.reading import Leaf, Reading

GREEN = RunPosition(0, 0, site_id=1, zone_id=0, mode=1, lanes=10, energy_wh_per_vcu_slot=110)
JOB = agreement_id(1, 0, 0)
FULL = PlantPosition(plant_id=1, zone_id=0, sold_wh=1100)


def outcome(
    it_mwh: int = 917_000, ms: int = 9_000_000, site_mwh: int = 1_100_400, plant_mwh: int = 1_100_000
) -> Outcome:
    readings = SlotReadings({JOB: it_mwh}, {JOB: ms}, {1: site_mwh}, {1: plant_mwh})
    return unpack_outcomes(slot_outcomes(1, 900, [GREEN], [FULL], readings)[0])[0]


def test_full_delivery() -> None:
    assert outcome() == Outcome(10_000, 1100)


def test_compute_is_rounded_down_and_capped() -> None:
    assert delivered_milli_lanes(10, 8_999_999, 900) == 9_999
    assert delivered_milli_lanes(10, 99_000_000, 900) == 10_000
    assert outcome(ms=0).delivered_milli_lanes == 0


def test_matched_is_limited_by_use_by_plant_and_by_what_was_bought() -> None:
    assert outcome(it_mwh=500_000, site_mwh=600_999).matched_wh == 600
    assert outcome(plant_mwh=550_999).matched_wh == 550
    assert outcome(it_mwh=9_000_000, site_mwh=9_000_000, plant_mwh=9_000_000).matched_wh == 1100


def test_pue_is_never_below_one() -> None:
    assert facility_wh(500_000, 1_000_000, drawn_mwh(1_000_000, 1_300_000)) == 650
    assert facility_wh(500_000, 1_000_000, drawn_mwh(1_000_000, 900_000)) == 500
    assert facility_wh(500_000, 500_000, drawn_mwh(500_000, 0)) == 500
    assert facility_wh(0, 0, drawn_mwh(0, 700_000)) == 0


@pytest.mark.parametrize(
    ("it", "imported", "charge", "discharge", "drawn"),
    [
        (1_000, 1_200, 0, 0, 1_200),
        (1_000, 1_700, 500, 0, 1_200),  # what was charged no job has used
        (1_000, 700, 0, 500, 700),  # what came out of storage was drawn in another slot
        (1_000, 0, 0, 1_200, 0),  # all of it from storage
        (1_000, 0, 0, 300, 700),  # no import reading: PUE 1
        (1_000, 1_300, 400, 300, 900),  # both: the loss is nobody's
    ],
)
def test_storage_is_apart_from_what_is_matched(
    it: int, imported: int, charge: int, discharge: int, drawn: int
) -> None:
    assert drawn_mwh(it, imported, charge, discharge) == drawn


def test_grey_matches_nothing() -> None:
    run = RunPosition(0, 0, 1, 0, 0, 10, 110)
    readings = SlotReadings({JOB: 917_000}, {JOB: 9_000_000}, {1: 1_100_400}, {1: 1_100_000})
    assert unpack_outcomes(slot_outcomes(1, 900, [run], [FULL], readings)[0]) == [Outcome(10_000, 0)]


def test_missing_readings_count_as_zero() -> None:
    assert slot_outcomes(1, 900, [GREEN], [FULL], SlotReadings()) == {0: bytes(8)}
    assert slot_outcomes(1, 900, [], [FULL], SlotReadings()) == {}


def test_a_plant_that_over_delivers_does_not_cover_another() -> None:
    positions = [PlantPosition(1, 0, 100), PlantPosition(2, 0, 100)]
    assert coverage(positions, {1: 500_000, 2: 40_999}) == {0: (140, 200)}


def leaf(
    kind: int, meter: int, quantity: int, quality: int = 0, start: int = 0, agreement: bytes = bytes(32)
) -> Leaf:
    reading = Reading(31337, meter, kind, agreement, 0, start, start + 900, quantity, quantity, quality)
    return Leaf(reading, quality, bytes(32), bytes(32), bytes(32))


def test_only_actual_readings_of_the_slot_count() -> None:
    job = agreement_bytes(1, 0, 0)
    leaves = [
        leaf(1, 11, 5),
        leaf(1, 12, 6),
        leaf(1, 11, 70, quality=1),
        leaf(1, 11, 70, start=900),
        leaf(1, 13, 70),
        leaf(2, 21, 8),
        leaf(2, 11, 80),
        leaf(3, 31, 9, agreement=job),
        leaf(4, 31, 10, agreement=job),
        leaf(7, 31, 11, agreement=job),
    ]
    readings = slot_readings(leaves, 0, 900, site_of={21: 2}, plant_of={11: 1, 12: 1})
    assert dict(readings.generation_mwh) == {1: 11}
    assert dict(readings.import_mwh) == {2: 8}
    assert dict(readings.it_energy_mwh) == {JOB: 9}
    assert dict(readings.compute_ms) == {JOB: 10}
