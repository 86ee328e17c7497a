"""Best profit of storage, lines and flexibility at given prices, exactly and with integers only (milli-
micro).

A storage's value of holding S is a concave function of S, kept as pieces (length, slope) of falling
slope. A slot adds its two pieces (discharge, charge), and the tank's walls cut the ends off; so the best
profit over all slots is found without search. Slopes are per 1/10000 Wh stored and share the denominator
efficiency x 10000.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.market.assets import BPS, Assets, Dispatch, Flexibility, Ints, Line, Storage, received

Pieces = list[tuple[int, int]]  # (length, slope), slope falling


@dataclass(frozen=True, slots=True, eq=False)
class AssetProfits:
    """Best and actual profit by asset, milli-micro, Python's integers."""

    flexibility_best: list[int]
    flexibility_got: list[int]
    storage_best: list[int]
    storage_got: list[int]
    line_best: list[int]
    line_got: list[int]


def asset_profits(
    assets: Assets, zones: dict[int, int], dispatch: Dispatch, energy_price: Ints
) -> AssetProfits:
    """What each asset could have earned at these prices, and what it does."""
    energy_price = energy_price.astype(object)  # sums may leave 63 bits
    pools = [energy_price[zones[store.zone_id], store.mode] for store in assets.storages]
    ends = [
        (energy_price[zones[line.from_zone_id], line.mode], energy_price[zones[line.to_zone_id], line.mode])
        for line in assets.lines
    ]
    bands = [energy_price[zones[flex.zone_id]] for flex in assets.flexibilities]
    return AssetProfits(
        [best_of_flexibility(f, p) for f, p in zip(assets.flexibilities, bands, strict=True)],
        [
            total(flexibility_profit(f, p, dispatch.shed[n], dispatch.raised[n]))
            for n, (f, p) in enumerate(zip(assets.flexibilities, bands, strict=True))
        ],
        [best_of_storage(s, p) for s, p in zip(assets.storages, pools, strict=True)],
        [
            storage_profit(s, p, dispatch.charge[n], dispatch.discharge[n])
            for n, (s, p) in enumerate(zip(assets.storages, pools, strict=True))
        ],
        [best_of_line(line, a, b) for line, (a, b) in zip(assets.lines, ends, strict=True)],
        [
            total(line_profit(line, a, b, dispatch.flow[n]))
            for n, (line, (a, b)) in enumerate(zip(assets.lines, ends, strict=True))
        ],
    )


def total(values: Ints) -> int:
    """Sum with Python's integers."""
    return int(values.astype(object).sum()) if len(values) else 0


def best_of_flexibility(flex: Flexibility, price: Ints) -> int:
    """In every slot the better of shedding all, raising all, and nothing; `price` is [mode][slot]."""
    shed = flex.shed_wh * (price[0] - flex.shed_ask_micro_per_kwh)
    raised = flex.raise_wh * (flex.raise_bid_micro_per_kwh - price[1])
    return total(np.maximum(np.maximum(shed, raised), 0))


def flexibility_profit(flex: Flexibility, price: Ints, shed: Ints, raised: Ints) -> Ints:
    """Profit per slot of what it sheds and raises."""
    profit: Ints = shed * (price[0] - flex.shed_ask_micro_per_kwh) + raised * (
        flex.raise_bid_micro_per_kwh - price[1]
    )
    return profit


def best_of_line(line: Line, source: Ints, target: Ints) -> int:
    """All of its capacity in every slot in which what arrives is worth more than what is sent and the fee.

    Where the target's price is negative a Wh lost to rounding is a gain: it is granted, so that the bound
    holds.
    """
    each = target * (BPS - line.loss_bps) - (source + line.fee_micro_per_kwh) * BPS
    most = -(-line.capacity_wh.astype(object) * each // BPS)
    lucky = np.where((target < 0) & (line.loss_bps > 0) & (line.capacity_wh > 0), -target, 0)
    return total(np.maximum(most + lucky, 0))


def line_profit(line: Line, source: Ints, target: Ints, sent: Ints) -> Ints:
    """Profit per slot of what it sends."""
    profit: Ints = target * received(line, sent) - (source + line.fee_micro_per_kwh) * sent
    return profit


def storage_profit(store: Storage, price: Ints, charge: Ints, discharge: Ints) -> int:
    """Profit of a schedule."""
    return total(price * (discharge - charge) - store.wear_micro_per_kwh * discharge)


def best_of_storage(store: Storage, price: Ints) -> int:
    """The most that any schedule could earn, rounded up."""
    held = store.initial_wh * BPS
    least, value = held, 0  # the least it may hold, and what that is worth
    pieces: Pieces = []  # what holding more is worth
    for p in price.tolist():
        shift, gained, steps = slot_pieces(store, p)
        value += gained
        least += shift
        pieces = sorted(pieces + steps, key=lambda piece: -piece[1])
        least, value, pieces = cut(least, value, pieces, 0, store.energy_wh * BPS)
    _, value, pieces = cut(least, value, pieces, store.final_wh * BPS, store.energy_wh * BPS)
    best = value + sum(length * slope for length, slope in pieces if slope > 0)
    return -(-best // (store.efficiency_bps * BPS))


def slot_pieces(store: Storage, price: int) -> tuple[int, int, Pieces]:
    """What one slot can do: the most negative change of the tank, its profit, and the pieces from there.

    The change is in 1/10000 Wh, profit in milli-micro x efficiency x 10000.
    """
    down, up = store.discharge_wh * BPS, store.charge_wh * store.efficiency_bps
    sell = (price - store.wear_micro_per_kwh) * store.efficiency_bps  # per 1/10000 Wh out
    buy = -price * BPS  # per 1/10000 Wh in
    pieces = [(length, slope) for length, slope in ((down, -sell), (up, buy)) if length]
    if len(pieces) == 2 and pieces[0][1] < pieces[1][1]:  # doing both beats doing nothing
        gain = down * pieces[0][1] + up * pieces[1][1]
        # the chord from all out to all in; a slope that is a fraction is split into two whole slopes
        low, rest = divmod(gain, down + up)
        pieces = [(length, slope) for length, slope in ((rest, low + 1), (down + up - rest, low)) if length]
    return -down, down * sell, pieces


def cut(least: int, value: int, pieces: Pieces, low: int, high: int) -> tuple[int, int, Pieces]:
    """The value function between `low` and `high` only."""
    left = []
    for length, slope in pieces:
        gone = min(max(low - least, 0), length)
        least += gone
        value += gone * slope
        if length - gone:
            left.append((length - gone, slope))
    over = least + sum(length for length, _ in left) - high
    while over > 0 and left:
        length, slope = left.pop()
        if length > over:
            left.append((length - over, slope))
        over -= length
    return least, value, left
