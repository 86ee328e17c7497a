"""The archive: files `<kind>/<sha256>.<extension>`, in a folder or an S3-compatible store."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from oracle.wire.keys import sha256

EXTENSIONS = {
    "readings": "cbor",
    "evidence": "cbor",
    "machine": "cbor",
    "collateral": "json",
    "book": "json",
    "solution": "json",
    "publication": "json",
    "flex": "json",
    "flex-readings": "npz",
}


class ArchiveError(Exception):
    """A file that is missing, or that is not what its name says."""


class ContentStore(Protocol):
    """What an archive can do; the same content is kept only once."""

    def put(self, kind: str, content: bytes) -> bytes:
        """Stores `content` and returns its sha256."""
        ...

    def has(self, kind: str, digest: bytes) -> bool:
        """Whether something of that name is there."""
        ...

    def get(self, kind: str, digest: bytes) -> bytes:
        """The content with this sha256; raises ArchiveError when it is missing or altered."""
        ...

    def digests(self, kind: str) -> Iterator[bytes]:
        """The sha256 in the names of all files of a kind, in order."""
        ...

    def remove(self, kind: str, digest: bytes) -> None:
        """Deletes one file; one that is not there is no error."""
        ...


def open_archive(location: str) -> ContentStore:
    """The archive at a path or an `s3://` address; raises ArchiveError for an address of no use."""
    if location.startswith("s3://"):
        from oracle.s3_archive import S3Archive

        return S3Archive(location)
    return Archive(Path(location))


@dataclass(frozen=True)
class Archive:
    """A folder; every file is written whole or not at all, and the same content only once."""

    root: Path

    def path(self, kind: str, digest: bytes) -> Path:
        """Where the content with this sha256 is."""
        return self.root / kind / f"{digest.hex()}.{EXTENSIONS[kind]}"

    def put(self, kind: str, content: bytes) -> bytes:
        """Stores `content` and returns its sha256."""
        digest = sha256(content)
        target = self.path(kind, digest)
        if target.exists():
            return digest
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=target.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(scratch, 0o644)
            os.replace(scratch, target)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
        return digest

    def has(self, kind: str, digest: bytes) -> bool:
        """Whether a file of that name is there (its content is checked by `get`)."""
        return self.path(kind, digest).exists()

    def get(self, kind: str, digest: bytes) -> bytes:
        """The content with this sha256; raises ArchiveError when it is missing or altered."""
        path = self.path(kind, digest)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ArchiveError(f"{kind}: 0x{digest.hex()} is missing from the archive") from None
        if sha256(content) != digest:
            raise ArchiveError(f"{kind}: {path.name} was altered, its sha256 is {sha256(content).hex()}")
        return content

    def remove(self, kind: str, digest: bytes) -> None:
        """Deletes one file; one that is not there is no error."""
        self.path(kind, digest).unlink(missing_ok=True)

    def digests(self, kind: str) -> Iterator[bytes]:
        """The sha256 in the names of all files of a kind, in order."""
        folder = self.root / kind
        if not folder.is_dir():
            return
        for path in sorted(folder.glob(f"*.{EXTENSIONS[kind]}")):
            yield bytes.fromhex(path.stem)
