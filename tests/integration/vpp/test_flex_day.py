"""A day of virtual power plants on a real chain: amounts, shares, and an auditor who finds what is forged."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from audit.cli import audit
from backend.chain.anvil import start_anvil
from backend.chain.errors import Reverted
from backend.chain.flex import FlexMarket
from backend.chain.rpc import Rpc
from backend.vpp.calendar import trading_day
from backend.vpp.cli import app
from backend.vpp.data import LU, drawn_day
from backend.vpp.day import FlexDay, default_date, run, shares_of
from backend.vpp.day_chain import ChainResult, settle_on_chain
from backend.vpp.events import State
from backend.vpp.money import performance, tiers_at

World = tuple[FlexDay, ChainResult, Rpc, Path]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A settled day of 200 resources, and the chain it is on."""
    out = tmp_path_factory.mktemp("flex")
    series = drawn_day(default_date())
    day = run(series, trading_day(default_date(), LU), 200, seed=3)
    node = start_anvil(out / "anvil.log", series.start - 43_200)
    with Rpc(node.url) as rpc:
        yield day, settle_on_chain(day, rpc, out), rpc, out
    os.kill(node.pid, signal.SIGKILL)
    os.waitpid(node.pid, 0)


def verdicts(rpc: Rpc, archive: Path) -> dict[str, str]:
    _, checks = audit(rpc.url, archive)
    return {item.name: item.result.verdict for item in checks}


def test_member_payments_are_the_aggregators_to_the_micro_unit(world: World) -> None:
    day, chain, _, _ = world
    assert (
        chain.paid_micro == chain.members_micro == sum(a.settled.total.payment_micro for a in day.awards) > 0
    )
    for zone in range(5):
        paid = sum(a.settled.total.payment_micro for a in day.awards if a.zone == zone)
        assert sum(shares_of(day, zone, paid).values()) == paid
        assert min(shares_of(day, zone, paid).values()) >= 0


def test_no_message_is_carried_out_twice_or_left_open(world: World) -> None:
    assert {d.state for d in world[0].dispatches} <= {State.ACKED, State.REJECTED}
    assert any(d.sends == 1 and d.state == State.ACKED and d.ack_ms is None for d in world[0].dispatches)


def test_the_contract_computes_the_same_f5(world: World) -> None:
    _, chain, rpc, _ = world
    flex, rng = FlexMarket(chain.book, rpc), np.random.default_rng(1)
    for _ in range(50):
        declared, delivered, price = (
            int(x) for x in rng.integers((1, 0, -(10**6)), (10**9, 2 * 10**9, 10**6))
        )
        ours = performance(declared, delivered, price, tiers_at(0))
        assert flex.amounts(declared, delivered, price) == (ours.payment_micro, ours.penalty_micro)


def test_an_honest_day_passes_every_check_of_the_audit(world: World) -> None:
    day, _, rpc, out = world
    _, checks = audit(rpc.url, out / "archive")
    assert {item.result.verdict for item in checks} == {"pass"}, [c for c in checks if c.result.findings]
    looked_at = {item.name: item.result.checked for item in checks}
    assert looked_at["flexibility.amounts"] == len(day.awards) + 1
    assert looked_at["flexibility.measured"] == sum(len(a.member) for a in day.awards)


@pytest.mark.parametrize("kind", ["flex", "flex-readings"])
def test_the_audit_finds_what_is_altered_or_gone(world: World, tmp_path: Path, kind: str) -> None:
    _, _, rpc, out = world
    copy = tmp_path / "archive"
    shutil.copytree(out / "archive", copy)
    (file,) = (copy / kind).iterdir()
    content = file.read_bytes()
    file.write_bytes(content[:-20] + bytes([content[-20] ^ 1]) + content[-19:])
    assert verdicts(rpc, copy)["flexibility.measured"] == "fail"
    file.unlink()
    found = verdicts(rpc, copy)
    assert found["flexibility.measured"] == found["flexibility.roots"] == "fail"
    assert found["treasury.causes"] == "pass"


def test_what_is_settled_cannot_be_settled_again(world: World) -> None:
    _, chain, rpc, out = world
    (file,) = (out / "archive" / "flex").iterdir()
    document = json.loads(file.read_text())
    name = document["awards"][0]["aggregator"]
    with pytest.raises(Reverted, match="nothing locked"):
        FlexMarket(chain.book, rpc).read("release", chain.period_id, name)


def test_a_large_day(tmp_path: Path) -> None:
    """On the published series where they are at hand, on a drawn day elsewhere; `make campaign-vpp` runs the
    same with ten thousand resources."""
    shared = Path(os.environ.get("BITWATT_SHARED", Path(__file__).resolve().parents[4] / "shared")) / "data"
    data = ["--data", str(shared)] if (shared / "generation" / "lu_15min.csv").is_file() else []
    done = CliRunner().invoke(app, ["day", "--resources", "1000", "--out", str(tmp_path), "--json", *data])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["events"] == 20 and figures["awards"] == 80 and figures["resources"] == 1_000
    assert figures["paid_micro"] == figures["member_payments_micro"] > 0
    assert figures["audit"]["failed"] == figures["audit"]["inconclusive"] == 0
    looked_at = {check["name"]: check["checked"] for check in figures["audit"]["checks"]}
    assert looked_at["flexibility.amounts"] == 80 + 1 and looked_at["flexibility.measured"] > 1_000


def test_a_missing_series_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["day", "--data", str(tmp_path), "--out", str(tmp_path)])
    assert done.exit_code == 2 and "lu_15min.csv" in done.output
