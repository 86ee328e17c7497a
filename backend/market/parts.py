"""Orders cut into parts, the units that the engine places: some green-only lanes and some free lanes each.

A part keeps where its lanes run: for each of its two strands (0 green-only, 1 free) the zone is implied by
the sites, and every one of `duration` entries names a slot and a site-and-mode.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backend.market.domain import Book, Fills
from backend.market.orders import KIND_CONTIGUOUS
from backend.market.tables import Tables

Ints = npt.NDArray[np.int64]


MOST_PARTS = 256  # of one order


class Parts(NamedTuple):
    """One row per part; `place`/`when` hold its entries from `first[p, strand]` on, when `on[p]`."""

    order: Ints
    lanes: Ints  # [p][strand]
    kind: Ints  # class row
    bits: npt.NDArray[np.uint64]
    start: Ints
    deadline: Ints
    duration: Ints
    limit: npt.NDArray[np.float64]
    carbon_cap: npt.NDArray[np.float64]
    contiguous: npt.NDArray[np.bool_]
    carbon_cost: npt.NDArray[np.float64]  # micro per VCU-slot and g/kWh: carbon price x class Wh / 1000
    first: Ints  # [p][strand]
    on: npt.NDArray[np.bool_]
    place: npt.NDArray[np.int32]  # offer x 2 + mode
    when: npt.NDArray[np.int32]


def parts_of(book: Book, tab: Tables, most: int) -> Parts:
    """The parts of all orders, none placed yet: of at most `most` lanes, unless that made too many.

    Lanes beyond all the compute that an order could ever reach get no part.
    """
    o = book.orders
    lanes_able = tab.able_lanes
    count = np.clip(-(-lanes_able // most), 0, MOST_PARTS)
    order = np.repeat(np.arange(len(o)), count)
    number = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    upto = (number + 1) * lanes_able[order] // count[order]
    before = number * lanes_able[order] // count[order]
    green = tab.green_lanes[order]
    green_upto = -(-green * upto // o.lanes[order])
    green_before = -(-green * before // o.lanes[order])
    lanes = np.stack([green_upto - green_before, (upto - before) - (green_upto - green_before)], axis=1)
    size = o.duration_slots[order][:, None] * (lanes > 0)
    end = np.cumsum(size.reshape(-1))
    first = (end - size.reshape(-1)).reshape(-1, 2)
    entries = int(end[-1]) if len(end) else 0
    wh = tab.class_energy_wh[tab.class_row[order]]
    return Parts(
        order=order,
        lanes=lanes,
        kind=tab.class_row[order],
        bits=tab.zone_bits[order],
        start=o.start_slot[order],
        deadline=o.deadline_slot[order],
        duration=o.duration_slots[order],
        limit=o.limit_micro_per_vcu_slot[order].astype(np.float64),
        carbon_cap=o.max_carbon_g_per_kwh[order].astype(np.float64),
        contiguous=o.kind[order] >= KIND_CONTIGUOUS,
        carbon_cost=o.carbon_price_micro_per_g[order] * wh / 1000.0,
        first=first,
        on=np.zeros(len(order), dtype=np.bool_),
        place=np.zeros(entries, dtype=np.int32),
        when=np.zeros(entries, dtype=np.int32),
    )


def fills_of_parts(parts: Parts) -> Fills:
    """The canonical fills of the parts that are placed."""
    columns: list[list[Ints]] = [[], [], [], []]
    for strand in (0, 1):
        chosen = np.flatnonzero(parts.on & (parts.lanes[:, strand] > 0))
        length = parts.duration[chosen]
        owner = np.repeat(chosen, length)
        offset = np.arange(len(owner)) - np.repeat(np.cumsum(length) - length, length)
        entry = parts.first[owner, strand] + offset
        columns[0].append(parts.order[owner])
        columns[1].append(parts.place[entry].astype(np.int64))
        columns[2].append(parts.when[entry].astype(np.int64))
        columns[3].append(parts.lanes[owner, strand])
    order, place, when, lanes = (np.concatenate(c) for c in columns)
    return Fills.of(order, place // 2, place % 2, when, lanes)
