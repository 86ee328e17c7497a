"""Seconds from a quorum of signatures to payment, slot by slot.

A fresh Anvil with the real contracts, four node processes, real meters. A slot's time is that of its report
(from the quorum to the receipt, as the leader measured it) and of its settlement (pool metered, every
agreement settled, plants paid, up to the last receipt). The dispute window between the two is chain time and
left out.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "integration"))

from oracle_world import PLANT_METER, World

from backend.chain.clients import Oracle, Settlement
from backend.day.stages.settle_plan import SlotEvidence, reading_tuple
from oracle.client import CommitteeClient


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slots", type=int, default=20)
    parser.add_argument("--agreements", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bitwatt-bench-") as folder:
        world = World(Path(folder), slots=options.slots, orders=options.agreements)
        try:
            print(json.dumps({"figures": measure(world)}, indent=1, sort_keys=True))
        finally:
            world.close()


def measure(world: World) -> dict[str, float]:
    """Quantiles over the slots, in seconds of wall time."""
    world.register()
    for number in range(4):
        world.start_node(number)
    world.await_nodes()
    client = CommitteeClient(world.book_path, world.url, world.nodes)
    world.clear(client)
    world.write_fleet()
    world.attest(client)
    world.start_agents()
    reported, from_end = [], []
    seen = [0.0] * 4
    for slot in range(world.slots):
        begin = time.monotonic()
        world.run_slot(slot)
        from_end.append(time.monotonic() - begin)
        now = [float((world.health(number) or {}).get("submit_seconds", 0)) for number in range(4)]
        reported.append(
            max((after for before, after in zip(seen, now, strict=True) if after != before), default=0)
        )
        seen = now
    bundles = world.bundles()
    world.clock.advance_to(world.clock.now() + Oracle(world.book, world.rpc).read("disputeWindow") + 60)
    settlement = Settlement(world.book, world.rpc)
    times = []
    for slot in range(world.slots):
        begin = time.monotonic()
        found = SlotEvidence.of(bundles[slot], 1)
        leaf = found.generation[PLANT_METER]
        position = (False, reading_tuple(leaf), found.readings.proof(leaf.hash()))
        calls = [settlement.meter_pool(1, slot, 0, [position])]
        for index, chunk in world.chunks.items():
            data, name = found.packed[index]
            calls.append(
                settlement.settle_chunk(1, index, chunk, [slot], [data], [found.outcomes.proof(name)])
            )
        calls.append(settlement.pay_pools(1, [slot], 0))
        world.owner.send(calls)
        times.append(time.monotonic() - begin + reported[slot])
    return {
        "agreements": world.orders,
        "slots": world.slots,
        "slot_end_to_report_p50_s": quantile(from_end, 0.5),
        "slot_end_to_report_p99_s": quantile(from_end, 0.99),
        "quorum_to_report_p99_s": quantile(reported, 0.99),
        "quorum_to_settled_p50_s": quantile(times, 0.5),
        "quorum_to_settled_p99_s": quantile(times, 0.99),
    }


def quantile(values: list[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed."""
    return round(sorted(values)[max(0, math.ceil(share * len(values)) - 1)], 3)


if __name__ == "__main__":
    main()
