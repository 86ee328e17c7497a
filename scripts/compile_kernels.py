"""Compiles the numba kernels of the market and the plants once, so that parallel tests find them ready."""

from __future__ import annotations

import numpy as np

from backend.market.asset_instances import plausible_assets
from backend.market.check import check
from backend.market.clearing import MECHANISMS, clear
from backend.market.instances import plausible
from backend.vpp.auction import clear_interval, clear_intervals
from backend.vpp.bench import draw, fleet
from backend.vpp.disaggregate import disaggregate, room
from backend.vpp.spot import Grid
from backend.vpp.zonal import clear_zones


def main() -> None:
    """Runs every mechanism on a small book with and without assets, and every kernel of the plants."""
    book = plausible(60, slots=16, zones=2, classes=2, sites=6, plants=4)
    for market in (book, plausible_assets(book)):
        for mechanism in MECHANISMS:
            check(market, clear(market, mechanism))
    orders = draw(400)
    clear_interval(orders)
    clear_intervals(orders, np.arange(3, dtype=np.int64) * 200)
    clear_zones(orders, np.arange(5, dtype=np.int64) * 100, Grid.of(2, [(0, 1, 10**6, 10**6)]))
    members = fleet(100)
    room(members, 900)
    disaggregate(members, np.array([-1000]), 900)


if __name__ == "__main__":
    main()
