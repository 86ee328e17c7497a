"""A rolling horizon sells nothing twice, keeps what it sold, and lets holders sell back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.market.asset_instances import plausible_assets
from backend.market.assets import ComputePosition, Positions
from backend.market.check import check
from backend.market.clearing import clear, with_fixed
from backend.market.domain import Book
from backend.market.errors import BookError, MechanismError
from backend.market.instances import plausible
from backend.market.rolling import moved_prices, roll
from backend.market.selling import need_of
from backend.market.tables import tables_of


def _day() -> Book:
    book = plausible(150, slots=24, zones=2, classes=2, sites=6, plants=5)
    o = book.orders
    when = book.slots.start + 900 * np.maximum(o.start_slot - 4, 0)
    return replace(book, orders=replace(o, submitted_at=when))


@pytest.mark.parametrize("resale", [False, True])
def test_a_day_of_gates_sells_nothing_twice(resale: bool) -> None:
    book = _day()
    asks = dict.fromkeys(book.orders.id.tolist()[::3], 150_000) if resale else {}
    lanes = np.zeros((len(book.compute_offers), 24), dtype=np.int64)
    burnt = np.zeros((2, 2, 24), dtype=np.int64)
    given: dict[str, int] = {}
    sold_back = 0
    for gate in roll(book, (0, 6, 12, 18), resale=asks):
        assert check(gate.book, gate.solution).violations == ()
        f, sites = gate.solution.fills, len(book.compute_offers)
        own = f.offer < sites
        np.add.at(lanes, (f.offer[own], f.slot[own] + gate.slot), f.lanes[own])
        burnt[:, :, gate.slot :] += need_of(gate.book, tables_of(gate.book), f)
        sold_back += int(f.lanes[~own].sum())
        for j, amount in zip(f.order.tolist(), f.lanes.tolist(), strict=True):
            name = str(gate.book.orders.id[j])
            given[name] = given.get(name, 0) + amount
    assert (lanes <= tables_of(book).offer_capacity).all()
    offered = np.zeros_like(burnt)
    for g in book.power_offers:
        offered[g.zone_id, g.mode] += g.wh.sum(axis=1)
    assert (burnt <= offered).all()
    asked = dict(
        zip(book.orders.id.tolist(), (book.orders.lanes * book.orders.duration_slots).tolist(), strict=True)
    )
    assert given
    assert all(amount <= asked[name] for name, amount in given.items())
    assert (sold_back > 0) == resale


def test_fixed_positions_may_be_given_to_clear() -> None:
    book = _day()
    site = book.compute_offers[0]
    held = Positions((ComputePosition("held", site.id, 0, 0, 24, site.capacity),))
    solution = clear(book, fixed=held)
    assert not (solution.fills.offer == 0).any()
    assert check(with_fixed(book, held), solution).violations == ()
    with pytest.raises(BookError, match="too few lanes"):
        clear(book, fixed=Positions((replace(held.compute[0], lanes=site.capacity + 1),)))


def test_prices_move_with_the_grid() -> None:
    last = clear(_day())
    moved = moved_prices(last, 6, 18)
    assert (moved.energy_price == last.energy_price[..., 6:]).all()
    assert moved.compute_price.shape[-1] == 18
    assert (moved_prices(last, 20, 18).energy_price[..., -1] == last.energy_price[..., -1]).all()


def test_a_horizon_with_assets_is_refused_with_the_reason() -> None:
    with pytest.raises(MechanismError, match="storage"):
        next(roll(plausible_assets(_day()), (0, 6)))
