"""Canonical JSON of a book and of a solution: sorted keys, integers only, one newline at the end.

The same book always gives the same bytes, so its SHA-256 (`digest`) names it on chain and in the archive.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from backend.market.assets import Dispatch
from backend.market.assets_codec import asset_rows, assets_from_rows, dispatch_from_rows, dispatch_to_rows
from backend.market.domain import (
    Bands,
    Book,
    Certificate,
    ComputeClass,
    ComputeOffer,
    Ints,
    PowerOffer,
    Run,
    SlotGrid,
    Solution,
    Zone,
)
from backend.market.errors import BookError, MarketError, SolutionError
from backend.market.orders import NUMERIC_FIELDS, OrderTable
from backend.market.runs import fills_of_runs, runs_of_fills

BOOK_FORMAT = "bitwatt/book/1"
SOLUTION_FORMAT = "bitwatt/solution/1"


def digest(data: bytes) -> str:
    """SHA-256 of a file's bytes, lower-case hex without 0x."""
    return hashlib.sha256(data).hexdigest()


def book_to_json(book: Book) -> bytes:
    """The canonical file of a book."""
    return _dump(
        {
            "format": BOOK_FORMAT,
            "slots": asdict(book.slots),
            "zones": [asdict(zone) for zone in book.zones],
            "classes": [asdict(cls) for cls in book.classes],
            "compute_offers": [asdict(offer) for offer in book.compute_offers],
            "power_offers": [_power_to_dict(offer) for offer in book.power_offers],
            "grid_carbon_g_per_kwh": book.grid_carbon.tolist(),
            "orders": {"id": book.orders.id.tolist()}
            | {name: getattr(book.orders, name).tolist() for name in NUMERIC_FIELDS},
            "bands": asdict(book.bands),
        }
        | asset_rows(book.assets, book.positions)
    )


def book_from_json(data: bytes | str) -> Book:
    """Reads a book. Raises BookError naming what is missing or wrong."""
    doc = _load(data, BOOK_FORMAT, BookError)
    try:
        return Book.of(
            SlotGrid(**doc["slots"]),
            [Zone(**row) for row in doc["zones"]],
            [ComputeClass(**row) for row in doc["classes"]],
            [ComputeOffer(**row) for row in doc["compute_offers"]],
            [PowerOffer(**row) for row in doc["power_offers"]],
            doc["grid_carbon_g_per_kwh"],
            OrderTable.from_columns(doc["orders"]),
            Bands(**doc["bands"]),
            *assets_from_rows(doc),
        )
    except KeyError as gap:
        raise BookError(str(gap.args[0]), None, "the field is missing") from gap
    except MarketError:
        raise
    except (TypeError, ValueError, OverflowError, AttributeError) as wrong:
        raise BookError("book", str(wrong), "has a field of the wrong kind") from wrong


def solution_to_json(solution: Solution) -> bytes:
    """The canonical file of a solution; fills are written as runs, column by column."""
    runs = runs_of_fills(solution.fills)
    certificate = solution.certificate
    return _dump(
        {
            "format": SOLUTION_FORMAT,
            "mechanism": solution.mechanism,
            "uniform": solution.uniform,
            "reason": solution.reason,
            "compute_price": solution.compute_price.tolist(),
            "energy_price": solution.energy_price.tolist(),
            "runs": {name: [getattr(run, name) for run in runs] for name in Run.__slots__},
            "sold_wh": solution.sold.tolist(),
            "certificate": asdict(certificate) if certificate else None,
        }
        | ({"dispatch_wh": dispatch_to_rows(solution.dispatch)} if _moves(solution.dispatch) else {})
    )


def solution_from_json(data: bytes | str) -> Solution:
    """Reads a solution. Raises SolutionError naming what is missing or wrong."""
    doc = _load(data, SOLUTION_FORMAT, SolutionError)
    try:
        columns = [doc["runs"][name] for name in Run.__slots__]
        return Solution(
            mechanism=doc["mechanism"],
            compute_price=_table(doc["compute_price"], 4),
            energy_price=_table(doc["energy_price"], 3),
            fills=fills_of_runs([Run(*row) for row in zip(*columns, strict=True)]),
            sold=_table(doc["sold_wh"], 2),
            uniform=bool(doc["uniform"]),
            certificate=Certificate(**doc["certificate"]) if doc["certificate"] else None,
            reason=doc["reason"],
            dispatch=dispatch_from_rows(doc["dispatch_wh"]) if "dispatch_wh" in doc else Dispatch(),
        )
    except KeyError as gap:
        raise SolutionError(str(gap.args[0]), None, "the field is missing") from gap
    except (TypeError, ValueError, OverflowError, AttributeError) as wrong:
        raise SolutionError("solution", str(wrong), "has a field of the wrong kind or size") from wrong


def _moves(dispatch: Dispatch) -> bool:
    return any(len(table) for table in (dispatch.shed, dispatch.charge, dispatch.flow))


def _power_to_dict(offer: PowerOffer) -> dict[str, object]:
    return {
        "id": offer.id,
        "plant_id": offer.plant_id,
        "zone_id": offer.zone_id,
        "source": offer.source,
        "wh": offer.wh.tolist(),
        "ask_micro_per_kwh": offer.ask_micro_per_kwh.tolist(),
        "emission_g_per_kwh": offer.emission_g_per_kwh,
    }


def _table(values: object, dimensions: int) -> Ints:
    array = np.array(values)
    if array.size == 0:
        return array.astype(np.int64).reshape(array.shape + (0,) * (dimensions - array.ndim))
    if array.dtype.kind not in "iu" or array.ndim != dimensions:
        raise ValueError(f"a table must be {dimensions}-dimensional and of integers")
    return array.astype(np.int64)


def _dump(doc: Mapping[str, object]) -> bytes:
    return (json.dumps(doc, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def _load(data: bytes | str, wanted: str, error: type[BookError] | type[SolutionError]) -> dict[str, Any]:
    try:
        doc = json.loads(data)
    except (ValueError, RecursionError) as wrong:
        raise error("file", str(wrong), "is not JSON") from wrong
    found = doc.get("format") if isinstance(doc, dict) else type(doc).__name__
    if found != wanted:
        raise error("format", found, f"must be {wanted}")
    return doc


__all__ = [
    "MarketError",
    "book_from_json",
    "book_to_json",
    "digest",
    "solution_from_json",
    "solution_to_json",
]
