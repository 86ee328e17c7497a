"""What each mechanism promises, on books small enough to reason about."""

from __future__ import annotations

import numpy as np
import pytest

from backend.market.check import check
from backend.market.clearing import clear
from backend.market.codec import solution_to_json
from backend.market.domain import Book, ComputeClass, ComputeOffer, PowerOffer, SlotGrid, Zone
from backend.market.errors import MechanismError
from backend.market.instances import plausible
from backend.market.metrics import metrics
from backend.market.orders import Order
from backend.market.receipts import Receipt, receipts_of, verify_receipt

SLOTS = 4


def _book(orders: list[Order], capacity: int = 1, green: tuple[int, ...] = (0, 0, 100, 100)) -> Book:
    return Book.of(
        SlotGrid(0, 900, SLOTS),
        [Zone(0)],
        [ComputeClass(0, energy_wh_per_vcu_slot=100)],
        [ComputeOffer("site", 1, 0, 0, capacity, 100, 1000, 0, SLOTS)],
        [
            PowerOffer("grid", 1, 0, 0, [[10**6]] * SLOTS, [[10_000]] * SLOTS),
            PowerOffer("sun", 2, 0, 1, [[w] for w in green], [[2_000]] * SLOTS, 43),
        ],
        [[500] * SLOTS],
        orders,
    )


def _order(name: str, **changed: int) -> Order:
    fields = {
        "start_slot": 0,
        "deadline_slot": SLOTS,
        "duration_slots": 1,
        "limit_micro_per_vcu_slot": 5000,
    } | changed
    return Order(name, class_id=0, zone_mask=1, lanes=fields.pop("lanes", 1), **fields)


def test_joint_shifts_into_the_sun_and_fcfs_does_not() -> None:
    book = _book([_order("a", duration_slots=2)])
    assert clear(book).fills.slot.tolist() == [2, 3]
    assert clear(book).fills.mode.tolist() == [1, 1]
    assert clear(book, "fcfs").fills.slot.tolist() == [0, 1]
    assert clear(book, "greedy").fills.slot.tolist() == [2, 3]


def test_scarce_capacity_goes_to_who_values_it_most() -> None:
    tight = {"start_slot": 2, "deadline_slot": 3}
    book = _book([_order("early", submitted_at=0, limit_micro_per_vcu_slot=2500, **tight),
                  _order("keen", submitted_at=1, limit_micro_per_vcu_slot=4000, **tight)])  # fmt: skip
    assert [str(book.orders.id[j]) for j in clear(book).fills.order] == ["keen"]
    assert [str(book.orders.id[j]) for j in clear(book, "fcfs").fills.order] == ["early"]


def test_contiguous_orders_are_not_interrupted() -> None:
    blocker = _order("blocker", start_slot=2, deadline_slot=3, limit_micro_per_vcu_slot=90_000)
    book = _book([blocker, _order("row", duration_slots=2, kind=3)])
    solution = clear(book)
    mine = solution.fills.slot[solution.fills.order == 1]
    assert mine.tolist() == [0, 1]
    assert check(book, solution).ok


@pytest.mark.parametrize(("kind", "min_lanes"), [(1, 2), (2, 0), (4, 0)])
def test_all_or_nothing_orders_are_left_out_rather_than_cut(kind: int, min_lanes: int) -> None:
    book = _book([_order("whole", lanes=2, start_slot=2, deadline_slot=3, kind=kind, min_lanes=min_lanes)])
    solution = clear(book)
    assert len(solution.fills) == 0
    assert check(book, solution).ok


def test_green_only_lanes_stay_out_of_the_dark() -> None:
    dark = _order("dark", min_green_bps=10_000, deadline_slot=2)
    lit = _order("lit", min_green_bps=10_000)
    book = _book([dark, lit])
    for mechanism in ("joint", "lp", "fcfs", "sequential", "greedy"):
        solution = clear(book, mechanism)
        assert "dark" not in {str(book.orders.id[j]) for j in solution.fills.order}
        assert check(book, solution).ok, mechanism


def test_any_order_of_input_gives_the_same_bytes() -> None:
    book = plausible(80, slots=16, zones=2, classes=1, sites=4, plants=3)
    rng = np.random.default_rng(5)
    shuffled = Book.of(
        book.slots, book.zones[::-1], book.classes,
        rng.permutation(np.array(book.compute_offers, dtype=object)),
        rng.permutation(np.array(book.power_offers, dtype=object)), book.grid_carbon[::-1],
        [book.orders[int(n)] for n in rng.permutation(len(book.orders))],
    )  # fmt: skip
    for mechanism in ("joint", "lp", "fcfs", "sequential", "greedy"):
        assert solution_to_json(clear(book, mechanism)) == solution_to_json(clear(shuffled, mechanism)), (
            mechanism
        )


def test_joint_is_worth_more_than_every_reference() -> None:
    book = plausible(400, slots=48, zones=2, classes=2, sites=8, plants=8)
    joint = metrics(book, clear(book))
    for mechanism in ("fcfs", "sequential", "greedy"):
        other = metrics(book, clear(book, mechanism))
        assert joint["welfare_micro"] > other["welfare_micro"], mechanism


def test_unknown_mechanism_is_named() -> None:
    with pytest.raises(MechanismError, match="joint, lp, fcfs"):
        clear(_book([]), "auction")


def test_time_limit_still_gives_a_certified_clearing() -> None:
    book = plausible(300, slots=48, zones=2, classes=2, sites=8, plants=8)
    solution = clear(book, time_limit=0.0)
    assert solution.certificate is not None
    assert check(book, solution).ok


def test_a_target_gap_never_makes_the_certificate_worse() -> None:
    book = plausible(200, slots=24, zones=2, classes=2, sites=8, plants=8)
    quick, better = clear(book), clear(book, target_gap=0.0)
    assert quick.certificate is not None
    assert better.certificate is not None
    assert better.certificate.gap <= quick.certificate.gap
    assert solution_to_json(clear(book, target_gap=1.0)) == solution_to_json(quick)
    assert check(book, better).ok


def test_warm_start_is_valid_after_a_small_change() -> None:
    book = plausible(300, slots=48, zones=2, classes=2, sites=8, plants=8)
    last = clear(book)
    fewer = book.orders.take(np.arange(3, len(book.orders)))
    changed = Book.of(
        book.slots, book.zones, book.classes, book.compute_offers, book.power_offers, book.grid_carbon, fewer
    )
    solution = clear(changed, last=last)
    assert check(changed, solution).ok
    assert solution.certificate is not None
    assert solution.certificate.gap < 0.05


def test_receipts_verify_alone_and_lies_do_not() -> None:
    book = plausible(60, slots=16, zones=2, classes=2, sites=4, plants=3)
    root, receipts = receipts_of(book, clear(book))
    assert len(receipts) == len(book.orders)
    for receipt in receipts:
        assert verify_receipt(receipt, root) == []
    forged = Receipt(receipts[0].body.replace(b'"cost_micro":', b'"cost_micro":1'), receipts[0].proof)
    assert verify_receipt(forged, root) == ["the receipt is not under this root"]
    assert verify_receipt(forged, forged.root())
