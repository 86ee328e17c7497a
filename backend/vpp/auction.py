"""Uniform-price double auction of one zone (F3) in linear time, exact to the Wh.

The rule. Count every order's Wh up from the lowest price: where the count reaches all that is bid for, bids
strictly above and asks strictly below balance. The prices at which that holds form an interval [low, high],
the competitive prices; its ends are the marginal orders of both sides. The price is low + k(high - low), k =
1/2, rounded down to the tick. Bids above and asks below it are filled in full, and so is the shorter side at
it: the volume is maximal. The longer side at the price shares what is left pro rata: whole Wh first, then one
Wh each by largest remainder, then by rank (order hash).

Nothing is sorted. A histogram of the leading bits of the price finds the bin in which the count crosses, a
second one the tick: two passes over the orders, whatever the width of the band.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np

from backend.market.jit import njit
from backend.vpp.spot import IntervalResult, Ints, Orders

NO_PRICE = -(2**31)
HALF = 500
BIN_BITS = 11
BINS = 1 << BIN_BITS


@njit(cache=True)
def _scan(price, quantity):
    """Lowest price, highest price, Wh bid for, Wh in all."""
    low, high = np.int64(2**31), np.int64(-(2**31))
    bought, total = np.int64(0), np.int64(0)
    for n in range(len(price)):
        p, q = np.int64(price[n]), quantity[n]
        low, high = min(low, p), max(high, p)
        bought += max(q, np.int64(0))
        total += abs(q)
    return low, high, bought, total


@njit(cache=True)
def _crossing(price, quantity, low, high, target):
    """First tick at which the count from below reaches `target`, and the count there; 0 < target <= all
    Wh.
    """
    base, width_bits, below = low, 0, np.int64(0)
    while (high - low) >> width_bits:
        width_bits += 1
    bins = np.zeros(BINS, np.int64)
    while True:
        shift = max(width_bits - BIN_BITS, 0)
        bins[:] = 0
        span = np.int64(1) << width_bits
        for n in range(len(price)):
            at = np.int64(price[n]) - base
            if 0 <= at < span:
                bins[at >> shift] += abs(quantity[n])
        b = 0
        while below + bins[b] < target:
            below += bins[b]
            b += 1
        base += np.int64(b) << shift
        if shift == 0:
            return base, below + bins[b]
        width_bits = shift


@njit(cache=True)
def _next_above(price, tick):
    """Lowest order price above `tick`."""
    best = np.int64(2**31)
    for n in range(len(price)):
        p = np.int64(price[n])
        if p > tick and p < best:
            best = p
    return best


@njit(cache=True)
def price_of(price, quantity, k_milli):
    """(price, volume, Wh bid above, bid at, asked below, asked at the price); NO_PRICE where nothing
    trades.
    """
    low, high, bought, total = _scan(price, quantity)
    if bought == 0 or bought == total:
        return np.int64(NO_PRICE), np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    tick, count = _crossing(price, quantity, low, high, bought)
    if count == bought:
        tick += (_next_above(price, tick) - tick) * k_milli // 1000
    above, bid_at, below, ask_at = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for n in range(len(price)):
        p, q = np.int64(price[n]), quantity[n]
        bid, ask = max(q, np.int64(0)), max(-q, np.int64(0))
        above += bid if p > tick else 0
        below += ask if p < tick else 0
        if p == tick:
            bid_at += bid
            ask_at += ask
    volume = min(above + bid_at, below + ask_at)
    if volume == 0:
        tick = np.int64(NO_PRICE)
    return tick, volume, above, bid_at, below, ask_at


@njit(cache=True)
def share(weights, amount, total):
    """`amount` in whole Wh pro rata to `weights` (sum `total` >= amount): largest remainder, then rank.

    Weights stay below 2**31 and sums below 2**61: the quotient is exact up to one by floating point, and the
    remainder, which fits into 64 bits, is computed modulo 2**64 and mends it.
    """
    given = np.zeros(len(weights), np.int64)
    if amount == 0 or total == 0:
        return given
    rest = np.empty(len(weights), np.int64)
    ratio = amount / total
    left = amount
    for n in range(len(weights)):
        part = np.int64(weights[n] * ratio)
        remainder = weights[n] * amount - part * total
        while remainder < 0:
            part -= 1
            remainder += total
        while remainder >= total:
            part += 1
            remainder -= total
        given[n], rest[n] = part, remainder
        left -= part
    if left == 0:
        return given
    edge = np.partition(rest, len(rest) - left)[len(rest) - left]
    for n in range(len(weights)):
        if rest[n] > edge:
            given[n] += 1
            left -= 1
    for n in range(len(weights)):
        if left and rest[n] == edge:
            given[n] += 1
            left -= 1
    return given


@njit(cache=True)
def allot(price, quantity, tick, bids_filled, asks_filled, above, bid_at, below, ask_at, filled):
    """Fills orders better than `tick` in full and shares what remains at it; writes signed Wh to `filled`."""
    marginal_bids, marginal_asks = 0, 0
    for n in range(len(price)):
        p, q = np.int64(price[n]), quantity[n]
        won = (q > 0 and p > tick) or (q < 0 and p < tick)
        filled[n] = q if won else 0
        if p == tick:
            if q > 0:
                marginal_bids += 1
            else:
                marginal_asks += 1
    for side in (1, -1):
        count = marginal_bids if side == 1 else marginal_asks
        if count == 0:
            continue
        rest = bids_filled - above if side == 1 else asks_filled - below
        total = bid_at if side == 1 else ask_at
        weights, where = np.empty(count, np.int64), np.empty(count, np.int64)
        c = 0
        for n in range(len(price)):
            if price[n] == tick and quantity[n] * side > 0:
                weights[c], where[c] = quantity[n] * side, n
                c += 1
        given = share(weights, rest, total)
        for c in range(count):
            filled[where[c]] = side * given[c]


@njit(cache=True)
def _clear_many(price, quantity, starts, k_milli, with_fills, prices, volumes, filled):
    for t in range(len(starts) - 1):
        a, b = starts[t], starts[t + 1]
        p, q = price[a:b], quantity[a:b]
        tick, volume, above, bid_at, below, ask_at = price_of(p, q, k_milli)
        prices[t], volumes[t] = tick, volume
        if with_fills:
            if volume:
                allot(p, q, tick, volume, volume, above, bid_at, below, ask_at, filled[a:b])
            else:
                filled[a:b] = 0


def clear_interval(orders: Orders, *, k_milli: int = HALF, with_fills: bool = True) -> IntervalResult:
    """Clears one interval; `k_milli` 0 takes the lowest competitive price, 1000 the highest."""
    starts = np.array([0, len(orders)], np.int64)
    prices, volumes, filled = clear_intervals(orders, starts, k_milli=k_milli, with_fills=with_fills)
    price = None if prices[0] == NO_PRICE else int(prices[0])
    return IntervalResult(price, int(volumes[0]), filled)


def clear_intervals(
    orders: Orders, starts: Ints, *, k_milli: int = HALF, with_fills: bool = True
) -> tuple[Ints, Ints, Ints | None]:
    """Clears independent intervals at once: interval t has orders[starts[t]:starts[t + 1]].

    Prices (NO_PRICE where nothing trades), volumes, and the signed fill of every order.
    """
    intervals = len(starts) - 1
    prices, volumes = np.empty(intervals, np.int64), np.empty(intervals, np.int64)
    filled = np.empty(len(orders) if with_fills else 0, np.int64)
    _clear_many(orders.price_ticks, orders.quantity_wh, starts, k_milli, with_fills, prices, volumes, filled)
    return prices, volumes, filled if with_fills else None
