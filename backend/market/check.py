"""The check of a solution: integers only, nothing of the engine, the same verdict on every machine.

feasible   window, slots, class, zone, rate, whole lanes, green share, carbon mask, capacity of a site,
           tranche and line, room and power of a storage, bands of flexibility; prices on ticks, in bands
balanced   per (zone, mode, slot): energy of the lanes and assets = energy sold, to the Wh
rational   nobody pays above its limit, no site, tranche or position sells below its ask, no asset loses
bounded    welfare, bound and every cause of the gap are what the certificate says, no shortfall is negative

`check` reports every violation with the participant it concerns; `Verdict.ok` is the conjunction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from backend.market.assets import Dispatch, net_load
from backend.market.certificate import certificate_of, shortfalls_of
from backend.market.check_assets import (
    MAX_SHOWN,
    Violation,
    dispatch_of,
    infeasible_assets,
    irrational_assets,
    misshapen,
)
from backend.market.domain import Book, Certificate, Ints, Solution
from backend.market.lanes import lane_faults
from backend.market.tables import Tables, tables_of
from backend.market.whole import offer_margins


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a check; `certificate` is recomputed, None where the arrays do not fit the book."""

    violations: tuple[Violation, ...]
    certificate: Certificate | None

    @property
    def ok(self) -> bool:
        """True when no rule is broken."""
        return not self.violations


def check(book: Book, solution: Solution) -> Verdict:
    """Checks `solution` against `book`; reference solutions (not uniform) are checked without prices."""
    tab = tables_of(book)
    found = _shape(book, solution)
    if found:
        return Verdict(tuple(found), None)
    dispatch = dispatch_of(book, solution)
    found += _orders(book, tab, solution)
    found += _capacity(book, tab, solution)
    found += infeasible_assets(book, dispatch)
    found += _balance(book, tab, solution, dispatch)
    if not solution.uniform:
        return Verdict(tuple(found), None)
    found += _rational(book, tab, solution)
    found += irrational_assets(book, dispatch, solution.energy_price)
    solution = replace(solution, dispatch=dispatch)
    missed = shortfalls_of(book, solution, tab)
    certificate = certificate_of(missed)
    other = missed.assets
    flexibility = (other.flexibility_best, other.flexibility_got)
    storage, line = (other.storage_best, other.storage_got), (other.line_best, other.line_got)
    for what, ids, best, got in (
        ("order", book.orders.id, missed.order_best, missed.order_got),
        ("compute offer", [o.id for o in book.sellers()], missed.offer_best, missed.offer_got),
        ("power offer", [o.id for o in book.power_offers], missed.power_best, missed.power_got),
        ("flexibility", [o.id for o in book.assets.flexibilities], *flexibility),
        ("storage", [o.id for o in book.assets.storages], *storage),
        ("line", [o.id for o in book.assets.lines], *line),
    ):
        for n in np.flatnonzero(np.asarray(np.asarray(got) > np.asarray(best), dtype=bool))[:MAX_SHOWN]:
            found.append(Violation("bounded", f"{what} {ids[n]}", f"got {got[n]} above its best {best[n]}"))
    if solution.certificate != certificate:
        found.append(Violation("bounded", "certificate", f"says {solution.certificate}, is {certificate}"))
    return Verdict(tuple(found), certificate)


def _shape(book: Book, solution: Solution) -> list[Violation]:
    """Faults that make the rest unreadable: table sizes, indices, price bands."""
    zones, classes, slots = len(book.zones), len(book.classes), book.slots.count
    found = []
    for name, table, wanted in (
        ("compute_price", solution.compute_price, (classes, zones, 2, slots)),
        ("energy_price", solution.energy_price, (zones, 2, slots)),
        ("sold_wh", solution.sold, (len(book.power_offers), slots)),
    ):
        if table.shape != wanted and (table.size or 0 not in wanted):
            found.append(Violation("feasible", name, f"has shape {table.shape}, not {wanted}"))
    f, sellers = solution.fills, book.sellers()
    found += misshapen(book, solution.dispatch)
    for name, index, size in (
        ("order", f.order, len(book.orders)),
        ("offer", f.offer, len(sellers)),
        ("mode", f.mode, 2),
        ("slot", f.slot, slots),
    ):
        if len(f) and not 0 <= int(index.min()) <= int(index.max()) < size:
            found.append(Violation("feasible", f"fills.{name}", f"must be 0..{size - 1}"))
    if len(f) and not 0 < int(f.lanes.min()) <= int(f.lanes.max()) <= 0xFFFFFFFF:
        found.append(Violation("feasible", "fills.lanes", "must be positive and fit 32 bits"))
    if found:
        return found
    key = [f.order, f.offer, f.mode, f.slot]
    ascending = np.zeros(max(len(f) - 1, 0), dtype=bool)
    tied = ~ascending
    for column in key:
        ascending |= tied & (column[1:] > column[:-1])
        tied &= column[1:] == column[:-1]
    if not ascending.all():
        found.append(Violation("feasible", "fills", "must be sorted and without repetition"))
    bands = book.bands
    pc, pe = solution.compute_price, solution.energy_price
    if pc.size and not 0 <= int(pc.min()) <= int(pc.max()) <= bands.compute_max:
        found.append(Violation("feasible", "compute_price", f"leaves the band 0..{bands.compute_max}"))
    for name, table, tick in (
        ("compute_price", pc, bands.compute_tick),
        ("energy_price", pe, bands.energy_tick),
    ):
        odd = np.argwhere(table % tick != 0)[:1]
        for cell in odd.tolist():
            found.append(Violation("feasible", f"{name}{cell}", f"is not a multiple of the tick {tick}"))
    if (
        solution.uniform
        and pe.size
        and not bands.energy_min <= int(pe.min()) <= int(pe.max()) <= bands.energy_max
    ):
        found.append(
            Violation("feasible", "energy_price", f"leaves the band {bands.energy_min}..{bands.energy_max}")
        )
    return found


