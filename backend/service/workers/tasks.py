"""The tasks there are, and what each needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from backend.service.context import Context
from backend.service.jobs import JobRunner
from backend.service.workers.housekeeping import sweep
from backend.service.workers.notifier import Notifier
from backend.service.workers.runner import Runner, Task

NAMES = ("jobs", "notifier", "housekeeping")


def _jobs(context: Context) -> Task:
    runner = JobRunner(context)
    return Task("jobs", runner.step, 1.0, runner.recover, runner.close, context.jobs_waiting)


def _notifier(context: Context) -> Task:
    notifier = Notifier(context)
    return Task("notifier", notifier.step, 1.0, end=notifier.close)


def _housekeeping(context: Context) -> Task:
    return Task("housekeeping", lambda: sweep(context), 60.0)


_MAKERS: dict[str, Callable[[Context], Task]] = {
    "jobs": _jobs,
    "notifier": _notifier,
    "housekeeping": _housekeeping,
}


@contextmanager
def working(
    context: Context, names: Collection[str], on_step: Callable[[str, float, bool], None]
) -> Iterator[Runner]:
    """The named tasks in threads of their own until the block ends."""
    runner = Runner(context.store, [_MAKERS[name](context) for name in names], context.settings.lease_seconds)
    runner.on_step = on_step
    runner.start()
    try:
        yield runner
    finally:
        runner.stop()
