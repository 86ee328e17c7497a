"""Storage, lines, flexibility, positions and ticks: what each promises, on books small enough to reason
about."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.market.asset_instances import plausible_assets
from backend.market.asset_profit import best_of_storage, storage_profit
from backend.market.assets import (
    Assets,
    ComputePosition,
    Flexibility,
    Line,
    Positions,
    PowerPosition,
    Storage,
)
from backend.market.chainable import refuse_unknown_to_chain
from backend.market.check import check
from backend.market.clearing import clear
from backend.market.codec import book_from_json, book_to_json, solution_from_json, solution_to_json
from backend.market.domain import Bands, Book, ComputeClass, ComputeOffer, PowerOffer, SlotGrid, Zone
from backend.market.errors import BookError
from backend.market.files import read_book, write_book
from backend.market.instances import plausible
from backend.market.orders import Order

SLOTS = 4


def _book(
    orders: list[Order],
    assets: Assets | None = None,
    positions: Positions | None = None,
    bands: Bands | None = None,
    green: tuple[int, ...] = (200, 200, 0, 0),
) -> Book:
    """Two zones; the sun shines in zone 0 only, in the first two slots; a site with 2 lanes in either
    zone."""
    return Book.of(
        SlotGrid(0, 900, SLOTS),
        [Zone(0), Zone(1)],
        [ComputeClass(0, energy_wh_per_vcu_slot=100)],
        [ComputeOffer(f"site-{z}", z + 1, 0, z, 2, 100, 1000, 0, SLOTS) for z in (0, 1)],
        [
            *(PowerOffer(f"grid-{z}", 1 + z, z, 0, [[10**6]] * SLOTS, [[90_000]] * SLOTS) for z in (0, 1)),
            PowerOffer("sun", 9, 0, 1, [[w] for w in green], [[2_000]] * SLOTS, 43),
        ],
        [[500] * SLOTS] * 2,
        orders,
        bands,
        assets,
        positions,
    )


def _order(name: str, **changed: int) -> Order:
    fields = {
        "zone_mask": 1,
        "start_slot": 0,
        "deadline_slot": SLOTS,
        "limit_micro_per_vcu_slot": 9000,
    } | changed
    fields = {"lanes": 1, "duration_slots": 1, "min_green_bps": 10_000} | fields
    return Order(name, class_id=0, **fields)


def _battery(**changed: Any) -> Storage:
    fields = {"zone_id": 0, "mode": 1, "charge_wh": 200, "discharge_wh": 200, "energy_wh": 400} | changed
    fields = {"initial_wh": 0, "final_wh": 0, "efficiency_bps": 8000} | fields
    return Storage("battery", 1, **fields)


def test_a_battery_carries_the_sun_into_the_dark() -> None:
    dark = _order("dark", start_slot=3)
    assert len(clear(_book([dark])).fills) == 0
    book = _book([dark], Assets(storages=(_battery(),)))
    solution = clear(book)
    assert solution.fills.slot.tolist() == [3]
    assert solution.dispatch.discharge.sum() == 100
    assert solution.dispatch.charge.sum() == 125  # 80 % of it comes back
    assert check(book, solution).violations == ()


def test_a_line_carries_the_sun_to_the_next_zone() -> None:
    away = _order("away", zone_mask=2, deadline_slot=2)
    assert len(clear(_book([away])).fills) == 0
    line = Line("line", 1, 0, 1, 1, [150] * SLOTS, loss_bps=1000, fee_micro_per_kwh=10)
    book = _book([away], Assets(lines=(line,)))
    solution = clear(book)
    assert len(solution.fills) == 1
    assert solution.dispatch.flow.sum() == 112  # 10 % is lost on the way
    assert check(book, solution).violations == ()


def test_a_line_carries_no_more_than_its_limit() -> None:
    away = _order("away", zone_mask=2, deadline_slot=2, lanes=4)
    line = Line("line", 1, 0, 1, 1, [100] * SLOTS)
    solution = clear(_book([away], Assets(lines=(line,))))
    assert solution.fills.lanes.sum() == 2  # one lane's worth in each of the two sunny slots


def test_shedding_sells_where_the_grid_is_dear_and_raising_takes_what_is_spare() -> None:
    grey = _order("grey", min_green_bps=0, start_slot=3, limit_micro_per_vcu_slot=8000)
    assert len(clear(_book([grey])).fills) == 0
    none, band = [0] * SLOTS, [100] * SLOTS
    vpp = Flexibility("vpp", 1, 0, band, [20_000] * SLOTS, band, [3_000] * SLOTS)
    book = _book([grey], Assets(flexibilities=(vpp,)))
    solution = clear(book)
    assert solution.dispatch.shed.tolist() == [[0, 0, 0, 100]]
    assert solution.dispatch.raised.tolist() == [[100, 100, 0, 0]]
    assert check(book, solution).violations == ()
    assert vpp.kind == "follow"
    assert Flexibility("f", 1, 0, band, none, none, none).kind == "shed"


def test_the_best_profit_of_a_battery_is_that_of_the_best_schedule() -> None:
    """Against every schedule in steps of 50 Wh."""
    rng = np.random.default_rng(3)
    store = _battery(charge_wh=100, discharge_wh=100, energy_wh=150, initial_wh=100, final_wh=50,
                     efficiency_bps=10_000, wear_micro_per_kwh=3)  # fmt: skip
    steps = [(c, d) for c in (0, 50, 100) for d in (0, 50, 100) if c * 100 + d * 100 <= 100 * 100]
    for _ in range(40):
        price = rng.integers(-50, 100, 4)
        best = -(10**9)
        for a in steps:
            for b in steps:
                for c in steps:
                    for d in steps:
                        charge, discharge = np.array([a, b, c, d]).T
                        level = 100 + np.cumsum(charge - discharge)
                        if level.min() >= 0 and level.max() <= 150 and level[-1] >= 50:
                            best = max(best, storage_profit(store, price, charge, discharge))
        assert best <= best_of_storage(store, price) <= best + 4  # a slope's remainder, rounded up


def test_an_idle_asset_costs_nothing_and_a_lying_one_is_named() -> None:
    book = _book([_order("dark", start_slot=3)], Assets(storages=(_battery(),)))
    solution = clear(book)
    for name, change, rule in (
        ("discharge", 100, "feasible"),  # more than it holds
        ("charge", 150, "feasible"),
        ("charge", 5, "balanced"),
    ):
        table = getattr(solution.dispatch, name).copy()
        table[0, 0] += change
        lie = replace(solution, dispatch=replace(solution.dispatch, **{name: table}))
        assert rule in {v.rule for v in check(book, lie).violations}, name
    assert check(book, replace(solution, energy_price=solution.energy_price * 0)).violations != ()


def test_fixed_lanes_are_not_sold_twice_and_come_back_at_their_price() -> None:
    held = ComputePosition("held", "site-0", 1, 0, 2, 2)
    order = _order("late", deadline_slot=2)
    assert len(clear(_book([order], positions=Positions((held,)))).fills) == 0
    for_sale = replace(held, resale_ask_micro_per_vcu_slot=4000)
    book = _book([order], positions=Positions((for_sale,)))
    solution = clear(book)
    assert solution.fills.offer.tolist() == [2]  # the position, behind two sites
    assert solution.sold.sum() == 0  # its energy was bought before
    assert check(book, solution).violations == ()
    dear = _book([order], positions=Positions((replace(held, resale_ask_micro_per_vcu_slot=9001),)))
    assert len(clear(dear).fills) == 0


def test_a_grey_position_is_not_sold_as_green() -> None:
    held = ComputePosition("held", "site-0", 0, 0, SLOTS, 2, resale_ask_micro_per_vcu_slot=100)
    book = _book([_order("green")], positions=Positions((held,)))
    solution = clear(book)
    assert len(solution.fills) == 0
    assert check(book, solution).violations == ()


def test_power_that_was_sold_is_gone() -> None:
    sold = Positions(power=(PowerPosition("sold", "sun", [150, 150, 0, 0]),))
    book = _book([_order("green")], positions=sold)
    assert len(clear(book).fills) == 0
    assert check(book, clear(book)).violations == ()


def test_prices_stay_on_their_ticks() -> None:
    orders = [_order(f"o{n}", limit_micro_per_vcu_slot=3000 + 777 * n) for n in range(6)]
    book = _book(orders, Assets(storages=(_battery(),)), bands=Bands(compute_tick=50, energy_tick=100))
    solution = clear(book)
    assert len(solution.fills)
    assert not (solution.compute_price % 50).any()
    assert not (solution.energy_price % 100).any()
    assert check(book, solution).violations == ()
    off = replace(solution, energy_price=solution.energy_price + 1)
    assert any("tick" in v.detail for v in check(book, off).violations)


def test_books_with_assets_go_through_files_unchanged(tmp_path: Path) -> None:
    base = plausible(20, slots=8, zones=2, classes=1, sites=3, plants=3)
    held = ComputePosition("held", base.compute_offers[0].id, 1, 0, 2, 1, 5)
    book = replace(plausible_assets(base), positions=Positions((held,)))
    data = book_to_json(book)
    assert book_to_json(book_from_json(data)) == data
    write_book(book, tmp_path / "book")
    assert book_to_json(read_book(tmp_path / "book")) == data
    solved = solution_to_json(clear(book))
    assert solution_to_json(solution_from_json(solved)) == solved
    assert check(book, solution_from_json(solved)).ok
    plain = json.loads(book_to_json(base))
    assert not {"storages", "lines", "flexibilities", "compute_positions"} & set(plain)


@pytest.mark.parametrize(
    ("kind", "field", "value", "named"),
    [
        ("storages", "efficiency_bps", 10_001, "storages[battery-0-0].efficiency_bps"),
        ("storages", "charge_wh", 2**40, "storages[battery-0-0].charge_wh"),
        ("storages", "final_wh", 10**9, "storages[battery-0-0].final_wh"),
        ("storages", "zone_id", 44, "storages[battery-0-0].zone_id"),
        ("storages", "energy_wh", 2**80, "storages[battery-0-0].energy_wh"),
        ("storages", "mode", 1.5, "storages[battery-0-0].mode"),
        ("storages", "id", "battery-0-1", "storages.id"),
        ("lines", "to_zone_id", 0, "lines[line-0-1].to_zone_id"),
        ("lines", "loss_bps", 10_000, "lines[line-0-1].loss_bps"),
        ("lines", "capacity_wh", [1], "lines[line-0-1].capacity_wh"),
        ("lines", "capacity_wh", [-1] * 8, "lines[line-0-1].capacity_wh"),
        ("flexibilities", "shed_wh", [float("nan")] * 8, "flexibilities[vpp-0].shed_wh[0]"),
        ("flexibilities", "strange", 1, "flexibilities[vpp-0].strange"),
        ("compute_positions", "offer_id", "nobody", "positions.compute[held].offer_id"),
        ("compute_positions", "lanes", 10**6, "positions.compute[held].lanes"),
        ("compute_positions", "end_slot", 0, "positions.compute[held].end_slot"),
        ("power_positions", "wh", [2**31] * 8, "positions.power[sold].wh"),
    ],
)
def test_a_bad_field_of_an_asset_is_named(kind: str, field: str, value: object, named: str) -> None:
    base = plausible(5, slots=8, zones=2, classes=1, sites=3, plants=3)
    held = ComputePosition("held", base.compute_offers[0].id, 1, 0, 2, 1)
    sold = PowerPosition("sold", base.power_offers[-1].id, [0] * 8)
    doc = json.loads(book_to_json(replace(plausible_assets(base), positions=Positions((held,), (sold,)))))
    doc[kind][0][field] = value
    with pytest.raises(BookError) as caught:
        book_from_json(json.dumps(doc))
    assert caught.value.field == named


def test_nan_in_the_parquet_of_an_asset_is_named(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    book = plausible_assets(plausible(5, slots=8, zones=2, classes=1, sites=3, plants=3))
    write_book(book, tmp_path / "book")
    table = pq.read_table(tmp_path / "book" / "storages.parquet").to_pandas()
    table["charge_wh"] = table["charge_wh"].astype(float)
    table.loc[1, "charge_wh"] = np.nan
    pq.write_table(pa.Table.from_pandas(table), tmp_path / "book" / "storages.parquet")
    with pytest.raises(BookError, match=r"storages\[battery-0-1\].charge_wh"):
        read_book(tmp_path / "book")


@pytest.mark.parametrize("mechanism", ["lp", "fcfs", "sequential", "greedy"])
def test_references_clear_books_with_assets(mechanism: str) -> None:
    book = plausible_assets(plausible(40, slots=12, zones=2, classes=1, sites=4, plants=4))
    assert check(book, clear(book, mechanism)).violations == ()


def test_assets_are_worth_having() -> None:
    base = plausible(60, slots=24, zones=2, classes=2, sites=12, plants=8)
    book = plausible_assets(base)
    without, with_them = clear(base).certificate, clear(book).certificate
    assert without is not None
    assert with_them is not None
    assert with_them.welfare_milli > without.welfare_milli
    assert with_them.gap < 0.02


def test_the_chain_refuses_what_it_has_no_rule_for() -> None:
    refuse_unknown_to_chain(_book([]))
    for book, field in (
        (_book([], Assets(storages=(_battery(),))), "storages"),
        (_book([], positions=Positions((ComputePosition("p", "site-0", 1, 0, 1, 1),))), "compute_positions"),
        (_book([], bands=Bands(energy_tick=10)), "bands.energy_tick"),
    ):
        with pytest.raises(BookError, match="contract") as caught:
            refuse_unknown_to_chain(book)
        assert caught.value.field == field
