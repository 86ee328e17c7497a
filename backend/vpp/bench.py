"""`bitwatt bench vpp`: spot clearing and dispatch beside peers, in one run, with figures as JSON.

Every figure is the least of a few runs after one that compiles; memory is the peak of a process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from backend.vpp.auction import clear_interval, clear_intervals
from backend.vpp.disaggregate import Fleet, disaggregate, room
from backend.vpp.spot import Grid, Ints, Orders
from backend.vpp.zonal import clear_zones

LIMITS_S = {
    "interval_1m_price_s": 0.010,
    "interval_1m_alloc_s": 0.050,
    "interval_1m_one_price_alloc_s": 0.050,
    "intervals_96x10k_alloc_s": 0.100,
    "zonal_5x96x10k_s": 1.0,
    "disaggregate_1m_der_s": 5.0,
}
_PEERS = Path(__file__).resolve().parents[2] / "scripts" / "spot_peers.py"
Report = dict[str, object]


def vpp(
    orders: Annotated[int, typer.Option(min=1000, help="orders of the one large interval")] = 1_000_000,
    runs: Annotated[int, typer.Option(min=1, help="runs of which the least counts")] = 5,
    peers_python: Annotated[
        Path | None, typer.Option(help="Python of an environment with assume-framework and nempy")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Measure spot clearing, zones with line limits and disaggregation; numpy's sort is always run beside."""
    python = peers_python.absolute() if peers_python else None
    figures = _spot(orders, runs) | _dispatch(orders) | _set_points()
    report: Report = {
        "orders": orders,
        "figures": figures,
        "limits": LIMITS_S | {"disaggregate_peak_mib": 2048, "set_point_ms_most": 200},
        "peers": _peers(orders, runs, python),
    }
    if as_json:
        typer.echo(json.dumps(report, sort_keys=True))
        return
    for name, value in figures.items():
        limit = f"   limit {LIMITS_S[name]:g} s" if name in LIMITS_S else ""
        typer.echo(f"{name:32} {value:>12.4f}{limit}")
    typer.echo(json.dumps(report["peers"], indent=2, sort_keys=True))


def _least(run: Callable[[], object], runs: int) -> float:
    """Seconds of the quickest run, the first not counted."""
    run()
    best = float("inf")
    for _ in range(runs):
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
    return round(best, 6)


def draw(count: int, seed: int = 1) -> Orders:
    """Half bids, half asks around 50 per MWh, up to 1 MWh each."""
    rng = np.random.default_rng(seed)
    prices = np.clip(rng.normal(5_000, 2_500, count), -50_000, 300_000).astype(np.int64)
    return Orders.of(prices, rng.choice([-1, 1], count) * rng.integers(1, 10**6, count))


def _spot(orders: int, runs: int) -> dict[str, float]:
    book = draw(orders)
    level = Orders(np.full(orders, 5_000, np.int32), book.quantity_wh)
    starts: Ints = np.arange(97, dtype=np.int64) * 10_000
    day = draw(960_000, 2)
    zones = draw(4_800_000, 3)
    cells: Ints = np.arange(481, dtype=np.int64) * 10_000
    ring = [(z, (z + 1) % 5, 10**8, 10**8) for z in range(5)] + [(0, 2, 10**7, 10**7), (1, 3, 10**7, 10**7)]
    grid = Grid.of(5, ring)
    return {
        "interval_1m_price_s": _least(lambda: clear_interval(book, with_fills=False), runs),
        "interval_1m_alloc_s": _least(lambda: clear_interval(book), runs),
        "interval_1m_one_price_alloc_s": _least(lambda: clear_interval(level), runs),
        "intervals_96x10k_alloc_s": _least(lambda: clear_intervals(day, starts), runs),
        "zonal_5x96x10k_s": _least(lambda: clear_zones(zones, cells, grid), runs),
    }


def _dispatch(count: int) -> dict[str, float]:
    """The disaggregation in a process of its own, for its memory."""
    program = f"from backend.vpp.bench import dispatch_once; dispatch_once({count})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    out: dict[str, float] = json.loads(done.stdout)
    return out


