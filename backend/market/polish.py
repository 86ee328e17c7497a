"""Books whose green pools power few lanes: prices for whole lanes, and a local search at them.

There the prices of the linear programme are of little use: it cuts lanes into pieces to use every Wh.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.market.cells import Cells
from backend.market.certificate import certify
from backend.market.coordinate import Effort
from backend.market.descend import descend
from backend.market.domain import GREEN, Book, Fills, Ints, Solution
from backend.market.lots import Lots
from backend.market.rounding import fill_at
from backend.market.selling import sell
from backend.market.tables import Tables
from backend.market.ticks import on_tick
from backend.market.whole import small_pools

MOST_LOTS = 1_000
AGAIN = (0.4, 0.4, 0.1)  # first steps of further descents, from prices that are nearly right


def polished(book: Book, tab: Tables, c: Cells, lots: Lots, start: Solution, effort: Effort) -> Solution:
    """The clearing at prices for whole lanes, which are looked for from those of `start` on."""
    held = lots.at.copy(), lots.home.copy()
    price = descend(book, tab, lots, start, effort.descents)
    lots.at[:], lots.home[:] = held
    bands = book.bands
    compute = on_tick(np.ceil(price), 0, bands.compute_max, bands.compute_tick)
    _, _, ask = small_pools(tab)
    energy = start.energy_price.copy()
    energy[:, GREEN] = on_tick(ask[..., 0], bands.energy_min, bands.energy_max, bands.energy_tick)
    found = fill_at(book, tab, c, lots, effort, compute, energy, _scarcity(tab, compute, energy))
    fair, asked = _accepted(book, tab, found)
    for long in AGAIN:
        if effort.late():
            break
        price = descend(book, tab, lots, fair, effort.descents, asked, long)
        again = on_tick(np.ceil(price), 0, bands.compute_max, bands.compute_tick)
        fair, _ = _accepted(book, tab, replace(fair, compute_price=again))
    fair = replace(fair, energy_price=_shared(book, tab, fair))
    return replace(fair, certificate=certify(book, fair))


def _accepted(book: Book, tab: Tables, found: Solution) -> tuple[Solution, Ints]:
    """The same lanes at prices that their sites and plants accept; orders that will not pay them are left
    out. And what is asked in every cell where lanes run, else 0."""
    bands, f = book.bands, found.fills
    compute, energy = found.compute_price.copy(), found.energy_price.copy()
    for g, offer in enumerate(book.power_offers):
        z, m = tab.power_zone[g], tab.power_mode[g]
        asks = np.where(tab.power_wh[g] > 0, offer.ask_micro_per_kwh, np.iinfo(np.int64).max)
        rank = np.argsort(asks, axis=1, kind="stable")
        upto = np.cumsum(np.take_along_axis(tab.power_wh[g], rank, axis=1), axis=1)
        last = np.minimum((upto < found.sold[g][:, None]).sum(axis=1), asks.shape[1] - 1)
        asked = np.take_along_axis(np.take_along_axis(asks, rank, axis=1), last[:, None], axis=1)[:, 0]
        energy[z, m] = np.where(found.sold[g] > 0, np.maximum(energy[z, m], asked), energy[z, m])
    energy = on_tick(energy, bands.energy_min, bands.energy_max, bands.energy_tick)
    z, k = tab.offer_zone[f.offer], tab.offer_class[f.offer]
    need = 1000 * tab.offer_ask[f.offer] + tab.offer_energy_wh[f.offer] * energy[z, f.mode, f.slot]
    asked = np.zeros_like(compute)
    np.maximum.at(asked, (k, z, f.mode, f.slot), -(-need // 1000))
    compute = on_tick(np.maximum(compute, asked), 0, bands.compute_max, bands.compute_tick)
    paid, worth = np.zeros(len(book.orders), dtype=np.int64), np.zeros(len(book.orders), dtype=np.int64)
    np.add.at(paid, f.order, f.lanes * compute[k, z, f.mode, f.slot])
    np.add.at(worth, f.order, f.lanes * book.orders.limit_micro_per_vcu_slot[f.order])
    keep = (paid <= worth)[f.order]
    fills = Fills(*(getattr(f, name)[keep] for name in ("order", "offer", "mode", "slot", "lanes")))
    made = replace(
        found, compute_price=compute, energy_price=energy, fills=fills, sold=sell(book, tab, fills)
    )
    return replace(made, certificate=None), asked


def _scarcity(tab: Tables, compute: Ints, energy: Ints) -> Ints:
    """Milli-micro by which the best site values a green Wh above its price, [zone][slot]."""
    priced = compute[tab.offer_class, tab.offer_zone, GREEN] - tab.offer_ask[:, None]
    each = 1000 * priced // np.maximum(tab.offer_energy_wh, 1)[:, None] - energy[tab.offer_zone, GREEN]
    usual = 1000 * int(np.median(tab.offer_ask) + 1) * 100
    found = np.zeros(energy[:, GREEN].shape, dtype=np.int64)
    np.maximum.at(found, tab.offer_zone, np.where(tab.offer_capacity > 0, np.minimum(each, usual), 0))
    return found


def _shared(book: Book, tab: Tables, found: Solution) -> Ints:
    """Energy prices at which sites and plants of a green pool miss least, apart, and nobody who sells loses.

    The bound and the welfare are the same at all of them; they say who of the two keeps the difference.
    """
    _, wh, ask = small_pools(tab)
    f, energy = found.fills, found.energy_price.copy()
    green = f.mode == GREEN
    used = np.zeros(tab.offer_capacity.shape, dtype=np.int64)
    np.add.at(used, (f.offer[green], f.slot[green]), f.lanes[green])
    priced = 1000 * (found.compute_price[tab.offer_class, tab.offer_zone] - tab.offer_ask[:, None, None])
    grey = priced[:, 0] - tab.offer_energy_wh[:, None] * energy[tab.offer_zone, 0]
    tick, low, high = book.bands.energy_tick, book.bands.energy_min, book.bands.energy_max
    for z in range(len(book.zones)):
        here = np.flatnonzero(tab.offer_zone == z)
        for t in range(tab.slots):
            mine = here[used[here, t] > 0]
            every = priced[here, GREEN, t] // tab.offer_energy_wh[here]
            own = every if not len(mine) else priced[mine, GREEN, t] // tab.offer_energy_wh[mine]
            most = int(own.min() if len(mine) else own.max(initial=0))
            least = int(energy[z, GREEN, t])
            breaks = np.concatenate([ask[z, t], every, [most]])
            tries = np.unique(np.clip(breaks // tick * tick, least, max(most // tick * tick, least)))
            tries = tries[(tries >= low) & (tries <= high)]
            margin = np.maximum(
                priced[here, GREEN, t][:, None] - tab.offer_energy_wh[here][:, None] * tries,
                grey[here, t][:, None],
            )
            sites = (np.maximum(margin, 0) * tab.offer_capacity[here, t][:, None]).sum(axis=0)
            stock = wh[z, t][:, None] * (not tab.starved[z, GREEN, t])
            plants = (stock * np.maximum(tries - ask[z, t][:, None], 0)).sum(axis=0)
            if len(tries):
                energy[z, GREEN, t] = tries[int(np.argmin(sites + plants))]
    return energy
