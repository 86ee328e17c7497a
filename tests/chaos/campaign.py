"""`make chaos`: a simulated day in which everything is killed, paused, cut off, filled up and hurried.

    python tests/chaos/campaign.py [--seed N] [--slots N] [--json]

The seed decides what happens when, and is printed first; give it again to see the same faults. At the end the
invariants must hold: every slot reported once, every reading in exactly one report, the service's journal
equal to the chain's, the API ready, and an audit that finds nothing. Exit 1 otherwise.

The chain's node is paused, not killed: an Anvil started from a stored state has other block hashes, which is
another chain. Only the chain's clock is hurried (several slots at once), since every part takes its time from
there. A node is cut off by relays; its disk is a small one of its own where this process may mount one. The
committee takes readings by HTTP here: a lost broker is tried in tests/integration/test_oracle_mqtt.py,
settlement by workers that are killed in tests/integration/service/test_market_workers.py.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from audit.faults import load_library

load_library()  # the tree's `tests`, before any package of that name elsewhere
from backend.service.indexer.source import CONTRACTS, OPTIONAL  # noqa: E402
from tests.chaos.arena import NODES, SERVICE, Arena  # noqa: E402
from tests.integration.oracle_world import SLOT, START  # noqa: E402

UNARCHIVED = {"clearing.book_file"}
"""The day's batch is posted by hand, without an archived book: the one thing an audit must say."""
Fault = tuple[str, str]
VICTIMS = ("node 0", "node 1", "node 2", "node 3", "meter", "workload", *SERVICE)


def draw(chance: random.Random, small_disks: bool = True) -> Fault:
    """One fault: what happens, and to whom."""
    nodes = [f"node {number}" for number in NODES]
    kinds = {
        "kill": VICTIMS,
        "pause": (*VICTIMS, "chain", "database"),
        "cut": tuple(nodes),
        "fill": tuple(nodes) if small_disks else (),
        "crash": ("database",),
    }
    kind = chance.choice([kind for kind, victims in kinds.items() if victims])
    return kind, chance.choice(kinds[kind])


def plan(seed: int, slots: int, small_disks: bool = True) -> list[tuple[int, list[Fault]]]:
    """(slots that pass at once, faults meanwhile) until the day is over; at most one of them hits a node."""
    chance, found, passed = random.Random(seed), [], 0
    while passed < slots:
        jump = min(slots - passed, 1 if chance.random() < 0.8 else chance.randrange(2, 5))
        faults: list[Fault] = []
        for _ in range(chance.randrange(1, 4)):
            fault = draw(chance, small_disks)
            victims = [victim for _, victim in faults]
            node = fault[1].startswith("node")
            if fault[1] not in victims and not (node and any(v.startswith("node") for v in victims)):
                faults.append(fault)
        found.append((jump, faults))
        passed += jump
    return found


@contextmanager
def suffering(arena: Arena, fault: Fault) -> Iterator[None]:
    """The fault while the block lasts; then it is over, and who was killed is started again."""
    kind, victim = fault
    if kind == "kill":
        arena.kill(victim)
        yield
        arena.restart(victim)
    elif kind == "cut":
        links = arena.links_of(int(victim.split()[1]))
        for link in links:
            link.cut()
        yield
        for link in links:
            link.heal()
    elif kind == "fill":
        rubbish = arena.disks[int(victim.split()[1])] / "rubbish"
        _fill(rubbish)
        yield
        rubbish.unlink()
    elif kind == "crash":
        for process in arena.postgres():
            process.send_signal(signal.SIGKILL)
        yield
        arena.restart_database()
    else:
        stop, go = _switch(arena, victim)
        stop()
        yield
        go()


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)):
                pass
        except OSError:
            return


def _switch(arena: Arena, victim: str) -> tuple[Callable[[], None], Callable[[], None]]:
    def send(number: int) -> None:
        if victim == "chain":
            os.kill(arena.anvil_pid, number)
        elif victim == "database":
            for process in arena.postgres():
                process.send_signal(number)
        else:
            arena.processes[victim].send_signal(number)

    return lambda: send(signal.SIGSTOP), lambda: send(signal.SIGCONT)


