"""A day whose nodes are killed, cut off and made to lie by turns; the roots are the honest ones.

BITWATT_DAY_SLOTS sets the length (6 by default, 96 for `make campaign-oracle`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from small_day import START, small_day

from backend.chain.anvil import start_anvil
from backend.day import driver
from backend.day.children import Children, bitwatt_command
from backend.day.driver import Options, run_day
from backend.day.progress import Narrator
from backend.day.stages import committee, delivery, faults
from backend.day.stages.context import Context

SLOTS = int(os.environ.get("BITWATT_DAY_SLOTS", "6"))
PHASE = 2
"""Slots that each trouble lasts."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + 30 * SLOTS)]


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts an Anvil under a name and gives its endpoint."""
    pids: list[int] = []

    def start(name: str) -> str:
        anvil = start_anvil(tmp_path / f"{name}.log", START - 86_400)
        pids.append(anvil.pid)
        return anvil.url

    yield start
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


class Trouble:
    """One node at a time is cut off (stopped), killed or lying, by turns and node by node."""

    kinds = ("cut off", "killed", "lying")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.phase = -1
        self.seen: dict[str, set[int]] = {kind: set() for kind in self.kinds}
        self.kind, self.node = "", 0

    def at(self, epoch: int) -> None:
        """What is wrong while `epoch` is due."""
        phase = epoch // PHASE
        if phase == self.phase:
            return
        self.mend()
        self.phase = phase
        self.kind, self.node = self.kinds[phase % 3], phase % 4
        self.seen[self.kind].add(self.node)
        name = f"node-{self.node}"
        pid = self.context.children._state.children[name]["pid"]
        if self.kind == "cut off":
            os.kill(pid, signal.SIGSTOP)
        else:
            os.kill(pid, signal.SIGKILL)
            self.context.children._owned[name].wait()
        if self.kind == "lying":
            self.start("--fault", "lie")

    def mend(self) -> None:
        """Lets the node in trouble be honest again."""
        name = f"node-{self.node}"
        if self.kind == "cut off":
            os.kill(self.context.children._state.children[name]["pid"], signal.SIGCONT)
        elif self.kind:
            if self.kind == "lying":
                self.context.children._owned[name].kill()
                self.context.children._owned[name].wait()
            self.start()
        self.kind = ""

    def start(self, *fault: str) -> None:
        """Starts the node again, as its supervisor would."""
        name = f"node-{self.node}"
        config = self.context.out / "nodes" / name / "config.json"
        command = bitwatt_command("oracle-node", "--config", str(config), *fault)
        self.context.children.start(name, command, {"port": self.context.state.ports[name]})


def run(out: Path, rpc: str) -> None:
    """One day of SLOTS slots; its archive and reports stay."""
    load = partial(small_day, 24, 0, SLOTS)
    run_day(Options(out, 0, rpc, {"command": "small", "rpc": rpc}, load), Narrator())


def reports(out: Path, rpc: str) -> list[tuple[object, ...]]:
    """(epoch, root, count, totals, outcomes root) of every report, as the chain has them."""
    from backend.chain.addressbook import load_book
    from backend.chain.rpc import Rpc

    book = load_book(out / "addresses.json")
    oracle = book["DeliveryOracle"]
    topics = ["0x" + oracle.abi.topic("ReportSubmitted").hex()]
    rows = []
    with Rpc(rpc) as client:
        for log in client.logs([oracle.address], topics, book.deploy_block):
            event = oracle.abi.decode_log(log)
            assert event is not None
            report = event.arguments["report"]
            rows.append((report[1], report[4], report[5], tuple(report[6]), report[7]))
    return rows


def test_every_slot_is_reported_with_the_honest_root(
    tmp_path: Path, chain: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "LYING_NODE", -1)
    monkeypatch.setattr(faults, "plan_faults", lambda *_: [])
    monkeypatch.setattr(delivery, "slots_of", lambda *_: SLOTS)
    honest_chain = chain("honest")
    run(tmp_path / "honest", honest_chain)

    found: list[Trouble] = []
    run_clock, check = delivery._run_clock, Children.check

    def troubled(context: Context, slots: int, late: dict[int, int], progress: Callable[[int], None]) -> None:
        trouble = Trouble(context)
        found.append(trouble)
        oracle = delivery.Oracle(context.book, context.rpc)

        def disturbed(children: Children) -> None:
            trouble.at(oracle.next_epoch(delivery.FEED))

        monkeypatch.setattr(Children, "check", disturbed)
        try:
            run_clock(context, slots, late, progress)
        finally:
            monkeypatch.setattr(Children, "check", check)
            trouble.mend()
        committee._await(context, lambda: all(committee.health(url) for url in committee.node_urls(context)))

    monkeypatch.setattr(delivery, "_run_clock", troubled)
    troubled_chain = chain("troubled")
    run(tmp_path / "troubled", troubled_chain)

    due = reports(tmp_path / "honest", honest_chain)
    has = reports(tmp_path / "troubled", troubled_chain)
    assert [row[0] for row in has] == list(range(SLOTS))
    assert has == due
    phases = -(-SLOTS // PHASE)
    assert sum(len(nodes) for nodes in found[0].seen.values()) >= min(phases, 12) - 1
    command = [sys.executable, "-c", "from bitwatt.cli import app; app()", "audit", "--json"]
    done = subprocess.run(
        [*command, "--rpc", troubled_chain, "--archive", str(tmp_path / "troubled" / "archive")],
        capture_output=True,
        check=False,
    )
    wrong = [check for check in json.loads(done.stdout)["checks"] if check["verdict"] != "pass"]
    assert done.returncode == 0, wrong
