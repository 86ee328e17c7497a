"""The job-control interface, and how a site follows a set-point with it: raise, shed, follow.

Shedding slows jobs first, then pauses them, those with most slack first; raising resumes paused jobs, most
urgent first, then speeds up slowed ones, then starts shifted ones early. A job is never slowed or paused
past the point at which it could no longer finish before the deadline it was sold with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class JobState(StrEnum):
    """What a job does."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"


class JobError(Exception):
    """A driver could not do what it was told; `job_id` names the job."""

    def __init__(self, job_id: str, detail: str, mend: str) -> None:
        super().__init__(f"job {job_id}: {detail}: {mend}")
        self.job_id, self.detail, self.mend = job_id, detail, mend


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a site: its power when it runs at full speed, the seconds of work left at that speed, its
    deadline (unix seconds) and its present speed in thousandths."""

    id: str
    state: JobState
    full_w: int
    work_left_s: float
    deadline: float
    speed_milli: int = 1000

    @property
    def power_w(self) -> int:
        """What it draws now."""
        return self.full_w * self.speed_milli // 1000 if self.state == JobState.RUNNING else 0

    def slack_s(self, now: float) -> float:
        """How long it may stand still and still make its deadline at full speed."""
        return self.deadline - now - self.work_left_s


class JobControl(Protocol):
    """What a driver must do; all of it is idempotent."""

    def jobs(self) -> Sequence[Job]:
        """All jobs that are not done."""

    def pause(self, job_id: str) -> None:
        """Stops a running job without losing its work."""

    def resume(self, job_id: str) -> None:
        """Lets a paused job go on."""

    def start(self, job_id: str) -> None:
        """Starts a queued job now."""

    def slow(self, job_id: str, speed_milli: int) -> None:
        """Runs a job at a part of its speed; 1000 is full. Drivers that cannot raise JobError."""

    can_slow: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """How far a site may go: an instruction of `hold_s` must leave every job this much slack."""

    hold_s: float = 900.0
    margin_s: float = 60.0
    slowest_milli: int = 500


@dataclass(frozen=True, slots=True)
class Reached:
    """What a set-point came to: W before, asked and after, what was done, and signal to acknowledgement."""

    before_w: int
    asked_w: int
    after_w: int
    actions: tuple[tuple[str, str], ...]
    latency_ms: float


def plan(
    jobs: Sequence[Job], target_w: int, now: float, rule: Rule, can_slow: bool
) -> list[tuple[str, str, int]]:
    """(action, job, speed) that bring the site's power to the target.

    A shed is met or passed by less than one job, as far as deadlines let jobs wait; a raise never passes its
    target.
    """
    power = sum(job.power_w for job in jobs)
    actions: list[tuple[str, str, int]] = []
    running = [job for job in jobs if job.state == JobState.RUNNING]
    if target_w < power:
        for job in sorted(running, key=lambda j: (-j.slack_s(now), j.id)):
            excess = power - target_w
            if excess <= 0:
                break
            slack = job.slack_s(now) - rule.margin_s
            speed = max((job.power_w - excess) * 1000 // job.full_w, rule.slowest_milli)
            if slack >= rule.hold_s and (excess >= job.power_w or not can_slow):
                actions.append(("pause", job.id, 0))
                power -= job.power_w
            elif can_slow and speed < job.speed_milli and slack >= rule.hold_s * (1 - speed / 1000):
                actions.append(("slow", job.id, speed))
                power -= job.power_w - job.full_w * speed // 1000
    elif target_w > power:
        urgent = lambda j: (j.slack_s(now), j.id)  # noqa: E731
        for state, action in ((JobState.PAUSED, "resume"), (JobState.QUEUED, "start")):
            for job in sorted((j for j in jobs if j.state == state), key=urgent):
                if power + job.full_w <= target_w:
                    actions.append((action, job.id, 1000))
                    power += job.full_w
        for job in sorted((j for j in running if j.speed_milli < 1000), key=urgent):
            room = target_w - power
            speed = min(1000, job.speed_milli + room * 1000 // max(job.full_w, 1))
            if can_slow and speed > job.speed_milli:
                actions.append(("slow", job.id, speed))
                power += job.full_w * (speed - job.speed_milli) // 1000
    return actions


def rescue(jobs: Sequence[Job], now: float, margin_s: float) -> list[tuple[str, str, int]]:
    """Jobs that must run at full speed now to keep their deadline, whatever the set-point."""
    actions: list[tuple[str, str, int]] = []
    for job in jobs:
        if job.slack_s(now) >= margin_s:
            continue
        if job.state == JobState.PAUSED:
            actions.append(("resume", job.id, 1000))
        elif job.state == JobState.QUEUED:
            actions.append(("start", job.id, 1000))
        elif job.state == JobState.RUNNING and job.speed_milli < 1000:
            actions.append(("slow", job.id, 1000))
    return actions


def set_point(
    control: JobControl, target_w: int, rule: Rule | None = None, clock: Callable[[], float] = time.time
) -> Reached:
    """Follows one set-point: reads the jobs, acts, reads them again; the time of all that is measured."""
    rule = rule or Rule()
    began = time.perf_counter()
    before = control.jobs()
    now = clock()
    forced = rescue(before, now, rule.margin_s)
    wanted = plan(before, target_w, now, rule, control.can_slow)
    done = forced + [action for action in wanted if action[1] not in {job for _, job, _ in forced}]
    for action, job_id, speed in done:
        if action == "slow":
            control.slow(job_id, speed)
        else:
            getattr(control, action)(job_id)
    after = control.jobs()
    return Reached(
        sum(job.power_w for job in before), target_w, sum(job.power_w for job in after),
        tuple((action, job_id) for action, job_id, _ in done), (time.perf_counter() - began) * 1000,
    )  # fmt: skip
