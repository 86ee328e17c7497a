"""How safe it is to be honest: what single buyers would gain by misreporting their limit or window.

A uniform-price market is not strategy-proof for a buyer large enough to move its own price. Sampled orders
are re-cleared with one lie each; the gain is measured at the true values: (true limit - price paid) x
VCU-slots, and a lane outside the true window is worth nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.market.clearing import clear
from backend.market.domain import Book, Solution
from backend.market.lanes import filled_lanes
from backend.market.orders import Order

Misreport = dict[str, int | float | str]


def misreports(book: Book, samples: int, seed: int = 7) -> list[Misreport]:
    """One row per sampled order and lie: surplus when honest, surplus when lying (micro), and the gain."""
    rng = np.random.default_rng(seed)
    honest = clear(book)
    rows: list[Misreport] = []
    for j in sorted(
        rng.choice(len(book.orders), size=min(samples, len(book.orders)), replace=False).tolist()
    ):
        truth = book.orders[j]
        before = _surplus(book, honest, j, truth)
        for lie, told in _lies(truth).items():
            rows_of_orders = [told if n == j else order for n, order in enumerate(book.orders)]
            other = Book.of(
                book.slots, book.zones, book.classes, book.compute_offers, book.power_offers,
                book.grid_carbon, rows_of_orders, book.bands, book.assets, book.positions,
            )  # fmt: skip
            after = _surplus(other, clear(other), j, truth)
            rows.append(
                {"order": truth.id, "lie": lie, "honest": before, "lying": after, "gain": after - before}
            )
    return rows


def _lies(truth: Order) -> dict[str, Order]:
    room = truth.deadline_slot - truth.start_slot
    lies = {"limit-10%": replace(truth, limit_micro_per_vcu_slot=truth.limit_micro_per_vcu_slot * 9 // 10)}
    if room > truth.duration_slots:
        lies["window-half"] = replace(
            truth, deadline_slot=truth.start_slot + max(truth.duration_slots, room // 2)
        )
    return lies


def _surplus(book: Book, solution: Solution, j: int, truth: Order) -> int:
    """True value less payment (micro) of order j; its window when lying lies inside the true one."""
    mine = solution.fills.order == j
    f = solution.fills
    sellers = book.sellers()
    offers = [sellers[i] for i in f.offer[mine]]
    k, z = book.class_index(), book.zone_index()
    paid = sum(
        int(lanes) * int(solution.compute_price[k[o.class_id], z[o.zone_id], m, t])
        for o, m, t, lanes in zip(offers, f.mode[mine], f.slot[mine], f.lanes[mine], strict=True)
    )
    value = int(filled_lanes(book, f)[j]) * truth.duration_slots * truth.limit_micro_per_vcu_slot
    return value - paid
