"""The tasks there are, and what each needs; what only one of them needs is loaded when it is made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from coincurve import PrivateKey
from sqlmodel import Session

from backend.chain.eip712 import address_of
from backend.service.context import Context
from backend.service.jobs import JobRunner
from backend.service.metrics import OUTBOX
from backend.service.signers import load_secret
from backend.service.workers import leases
from backend.service.workers.housekeeping import sweep
from backend.service.workers.notifier import Notifier
from backend.service.workers.runner import Runner, Task, lease_of
from backend.settings import Settings

NAMES = ("jobs", "notifier", "housekeeping", "readings", "sender", "gates", "settlement", "flex")
NEED_KEY = frozenset({"sender", "gates", "settlement", "flex"})
"""Tasks that send transactions; they need the solver's key and an archive."""


Guard = Callable[[Session], None]
"""Called inside every writing transaction of a task; raises when another process has its lease."""


def possible(settings: Settings) -> tuple[str, ...]:
    """The tasks that these settings allow."""
    able = (settings.keystore is not None or settings.dev_keys) and settings.archive is not None
    left_out = frozenset() if able else NEED_KEY
    if settings.archive is None:
        left_out |= {"readings"}
    return tuple(name for name in NAMES if name not in left_out)


class MissingKey(Exception):
    """A task that sends transactions was asked for and there is no key."""


def _jobs(context: Context, guard: Guard) -> Task:
    runner = JobRunner(context)
    return Task("jobs", runner.step, 1.0, runner.recover, runner.close, context.jobs_waiting)


def _notifier(context: Context, guard: Guard) -> Task:
    notifier = Notifier(context, guard)
    return Task("notifier", notifier.step, 1.0, notifier.open, notifier.close)


def _housekeeping(context: Context, guard: Guard) -> Task:
    return Task("housekeeping", lambda: sweep(context), 60.0)


def _readings(context: Context, guard: Guard) -> Task:
    from backend.service.readings import ReadingsFiller

    if context.settings.archive is None:
        raise MissingKey("readings come out of the archive: name it, or leave this task out")
    return Task("readings", ReadingsFiller(context.store, context.settings.archive).step, 2.0)


def _secret(context: Context) -> bytes:
    secret = load_secret(context.settings)
    if secret is None or context.settings.archive is None:
        raise MissingKey("give a keystore (BITWATT_KEYSTORE) and an archive, or leave these tasks out")
    return secret


def _sender(context: Context, guard: Guard) -> Task:
    from backend.service.outbox import Confirmations, FeePolicy, OutboxSender

    link, settings = context.chain, context.settings
    sender = OutboxSender(
        context.store,
        link.new_rpc(),
        _secret(context),
        link.book.chain_id,
        link.book.errors,
        FeePolicy(settings.priority_fee_wei, settings.fee_cap_wei, settings.fee_bump_seconds),
        Confirmations(settings.reorg_depth),
        guard,
    )
    sender.on_event = lambda what: OUTBOX.labels(what).inc()
    return Task("sender", sender.step, 0.2)


def _address(context: Context) -> str:
    return address_of(PrivateKey(_secret(context)).public_key).lower()


def _gates(context: Context, guard: Guard) -> Task:
    from backend.service.publishing import CommitteePublisher, DevPublisher, Publisher
    from backend.service.workers.gates import GateKeeper
    from oracle.archive import Archive

    settings, link = context.settings, context.chain
    address = _address(context)
    assert settings.archive is not None
    archive = Archive(settings.archive)
    publisher: Publisher
    if settings.committee_nodes:
        publisher = CommitteePublisher(link.book, link.rpc_url, settings.committee_nodes, settings.archive)
    else:
        publisher = DevPublisher(link.book, archive)
    keeper = GateKeeper(context, address, archive, publisher, guard)
    return Task("gates", keeper.step, 0.5, end=keeper.close)


def _settlement(context: Context, guard: Guard) -> Task:
    from backend.service.workers.settlement import Settler
    from oracle.archive import Archive

    address = _address(context)
    assert context.settings.archive is not None
    settler = Settler(context, address, Archive(context.settings.archive), guard)
    return Task("settlement", settler.step, 1.0)


def _flex(context: Context, guard: Guard) -> Task:
    from backend.service.workers.flex import FlexKeeper
    from oracle.archive import Archive

    if "FlexMarket" not in context.chain.book.contracts:  # deployed before there was one
        return Task("flex", lambda: False, 60.0)
    address = _address(context)
    assert context.settings.archive is not None
    keeper = FlexKeeper(context, address, Archive(context.settings.archive), guard)
    return Task("flex", keeper.step, 1.0)


_MAKERS: dict[str, Callable[[Context, Guard], Task]] = {
    "jobs": _jobs,
    "notifier": _notifier,
    "housekeeping": _housekeeping,
    "readings": _readings,
    "sender": _sender,
    "gates": _gates,
    "settlement": _settlement,
    "flex": _flex,
}


@contextmanager
def working(
    context: Context, names: Collection[str], on_step: Callable[[str, float, bool], None]
) -> Iterator[Runner]:
    """The named tasks in threads of their own until the block ends."""
    holder = leases.holder_name()

    def guard_of(name: str) -> Guard:
        return lambda session: leases.guard(session, lease_of(name), holder)

    tasks = [_MAKERS[name](context, guard_of(name)) for name in names]
    runner = Runner(context.store, tasks, context.settings.lease_seconds, holder)
    runner.on_step = on_step
    runner.start()
    try:
        yield runner
    finally:
        runner.stop()
