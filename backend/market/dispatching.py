"""From a plan in fractions to a dispatch in whole Wh that keeps every limit and balances with the plants.

Everything is rounded down (but for what arrives over a line), which keeps bands, capacities and the
sharing of a slot's time; storages are then walked through once, so that they never give what they lack
nor hold what they cannot. Where the assets would give more than a pool needs, they give less: that can
only make later steps smaller, so it comes to an end.
"""

from __future__ import annotations

import numpy as np

from backend.market.asset_profit import line_profit, storage_profit
from backend.market.assets import BPS, Assets, Dispatch, Ints, Storage, net_load, received
from backend.market.domain import Book
from backend.market.lp_assets import Floats, Plan
from backend.market.tables import Tables


def whole(wh: Floats) -> Ints:
    """Whole Wh, rounded down; what a solver means by a whole number is not lost."""
    return np.floor(wh + 1e-6).astype(np.int64)


def whole_dispatch(book: Book, plan: Plan) -> Dispatch:
    """The feasible dispatch of whole Wh nearest below `plan`."""
    made = Dispatch(*(whole(getattr(plan, name)) for name in Dispatch.__slots__))
    for n, store in enumerate(book.assets.storages):
        keep_levels(store, made.charge[n], made.discharge[n])
    for n, line in enumerate(book.assets.lines):  # what arrives is rounded up, and the least sent for it
        arrives = np.ceil(plan.flow[n] * (BPS - line.loss_bps) / BPS - 1e-6).astype(np.int64)
        sent = -(-arrives * BPS // (BPS - line.loss_bps))
        made.flow[n] = np.where(sent <= line.capacity_wh, sent, made.flow[n])
    return made


def agreed_dispatch(book: Book, wanted: Dispatch, need: Ints, price: Ints) -> Dispatch:
    """The part of `wanted` at which nobody loses at `price` and no pool gets more than it needs.

    `need` is what the lanes burn; both tables are [zone][mode][slot].
    """
    made = Dispatch(*(getattr(wanted, name).copy() for name in Dispatch.__slots__))
    zones = book.zone_index()
    give_less(book.assets, zones, made, need)
    while _stop_losers(book, made, price.astype(object)):
        give_less(book.assets, zones, made, need)
    return made


def with_flexibility(book: Book, tab: Tables, wanted: Dispatch, need: Ints, price: Ints) -> Dispatch:
    """`wanted`, no more than pools need, with the flexibility that `need` and `price` call for: what
    willing plants lack is shed, and what they have to spare is raised, each VPP in turn."""
    zones, slots = book.zone_index(), need.shape[2]
    made = Dispatch(*(getattr(wanted, name).copy() for name in Dispatch.__slots__))
    made.shed[:], made.raised[:] = 0, 0
    lack = need + net_load(book.assets, zones, made, slots) - willing_wh(book, tab, price)
    for n, flex in enumerate(book.assets.flexibilities):
        z = zones[flex.zone_id]
        paid, cheap = price[z, 0] >= flex.shed_ask_micro_per_kwh, price[z, 1] <= flex.raise_bid_micro_per_kwh
        made.shed[n] = np.clip(lack[z, 0], 0, np.where(paid, flex.shed_wh, 0))
        lack[z, 0] -= made.shed[n]
        free = np.where(made.shed[n] > 0, 0, np.where(cheap, flex.raise_wh, 0))
        made.raised[n] = np.clip(-lack[z, 1], 0, free)
        lack[z, 1] += made.raised[n]
    give_less(book.assets, zones, made, need)
    return made


def willing_wh(book: Book, tab: Tables, price: Ints) -> Ints:
    """[zone][mode][slot] Wh that plants sell at these prices."""
    willing = np.zeros_like(price)
    for g, power in enumerate(book.power_offers):
        at = tab.power_zone[g], tab.power_mode[g]
        asked = power.ask_micro_per_kwh <= price[at][:, None]
        willing[at] += np.where(asked, tab.power_wh[g], 0).sum(axis=1)
    return willing


def _stop_losers(book: Book, made: Dispatch, price: Ints) -> bool:
    """Sets to nothing (in place) what loses; True if there was any."""
    zones, stopped = book.zone_index(), False
    for n, flex in enumerate(book.assets.flexibilities):
        band = price[zones[flex.zone_id]]
        for uses, bad in (
            (made.shed[n], band[0] < flex.shed_ask_micro_per_kwh),
            (made.raised[n], band[1] > flex.raise_bid_micro_per_kwh),
        ):
            lost = np.asarray(bad, dtype=bool) & (uses > 0)
            uses[lost] = 0
            stopped |= bool(lost.any())
    for n, line in enumerate(book.assets.lines):
        source = price[zones[line.from_zone_id], line.mode]
        target = price[zones[line.to_zone_id], line.mode]
        lost = np.asarray(line_profit(line, source, target, made.flow[n]) < 0, dtype=bool)
        made.flow[n][lost] = 0
        stopped |= bool(lost.any())
    for n, store in enumerate(book.assets.storages):
        pool = price[zones[store.zone_id], store.mode]
        if storage_profit(store, pool, made.charge[n], made.discharge[n]) < 0:
            made.charge[n] = 0
            made.discharge[n] = 0
            stopped = True
    return stopped


def keep_levels(store: Storage, charge: Ints, discharge: Ints) -> None:
    """Makes steps of a schedule smaller (in place) until the level stays within the tank and ends high
    enough."""
    level, most = store.initial_wh * BPS, store.energy_wh * BPS
    for t in range(len(charge)):
        discharge[t] = min(int(discharge[t]), level // BPS + int(charge[t]) * store.efficiency_bps // BPS)
        level += int(charge[t]) * store.efficiency_bps - int(discharge[t]) * BPS
        if level > most:
            back = min(-(-(level - most) // store.efficiency_bps), int(charge[t]))
            charge[t] -= back
            level -= back * store.efficiency_bps
        if level < 0:
            back = -(level // BPS)
            discharge[t] -= back
            level += back * BPS
    lack = store.final_wh * BPS - level
    for t in range(len(charge) - 1, -1, -1):
        if lack <= 0:
            break
        back = min(-(-lack // BPS), int(discharge[t]))
        discharge[t] -= back
        lack -= back * BPS
    if lack < store.final_wh * BPS - level:  # what was kept back must still fit
        keep_room(store, charge, discharge)


def keep_room(store: Storage, charge: Ints, discharge: Ints) -> None:
    """Charges less (in place) where the level would pass the tank's size."""
    level, most = store.initial_wh * BPS, store.energy_wh * BPS
    for t in range(len(charge)):
        level += int(charge[t]) * store.efficiency_bps - int(discharge[t]) * BPS
        if level > most:
            back = min(-(-(level - most) // store.efficiency_bps), int(charge[t]))
            charge[t] -= back
            level -= back * store.efficiency_bps


def give_less(assets: Assets, zones: dict[int, int], made: Dispatch, need: Ints) -> None:
    """Shrinks what assets give (in place) until no pool gets more than it needs."""
    slots = need.shape[2]
    while True:
        left = need + net_load(assets, zones, made, slots)
        if int(left.min(initial=0)) >= 0:
            return
        for n, flex in enumerate(assets.flexibilities):
            _shrink(made.shed[n], left[zones[flex.zone_id], 0])
        for n, line in enumerate(assets.lines):
            pool = left[zones[line.to_zone_id], line.mode]
            arrive = received(line, made.flow[n])
            fewer = arrive.copy()
            _shrink(fewer, pool)
            made.flow[n] = np.where(fewer < arrive, -(-fewer * BPS // (BPS - line.loss_bps)), made.flow[n])
        for n, store in enumerate(assets.storages):
            pool = left[zones[store.zone_id], store.mode]
            if int(pool.min(initial=0)) < 0:
                _shrink(made.discharge[n], pool)
                keep_room(store, made.charge[n], made.discharge[n])


def _shrink(given: Ints, left: Ints) -> None:
    """Takes from `given` what `left` lacks, and notes in both what was taken."""
    back = np.minimum(given, np.maximum(-left, 0))
    given -= back
    left += back
