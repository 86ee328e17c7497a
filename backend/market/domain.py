"""What is traded and by whom: the frozen, integer types of a book and of its solution.

Units are in the names. Money is micro-units of the settlement token; where a product of a price per kWh
and Wh occurs it is *milli-micro* (`*_milli`), so that nothing is ever rounded silently. A slot index counts
from the start of the batch. Modes: 0 = grey (the grid pool), 1 = green (every other source).

A `Book` is canonical by construction: offers and orders are sorted by id, so any input order gives the same
book, and index n means the same participant everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from backend.market.assets import Assets, Dispatch, Positions
from backend.market.orders import Order, OrderTable

Ints = npt.NDArray[np.int64]

GREY, GREEN = 0, 1
GRID_SOURCE = 0
NO_CARBON_CAP = 0xFFFFFFFF
COMPUTE_PRICE_MAX = 0xFFFFFFFF  # uint32 on chain
ENERGY_PRICE_MIN, ENERGY_PRICE_MAX = -(2**31), 2**31 - 1  # int32 on chain


@dataclass(frozen=True, slots=True)
class SlotGrid:
    """The delivery intervals of one batch: `count` slots of `slot_seconds` from unix second `start`."""

    start: int
    slot_seconds: int
    count: int


@dataclass(frozen=True, slots=True)
class Zone:
    """A grid price and compute latency area; `id` 0..63 is its bit in an order's zone mask."""

    id: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class ComputeClass:
    """A class of compute; the standard facility energy (F1, F2) ranks slots by carbon, it is not billed."""

    id: int
    name: str = ""
    energy_wh_per_vcu_slot: int = 110


@dataclass(frozen=True, slots=True)
class ComputeOffer:
    """A site's lanes: up to `capacity` VCU in each slot of [start_slot, end_slot), each burning its own
    Wh."""

    id: str
    site_id: int
    class_id: int
    zone_id: int
    capacity: int
    energy_wh_per_vcu_slot: int
    ask_micro_per_vcu_slot: int
    start_slot: int
    end_slot: int


@dataclass(frozen=True, slots=True, eq=False)
class PowerOffer:
    """A plant's tranches: `wh[t][n]` Wh at `ask_micro_per_kwh[t][n]` in slot t. The grid of a zone is
    source 0."""

    id: str
    plant_id: int
    zone_id: int
    source: int
    wh: Ints
    ask_micro_per_kwh: Ints
    emission_g_per_kwh: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "wh", _frozen(self.wh))
        object.__setattr__(self, "ask_micro_per_kwh", _frozen(self.ask_micro_per_kwh))

    @property
    def mode(self) -> int:
        """The pool it feeds: grey for the grid, green for every other source."""
        return GREY if self.source == GRID_SOURCE else GREEN


@dataclass(frozen=True, slots=True)
class Bands:
    """The prices a batch may publish: compute in [0, compute_max], energy in [energy_min, energy_max], each a
    multiple of its tick."""

    compute_max: int = COMPUTE_PRICE_MAX
    energy_min: int = ENERGY_PRICE_MIN
    energy_max: int = ENERGY_PRICE_MAX
    compute_tick: int = 1
    energy_tick: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """Everything sealed at one gate closure. `grid_carbon[z][t]` is g/kWh, z in the order of `zones`."""

    slots: SlotGrid
    zones: tuple[Zone, ...]
    classes: tuple[ComputeClass, ...]
    compute_offers: tuple[ComputeOffer, ...]
    power_offers: tuple[PowerOffer, ...]
    grid_carbon: Ints
    orders: OrderTable
    bands: Bands = field(default_factory=Bands)
    assets: Assets = field(default_factory=Assets)
    positions: Positions = field(default_factory=Positions)
    green_carbon: Ints | None = None  # [zone][slot] g/kWh; where the power offers alone do not tell

    @staticmethod
    def of(
        slots: SlotGrid,
        zones: Iterable[Zone],
        classes: Iterable[ComputeClass],
        compute_offers: Iterable[ComputeOffer],
        power_offers: Iterable[PowerOffer],
        grid_carbon: Sequence[Sequence[int]] | Ints,
        orders: Iterable[Order] | OrderTable,
        bands: Bands | None = None,
        assets: Assets | None = None,
        positions: Positions | None = None,
    ) -> Book:
        """The canonical, validated book of these parts. `grid_carbon` rows follow the given order of zones.

        Reverts with `BookError` naming the first field that breaks the order language.
        """
        from backend.market.validate import validate

        given = tuple(zones)
        order = sorted(range(len(given)), key=lambda n: given[n].id)
        carbon = np.asarray(grid_carbon, dtype=np.int64).reshape(len(given), -1)
        table = orders if isinstance(orders, OrderTable) else OrderTable.of(orders)
        book = Book(
            slots,
            tuple(given[n] for n in order),
            tuple(sorted(classes, key=lambda c: c.id)),
            tuple(sorted(compute_offers, key=lambda o: o.id)),
            tuple(sorted(power_offers, key=lambda o: o.id)),
            _frozen(carbon[order]),
            table.sorted_by_id(),
            bands or Bands(),
            (assets or Assets()).sorted_by_id(),
            (positions or Positions()).sorted_by_id(),
        )
        validate(book)
        return book

    def sellers(self) -> tuple[ComputeOffer, ...]:
        """Who sells lanes: the sites, then the positions for sale; `Fills.offer` counts in this order.

        A position for sale is an offer without energy of its own: what it burns is bought already.
        """
        rows = {offer.id: offer for offer in self.compute_offers}
        return self.compute_offers + tuple(
            ComputeOffer(
                p.id,
                rows[p.offer_id].site_id,
                rows[p.offer_id].class_id,
                rows[p.offer_id].zone_id,
                p.lanes,
                0,
                p.resale_ask_micro_per_vcu_slot,
                p.start_slot,
                p.end_slot,
            )
            for p in self.positions.compute
            if p.resale_ask_micro_per_vcu_slot is not None
        )

    def open_power(self) -> tuple[PowerOffer, ...]:
        """The power offers less what earlier batches sold of them, cheapest tranches first."""
        if not self.positions.power:
            return self.power_offers
        return tuple(
            _less(offer, sum(p.wh for p in self.positions.power if p.offer_id == offer.id))
            for offer in self.power_offers
        )

    def zone_index(self) -> dict[int, int]:
        """Zone id -> row in every table of the book and the solution."""
        return {zone.id: n for n, zone in enumerate(self.zones)}

    def class_index(self) -> dict[int, int]:
        """Class id -> row in every table of the solution."""
        return {cls.id: n for n, cls in enumerate(self.classes)}