def dispatch_once(count: int) -> None:
    """Prints seconds and peak memory of aggregating and instructing `count` members for one event of an
    hour.
    """
    disaggregate(fleet(1000), np.array([-1000]), 900)
    many = fleet(count)
    started = time.perf_counter()
    shed, _ = room(many, 900)
    plan = disaggregate(many, np.full(4, -shed // 3, np.int64), 900)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    short = int(np.abs(plan.short_w).sum())
    typer.echo(json.dumps({"disaggregate_1m_der_s": round(seconds, 4), "disaggregate_peak_mib": peak,
                           "disaggregate_short_w": short}))  # fmt: skip


def fleet(count: int, seed: int = 4) -> Fleet:
    """Batteries, job sites with deadlines, on/off coolers and plain loads, a quarter each."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, count)
    top = rng.integers(1_000, 50_000, count)
    store = np.where(kind == 0, top * 2, 0)
    plan = np.where(kind == 0, 0, top * 8 // 10)
    return Fleet.of(
        count, min_w=np.where(kind == 0, -top, 0), max_w=top, plan_w=plan, now_w=plan,
        ramp_w_per_min=top // 10, store_wh=store, charge_wh=store // 2,
        work_wh=np.where(kind == 2, plan, 0), deadline=np.where(kind == 2, 6, 0),
        min_on_w=np.where(kind == 3, top * 4 // 10, 0), min_run=np.where(kind == 3, 2, 0),
        held=np.full(count, 9), cost_ticks=rng.integers(0, 100_000, count),
    )  # fmt: skip


def sorted_reference(book: Orders) -> tuple[int, int]:
    """Price (lowest competitive) and volume by two numpy sorts and a merge: the obvious way."""
    bid = book.quantity_wh > 0
    order = np.argsort(book.price_ticks, kind="stable")
    counted = np.cumsum(np.abs(book.quantity_wh)[order])
    at = int(np.searchsorted(counted, int(book.quantity_wh[bid].sum())))
    price = int(book.price_ticks[order[at]])
    ask_order = order[~bid[order]]
    bid_order = order[bid[order]][::-1]
    supply = int(-book.quantity_wh[ask_order][book.price_ticks[ask_order] <= price].sum())
    demand = int(book.quantity_wh[bid_order][book.price_ticks[bid_order] >= price].sum())
    return price, min(supply, demand)


def _set_points(jobs: int = 10, signals: int = 40) -> dict[str, float]:
    """Signal to acknowledged set-point of a site of local processes: median and slowest of some signals."""
    from backend.vpp.jobs import set_point
    from backend.vpp.jobs.local import LocalJobs

    control = LocalJobs()
    try:
        for n in range(jobs):
            control.submit(f"j{n}", [sys.executable, "-c", "while True: pass"], 300, 1e6, time.time() + 1e9)
            control.start(f"j{n}")
        rng = np.random.default_rng(5)
        took = [set_point(control, int(w)).latency_ms for w in rng.integers(0, 300 * jobs, signals)]
    finally:
        control.close()
    return {"set_point_ms_median": round(float(np.median(took)), 3), "set_point_ms_most": round(max(took), 3)}


def _peers(orders: int, runs: int, python: Path | None) -> Report:
    book = draw(orders)
    ours = clear_interval(book, k_milli=0, with_fills=False)
    assert sorted_reference(book) == (ours.price_ticks, ours.volume_wh)
    small = draw(10_000)
    peers: Report = {
        "numpy_sort": {"orders": orders, "seconds": _least(lambda: sorted_reference(book), runs)},
        "bitwatt_same_size_as_peers": {
            "orders": 10_000, "seconds": _least(lambda: clear_interval(small), runs)
        },
    }  # fmt: skip
    if python is not None:
        with tempfile.TemporaryDirectory() as scratch:  # peers write logs where they run
            command = [str(python), str(_PEERS)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=scratch)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        peers |= json.loads(lines[-1]) if lines else {"error": done.stderr[-300:]}
    else:
        peers["not_run"] = "assume-framework, nempy: name an environment that has them with --peers-python"
    return peers
