"""Assets, positions and dispatch as plain rows, for JSON and for Parquet; absent where there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from backend.market.assets import (
    Assets,
    ComputePosition,
    Dispatch,
    Flexibility,
    Line,
    Positions,
    PowerPosition,
    Storage,
)
from backend.market.errors import BookError

KINDS: Mapping[str, type] = {
    "flexibilities": Flexibility,
    "storages": Storage,
    "lines": Line,
    "compute_positions": ComputePosition,
    "power_positions": PowerPosition,
}
OPTIONAL = {"resale_ask_micro_per_vcu_slot", "loss_bps", "fee_micro_per_kwh", "wear_micro_per_kwh"}
Rows = list[dict[str, Any]]


def asset_rows(assets: Assets, positions: Positions) -> dict[str, Rows]:
    """Rows by kind; a kind without rows is left out, so that a book without assets reads as it always did."""
    found = {
        "flexibilities": assets.flexibilities,
        "storages": assets.storages,
        "lines": assets.lines,
        "compute_positions": positions.compute,
        "power_positions": positions.power,
    }
    return {kind: [_to_row(one) for one in some] for kind, some in found.items() if some}


def assets_from_rows(rows: Mapping[str, Rows]) -> tuple[Assets, Positions]:
    """The typed assets and positions. Raises BookError naming the row and field that cannot be read."""
    made = {
        kind: tuple(_from_row(kind, n, row) for n, row in enumerate(rows.get(kind) or ())) for kind in KINDS
    }
    return (
        Assets(made["flexibilities"], made["storages"], made["lines"]),
        Positions(made["compute_positions"], made["power_positions"]),
    )


def dispatch_to_rows(dispatch: Dispatch) -> dict[str, list[list[int]]]:
    """Tables of a dispatch by name."""
    return {f.name: getattr(dispatch, f.name).tolist() for f in fields(dispatch)}


def dispatch_from_rows(rows: Mapping[str, Any]) -> Dispatch:
    """The dispatch of these tables. Raises ValueError for a table that is not of whole numbers."""
    tables = {}
    for field in fields(Dispatch):
        table = np.array(rows[field.name])
        if table.size and (table.ndim != 2 or table.dtype.kind not in "iu"):
            raise ValueError(f"dispatch.{field.name} must be a table of whole numbers")
        tables[field.name] = table.astype(np.int64).reshape(len(rows[field.name]), -1)
    return Dispatch(**tables)


def parquet_schema(kind: str) -> Any:
    """The Arrow schema of one kind of rows."""
    import pyarrow as pa

    types = {"str": pa.string(), "int": pa.int64(), "int | None": pa.int64(), "Ints": pa.list_(pa.int64())}
    return pa.schema([(f.name, types[str(f.type)]) for f in fields(KINDS[kind])])


def _to_row(one: Any) -> dict[str, Any]:
    row = {f.name: getattr(one, f.name) for f in fields(one)}
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}


def _from_row(kind: str, n: int, row: Mapping[str, Any]) -> Any:
    made, at = {}, f"{kind}[{row.get('id', n)}]"
    for field in fields(KINDS[kind]):
        if field.name not in row:
            if field.name in OPTIONAL:
                continue
            raise BookError(f"{at}.{field.name}", None, "the field is missing")
        made[field.name] = _value(f"{at}.{field.name}", str(field.type), row[field.name])
    strange = set(row) - {f.name for f in fields(KINDS[kind])}
    if strange:
        raise BookError(f"{at}.{min(strange)}", row[min(strange)], "is no field of it")
    return KINDS[kind](**made)


def _value(at: str, wanted: str, value: Any) -> Any:
    if wanted == "str":
        if not isinstance(value, str):
            raise BookError(at, value, "must be text")
        return value
    if wanted == "Ints":
        if not isinstance(value, (list, tuple, np.ndarray)):
            raise BookError(at, value, "must be a list, one number per slot")
        return [_whole(f"{at}[{slot}]", one) for slot, one in enumerate(value)]
    if value is None and wanted == "int | None":
        return None
    return _whole(at, value)


def _whole(at: str, value: Any) -> int:
    if value is None or isinstance(value, (bool, str)) or value != value or int(value) != value:
        raise BookError(at, value, "must be a whole number")
    if not -(2**63) <= value < 2**63:
        raise BookError(at, value, "does not fit 64 bits")
    return int(value)
