"""Runs tasks, each in a thread of its own under its lease; a fault is logged and the task is tried again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from backend.chain.errors import ChainError
from backend.service import telemetry
from backend.service.errors import ServiceError
from backend.service.workers import leases
from backend.service.workers.leases import LeaseLost
from backend.store.engine import Store

log = logging.getLogger(__name__)
_STOP_SECONDS = 10.0


@dataclass
class Task:
    """A piece of work. `step` does some of it and says whether there is more to do at once; `begin` runs when
    the lease was just taken, `end` when it is given back. `wake` ends the pause between steps early.
    """

    name: str
    step: Callable[[], bool]
    every_seconds: float = 1.0
    begin: Callable[[], None] = lambda: None
    end: Callable[[], None] = lambda: None
    wake: threading.Event = field(default_factory=threading.Event)


def lease_of(task: str) -> str:
    """Name of a task's lease."""
    return f"task:{task}"


class Runner:
    """The tasks of one process. `on_step(name, seconds, failed)` is told of every step."""

    def __init__(
        self, store: Store, tasks: Sequence[Task], lease_seconds: int, holder: str | None = None
    ) -> None:
        self.holder = holder or leases.holder_name()
        self.on_step: Callable[[str, float, bool], None] = lambda name, seconds, failed: None
        self._store = store
        self._tasks = tasks
        self._lease_seconds = lease_seconds
        self._stop = threading.Event()
        self._held: set[str] = set()
        self._threads = [
            threading.Thread(target=self._run, args=(task,), name=f"worker-{task.name}", daemon=True)
            for task in tasks
        ]
        self._threads.append(threading.Thread(target=self._renew, name="worker-leases", daemon=True))

    def start(self) -> None:
        """Starts every task."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Lets the running steps end and gives the leases back."""
        self._stop.set()
        for task in self._tasks:
            task.wake.set()
        for thread in self._threads:
            thread.join(timeout=_STOP_SECONDS)

    def _renew(self) -> None:
        while not self._stop.wait(self._lease_seconds / 3):
            for name in sorted(self._held):
                try:
                    leases.acquire(self._store, name, self.holder, self._lease_seconds)
                except SQLAlchemyError as error:
                    log.warning("the lease %s could not be renewed: %s", name, type(error).__name__)

    def _run(self, task: Task) -> None:
        name = lease_of(task.name)
        try:
            while not self._stop.is_set():
                task.wake.clear()
                if not (self._attempt(task, name) and not self._stop.is_set()):
                    task.wake.wait(task.every_seconds)
        finally:
            if name in self._held:
                self._held.discard(name)
                task.end()
                try:
                    leases.release(self._store, name, self.holder)
                except SQLAlchemyError:
                    log.warning("the lease %s ends on its own", name)

    def _attempt(self, task: Task, name: str) -> bool:
        """One step under the lease; whether there is more to do."""
        started = time.perf_counter()
        failed = True
        try:
            if not leases.acquire(self._store, name, self.holder, self._lease_seconds):
                if name in self._held:
                    self._held.discard(name)
                    task.end()
                failed = False
                return False
            if name not in self._held:
                task.begin()
                self._held.add(name)
            began = time.time_ns()
            more = task.step()
            if more:
                telemetry.record(f"task {task.name}", began)
            failed = False
            return more
        except LeaseLost:
            self._held.discard(name)
            task.end()
            log.warning("task %s is another process's now", task.name)
        except (ChainError, SQLAlchemyError, ServiceError, OSError) as error:
            log.warning("task %s: %s: %s", task.name, type(error).__name__, str(error)[:300])
        except Exception:
            log.exception("task %s broke; it is tried again", task.name)
        finally:
            self.on_step(task.name, time.perf_counter() - started, failed)
        return False
