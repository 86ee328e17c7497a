"""The laws of the clearing on random books, the odd ones among them; HiGHS and brute force are the judges."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest

from backend.market.certificate import shortfalls_of
from backend.market.check import check
from backend.market.clearing import clear
from backend.market.domain import Book, PowerOffer
from backend.market.lp import optimum, whole_optimum_milli
from backend.market.oddities import EDGES, odd

# `make laws` takes 306 books, 34 of each edge; the quick suite a third of them
SEEDS = int(os.environ.get("BITWATT_LAW_BOOKS", "102"))
BATCH = 17


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_bound_optimum_and_welfare_are_in_order(first: int) -> None:
    """Every joint clearing passes the check, and welfare <= HiGHS optimum <= bound.

    HiGHS cuts lanes into pieces, so its optimum is held against the bound before whole lanes sharpen it; that
    bound is held against the optimum of whole lanes at the sites.
    """
    for seed in range(first, first + BATCH):
        book = odd(seed)
        solution = clear(book)
        verdict = check(book, solution)
        assert verdict.ok, (seed, verdict.violations[:3])
        certificate = solution.certificate
        assert certificate is not None
        missed = shortfalls_of(book, solution)
        lost = sum(int((best - got).sum()) for best, got in (
            (missed.order_best, missed.order_got), (missed.offer_best, missed.offer_got),
            (missed.power_best, missed.power_got)))  # fmt: skip
        lost -= missed.indivisible_milli
        assert lost == certificate.bound_milli - certificate.welfare_milli
        if len(book.orders) and len(book.compute_offers):
            best = optimum(book, solver="simplex").welfare_milli
            slack = 1 + 1e-7 * abs(best)
            assert certificate.welfare_milli <= best + slack, seed
            assert certificate.bound_milli + missed.indivisible_milli >= best - slack, seed
            if missed.indivisible_milli and len(book.orders) <= 12:
                assert certificate.bound_milli >= whole_optimum_milli(book) - slack, seed


@pytest.mark.parametrize("mechanism", ["lp", "fcfs", "sequential", "greedy"])
def test_references_never_break_a_rule(mechanism: str) -> None:
    for seed in range(0, SEEDS // 2):
        book = odd(seed)
        verdict = check(book, clear(book, mechanism))
        assert verdict.ok, (seed, verdict.violations[:3])


def test_every_kind_of_order_keeps_its_terms() -> None:
    for seed in range(0, 120):
        book = odd(seed, kinds=(0, 1, 2, 3, 4))
        for mechanism in ("joint", "fcfs", "greedy"):
            verdict = check(book, clear(book, mechanism))
            assert verdict.ok, (seed, mechanism, verdict.violations[:3])


def test_whole_lanes_sharpen_the_bound_but_never_below_their_optimum() -> None:
    """Fine effort looks for prices and places for whole lanes; HiGHS with whole lanes at the sites is the
    judge."""
    sharper = 0
    for seed in range(0, 7):
        book = odd(seed, orders=1 + seed % 7, kinds=(0, 1, 2, 3))
        solution = clear(book, effort="fine")
        assert check(book, solution).ok, seed
        certificate = solution.certificate
        assert certificate is not None
        if len(book.compute_offers):
            best = whole_optimum_milli(book)
            assert certificate.welfare_milli <= best + 1 + 1e-7 * abs(best), seed
            assert certificate.bound_milli >= best - 1 - 1e-7 * abs(best), seed
            sharper += shortfalls_of(book, solution).indivisible_milli > 0
    assert sharper


def test_more_supply_never_lowers_the_bound() -> None:
    for seed in range(0, 45):
        book = odd(seed, edge="plain")
        extra = PowerOffer("more", 999, book.zones[0].id, 2, np.full((book.slots.count, 1), 5000),
                           np.full((book.slots.count, 1), 100), 11)  # fmt: skip
        richer = Book.of(
            book.slots, book.zones, book.classes, book.compute_offers, (*book.power_offers, extra),
            book.grid_carbon, book.orders,
        )  # fmt: skip
        if not len(book.orders) or not len(book.compute_offers):
            continue
        before, after = (optimum(b, solver="simplex").welfare_milli for b in (book, richer))
        solution = clear(richer)
        certificate = solution.certificate
        assert certificate is not None
        assert after >= before - 1 - 1e-7 * abs(before)
        whole = shortfalls_of(richer, solution).indivisible_milli
        assert certificate.bound_milli + whole >= before - 1 - 1e-7 * abs(before)


def test_brute_force_on_tiny_books_lies_between_welfare_and_bound() -> None:
    tried = 0
    for seed in range(0, 400):
        book = odd(seed, edge=EDGES[seed % 2], orders=2)
        if len(book.compute_offers) == 0 or any(o.lanes * o.duration_slots > 3 for o in book.orders):
            continue
        best = _brute_force(book)
        if best is None:
            continue
        certificate = clear(book).certificate
        assert certificate is not None
        assert certificate.welfare_milli <= best <= certificate.bound_milli, seed
        tried += best > 0
        if tried == 10:
            return
    raise AssertionError(f"only {tried} books were small enough")


def _brute_force(book: Book) -> int | None:
    """Best welfare (milli-micro) over every set of whole lanes, slots, sites and modes; None if too many."""
    from backend.market.certificate import tranche_cost
    from backend.market.domain import Fills
    from backend.market.lanes import lane_faults
    from backend.market.selling import sell
    from backend.market.tables import tables_of

    tab = tables_of(book)
    choices: list[list[tuple[tuple[int, int, int], ...]]] = []
    for j, order in enumerate(book.orders):
        cells = [
            (i, m, t)
            for t in range(order.start_slot, order.deadline_slot)
            for i in range(len(book.compute_offers))
            for m in (0, 1)
            if tab.offer_class[i] == tab.class_row[j] and int(tab.zone_bits[j]) >> int(tab.offer_zone[i]) & 1
            and tab.offer_capacity[i, t]
            and (m == 1 or tab.carbon[tab.offer_zone[i], 0, t] <= order.max_carbon_g_per_kwh)
        ]  # fmt: skip
        whole: list[tuple[tuple[int, int, int], ...]] = [()]
        for lanes in range(1, order.lanes + 1):
            whole += list(itertools.combinations_with_replacement(cells, lanes * order.duration_slots))
            if len(whole) > 50:
                return None
        choices.append(whole)
    best = 0
    for picks in itertools.product(*choices):
        rows = [(j, i, m, t) for j, pick in enumerate(picks) for i, m, t in pick]
        if not rows:
            continue
        table = np.array(rows, dtype=np.int64)
        fills = Fills.of(*(table[:, n] for n in range(4)), np.ones(len(rows), dtype=np.int64))
        used = np.zeros(tab.offer_capacity.shape, dtype=np.int64)
        np.add.at(used, (fills.offer, fills.slot), fills.lanes)
        if (used > tab.offer_capacity).any() or lane_faults(book, tab, fills):
            continue
        sold = sell(book, tab, fills)
        burnt = np.zeros((len(book.zones), 2, tab.slots), dtype=np.int64)
        np.add.at(burnt, (tab.offer_zone[fills.offer], fills.mode, fills.slot),
                  fills.lanes * tab.offer_energy_wh[fills.offer])  # fmt: skip
        if int(sold.sum()) != int(burnt.sum()):
            continue
        o, k = book.orders, tab.class_row[fills.order]
        felt = o.carbon_price_micro_per_g[fills.order] * tab.class_energy_wh[k] * tab.carbon[
            tab.offer_zone[fills.offer], fills.mode, fills.slot]  # fmt: skip
        value = 1000 * (o.limit_micro_per_vcu_slot[fills.order] - tab.offer_ask[fills.offer]) - felt
        power = sum(tranche_cost(g.wh, g.ask_micro_per_kwh, sold[n]) for n, g in enumerate(book.power_offers))
        best = max(best, int((value * fills.lanes).sum()) - power)
    return best
