"""Dispatch events on their way: CREATED -> SENT -> ACKED, REJECTED or NO_RECEIPT, and never a blind re-send.

A message that got no answer in time may have been carried out. So an event without receipt is first
asked for: only a receiver that says it does not know it gets it again, under the same id, so that
carrying it out twice is impossible for a receiver that keeps ids.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from backend.vpp.errors import FlexError


class State(StrEnum):
    """How far an event's message came."""

    CREATED = "CREATED"
    SENT = "SENT"
    ACKED = "ACKED"
    REJECTED = "REJECTED"
    NO_RECEIPT = "NO_RECEIPT"


ALLOWED: dict[State, frozenset[State]] = {
    State.CREATED: frozenset({State.SENT}),
    State.SENT: frozenset({State.ACKED, State.REJECTED, State.NO_RECEIPT}),
    State.NO_RECEIPT: frozenset(
        {State.ACKED, State.REJECTED, State.SENT}
    ),  # SENT only after it was asked for
    State.ACKED: frozenset(),
    State.REJECTED: frozenset(),
}


class NoReceipt(Exception):
    """The transport got no answer in time; the message may have arrived or not."""


@dataclass(frozen=True, slots=True)
class Setpoints:
    """What an event asks of a resource: W per interval from unix second `start`."""

    event_id: str
    resource_id: str
    start: int
    slot_seconds: int
    set_w: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """An event and where its message stands; `sends` counts transmissions, `ack_ms` signal to receipt."""

    setpoints: Setpoints
    state: State = State.CREATED
    sends: int = 0
    reason: str = ""
    ack_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receiver's answer."""

    accepted: bool
    reason: str = ""


class Transport(Protocol):
    """How events reach resources; both raise NoReceipt when nothing is heard in time."""

    def send(self, setpoints: Setpoints) -> Receipt:
        """Hands over an event; the receiver answers the same id the same way."""

    def status(self, event_id: str) -> Receipt | None:
        """What the receiver did with an event; None if it does not know it."""


def step(dispatch: Dispatch, state: State, reason: str = "") -> Dispatch:
    """The event in its next state; FlexError for a step that is not allowed."""
    if state not in ALLOWED[dispatch.state]:
        raise FlexError("transition", "state", f"{dispatch.state} -> {state}", "events only move forward")
    return replace(dispatch, state=state, reason=reason)


def send(
    dispatch: Dispatch, transport: Transport, clock: Callable[[], float] = time.perf_counter
) -> Dispatch:
    """Sends an event once and waits for its receipt."""
    started = clock()
    sent = replace(step(dispatch, State.SENT), sends=dispatch.sends + 1)
    try:
        receipt = transport.send(sent.setpoints)
    except NoReceipt as silence:
        return step(sent, State.NO_RECEIPT, str(silence))
    done = step(sent, State.ACKED if receipt.accepted else State.REJECTED, receipt.reason)
    return replace(done, ack_ms=(clock() - started) * 1000)


def resolve(dispatch: Dispatch, transport: Transport, most_sends: int = 3) -> Dispatch:
    """Clears up an event without receipt: asks first, and sends again only what the receiver never got."""
    if dispatch.state != State.NO_RECEIPT:
        raise FlexError("transition", "state", dispatch.state, "only an event without receipt is asked for")
    try:
        known = transport.status(dispatch.setpoints.event_id)
    except NoReceipt as silence:
        return replace(dispatch, reason=str(silence))
    if known is not None:
        return step(dispatch, State.ACKED if known.accepted else State.REJECTED, known.reason)
    if dispatch.sends >= most_sends:
        return replace(dispatch, reason=f"not received after {dispatch.sends} sends")
    return send(dispatch, transport)
