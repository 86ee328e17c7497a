"""Child processes of a run: started once, found again after a crash, stopped at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.day.run_state import DriverError, RunState

_TERM_SECONDS = 5.0


class ChildFailed(DriverError):
    """A child process ended or did not become ready; its log says why."""

    def __init__(self, name: str, what: str, log: Path) -> None:
        self.name = name
        try:
            tail = log.read_text(encoding="utf-8", errors="replace")[-1500:].strip()
        except OSError:
            tail = ""
        super().__init__(
            f"{name} {what}; its log {log} ends:\n{tail}" if tail else f"{name} {what}; see {log}"
        )


def bitwatt_command(*arguments: str) -> list[str]:
    """The command line that runs `bitwatt` with these arguments in this interpreter."""
    return [sys.executable, "-c", "from bitwatt.cli import app; app()", *arguments]


def child_environment() -> dict[str, str]:
    """This process's environment, for children that start quickly and leave the cores to each other.

    Where this process must not write bytecode beside the sources, children keep theirs under .build, so that
    not every one of them compiles every library again.
    """
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    build = Path(__file__).resolve().parents[2] / ".build"
    if environment.get("PYTHONDONTWRITEBYTECODE") and build.is_dir():
        del environment["PYTHONDONTWRITEBYTECODE"]
        environment["PYTHONPYCACHEPREFIX"] = str(build / "pycache")
    return environment


def process_started(pid: int) -> str | None:
    """When process `pid` began, as an opaque text that no other process shares; None when it is not alive."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else f"{boot}/{fields[19]}"


def processes_of(command: Sequence[str]) -> list[int]:
    """Processes that run exactly this command line."""
    wanted = b"\0".join(part.encode() for part in command) + b"\0"
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes() == wanted:
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile, or is not ours to see
    return found


def kill_strays(command: Sequence[str]) -> None:
    """Ends processes with exactly this command line, left by a run that was killed before it noted them."""
    for pid in processes_of(command):
        _signal(pid, signal.SIGKILL)


class Children:
    """The run's child processes by name, recorded in run.json as soon as they exist."""

    def __init__(self, state: RunState, logs: Path) -> None:
        self._state = state
        self._logs = logs
        self._owned: dict[str, subprocess.Popen[bytes]] = {}
        logs.mkdir(parents=True, exist_ok=True)
        for name in [name for name in state.children if self.find(name) is None]:
            del state.children[name]  # ended since an earlier start; whoever needs it starts it again

    def log(self, name: str) -> Path:
        """The log file of a child."""
        return self._logs / f"{name}.log"

    def find(self, name: str) -> dict[str, Any] | None:
        """The record of a child that is still alive and ours, else None."""
        record = self._state.children.get(name)
        if record and process_started(record["pid"]) == record["started"]:
            return record
        return None

    def start(self, name: str, command: Sequence[str], info: Mapping[str, Any]) -> dict[str, Any]:
        """Starts a child in a session of its own and records it with `info`."""
        kill_strays(command)
        with self.log(name).open("ab") as stream:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                env=child_environment(),
            )
        self._owned[name] = process
        return self.record(name, process.pid, info)

    def record(self, name: str, pid: int, info: Mapping[str, Any]) -> dict[str, Any]:
        """Records a child that runs as `pid`."""
        self._state.children[name] = {"pid": pid, "started": process_started(pid), **info}
        self._state.save()
        return self._state.children[name]

    def check(self) -> None:
        """Raises ChildFailed when a recorded child has ended."""
        for name in self._state.children:
            if self.find(name) is None:
                code = self._owned[name].poll() if name in self._owned else None
                ended = f"ended with code {code}" if code is not None else "has ended"
                raise ChildFailed(name, ended, self.log(name))

    def stop(self, names: Sequence[str] | None = None) -> None:
        """Ends children (all, when `names` is None): terminate, then kill those that linger."""
        wanted = list(self._state.children if names is None else names)
        alive = {name: record["pid"] for name in wanted if (record := self.find(name))}
        for pid in alive.values():
            _signal(pid, signal.SIGTERM)
        deadline = time.monotonic() + _TERM_SECONDS
        while alive and time.monotonic() < deadline:
            self._reap()
            alive = {name: pid for name, pid in alive.items() if self.find(name)}
            if alive:
                time.sleep(0.05)
        for pid in alive.values():
            _signal(pid, signal.SIGKILL)
        for name in wanted:
            self._state.children.pop(name, None)
            process = self._owned.pop(name, None)
            if process:
                process.wait(timeout=_TERM_SECONDS)
        self._state.save()

    def _reap(self) -> None:
        for process in self._owned.values():
            process.poll()


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
