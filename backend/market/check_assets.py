"""The check of what storage, lines and flexibility do: integers only, nothing of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.market.asset_profit import flexibility_profit, line_profit, storage_profit
from backend.market.assets import BPS, Dispatch, Ints
from backend.market.domain import Book, Solution

MAX_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule, who broke it and how; `rule` is feasible, balanced, rational or bounded."""

    rule: str
    subject: str
    detail: str


def dispatch_of(book: Book, solution: Solution) -> Dispatch:
    """The dispatch of `solution`; one without rows means that every asset is idle."""
    given, idle = solution.dispatch, Dispatch.idle(book.assets, book.slots.count)
    empty = not any(len(getattr(given, name)) for name in given.__slots__)
    return idle if empty else given


def misshapen(book: Book, given: Dispatch) -> list[Violation]:
    """Tables that do not fit the book, and values no check could add up."""
    idle = Dispatch.idle(book.assets, book.slots.count)
    if not any(len(getattr(given, name)) for name in given.__slots__):
        return []
    found = []
    for name in given.__slots__:
        table, wanted = getattr(given, name), getattr(idle, name).shape
        if table.shape != wanted and (table.size or len(table) != wanted[0]):
            found.append(Violation("feasible", f"dispatch.{name}", f"has shape {table.shape}, not {wanted}"))
        elif table.size and not 0 <= int(table.min()) <= int(table.max()) <= 0xFFFFFFFF:
            found.append(Violation("feasible", f"dispatch.{name}", "must be 0 or more and fit 32 bits"))
    return found


def infeasible_assets(book: Book, dispatch: Dispatch) -> list[Violation]:
    """Bands, rooms and capacities that are left; each device's two uses of a slot share its time."""
    found = []
    for n, flex in enumerate(book.assets.flexibilities):
        shed, raised = dispatch.shed[n], dispatch.raised[n]
        over = (shed > flex.shed_wh) | (raised > flex.raise_wh)
        over |= _shares(shed, flex.shed_wh, raised, flex.raise_wh)
        found += _slots("flexibility", flex.id, over, "sheds and raises more than its bands")
    for n, store in enumerate(book.assets.storages):
        charge, discharge = dispatch.charge[n], dispatch.discharge[n]
        most = np.full(len(charge), store.charge_wh), np.full(len(charge), store.discharge_wh)
        over = (charge > most[0]) | (discharge > most[1]) | _shares(charge, most[0], discharge, most[1])
        found += _slots("storage", store.id, over, "charges and discharges more than its power")
        level = store.initial_wh * BPS + np.cumsum(charge * store.efficiency_bps - discharge * BPS)
        found += _slots("storage", store.id, level < 0, "gives more than it holds")
        found += _slots("storage", store.id, level > store.energy_wh * BPS, "holds more than it can")
        if len(level) and int(level[-1]) < store.final_wh * BPS:
            found.append(Violation("feasible", f"storage {store.id}", "ends below its final level"))
    for n, line in enumerate(book.assets.lines):
        over = dispatch.flow[n] > line.capacity_wh
        found += _slots("line", line.id, over, "carries more than its capacity")
    return found[:MAX_SHOWN]


def irrational_assets(book: Book, dispatch: Dispatch, energy_price: Ints) -> list[Violation]:
    """Assets that lose at the published prices: flexibility and lines in a slot, storage over the batch."""
    zones, found = book.zone_index(), []
    energy_price = energy_price.astype(object)  # products may leave 63 bits
    for n, flex in enumerate(book.assets.flexibilities):
        price = energy_price[zones[flex.zone_id]]
        none = np.zeros_like(dispatch.shed[n])
        for profit in (
            flexibility_profit(flex, price, dispatch.shed[n], none),
            flexibility_profit(flex, price, none, dispatch.raised[n]),
        ):
            found += _slots("flexibility", flex.id, profit < 0, "is paid less than it asks", "rational")
    for n, store in enumerate(book.assets.storages):
        price = energy_price[zones[store.zone_id], store.mode]
        earned = storage_profit(store, price, dispatch.charge[n], dispatch.discharge[n])
        if earned < 0:
            found.append(Violation("rational", f"storage {store.id}", f"loses {-earned} milli-micro"))
    for n, line in enumerate(book.assets.lines):
        source = energy_price[zones[line.from_zone_id], line.mode]
        target = energy_price[zones[line.to_zone_id], line.mode]
        loss = line_profit(line, source, target, dispatch.flow[n]) < 0
        found += _slots("line", line.id, loss, "sends what is worth less where it arrives", "rational")
    return found[:MAX_SHOWN]


def _shares(one: Ints, most_one: Ints, other: Ints, most_other: Ints) -> Ints:
    """Slots in which two uses do not fit into the time, where both could be more than nothing."""
    both = (most_one > 0) & (most_other > 0)
    used = one.astype(object) * most_other + other.astype(object) * most_one
    return both & np.asarray(used > most_one.astype(object) * most_other, dtype=bool)


def _slots(
    what: str,
    name: str,
    bad: npt.NDArray[Any],
    detail: str,
    rule: str = "feasible",
) -> list[Violation]:
    return [
        Violation(rule, f"{what} {name}", f"{detail} in slot {t}")
        for t in np.flatnonzero(np.asarray(bad, dtype=bool))[:3]
    ]
