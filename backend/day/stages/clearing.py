"""Books the signed orders, clears them with every mechanism, and archives what the batch will name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.chain.packing import PriceTable
from backend.market.chainable import refuse_unknown_to_chain
from backend.market.clearing import clear
from backend.market.codec import book_to_json, solution_from_json, solution_to_json
from backend.market.domain import GREEN, Book, Ints, Solution
from backend.market.metrics import metrics
from oracle.archive import Archive
from oracle.wire.keys import sha256

MECHANISMS = ("joint", "fcfs", "sequential")
TARGET_GAP = 0.02


@dataclass(frozen=True)
class Cleared:
    """The book, what each mechanism made of it, their figures, and the archived hashes."""

    book: Book
    solutions: dict[str, Solution]
    figures: dict[str, dict[str, object]]
    book_hash: bytes
    solution_hash: bytes

    @property
    def joint(self) -> Solution:
        """The clearing that goes on chain."""
        return self.solutions["joint"]


def clear_for_chain(book: Book, time_limit: float | None = None) -> Solution:
    """The joint clearing that goes on chain, with fine effort above the target gap while `time_limit` seconds
    last.

    Raises BookError for a book with participants that the contracts do not know.
    """
    refuse_unknown_to_chain(book)
    return clear(book, "joint", time_limit=time_limit, target_gap=TARGET_GAP)


def clear_book(book: Book, archive: Archive, work: Path, mechanisms: Sequence[str] = MECHANISMS) -> Cleared:
    """Clears `book`; what an earlier start cleared is read back from `work` instead of computed again.

    Raises BookError for a book with participants that the contracts do not know.
    """
    refuse_unknown_to_chain(book)
    text = book_to_json(book)
    content = text if isinstance(text, bytes) else text.encode()
    book_hash = archive.put("book", content)
    solutions: dict[str, Solution] = {}
    figures: dict[str, dict[str, object]] = {}
    folder = work / book_hash.hex()
    folder.mkdir(parents=True, exist_ok=True)
    for mechanism in mechanisms:
        kept = folder / f"{mechanism}.json"
        counted = folder / f"{mechanism}.figures.json"
        if not counted.exists():
            solution = clear_for_chain(book) if mechanism == "joint" else clear(book, mechanism)
            _write(kept, _bytes(solution_to_json(solution)))
            _write(counted, json.dumps(metrics(book, solution)).encode())
        solutions[mechanism] = solution_from_json(kept.read_bytes())
        figures[mechanism] = json.loads(counted.read_bytes())
    solution_hash = archive.put("solution", _bytes(solution_to_json(solutions["joint"])))
    return Cleared(book, solutions, figures, book_hash, solution_hash)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _write(path: Path, content: bytes) -> None:
    scratch = path.with_suffix(".part")
    scratch.write_bytes(content)
    scratch.replace(path)


def price_table(book: Book, solution: Solution) -> PriceTable:
    """What the batch posts: prices, grid carbon, and the green factor of what was sold, rounded up."""
    return PriceTable(
        solution.compute_price,
        solution.energy_price,
        np.asarray(book.grid_carbon),
        green_factor(book, solution),
    )


def green_factor(book: Book, solution: Solution) -> Ints:
    """[zone][slot] emission factor of the green Wh sold, g/kWh, rounded up; 0 where none was sold (F11)."""
    zones = book.zone_index()
    carbon = np.zeros((len(book.zones), book.slots.count), dtype=np.int64)
    energy = np.zeros_like(carbon)
    for row, offer in enumerate(book.power_offers):
        if offer.mode == GREEN:
            carbon[zones[offer.zone_id]] += solution.sold[row] * offer.emission_g_per_kwh
            energy[zones[offer.zone_id]] += solution.sold[row]
    return np.asarray(-(-carbon // np.maximum(energy, 1)), dtype=np.int64)


def site_load(book: Book, solution: Solution) -> dict[int, Ints]:
    """VCU sold per slot of every site that sold any."""
    load: dict[int, Ints] = {}
    fills = solution.fills
    for offer, slot, lanes in zip(
        fills.offer.tolist(), fills.slot.tolist(), fills.lanes.tolist(), strict=True
    ):
        site = book.compute_offers[offer].site_id
        load.setdefault(site, np.zeros(book.slots.count, dtype=np.int64))[slot] += lanes
    return load


def sha256_of(path: Path) -> str:
    """sha256 of a file, hex."""
    return sha256(path.read_bytes()).hex()
