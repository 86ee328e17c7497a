"""Bundle orders, one by one (`Order`) and by the million (`OrderTable`, one array per field)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

KIND_DIVISIBLE, KIND_MINIMUM, KIND_FILL_OR_KILL, KIND_CONTIGUOUS, KIND_CONTIGUOUS_FOK = range(5)


@dataclass(frozen=True, slots=True)
class Order:
    """One bid for compute with its power: `lanes` units of 1 VCU for `duration_slots` inside the window.

    Every lane stays in one zone of the mask and may be interrupted; ceil(min_green_bps x lanes / 10000) lanes
    are green-only. `limit_micro_per_vcu_slot` is the most the buyer pays per VCU-slot, all in.
    `carbon_price_micro_per_g` ranks slots by their carbon and is not paid; grey slots above
    `max_carbon_g_per_kwh` are not used. `submitted_at` matters to first-come-first-served only.
    """

    id: str
    class_id: int
    zone_mask: int
    lanes: int
    duration_slots: int
    start_slot: int
    deadline_slot: int
    limit_micro_per_vcu_slot: int
    min_lanes: int = 0
    min_green_bps: int = 0
    max_carbon_g_per_kwh: int = 0xFFFFFFFF
    carbon_price_micro_per_g: int = 0
    kind: int = KIND_DIVISIBLE
    submitted_at: int = 0


NUMERIC_FIELDS = tuple(f.name for f in fields(Order) if f.name != "id")


@dataclass(frozen=True, slots=True, eq=False)
class OrderTable:
    """Orders as columns: `id` is an array of strings, `zone_mask` uint64, every other column int64."""

    id: npt.NDArray[np.str_]
    class_id: npt.NDArray[np.int64]
    zone_mask: npt.NDArray[np.uint64]
    lanes: npt.NDArray[np.int64]
    duration_slots: npt.NDArray[np.int64]
    start_slot: npt.NDArray[np.int64]
    deadline_slot: npt.NDArray[np.int64]
    limit_micro_per_vcu_slot: npt.NDArray[np.int64]
    min_lanes: npt.NDArray[np.int64]
    min_green_bps: npt.NDArray[np.int64]
    max_carbon_g_per_kwh: npt.NDArray[np.int64]
    carbon_price_micro_per_g: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    submitted_at: npt.NDArray[np.int64]

    @staticmethod
    def of(orders: Iterable[Order]) -> OrderTable:
        """The table of these orders, in the given order."""
        rows = list(orders)
        return OrderTable.from_columns(
            {"id": [o.id for o in rows]} | {name: [getattr(o, name) for o in rows] for name in NUMERIC_FIELDS}
        )

    @staticmethod
    def from_columns(columns: Mapping[str, npt.ArrayLike]) -> OrderTable:
        """The table of these columns. Raises BookError where a column is missing or is not made of
        integers."""
        from backend.market.validate import integer_column

        made = {name: integer_column(name, columns) for name in NUMERIC_FIELDS}
        return OrderTable(id=np.asarray(columns["id"], dtype=np.str_).reshape(-1), **made)  # type: ignore[arg-type]

    def take(self, index: npt.NDArray[np.int64]) -> OrderTable:
        """The rows at `index`, in that order."""
        return OrderTable(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def sorted_by_id(self) -> OrderTable:
        """The same orders, sorted by id."""
        return self.take(np.argsort(self.id, kind="stable"))

    def __len__(self) -> int:
        return len(self.id)

    def __getitem__(self, n: int) -> Order:
        return Order(id=str(self.id[n]), **{name: int(getattr(self, name)[n]) for name in NUMERIC_FIELDS})

    def __iter__(self) -> Iterator[Order]:
        return (self[n] for n in range(len(self)))

    @property
    def green_lanes(self) -> npt.NDArray[np.int64]:
        """Lanes that are green-only: ceil(min_green_bps x lanes / 10000)."""
        return -((-self.min_green_bps * self.lanes) // 10_000)
