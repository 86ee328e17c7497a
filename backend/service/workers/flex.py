"""Closes the flexibility market's gates and takes every period to its payment; steps may be repeated.

closed -> cleared (positions, awards and prices are written, what was not awarded is free again) ->
anchoring -> anchored (both sides' money is locked; what was not awarded is free again; events go out) ->
delivering (measured, the document is archived) -> delivered -> settled (every award settled, every stake
given back) -> paid (members have their shares); or empty, or failed. What is done is read from FlexMarket
itself, so a restart or a reorganisation asks for nothing twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date

from sqlmodel import Session, col, select

from backend.chain.clients import Treasury
from backend.chain.flex import FlexMarket
from backend.chain.plan import Call
from backend.service import outbox
from backend.service.context import Context
from backend.service.vpp import dispatching, ledger, measuring, openadr, periods
from backend.service.vpp.capacity import payer_of
from backend.service.vpp.clearing import Cleared, clear_energy, clear_offers, needs
from backend.service.vpp.registry import certificate_in_force
from backend.service.vpp.terms import ANCILLARY, HOUR_SLOTS, MARKETS, Terms
from backend.service.webhooks import enqueue as tell
from backend.store.flex import FlexBid, FlexLine, FlexOffer, FlexPeriod, FlexPosition, FlexRequirement
from backend.store.operations import OutboxRow
from backend.store.types import new_id
from backend.vpp.calendar import DAY_AHEAD, REAL_TIME, TradingDay
from oracle.archive import Archive

log = logging.getLogger(__name__)
OPEN_STATES = ("closed", "cleared", "anchoring", "anchored", "delivering", "delivered", "settled")
MARGIN_SECONDS = 60
"""A period whose first slot starts sooner than this is not anchored any more."""
MOST_ATTEMPTS = 3
RETRY_SECONDS = 20
_LOOK_BACK_SECONDS = 3 * 86_400
_RESOLVED = 2
_OPEN_DISPUTE = 1


class FlexKeeper:
    """The flexibility market's clockwork, for one operator's key."""

    def __init__(
        self, context: Context, sender: str, archive: Archive,
        guard: Callable[[Session], None] = lambda session: None,
    ) -> None:  # fmt: skip
        self._context = context
        self._store = context.store
        self._sender = sender
        self._archive = archive
        self._guard = guard
        self._terms = Terms.of(context.settings)
        link = context.chain
        rpc = link.new_rpc()  # this task's own: it is made in one thread and works in another
        self._treasury, self._market = Treasury(link.book, rpc), FlexMarket(link.book, rpc)
        self._window: int = self._market.read("disputeWindow")
        self._arbiter_window: int = self._market.read("arbiterWindow")

    def step(self) -> bool:
        """Closes what is due, moves every open period on by one step, sends events; whether one moved."""
        now = self._context.market_now()
        self._close_due(now)
        with self._store.reading() as session:
            rows = session.exec(
                select(FlexPeriod)
                .where(col(FlexPeriod.state).in_(OPEN_STATES))
                .order_by(col(FlexPeriod.start))
            ).all()
        moved = [self._advance(row, now) for row in rows]
        return self._dispatch(now) or any(moved)

    # --- closing ----------------------------------------------------------------
    def _close_due(self, now: int) -> None:
        recent = date.fromtimestamp(now - _LOOK_BACK_SECONDS).isoformat()
        with self._store.reading() as session:
            due = [
                (market, day, slots)
                for market, text in sorted(_asked(session, recent))
                for day in [self._terms.day(date.fromisoformat(text))]
                for slots in _gates_of(market, day)
                if self._terms.closes_at(day, market, slots.start) <= now
            ]
            known = set(
                session.exec(
                    select(FlexPeriod.market, FlexPeriod.start).where(
                        col(FlexPeriod.day).in_({day.day.isoformat() for _, day, _ in due})
                    )
                )
            )
            new = [(m, day, s) for m, day, s in due if (m, day.slot_start(s.start)) not in known]
            new = [(m, day, s) for m, day, s in new if m != REAL_TIME or _traded(session, day, s)]
        if not new:
            return
        with self._store.writing() as session:
            self._guard(session)
            for market, day, slots in new:
                start = day.slot_start(slots.start)
                session.add(
                    FlexPeriod(
                        id=new_id(), market=market, day=day.day.isoformat(), first_slot=slots.start,
                        slots=len(slots), slot_seconds=day.slot_seconds, start=start,
                        chain_period=chain_period(market, start), state="closed", prices={},
                        closed_at=now, updated_at=int(time.time()),
                    )
                )  # fmt: skip

    # --- steps ------------------------------------------------------------------
    def _advance(self, row: FlexPeriod, now: int) -> bool:
        steps = {
            "closed": self._clear, "cleared": self._anchor, "anchoring": self._await_anchor,
            "anchored": self._measure, "delivering": self._await_deliveries, "delivered": self._settle,
            "settled": self._pay,
        }  # fmt: skip
        return steps[row.state](row, now)

    def _move(self, session: Session, row: FlexPeriod, state: str, **changes: object) -> FlexPeriod | None:
        """The locked period in its next state; None when somebody else moved it."""
        self._guard(session)
        kept = session.get_one(FlexPeriod, row.id, with_for_update=self._store.is_postgresql)
        if kept.state != row.state:
            return None
        kept.state, kept.updated_at = state, int(time.time())
        for name, value in changes.items():
            setattr(kept, name, value)
        session.add(kept)
        if state != row.state:
            log.info("flexibility %s %s %d: %s %s", row.market, row.day, row.first_slot, state, kept.error)
        return kept

    def _end(self, row: FlexPeriod, state: str, error: str) -> bool:
        """Ends a period without awards: everything that was bid for it is free again."""
        with self._store.writing() as session:
            kept = self._move(session, row, state, error=error[:400])
            if kept is not None:
                self._keep_sold(session, row)
        return kept is not None

    def _clear(self, row: FlexPeriod, now: int) -> bool:
        if row.start <= now + MARGIN_SECONDS:
            return self._end(row, "failed", "its first slot was too near when it was to be cleared")
        with self._store.reading() as session:
            payer = payer_of(session, row.market, row.day)
            cleared, short = self._covered(session, row, payer)
        if short:
            return self._end(row, "failed", short)
        if not cleared.sales:
            with self._store.writing() as session:
                kept = self._move(session, row, "empty", prices=cleared.prices)
                if kept is not None:
                    self._refuse(session, row, cleared.refused)
                    self._keep_sold(session, row)
            return kept is not None
        with self._store.writing() as session:
            kept = self._move(session, row, "cleared", prices=cleared.prices, payer=payer)
            if kept is None:
                return False
            self._refuse(session, row, cleared.refused)
            periods.write_positions(session, kept, cleared)
            kept.positions = len(cleared.positions())
            session.add(kept)
            for organisation in sorted({sale.aggregator_id for sale in cleared.sales}):
                said: dict[str, object] = {"period_id": row.id, "market": row.market, "day": row.day}
                tell(session, organisation, "flex.cleared", f"flex-{row.id}-cleared", said)
        return True

    def _covered(self, session: Session, row: FlexPeriod, payer: str | None) -> tuple[Cleared, str]:
        """Clears until everybody awarded has locked what it may owe; (cleared, what the payer lacks)."""
        day = self._terms.day(date.fromisoformat(row.day))
        left_out: dict[str, str] = {}
        while True:
            cleared = self._auction(session, row, day, left_out)
            cleared.refused |= left_out
            if not cleared.sales:
                return cleared, ""
            due = needs(cleared)
            lacking = {
                account: why
                for account, (_, most) in sorted(due.items())
                if (why := self._lacks(account, most))
            }
            if not lacking:
                total = sum(payment for payment, _ in due.values())
                why = self._lacks(payer, total) if payer else "nobody pays"
                return cleared, f"payer: {why}" if why else ""
            left_out |= {s.source_id: lacking[s.account] for s in cleared.sales if s.account in lacking}

    def _auction(
        self, session: Session, row: FlexPeriod, day: TradingDay, left_out: dict[str, str]
    ) -> Cleared:
        wanted = session.exec(
            select(FlexRequirement).where(
                FlexRequirement.market == row.market, FlexRequirement.day == row.day,
                col(FlexRequirement.withdrawn_at).is_(None),
            ).order_by(col(FlexRequirement.id))
        ).all()  # fmt: skip
        if row.market == ANCILLARY:
            offers = [offer for offer in _offers(session, row.day) if offer.id not in left_out]
            proven = [
                (offer, certificate_in_force(session, offer.resource_id, row.closed_at)) for offer in offers
            ]
            return clear_offers(day, proven, wanted)
        bids = [b for b in _bids(session, row.market, row.day) if b.id not in left_out and b.account]
        lines = session.exec(select(FlexLine).order_by(col(FlexLine.from_zone), col(FlexLine.to_zone))).all()
        return clear_energy(day, range(row.first_slot, row.first_slot + row.slots), bids, wanted, lines)

    def _lacks(self, account: str, most_micro: int) -> str:
        """Why an account cannot stand for an amount; empty when it can."""
        if not self._market.read("trusts", account, self._sender):
            return f"{account} does not trust the operator {self._sender} with its money"
        available, _ = self._treasury.ledger(account)
        if available < most_micro:
            return f"{account} has {available} micro of {most_micro} micro that it must lock"
        return ""

    def _refuse(self, session: Session, row: FlexPeriod, refused: dict[str, str]) -> None:
        """Writes on bids and offers why the gate left them out."""
        sources: list[FlexBid | FlexOffer] = (
            list(_offers(session, row.day)) if row.market == ANCILLARY else []
        )
        sources += _bids(session, row.market, row.day) if row.market == DAY_AHEAD else []
        for source in sources:
            source.refused = refused.get(source.id, "")[:200]
            session.add(source)

    def _keep_sold(self, session: Session, row: FlexPeriod) -> None:
        """Lowers the reservations of a period's bids and offers to what was awarded; the rest is free
        again.
        """
        awards = periods.awards_of(session, row.id)
        sold = {(a.source_id, a.start): a.energy_wh * 3600 // a.seconds for a in awards}
        if row.market == ANCILLARY:
            for offer in _offers(session, row.day):
                for begin in range(offer.start, offer.end, 3600):
                    reference = f"{offer.id}/{begin}"
                    ledger.reduce(session, ledger.ANCILLARY, reference, sold.get((offer.id, begin), 0))
            return
        for bid in _bids(session, row.market, row.day):
            for t in range(row.slots):
                start = row.start + t * row.slot_seconds
                reference = f"{bid.id}/{row.first_slot + t}"
                ledger.reduce(session, ledger.SPOT, reference, sold.get((bid.id, start), 0))

    def _anchor(self, row: FlexPeriod, now: int) -> bool:
        if row.start <= now:
            return self._undo(row, "failed", "its first slot began before it was anchored")
        with self._store.writing() as session:
            awards = periods.chain_awards(periods.positions_of(session, row.id))
            assert row.payer is not None
            call = self._market.anchor_awards(row.chain_period, row.payer, row.end, awards)
            root = self._market.awards_root(row.chain_period, awards)
            kept = self._move(session, row, "anchoring", awards_root=root, attempts=row.attempts + 1)
            if kept is not None:
                outbox.enqueue(session, self._sender, call, f"flex-{row.id}-anchor#{kept.attempts}")
        return kept is not None

    def _await_anchor(self, row: FlexPeriod, now: int) -> bool:
        _, end, _, root, _ = self._market.read("period", row.chain_period)
        if end:
            if "0x" + bytes(root).hex() != row.awards_root:
                return self._undo(row, "failed", "another root is anchored for this period")
            with self._store.writing() as session:
                kept = self._move(session, row, "anchored")
                if kept is not None:
                    self._keep_sold(session, row)
                    dispatching.make_events(session, kept, self._context.settings.flex_receipt_seconds, now)
            return kept is not None
        with self._store.reading() as session:
            key = f"flex-{row.id}-anchor#{row.attempts}"
            sent = session.exec(select(OutboxRow).where(OutboxRow.key == key)).one()
        if sent.state != outbox.FAILED:
            return False
        state = "closed" if row.attempts < MOST_ATTEMPTS and row.start > now + MARGIN_SECONDS else "failed"
        return self._undo(row, state, f"{sent.label}: {sent.error}")

    def _undo(self, row: FlexPeriod, state: str, error: str) -> bool:
        """Takes back a clearing that was not anchored; in a failed period everything is free again."""
        with self._store.writing() as session:
            kept = self._move(session, row, state, error=error[:400], positions=0, awards_root=None)
            if kept is None:
                return False
            for award in periods.awards_of(session, row.id):
                session.delete(award)
            session.flush()
            for position in periods.positions_of(session, row.id):
                session.delete(position)
            session.flush()
            if state == "failed":
                self._keep_sold(session, row)
        return True

    # --- dispatch ---------------------------------------------------------------
    def _dispatch(self, now: int) -> bool:
        with self._store.reading() as session:
            if not dispatching.any_due(session, now):
                return False
        with self._store.writing() as session:
            self._guard(session)
            sent = dispatching.send_due(session, now)
            for event in sent:
                said: dict[str, object] = {
                    "event_id": event.id, "resource_id": event.resource_id, "start": event.start,
                    "slot_seconds": event.slot_seconds, "set_w": event.set_w, "deadline": event.deadline,
                }  # fmt: skip
                openadr.mirror(session, event)
                for organisation in dispatching.receivers(session, event):
                    tell(session, organisation, "flex.event_sent", f"flex-event-{event.id}", said)
            late = dispatching.time_out(session, now)
        return bool(sent or late)

    # --- delivery ---------------------------------------------------------------
    def _measure(self, row: FlexPeriod, now: int) -> bool:
        if now < row.end + self._context.settings.flex_telemetry_seconds:
            return False
        with self._store.reading() as session:
            measured = measuring.measure(session, self._terms, row)
        readings = self._archive.put("flex-readings", measured.readings())
        document = measured.document | {"readings": readings.hex()}
        inputs = "0x" + self._archive.put("flex", measuring.canonical(document)).hex()
        with self._store.writing() as session:
            kept = self._move(session, row, "delivering", inputs_hash=inputs)
            if kept is None:
                return False
            periods.write_settlement(session, kept, dict(enumerate(measured.parts)), inputs)
            deliveries = periods.chain_deliveries(kept, periods.positions_of(session, row.id))
            kept.deliveries_root = self._market.deliveries_root(row.chain_period, deliveries)
            session.add(kept)
        return True

    def _await_deliveries(self, row: FlexPeriod, now: int) -> bool:
        _, _, delivered_at, _, root = self._market.read("period", row.chain_period)
        if delivered_at:
            same = "0x" + bytes(root).hex() == row.deliveries_root
            with self._store.writing() as session:
                if same:
                    return self._move(session, row, "delivered") is not None
                return self._move(session, row, "failed", error="another delivery is anchored") is not None
        with self._store.reading() as session:
            deliveries = periods.chain_deliveries(row, periods.positions_of(session, row.id))
        call = self._market.anchor_deliveries(row.chain_period, deliveries)
        return self._ask([(f"flex-{row.id}-deliver", call)])

    def _settle(self, row: FlexPeriod, now: int) -> bool:
        """Settles what no open dispute holds, then gives the stakes back."""
        _, _, delivered_at, _, _ = self._market.read("period", row.chain_period)
        if not delivered_at or now < delivered_at + self._window:
            return False
        with self._store.reading() as session:
            positions = periods.positions_of(session, row.id)
        disputes = {
            p.position: self._market.read("disputeOf", row.chain_period, p.position) for p in positions
        }
        open_ones = {
            n for n, (state, opened, _) in disputes.items()
            if state == _OPEN_DISPUTE and now < opened + self._arbiter_window
        }  # fmt: skip
        left = [p for p in positions if not self._market.read("isSettled", row.chain_period, p.position)]
        done = {p.position for p in positions} - {p.position for p in left}
        if done - {p.position for p in positions if p.settled}:
            self._mark(row, done)
        ready = {p.position for p in left} - open_ones
        if left:
            awards = periods.chain_awards(positions)
            deliveries = periods.chain_deliveries(row, positions)
            calls = self._market.settle(row.chain_period, awards, deliveries, sorted(ready))
            return self._ask([(f"flex-{row.id}-settle-{key}", call) for key, call in calls])
        accounts = sorted({p.account for p in positions})
        stakes = {name: self._market.read("position", row.chain_period, name) for name in accounts}
        waiting = [name for name, stake in stakes.items() if stake[0] or stake[1]]
        if waiting:
            release = self._market.release
            return self._ask(
                [(f"flex-{row.id}-release-{name}", release(row.chain_period, name)) for name in waiting]
            )
        resolved = {n: wh for n, (state, _, wh) in disputes.items() if state == _RESOLVED}
        with self._store.writing() as session:
            kept = self._move(session, row, "settled")
            if kept is not None:
                periods.correct(session, kept, resolved)
                for organisation in sorted({p.aggregator_id for p in positions}):
                    said: dict[str, object] = {"period_id": row.id, "market": row.market, "day": row.day}
                    tell(session, organisation, "flex.settled", f"flex-{row.id}-settled", said)
        return kept is not None

    def _mark(self, row: FlexPeriod, done: Iterable[int]) -> None:
        with self._store.writing() as session:
            self._guard(session)
            for position in session.exec(
                select(FlexPosition).where(
                    FlexPosition.period_id == row.id, col(FlexPosition.position).in_(list(done))
                )
            ):
                position.settled = True
                session.add(position)

    def _pay(self, row: FlexPeriod, now: int) -> bool:
        """Pays members once their aggregator has anchored the split that follows from the settlement."""
        with self._store.reading() as session:
            positions = periods.positions_of(session, row.id)
            accounts = sorted({p.account for p in positions})
            splits = {name: periods.shares(session, row.id, name) for name in accounts}
        open_accounts = False
        asked = False
        for name in accounts:
            stake = self._market.read("position", row.chain_period, name)
            paid, split_micro, claimed, root = stake[2], stake[3], stake[4], bytes(stake[7])
            if not paid or (any(root) and claimed == split_micro):
                continue
            open_accounts = True
            if any(root) and root == self._market.split_root(row.chain_period, name, splits[name]):
                left = [s for s in splits[name]
                        if not self._market.read("isClaimed", row.chain_period, name, s.account)]  # fmt: skip
                calls = self._market.claim(row.chain_period, name, splits[name], left)
                asked |= self._ask([(f"flex-{row.id}-claim-{name}-{key}", call) for key, call in calls])
        if open_accounts:
            return asked
        with self._store.writing() as session:
            return self._move(session, row, "paid") is not None

    def _ask(self, calls: Sequence[tuple[str, Call]]) -> bool:
        """Puts calls into the outbox that are not there; failed ones again, after a pause, a few times."""
        asked = False
        now = int(time.time())
        with self._store.writing() as session:
            self._guard(session)
            for key, call in calls:
                rows = session.exec(
                    select(OutboxRow).where(col(OutboxRow.key).startswith(f"{key}#")).order_by(OutboxRow.id)
                ).all()
                if rows and (rows[-1].state != outbox.FAILED or now - rows[-1].updated_at < RETRY_SECONDS):
                    continue
                if len(rows) < MOST_ATTEMPTS:
                    asked |= outbox.enqueue(session, self._sender, call, f"{key}#{len(rows)}")
        return asked


def chain_period(market: str, start: int) -> int:
    """The period's number in FlexMarket: its first second, and which market."""
    return start << 2 | MARKETS.index(market)


