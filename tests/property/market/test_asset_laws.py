"""The laws of the clearing with storage, lines and flexibility; HiGHS is the judge."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from backend.market.asset_instances import odd_assets, with_assets
from backend.market.assets import Assets, Storage
from backend.market.certificate import certify, shortfalls_of
from backend.market.check import check
from backend.market.clearing import clear
from backend.market.codec import solution_to_json
from backend.market.domain import Book, Solution
from backend.market.lp import optimum
from backend.market.oddities import odd
from backend.market.orders import OrderTable

# `make laws` takes 54 books; the quick suite 18, two of each edge
SEEDS = int(os.environ.get("BITWATT_LAW_BOOKS", "102")) * 18 // 102
BATCH = 6


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_bound_optimum_and_welfare_are_in_order(first: int) -> None:
    """Every clearing passes the check, and welfare <= HiGHS optimum <= certified bound; the gap explains
    the loss."""
    for seed in range(first, first + BATCH):
        book = odd_assets(odd(seed, orders=1 + seed % 12), seed)
        solution = clear(book)
        verdict = check(book, solution)
        assert verdict.ok, (seed, verdict.violations[:3])
        certificate = solution.certificate
        assert certificate is not None
        parts = sum(getattr(certificate, name) for name in certificate.__slots__ if name not in (
            "welfare_milli", "bound_milli"))  # fmt: skip
        assert parts == certificate.bound_milli - certificate.welfare_milli
        if len(book.compute_offers):
            best = optimum(book, solver="simplex").welfare_milli
            slack = 1 + 1e-7 * abs(best)
            assert certificate.welfare_milli <= best + slack, seed
            assert _in_pieces(book, solution) >= best - slack, seed


def test_any_prices_whatever_bound_the_optimum() -> None:
    """Weak duality does not ask where the prices come from."""
    rng = np.random.default_rng(8)
    for seed in range(0, 36):
        book = odd_assets(odd(seed, edge="plain", orders=5), seed)
        if not len(book.compute_offers):
            continue
        best = optimum(book, solver="simplex").welfare_milli
        solution = clear(book, "joint", time_limit=0.0)
        wild = replace(
            solution,
            compute_price=rng.integers(0, 9000, solution.compute_price.shape),
            energy_price=rng.integers(-3000, 30_000, solution.energy_price.shape),
        )
        assert _in_pieces(book, wild) >= best - 1 - 1e-7 * abs(best), seed


def test_one_more_battery_never_lowers_optimum_or_bound() -> None:
    for seed in range(0, SEEDS // 3):
        book = odd_assets(odd(seed, edge="plain", orders=6), seed)
        if not len(book.compute_offers):
            continue
        more = Storage("more", 99, book.zones[0].id, 1, 500, 500, 900, 400, 400, 9500)
        richer = with_assets(book, replace(book.assets, storages=(*book.assets.storages, more)))
        before, after = (optimum(b, solver="simplex").welfare_milli for b in (book, richer))
        assert after >= before - 1 - 1e-7 * abs(before)
        assert _in_pieces(richer, clear(richer)) >= before - 1 - 1e-7 * abs(before)


def test_any_order_of_assets_gives_the_same_bytes_and_money_scales() -> None:
    for seed in (2, 4, 11):
        book = odd_assets(odd(seed, orders=8), seed)
        a = book.assets
        turned = Book.of(
            book.slots, book.zones, book.classes, book.compute_offers, book.power_offers, book.grid_carbon,
            book.orders, book.bands, Assets(a.flexibilities[::-1], a.storages[::-1], a.lines[::-1]),
        )  # fmt: skip
        solution = clear(book)
        assert solution_to_json(solution) == solution_to_json(clear(turned))
        dearer, prices = _in_cents(book), 3
        scaled = replace(
            solution,
            compute_price=solution.compute_price * prices,
            energy_price=solution.energy_price * prices,
        )
        was, now = solution.certificate, certify(dearer, scaled)
        assert was is not None
        assert now.welfare_milli == was.welfare_milli * prices
        rounding = prices * (len(a.storages) + len(a.lines) * book.slots.count)
        assert abs(now.bound_milli - was.bound_milli * prices) <= rounding


def _in_pieces(book: Book, solution: Solution) -> int:
    """The bound before whole lanes sharpen it: HiGHS, the judge, cuts lanes into pieces."""
    return certify(book, solution).bound_milli + shortfalls_of(book, solution).indivisible_milli


def _in_cents(book: Book) -> Book:
    """The same book with every price three times as high."""
    o = book.orders
    names = ("limit_micro_per_vcu_slot", "carbon_price_micro_per_g")
    orders = OrderTable(**{
        name: getattr(o, name) * (3 if name in names else 1) if name != "id" else o.id
        for name in OrderTable.__dataclass_fields__
    })  # fmt: skip
    return replace(
        book,
        compute_offers=tuple(
            replace(c, ask_micro_per_vcu_slot=3 * c.ask_micro_per_vcu_slot) for c in book.compute_offers
        ),
        power_offers=tuple(replace(p, ask_micro_per_kwh=3 * p.ask_micro_per_kwh) for p in book.power_offers),
        orders=orders,
        assets=Assets(
            tuple(
                replace(
                    f,
                    shed_ask_micro_per_kwh=3 * f.shed_ask_micro_per_kwh,
                    raise_bid_micro_per_kwh=3 * f.raise_bid_micro_per_kwh,
                )
                for f in book.assets.flexibilities
            ),
            tuple(replace(s, wear_micro_per_kwh=3 * s.wear_micro_per_kwh) for s in book.assets.storages),
            tuple(replace(n, fee_micro_per_kwh=3 * n.fee_micro_per_kwh) for n in book.assets.lines),
        ),
    )
