"""One instruction to a whole fleet: who changes by how much, inside every member's limits.

Power is consumption in W (a discharging battery or a plant is negative). For each interval the members' room
around what they would do anyway is cut by ramp, state of charge, minimum run and rest, and by the work they
have promised: a job site or a charging car keeps enough power that its energy still fits before its deadline.
What is asked is then bought from the cheapest room by the auction's own rule (exact, ties pro rata), in
linear time. A unit that cannot run between zero and its minimum load is not left in between: it stays at
its minimum, and others take over what that leaves, or a few units switch off as the last resort.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from backend.market.jit import njit
from backend.vpp.auction import allot, price_of
from backend.vpp.errors import FlexError
from backend.vpp.spot import Ints

BPS = 10_000
COST_CAP = 2**30
_WS = 3600


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """Members as columns of one length; power in W, energy in Wh.

    `min_w`, `max_w` bound power; `plan_w` is what the member does without an instruction; `now_w` what
    it does now. `ramp_w_per_min` 0 means no limit. `store_wh` 0 means no storage; otherwise `charge_wh`
    lies in 0..store_wh and `efficiency_bps` holds for each way. `work_wh` is energy owed to its jobs by
    the end of interval `deadline` - 1; 0 means none. `min_on_w` above 0 makes on/off units, which keep
    running `min_run` intervals and rest `min_rest`; `held` counts the intervals in the present state.
    `cost_ticks` orders the members.
    """

    min_w: Ints
    max_w: Ints
    plan_w: Ints
    now_w: Ints
    ramp_w_per_min: Ints
    store_wh: Ints
    charge_wh: Ints
    efficiency_bps: Ints
    work_wh: Ints
    deadline: Ints
    min_on_w: Ints
    min_run: Ints
    min_rest: Ints
    held: Ints
    cost_ticks: Ints

    @classmethod
    def of(cls, count: int, **columns: object) -> Fleet:
        """A fleet with zeros (efficiency 95 %) where no column is given; FlexError for what cannot be."""
        unknown = set(columns) - {f.name for f in fields(cls)}
        if unknown:
            raise FlexError("column", sorted(unknown)[0], count, "no such column")
        full = {
            f.name: np.ascontiguousarray(
                np.broadcast_to(
                    np.asarray(columns.get(f.name, 9500 if f.name == "efficiency_bps" else 0), np.int64),
                    count,
                )
            )
            for f in fields(cls)
        }
        fleet = cls(**full)
        for bad, name, mend in (
            (fleet.min_w > fleet.max_w, "min_w", "must not exceed max_w"),
            (
                (fleet.charge_wh < 0) | (fleet.charge_wh > fleet.store_wh),
                "charge_wh",
                "must lie in 0..store_wh",
            ),
            ((fleet.efficiency_bps < 1) | (fleet.efficiency_bps > BPS), "efficiency_bps", "must be 1..10000"),
            (fleet.work_wh < 0, "work_wh", "must not be negative"),
            (np.abs(fleet.cost_ticks) >= COST_CAP, "cost_ticks", f"must stay below {COST_CAP}"),
            (np.maximum(-fleet.min_w, fleet.max_w) >= 2**30, "max_w", "one member stays below 2^30 W"),
        ):
            if bad.any():
                n = int(np.argmax(bad))
                raise FlexError("fleet", f"members[{n}].{name}", int(full[name][n]), mend)
        return fleet

    def __len__(self) -> int:
        return len(self.min_w)


class _Columns(NamedTuple):
    """The columns as compiled code takes them."""

    min_w: Ints
    max_w: Ints
    plan_w: Ints
    ramp_w_per_min: Ints
    store_wh: Ints
    efficiency_bps: Ints
    deadline: Ints
    min_on_w: Ints
    min_run: Ints
    min_rest: Ints
    cost_ticks: Ints


def _columns(fleet: Fleet) -> _Columns:
    return _Columns(*(getattr(fleet, name) for name in _Columns._fields))


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Set-points [t][member] in W; what was asked and what it adds up to, against the plan; the fleet
    after.
    """

    set_w: Ints
    asked_w: Ints
    given_w: Ints
    late: Ints
    after: Fleet

    @property
    def short_w(self) -> Ints:
        """What could not be had, per interval, with the sign of what was asked."""
        return self.asked_w - self.given_w


