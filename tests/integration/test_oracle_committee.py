"""Four committee processes and two agent processes against real contracts: faults, crashes, late readings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backend.chain.clients import Registry
from oracle.client import CommitteeClient, QuorumMissing
from oracle.wire.bundle import Bundle
from oracle.wire.outcomes import Outcome, unpack_outcomes
from oracle.wire.publication import CarbonDocument
from oracle.wire.reading import Kind
from tests.integration.oracle_world import ENERGY_WH, PLANT_METER, SLOT, START, World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LATE_SLOT = 2


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, slots=8, orders=4)
    yield made
    made.close()


def late(slot: int, row: dict[str, int]) -> dict[str, int]:
    """Slot 2's plant reading comes two slots late; slot 3 delivers half of what was sold."""
    if slot == LATE_SLOT:
        return {**row, "delay_seconds": 2 * SLOT}
    if slot == 3:
        return {**row, "quantity": 2 * ENERGY_WH * 1000 // 2}
    return row


def outcomes(bundle: Bundle) -> list[Outcome]:
    return unpack_outcomes(bundle.outcomes[0].packed)


def plant_slots(bundle: Bundle) -> list[int]:
    return [
        (leaf.reading.start - START) // SLOT
        for leaf in bundle.leaves()
        if leaf.reading.kind == Kind.GENERATION
    ]


def test_a_day_with_a_liar_a_crash_and_a_late_meter(world: World) -> None:
    world.register()
    for number in range(4):
        world.start_node(number, fault="lie" if number == 1 else "")
    world.await_nodes()
    client = CommitteeClient(world.book_path, world.url, world.nodes)
    world.clear(client)
    world.write_fleet(late)
    world.attest(client)
    assert Registry(world.book, world.rpc).read("device", PLANT_METER)[4] > START
    world.start_agents()

    world.run_slot(0)
    world.run_slot(1)
    # slot 2: the plant's reading is late; the epoch closes only after its grace
    world.clock.advance_to(START + 3 * SLOT)
    honest = (0, 2, 3)
    world.until(
        lambda: all((world.health(n) or {}).get("missing") == 1 for n in honest),
        60,
        "only one reading missing",
    )
    assert world.next_epoch() == 2
    world.clock.advance_to(START + 3 * SLOT + 600)
    world.until(lambda: world.next_epoch() == 3, 60, "epoch 2 without the late reading")
    # slot 3: a node dies in the middle of the work and comes back later
    world.kill("node 3")
    world.until(lambda: True, 1, "")
    world.start_node(3)
    world.clock.advance_to(START + 4 * SLOT)
    world.until(lambda: world.next_epoch() == 4, 90, "epoch 3 while node 3 restarts")
    world.run_slot(4)
    world.await_nodes()
    # slots 5 to 7: an agent dies and comes back; nothing is lost or sent twice
    world.kill("workload")
    world.start("workload", "workload", "--fleet", str(world.folder / "fleet.json"))
    for slot in (5, 6, 7):
        world.run_slot(slot)

    bundles = world.bundles()
    assert sorted(bundles) == list(range(8))
    full = [Outcome(1000, ENERGY_WH), Outcome(1000, 0)] * 2
    for epoch, bundle in bundles.items():
        expected = {LATE_SLOT: 0, 3: ENERGY_WH // 2}.get(epoch, ENERGY_WH)
        assert outcomes(bundle) == [
            Outcome(o.delivered_milli_lanes, min(o.matched_wh, expected)) for o in full
        ]
    # the late reading stands once, in a later epoch, with its own interval
    places = {epoch: plant_slots(bundle) for epoch, bundle in bundles.items()}
    assert places[LATE_SLOT] == []
    assert sorted(slot for slots in places.values() for slot in slots) == list(range(8))
    assert [epoch for epoch, slots in places.items() if LATE_SLOT in slots] == [4]
    # every meter's sequence is complete and unique over all reports
    seen: dict[int, list[int]] = {}
    for bundle in bundles.values():
        for leaf in bundle.leaves():
            seen.setdefault(leaf.reading.meter_id, []).append(leaf.reading.seq)
    assert all(sorted(sequence) == list(range(len(sequence))) for sequence in seen.values())
    world.until(lambda: all((world.health(n) or {}).get("unreported") == 0 for n in honest), 30, "all booked")
    assert {(world.health(n) or {})["accepted"] for n in honest} == {8 * (2 * 4 + 2)}


def test_what_nodes_refuse(world: World) -> None:
    world.register()
    for number in range(4):
        world.start_node(number)
    world.await_nodes()
    client = CommitteeClient(world.book_path, world.url, world.nodes)
    node = world.nodes[0]
    with httpx.Client(trust_env=False, timeout=30) as http:
        assert http.post(f"{node}/readings", content=b"\x81\x82\x41").status_code == 400
        assert http.post(f"{node}/readings", content=bytes(10 << 20)).status_code == 413
        assert http.post(f"{node}/peer/propose", content=b"\xa0").status_code == 400
        assert http.post(f"{node}/peer/unknown", content=b"").status_code == 404
        assert http.get(f"{node}/bundles/{'00' * 32}").status_code == 404
        assert "bitwatt_oracle_chain_time_seconds" in http.get(f"{node}/metrics").text
        assert http.get(f"{node}/quarantine").json() == []
    good = CarbonDocument(START, SLOT, ((400,) * 8,)).encode()
    client.publication(good)
    client.publication(good)
    with pytest.raises(QuorumMissing, match="another table is signed already"):
        client.publication(CarbonDocument(START, SLOT, ((401,) * 8,)).encode())
    with pytest.raises(QuorumMissing, match="above any grid"):
        client.publication(CarbonDocument(START + SLOT, SLOT, ((2001,),)).encode())
    with pytest.raises(QuorumMissing, match="has begun"):
        client.publication(CarbonDocument(START - 100 * SLOT, SLOT, ((400,),)).encode())
