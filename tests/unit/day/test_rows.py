"""Strict rows: exact numbers, named refusals, and the rest of the file goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.day.errors import DataFileError, RefusedRow, RowError
from backend.day.sources.rows import integer, iter_rows, local_of, read_header, scaled, utc_of


@pytest.mark.parametrize(
    ("text", "decimals", "value"),
    [
        ("1.9", 6, 1_900_000),
        ("-0.0378", 6, -37_800),
        ("7.53E-05", 6, 75),
        ("-9e-05", 6, -90),
        ("0.0000005", 6, 1),
        ("0.0000004", 6, 0),
        ("-0.0000005", 6, -1),
        ("5.", 2, 500),
        ("+3", 0, 3),
        ("17500", 6, 17_500_000_000),
    ],
)
def test_scaled_is_exact_and_rounds_half_away_from_zero(text: str, decimals: int, value: int) -> None:
    assert scaled({"x": text}, "x", decimals) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "1,5",
        "0x10",
        "1_000",
        "１２",
        "1e999",
        "--1",
        ".",
        "9" * 40,
    ],
)
def test_scaled_refuses_what_is_no_finite_decimal(text: str) -> None:
    with pytest.raises(RowError) as caught:
        scaled({"x": text}, "x", 6)
    assert caught.value.field == "x"
    assert caught.value.mend


@pytest.mark.parametrize("text", ["1e40", "-1e40", "100.000001", "-1"])
def test_scaled_refuses_values_outside_their_range(text: str) -> None:
    with pytest.raises(RowError):
        scaled({"x": text}, "x", 6, 0, 100)


@pytest.mark.parametrize("text", ["1.0", "", "1e3", "nan", "11", "-1"])
def test_integer_takes_whole_numbers_in_range_only(text: str) -> None:
    assert integer({"x": "10"}, "x", 0, 10) == 10
    with pytest.raises(RowError):
        integer({"x": text}, "x", 0, 10)


def test_times_are_read_as_written_only() -> None:
    row = {"u": "2020-04-01T08:00:00Z", "l": "2020-04-01T00:00:00"}
    assert utc_of(row, "u").hour == 8
    assert local_of(row, "l").hour == 0
    for bad in ("2020-04-01 08:00:00", "2020-02-30T00:00:00Z", "2020-04-01T08:00:00+00:00", ""):
        with pytest.raises(RowError):
            utc_of({"u": bad}, "u")


def test_broken_rows_are_refused_with_their_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'a,b\n1,2\n1\n1,2,3\n1,"2\n\xff,2\n\x00,2\n\n5,6\n')
    refused: list[RefusedRow] = []
    rows = [(line, dict(row)) for line, row in iter_rows(path, refused)]
    assert rows == [(2, {"a": "1", "b": "2"}), (9, {"a": "5", "b": "6"})]
    assert [row.line for row in refused] == [3, 4, 5, 6, 7]
    assert all(row.file == "t.csv" and row.reason and row.mend for row in refused)


def test_header_problems_stop_the_file(tmp_path: Path) -> None:
    empty, twice = tmp_path / "empty.csv", tmp_path / "twice.csv"
    empty.write_text("")
    twice.write_text("a,a\n")
    for path in (empty, twice, tmp_path / "absent.csv"):
        with pytest.raises(DataFileError) as caught:
            read_header(path)
        assert path.name in str(caught.value)


def test_byte_order_mark_and_carriage_returns_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_bytes(b"\xef\xbb\xbfa;b\r\n1;2\r\n")
    assert [dict(row) for _, row in iter_rows(path, [])] == [{"a": "1", "b": "2"}]
