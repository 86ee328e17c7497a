"""A site's gateway accepts, follows and lets go, with real CPU work, and says no when it cannot read its
jobs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from backend.vpp.gateway import Gateway
from backend.vpp.jobs import Job, JobError
from backend.vpp.jobs.local import LocalJobs

START = 1_000


class Service:
    """Keeps one event as the API shows it."""

    def __init__(self) -> None:
        self.event: dict[str, Any] = {
            "id": "e", "state": "SENT", "start": START, "slot_seconds": 900, "set_w": [500, 2_000],
        }  # fmt: skip
        self.answers: list[dict[str, Any]] = []

    def ask(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        if method == "GET":
            assert path.startswith("/flex/events?resource_id=site")
            return {"items": [dict(self.event)]}
        assert path == "/flex/events/e/receipt" and body is not None
        self.answers.append(body)
        self.event["state"] = "ACKED" if body["accepted"] else "REJECTED"
        return dict(self.event)


def test_follows_an_event_with_real_jobs_and_lets_them_go() -> None:
    service, jobs = Service(), LocalJobs()
    burn = [sys.executable, "-c", "while True: pass"]
    for name in ("a", "b"):
        jobs.submit(name, burn, 1_000, 30.0, time.time() + 10**6)
        jobs.start(name)
    try:
        site = Gateway(service.ask, jobs, "site")
        assert site.step(START - 600) is None and service.answers == [{"accepted": True}]
        reached = site.step(START)
        assert reached is not None and reached.after_w <= 1_000 and reached.before_w == 2_000
        assert site.step(START + 10) is None  # the same set-point once
        raised = site.step(START + 900)
        assert raised is not None and raised.after_w == 2_000
        gone = site.step(START + 1_800)
        assert gone is not None and gone.after_w == 2_000 and site.step(START + 1_801) is None
        assert len(service.answers) == 1
    finally:
        jobs.close()


class Broken:
    """A driver whose jobs cannot be read."""

    can_slow = False

    def jobs(self) -> Sequence[Job]:
        raise JobError("7", "annotation full-w", "annotate it")

    def pause(self, job_id: str) -> None: ...
    def resume(self, job_id: str) -> None: ...
    def start(self, job_id: str) -> None: ...
    def slow(self, job_id: str, speed_milli: int) -> None: ...


def test_says_no_with_the_reason_when_it_cannot_follow() -> None:
    service = Service()
    assert Gateway(service.ask, Broken(), "site").step(START) is None
    assert service.answers[0]["accepted"] is False and "full-w" in service.answers[0]["reason"]
