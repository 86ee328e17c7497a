"""What the meters read: full delivery costs nobody anything, faults cost exactly what they take away."""

from __future__ import annotations

from collections import defaultdict

import pytest
from small_day import SLOTS, START, small_day

from backend.chain.eip712 import Domain
from backend.day.book import to_book
from backend.day.keys import Keyring
from backend.day.stages import chunks, clearing, faults, physics
from backend.day.stages.signing import sign_day
from backend.market.clearing import clear
from backend.market.domain import Book, Solution
from backend.market.runs import runs_of_fills
from oracle.wire.outcomes import PlantPosition, RunPosition, SlotReadings, slot_outcomes, unpack_outcomes

Cleared = tuple[Book, Solution, list[chunks.Chunk]]


@pytest.fixture(scope="module")
def cleared() -> Cleared:
    day = small_day()
    signed = sign_day(day, Keyring(0, 31337), Domain(31337, "0x" + "22" * 20), START)
    book = to_book(day, signed.ids())
    solution = clear(book)
    return book, solution, chunks.make_chunks(book, runs_of_fills(solution.fills), signed.orders)


def outcomes(
    cleared: Cleared, planned: list[faults.Fault]
) -> dict[tuple[int, int], tuple[int, int, RunPosition]]:
    """(slot, agreement) -> (delivered milli-lanes, matched Wh, run), by the committee's own rule."""
    book, solution, cut = cleared
    day = small_day()
    site_of = {d.meter_id: d.asset_id for d in physics.devices_of(day) if d.asset_kind == physics.SITE_IMPORT}
    plant_of = {d.meter_id: d.asset_id for d in physics.devices_of(day) if d.asset_kind == physics.PLANT}
    tables: dict[int, dict[int, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    for sample in physics.samples(day, book, solution.sold, 1, cut, planned, seed=3):
        if sample.delay_slots:
            continue
        key = {2: site_of, 1: plant_of}.get(sample.kind, {}).get(sample.meter_id, sample.agreement)
        tables[sample.slot][sample.kind][key] = sample.quantity
    result = {}
    for slot in range(SLOTS):
        runs = []
        for chunk in cut:
            for index in chunk.active_runs(slot):
                _, offer, mode, _, _, lanes = chunk.runs[index]
                o = book.compute_offers[offer]
                runs.append(
                    RunPosition(
                        chunk.index, index, o.site_id, o.zone_id, mode, lanes, o.energy_wh_per_vcu_slot
                    )
                )
        plants = [
            PlantPosition(o.plant_id, o.zone_id, int(solution.sold[row, slot]))
            for row, o in enumerate(book.power_offers)
            if o.source
        ]
        seen = tables[slot]
        packed = slot_outcomes(1, 900, runs, plants, SlotReadings(seen[3], seen[4], seen[2], seen[1]))
        found = {chunk: unpack_outcomes(data) for chunk, data in packed.items()}
        for chunk_index, values in found.items():
            mine = [run for run in runs if run.chunk_index == chunk_index]
            for run, value in zip(mine, values, strict=True):
                agreement = 1 << 64 | chunk_index << 32 | run.run_index
                result[slot, agreement] = (value.delivered_milli_lanes, value.matched_wh, run)
    return result


def test_without_faults_everything_is_delivered_and_matched(cleared: Cleared) -> None:
    found = outcomes(cleared, [])
    assert len(found) == sum(row[4] - row[3] for chunk in cleared[2] for row in chunk.runs)
    for delivered, matched, run in found.values():
        assert delivered == 1000 * run.lanes
        assert matched == (run.energy_wh if run.mode else 0)


def test_the_planned_faults_take_away_exactly_what_they_say(cleared: Cleared) -> None:
    book, solution, _ = cleared
    planned = faults.plan_faults(0, book, clearing.site_load(book, solution), solution.sold, 3)
    assert [fault.kind for fault in planned] == [
        "under_delivery",
        "forecast_miss",
        "late_meter",
        "lying_node",
    ]
    site, plant, late, node = planned
    assert node.target == 3 and plant.target != late.target
    found = outcomes(cleared, planned)
    for (slot, _), (delivered, matched, run) in found.items():
        hit = run.site_id == site.target and slot in site.slots
        left = site.ppm[site.slots.index(slot)] if hit else 1_000_000
        assert delivered == 1000 * run.lanes * left // 1_000_000
        if slot in plant.slots or slot in late.slots:
            continue
        if run.mode:
            assert matched <= run.energy_wh and (hit or matched == run.energy_wh)
    short = [slot for (slot, _), (_, m, run) in found.items() if run.mode and m < run.energy_wh]
    assert set(short) >= set(plant.slots) | set(late.slots)


def test_faults_are_the_seeds(cleared: Cleared) -> None:
    book, solution, _ = cleared
    load = clearing.site_load(book, solution)
    plans = {repr(faults.plan_faults(seed, book, load, solution.sold, 3)) for seed in range(12)}
    assert len(plans) > 1
    assert faults.plan_faults(5, book, load, solution.sold, 3) == faults.plan_faults(
        5, book, load, solution.sold, 3
    )


def test_an_empty_market_has_no_delivery_faults(cleared: Cleared) -> None:
    book, solution, _ = cleared
    planned = faults.plan_faults(0, book, {}, solution.sold * 0, 3)
    assert [fault.kind for fault in planned] == ["lying_node"]


def test_green_factor_is_the_weighted_mean_rounded_up(cleared: Cleared) -> None:
    book, solution, _ = cleared
    factor = clearing.green_factor(book, solution)
    for slot in range(SLOTS):
        greens = [
            (int(solution.sold[row, slot]), offer.emission_g_per_kwh)
            for row, offer in enumerate(book.power_offers)
            if offer.source
        ]
        energy = sum(wh for wh, _ in greens)
        carbon = sum(wh * g for wh, g in greens)
        assert factor[0, slot] * energy >= carbon > (factor[0, slot] - 1) * energy
