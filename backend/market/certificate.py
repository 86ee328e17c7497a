"""The fairness certificate: the price vector itself.

Weak duality: for ANY prices, the sum of every participant's best profit at those prices, each over its own
true set of choices, is a bound D on the welfare W of ANY feasible clearing. D - W splits into one number per
participant, *what you missed at these prices*, and is recomputed here with integers only (milli-micro).

Best profit of
- an order: max(0, 1000 x limit x lanes x duration - green lanes x Cg - other lanes x Cm), where the shape
  price C is the least perceived cost of one lane: over the zones it accepts, the sum of its `duration`
  cheapest slots (cheapest stretch, if contiguous) between start and deadline; lanes beyond all the compute
  that the order could reach count for nothing;
- a compute offer, per slot: capacity x max(0, best mode's 1000 x pc - e x pe - 1000 x ask);
- a tranche: Wh x max(0, pe - ask); nothing in a pool that could not power a single lane, for it cannot sell;
- storage, lines and flexibility: `asset_profit.py`.
What sites and a small green pool could never reach together, because lanes are whole, is taken off
(`whole.py`).
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.market.asset_profit import AssetProfits, asset_profits
from backend.market.domain import GREEN, GREY, Book, Certificate, Ints, Solution
from backend.market.jit import njit, prange
from backend.market.tables import Tables, tables_of
from backend.market.whole import indivisible_milli, offer_margins

CONTIGUOUS_FROM_KIND = 3
_SAFE = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class Shortfalls:
    """What each participant missed at the published prices, milli-micro; never negative in a valid
    solution."""

    order_best: Ints
    order_got: Ints
    offer_best: Ints
    offer_got: Ints
    power_best: Ints
    power_got: Ints
    assets: AssetProfits
    indivisible_milli: int = 0  # of all that, what no whole lanes could reach


def certify(book: Book, solution: Solution) -> Certificate:
    """The certificate of `solution`: welfare, bound, and the gap by cause."""
    return certificate_of(shortfalls_of(book, solution))


def certificate_of(missed: Shortfalls) -> Certificate:
    """Adds up what the participants missed. An order that got nothing is `unfilled`, else it has `regret`."""
    lost = missed.order_best - missed.order_got
    idle = missed.order_got == 0
    other = missed.assets
    flexibility, storage, line = (
        (sum(best), sum(got))
        for best, got in (
            (other.flexibility_best, other.flexibility_got),
            (other.storage_best, other.storage_got),
            (other.line_best, other.line_got),
        )
    )
    bound = int(missed.order_best.sum()) + int(missed.offer_best.sum()) + int(missed.power_best.sum())
    welfare = int(missed.order_got.sum()) + int(missed.offer_got.sum()) + int(missed.power_got.sum())
    unsold = int((missed.offer_best - missed.offer_got).sum())
    unused = int((missed.power_best - missed.power_got).sum())
    spare = min(missed.indivisible_milli, unused)  # what no whole lanes could reach nobody missed
    bound += flexibility[0] + storage[0] + line[0] - missed.indivisible_milli
    return Certificate(
        welfare_milli=welfare + flexibility[1] + storage[1] + line[1],
        bound_milli=bound,
        unfilled_milli=int(lost[idle].sum()),
        regret_milli=int(lost[~idle].sum()),
        unsold_milli=unsold - (missed.indivisible_milli - spare),
        unused_power_milli=unused - spare,
        flexibility_milli=flexibility[0] - flexibility[1],
        storage_milli=storage[0] - storage[1],
        transmission_milli=line[0] - line[1],
    )


def shortfalls_of(book: Book, solution: Solution, tables: Tables | None = None) -> Shortfalls:
    """Best and actual profit of every participant at the prices of `solution`."""
    tab = tables or tables_of(book)
    offer_best, offer_got = _offers(tab, solution)
    power_best, power_got = _powers(book, tab, solution)
    best = best_of_orders(book, tab, solution.compute_price)
    got = orders_got(book, tab, solution)
    assets = asset_profits(book.assets, book.zone_index(), solution.dispatch, solution.energy_price)
    whole = indivisible_milli(tab, solution.compute_price, solution.energy_price)
    return Shortfalls(best, got, offer_best, offer_got, power_best, power_got, assets, whole)


def best_of_orders(book: Book, tab: Tables, compute_price: Ints) -> Ints:
    """Best profit of each order at these compute prices (milli-micro)."""
    if len(book.orders) == 0:
        return np.zeros(0, dtype=np.int64)
    o = book.orders
    green, mixed = shape_prices(book, tab, compute_price)
    dearest = 1000 * int(o.limit_micro_per_vcu_slot.max()) * int(o.duration_slots.max())
    top = max(int(green.max()), int(mixed.max()), dearest)
    wide = 4 * top * int(o.lanes.max()) >= _SAFE
    lanes, few = (a.astype(object) if wide else a for a in (o.lanes, tab.green_lanes))
    value = 1000 * lanes * o.limit_micro_per_vcu_slot * o.duration_slots
    best: Ints = np.maximum(value - few * green - (lanes - few) * mixed, 0)
    beyond = np.flatnonzero(tab.able_lanes < o.lanes)
    for j in beyond:  # no clearing can fill it further: pro rata, rounded up
        best[j] = -(-int(best[j]) * int(tab.able_lanes[j]) // int(o.lanes[j]))
    return best


def shape_prices(book: Book, tab: Tables, compute_price: Ints) -> tuple[Ints, Ints]:
    """Least perceived cost (milli-micro) of one green-only and of one free lane of each order; 0 if it has
    none."""
    o = book.orders
    arrays = (
        compute_price, tab.carbon, tab.class_energy_wh, tab.class_row, tab.zone_bits, tab.green_lanes,
        o.lanes, o.duration_slots, o.start_slot, o.deadline_slot, o.max_carbon_g_per_kwh,
        o.carbon_price_micro_per_g, o.kind,
    )  # fmt: skip
    emitted = int(tab.class_energy_wh.max(initial=0)) * int(tab.carbon.max(initial=0))
    cell = 1000 * int(compute_price.max(initial=0)) + int(o.carbon_price_micro_per_g.max()) * emitted
    if 2 * cell * int(o.duration_slots.max()) < _SAFE:
        green, mixed = _shape_prices(_alike(book, tab), *arrays)
        return green, mixed
    return _wide_shape_prices(*arrays)


def _wide_shape_prices(
    price, carbon, class_wh, class_row, bits, green, lanes, duration, start, deadline, cap, carbon_price, kind
):
    """The same with Python's integers, for numbers that 63 bits might not hold."""
    found = [np.zeros(len(lanes), dtype=object), np.zeros(len(lanes), dtype=object)]
    for j in range(len(lanes)):
        k = int(class_row[j])
        for n, some in enumerate((green[j], lanes[j] - green[j])):
            if some:
                found[n][j] = shape_price.py_func(
                    price[k].astype(object), carbon, int(class_wh[k]), bits[j], int(start[j]),
                    int(deadline[j]), int(duration[j]), int(cap[j]), int(carbon_price[j]),
                    kind[j] >= CONTIGUOUS_FROM_KIND, n == 0,
                )  # fmt: skip
    return found[0], found[1]


