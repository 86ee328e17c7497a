"""Readings and outcomes under a report, each with its path to the root, out of the archive."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from backend.service.errors import NotFound
from backend.service.fills import archived
from backend.store.chain import ReportRow
from oracle.wire.bundle import Bundle, decode_bundle
from oracle.wire.merkle import MerkleTree
from oracle.wire.reading import Leaf


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle with its leaves and its two trees."""

    bundle: Bundle
    leaves: list[Leaf]
    readings: MerkleTree
    outcomes: MerkleTree


def open_bundle(archive: Path | None, report: ReportRow) -> Opened:
    """The bundle under a report; NotFound when the archive does not have it, or not as it was reported."""
    return _open(str(archive) if archive else None, report.archive_hash)


@lru_cache(maxsize=8)
def _open(archive: str | None, digest: str) -> Opened:
    data = archived(Path(archive) if archive else None, "readings", digest)
    if data is None:
        raise NotFound(
            "the archive does not have this report's bundle",
            field="start",
            mend="ask the committee for its archive",
        )
    bundle = decode_bundle(data)
    leaves = bundle.leaves()
    return Opened(
        bundle,
        leaves,
        MerkleTree.of(leaf.hash() for leaf in leaves),
        MerkleTree.of(outcome.leaf() for outcome in bundle.outcomes),
    )
