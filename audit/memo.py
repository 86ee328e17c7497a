"""What an earlier audit found good, so that a later one, or one that was killed, goes on there.

A note is a hash over everything the verdict depended on; a changed bundle, key or attestation has another
hash and is judged anew. Only good verdicts are noted. The file is the auditor's own: its writer could lie.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

FILE = "verified.txt"
_LINE = re.compile(r"[0-9a-f]{64}")


class MemoError(Exception):
    """The folder of notes cannot be used; says which and why."""


class Memo:
    """Hashes noted in `folder`; without a folder nothing is remembered."""

    def __init__(self, folder: Path | None = None) -> None:
        self._known: set[str] = set()
        self._path = None if folder is None else folder / FILE
        if folder is None or self._path is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            lines = self._path.read_text("ascii", "replace").splitlines()
        except OSError as error:
            raise MemoError(f"--state {folder}: {error.strerror}; give a writable folder") from None
        self._known.update(line for line in lines if _LINE.fullmatch(line))  # a torn last line does not count

    def knows(self, digest: bytes) -> bool:
        """Whether this was found good before."""
        return digest.hex() in self._known

    def note(self, digest: bytes) -> None:
        """Remembers, on disk at once, that this was found good."""
        name = digest.hex()
        if self._path is None or name in self._known:
            return
        self._known.add(name)
        try:
            with self._path.open("ab") as file:
                file.write(f"\n{name}\n".encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise MemoError(f"{self._path}: {error.strerror}") from None
