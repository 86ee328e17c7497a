"""The committee under kill -9 and partition at seeded moments: nothing lost, nothing twice, every slot true.

BITWATT_KILLS sets how many moments are tried (4 by default, 50 for the long run).
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oracle.client import CommitteeClient
from oracle.wire.outcomes import Outcome, unpack_outcomes
from tests.integration.oracle_world import ENERGY_WH, SLOT, START, World

KILLS = int(os.environ.get("BITWATT_KILLS", "4"))
SLOTS = KILLS + 3
AGENTS = ("meter", "workload")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 60 * KILLS)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, slots=SLOTS, orders=4)
    made.register()
    for number in range(4):
        made.start_node(number)
    made.await_nodes()
    client = CommitteeClient(made.book_path, made.url, made.nodes)
    made.clear(client)
    made.write_fleet()
    made.attest(client)
    made.start_agents()
    yield made
    made.close()


def restart(world: World, name: str) -> None:
    """Starts a killed process again, as its supervisor would."""
    if name in AGENTS:
        world.start(name, name, "--fleet", str(world.folder / "fleet.json"))
    else:
        world.start_node(int(name.split()[1]))


def check_day(world: World) -> None:
    """Every slot reported once, in full, with every reading of every meter exactly once."""
    bundles = world.bundles()
    assert sorted(bundles) == list(range(SLOTS))
    seen: dict[int, list[int]] = {}
    for bundle in bundles.values():
        full = [Outcome(1000, ENERGY_WH), Outcome(1000, 0)] * 2
        assert unpack_outcomes(bundle.outcomes[0].packed) == full
        for leaf in bundle.leaves():
            seen.setdefault(leaf.reading.meter_id, []).append(leaf.reading.seq)
    assert all(sorted(sequence) == list(range(len(sequence))) for sequence in seen.values())
    assert sum(len(sequence) for sequence in seen.values()) == SLOTS * (2 * world.orders + 2)


def test_killed_at_any_moment(world: World) -> None:
    chance = random.Random(20171017)
    victims = [*AGENTS, *(f"node {number}" for number in range(4))]
    for slot in range(SLOTS):
        world.clock.advance_to(START + (slot + 1) * SLOT)
        if slot < KILLS:
            victim = chance.choice(victims)
            time.sleep(chance.uniform(0, 0.6))
            world.kill(victim)
            restart(world, victim)
        world.until(lambda due=slot: world.next_epoch() > due, 120, f"report of epoch {slot}")
        if slot < KILLS and victim not in AGENTS:
            world.await_nodes([int(victim.split()[1])])
    check_day(world)
    world.until(
        lambda: all(world.health(n)["unreported"] == 0 for n in range(4)), 60, "every node has booked all"
    )


def test_partitioned_then_lying(world: World) -> None:
    silent = world.processes["node 2"]
    silent.send_signal(signal.SIGSTOP)
    for slot in range(3):
        world.run_slot(slot)
    silent.send_signal(signal.SIGCONT)
    world.until(lambda: (world.health(2) or {}).get("next_epoch") == 3, 60, "node 2 has caught up")
    world.kill("node 0")
    world.start_node(0, fault="lie")
    world.await_nodes([0])
    for slot in range(3, SLOTS):
        world.run_slot(slot)
    check_day(world)
    world.until(lambda: (world.health(2) or {}).get("unreported") == 0, 60, "node 2 has booked all")
