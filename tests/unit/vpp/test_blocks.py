"""Blocks: nobody accepted loses, whole or not at all, links and deadlines hold."""

from __future__ import annotations

import numpy as np
import pytest

from backend.vpp.blocks import Block, clear_with_blocks, gain, losers
from backend.vpp.errors import FlexError
from backend.vpp.spot import Grid, Orders

SLOTS = 8


def day(seed: int = 3, zones: int = 2) -> tuple[Orders, np.ndarray, Grid]:
    rng = np.random.default_rng(seed)
    counts = np.full(SLOTS * zones, 60)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    slot = np.repeat(np.arange(SLOTS * zones) // zones, counts)
    prices = 4000 + 1500 * np.sin(slot * 0.9) + rng.normal(0, 1200, starts[-1])
    quantities = rng.choice([-1, 1], starts[-1]) * rng.integers(10, 200, starts[-1])
    lines = [(0, 1, 300, 300)] if zones == 2 else []
    return Orders.of(prices.astype(int), quantities), starts, Grid.of(zones, lines)


@pytest.mark.parametrize("seed", range(6))
def test_accepted_blocks_gain_at_the_final_prices(seed: int) -> None:
    orders, starts, grid = day(seed)
    rng = np.random.default_rng(seed)
    blocks = []
    for n in range(25):
        length = int(rng.integers(1, 4))
        first = int(rng.integers(0, SLOTS - length + 1))
        sign = int(rng.choice([-1, 1]))
        blocks.append(
            Block(
                f"b{n:02d}", int(rng.integers(0, 2)), first,
                tuple(sign * int(q) for q in rng.integers(20, 400, length)), int(rng.integers(2500, 6000)),
                min_accept_milli=int(rng.choice([1000, 500, 100])),
                parent=f"b{n - 1:02d}" if n % 5 == 4 else None,
                latest_start=min(first + 2, SLOTS - length) if n % 4 == 0 else None,
            )
        )  # fmt: skip
    result = clear_with_blocks(orders, starts, grid, blocks)
    assert result.taken
    assert losers(result.taken, result.price_ticks) == []
    for t in result.taken.values():
        assert t.block.min_accept_milli <= t.milli <= 1000
        assert t.start in t.block.starts
        if t.block.parent:
            assert t.milli <= result.taken[t.block.parent].milli
    for s in range(SLOTS):
        firm = sum(
            int(t.block.wh(t.milli)[s - t.start])
            for t in result.taken.values()
            if t.start <= s < t.start + len(t.block.profile_wh)
        )
        part = slice(starts[s * 2], starts[s * 2 + 2])
        assert result.zonal.filled_wh[part].sum() + firm == 0


def test_without_blocks_it_is_zonal_clearing() -> None:
    from backend.vpp.zonal import clear_zones

    orders, starts, grid = day()
    with_none = clear_with_blocks(orders, starts, grid, [])
    assert (with_none.zonal.filled_wh == clear_zones(orders, starts, grid).filled_wh).all()


def test_a_shiftable_block_takes_the_cheapest_hours_before_its_deadline() -> None:
    prices = [9000, 2000, 3000, 8000, 1000]
    orders = Orders.of(
        [p for base in prices for p in (base, base)], [q for _ in prices for q in (-10_000, 10_000)]
    )
    block = Block("job", 0, 0, (100, 100), 5000, latest_start=2)  # its deadline is before the cheapest slot
    result = clear_with_blocks(orders, np.arange(0, 11, 2), Grid.of(1, []), [block])
    assert result.taken["job"].start == 1


def test_all_or_nothing_stays_out_where_a_part_would_gain() -> None:
    orders = Orders.of([1000, 9000], [-100, 100])
    whole = Block("b", 0, 0, (150,), 8000)
    assert clear_with_blocks(orders, np.array([0, 2]), Grid.of(1, []), [whole]).taken == {}
    part = Block("b", 0, 0, (150,), 9500, min_accept_milli=100)
    result = clear_with_blocks(orders, np.array([0, 2]), Grid.of(1, []), [part])
    assert 100 <= result.taken["b"].milli < 1000


def test_a_child_can_save_its_parent() -> None:
    orders = Orders.of([3000, 3000] * 2, [-10_000, 10_000] * 2)
    parent = Block("p", 0, 0, (100,), 2900)
    child = Block("c", 0, 1, (100,), 3400, parent="p")
    alone = clear_with_blocks(orders, np.array([0, 2, 4]), Grid.of(1, []), [parent])
    assert alone.taken == {}
    both = clear_with_blocks(orders, np.array([0, 2, 4]), Grid.of(1, []), [parent, child])
    assert set(both.taken) == {"p", "c"}
    assert gain(parent, 0, 1000, both.price_ticks) < 0


@pytest.mark.parametrize(
    ("block", "rule"),
    [
        (Block("b", 9, 0, (1,), 0), "wrong_zone"),
        (Block("b", 0, 0, (1, -1), 0), "quantity"),
        (Block("b", 0, 7, (1, 1), 0), "window"),
        (Block("b", 0, 0, (1,), 10**6), "price_outside_band"),
        (Block("b", 0, 0, (1,), 0, min_accept_milli=0), "min_accept"),
        (Block("b", 0, 0, (1,), 0, parent="b"), "link"),
        (Block("b", 0, 0, (1,), 0, parent="x"), "link"),
    ],
)
def test_bad_blocks_are_named(block: Block, rule: str) -> None:
    orders, starts, grid = day()
    with pytest.raises(FlexError) as caught:
        clear_with_blocks(orders, starts, grid, [block])
    assert caught.value.rule == rule
