"""Storage, lines and flexibility as columns and rows of a linear programme over the pools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from backend.market.assets import BPS, Ints
from backend.market.domain import Book

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What the assets do in fractions of a Wh, one row of slots each."""

    shed: Floats
    raised: Floats
    charge: Floats
    discharge: Floats
    flow: Floats
    stored_value: Floats  # micro per kWh: worth of one more kWh held at the end of the slot


@dataclass(frozen=True, slots=True, eq=False)
class AssetColumns:
    """Column numbers of every asset's uses, [asset][slot]; `level` are the rows of the storages' levels."""

    shed: Ints
    raised: Ints
    charge: Ints
    discharge: Ints
    flow: Ints
    level: Ints


class Columns(Protocol):
    """What collects a linear programme."""

    def add(self, cost: Floats, upper: Floats) -> Ints:
        """New columns between 0 and `upper`."""

    def put(self, rows: object, cols: object, vals: object) -> None:
        """Coefficients."""


def put_assets(
    book: Book, b: Columns, pool_row: Ints, next_row: int, low: list[float], high: list[float]
) -> tuple[AssetColumns, int]:
    """Adds the assets of `book`: costs in micro, Wh in the rows of their pools (a take counts positive).

    `low` and `high` are the bounds of the rows from `next_row` on; returns the columns and the next free row.
    """
    zones, slots, assets = book.zone_index(), book.slots.count, book.assets
    made: dict[str, list[Ints]] = {name: [] for name in AssetColumns.__slots__}

    def column(name: str, micro_per_kwh: Ints | int, most: Ints | int) -> Ints:
        cost = np.broadcast_to(np.asarray(micro_per_kwh) / 1000.0, (slots,))
        new = b.add(cost, np.broadcast_to(np.asarray(most, dtype=np.float64), (slots,)))
        made[name].append(new)
        return new

    def share_time(one: Ints, most_one: Ints, other: Ints, most_other: Ints) -> None:
        nonlocal next_row
        both = np.flatnonzero((most_one > 0) & (most_other > 0))
        rows = next_row + np.arange(len(both))
        b.put(rows, one[both], 1.0 / np.maximum(most_one[both], 1))
        b.put(rows, other[both], 1.0 / np.maximum(most_other[both], 1))
        next_row += len(both)
        low.extend([-np.inf] * len(both))
        high.extend([1.0] * len(both))

    for flex in assets.flexibilities:
        z = zones[flex.zone_id]
        shed = column("shed", flex.shed_ask_micro_per_kwh, flex.shed_wh)
        raised = column("raised", -flex.raise_bid_micro_per_kwh, flex.raise_wh)
        b.put(pool_row[z, 0], shed, -1)
        b.put(pool_row[z, 1], raised, 1)
        share_time(shed, flex.shed_wh, raised, flex.raise_wh)
    for store in assets.storages:
        pool = pool_row[zones[store.zone_id], store.mode]
        charge = column("charge", 0, store.charge_wh)
        discharge = column("discharge", store.wear_micro_per_kwh, store.discharge_wh)
        b.put(pool, charge, 1)
        b.put(pool, discharge, -1)
        share_time(charge, np.full(slots, store.charge_wh), discharge, np.full(slots, store.discharge_wh))
        level = b.add(np.zeros(slots), np.full(slots, float(store.energy_wh)))
        rows = next_row + np.arange(slots)
        next_row += slots
        made["level"].append(rows)
        start = np.zeros(slots)
        start[0] = store.initial_wh
        low.extend(start.tolist())
        high.extend(start.tolist())
        b.put(rows, level, 1)
        b.put(rows[1:], level[:-1], -1)
        b.put(rows, charge, -store.efficiency_bps / BPS)
        b.put(rows, discharge, 1)
        low.append(float(store.final_wh))
        high.append(np.inf)
        b.put([next_row], level[-1:], 1)
        next_row += 1
    for line in assets.lines:
        flow = column("flow", line.fee_micro_per_kwh, line.capacity_wh)
        b.put(pool_row[zones[line.from_zone_id], line.mode], flow, 1)
        b.put(pool_row[zones[line.to_zone_id], line.mode], flow, -(BPS - line.loss_bps) / BPS)
    tables = {
        name: np.array(rows, dtype=np.int64).reshape(len(rows), slots if rows else 0)
        for name, rows in made.items()
    }
    return AssetColumns(**tables), next_row


def plan_of(columns: AssetColumns, value: Floats, dual: Floats) -> Plan:
    """The assets' part of a solution: values by column, duals by row."""
    uses = ("shed", "raised", "charge", "discharge", "flow")
    tables = {name: np.maximum(value[getattr(columns, name)], 0.0) for name in uses}
    return Plan(**tables, stored_value=-1000 * dual[columns.level])
