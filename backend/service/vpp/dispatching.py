"""From awards to events: the fleet's instruction, one message per resource and window, and its receipts.

An account's awards of a zone and product over adjoining slots are one window. The members that were awarded
are instructed together (`backend.vpp.disaggregate`): inside certificate, ramp and what the bundle market
sold of a site, which is never shed. What one cannot give the others take over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from sqlmodel import Session, col, select

from backend.service.access import Principal, Scope
from backend.service.audit_log import record
from backend.service.errors import Closed, NotFound
from backend.service.vpp import ledger, series
from backend.service.vpp.problems import as_problem
from backend.service.vpp.registry import certificate_in_force
from backend.service.vpp.terms import CAPACITY, SLOT_SECONDS
from backend.store.flex import FlexAward, FlexEvent, FlexPeriod, FlexPosition, FlexReservation, FlexResource
from backend.vpp.events import Dispatch, Setpoints, State, step
from backend.vpp.products import PRODUCTS
from backend.vpp.spot import Ints

MOST_W = 2**30 - 1
Window = list[tuple[FlexPosition, list[FlexAward]]]


def windows(positions: Sequence[FlexPosition], awards: Sequence[FlexAward]) -> Iterator[Window]:
    """Positions of one account, zone and product over adjoining slots, with their awards."""
    own: dict[int, list[FlexAward]] = {}
    for award in awards:
        own.setdefault(award.position, []).append(award)
    window: Window = []
    for position in sorted(positions, key=lambda p: (p.account, p.product, p.zone_id or 0, p.start)):
        if window:
            last = window[-1][0]
            same = (last.account, last.product, last.zone_id) == (
                position.account, position.product, position.zone_id,
            )  # fmt: skip
            if not same or position.start != last.start + last.seconds:
                yield window
                window = []
        window.append((position, own[position.position]))
    if window:
        yield window


def make_events(session: Session, period: FlexPeriod, receipt_seconds: int, now: int) -> int:
    """Writes a period's events; how many. Capacity is held ready and not dispatched here."""
    positions = session.exec(select(FlexPosition).where(FlexPosition.period_id == period.id)).all()
    awards = session.exec(select(FlexAward).where(FlexAward.period_id == period.id)).all()
    count = 0
    for window in windows([p for p in positions if p.product not in CAPACITY], awards):
        for event in _instruct(session, period, window, now):
            event.deadline = min(now + receipt_seconds, event.start)
            session.add(event)
            count += 1
    return count


def _instruct(session: Session, period: FlexPeriod, window: Window, now: int) -> Iterator[FlexEvent]:
    from backend.vpp.disaggregate import Fleet, disaggregate  # numba loads with the first dispatch

    first = window[0][0]
    names = sorted({award.resource_id for _, awards in window for award in awards})
    rows = [session.get_one(FlexResource, name) for name in names]
    starts = [position.start for position, _ in window]
    plan = np.array([planned_w(session, row, starts) for row in rows])
    limits = [_limits(session, row, starts, now) for row in rows]
    cost = {a.resource_id: a.price_micro_per_kwh for _, awards in window for a in awards}
    raises = PRODUCTS[first.product].direction == "down"
    sign = 1 if raises else -1
    owed = np.zeros((len(starts), len(rows)), np.int64)
    place = {name: n for n, name in enumerate(names)}
    for t, (position, awards) in enumerate(window):
        for award in awards:
            owed[t, place[award.resource_id]] += award.energy_wh * 3600 // position.seconds
    flat = plan.mean(axis=1).astype(np.int64)
    adjustable = np.array([most for most, _, _ in limits])
    firm = np.array([sold for _, sold, _ in limits])
    most = np.array([min(row.nameplate_w, MOST_W) for row in rows], np.int64)
    low = np.minimum(np.maximum(flat - adjustable, np.minimum(firm, flat)), flat)
    fleet = Fleet.of(
        len(rows),
        min_w=low if not raises else flat,
        max_w=np.maximum(np.minimum(flat + adjustable, most), flat) if raises else flat,
        plan_w=flat,
        now_w=flat,
        cost_ticks=np.array([cost[name] for name in names], np.int64),
        ramp_w_per_min=np.maximum([ramp for _, _, ramp in limits], 1),
    )
    given = disaggregate(fleet, sign * owed.sum(axis=1), SLOT_SECONDS)
    for n, name in enumerate(names):
        change = given.set_w[:, n] - flat[n]
        if not change.any() and not owed[:, n].any():
            continue
        yield FlexEvent(
            period_id=period.id, aggregator_id=first.aggregator_id, resource_id=name, product=first.product,
            start=starts[0], slot_seconds=first.seconds, set_w=(plan[n] + change).tolist(),
            change_w=change.tolist(), state=State.CREATED, deadline=starts[0], created_at=now,
        )  # fmt: skip


