"""Who sells the energy that the lanes need: cheapest tranches first, to the Wh."""

from __future__ import annotations

import numpy as np

from backend.market.domain import Book, Fills, Ints
from backend.market.tables import Tables


def need_of(book: Book, tab: Tables, fills: Fills) -> Ints:
    """Wh that the lanes burn, [zone][mode][slot]."""
    need = np.zeros((len(book.zones), 2, tab.slots), dtype=np.int64)
    zone = tab.offer_zone[fills.offer]
    np.add.at(need, (zone, fills.mode, fills.slot), fills.lanes * tab.offer_energy_wh[fills.offer])
    return need


def sell(book: Book, tab: Tables, fills: Fills) -> Ints:
    """Wh sold by each power offer and slot: the lanes' need, cheapest tranches first, ties pro rata then
    by id."""
    return sell_wh(book, tab, need_of(book, tab, fills))


def sell_wh(book: Book, tab: Tables, need: Ints) -> Ints:
    """Wh sold by each power offer and slot where `need` Wh are taken from the pools, [zone][mode][slot]."""
    sold = np.zeros((len(book.power_offers), tab.slots), dtype=np.int64)
    for z in range(len(book.zones)):
        for m in (0, 1):
            stack = [
                g for g in range(len(book.power_offers)) if tab.power_zone[g] == z and tab.power_mode[g] == m
            ]
            for t in np.flatnonzero(need[z, m]):
                _sell_slot(book, tab, stack, int(t), int(need[z, m, t]), sold)
    return sold


def _sell_slot(book: Book, tab: Tables, stack: list[int], t: int, need: int, sold: Ints) -> None:
    rows = [
        (int(ask), g, int(wh))
        for g in stack
        for wh, ask in zip(tab.power_wh[g][t], book.power_offers[g].ask_micro_per_kwh[t], strict=True)
        if wh
    ]
    rows.sort()
    at = 0
    while need and at < len(rows):
        end = at
        while end < len(rows) and rows[end][0] == rows[at][0]:
            end += 1
        tied = rows[at:end]
        whole = sum(wh for _, _, wh in tied)
        give = min(need, whole)
        shares = [give * wh // whole for _, _, wh in tied]
        rest = give - sum(shares)
        by_rest = sorted(range(len(tied)), key=lambda n: (-(give * tied[n][2] % whole), tied[n][1]))
        for n in by_rest[:rest]:
            shares[n] += 1
        for (_, g, _), share in zip(tied, shares, strict=True):
            sold[g, t] += share
        need -= give
        at = end