@dataclass(frozen=True, slots=True, eq=False)
class Fills:
    """Who gets what, one row per (order, offer, mode, slot): parallel arrays sorted in that order."""

    order: Ints
    offer: Ints
    mode: Ints
    slot: Ints
    lanes: Ints

    @staticmethod
    def empty() -> Fills:
        """No fills."""
        none = np.zeros(0, dtype=np.int64)
        return Fills(none, none, none, none, none)

    @staticmethod
    def of(order: Ints, offer: Ints, mode: Ints, slot: Ints, lanes: Ints) -> Fills:
        """Canonical fills: equal (order, offer, mode, slot) added up, zero rows dropped, sorted."""
        if len(order) == 0:
            return Fills.empty()
        rank = rank_rows(order, offer, mode, slot)
        cols = [np.asarray(c, dtype=np.int64)[rank] for c in (order, offer, mode, slot)]
        amount = np.asarray(lanes, dtype=np.int64)[rank]
        first = np.ones(len(rank), dtype=bool)
        first[1:] = np.any([c[1:] != c[:-1] for c in cols], axis=0)
        total = np.add.reduceat(amount, np.flatnonzero(first))
        keep = total != 0
        order_, offer_, mode_, slot_ = (c[first][keep] for c in cols)
        return Fills(order_, offer_, mode_, slot_, total[keep])

    def __len__(self) -> int:
        return len(self.order)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Welfare, the bound no clearing can pass, and who missed what at these prices (all milli-micro).

    gap = bound - welfare = the sum of the causes, exactly.
    """

    welfare_milli: int
    bound_milli: int
    unfilled_milli: int
    regret_milli: int
    unsold_milli: int
    unused_power_milli: int
    flexibility_milli: int = 0
    storage_milli: int = 0
    transmission_milli: int = 0

    @property
    def gap(self) -> float:
        """(D - W) / D; 0 for an empty market."""
        return (self.bound_milli - self.welfare_milli) / self.bound_milli if self.bound_milli > 0 else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """What a mechanism publishes: prices by cell, fills, energy sold by offer and slot, and the certificate.

    compute_price[k][z][m][t] micro per VCU-slot, energy_price[z][m][t] micro per kWh, sold[g][t] Wh.
    `uniform` is False for the reference mechanisms: their buyers pay what the suppliers ask, their price
    tables are zero and there is no certificate. `reason` says why nothing was cleared, else "".
    `dispatch` has no rows where the book has no assets.
    """

    mechanism: str
    compute_price: Ints
    energy_price: Ints
    fills: Fills
    sold: Ints
    uniform: bool = True
    certificate: Certificate | None = None
    reason: str = ""
    dispatch: Dispatch = field(default_factory=Dispatch)


@dataclass(frozen=True, slots=True)
class Run:
    """A rectangle of constant lanes of one order at one offer in one mode: one agreement on chain."""

    order: int
    offer: int
    mode: int
    start_slot: int
    end_slot: int
    lanes: int


def rank_rows(*columns: Ints) -> Ints:
    """Indices that sort rows by these columns, first column first; one packed key where 62 bits hold it."""
    bits = [max(int(c.max()).bit_length(), 1) for c in columns]
    if sum(bits) > 62 or any(int(c.min()) < 0 for c in columns):
        return np.lexsort(columns[::-1])
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for column, width in zip(columns, bits, strict=True):
        key = (key << width) | column
    return np.argsort(key, kind="stable")


def _less(offer: PowerOffer, taken: Ints | int) -> PowerOffer:
    """`offer` without the first `taken[t]` Wh of each slot, cheapest tranches first."""
    rank = np.argsort(offer.ask_micro_per_kwh, axis=1, kind="stable")
    amount = np.take_along_axis(offer.wh, rank, axis=1)
    before = np.cumsum(amount, axis=1) - amount
    gone = np.clip(np.broadcast_to(np.asarray(taken), (len(amount),))[:, None] - before, 0, amount)
    left = np.empty_like(amount)
    np.put_along_axis(left, rank, amount - gone, axis=1)
    return replace(offer, wh=left)


def _frozen(values: npt.ArrayLike) -> Ints:
    array = np.array(values, dtype=np.int64)
    array.setflags(write=False)
    return array
