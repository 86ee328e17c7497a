"""Delivers the day: replay files for the agents, the chain's clock slot by slot, reports until all are in."""

from __future__ import annotations

import time
from collections.abc import Sequence

from backend.chain.clients import Oracle
from backend.chain.rpc import Rpc
from backend.day.progress import Advance
from backend.day.run_state import DriverError
from backend.day.stages import agents
from backend.day.stages.chunks import Chunk
from backend.day.stages.committee import grace_seconds, health, node_names, node_urls
from backend.day.stages.context import Context
from backend.day.stages.faults import Fault
from backend.day.stages.physics import devices_of, samples
from backend.day.stages.posting import BATCH_ID
from backend.day.types import DayInput
from backend.market.domain import Book, Ints
from oracle.archive import Archive
from oracle.wire.bundle import Bundle, decode_bundle
from oracle.wire.typed import feed_id

FEED = feed_id("main")
_POLL_SECONDS = 0.04
_PATIENCE_SECONDS = 180.0


class DeliveryStalled(DriverError):
    """The committee has not reported an epoch for a long time."""

    def __init__(self, epoch: int, nodes: Sequence[object]) -> None:
        waited = f"no report of slot {epoch} for {_PATIENCE_SECONDS:.0f} s"
        super().__init__(f"{waited}; the nodes say {list(nodes)}")


def slots_of(day: DayInput, chunks: Sequence[Chunk], faults: Sequence[Fault]) -> int:
    """How many slots must be reported: up to the last one that was sold, and until late readings are in."""
    last = max((chunk.active_slots[-1] for chunk in chunks), default=-1) + 1
    delayed = [fault for fault in faults if fault.delay_slots]
    late = max((slot + fault.delay_slots + 2 for fault in delayed for slot in fault.slots), default=0)
    return min(day.slots, max(last, late))


def deliver(
    context: Context,
    book: Book,
    sold: Ints,
    chunks: Sequence[Chunk],
    faults: Sequence[Fault],
    slots: int,
    progress: Advance,
) -> None:
    """Starts the agents on their replay and moves the clock until `slots` epochs are reported."""
    if not slots or context.state.chain.get("delivered"):
        return
    values = samples(context.day, book, sold, BATCH_ID, chunks, faults, context.seed)
    agents.start(context, devices_of(context.day), (value for value in values if value.slot < slots))
    late: dict[int, int] = {}
    for fault in faults:
        for slot in fault.slots if fault.delay_slots else ():
            late[slot] = late.get(slot, 0) + 1
    _run_clock(context, slots, late, progress)


def _run_clock(context: Context, slots: int, late: dict[int, int], progress: Advance) -> None:
    """Advances chain time as far as the committee can follow.

    An epoch is never pushed past its grace while a reading that is on its way is missing, so that the same
    readings stand in the same reports on every run.
    """
    oracle = Oracle(context.book, context.rpc)
    grace, slot_seconds = grace_seconds(context), context.day.slot_seconds
    done = oracle.next_epoch(FEED)
    progress(min(done, slots))
    moved = time.monotonic()
    reached = 0
    while done < slots:
        limit = context.slot_start(done + 1) + grace
        target = context.slot_start(max(min((limit - 1 - context.start) // slot_seconds, slots), done + 1))
        if late.get(done) and _only_late_missing(context, done, late[done]):
            target = limit
        if target > reached:
            reached = context.clock.advance_to(target)
        time.sleep(_POLL_SECONDS)
        reported = oracle.next_epoch(FEED)
        if reported > done:
            progress(min(reported, slots) - done)
            done, moved = reported, time.monotonic()
        context.children.check()
        if time.monotonic() - moved > _PATIENCE_SECONDS:
            raise DeliveryStalled(done, [health(url) for url in node_urls(context)])


def _only_late_missing(context: Context, epoch: int, late: int) -> bool:
    """Whether every node waits in this epoch for nothing but the readings that come late."""
    states = [health(url) for url in node_urls(context)]
    return all(
        state is not None and (state["next_epoch"] > epoch or 0 < state["missing"] <= late)
        for state in states
    )


def dismiss(context: Context) -> None:
    """Ends agents and nodes: everything they had to say is on chain and in the archive."""
    context.children.stop([*agents.ROLES, *node_names()])
    context.state.chain["delivered"] = True
    context.state.save()


def report_logs(context: Context) -> list[dict[str, object]]:
    """The logs of all reports of the run, in order."""
    oracle = context.book["DeliveryOracle"]
    topics = ["0x" + oracle.abi.topic("ReportSubmitted").hex(), "0x" + FEED.hex()]
    return context.rpc.logs([oracle.address], topics, context.book.deploy_block)


def bundles(context: Context, archive: Archive) -> dict[int, Bundle]:
    """Slot -> the archived bundle of its report; counts the reports' gas."""
    found = {}
    abi = context.book["DeliveryOracle"].abi
    logs = report_logs(context)
    for log in logs:
        event = abi.decode_log(log)
        if event is None:
            continue
        report = event.arguments["report"]
        start, archive_hash = report[2], report[10]
        slot = (start - context.start) // context.day.slot_seconds
        found[slot] = decode_bundle(archive.get("readings", archive_hash))
    context.gas["report"] = report_gas(context.rpc, logs)
    return found


def report_gas(rpc: Rpc, logs: Sequence[dict[str, object]]) -> int:
    """Gas of the transactions behind the reports."""
    hashes = sorted({str(log["transactionHash"]) for log in logs})
    total = 0
    for at in range(0, len(hashes), 100):
        answers = rpc.batch([("eth_getTransactionReceipt", [name]) for name in hashes[at : at + 100]])
        total += sum(int(answer["gasUsed"], 16) for answer in answers)
    return total