def _alike(book: Book, tab: Tables) -> Ints:
    """The orders, those of equal shape next to each other (by a mixed 64-bit key; collisions cost time
    only)."""
    o = book.orders
    key = tab.zone_bits.copy()
    for column in (
        tab.class_row, o.duration_slots, o.start_slot, o.deadline_slot, o.max_carbon_g_per_kwh,
        o.carbon_price_micro_per_g, o.kind,
    ):  # fmt: skip
        key = (key ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return np.argsort(key, kind="stable")


@njit(cache=True)
def shape_price(
    price, carbon, wh, bits, start, deadline, duration, cap, carbon_price, contiguous, green_only
):
    """Least perceived cost (milli-micro) of one lane over the zones in `bits`; -1 where it cannot be
    placed."""
    least = -1
    room = deadline - start
    cost = np.empty(room, price.dtype)
    for z in range(price.shape[0]):
        if (bits >> np.uint64(z)) & np.uint64(1) == np.uint64(0):
            continue
        for n in range(room):
            t = start + n
            c = 1000 * price[z, 1, t] + carbon_price * wh * carbon[z, 1, t]
            if not green_only and carbon[z, 0, t] <= cap:
                grey = 1000 * price[z, 0, t] + carbon_price * wh * carbon[z, 0, t]
                if grey < c:
                    c = grey
            cost[n] = c
        total = cost[0] * 0
        if contiguous:
            for n in range(duration):
                total += cost[n]
            part = total
            for n in range(duration, room):
                part += cost[n] - cost[n - duration]
                if part < total:
                    total = part
        elif duration == room:
            for n in range(room):
                total += cost[n]
        else:
            cheapest = np.sort(cost)
            for n in range(duration):
                total += cheapest[n]
        if least == -1 or total < least:
            least = total
    return least


@njit(cache=True, parallel=True)
def _shape_prices(
    rank,
    price,
    carbon,
    class_wh,
    class_row,
    bits,
    green,
    lanes,
    duration,
    start,
    deadline,
    cap,
    carbon_price,
    kind,
):
    count = len(lanes)
    greens, mixeds = np.zeros(count, np.int64), np.zeros(count, np.int64)
    blocks = 64
    for b in prange(blocks):
        before = -1
        green_price, mixed_price = -1, -1
        for n in range(b * count // blocks, (b + 1) * count // blocks):
            j = rank[n]
            same = (
                before >= 0 and class_row[j] == class_row[before] and bits[j] == bits[before]
                and start[j] == start[before] and deadline[j] == deadline[before]
                and duration[j] == duration[before] and cap[j] == cap[before]
                and carbon_price[j] == carbon_price[before] and (kind[j] >= 3) == (kind[before] >= 3)
            )  # fmt: skip
            if not same:
                green_price, mixed_price = -1, -1
            before = j
            k = class_row[j]
            if green[j] > 0:
                if green_price < 0:
                    green_price = shape_price(
                        price[k], carbon, class_wh[k], bits[j], start[j], deadline[j], duration[j], cap[j],
                        carbon_price[j], kind[j] >= 3, True,
                    )  # fmt: skip
                greens[j] = green_price
            if lanes[j] > green[j]:
                if mixed_price < 0:
                    mixed_price = shape_price(
                        price[k], carbon, class_wh[k], bits[j], start[j], deadline[j], duration[j], cap[j],
                        carbon_price[j], kind[j] >= 3, False,
                    )  # fmt: skip
                mixeds[j] = mixed_price
    return greens, mixeds


def orders_got(book: Book, tab: Tables, solution: Solution) -> Ints:
    """Perceived surplus of what each order was given (milli-micro)."""
    f, o = solution.fills, book.orders
    if len(f) == 0:
        return np.zeros(len(o), dtype=np.int64)
    zone, k = tab.offer_zone[f.offer], tab.class_row[f.order]
    emitted = tab.class_energy_wh[k] * tab.carbon[zone, f.mode, f.slot]
    each = (
        1000 * (o.limit_micro_per_vcu_slot[f.order] - solution.compute_price[k, zone, f.mode, f.slot])
        - o.carbon_price_micro_per_g[f.order] * emitted
    )
    return _sum_by(f.order, each, f.lanes, len(o))


def _offers(tab: Tables, solution: Solution) -> tuple[Ints, Ints]:
    count = len(tab.offer_zone)
    if count == 0:
        none = np.zeros(0, dtype=np.int64)
        return none, none
    margin = offer_margins(tab, solution.compute_price, solution.energy_price)
    top = np.maximum(np.maximum(margin[:, GREY], margin[:, GREEN]), 0)
    if int(top.max()) * int(tab.offer_capacity.max()) * tab.slots < _SAFE:
        best = (tab.offer_capacity * top).sum(axis=1)
    else:
        best = (tab.offer_capacity.astype(object) * top).sum(axis=1)
    f = solution.fills
    return best, _sum_by(f.offer, margin[f.offer, f.mode, f.slot], f.lanes, count)


def _powers(book: Book, tab: Tables, solution: Solution) -> tuple[Ints, Ints]:
    best, got = [0] * len(book.power_offers), [0] * len(book.power_offers)
    for g, offer in enumerate(book.power_offers):
        price = solution.energy_price[tab.power_zone[g], tab.power_mode[g]]
        profit = price[:, None] - offer.ask_micro_per_kwh
        wh = tab.power_wh[g]
        free = ~tab.starved[tab.power_zone[g], tab.power_mode[g]]
        best[g] = int((wh * np.maximum(profit, 0)).astype(object).sum(axis=1)[free].sum())
        paid = int((price * solution.sold[g]).astype(object).sum())
        got[g] = paid - tranche_cost(wh, offer.ask_micro_per_kwh, solution.sold[g])
    return _narrow(best), _narrow(got)


def tranche_cost(wh: Ints, ask: Ints, sold: Ints) -> int:
    """Cost (milli-micro) of `sold[t]` Wh when each slot's tranches are used from the cheapest."""
    rank = np.argsort(ask, axis=1, kind="stable")
    amount = np.take_along_axis(wh, rank, axis=1)
    before = np.cumsum(amount, axis=1) - amount
    used = np.clip(sold[:, None] - before, 0, amount)
    return int((used * np.take_along_axis(ask, rank, axis=1)).astype(object).sum())


def _sum_by(group: Ints, each: Ints, lanes: Ints, count: int) -> Ints:
    """Sum of each x lanes by group, with Python integers where 63 bits might not do."""
    if len(group) == 0:
        return np.zeros(count, dtype=np.int64)
    total = np.zeros(count, dtype=np.int64)
    if int(np.abs(each).max()) * int(lanes.max()) * len(group) < _SAFE:
        np.add.at(total, group, each * lanes)
        return total
    wide = np.zeros(count, dtype=object)
    np.add.at(wide, group, each.astype(object) * lanes)
    return wide


def _narrow(values: list[int]) -> Ints:
    fits = all(abs(v) < _SAFE for v in values)
    return np.array(values, dtype=np.int64 if fits else object)
