"""Reading a table row by row, strictly: no guessed types, no clipping, every refusal with its place.

Numbers become integers at once: `scaled(text, 6)` is the value times 10^6, exact, or an error.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from backend.day.errors import DataFileError, RefusedRow, RowError

Row = Mapping[str, str]
T = TypeVar("T")

_NUMBER: Final = re.compile(r"([+-]?)(\d{1,15})(?:\.(\d{0,18}))?(?:[eE]([+-]?\d{1,2}))?", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?\d{1,15}", re.ASCII)
_MAX_FIELD: Final = 4096


def read_header(path: Path) -> tuple[tuple[str, ...], str]:
    """Column names and delimiter of the first line; raises `DataFileError` when there is none."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            first = file.readline()
    except OSError as error:
        raise DataFileError(
            path.name, "file", f"cannot be read: {error.strerror}", "give a readable CSV file"
        ) from error
    if not first.strip():
        raise DataFileError(path.name, "header", "the file is empty", "give a CSV file with a header row")
    delimiter = ";" if first.count(";") > first.count(",") else ","
    names = tuple(name.strip() for name in first.rstrip("\r\n").split(delimiter))
    if len(set(names)) != len(names):
        raise DataFileError(path.name, "header", "a column name appears twice", "name each column once")
    return names, delimiter


def iter_rows(
    path: Path, refused: list[RefusedRow], keep: Callable[[str], bool] | None = None
) -> Iterator[tuple[int, Row]]:
    """Line number and fields of every well-formed row; others go to `refused`.

    `keep` may drop lines by their raw text before they are parsed.
    """
    names, delimiter = read_header(path)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        next(file)
        for number, line in enumerate(file, start=2):
            text = line.rstrip("\r\n")
            if not text or (keep is not None and not keep(text)):
                continue
            try:
                yield number, _split(text, names, delimiter)
            except RowError as error:
                refused.append(refusal(path, number, error))


def _split(text: str, names: tuple[str, ...], delimiter: str) -> Row:
    if len(text) > _MAX_FIELD * 4:
        raise RowError("row", text[:60], f"{len(text)} characters long", "a row is one line of short fields")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            shown = text[:60].encode("utf-8", "replace").decode()
            raise RowError("row", shown, "is not UTF-8", "save the file as UTF-8") from None
    if "\0" in text:
        raise RowError("row", text[:60].replace("\0", "?"), "holds a NUL byte", "repair the row")
    if '"' in text:
        try:
            fields = next(csv.reader([text], delimiter=delimiter, strict=True))
        except csv.Error as error:
            raise RowError(
                "row", text[:60], f"broken quoting ({error})", "close the quotation mark"
            ) from error
    else:
        fields = text.split(delimiter)
    if len(fields) != len(names):
        raise RowError(
            "row", text[:60], f"{len(fields)} fields where the header has {len(names)}", "complete the row"
        )
    return dict(zip(names, fields, strict=True))


def refusal(path: Path, line: int, error: RowError) -> RefusedRow:
    """The record of a refused row; only the file's name is kept, so reports do not depend on folders."""
    return RefusedRow(path.name, line, error.field, error.value[:80], error.reason, error.mend)


def scaled(row: Row, field: str, decimals: int, low: int | None = None, high: int | None = None) -> int:
    """The field times 10^decimals as an exact integer, within [low, high] of its own unit.

    Further decimals are rounded half away from zero. Raises `RowError` for empty, NaN, infinite,
    malformed or out-of-range values.
    """
    text = row[field].strip()
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise RowError(
            field, text, "is not a finite decimal number", "write it as digits with an optional point"
        )
    sign, whole, fraction, exponent = match.groups(default="")
    digits = int(whole + fraction)
    shift = decimals - len(fraction) + int(exponent or 0)
    if shift >= 0:
        digits *= 10**shift
    else:
        digits = (2 * digits + 10**-shift) // (2 * 10**-shift)
    value = -digits if sign == "-" else digits
    if low is not None and value < low * 10**decimals:
        raise RowError(field, text, f"is below {low}", "check the unit and the sign")
    if high is not None and value > high * 10**decimals:
        raise RowError(field, text, f"is above {high}", "check the unit and the point")
    return value


def integer(row: Row, field: str, low: int, high: int) -> int:
    """A whole number within [low, high]; `12.0` is refused."""
    text = row[field].strip()
    if _INTEGER.fullmatch(text) is None:
        raise RowError(field, text, "is not a whole number", "write it as digits")
    value = int(text)
    if not low <= value <= high:
        raise RowError(field, text, f"is outside {low}..{high}", "check the unit and the sign")
    return value


def text_of(row: Row, field: str, limit: int = 80) -> str:
    """A short non-empty text."""
    text = row[field].strip()
    if not text or len(text) > limit or not text.isprintable():
        raise RowError(
            field, text[:40], "is empty, too long or not printable", f"give 1 to {limit} characters"
        )
    return text


def utc_of(row: Row, field: str) -> datetime:
    """`YYYY-MM-DDTHH:MM:SSZ` as an aware time."""
    text = row[field].strip()
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise RowError(field, text, "is not a UTC time", "write it as YYYY-MM-DDTHH:MM:SSZ") from None


def local_of(row: Row, field: str) -> datetime:
    """`YYYY-MM-DDTHH:MM:SS` as a wall-clock time without zone."""
    text = row[field].strip()
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        raise RowError(field, text, "is not a local time", "write it as YYYY-MM-DDTHH:MM:SS") from None


def check_aligned(field: str, start: datetime, step_s: int) -> None:
    """An interval that does not start on its file's grid overlaps its neighbours."""
    if (start.hour * 3600 + start.minute * 60 + start.second) % step_s:
        raise RowError(
            field,
            start.strftime("%Y-%m-%dT%H:%M:%S"),
            f"overlaps its neighbours: intervals start every {step_s // 60} minutes",
            "start it on the grid",
        )


def check_offset(row: Row, utc_field: str, local_field: str, offset: timedelta) -> None:
    """Both stamps of a row must mean the same moment."""
    if local_of(row, local_field) - utc_of(row, utc_field).replace(tzinfo=None) != offset:
        hours = offset.total_seconds() / 3600
        raise RowError(
            local_field,
            row[local_field],
            f"does not agree with {utc_field} {row[utc_field]} (UTC{hours:+g} h)",
            "correct one of the two stamps",
        )


class Once:
    """Refuses the second row of the same key: an interval is stated once."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._seen: dict[object, int] = {}

    def check(self, key: object, shown: str, line: int) -> None:
        """Raises `RowError` when `key` was stated in an earlier row."""
        first = self._seen.setdefault(key, line)
        if first != line:
            raise RowError(
                self._field, shown, f"repeats the interval of line {first}", "keep one of the two rows"
            )