def run(arena: Arena, seed: int, slots: int, say: Callable[[str], None]) -> Counter[str]:
    """Plays the plan; how often each kind of fault happened."""
    chance, counts, passed = random.Random(seed + 1), Counter[str](), 0
    for jump, faults in plan(seed, slots, arena.small_disks):
        passed += jump
        say(f"slot {passed} of {slots}" + (f", {jump} at once" if jump > 1 else "") + f": {faults}")
        counts.update([kind for kind, _ in faults] + ["clock jump"] * (jump > 1))
        frozen = any(fault == ("pause", "chain") for fault in faults)
        if not frozen:
            arena.clock.advance_to(START + passed * SLOT)
        hurting = [suffering(arena, fault) for fault in faults]
        for one in hurting:
            one.__enter__()
        time.sleep(chance.uniform(0.2, 2.5))
        for one in reversed(hurting):
            one.__exit__(None, None, None)
        arena.clock.advance_to(START + passed * SLOT)
        arena.patiently(lambda due=passed: arena.next_epoch() >= due, 240, f"report of slot {passed - 1}")
    return counts


def broken(arena: Arena, slots: int) -> list[str]:
    """Invariants that do not hold at the end of the day."""
    from audit.cli import audit

    arena.patiently(arena.ready, 60, "the API is ready again")
    addresses = [arena.book[name].address for name in (*CONTRACTS, *OPTIONAL) if name in arena.book.contracts]

    def logs() -> list[tuple[int, int]]:
        return sorted(
            (int(log["blockNumber"], 16), int(log["logIndex"], 16))
            for log in arena.rpc.logs(addresses, [], 0)
        )

    wrong = []
    try:
        arena.patiently(lambda: arena.journal() == logs(), 60, "the journal has caught up with the chain")
    except AssertionError:
        own, theirs = set(arena.journal()), set(logs())
        wrong.append(f"the journal lacks {sorted(theirs - own)[:3]} and holds {sorted(own - theirs)[:3]}")
    bundles = arena.bundles()
    if sorted(bundles) != list(range(slots)):
        wrong.append(f"reports of {sorted(bundles)}, not of every slot")
    seen: dict[int, list[int]] = {}
    for bundle in bundles.values():
        for leaf in bundle.leaves():
            seen.setdefault(leaf.reading.meter_id, []).append(leaf.reading.seq)
    for meter, numbers in seen.items():
        if sorted(numbers) != list(range(len(numbers))):
            wrong.append(f"meter {meter}: readings lost or twice")
    if sum(map(len, seen.values())) != slots * (2 * arena.orders + 2):
        wrong.append(f"{sum(map(len, seen.values()))} readings, not {slots * (2 * arena.orders + 2)}")
    book = arena.folder / "archive" / "addresses.json"
    book.write_bytes(arena.book_path.read_bytes())
    for item in audit(arena.url, arena.folder / "archive")[1]:
        if item.result.verdict == "fail" and item.name not in UNARCHIVED:
            wrong.append(f"audit {item.name}: {item.result.findings[0]}")
    return wrong


def main() -> int:
    """Runs the campaign."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=None, help="replay a run")
    parser.add_argument("--slots", type=int, default=96, help="slots of 15 minutes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    print(f"chaos: seed {seed}, {options.slots} slots", file=sys.stderr, flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bitwatt-chaos-") as folder:
        arena = Arena(Path(folder), slots=options.slots, orders=4)
        try:
            arena.prepare()
            counts = run(arena, seed, options.slots, lambda line: print(line, file=sys.stderr, flush=True))
            wrong = broken(arena, options.slots)
        finally:
            arena.close()
    told = {"seed": seed, "slots": options.slots, "faults": dict(counts), "broken": wrong}
    told["seconds"] = round(time.monotonic() - started, 1)
    if options.json:
        print(json.dumps(told, indent=1))
    else:
        print(
            f"{sum(counts.values())} faults {dict(counts)}: " + ("; ".join(wrong) or "every invariant holds")
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
