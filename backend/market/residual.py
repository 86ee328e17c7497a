"""A book with assets as one without, for an engine that knows lanes and power offers only.

What an asset gives becomes a tranche at the price it needs; what it takes are the cheapest Wh of the
pool, which are gone. Flexibility that would raise gives back: a tranche of as many Wh at the price it
bids stands in their place, and whoever pays more may have them. The prices that storage and lines need
come from the duals of a linear programme.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.market.assets import BPS, Assets, Dispatch, Ints, Positions, received
from backend.market.domain import GREEN, GREY, Book, PowerOffer
from backend.market.lp_assets import Floats, Plan
from backend.market.tables import green_factor

Steps = list[tuple[Ints, Ints]]  # (Wh by slot, micro per kWh by slot)


def without_assets(book: Book) -> Book:
    """The same book with its assets idle and only what earlier batches left of its power."""
    if not book.assets and not book.positions.power:
        return book
    return replace(
        book,
        power_offers=book.open_power(),
        assets=Assets(),
        positions=Positions(book.positions.compute),
        green_carbon=green_factor(book),
    )


def residual_book(book: Book, dispatch: Dispatch, plan: Plan, energy_price: Floats) -> Book:
    """What `dispatch` leaves of the power of `book` for lanes, at the prices of `plan` that the assets
    accept.

    Flexibility is left to the prices: it has its own, so the dispatch of it is not used.
    """
    zones, slots = book.zone_index(), book.slots.count
    gives: dict[tuple[int, int], Steps] = {}
    takes: dict[tuple[int, int], Steps] = {}
    gone: dict[tuple[int, int], Ints | int] = {}
    for flex in book.assets.flexibilities:
        z = zones[flex.zone_id]
        gives.setdefault((z, GREY), []).append((flex.shed_wh, flex.shed_ask_micro_per_kwh))
        takes.setdefault((z, GREEN), []).append((flex.raise_wh, flex.raise_bid_micro_per_kwh))
    for n, store in enumerate(book.assets.storages):
        at, value = (zones[store.zone_id], store.mode), plan.stored_value[n]
        give, take = dispatch.discharge[n], dispatch.charge[n]
        gives.setdefault(at, []).append((give, _down(value + store.wear_micro_per_kwh)))
        gone[at] = gone.get(at, 0) + take
    for n, line in enumerate(book.assets.lines):
        source, target = zones[line.from_zone_id], zones[line.to_zone_id]
        kept = (BPS - line.loss_bps) / BPS
        flow = dispatch.flow[n]
        ask = (energy_price[source, line.mode] + line.fee_micro_per_kwh) / kept
        gives.setdefault((target, line.mode), []).append((received(line, flow), _down(ask)))
        gone[source, line.mode] = gone.get((source, line.mode), 0) + flow
    plain = without_assets(book)
    touched = sorted({*gives, *takes, *gone})
    offers = [o for o in plain.power_offers if (zones[o.zone_id], o.mode) not in touched]
    for z, m in touched:
        stack = [
            (o.wh[:, n], o.ask_micro_per_kwh[:, n])
            for o in plain.power_offers
            if (zones[o.zone_id], o.mode) == (z, m)
            for n in range(o.wh.shape[1])
        ]
        taken = takes.get((z, m), [])
        nothing = np.zeros(slots, dtype=np.int64)
        steps = [*stack, *gives.get((z, m), []), *taken, (nothing, nothing)]
        wh = np.stack([wh for wh, _ in steps], axis=1)
        ask = np.stack([ask for _, ask in steps], axis=1)
        firm = gone.get((z, m), 0) + np.zeros(slots, dtype=np.int64)
        offers.append(_pool(book, z, m, wh, ask, sum((wh for wh, _ in taken), firm)))
    return replace(plain, power_offers=tuple(sorted(offers, key=lambda o: o.id)))


def _pool(book: Book, z: int, m: int, wh: Ints, ask: Ints, gone: Ints) -> PowerOffer:
    """One offer that stands for all of a pool, without its `gone` cheapest Wh."""
    rank = np.argsort(ask, axis=1, kind="stable")
    wh, ask = np.take_along_axis(wh, rank, axis=1), np.take_along_axis(ask, rank, axis=1)
    before = np.cumsum(wh, axis=1) - wh
    left = wh - np.clip(gone[:, None] - before, 0, wh)
    source = 0 if m == GREY else 1
    return PowerOffer(f"~pool-{z}-{m}", -1 - 2 * z - m, book.zones[z].id, source, left, ask)


def _down(price: Floats) -> Ints:
    return np.floor(np.clip(price, -(2**31), 2**31 - 1) + 1e-6).astype(np.int64)
