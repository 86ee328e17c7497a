"""`clear`: one call, a table of mechanisms."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from backend.market.assets import Positions
from backend.market.certificate import certify
from backend.market.coordinate import Effort
from backend.market.domain import Book, Fills, Solution
from backend.market.errors import MechanismError
from backend.market.joint import EFFORTS, EXACT_COLUMNS, clear_joint, lp_columns
from backend.market.joint_assets import clear_with_assets
from backend.market.leases import clear_fcfs, clear_greedy
from backend.market.lp import clear_lp
from backend.market.residual import without_assets
from backend.market.sequential import clear_sequential
from backend.market.spread import clear_spread
from backend.market.tables import tables_of
from backend.market.validate import validate

EffortName = Literal["quick", "fine"]

MECHANISMS: Mapping[str, Callable[[Book, Effort], Solution]] = {
    "joint": clear_joint,
    "lp": lambda book, _: clear_lp(book),
    "fcfs": lambda book, _: clear_fcfs(book),
    "sequential": clear_sequential,
    "greedy": lambda book, _: clear_greedy(book),
}


def clear(
    book: Book,
    mechanism: str = "joint",
    effort: EffortName = "quick",
    *,
    time_limit: float | None = None,
    last: Solution | None = None,
    fixed: Positions | None = None,
    target_gap: float | None = None,
    ray: str | None = None,
    blocks: int = 2,
) -> Solution:
    """Clears `book`. A book in which nothing can trade clears to nothing, and `reason` says why.

    `time_limit` in seconds: no new sweep begins after it, and what was found by then is rounded and
    certified. `target_gap`: joint clears again with fine effort where quick certifies a wider gap, and the
    better certificate stands. `last` is an earlier solution of nearly the same market; joint starts from
    its prices.
    `fixed` are earlier commitments, added to those of the book; the solution is then one of
    `with_fixed(book, fixed)`. `ray` spreads the work over processes or machines (`spread.py`): "local", an
    address, or "none" for the same result in this process; `time_limit` and `last` do not apply then.

    Raises MechanismError for an unknown mechanism or effort, or a book that
    the mechanism cannot take.
    """
    if mechanism not in MECHANISMS:
        raise MechanismError(f"mechanism = {mechanism!r}: must be one of {', '.join(MECHANISMS)}")
    if effort not in EFFORTS:
        raise MechanismError(f"effort = {effort!r}: must be one of {', '.join(EFFORTS)}")
    if fixed:
        book = with_fixed(book, fixed)
    if ray is not None:
        return clear_spread(book, mechanism, effort, ray, blocks)
    chosen = EFFORTS[effort]
    if time_limit is not None:
        chosen = replace(chosen, until=time.monotonic() + time_limit)
    found = _clear(book, mechanism, chosen, last)
    if target_gap is None or mechanism != "joint" or effort == "fine" or chosen.late():
        return found
    if found.certificate is None or found.certificate.gap <= target_gap:
        return found
    again = _clear(book, mechanism, replace(EFFORTS["fine"], until=chosen.until), last)
    return min(found, again, key=lambda each: each.certificate.gap if each.certificate else 1.0)


def _clear(book: Book, mechanism: str, chosen: Effort, last: Solution | None) -> Solution:
    plain = without_assets(book)
    if mechanism not in ("joint", "lp") or not book.assets:
        return _plain(plain, mechanism, chosen, last)
    small = mechanism == "lp" or lp_columns(book, tables_of(book)) <= EXACT_COLUMNS
    found = clear_with_assets(
        book, chosen, last, lambda rest, before: _plain(rest, "joint", chosen, before), small
    )
    return replace(found, mechanism=mechanism)


def with_fixed(book: Book, fixed: Positions) -> Book:
    """`book` with these earlier commitments besides its own. Raises BookError where they do not fit it."""
    both = Positions(book.positions.compute + fixed.compute, book.positions.power + fixed.power)
    made = replace(book, positions=both.sorted_by_id())
    validate(made)
    return made


def _plain(book: Book, mechanism: str, effort: Effort, last: Solution | None) -> Solution:
    """Clears a book without assets."""
    empty = _why_empty(book)
    if empty:
        return nothing(book, mechanism, empty)
    solution = (
        clear_joint(book, effort, last) if mechanism == "joint" else MECHANISMS[mechanism](book, effort)
    )
    if len(solution.fills) == 0:
        return nothing(
            book, mechanism, "no order's limit covers the cheapest compute and power it could have"
        )
    return solution


def nothing(book: Book, mechanism: str, reason: str) -> Solution:
    """The solution that clears nothing; prices are the highest, at which indeed nobody wants to buy."""
    kinds, zones, slots = len(book.classes), len(book.zones), book.slots.count
    uniform = mechanism in ("joint", "lp")
    bare = Solution(
        mechanism=mechanism,
        compute_price=np.zeros((kinds, zones, 2, slots), dtype=np.int64),
        energy_price=np.zeros((zones, 2, slots), dtype=np.int64),
        fills=Fills.empty(),
        sold=np.zeros((len(book.power_offers), slots), dtype=np.int64),
        uniform=uniform,
        reason=reason,
    )
    if not uniform:
        return bare
    from backend.market.rounding import closing_prices

    compute, energy = closing_prices(book)
    bare = Solution(
        "joint" if mechanism == "joint" else "lp", compute, energy, bare.fills, bare.sold, reason=reason
    )
    return Solution(
        bare.mechanism, compute, energy, bare.fills, bare.sold, certificate=certify(book, bare), reason=reason
    )


def _why_empty(book: Book) -> str:
    if len(book.orders) == 0:
        return "the book has no orders"
    if not any(o.capacity and o.end_slot > o.start_slot for o in book.compute_offers):
        return "the book has no compute on offer"
    if not any(int(g.wh.sum()) for g in book.power_offers) and not any(
        o.energy_wh_per_vcu_slot == 0 for o in book.compute_offers
    ):
        return "the book has no power on offer"
    return ""
