"""What a bundle order would cost at known prices (pure).

The cheapest way to run a lane is to take the cheapest slots of its window in one zone. A window on a day
that has not cleared yet is priced by the same slot of the last cleared day; `basis` says which it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.service.prices import NOT_SOLD, ClearedDay, Ints

_FAR = 1 << 52


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be quoted; times in unix seconds, carbon price in micro-units per g."""

    class_id: int
    zones: tuple[int, ...]
    lanes: int
    duration_slots: int
    start: int
    deadline: int
    min_green_bps: int = 0
    max_carbon: int = NOT_SOLD
    carbon_price: int = 0
    limit_price: int | None = None


@dataclass(frozen=True, slots=True)
class Lot:
    """Lanes that run alike: in `zone_id`, in `slots` (counted from the window's start), by mode per slot."""

    lanes: int
    zone_id: int
    slots: Ints
    modes: Ints
    cost_micro: int
    energy_wh: int
    green_wh: int
    carbon_mg: int


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of an order. `first_come_micro` is its cost when it starts at once and takes what is
    there.
    """

    lots: tuple[Lot, ...]
    cost_micro: int
    first_come_micro: int | None
    energy_wh: int
    green_wh: int
    carbon_g: int
    vcu_slots: int

    @property
    def price_micro(self) -> int:
        """Average price per VCU-slot, rounded up."""
        return -(-self.cost_micro // self.vcu_slots)

    @property
    def green_share_bps(self) -> int:
        """Green share of the energy in 1/10000, rounded down."""
        return self.green_wh * 10_000 // self.energy_wh if self.energy_wh else 0


@dataclass(frozen=True, slots=True)
class _Cells:
    """One zone's window: price and perceived price [mode][slot], carbon mg [mode][slot] of a VCU-slot."""

    zone_id: int
    price: Ints
    perceived: Ints
    carbon_mg: Ints
    energy_wh: int


def _cells(day: ClearedDay, ask: Ask, zone: int, rows: Ints) -> _Cells:
    energy = int(day.energy_wh[ask.class_id, zone])
    price = day.table.compute_price[ask.class_id, zone][:, rows]
    grid = day.table.grid_carbon[zone][rows]
    carbon = energy * np.stack([grid, day.table.green_factor[zone][rows]])
    perceived = price + ask.carbon_price * carbon // 1000
    perceived[price >= NOT_SOLD] = _FAR
    perceived[0, grid > ask.max_carbon] = _FAR
    return _Cells(zone, price, perceived, carbon, energy)


def _lot(
    cells: _Cells, lanes: int, duration: int, *, green_only: bool, earliest_below: int | None = None
) -> Lot | None:
    """The cheapest lot of `lanes` in a zone; None where fewer than `duration` slots are for sale."""
    modes = np.ones(cells.price.shape[1], np.int64) if green_only else cells.perceived.argmin(axis=0)
    everywhere = np.arange(modes.size)
    perceived = cells.perceived[modes, everywhere]
    most = _FAR - 1 if earliest_below is None else earliest_below
    for_sale = np.flatnonzero(perceived <= most)
    if for_sale.size < duration:
        return None
    cheapest = np.sort(np.argsort(perceived, kind="stable")[:duration])
    chosen = for_sale[:duration] if earliest_below is not None else cheapest
    used = modes[chosen]
    carbon = cells.carbon_mg[used, chosen].sum()
    return Lot(
        lanes,
        cells.zone_id,
        chosen,
        used,
        int(cells.price[used, chosen].sum()) * lanes,
        cells.energy_wh * duration * lanes,
        cells.energy_wh * int(used.sum()) * lanes,
        int(carbon) * lanes,
    )


def _best(
    cells: list[_Cells], lanes: int, duration: int, green_only: bool, earliest: int | None
) -> Lot | None:
    if lanes == 0:
        return None
    lots = [_lot(zone, lanes, duration, green_only=green_only, earliest_below=earliest) for zone in cells]
    found = [(_perceived(lot, zone), lot) for lot, zone in zip(lots, cells, strict=True) if lot is not None]
    return min(found, key=lambda pair: (pair[0], pair[1].zone_id))[1] if found else None


def _perceived(lot: Lot, cells: _Cells) -> int:
    return int(cells.perceived[lot.modes, lot.slots].sum())


def green_lanes(lanes: int, min_green_bps: int) -> int:
    """How many lanes are green-only: the minimum share, rounded up."""
    return -(-lanes * min_green_bps // 10_000)


def _lots(cells: list[_Cells], ask: Ask, earliest: int | None) -> tuple[Lot, ...] | None:
    green = green_lanes(ask.lanes, ask.min_green_bps)
    wanted = [(green, True), (ask.lanes - green, False)]
    lots = [_best(cells, lanes, ask.duration_slots, only, earliest) for lanes, only in wanted if lanes]
    return None if None in lots else tuple(lot for lot in lots if lot is not None)


def quote(day: ClearedDay, ask: Ask) -> Quote | None:
    """The quote of an order at the prices of `day`; None when the window has too few slots for sale."""
    if ask.class_id >= day.classes:
        return None
    rows = day.rows(ask.start, (ask.deadline - ask.start) // day.slot_seconds)
    cells = [_cells(day, ask, zone, rows) for zone in ask.zones if zone < day.zones]
    lots = _lots(cells, ask, earliest=None)
    if lots is None:
        return None
    at_once = None if ask.limit_price is None else _lots(cells, ask, earliest=ask.limit_price)
    return Quote(
        lots,
        sum(lot.cost_micro for lot in lots),
        sum(lot.cost_micro for lot in at_once) if at_once else None,
        sum(lot.energy_wh for lot in lots),
        sum(lot.green_wh for lot in lots),
        sum(lot.carbon_mg for lot in lots) // 1000,
        ask.lanes * ask.duration_slots,
    )


@dataclass(frozen=True, slots=True)
class FillModel:
    """How often orders were filled, by how far their limit lay above the quoted price (in 1/10000 of it)."""

    edges_bps: tuple[int, ...]
    filled_bps: tuple[int, ...]
    orders: int

    def probability_bps(self, limit_price: int, price: int) -> int:
        """The chance of a fill in 1/10000."""
        margin = (limit_price - price) * 10_000 // max(price, 1)
        return self.filled_bps[int(np.searchsorted(self.edges_bps, margin, side="right"))]


_EDGES = (0, 50, 200, 500, 1_000, 2_000)
AT_PRICES = FillModel((0,), (0, 10_000), 0)
"""Without history: an order is filled when its limit reaches the price."""


def fill_model(margins_bps: Ints, filled_share_bps: Ints) -> FillModel:
    """The model of past orders: their margins and how much of each was filled. Never falls with the
    margin.
    """
    bins = np.searchsorted(_EDGES, margins_bps, side="right")
    shares = []
    for which in range(len(_EDGES) + 1):
        here = filled_share_bps[bins == which]
        prior = 0 if which == 0 else 10_000
        shares.append((int(here.sum()) + prior) // (here.size + 1))
    return FillModel(_EDGES, tuple(int(v) for v in np.maximum.accumulate(shares)), int(margins_bps.size))