def _orders(book: Book, tab: Tables, solution: Solution) -> list[Violation]:
    f, o = solution.fills, book.orders
    zone = tab.offer_zone[f.offer]
    faults = (
        ("class", tab.offer_class[f.offer] != tab.class_row[f.order]),
        ("zone", (tab.zone_bits[f.order] >> zone.astype(np.uint64)) & np.uint64(1) == 0),
        ("window", (f.slot < o.start_slot[f.order]) | (f.slot >= o.deadline_slot[f.order])),
        ("mode", ~tab.offer_modes[f.offer, f.mode]),
        ("carbon cap", (f.mode == 0) & (tab.carbon[zone, 0, f.slot] > o.max_carbon_g_per_kwh[f.order])),
    )
    found = []
    for what, bad in faults:
        for j in np.unique(f.order[bad])[:MAX_SHOWN]:
            found.append(Violation("feasible", f"order {o.id[j]}", f"has a fill outside its {what}"))
    for j, what in lane_faults(book, tab, solution.fills)[:MAX_SHOWN]:
        found.append(Violation("feasible", f"order {o.id[j]}", what))
    return found


def _capacity(book: Book, tab: Tables, solution: Solution) -> list[Violation]:
    f = solution.fills
    used = np.zeros(tab.offer_capacity.shape, dtype=np.int64)
    np.add.at(used, (f.offer, f.slot), f.lanes)
    sellers = book.sellers()
    found = [
        Violation("feasible", f"compute offer {sellers[i].id}", f"sells {used[i, t]} lanes in slot {t}")
        for i, t in np.argwhere(used > tab.offer_capacity)[:MAX_SHOWN]
    ]
    for g, offer in enumerate(book.power_offers):
        over = (solution.sold[g] > tab.power_wh[g].sum(axis=1)) | (solution.sold[g] < 0)
        found += [
            Violation("feasible", f"power offer {offer.id}", f"sells {solution.sold[g, t]} Wh in slot {t}")
            for t in np.flatnonzero(over)[:MAX_SHOWN]
        ]
    return found


def _balance(book: Book, tab: Tables, solution: Solution, dispatch: Dispatch) -> list[Violation]:
    f = solution.fills
    need = net_load(book.assets, book.zone_index(), dispatch, tab.slots)
    np.add.at(need, (tab.offer_zone[f.offer], f.mode, f.slot), f.lanes * tab.offer_energy_wh[f.offer])
    given = np.zeros_like(need)
    for g in range(len(book.power_offers)):
        given[tab.power_zone[g], tab.power_mode[g]] += solution.sold[g]
    return [
        Violation(
            "balanced",
            f"zone {book.zones[z].id} mode {m} slot {t}",
            f"{need[z, m, t]} Wh needed, {given[z, m, t]} Wh sold",
        )
        for z, m, t in np.argwhere(need != given)[:MAX_SHOWN]
    ]


def _rational(book: Book, tab: Tables, solution: Solution) -> list[Violation]:
    f, o = solution.fills, book.orders
    found = []
    if len(f):
        price = solution.compute_price[tab.class_row[f.order], tab.offer_zone[f.offer], f.mode, f.slot]
        left = _sums(f.order, (o.limit_micro_per_vcu_slot[f.order] - price), f.lanes, len(o))
        for j in np.flatnonzero(np.asarray(left < 0, dtype=bool))[:MAX_SHOWN]:
            found.append(Violation("rational", f"order {o.id[j]}", f"pays {-left[j]} micro above its limit"))
        margin = offer_margins(tab, solution.compute_price, solution.energy_price)[f.offer, f.mode, f.slot]
        sellers = book.sellers()
        for n in np.flatnonzero(margin < 0)[:MAX_SHOWN]:
            who = sellers[f.offer[n]].id
            found.append(
                Violation(
                    "rational", f"compute offer {who}", f"loses {-margin[n]} milli-micro in slot {f.slot[n]}"
                )
            )
    for g, offer in enumerate(book.power_offers):
        price = solution.energy_price[tab.power_zone[g], tab.power_mode[g]]
        willing = np.where(offer.ask_micro_per_kwh <= price[:, None], tab.power_wh[g], 0).sum(axis=1)
        for t in np.flatnonzero(solution.sold[g] > willing)[:MAX_SHOWN]:
            detail = f"sells {solution.sold[g, t]} Wh in slot {t}, asks {price[t]} or less for {willing[t]}"
            found.append(Violation("rational", f"power offer {offer.id}", detail))
    return found


def _sums(group: Ints, each: Ints, lanes: Ints, count: int) -> Ints:
    wide = int(np.abs(each).max()) * int(lanes.max()) * len(group) >= 2**62
    total = np.zeros(count, dtype=object if wide else np.int64)
    np.add.at(total, group, (each.astype(object) if wide else each) * lanes)
    return total
