"""Books and solutions on disk: canonical JSON, or a folder of Parquet tables for large books.

A Parquet book is a folder: `orders.parquet` (one column per field of an order), `compute_offers.parquet`,
`power_offers.parquet` (one row per offer, `wh` and `ask_micro_per_kwh` as lists of lists) and `grid.json`
with slots, zones, classes, grid carbon and bands. Assets and positions are tables of their own, absent
where there are none.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from backend.market.assets_codec import KINDS, assets_from_rows, parquet_schema
from backend.market.codec import book_from_json, book_to_json, solution_from_json
from backend.market.domain import (
    Bands,
    Book,
    ComputeClass,
    ComputeOffer,
    PowerOffer,
    SlotGrid,
    Solution,
    Zone,
)
from backend.market.errors import BookError
from backend.market.orders import NUMERIC_FIELDS, OrderTable

_GRID_FIELDS = ("bands", "classes", "format", "grid_carbon_g_per_kwh", "slots", "zones")


def read_book(path: Path) -> Book:
    """Reads a book from a JSON file or a Parquet folder. Raises BookError naming what is wrong."""
    return _read_folder(path) if path.is_dir() else book_from_json(path.read_bytes())


def read_solution(path: Path) -> Solution:
    """Reads a solution from its JSON file. Raises SolutionError naming what is wrong."""
    return solution_from_json(path.read_bytes())


def write_book(book: Book, path: Path) -> None:
    """Writes JSON where `path` ends in .json, else a Parquet folder."""
    if path.suffix == ".json":
        path.write_bytes(book_to_json(book))
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.mkdir(parents=True, exist_ok=True)
    doc = json.loads(book_to_json(book))
    (path / "grid.json").write_text(json.dumps({k: doc[k] for k in _GRID_FIELDS}, sort_keys=True) + "\n")
    columns = {"id": pa.array(book.orders.id.tolist(), pa.string())} | {
        name: pa.array(getattr(book.orders, name)) for name in NUMERIC_FIELDS
    }
    pq.write_table(pa.table(columns), path / "orders.parquet")
    pq.write_table(
        pa.Table.from_pylist(doc["compute_offers"], _compute_schema()), path / "compute_offers.parquet"
    )
    pq.write_table(pa.Table.from_pylist(doc["power_offers"], _power_schema()), path / "power_offers.parquet")
    for kind in KINDS:
        (path / f"{kind}.parquet").unlink(missing_ok=True)
        if kind in doc:
            pq.write_table(pa.Table.from_pylist(doc[kind], parquet_schema(kind)), path / f"{kind}.parquet")


def _read_folder(path: Path) -> Book:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        doc = json.loads((path / "grid.json").read_text())
        orders = pq.read_table(path / "orders.parquet")
        compute = pq.read_table(path / "compute_offers.parquet").to_pylist()
        power = pq.read_table(path / "power_offers.parquet").to_pylist()
        files = {kind: path / f"{kind}.parquet" for kind in KINDS}
        assets = {kind: pq.read_table(file).to_pylist() for kind, file in files.items() if file.exists()}
    except FileNotFoundError as gone:
        raise BookError("file", str(gone.filename), "the book's folder lacks this file") from gone
    except (ValueError, pa.ArrowException) as wrong:
        raise BookError("file", str(wrong), "cannot be read") from wrong
    try:
        return Book.of(
            SlotGrid(**doc["slots"]),
            [Zone(**row) for row in doc["zones"]],
            [ComputeClass(**row) for row in doc["classes"]],
            [ComputeOffer(**row) for row in compute],
            [PowerOffer(**row) for row in power],
            np.array(doc["grid_carbon_g_per_kwh"], dtype=np.int64),
            _orders(orders),
            Bands(**doc["bands"]),
            *assets_from_rows(assets),
        )
    except KeyError as gap:
        raise BookError(str(gap.args[0]), None, "the field is missing") from gap
    except (TypeError, OverflowError) as wrong:
        raise BookError("book", str(wrong), "has a field of the wrong kind") from wrong


def _orders(table: object) -> OrderTable:
    names = table.column_names  # type: ignore[attr-defined]
    columns = {}
    for name in ("id", *NUMERIC_FIELDS):
        if name not in names:
            raise BookError(f"orders.{name}", None, "the column is missing")
        column = table.column(name)  # type: ignore[attr-defined]
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy()))
            raise BookError(f"orders.{name}[{row}]", None, "must not be empty")
        columns[name] = column.to_numpy() if name != "id" else np.array(column.to_pylist(), dtype=np.str_)
    return OrderTable.from_columns(columns)


def _compute_schema() -> object:
    import pyarrow as pa

    ints = [f for f in ComputeOffer.__dataclass_fields__ if f != "id"]
    return pa.schema([("id", pa.string()), *((name, pa.int64()) for name in ints)])


def _power_schema() -> object:
    import pyarrow as pa

    table = pa.list_(pa.list_(pa.int64()))
    return pa.schema(
        [
            ("id", pa.string()),
            ("plant_id", pa.int64()),
            ("zone_id", pa.int64()),
            ("source", pa.int64()),
            ("wh", table),
            ("ask_micro_per_kwh", table),
            ("emission_g_per_kwh", pa.int64()),
        ]
    )
