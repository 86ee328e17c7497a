"""Small random books at the edges of the order language: what property tests and fuzzing feed to the market.

Ties everywhere, no supply at all, one huge order, negative energy prices, windows of one slot, sites that
burn nothing, zones without a grid, orders that nobody can serve.
"""

from __future__ import annotations

import numpy as np

from backend.market.domain import Book, ComputeClass, ComputeOffer, PowerOffer, SlotGrid, Zone
from backend.market.orders import Order

EDGES = ("plain", "ties", "no-compute", "no-green", "no-grid", "huge", "negative", "one-slot", "zero-energy")


def odd(
    seed: int, *, edge: str | None = None, orders: int | None = None, kinds: tuple[int, ...] = (0,)
) -> Book:
    """The book of this seed; `edge` picks one of EDGES (default by seed), `kinds` the order kinds that
    occur."""
    rng = np.random.default_rng([77, seed])
    edge = edge or EDGES[seed % len(EDGES)]
    slots, zones, classes = int(rng.integers(1, 13)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
    count = orders if orders is not None else int(rng.integers(0, 40))
    grid = SlotGrid(1_700_000_100 // 900 * 900, 900, slots)
    return Book.of(
        grid,
        [Zone(3 * z + 1, f"z{z}") for z in range(zones)],
        [ComputeClass(7 * k, f"k{k}", int(rng.integers(50, 150))) for k in range(classes)],
        _sites(rng, edge, slots, zones, classes),
        _power(rng, edge, slots, zones),
        rng.integers(0, 900, (zones, slots)),
        [_order(rng, edge, n, slots, zones, classes, kinds) for n in range(count)],
    )


def _sites(rng: np.random.Generator, edge: str, slots: int, zones: int, classes: int) -> list[ComputeOffer]:
    made = []
    for n in range(0 if edge == "no-compute" else int(rng.integers(1, 7))):
        start = int(rng.integers(0, slots)) if rng.random() < 0.3 else 0
        made.append(
            ComputeOffer(
                id=f"site-{n}",
                site_id=n + 1,
                class_id=7 * int(rng.integers(0, classes)),
                zone_id=3 * int(rng.integers(0, zones)) + 1,
                capacity=int(rng.integers(0, 12)),
                energy_wh_per_vcu_slot=0 if edge == "zero-energy" else int(rng.integers(80, 140)),
                ask_micro_per_vcu_slot=1000 if edge == "ties" else int(rng.integers(0, 3000)),
                start_slot=start,
                end_slot=int(rng.integers(start, slots + 1)) if rng.random() < 0.3 else slots,
            )
        )
    return made


def _power(rng: np.random.Generator, edge: str, slots: int, zones: int) -> list[PowerOffer]:
    made = []
    low = -20_000 if edge == "negative" else 0
    for z in range(zones):
        if edge != "no-grid":
            ask = np.full((slots, 1), 9000) if edge == "ties" else rng.integers(low, 20_000, (slots, 1))
            made.append(PowerOffer(f"grid-{z}", z + 1, 3 * z + 1, 0, np.full((slots, 1), 10**9), ask))
        for n in range(0 if edge == "no-green" else int(rng.integers(0, 3))):
            tranches = int(rng.integers(1, 4))
            wh = rng.integers(0, 900, (slots, tranches)) * (rng.random((slots, 1)) < 0.8)
            ask = (
                np.full((slots, tranches), 9000)
                if edge == "ties"
                else rng.integers(low, 15_000, (slots, tranches))
            )
            made.append(
                PowerOffer(f"plant-{z}-{n}", 100 + 10 * z + n, 3 * z + 1, 1 + n, wh, ask, 11 + 30 * n)
            )
    return made


def _order(
    rng: np.random.Generator, edge: str, n: int, slots: int, zones: int, classes: int, kinds: tuple[int, ...]
) -> Order:
    start = int(rng.integers(0, slots))
    deadline = start + 1 if edge == "one-slot" else int(rng.integers(start + 1, slots + 1))
    lanes = 10**6 if edge == "huge" and n == 0 else int(rng.integers(1, 6))
    kind = int(rng.choice(kinds))
    return Order(
        id=f"order-{n:04d}",
        class_id=7 * int(rng.integers(0, classes)),
        zone_mask=sum(1 << (3 * z + 1) for z in range(zones) if rng.random() < 0.6) or 1 << 1,
        lanes=lanes,
        duration_slots=int(rng.integers(1, deadline - start + 1)),
        start_slot=start,
        deadline_slot=deadline,
        limit_micro_per_vcu_slot=2500 if edge == "ties" else int(rng.integers(0, 6000)),
        min_lanes=int(rng.integers(1, lanes + 1)) if kind == 1 else 0,
        min_green_bps=int(rng.choice([0, 0, 3333, 5000, 10_000])),
        max_carbon_g_per_kwh=400 if rng.random() < 0.2 else 0xFFFFFFFF,
        carbon_price_micro_per_g=int(rng.integers(0, 20)) if rng.random() < 0.3 else 0,
        kind=kind,
        submitted_at=int(rng.integers(0, 1000)),
    )
