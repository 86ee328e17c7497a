"""Canonical files: the same book gives the same bytes, and bad files give named errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from backend.market.clearing import clear
from backend.market.cli import app
from backend.market.codec import book_from_json, book_to_json, solution_from_json, solution_to_json
from backend.market.domain import Book
from backend.market.errors import BookError, SolutionError
from backend.market.files import read_book, write_book
from backend.market.instances import plausible
from backend.market.runs import fills_of_runs, runs_of_fills

BOOK = plausible(60, slots=16, zones=2, classes=1, sites=4, plants=3)


def test_json_round_trip_is_identity() -> None:
    data = book_to_json(BOOK)
    assert book_to_json(book_from_json(data)) == data
    solved = solution_to_json(clear(BOOK))
    assert solution_to_json(solution_from_json(solved)) == solved


def test_parquet_round_trip_is_identity(tmp_path: Path) -> None:
    write_book(BOOK, tmp_path / "book")
    assert book_to_json(read_book(tmp_path / "book")) == book_to_json(BOOK)


def test_nan_in_parquet_is_named(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_book(BOOK, tmp_path / "book")
    table = pq.read_table(tmp_path / "book" / "orders.parquet").to_pandas()
    table["lanes"] = table["lanes"].astype(float)
    table.loc[5, "lanes"] = np.nan
    pq.write_table(pa.Table.from_pandas(table), tmp_path / "book" / "orders.parquet")
    with pytest.raises(BookError) as caught:
        read_book(tmp_path / "book")
    assert caught.value.field == "orders.lanes[5]"


def test_runs_add_up_to_the_fills_and_are_few() -> None:
    fills = clear(BOOK).fills
    runs = runs_of_fills(fills)
    back = fills_of_runs(runs)
    assert all(
        np.array_equal(getattr(back, n), getattr(fills, n))
        for n in ("order", "offer", "mode", "slot", "lanes")
    )
    assert len(runs) <= len(fills)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("orders", "deadline_slot", 0), 0, "deadline_slot"),
        (("orders", "lanes", 0), 2**80, "orders.lanes[0]"),
        (("orders", "lanes", 0), 1.5, "orders.lanes[0]"),
        (("orders", "class_id", 0), 99, "class_id"),
        (("orders", "zone_mask", 0), 1 << 60, "zone_mask"),
        (("orders", "min_green_bps", 0), 10_001, "min_green_bps"),
        (("orders", "duration_slots", 0), 500, "duration_slots"),
        (("compute_offers", 0, "zone_id"), 44, "zone_id"),
        (("power_offers", 0, "wh"), [[1]], "wh"),
        (("slots", "count"), 0, "slots.count"),
        (("bands", "compute_max"), 2**40, "bands.compute_max"),
    ],
)
def test_a_bad_field_is_named(path: tuple[str | int, ...], value: object, field: str) -> None:
    doc = json.loads(book_to_json(BOOK))
    node = doc
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    with pytest.raises(BookError) as caught:
        book_from_json(json.dumps(doc))
    assert field in caught.value.field


def test_duplicate_ids_and_missing_columns_are_named() -> None:
    doc = json.loads(book_to_json(BOOK))
    doc["orders"]["id"][1] = doc["orders"]["id"][0]
    with pytest.raises(BookError, match="used twice"):
        book_from_json(json.dumps(doc))
    del doc["orders"]["kind"]
    with pytest.raises(BookError, match="missing"):
        book_from_json(json.dumps(doc))
    with pytest.raises(SolutionError, match="format"):
        solution_from_json(book_to_json(BOOK))
    with pytest.raises(BookError, match="not JSON"):
        book_from_json(b"{")


def test_empty_sides_clear_to_nothing_with_a_reason() -> None:
    def without(**changed: object) -> Book:
        parts = {n: getattr(BOOK, n) for n in Book.__dataclass_fields__ if n != "green_carbon"} | changed
        return Book.of(**parts)  # type: ignore[arg-type]

    for book in (without(orders=[]), without(compute_offers=[]), without(power_offers=[])):
        for mechanism in ("joint", "lp", "fcfs", "sequential", "greedy"):
            solution = clear(book, mechanism)
            assert len(solution.fills) == 0
            assert solution.reason


def test_command_line_clears_and_checks(tmp_path: Path) -> None:
    (tmp_path / "book.json").write_bytes(book_to_json(BOOK))
    run = CliRunner()
    files = ["--book", str(tmp_path / "book.json")]
    done = run.invoke(app, ["run", *files, "--out", str(tmp_path / "solution.json"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["filled_vcu_slots"] > 0
    verdict = ["check", *files, "--solution", str(tmp_path / "solution.json"), "--json"]
    assert run.invoke(app, verdict).exit_code == 0
    doc = json.loads((tmp_path / "solution.json").read_text())
    doc["runs"]["lanes"][0] += 1
    (tmp_path / "solution.json").write_text(json.dumps(doc))
    broken = run.invoke(app, verdict)
    assert broken.exit_code == 1
    assert not json.loads(broken.output)["ok"]
