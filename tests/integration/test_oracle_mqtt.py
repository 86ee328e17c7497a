"""Readings by MQTT: through a broker that is lost and comes back, nothing is lost and every slot is whole."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest

from backend.chain.anvil import free_port
from oracle.client import CommitteeClient
from oracle.wire.outcomes import Outcome, unpack_outcomes
from tests.integration.oracle_world import ENERGY_WH, SLOT, START, World, account

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]


def test_a_broker_that_is_lost(tmp_path: Path) -> None:
    world = World(tmp_path, slots=3, orders=2)
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
        world.run_slot(2)

        bundles = world.bundles()
        assert sorted(bundles) == [0, 1, 2]
        for bundle in bundles.values():
            assert unpack_outcomes(bundle.outcomes[0].packed) == [Outcome(1000, ENERGY_WH), Outcome(1000, 0)]
            assert len(bundle.entries) == 2 * world.orders + 2
        metrics = httpx.get(f"{world.nodes[1]}/metrics", trust_env=False).text
        assert 'event="broker lost"' in metrics
    finally:
        world.close()
