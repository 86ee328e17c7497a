"""Orders cut into lots, the units that the engine places: some green-only lanes and some free lanes each.

Lots of a class stand together and in a shuffled (seeded) line, so that any stretch of the line is a sample of
the class and classes can be swept at the same time. A lot remembers where its lanes run: for each of its two
strands (0 green-only, 1 free) the zone, and `duration` entries that name a slot and a mode.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backend.market.domain import Book, Ints
from backend.market.orders import KIND_CONTIGUOUS
from backend.market.tables import Tables

MOST_LOTS = 256  # of one order
Small = npt.NDArray[np.int32]


class Lots(NamedTuple):
    """One row per lot; `at` holds its entries 2 x slot + mode from `first[p, strand]` on, when `on[p]`."""

    order: Small
    lanes: Small  # [p][strand]
    bits: npt.NDArray[np.uint64]
    start: Small
    deadline: Small
    duration: Small
    limit: npt.NDArray[np.float64]
    carbon_cap: npt.NDArray[np.float64]
    contiguous: npt.NDArray[np.bool_]
    carbon_cost: npt.NDArray[np.float64]  # micro per VCU-slot and g/kWh: carbon price x class Wh / 1000
    first: Ints  # [p][strand]
    on: npt.NDArray[np.bool_]
    home: npt.NDArray[np.int8]  # [p][strand] zone row
    at: Small
    site: Small  # the offer of each entry
    begin: Ints  # [k] first lot of class k; begin[kinds] is their number


def lots_of(book: Book, tab: Tables, most: int, seed: int) -> Lots:
    """The lots of all orders, none placed yet: of at most `most` lanes, unless that made too many.

    Lanes beyond all the compute that an order could ever reach get no lot.
    """
    o, able = book.orders, tab.able_lanes
    count = np.clip(-(-able // most), 0, MOST_LOTS)
    order = np.repeat(np.arange(len(o)), count)
    number = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    shuffle = np.random.default_rng(seed).permutation(len(order))
    line = shuffle[np.argsort(tab.class_row[order[shuffle]], kind="stable")]
    order, number = order[line], number[line]
    upto, before = (number + 1) * able[order] // count[order], number * able[order] // count[order]
    green = tab.green_lanes[order]
    green_now = -(-green * upto // o.lanes[order]) + (green * -1 * before // o.lanes[order])
    lanes = np.stack([green_now, upto - before - green_now], axis=1)
    size = (o.duration_slots[order][:, None] * (lanes > 0)).reshape(-1)
    end = np.cumsum(size)
    wh = tab.class_energy_wh[tab.class_row[order]]
    return Lots(
        order=order.astype(np.int32),
        lanes=lanes.astype(np.int32),
        bits=tab.zone_bits[order],
        start=o.start_slot[order].astype(np.int32),
        deadline=o.deadline_slot[order].astype(np.int32),
        duration=o.duration_slots[order].astype(np.int32),
        limit=o.limit_micro_per_vcu_slot[order].astype(np.float64),
        carbon_cap=o.max_carbon_g_per_kwh[order].astype(np.float64),
        contiguous=o.kind[order] >= KIND_CONTIGUOUS,
        carbon_cost=o.carbon_price_micro_per_g[order] * wh / 1000.0,
        first=(end - size).reshape(-1, 2),
        on=np.zeros(len(order), dtype=np.bool_),
        home=np.zeros((len(order), 2), dtype=np.int8),
        at=np.zeros(int(end[-1]) if len(end) else 0, dtype=np.int32),
        site=np.zeros(int(end[-1]) if len(end) else 0, dtype=np.int32),
        begin=np.searchsorted(tab.class_row[order], np.arange(len(book.classes) + 1)).astype(np.int64),
    )


def scale_of(lots: Lots) -> float:
    """A usual limit, micro per VCU-slot: the yardstick of price steps."""
    return max(float(np.average(lots.limit, weights=lots.duration)), 1.0) if len(lots.order) else 1.0
