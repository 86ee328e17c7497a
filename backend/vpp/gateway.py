"""A compute site's gateway: answers the events of its resource and follows their set-points with its jobs.

It polls the service, accepts an event only once it has read its jobs, and sets each slot's power when the
slot begins. When the event is over paused jobs go on. Deadlines of jobs stand above every set-point.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from backend.vpp.events import State
from backend.vpp.jobs import JobControl, JobError, Reached, Rule, set_point

Ask = Callable[[str, str, dict[str, Any] | None], dict[str, Any]]
"""(method, path under /api/v1, body) -> what the service answered."""
_OPEN = (State.SENT, State.NO_RECEIPT)


class Gateway:
    """One resource's gateway; `step` is called every second or so."""

    def __init__(
        self, ask: Ask, control: JobControl, resource_id: str, rule: Rule | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._ask = ask
        self._control = control
        self._path = f"/flex/events?resource_id={resource_id}&limit=500"
        self._rule = rule or Rule()
        self._clock = clock
        self._followed: tuple[str, int] | None = None

    def step(self, now: int) -> Reached | None:
        """Answers what is open and follows what is due at the market's time; what a new set-point came to."""
        events = self._ask("GET", self._path, None)["items"]
        for event in events:
            if event["state"] in _OPEN and now < _end(event):
                event["state"] = self._answer(event)
        due = next(_due(events, now), None)
        if due is None:
            return self._let_go()
        event_id, slot, target_w = due
        if self._followed == (event_id, slot):
            return None
        self._followed = event_id, slot
        return set_point(self._control, target_w, self._rule, self._clock)

    def _answer(self, event: dict[str, Any]) -> str:
        body: dict[str, Any] = {"accepted": True}
        try:
            self._control.jobs()
        except JobError as error:
            body = {"accepted": False, "reason": str(error)[:200]}
        answered = self._ask("POST", f"/flex/events/{event['id']}/receipt", body)
        return str(answered["state"])

    def _let_go(self) -> Reached | None:
        """After an event every job may run again."""
        if self._followed is None:
            return None
        self._followed = None
        full = sum(job.full_w for job in self._control.jobs())
        return set_point(self._control, full, self._rule, self._clock)


def _end(event: dict[str, Any]) -> int:
    return int(event["start"]) + int(event["slot_seconds"]) * len(event["set_w"])


def _due(events: list[dict[str, Any]], now: int) -> Iterator[tuple[str, int, int]]:
    """(event, slot, W) of the accepted events that run now; the lowest set-point first."""
    running = []
    for event in events:
        if event["state"] == State.ACKED and event["start"] <= now < _end(event):
            slot = (now - event["start"]) // event["slot_seconds"]
            running.append((event["set_w"][slot], event["id"], slot))
    for target, name, slot in sorted(running):
        yield name, slot, target
