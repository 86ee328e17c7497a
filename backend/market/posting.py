"""From smoothed prices to posted ones: integers, at which the sites that are needed are willing."""

from __future__ import annotations

import numpy as np

from backend.market.cells import Cells
from backend.market.domain import Book, Ints
from backend.market.tables import Tables
from backend.market.ticks import on_tick


def post(book: Book, tab: Tables, c: Cells) -> tuple[Ints, Ints]:
    """Integer prices (compute [k][z][m][t], energy [z][m][t]) of the present rents and centres.

    A cell costs what its cheapest site needs; cells that nobody offers cost the most.
    """
    bands = book.bands
    asked = np.where(
        c.pool_steps > 0, np.maximum(c.centre, c.pool_ask[..., 0]), c.centre
    )  # nobody sells below
    energy = on_tick(np.rint(asked), bands.energy_min, bands.energy_max, bands.energy_tick)
    compute = np.full(c.price.shape, bands.compute_max, dtype=np.int64)
    if len(c.ask) == 0:
        return compute, energy
    need = 1000 * tab.offer_ask[:, None, None] + tab.offer_energy_wh[:, None, None] * energy[tab.offer_zone]
    own = -(-(need + np.rint(1000 * c.rent).astype(np.int64)[:, None, :]) // 1000)
    open_ = tab.offer_modes[:, :, None] & (tab.offer_capacity > 0)[:, None, :]
    own = np.where(open_, own, bands.compute_max)
    np.minimum.at(compute, (tab.offer_class, tab.offer_zone), own)
    bare = np.where(open_ & (c.used > 0), -(-need // 1000), 0)  # who is used is paid its ask
    np.maximum.at(compute, (tab.offer_class, tab.offer_zone), bare)
    return on_tick(compute, 0, bands.compute_max, bands.compute_tick), energy
