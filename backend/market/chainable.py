"""What the contracts can verify: books with other participants clear and are checked off chain only."""

from __future__ import annotations

from backend.market.assets_codec import asset_rows
from backend.market.domain import Book
from backend.market.errors import BookError


def refuse_unknown_to_chain(book: Book) -> None:
    """Raises BookError where `book` holds what the market's contract has no rule for."""
    for kind, rows in asset_rows(book.assets, book.positions).items():
        mend = "the contract has no rule for these yet; clear and check such a book off chain (bitwatt clear)"
        raise BookError(kind, len(rows), mend)
    bands = book.bands
    for field in ("compute_tick", "energy_tick"):
        if getattr(bands, field) != 1:
            raise BookError(
                f"bands.{field}", getattr(bands, field), "the contract does not enforce ticks yet"
            )
