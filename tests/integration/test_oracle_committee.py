"""Four committee processes and two agent processes against real contracts: faults, crashes, late readings."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from backend.chain.clients import Oracle, Registry
from backend.day.children import bitwatt_command
from oracle.agents.fleet import load_fleet
from oracle.client import CommitteeClient, QuorumMissing
from oracle.evidence import dev_root
from oracle.evidence.simulated import attest
from oracle.node.cosign import DeviceRequest, encode_device_requests
from oracle.wire.bundle import Bundle
from oracle.wire.keys import DeviceKey
from oracle.wire.outcomes import Outcome, unpack_outcomes
from oracle.wire.publication import CarbonDocument
from oracle.wire.reading import Envelope, Kind, encode_envelopes
from tests.integration.oracle_world import (
    ENERGY_WH,
    GENESIS,
    PLANT,
    PLANT_METER,
    SLOT,
    START,
    World,
    account,
)

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


def test_an_equivocating_member_is_proven_slashed_and_done_without(world: World) -> None:
    world.register()
    for number in range(4):
        world.start_node(number, fault="equivocate" if number == 2 else "")
    world.await_nodes()
    client = CommitteeClient(world.book_path, world.url, world.nodes)
    world.clear(client)
    world.write_fleet()
    world.attest(client)
    world.start_agents()
    oracle, liar = Oracle(world.book, world.rpc), account(world.members[2])
    assert oracle.read("bondOf", liar) == 1_000_000
    world.run_slot(0)
    world.until(lambda: oracle.read("bondOf", liar) == 0, 60, "the bond of the equivocator is gone")
    held = [httpx.get(f"{world.nodes[n]}/equivocations", trust_env=False).json() for n in (0, 1, 3)]
    proof = next(rows for rows in held if rows)[0]
    assert (proof["epoch"], proof["member"]) == (0, liar.lower())
    # whoever proves it a second time gets nothing, and a report must do without the slashed signature
    key = world.folder / "0.key"
    command = ("evidence", "slash", proof["proof"], "--rpc", world.url, "--key", str(key))
    again = subprocess.run(
        bitwatt_command(*command, "--book", str(world.book_path)), capture_output=True, check=False
    )
    assert again.returncode == 2 and b"bond" in again.stderr.lower()
    for slot in (1, 2, 3):
        world.run_slot(slot)
    assert [outcomes(bundle)[0] for bundle in world.bundles().values()] == [Outcome(1000, ENERGY_WH)] * 4


def refused_devices(world: World, client: CommitteeClient) -> None:
    """What the committee does not vouch for: policy of measurements and statuses, freshness, binding."""
    fleet, registry = load_fleet(world.write_fleet()), Registry(world.book)

    def enrol() -> int:
        return len(client.enrol(fleet, GENESIS + 20 * 86_400))

    world.owner.send([registry.set_tcb_status(0, "SWHardeningNeeded")])
    with pytest.raises(QuorumMissing, match="status UpToDate is not in the policy"):
        enrol()
    world.owner.send([registry.set_tcb_status(0, "UpToDate")])
    assert enrol() == 3
    world.owner.send([registry.set_measurement(dev_root.MEASUREMENTS["workload"], 0, False)])
    with pytest.raises(QuorumMissing, match=r"measurement 0x\w+ is not in the policy"):
        enrol()
    block = world.rpc.call("eth_getBlockByNumber", "latest", False)
    collateral = dev_root.collateral(GENESIS - GENESIS % 86_400)
    key, other = (DeviceKey.from_seed(seed).public for seed in (b"one", b"other"))
    fresh = attest("meter", key, PLANT_METER, bytes.fromhex(block["hash"][2:]), collateral, 31337)
    for document, problem in (
        (attest("meter", key, PLANT_METER, bytes(32), collateral, 31337), "the hash of no block"),
        (replace(fresh, x=other.x, y=other.y), "a quote of another key"),
        (replace(fresh, meter_id=PLANT_METER + 1), "a quote of another key"),
        (replace(fresh, collateral_hash=bytes(32)), "collateral is not the one"),
    ):
        request = DeviceRequest(document.encode(), 2, PLANT, GENESIS + 20 * 86_400)
        body = encode_device_requests([request], collateral)
        answer = httpx.post(f"{world.nodes[0]}/cosign/devices", content=body, trust_env=False, timeout=30)
        assert problem in answer.json()["results"][0]["problem"]


def full_disk(world: World) -> None:
    """A store that takes no more says 507 and goes on where it has room again."""
    node = world.nodes[3]
    rubbish = [
        encode_envelopes([Envelope(bytes((n, k % 256, k // 256)) * 40, bytes(64)) for k in range(500)])
        for n in range(32)
    ]
    answers = [httpx.post(f"{node}/readings", content=body, trust_env=False, timeout=60) for body in rubbish]
    codes = [answer.status_code for answer in answers]
    assert codes[0] == 200 and codes[-1] == 507 and set(codes) == {200, 507}
    assert "keep the readings and send them again" in answers[-1].json()["problem"]
    assert (world.health(3) or {})["quarantined"] == 500 * codes.count(200), (
        "a body is taken whole or not at all"
    )
    assert 'event="store full"' in httpx.get(f"{node}/metrics", trust_env=False).text
    world.kill("node 3")
    world.start_node(3, max_store_mib=64)
    world.await_nodes()
    assert httpx.post(f"{node}/readings", content=rubbish[-1], trust_env=False, timeout=60).status_code == 200


def test_what_nodes_refuse(world: World) -> None:
    world.register()
    for number in range(4):
        world.start_node(number, max_store_mib=1 if number == 3 else 0)
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
    refused_devices(world, client)
    full_disk(world)
