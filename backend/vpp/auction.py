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
from backend.vpp.spot import NO_PRICE, IntervalResult, Ints, Orders

HALF = 500
BIN_BITS = 11
BINS = 1 << BIN_BITS


@njit(cache=True)
def _extremes(values):
    """Lowest and highest value."""
    low, high = np.int64(values[0]), np.int64(values[0])
    for n in range(len(values)):
        low, high = min(low, np.int64(values[n])), max(high, np.int64(values[n]))
    return low, high


@njit(cache=True)
def _shift(low, high):
    """How many trailing bits a histogram of BINS bins leaves out."""
    shift = 0
    while (high - low) >> shift >= BINS:
        shift += 1
    return shift


@njit(cache=True)
def _kth_largest(values, k):
    """The k-th largest of non-negative integers (k from 1), by leading bits."""
    low, high = _extremes(values)
    left = k
    bins = np.empty(BINS, np.int64)
    while True:
        shift = _shift(low, high)
        bins[:] = 0
        for n in range(len(values)):
            if low <= values[n] <= high:
                bins[(values[n] - low) >> shift] += 1
        b = (high - low) >> shift
        while bins[b] < left:
            left -= bins[b]
            b -= 1
        low += b << shift
        if shift == 0:
            return low
        high = min(high, low + (np.int64(1) << shift) - 1)


@njit(cache=True)
def _inside(price, quantity, low, high, in_price, in_wh):
    """Copies the orders priced low..high; their number, Wh bid above and asked below, and the lowest price
    above."""
    count, above, below, next_price = 0, np.int64(0), np.int64(0), np.int64(2**31)
    for n in range(len(price)):
        p, q = np.int64(price[n]), quantity[n]
        if p > high:
            above += max(q, np.int64(0))
            next_price = min(next_price, p)
        elif p < low:
            below -= min(q, np.int64(0))
        else:
            in_price[count], in_wh[count] = price[n], q
            count += 1
    return count, above, below, next_price


@njit(cache=True)
def price_of(price, quantity, k_milli):
    """What an interval clears at: price, volume, Wh bid above, bid at, asked below, asked at the price.

    The price is NO_PRICE where nothing trades.
    """
    nothing = (np.int64(NO_PRICE), np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0))
    if len(price) == 0:
        return nothing
    all_price, all_quantity = price, quantity
    low, high = _extremes(price)
    bins = np.zeros(BINS, np.int64)
    shift, bought, total = _shift(low, high), np.int64(0), np.int64(0)
    for n in range(len(price)):
        q = quantity[n]
        bought += max(q, np.int64(0))
        bins[(np.int64(price[n]) - low) >> shift] += abs(q)
    for b in range(BINS):
        total += bins[b]
    if bought == 0 or bought == total:
        return nothing
    counted, above, below, next_price = np.int64(0), np.int64(0), np.int64(0), np.int64(2**31)
    while True:  # one bin of the histogram holds the crossing: look into it more closely
        b = 0
        while counted + bins[b] < bought:
            counted += bins[b]
            b += 1
        bottom = low + (np.int64(b) << shift)
        top = min(high, bottom + (np.int64(1) << shift) - 1)
        in_price, in_wh = np.empty(len(price), price.dtype), np.empty(len(price), np.int64)
        size, more, less, beyond = _inside(price, quantity, bottom, top, in_price, in_wh)
        price, quantity = in_price[:size], in_wh[:size]
        above, below, next_price = above + more, below + less, min(next_price, beyond)
        if bottom == top:
            break
        low, high, shift = bottom, top, _shift(bottom, top)
        bins[:] = 0
        for n in range(size):
            bins[(np.int64(price[n]) - low) >> shift] += abs(quantity[n])
    tick, bid_at, ask_at = bottom, np.int64(0), np.int64(0)
    for n in range(len(price)):
        bid_at += max(quantity[n], np.int64(0))
        ask_at -= min(quantity[n], np.int64(0))
    if counted + bid_at + ask_at == bought:  # balanced: every tick up to the next order's is competitive
        tick += (next_price - tick) * k_milli // 1000
        if tick > bottom:
            below += ask_at
            bid_at, ask_at = np.int64(0), np.int64(0)
        if tick == next_price:
            for n in range(len(all_price)):
                if all_price[n] == tick:
                    bid_at += max(all_quantity[n], np.int64(0))
                    ask_at -= min(all_quantity[n], np.int64(0))
            above -= bid_at
    volume = min(above + bid_at, below + ask_at)
    if volume == 0:
        return nothing
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
    edge = _kth_largest(rest, left)
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
            elif q < 0:
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
