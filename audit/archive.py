"""The archive folder: files named by their SHA-256, read with bounds, never trusted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

KINDS = (
    *("book", "solution", "publication", "readings", "evidence", "collateral", "statement"),
    *("flex", "flex-readings"),
)
MAX_DEPTH = 64
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
MAX_FILE_BYTES = 512 * 1024 * 1024
State = Literal["intact", "altered", "missing", "unreadable"]


@dataclass(frozen=True, slots=True)
class Document:
    """A file the chain refers to by hash: its path in the archive, its state, its bytes where readable."""

    kind: str
    path: str
    expected: bytes
    state: State
    content: bytes = b""
    found: str = ""


class Archive:
    """Looks up documents by kind and SHA-256 under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, kind: str, sha256: bytes) -> Document:
        """The document of `kind` whose SHA-256 should be `sha256`, whatever its state."""
        name = sha256.hex()
        folder = self.root / kind
        candidates = sorted(folder.glob(f"{name}.*")) + sorted(folder.glob(name))
        if not candidates:
            return Document(kind, f"{kind}/{name}.*", sha256, "missing", found="no such file")
        return self._read(kind, candidates[0], sha256)

    def every(self, kind: str) -> Iterator[Document]:
        """Every file of a kind; what it should hash to is what its name says."""
        folder = self.root / kind
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
        for path in paths:
            try:
                expected = bytes.fromhex(path.name.split(".")[0])
            except ValueError:
                expected = b""
            yield self._read(kind, path, expected)

    def _read(self, kind: str, path: Path, expected: bytes) -> Document:
        shown = path.relative_to(self.root).as_posix()
        try:
            if not path.is_file():
                return Document(kind, shown, expected, "unreadable", found="not a regular file")
            size = path.stat().st_size
            if size > MAX_FILE_BYTES:
                return Document(
                    kind, shown, expected, "unreadable", found=f"{size} bytes, limit {MAX_FILE_BYTES}"
                )
            content = path.read_bytes()
        except OSError as error:
            return Document(kind, shown, expected, "unreadable", found=f"cannot be read: {error.strerror}")
        actual = hashlib.sha256(content).digest()
        state: State = "intact" if actual == expected else "altered"
        return Document(kind, shown, expected, state, content, f"sha256 {actual.hex()}")


def depth(content: bytes) -> int:
    """Deepest nesting of brackets outside of strings, up to where the text stops being JSON.

    Measured before parsing: with a raised recursion limit a deep text would end the process."""
    marks = np.frombuffer(_STRINGS.sub(b"", content), dtype=np.uint8)
    opened = (marks == ord("[")) | (marks == ord("{"))
    closed = (marks == ord("]")) | (marks == ord("}"))
    return int(np.cumsum(opened.astype(np.int64) - closed).max(initial=0))


def parse_json(content: bytes) -> tuple[Any, str]:
    """(value, "") of a JSON text, or (None, why not); hostile nesting and numbers are refused, not raised."""
    if depth(content) > MAX_DEPTH:
        return None, f"not usable JSON: nested deeper than {MAX_DEPTH}"
    try:
        return json.loads(content.decode("utf-8")), ""
    except UnicodeDecodeError as error:
        return None, f"not UTF-8 at byte {error.start}"
    except json.JSONDecodeError as error:
        return None, f"not JSON at line {error.lineno} column {error.colno}: {error.msg}"
    except ValueError as error:
        return None, f"not usable JSON: {error}"
