"""One market day from files to verdict: every part meets here, and a killed run is taken up where it stood.

Each stage either reads what an earlier start left (chain, archive, folder) or does its part; the transactions
of every account are a fixed list whose position is the account's nonce, so nothing is sent twice.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from backend.chain.anvil import STATE_FILE, DevClock, save_state
from backend.chain.clients import Market
from backend.chain.eip712 import Domain
from backend.chain.screen import BatchTerms
from backend.day.book import to_book
from backend.day.children import Children
from backend.day.keys import Keyring
from backend.day.progress import Narrator
from backend.day.run_state import DriverError, RunState
from backend.day.stages import (
    chain_up,
    chunks,
    clearing,
    committee,
    delivery,
    faults,
    finishing,
    funding,
    posting,
    settling,
    signing,
    trading,
)
from backend.day.stages.context import OPERATOR, SETTLER, SOLVER, Context
from backend.day.types import DayInput
from backend.market.runs import runs_of_fills
from oracle.archive import Archive

LYING_NODE = 3


class Interrupted(DriverError):
    """The run was told to stop; the same command takes it up again."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}: repeat the command to go on")


@dataclass(frozen=True)
class Options:
    """What one run is asked to do. `parameters` tells it apart from another; `load` reads the day.

    `fresh` drops what an earlier run left in `out`.
    """

    out: Path
    seed: int
    rpc: str | None
    parameters: dict[str, Any]
    load: Callable[[], DayInput]
    fresh: bool = False


def run_day(options: Options, narrator: Narrator) -> dict[str, Any]:
    """Runs the day, or finishes or repeats the answer of one that was begun in `out`; returns the report.

    Raises RunMismatch for a folder of another command, Interrupted on SIGTERM and SIGINT, and the stages'
    errors. Child processes end with it unless it is killed outright.
    """
    out = options.out.resolve()
    if options.fresh:
        _clear(out)
    state = RunState(out, options.parameters)
    report = state.out / "report.json"
    if state.finished and report.exists():
        narrator.say(f"this day is finished: {report}")
        return json.loads(report.read_text(encoding="utf-8"))
    children = Children(state, state.out / "logs")
    with _signals(), _one_driver(state.out):
        try:
            return _run(options, state, children, narrator)
        finally:
            children.stop()


def _clear(out: Path) -> None:
    """Ends the children of the run in `out` and removes it; leaves a folder alone that holds no run."""
    if not (out / "run.json").exists():
        return
    with _one_driver(out):
        state = RunState.stored(out)
        Children(state, out / "logs").stop()
        shutil.rmtree(out)


def _run(options: Options, state: RunState, children: Children, narrator: Narrator) -> dict[str, Any]:
    with narrator.stage("read the day"), state.timed("load"):
        day = options.load()
    for row in day.refused[:20]:
        narrator.say(f"refused: {row}")
    if len(day.refused) > 20:
        narrator.say(f"refused: {len(day.refused) - 20} more rows, see the report")
    with narrator.stage("bring up the chain"), state.timed("chain"):
        context = _context(options, state, children, narrator, day)
        chain_up.deploy_contracts(context)
        chain_up.register(context, committee.measurements(context))
    with narrator.stage("fund and deposit", funding.transactions_of(day)) as step, state.timed("chain"):
        funding.fund(context, step)
    with narrator.stage("start the committee, attest the devices"), state.timed("oracle"):
        committee.start(context, LYING_NODE)
        committee.attest(context)
    with narrator.stage(f"sign {len(day.jobs)} orders"), state.timed("clear"):
        signed = _sign(context)
    archive = Archive(context.archive)
    with narrator.stage("clear"), state.timed("clear"):
        book = to_book(signing.without_refused(day, signed), signed.ids(), context.start)
        cleared = clearing.clear_book(book, archive, state.out / "work")
        cut = chunks.make_chunks(book, runs_of_fills(cleared.joint.fills), signed.orders)
    with narrator.stage("publish the grid's carbon"), state.timed("oracle"):
        committee.publish(context, book)
    posted = len(list(posting.posting_calls(Market(context.book), cleared, signed, cut)))
    with narrator.stage("verify and lock on chain", posted) as step, state.timed("chain"):
        posting.post_clearing(context, cleared, signed, cut, step)
    load = clearing.site_load(book, cleared.joint)
    planned = faults.plan_faults(options.seed, book, load, cleared.joint.sold, LYING_NODE)
    slots = delivery.slots_of(day, cut, planned)
    with narrator.stage("deliver and report", slots) as step, state.timed("oracle"):
        delivery.deliver(context, book, cleared.joint.sold, cut, planned, slots, step)
        bundles = delivery.bundles(context, archive)
        delivery.dismiss(context)
    with state.timed("chain"):
        settling.settle_day(context, cleared, cut, bundles)
        traded = trading.trade(context, book)
    children.check()
    if options.rpc is None:
        save_state(context.rpc, state.out / STATE_FILE)
    return finishing.finish(context, signed, cleared, planned, traded)


def _context(
    options: Options, state: RunState, children: Children, narrator: Narrator, day: DayInput
) -> Context:
    rpc = chain_up.connect(state, children, day, options.rpc)
    chain_id = rpc.chain_id()
    keyring = Keyring(options.seed, chain_id)
    context = Context(
        day=day,
        seed=options.seed,
        state=state,
        children=children,
        narrator=narrator,
        rpc=rpc,
        clock=DevClock(rpc),
        chain_id=chain_id,
        start=int(state.chain["start"]),
        keyring=keyring,
    )
    context.clock.tick_one_second_per_block()
    names = [OPERATOR, SOLVER, SETTLER, *chain_up.COMMITTEE, *chain_up.party_names(day)]
    chain_up.prepare_accounts(context, names)
    keyring.write(state.out / "keys" / "accounts.json")
    return context


def _sign(context: Context) -> signing.SignedDay:
    day = context.day
    domain = Domain(context.chain_id, context.book["BundleMarket"].address)
    terms = BatchTerms(
        context.start, day.slot_seconds, day.slots, len(day.zones), len(day.classes), context.start - 1
    )
    signed = signing.screen_day(signing.sign_day(day, context.keyring, domain, context.start), domain, terms)
    for problem in signed.refused:
        context.narrator.say(f"refused: {problem}")
    return signed


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM and SIGINT as Interrupted while the body runs (in the main thread only)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _one_driver(out: Path) -> Iterator[None]:
    """Holds the folder's lock; raises RuntimeError when another driver works in it. Ends with the process."""
    import fcntl

    handle = os.open(out / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        for attempt in range(20):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == 19:
                    raise OutInUse(out) from None
                time.sleep(0.1)
        yield
    finally:
        os.close(handle)


class OutInUse(DriverError):
    """Another process runs a day in this folder."""

    def __init__(self, out: Path) -> None:
        super().__init__(f"another bitwatt works in {out}: wait for it, or choose another --out")
