"""Jobs as local processes: SIGSTOP and SIGCONT pause and resume them, a duty cycle slows them.

Power is the share of a core that a process really used since it was last looked at, times the watts of a
core.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from backend.vpp.jobs.control import Job, JobError, JobState

CYCLE_S = 0.05


@dataclass
class _Process:
    command: list[str]
    full_w: int
    work_s: float
    deadline: float
    process: subprocess.Popen[bytes] | None = None
    paused: bool = False
    speed_milli: int = 1000
    lock: threading.Lock = field(default_factory=threading.Lock)


class LocalJobs:
    """Job control over child processes of this one; `close` ends them all."""

    can_slow = True

    def __init__(self) -> None:
        self._jobs: dict[str, _Process] = {}
        self._closing = threading.Event()
        self._pacer = threading.Thread(target=self._pace, daemon=True, name="job-pacer")
        self._pacer.start()

    def submit(self, job_id: str, command: list[str], full_w: int, work_s: float, deadline: float) -> None:
        """Queues a job of `work_s` seconds of processor time."""
        if job_id in self._jobs:
            raise JobError(job_id, "is there already", "give every job its own id")
        self._jobs[job_id] = _Process(command, full_w, work_s, deadline)

    def jobs(self) -> Sequence[Job]:
        """All jobs that are not done, with the processor time they still need."""
        found = []
        for job_id, p in self._jobs.items():
            state = self._state(p)
            if state != JobState.DONE:
                left = max(p.work_s - self.cpu_seconds(job_id), 0.0)
                found.append(Job(job_id, state, p.full_w, left, p.deadline, p.speed_milli))
        return found

    def _state(self, p: _Process) -> JobState:
        if p.process is None:
            return JobState.QUEUED
        if p.process.poll() is not None:
            return JobState.DONE
        return JobState.PAUSED if p.paused else JobState.RUNNING

    def _of(self, job_id: str) -> _Process:
        if job_id not in self._jobs:
            raise JobError(job_id, "is not known", "list the jobs")
        return self._jobs[job_id]

    def start(self, job_id: str) -> None:
        """Starts the process."""
        p = self._of(job_id)
        with p.lock:
            if p.process is None:
                p.process = subprocess.Popen(p.command, start_new_session=True)

    def pause(self, job_id: str) -> None:
        """Stops the process group."""
        p = self._of(job_id)
        with p.lock:
            p.paused = True
            self._signal(p, signal.SIGSTOP)

    def resume(self, job_id: str) -> None:
        """Continues it at full speed."""
        p = self._of(job_id)
        with p.lock:
            p.paused, p.speed_milli = False, 1000
            self._signal(p, signal.SIGCONT)

    def slow(self, job_id: str, speed_milli: int) -> None:
        """Runs it for a part of every 50 ms."""
        if not 1 <= speed_milli <= 1000:
            raise JobError(job_id, f"speed {speed_milli} is none", "give 1..1000 thousandths")
        p = self._of(job_id)
        with p.lock:
            p.speed_milli = speed_milli
            if speed_milli == 1000 and not p.paused:
                self._signal(p, signal.SIGCONT)

    def _signal(self, p: _Process, number: int) -> None:
        if p.process is not None and p.process.poll() is None:
            os.killpg(p.process.pid, number)

    def cpu_seconds(self, job_id: str) -> float:
        """Processor time the process has used; all of its work once it is done."""
        p = self._of(job_id)
        if p.process is None:
            return 0.0
        try:
            with open(f"/proc/{p.process.pid}/stat", encoding="ascii") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            return p.work_s
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _pace(self) -> None:
        """The duty cycle of slowed jobs."""
        while not self._closing.is_set():
            slowed = [p for p in self._jobs.values() if p.speed_milli < 1000 and not p.paused]
            if not slowed:
                self._closing.wait(CYCLE_S / 5)
                continue
            began = time.monotonic()
            for p in slowed:
                with p.lock:
                    if not p.paused:
                        self._signal(p, signal.SIGCONT)
            for p in sorted(slowed, key=lambda q: q.speed_milli):
                time.sleep(max(began + CYCLE_S * p.speed_milli / 1000 - time.monotonic(), 0))
                with p.lock:
                    if p.speed_milli < 1000:
                        self._signal(p, signal.SIGSTOP)
            time.sleep(max(began + CYCLE_S - time.monotonic(), 0))

    def close(self) -> None:
        """Ends every process and the pacing."""
        self._closing.set()
        self._pacer.join()
        for p in self._jobs.values():
            if p.process is not None and p.process.poll() is None:
                os.killpg(p.process.pid, signal.SIGKILL)
                p.process.wait()