def planned_w(session: Session, row: FlexResource, starts: Sequence[int]) -> Ints:
    """What a resource would draw: its schedule, else its forecast, else the day before, else its
    nameplate.
    """
    found = np.full(len(starts), -1, np.int64)
    for name, back in (("schedule", 0), ("forecast", 0), ("telemetry", 86_400)):
        told = series.grid(session, row.id, name, [start - back for start in starts], SLOT_SECONDS)
        found = np.where(found < 0, told, found)
    return np.where(found < 0, min(row.nameplate_w, MOST_W), found)


def _limits(session: Session, row: FlexResource, starts: Sequence[int], now: int) -> tuple[int, int, int]:
    """(certified W, W firmly sold in the bundle market, ramp W per minute)."""
    proof = certificate_in_force(session, row.id, now)
    adjustable = int(proof.metrics["adjustable_w"]) if proof else 0
    ramp = adjustable * int(proof.metrics.get("ramp_bps_per_min", 10_000)) // 10_000 if proof else 0
    sold = session.exec(
        select(FlexReservation).where(
            FlexReservation.resource_id == row.id,
            FlexReservation.market == ledger.BUNDLE,
            col(FlexReservation.released_at).is_(None),
            FlexReservation.start < starts[-1] + SLOT_SECONDS,
            FlexReservation.end > starts[0],
        )
    ).all()
    most = max((sum(r.watts for r in sold if r.start <= start < r.end) for start in starts), default=0)
    return adjustable, most, ramp


def any_due(session: Session, now: int) -> bool:
    """Whether an event waits to be sent or to time out."""
    late = (col(FlexEvent.state) == State.SENT) & (col(FlexEvent.deadline) <= now)
    query = select(FlexEvent.id).where((col(FlexEvent.state) == State.CREATED) | late)
    return session.exec(query.limit(1)).first() is not None


def send_due(session: Session, now: int) -> list[FlexEvent]:
    """CREATED events go out: from here on their resources see them."""
    rows = session.exec(select(FlexEvent).where(FlexEvent.state == State.CREATED).limit(2_000)).all()
    for row in rows:
        row.state, row.sent_at = _next(row, State.SENT), now
        session.add(row)
    return list(rows)


def time_out(session: Session, now: int) -> int:
    """Events without an answer by their deadline; they are not sent again, their receiver may still
    answer.
    """
    rows = session.exec(
        select(FlexEvent).where(FlexEvent.state == State.SENT, FlexEvent.deadline <= now).limit(2_000)
    ).all()
    for row in rows:
        row.state, row.reason = _next(row, State.NO_RECEIPT), "no answer in time"
        session.add(row)
    return len(rows)


def receivers(session: Session, event: FlexEvent) -> list[str]:
    """Organisations that are told of an event: the aggregator and the resource's own."""
    owner = session.get_one(FlexResource, event.resource_id).organisation_id
    return sorted({event.aggregator_id, owner})


def _next(row: FlexEvent, state: State) -> State:
    """The state if the event may go there (`backend.vpp.events` says which)."""
    order = Setpoints(row.id, row.resource_id, row.start, row.slot_seconds, tuple(row.set_w))
    with as_problem():
        return step(Dispatch(order, State(row.state)), state).state


def visible(query_owner: str) -> object:
    """Condition on events: the organisation's own as aggregator, or of its resources once they are sent."""
    mine = select(FlexResource.id).where(FlexResource.organisation_id == query_owner)
    return (col(FlexEvent.aggregator_id) == query_owner) | (
        col(FlexEvent.resource_id).in_(mine) & (col(FlexEvent.state) != State.CREATED)
    )


def answer(
    session: Session, who: Principal, event_id: str, accepted: bool, reason: str, now: int
) -> FlexEvent:
    """The receipt of an event, by its resource's organisation or the aggregator's gateway; the same again is
    the same, another one is refused.
    """
    organisation = who.require(Scope.FLEX_WRITE)
    row = session.exec(
        select(FlexEvent).where(FlexEvent.id == event_id, visible(organisation)).with_for_update()  # type: ignore[arg-type]
    ).first()
    if row is None:
        raise NotFound("no such event", field="event_id", mend="list your events")
    state = State.ACKED if accepted else State.REJECTED
    if row.state == state:
        return row
    if now >= row.start + row.slot_seconds * len(row.set_w):
        raise Closed("the event is over", field="event_id", mend="answer before it ends")
    row.state, row.reason, row.answered_at = _next(row, state), reason, now
    session.add(row)
    record(session, who, "flex.event_answered", row.id, state=row.state)
    return row


def heard(session: Session, event_id: str, at: int) -> None:
    """A VEN's report on an event is its receipt; one that is answered already stays as it is."""
    row = session.get(FlexEvent, event_id, with_for_update=True)
    if row is not None and row.state in (State.SENT, State.NO_RECEIPT):
        row.state, row.reason, row.answered_at = _next(row, State.ACKED), "reported by OpenADR", at
        session.add(row)


def told_wh(event: FlexEvent, start: int) -> int:
    """Wh an event asks for in the slot that starts then."""
    n = (start - event.start) // event.slot_seconds
    return abs(event.change_w[n]) * event.slot_seconds // 3600 if 0 <= n < len(event.change_w) else 0
