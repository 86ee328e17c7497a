"""The check names every kind of broken rule, and accepts what the engine publishes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.market.check import check
from backend.market.clearing import clear
from backend.market.domain import Book, Fills, Solution
from backend.market.instances import plausible


@pytest.fixture(scope="module")
def book() -> Book:
    return plausible(120, slots=24, zones=2, classes=2, sites=6, plants=5)


@pytest.fixture(scope="module")
def solution(book: Book) -> Solution:
    return clear(book)


def _fills(fills: Fills, **changed: np.ndarray) -> Fills:
    columns = {
        name: changed.get(name, getattr(fills, name)) for name in ("order", "offer", "mode", "slot", "lanes")
    }
    return Fills(**columns)


def _rules(book: Book, solution: Solution) -> set[str]:
    return {v.rule for v in check(book, solution).violations}


def test_published_solution_passes(book: Book, solution: Solution) -> None:
    assert len(solution.fills) > 100
    assert check(book, solution).violations == ()


def test_one_more_lane_unbalances_the_pool(book: Book, solution: Solution) -> None:
    lanes = solution.fills.lanes.copy()
    lanes[0] += 1
    assert "balanced" in _rules(book, replace(solution, fills=_fills(solution.fills, lanes=lanes)))


def test_a_slot_outside_the_window_is_infeasible(book: Book, solution: Solution) -> None:
    slot = solution.fills.slot.copy()
    late = int(np.flatnonzero(book.orders.deadline_slot[solution.fills.order] < book.slots.count)[-1])
    slot[late] = book.slots.count - 1
    found = check(book, replace(solution, fills=_fills(solution.fills, slot=slot))).violations
    assert any("window" in v.detail for v in found)


def test_a_lower_price_puts_a_site_below_its_ask(book: Book, solution: Solution) -> None:
    assert "rational" in _rules(book, replace(solution, compute_price=solution.compute_price // 2))


def test_a_higher_price_puts_buyers_above_their_limit(book: Book, solution: Solution) -> None:
    dearer = np.minimum(solution.compute_price * 3, book.bands.compute_max)
    found = check(book, replace(solution, compute_price=dearer)).violations
    assert any(v.rule == "rational" and "above its limit" in v.detail for v in found)


def test_energy_that_nobody_needs_unbalances(book: Book, solution: Solution) -> None:
    sold = solution.sold.copy()
    sold[np.unravel_index(int(sold.argmax()), sold.shape)] -= 1
    assert "balanced" in _rules(book, replace(solution, sold=sold))


def test_a_site_above_its_capacity(book: Book, solution: Solution) -> None:
    many = _fills(solution.fills, lanes=solution.fills.lanes * 1000)
    assert any("sells" in v.detail for v in check(book, replace(solution, fills=many)).violations)


def test_a_flattering_certificate_is_refused(book: Book, solution: Solution) -> None:
    assert solution.certificate is not None
    better = replace(solution.certificate, welfare_milli=solution.certificate.bound_milli)
    assert _rules(book, replace(solution, certificate=better)) == {"bounded"}


def test_grey_lanes_for_a_green_order(book: Book, solution: Solution) -> None:
    only_green = np.flatnonzero(
        (book.orders.min_green_bps[solution.fills.order] == 10_000) & (solution.fills.mode == 1)
    )
    mode = solution.fills.mode.copy()
    mode[only_green[0]] = 0
    found = check(book, replace(solution, fills=_fills(solution.fills, mode=mode))).violations
    assert any("green-only" in v.detail for v in found)


def test_wrong_table_size_is_named(book: Book, solution: Solution) -> None:
    verdict = check(book, replace(solution, energy_price=solution.energy_price[:, :, :-1]))
    assert verdict.certificate is None
    assert verdict.violations[0].subject == "energy_price"
