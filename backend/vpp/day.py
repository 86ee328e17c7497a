"""A market day of virtual power plants: bids, zonal clearing, dispatch, telemetry, baselines, amounts.

Five zones, one VPP in each, thousands of members. Members bid to shed in four windows of an hour; the market
of every zone is its load against a supply stack around the area's real price. What a VPP is awarded in a slot
is one award. Each window of a VPP is one dispatch event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np

from backend.vpp.baselines import Event, LoadHistory, baseline, delivered_wh
from backend.vpp.calendar import TradingDay
from backend.vpp.data import DaySeries
from backend.vpp.disaggregate import Fleet, disaggregate
from backend.vpp.events import Dispatch, NoReceipt, Receipt, Setpoints, State, resolve, send
from backend.vpp.money import tiers_at
from backend.vpp.portfolio import MemberBid, PortfolioBid, Step, award_to_members, portfolio
from backend.vpp.resources import Kind
from backend.vpp.settlement import EventSettlement, MemberDelivery, settle_event
from backend.vpp.spot import NO_PRICE, Grid, Ints, Orders, ZonalResult
from backend.vpp.zonal import clear_zones

ZONES, SLOT_S = 5, 900
WINDOWS = ((28, 32), (44, 48), (68, 72), (76, 80))
KINDS = (Kind.COMPUTE_SITE, Kind.COOLING, Kind.EV_FLEET, Kind.BASE_STATION)
METHOD_OF = {
    Kind.COMPUTE_SITE: "high_5_of_10", Kind.COOLING: "caiso_10_in_10", Kind.EV_FLEET: "high_4_of_5",
    Kind.BASE_STATION: "meter_before_after",
}  # fmt: skip
LINES = [(0, 1, 4_000_000, 4_000_000), (1, 2, 2_000_000, 2_000_000), (2, 3, 3_000_000, 3_000_000),
         (3, 4, 1_000_000, 1_000_000), (4, 0, 5_000_000, 5_000_000)]  # fmt: skip
MICRO_PER_TICK = 10
SHARE_BPS = 8_000
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """The day's DERs as columns; load in W, `history_w`[member][day][slot], today last."""

    name: tuple[str, ...]
    zone: Ints
    kind: Ints
    nameplate_w: Ints
    ask_ticks: Ints
    history_w: Ints

    @property
    def planned_w(self) -> Ints:
        """Today's load without events, [member][slot]."""
        return self.history_w[:, -1]


@dataclass(frozen=True, slots=True, eq=False)
class AwardOfDay:
    """A VPP's award of one slot, what its members were told and delivered, and what that is worth."""

    index: int
    zone: int
    slot: int
    awarded_wh: int
    price_ticks: int
    member: Ints
    declared_wh: Ints
    delivered_wh: Ints
    settled: EventSettlement

    @property
    def declared(self) -> int:
        """Wh that the award was for."""
        return self.awarded_wh

    @property
    def price_micro_per_kwh(self) -> int:
        """The uniform price of its zone and slot."""
        return self.price_ticks * MICRO_PER_TICK


@dataclass(slots=True)
class FlexDay:
    """Everything a day came to."""

    series: DaySeries
    members: Members
    cleared: ZonalResult
    awards: list[AwardOfDay] = field(default_factory=list)
    dispatches: list[Dispatch] = field(default_factory=list)
    telemetry_w: Ints = field(default_factory=lambda: np.zeros((0, 96), np.int64))
    short_wh: int = 0


def draw_members(series: DaySeries, count: int, seed: int) -> Members:
    """DERs whose loads follow the area's shape, each with its own size, level and noise."""
    rng = np.random.default_rng(seed)
    zone = np.arange(count) % ZONES
    kind = rng.integers(0, len(KINDS), count)
    nameplate = rng.integers(5_000, 120_000, count)
    level = nameplate * rng.uniform(0.4, 0.7, count)
    noise = rng.normal(1, 0.03, (count, *series.shape.shape))
    load = np.clip(level[:, None, None] * series.shape[None] * noise, 0, nameplate[:, None, None])
    ask = np.rint(np.quantile(series.price_ticks, 0.6) * rng.uniform(0.6, 1.3, count)).astype(np.int64)
    names = tuple(f"der-{n:05d}" for n in range(count))
    return Members(names, zone, kind, nameplate, np.maximum(ask, 1), load.astype(np.int64))


def usual_w(members: Members, days: Sequence[date]) -> Ints:
    """What members usually draw on the last ten days of today's type, [member][slot]."""
    like = [n for n, d in enumerate(days[:-1]) if (d.weekday() >= 5) == (days[-1].weekday() >= 5)][-10:]
    return members.history_w[:, like].sum(axis=1) // len(like)