@njit(cache=True)
def _room(f, t, seconds, now, charge_ws, work_ws, held, low, high):
    """Lowest and highest power of every member in interval t; returns how many cannot keep their deadline."""
    late = 0
    for n in range(len(now)):
        lo, hi = f.min_w[n], f.max_w[n]
        if f.min_on_w[n] > 0:
            if now[n] > 0 and held[n] < f.min_run[n]:
                lo = max(lo, f.min_on_w[n])
            if now[n] <= 0 and held[n] < f.min_rest[n]:
                hi = min(hi, np.int64(0))
        if f.store_wh[n] > 0:
            eff = f.efficiency_bps[n]
            lo = max(lo, -(charge_ws[n] * eff // (BPS * seconds)))
            hi = min(hi, (f.store_wh[n] * _WS - charge_ws[n]) * BPS // (eff * seconds))
        if f.ramp_w_per_min[n] > 0:
            reach = f.ramp_w_per_min[n] * seconds // 60
            lo = max(lo, now[n] - reach)
            hi = min(hi, now[n] + reach)
        if work_ws[n] > 0:
            later = max(f.deadline[n] - t - 1, np.int64(0))
            must = -(-(work_ws[n] - f.max_w[n] * later * seconds) // seconds)
            if must > lo:
                lo = must
            if lo > hi:
                late += 1
        low[n], high[n] = min(lo, hi), hi
    return late


@njit(cache=True)
def _serve(f, low, high, want, set_w):
    """Sets powers so that their sum differs from the plan's by `want` as far as there is room; the rest."""
    count = len(low)
    price = np.empty(count + 1, np.int32)
    wh = np.empty(count + 1, np.int64)
    fill = np.empty(count + 1, np.int64)
    rest = want
    for n in range(count):
        set_w[n] = min(max(f.plan_w[n], low[n]), high[n])
        gap = f.min_on_w[n] > 0 and 0 < set_w[n] < f.min_on_w[n]
        if gap:
            set_w[n] = f.min_on_w[n] if f.min_on_w[n] <= high[n] else max(low[n], np.int64(0))
        rest -= set_w[n] - f.plan_w[n]
    for _ in range(3):
        if rest == 0:
            break
        up = rest > 0
        for n in range(count):
            floor = low[n]
            if f.min_on_w[n] > 0 and not up and set_w[n] >= f.min_on_w[n] > low[n]:
                floor = min(f.min_on_w[n], set_w[n])  # between zero and its minimum it cannot run
            room = high[n] - set_w[n] if up else set_w[n] - floor
            if f.min_on_w[n] > 0 and up and set_w[n] < f.min_on_w[n]:
                room = np.int64(0)
            price[n], wh[n] = f.cost_ticks[n], -max(room, np.int64(0))
        price[count], wh[count] = COST_CAP, abs(rest)
        tick, volume, above, bid_at, below, ask_at = price_of(price, wh, 0)
        if volume == 0:
            break
        allot(price, wh, tick, volume, volume, above, bid_at, below, ask_at, fill)
        for n in range(count):
            set_w[n] += -fill[n] if up else fill[n]
        rest += -volume if up else volume
    if rest != 0:
        rest = _switch(f, low, high, rest, set_w)
    return rest


@njit(cache=True)
def _switch(f, low, high, rest, set_w):
    """Last resort: on/off units switch, cheapest first; the last one overshoots no more than its minimum,
    and the others give that back."""
    order = np.argsort(f.cost_ticks, kind="mergesort")
    for n in order:
        least = f.min_on_w[n]
        if least == 0 or rest == 0:
            continue
        if rest < 0 and set_w[n] >= least and low[n] <= 0 and -rest >= 1:
            rest += set_w[n]
            set_w[n] = 0
        elif rest > 0 and set_w[n] == 0 and high[n] >= least:
            step = min(max(rest, least), high[n])
            set_w[n] = step
            rest -= step
        if rest != 0 and (rest > 0) == (set_w[n] == 0):
            break  # overshot: let the others level it
    for n in order:
        if rest == 0:
            break
        if rest > 0:
            room = high[n] - set_w[n] if f.min_on_w[n] == 0 or set_w[n] >= f.min_on_w[n] else np.int64(0)
            step = min(rest, max(room, np.int64(0)))
        else:
            floor = max(low[n], f.min_on_w[n]) if f.min_on_w[n] > 0 else low[n]
            step = -min(-rest, max(set_w[n] - floor, np.int64(0)))
        set_w[n] += step
        rest -= step
    return rest


@njit(cache=True)
def _advance(f, seconds, set_w, now, charge_ws, work_ws, held):
    """The members after one interval at their set-points."""
    for n in range(len(now)):
        on_before, on_now = now[n] > 0, set_w[n] > 0
        held[n] = held[n] + 1 if on_before == on_now else np.int64(1)
        now[n] = set_w[n]
        if f.store_wh[n] > 0:
            if set_w[n] >= 0:
                charge_ws[n] += set_w[n] * seconds * f.efficiency_bps[n] // BPS
            else:
                charge_ws[n] += -(-(set_w[n] * seconds * BPS) // f.efficiency_bps[n])
            charge_ws[n] = min(max(charge_ws[n], np.int64(0)), f.store_wh[n] * _WS)
        if work_ws[n] > 0:
            work_ws[n] = max(work_ws[n] - max(set_w[n], np.int64(0)) * seconds, np.int64(0))


def disaggregate(fleet: Fleet, asked_w: Ints, slot_seconds: int) -> Plan:
    """Set-points that make the fleet differ from its plan by `asked_w`[t] in each interval (negative sheds).

    Members beyond their limits are never used; what cannot be had is `short_w`.
    """
    if slot_seconds <= 0:
        raise FlexError("slot_seconds", "slot_seconds", slot_seconds, "must be positive")
    if len(fleet) == 0:
        raise FlexError("fleet", "members", 0, "there is nobody to instruct")
    asked = np.asarray(asked_w, np.int64)
    count = len(fleet)
    set_w = np.empty((len(asked), count), np.int64)
    given, late = np.empty(len(asked), np.int64), np.empty(len(asked), np.int64)
    now, held = fleet.now_w.copy(), fleet.held.copy()
    charge_ws, work_ws = fleet.charge_wh * _WS, fleet.work_wh * _WS
    low, high = np.empty(count, np.int64), np.empty(count, np.int64)
    columns = _columns(fleet)
    for t in range(len(asked)):
        late[t] = _room(columns, t, slot_seconds, now, charge_ws, work_ws, held, low, high)
        given[t] = asked[t] - _serve(columns, low, high, asked[t], set_w[t])
        _advance(columns, slot_seconds, set_w[t], now, charge_ws, work_ws, held)
    after = replace(
        fleet, now_w=now, held=held, charge_wh=charge_ws // _WS, work_wh=-(-work_ws // _WS),
        deadline=np.maximum(fleet.deadline - len(asked), 0),
    )  # fmt: skip
    return Plan(set_w, asked, given, late, after)


def room(fleet: Fleet, slot_seconds: int) -> tuple[int, int]:
    """The aggregate: how many W the fleet can shed and raise in the next interval."""
    low, high = np.empty(len(fleet), np.int64), np.empty(len(fleet), np.int64)
    columns = _columns(fleet)
    _room(
        columns,
        0,
        slot_seconds,
        fleet.now_w,
        fleet.charge_wh * _WS,
        fleet.work_wh * _WS,
        fleet.held,
        low,
        high,
    )
    return int(np.maximum(fleet.plan_w - low, 0).sum()), int(np.maximum(high - fleet.plan_w, 0).sum())