def _asked(session: Session, since: str) -> set[tuple[str, str]]:
    """(market, day) of everything that was bid, offered or required for a day since then."""
    found: set[tuple[str, str]] = set()
    for table in (FlexRequirement, FlexBid):
        found |= set(session.exec(select(table.market, table.day).where(table.day >= since).distinct()))
    offered = session.exec(select(FlexOffer.day).where(FlexOffer.day >= since).distinct())
    return found | {(ANCILLARY, day) for day in offered}


def _gates_of(market: str, day: TradingDay) -> list[range]:
    """The slots that each gate of a market's day closes."""
    if market != REAL_TIME:
        return [range(day.count)]
    return [range(t, min(t + HOUR_SLOTS, day.count)) for t in range(0, day.count, HOUR_SLOTS)]


def _traded(session: Session, day: TradingDay, slots: range) -> bool:
    """Whether anything was bid or required in real time for some of the slots."""
    wanted = session.exec(
        select(FlexRequirement).where(
            FlexRequirement.market == REAL_TIME, FlexRequirement.day == day.day.isoformat(),
            col(FlexRequirement.withdrawn_at).is_(None),
        )
    ).all()  # fmt: skip
    rows = [row.ladders for row in wanted]
    rows += [bid.ladders for bid in _bids(session, REAL_TIME, day.day.isoformat())]
    return any(any(ladders[slots.start : slots.stop]) for ladders in rows)


def _bids(session: Session, market: str, day: str) -> Sequence[FlexBid]:
    return session.exec(
        select(FlexBid)
        .where(FlexBid.market == market, FlexBid.day == day, col(FlexBid.withdrawn_at).is_(None))
        .order_by(col(FlexBid.id))
    ).all()


def _offers(session: Session, day: str) -> Sequence[FlexOffer]:
    return session.exec(
        select(FlexOffer)
        .where(FlexOffer.day == day, col(FlexOffer.withdrawn_at).is_(None))
        .order_by(col(FlexOffer.id))
    ).all()
