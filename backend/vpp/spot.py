"""What is bid in the spot market, and what it clears at: steps of price and energy, their band, zones and
lines.

Prices are whole ticks (by default one tick is 0.01 currency units per MWh = 10 micro-units per kWh), so that
every price of a ladder, a clearing and an award is an integer. Quantities are signed Wh of one interval: a
positive quantity buys, a negative one sells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.vpp.errors import FlexError

Ints = npt.NDArray[np.int64]
Ticks = npt.NDArray[np.int32]

QUANTITY_MAX_WH = 2**31 - 1
TOTAL_MAX_WH = 2**60
MAX_ZONES = 64
NO_PRICE = -(2**31)
"""In the price of a cell where nothing trades."""


@dataclass(frozen=True, slots=True)
class Band:
    """Prices that may be bid: `floor_ticks`..`cap_ticks`; negative prices are allowed down to the floor."""

    floor_ticks: int = -50_000
    cap_ticks: int = 300_000
    micro_per_kwh_per_tick: int = 10

    def __post_init__(self) -> None:
        if not -(2**30) <= self.floor_ticks < self.cap_ticks <= 2**30:
            raise FlexError(
                "band", "floor_ticks", self.floor_ticks, "must lie below cap_ticks, within +-2^30"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """Stepwise orders of one zone and interval, in canonical order.

    Position n is the n-th smallest order hash (or any other stable rank): it breaks the last tie of F3.
    """

    price_ticks: Ticks
    quantity_wh: Ints

    @classmethod
    def of(cls, price_ticks: npt.ArrayLike, quantity_wh: npt.ArrayLike, band: Band | None = None) -> Orders:
        """Checked orders; FlexError names the first order outside the band or without a quantity."""
        band = band or Band()
        raw = np.asarray(price_ticks)
        if raw.size and not np.issubdtype(raw.dtype, np.integer):
            raise FlexError("price_not_on_tick", "price_ticks", str(raw.dtype), "give whole ticks")
        prices, quantities = raw.astype(np.int64), np.asarray(quantity_wh, dtype=np.int64)
        if prices.shape != quantities.shape or prices.ndim != 1:
            raise FlexError("shape", "quantity_wh", quantities.shape, f"must have shape {prices.shape}")
        outside = (prices < band.floor_ticks) | (prices > band.cap_ticks)
        mend = f"must lie in {band.floor_ticks}..{band.cap_ticks} (price floor and cap)"
        _refuse(outside, prices, "price_outside_band", "price_ticks", mend)
        _refuse((quantities == 0) | (np.abs(quantities) > QUANTITY_MAX_WH), quantities, "quantity",
                "quantity_wh", f"must be 1..{QUANTITY_MAX_WH} Wh, negative to sell")  # fmt: skip
        if len(prices) and int(np.abs(quantities).sum()) > TOTAL_MAX_WH:
            raise FlexError("quantity", "quantity_wh", "sum", f"must stay below {TOTAL_MAX_WH} Wh in all")
        return cls(prices.astype(np.int32), quantities)

    def __len__(self) -> int:
        return len(self.price_ticks)


def _refuse(bad: npt.NDArray[np.bool_], values: Ints, rule: str, field: str, mend: str) -> None:
    if bad.any():
        n = int(np.argmax(bad))
        raise FlexError(rule, f"orders[{n}].{field}", int(values[n]), mend)


@dataclass(frozen=True, slots=True, eq=False)
class IntervalResult:
    """What one interval of one zone cleared at; no price where nothing trades.

    `filled_wh` has the sign and order of the orders.
    """

    price_ticks: int | None
    volume_wh: int
    filled_wh: Ints | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Zones 0..zones-1 and the lines between them; capacities in Wh per interval."""

    zones: int
    from_zone: Ints
    to_zone: Ints
    forward_wh: Ints
    backward_wh: Ints

    @classmethod
    def of(cls, zones: int, lines: list[tuple[int, int, int, int]]) -> Grid:
        """Checked: FlexError for an unknown zone, a line to itself or a negative capacity."""
        if not 1 <= zones <= MAX_ZONES:
            raise FlexError("zones", "zones", zones, f"must be 1..{MAX_ZONES}")
        for n, (i, j, forward, backward) in enumerate(lines):
            if not (0 <= i < zones and 0 <= j < zones and i != j):
                raise FlexError("wrong_zone", f"lines[{n}]", (i, j), f"must join two of zones 0..{zones - 1}")
            if not (0 <= forward < 2**60 and 0 <= backward < 2**60):
                raise FlexError("capacity", f"lines[{n}]", (forward, backward), "must be 0..2^60 Wh")
        table = np.array(lines, np.int64).reshape(-1, 4)
        return cls(zones, *(np.ascontiguousarray(table[:, c]) for c in range(4)))


@dataclass(frozen=True, slots=True, eq=False)
class ZonalResult:
    """Prices [t][z] (NO_PRICE where a zone neither trades nor exchanges), the ends of the competitive prices,
    volumes bought and sold [t][z], flows from -> to [t][line], and the signed fill of every order."""

    price_ticks: Ints
    low_ticks: Ints
    high_ticks: Ints
    bought_wh: Ints
    sold_wh: Ints
    flow_wh: Ints
    filled_wh: Ints