def member_bids(members: Members, series: DaySeries, zone: int, day: TradingDay) -> list[MemberBid]:
    """Two steps of shedding in every slot of the windows: 20 % of the expected load, then 15 % at a higher
    price."""
    inside = {t for a, b in WINDOWS for t in range(a, b)}
    bids = []
    expected = usual_w(members, series.days)
    for n in np.flatnonzero(members.zone == zone).tolist():
        ask, ladders = int(members.ask_ticks[n]), []
        for t in range(day.count):
            quarter = int(expected[n, t]) // 4
            first, second = quarter * 20 // 100, quarter * 15 // 100
            steps = (Step(ask, -first), Step(ask * 13 // 10 + 1, -second)) if t in inside and second else ()
            ladders.append(steps)
        bids.append(MemberBid(members.name[n], zone, tuple(ladders), int(members.nameplate_w[n]) // 4))
    return bids


def market_orders(
    series: DaySeries, portfolios: list[PortfolioBid], seed: int
) -> tuple[Orders, Ints, dict[tuple[int, int], slice]]:
    """Every slot's and zone's load, supply stack and VPP steps; where each VPP's steps stand."""
    rng = np.random.default_rng(seed)
    prices: list[Ints] = []
    quantities: list[Ints] = []
    starts = [0]
    place: dict[tuple[int, int], slice] = {}
    for t in range(96):
        for z in range(ZONES):
            bid = portfolios[z]
            a, b = int(bid.starts[t]), int(bid.starts[t + 1])
            at = starts[-1]
            place[t, z] = slice(at, at + b - a)
            load = int(24_000_000 * series.shape[-1, t])
            green = int(load * series.renewable_share[t])
            stack = np.sort(series.price_ticks[t] + rng.normal(-300, 1_500, 40)).astype(np.int64)
            volume = np.full(40, max((load * 11 // 10 - green) // 40, 1))
            prices += [bid.price_ticks[a:b], stack, np.array([290_000, -4_000])]
            quantities += [bid.quantity_wh[a:b], -volume, np.array([load, -max(green, 1)])]
            starts.append(at + b - a + 42)
    orders = Orders.of(np.concatenate(prices).astype(np.int64), np.concatenate(quantities).astype(np.int64))
    return orders, np.array(starts, np.int64), place


class SimulatedReceivers:
    """Simulated gateways of the members: some lose a message or an answer, some refuse; they keep the
    ids they did.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.done: dict[str, Receipt] = {}
        self.carried_out: dict[str, int] = {}

    def send(self, setpoints: Setpoints) -> Receipt:
        """Carries an event out once, whatever becomes of the answer."""
        luck = self._rng.random()
        if luck < 0.02:
            raise NoReceipt("the message was lost")
        if setpoints.event_id not in self.done:
            refused = self._rng.random() < 0.01
            self.done[setpoints.event_id] = Receipt(not refused, "not available" if refused else "")
            self.carried_out[setpoints.event_id] = self.carried_out.get(setpoints.event_id, 0) + 1
        if luck < 0.04:
            raise NoReceipt("the answer was lost")
        return self.done[setpoints.event_id]

    def status(self, event_id: str) -> Receipt | None:
        """What was done with an event."""
        return self.done.get(event_id)


def run(
    series: DaySeries, day: TradingDay, count: int = 10_000, seed: int = 1, say: Say = lambda _: None
) -> FlexDay:
    """The whole day up to the amounts; chain and audit come after it."""
    members = draw_members(series, count, seed)
    say(f"{count} resources, {len(WINDOWS) * ZONES} events")
    books = [
        portfolio(f"vpp-{z}", member_bids(members, series, z, day), day, zones=ZONES) for z in range(ZONES)
    ]
    say(f"{sum(len(b.quantity_wh) for b in books)} member steps bid")
    orders, starts, place = market_orders(series, books, seed)
    cleared = clear_zones(orders, starts, Grid.of(ZONES, LINES))
    result = FlexDay(series, members, cleared)
    receivers = SimulatedReceivers(seed)
    result.telemetry_w = members.planned_w.copy()
    rng = np.random.default_rng(seed + 1)
    told: dict[tuple[int, int], tuple[Ints, Ints, int, int]] = {}
    for z in range(ZONES):
        for first, last in WINDOWS:
            nets = [-int(cleared.filled_wh[place[t, z]].sum()) for t in range(first, last)]
            if not any(nets):
                continue
            ticks = cleared.price_ticks[first:last, z]
            for t in range(first, last):
                if nets[t - first]:
                    award_to_members(books[z], t, -nets[t - first], int(ticks[t - first]))
            _dispatch(result, receivers, rng, z, first, np.array(nets), ticks, told)
    say(f"{len(told)} awards, {len(result.dispatches)} dispatch messages")
    _measure(result, told)
    say(f"{len(result.awards)} awards measured")
    return result


def _dispatch(
    result: FlexDay,
    receivers: SimulatedReceivers,
    rng: np.random.Generator,
    zone: int,
    first: int,
    nets: Ints,
    ticks: Ints,
    told: dict[tuple[int, int], tuple[Ints, Ints, int, int]],
) -> None:
    """Sends a VPP's event to its members and writes what their meters then read."""
    m = result.members
    mine = np.flatnonzero(m.zone == zone)
    expected = usual_w(m, result.series.days)[mine, first : first + 4].mean(axis=1).astype(np.int64)
    fleet = Fleet.of(
        len(mine),
        min_w=expected * 60 // 100,
        max_w=np.maximum(m.nameplate_w[mine], expected),
        plan_w=expected,
        now_w=expected,
        cost_ticks=m.ask_ticks[mine],
        ramp_w_per_min=np.maximum(expected // 10, 1),
    )
    plan = disaggregate(fleet, -nets * 4, SLOT_S)
    result.short_wh += int(np.abs(plan.short_w).sum()) // 4
    shed = np.maximum(expected[None] - plan.set_w, 0)
    obeys = np.zeros(len(mine))
    for k in np.flatnonzero(shed.any(axis=0)).tolist():
        order = Setpoints(f"{zone}-{first}-{mine[k]}", m.name[mine[k]], result.series.start + first * SLOT_S,
                          SLOT_S, tuple(plan.set_w[:, k].tolist()))  # fmt: skip
        sent = send(Dispatch(order), receivers)
        for _ in range(3):
            if sent.state == State.NO_RECEIPT:
                sent = resolve(sent, receivers)
        result.dispatches.append(sent)
        obeys[k] = sent.state == State.ACKED
    obeys *= np.clip(rng.normal(0.99, 0.06, len(mine)), 0, 1.15) * (rng.random(len(mine)) > 0.02)
    for n in range(4):
        cut = (shed[n] * obeys).astype(np.int64)
        result.telemetry_w[mine, first + n] = np.maximum(m.planned_w[mine, first + n] - cut, 0)
        if nets[n]:
            price = int(ticks[n])
            told[zone, first + n] = (mine, shed[n] // 4, price if price != NO_PRICE else 0, int(nets[n]))


def _measure(result: FlexDay, told: dict[tuple[int, int], tuple[Ints, Ints, int, int]]) -> None:
    """Baselines of every member and event, then the amounts of every award."""
    m = result.members
    table = tiers_at(result.series.start)
    found: dict[tuple[int, int], tuple[str, str, Ints]] = {}
    for (zone, slot), (mine, declared, price, net) in sorted(told.items()):
        window = next(w for w in WINDOWS if w[0] <= slot < w[1])
        rows, delivered = [], np.zeros(len(mine), np.int64)
        for k in np.flatnonzero(declared).tolist():
            n = int(mine[k])
            if (n, window[0]) not in found:
                found[n, window[0]] = _baseline_of(result, n, window)
            method, inputs, base = found[n, window[0]]
            load = int(result.telemetry_w[n, slot])
            delivered[k] = max(0, int(base[slot - window[0]]) - load) * SLOT_S // 3600
            rows.append(
                MemberDelivery(
                    m.name[n], int(declared[k]), int(delivered[k]), method, inputs, SHARE_BPS, 10_000
                )
            )
        if not rows:
            continue
        asked = np.flatnonzero(declared)
        gap = net - int(declared[asked].sum())  # whole Wh lost in W to Wh, and what was not to be had
        rows[0] = replace(rows[0], declared_wh=rows[0].declared_wh + gap)
        whole = declared[asked].copy()
        whole[0] += gap
        settled = settle_event(rows, price * MICRO_PER_TICK, table, collateral_micro=2**62)
        result.awards.append(
            AwardOfDay(
                len(result.awards), zone, slot, net, price, mine[asked], whole, delivered[asked], settled
            )
        )


def _baseline_of(result: FlexDay, member: int, window: tuple[int, int]) -> tuple[str, str, Ints]:
    """The member's baseline over a window by its product's method."""
    method = METHOD_OF[KINDS[int(result.members.kind[member])]]
    past = LoadHistory(result.series.days[:-1], result.members.history_w[member, :-1],
                       np.zeros(len(result.series.days) - 1, bool), SLOT_S)  # fmt: skip
    event = Event(result.series.days[-1], *window, result.telemetry_w[member])
    base = baseline(method, past, event)
    assert delivered_wh(base, event, SLOT_S) >= 0
    return method, base.inputs_hash, base.baseline_w


def shares_of(day: FlexDay, zone: int, paid_micro: int) -> dict[str, int]:
    """What a VPP was paid, split to its members and itself (`vpp-zone`): adds up to `paid_micro` exactly.

    A member whose penalties exceed its payments gets nothing; what it owes stays the aggregator's claim.
    """
    sums: dict[str, int] = {}
    for award in day.awards:
        if award.zone == zone:
            for part in award.settled.members:
                sums[part.resource_id] = sums.get(part.resource_id, 0) + part.to_member_micro
    shares = {name: amount for name, amount in sorted(sums.items()) if amount > 0}
    shares[f"vpp-{zone}"] = paid_micro - sum(shares.values())
    return shares


def default_date() -> date:
    """A working day for which the published series are complete."""
    return date(2024, 11, 21)
