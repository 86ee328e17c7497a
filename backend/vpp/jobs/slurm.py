"""Jobs of a Slurm cluster: hold, requeue and release by scontrol, read by squeue.

Requeueing ends a running job and puts it back into the queue, so jobs must restart from their own checkpoints
(`--requeue`); held ones wait. What the market knows stands in the job's comment as JSON:
{"full_w": .., "work_left_s": .., "deadline": unix seconds}. Jobs without it are not touched.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence

from backend.vpp.jobs.control import Job, JobError, JobState

Run = Callable[[Sequence[str]], str]
TIMEOUT_S = 10.0
_FORMAT = "%i|%T|%r|%k"


def run_command(command: Sequence[str]) -> str:
    """Runs a Slurm command; JobError with what it said when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise JobError("-", f"{command[0]}: {error}", "run where Slurm's commands are") from error
    if done.returncode:
        raise JobError(
            command[-1], done.stderr.strip()[:200] or f"{command[0]} failed", "see slurmctld's log"
        )
    return done.stdout


class SlurmJobs:
    """Job control over one user's jobs; `run` executes a command and returns what it printed."""

    can_slow = False

    def __init__(self, user: str, run: Run = run_command) -> None:
        self._user, self._run = user, run

    def jobs(self) -> Sequence[Job]:
        """The user's jobs that carry the market's comment and are not done."""
        found = []
        for line in self._run(
            ["squeue", "--noheader", "--user", self._user, "--format", _FORMAT]
        ).splitlines():
            job_id, state, reason, comment = line.strip().split("|", 3)
            try:
                known = json.loads(comment)
                full_w, work, deadline = (
                    int(known["full_w"]),
                    float(known["work_left_s"]),
                    float(known["deadline"]),
                )
            except (ValueError, KeyError, TypeError):
                continue
            if state == "PENDING":
                held = JobState.PAUSED if reason.startswith("JobHeld") else JobState.QUEUED
                found.append(Job(job_id, held, full_w, work, deadline))
            elif state in ("RUNNING", "CONFIGURING"):
                found.append(Job(job_id, JobState.RUNNING, full_w, work, deadline))
        return found

    def pause(self, job_id: str) -> None:
        """Requeues a running job held, or holds a pending one."""
        self._run(["scontrol", "requeuehold", job_id])

    def resume(self, job_id: str) -> None:
        """Releases a held job."""
        self._run(["scontrol", "release", job_id])

    def start(self, job_id: str) -> None:
        """Moves a pending job to the front."""
        self._run(["scontrol", "top", job_id])

    def slow(self, job_id: str, speed_milli: int) -> None:
        """Not possible: Slurm's suspend keeps a node, it does not slow it."""
        raise JobError(job_id, "Slurm cannot run a job at a part of its speed", "pause it instead")
