"""Seeded assets for a book: plausible ones for benchmarks and pictures, odd ones for property tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.market.assets import Assets, Flexibility, Line, Positions, Storage
from backend.market.domain import GREEN, GREY, Book
from backend.market.validate import validate


def plausible_assets(book: Book, *, size: float = 0.15, seed: int = 1) -> Book:
    """`book` with a battery, a VPP and lines to its neighbour in each zone, each about `size` of its
    green energy.

    Batteries hold two hours of their power at 90 % and wear out by 0.01 per kWh; VPPs shed at the evening's
    prices and raise at noon's; lines lose 3 %.
    """
    rng = np.random.default_rng([41, seed])
    slots = book.slots.count
    per_hour = max(3600 // book.slots.slot_seconds, 1)
    storages, flexibilities, lines = [], [], []
    for n, zone in enumerate(book.zones):
        green = [g for g in book.power_offers if g.zone_id == zone.id and g.mode == GREEN]
        grid = [g for g in book.power_offers if g.zone_id == zone.id and g.mode == GREY]
        usual = int(size * sum(float(g.wh.sum()) for g in green) / slots) if green else 1000
        tariff = int(np.mean([g.ask_micro_per_kwh.mean() for g in grid])) if grid else 100_000
        power = max(usual, 100)
        for m in (GREEN, GREY):
            storages.append(
                Storage(
                    f"battery-{zone.id}-{m}",
                    resource_id=500 + 2 * n + m,
                    zone_id=zone.id,
                    mode=m,
                    charge_wh=power,
                    discharge_wh=power,
                    energy_wh=2 * per_hour * power,
                    initial_wh=per_hour * power,
                    final_wh=per_hour * power,
                    efficiency_bps=9000,
                    wear_micro_per_kwh=10_000,
                )
            )
        shed = (power * rng.uniform(0.2, 0.8, slots)).astype(np.int64)
        flexibilities.append(
            Flexibility(
                f"vpp-{zone.id}",
                700 + n,
                zone.id,
                shed,
                np.full(slots, tariff * 11 // 10),
                (power * rng.uniform(0.2, 0.8, slots)).astype(np.int64),
                np.full(slots, tariff // 3),
            )
        )
        if len(book.zones) > 2 or (len(book.zones) == 2 and n == 0):
            other = book.zones[(n + 1) % len(book.zones)].id
            most = np.full(slots, power)
            lines.append(Line(f"line-{zone.id}-{other}", 900 + 2 * n, zone.id, other, GREEN, most, 300, 1000))
            lines.append(Line(f"line-{other}-{zone.id}", 901 + 2 * n, other, zone.id, GREEN, most, 300, 1000))
    return with_assets(book, Assets(tuple(flexibilities), tuple(storages), tuple(lines)))


def odd_assets(book: Book, seed: int) -> Book:
    """`book` with a few assets at the edges: nothing to trade, no room, full loss of time, negative bids."""
    rng = np.random.default_rng([43, seed])
    slots, zones = book.slots.count, [zone.id for zone in book.zones]
    some = rng.integers(0, 3, 3)
    flexibilities = tuple(
        Flexibility(
            f"flex-{n}",
            n,
            int(rng.choice(zones)),
            rng.integers(0, 500, slots) * (rng.random() < 0.7),
            rng.integers(-2000, 12_000, slots),
            rng.integers(0, 500, slots) * (rng.random() < 0.7),
            rng.integers(-4000, 9000, slots),
        )
        for n in range(some[0])
    )
    storages = []
    for n in range(some[1]):
        room = int(rng.integers(0, 1500))
        begin = int(rng.integers(0, room + 1))
        storages.append(
            Storage(
                f"store-{n}",
                n,
                int(rng.choice(zones)),
                int(rng.integers(0, 2)),
                int(rng.integers(0, 600)),
                int(rng.integers(0, 600)),
                room,
                begin,
                int(rng.integers(0, begin + 1)),
                int(rng.choice([10_000, 9000, 7777])),
                int(rng.choice([0, 300])),
            )
        )
    lines = []
    for n in range(some[2] * 2 if len(zones) > 1 else 0):
        a, b = rng.choice(zones, 2, replace=False)
        lines.append(
            Line(
                f"line-{n}",
                n,
                int(a),
                int(b),
                int(rng.integers(0, 2)),
                rng.integers(0, 800, slots),
                int(rng.choice([0, 300])),
                int(rng.choice([0, 100])),
            )
        )
    return with_assets(book, Assets(flexibilities, tuple(storages), tuple(lines)))


def with_assets(book: Book, assets: Assets, positions: Positions | None = None) -> Book:
    """The validated book of the same sides with these assets (and positions). Raises BookError."""
    made = replace(book, assets=assets.sorted_by_id(), positions=(positions or book.positions).sorted_by_id())
    validate(made)
    return made
