"""Events of the points market to rows (pure)."""

from __future__ import annotations

from backend.service.indexer.changes import Handler, argument, into
from backend.store import chain as t

HANDLERS: dict[tuple[str, str], Handler] = {
    ("PointsMarket", "Filled"): into(t.ListingFill, certificate_id=argument("id")),
    ("PointsMarket", "Cancelled"): into(t.ListingCancellation),
    ("PointsMarket", "AllCancelled"): into(t.ListingCancellation),
}
