"""Readings by MQTT: through a broker that is lost and comes back, nothing is lost and every slot is whole."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.chain.anvil import free_port
from backend.day.children import bitwatt_command
from oracle.agents.fleet import device_key, load_fleet
from oracle.agents.machine import describe
from oracle.agents.register import register_machines
from oracle.client import CommitteeClient
from oracle.wire.keys import DeviceKey
from oracle.wire.machine import Machine, sign_machine
from oracle.wire.outcomes import Outcome, unpack_outcomes
from oracle.wire.reading import encode_envelope
from tests.integration.oracle_world import ENERGY_WH, PLANT_METER, SLOT, START, WORKLOAD, World, account

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]


def bitwatt(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of a command."""
    done = subprocess.run(bitwatt_command(*arguments, "--json"), capture_output=True, check=False)
    assert done.stdout, done.stderr.decode()[-2000:]
    return done.returncode, json.loads(done.stdout)


def check_evidence_pack(world: World) -> None:
    """The evidence of one agreement in one file, opened offline and beside the chain; then altered."""
    book, out = str(world.book_path), world.folder / "pack.json"
    archive = str(world.folder / "archive")
    chain = ("--rpc", world.url, "--book", book)
    made = bitwatt(
        "evidence", "export", "--agreement", str(1 << 64), "--archive", archive, "--out", str(out), *chain
    )
    assert made[0] == 0 and made[1]["slots"] == made[1]["due"] == world.slots
    code, verdict = bitwatt("evidence", "open", str(out))
    assert code == 0 and verdict["problems"] == [] and verdict["checks"] > 50
    assert [slot["matched_wh"] for slot in verdict["slots"]] == [ENERGY_WH] * 4
    assert [slot["delivered_milli_lanes"] for slot in verdict["slots"]] == [1000, 1000, 1000, 0]
    assert bitwatt("evidence", "open", str(out), *chain)[0] == 0
    assert bitwatt("audit", "pack", str(out)) == (0, verdict)

    def altered(change: Callable[[dict[str, Any]], None]) -> str:
        pack = json.loads(out.read_text())
        change(pack)
        path = world.folder / "altered.json"
        path.write_text(json.dumps(pack))
        code, verdict = bitwatt("evidence", "open", str(path))
        assert code == 1
        return " ".join(verdict["problems"])

    def outcome(pack: dict[str, Any]) -> None:
        row = pack["slots"][0]["outcome"]
        row["packed"] = row["packed"].replace("000003e8", "000003e9")

    def quality(pack: dict[str, Any]) -> None:
        pack["slots"][2]["readings"][0]["quality"] = 1

    def report(pack: dict[str, Any]) -> None:
        pack["slots"][2]["report"]["count"] += 1

    def committee(pack: dict[str, Any]) -> None:
        pack["members"][0] = "0x" + "11" * 20

    def evidence(pack: dict[str, Any]) -> None:
        name = next(iter(pack["evidence"]))
        pack["evidence"][name] += "00"

    def sold(pack: dict[str, Any]) -> None:
        pack["slots"][1]["plants"][0]["sold_wh"] *= 4

    def recorded(pack: dict[str, Any]) -> None:
        pack["devices"][0]["recorded_at"] += 90 * 86_400

    def collateral(pack: dict[str, Any]) -> None:
        name = next(iter(pack["collateral"]))
        pack["collateral"][name] += " "

    assert "F2, F9 and F15 give this outcome" in altered(sold)
    assert "its quote is genuine" in altered(recorded)
    assert "was altered" in altered(collateral)
    assert "the outcome is in the report" in altered(outcome)
    assert "it is in the report" in altered(quality)
    assert "a quorum signed the report" in altered(report)
    assert "names this committee" in altered(committee)
    assert "the document has its hash" in altered(evidence)
    pruned = bitwatt("archive", "prune", "--archive", archive, "--dry-run", *chain)
    assert pruned == (0, {"expired": 0, "orphans": 0, "evidence": 0, "deleted": 0})


def check_machine(world: World) -> None:
    """A machine registers itself with the key that is attested, and with no other. It has half a VCU."""
    fleet = load_fleet(world.folder / "fleet.json")
    device = next(item for item in fleet.devices if item.meter_id == WORKLOAD)
    machine = describe({"class": "cpu", "zone": "zone"}, 31337, WORKLOAD, seconds=0.02)
    machine = replace(machine, measured_mflops=machine.reference_mflops // 2)

    def post(key: DeviceKey, item: Machine) -> dict[str, Any]:
        body = encode_envelope(sign_machine(key, item))
        for node in world.nodes:
            answer: dict[str, Any] = httpx.post(f"{node}/machines", content=body, trust_env=False).json()
        return answer

    key = device_key(fleet, device)
    assert post(key, machine) == {"meter_id": WORKLOAD, "milli_vcu": machine.milli_vcu}
    assert "not signed" in post(DeviceKey.from_seed(b"other"), machine)["problem"]
    assert "another chain" in post(key, replace(machine, chain_id=1))["problem"]
    assert "no attested workload" in post(key, replace(machine, meter_id=PLANT_METER))["problem"]
    listed = httpx.get(f"{world.nodes[2]}/machines", trust_env=False).json()
    assert listed[0]["milli_vcu"] == machine.milli_vcu == 500
    host = replace(device, replay=None, driver={"kind": "host", "machine": {"class": "cpu", "zone": "zone"}})
    known = replace(fleet, nodes=tuple(world.nodes), devices=(host,))
    assert list(register_machines(known)) == [], "every node knows it: it is not measured again"


def test_a_broker_that_is_lost(tmp_path: Path) -> None:
    world = World(tmp_path, slots=4, orders=2)
    try:
        broker = f"mqtt://127.0.0.1:{free_port()}"
        world.register()
        for number in range(4):
            world.start_node(number, mqtt=broker, dev_broker=number == 0)
        world.await_nodes()
        client = CommitteeClient(world.book_path, world.url, world.nodes)
        world.clear(client)
        path = world.write_fleet()
        world.attest(client)
        fleet = json.loads(path.read_text())
        fleet["nodes"] = [f"{broker}/{account(name)}" for name in world.members]
        path.write_text(json.dumps(fleet))
        world.start_agents()
        world.run_slot(0)

        world.kill("node 0")  # and the broker with it
        world.clock.advance_to(START + 2 * SLOT)
        time.sleep(1)
        assert world.next_epoch() == 1, "the others wait for readings that are still in the spools"
        world.start_node(0, mqtt=broker, dev_broker=True)
        world.until(lambda: world.next_epoch() > 1, 120, "report of epoch 1")
        check_machine(world)
        world.run_slot(2)
        world.run_slot(3)

        bundles = world.bundles()
        assert [len(bundles[epoch].machines) for epoch in range(4)] == [0, 0, 1, 0]
        beyond = bundles.pop(3)
        assert {entry.quality for entry in beyond.entries} == {0, 1}, (
            "compute that half a VCU cannot have made"
        )
        assert unpack_outcomes(beyond.outcomes[0].packed) == [Outcome(0, ENERGY_WH), Outcome(0, 0)]
        for bundle in bundles.values():
            assert unpack_outcomes(bundle.outcomes[0].packed) == [Outcome(1000, ENERGY_WH), Outcome(1000, 0)]
            assert len(bundle.entries) == 2 * world.orders + 2
        check_evidence_pack(world)
        metrics = httpx.get(f"{world.nodes[1]}/metrics", trust_env=False).text
        assert 'event="broker lost"' in metrics
    finally:
        world.close()
