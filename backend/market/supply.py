"""The supply side as kernels see it: sites by (class, zone), energy pools as stacked tranches."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backend.market.domain import Book
from backend.market.tables import Tables

Floats = npt.NDArray[np.float64]
BLOCKED = 1e30


class Supply(NamedTuple):
    """Arrays of one market state; k class, z zone, m mode, t slot, i offer, n tranche."""

    members: npt.NDArray[np.int64]  # [k][z][n] offers, -1 padded
    energy: npt.NDArray[np.int64]  # [i] Wh per VCU-slot
    ask: Floats  # [i] micro per VCU-slot
    capacity: npt.NDArray[np.int64]  # [i][t]
    offer_zone: npt.NDArray[np.int64]  # [i]
    steps: npt.NDArray[np.int64]  # [z][m][t] number of tranches
    step_ask: Floats  # [z][m][t][n] ascending, micro per kWh
    step_top: Floats  # [z][m][t][n] Wh up to and with this tranche
    carbon: Floats  # [z][m][t] g/kWh
    used: npt.NDArray[np.int64]  # [i][m][t] lanes
    load: npt.NDArray[np.int64]  # [z][m][t] Wh
    stamp: npt.NDArray[np.int64]  # [z][t] counts changes, so that cached cells know their age
    cell_stamp: npt.NDArray[np.int64]  # [k][z][t]
    cell_lanes: npt.NDArray[np.int64]  # [k][z][t]
    cell_price: Floats  # [k][z][m][t]
    cell_offer: npt.NDArray[np.int64]  # [k][z][m][t]


def supply_of(book: Book, tab: Tables) -> Supply:
    """An empty market over the offers of `book`, with all rents zero."""
    kinds, zones, slots = len(book.classes), len(book.zones), tab.slots
    offers = len(tab.offer_zone)
    groups: list[list[int]] = [[] for _ in range(kinds * zones)]
    for i in range(offers):
        groups[int(tab.offer_class[i]) * zones + int(tab.offer_zone[i])].append(i)
    width = max((len(g) for g in groups), default=1) or 1
    members = np.full((kinds * zones, width), -1, dtype=np.int64)
    for n, group in enumerate(groups):
        members[n, : len(group)] = group
    steps, step_ask, step_top = pools_of(book, tab)
    return Supply(
        members=members.reshape(kinds, zones, width),
        energy=tab.offer_energy_wh,
        ask=tab.offer_ask.astype(np.float64),
        capacity=tab.offer_capacity,
        offer_zone=tab.offer_zone,
        steps=steps,
        step_ask=step_ask,
        step_top=step_top,
        carbon=tab.carbon.astype(np.float64),
        used=np.zeros((offers, 2, slots), dtype=np.int64),
        load=np.zeros((zones, 2, slots), dtype=np.int64),
        stamp=np.zeros((zones, slots), dtype=np.int64),
        cell_stamp=np.full((kinds, zones, slots), -1, dtype=np.int64),
        cell_lanes=np.zeros((kinds, zones, slots), dtype=np.int64),
        cell_price=np.zeros((kinds, zones, 2, slots)),
        cell_offer=np.zeros((kinds, zones, 2, slots), dtype=np.int64),
    )


def pools_of(book: Book, tab: Tables) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Tranches by pool and slot, cheapest first: their number, asks (micro per kWh), and Wh up to each."""
    zones, slots = len(book.zones), tab.slots
    stacks: dict[tuple[int, int], list[int]] = {}
    for g in range(len(book.power_offers)):
        stacks.setdefault((int(tab.power_zone[g]), int(tab.power_mode[g])), []).append(g)
    width = max((sum(book.power_offers[g].wh.shape[1] for g in s) for s in stacks.values()), default=1) or 1
    steps = np.zeros((zones, 2, slots), dtype=np.int64)
    step_ask = np.full((zones, 2, slots, width), BLOCKED)
    step_wh = np.zeros((zones, 2, slots, width))
    for (z, m), stack in stacks.items():
        wh = np.concatenate([tab.power_wh[g] for g in stack], axis=1)
        ask = np.concatenate([book.power_offers[g].ask_micro_per_kwh for g in stack], axis=1)
        wh = np.where(tab.starved[z, m][:, None], 0, wh)
        ask = np.where(wh > 0, ask.astype(np.float64), BLOCKED)
        rank = np.argsort(ask, axis=1, kind="stable")
        step_ask[z, m, :, : ask.shape[1]] = np.take_along_axis(ask, rank, axis=1)
        step_wh[z, m, :, : ask.shape[1]] = np.take_along_axis(wh, rank, axis=1)
        steps[z, m] = (wh > 0).sum(axis=1)
    return steps, step_ask, np.cumsum(step_wh, axis=3)
