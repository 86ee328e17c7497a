"""Zonal clearing with line limits: F3 in every zone at once, exact to the Wh.

A line (i, j) carries up to `forward_wh` from i to j and `backward_wh` from j to i in one interval. Maximal
welfare over zones and lines is a convex problem on prices whose level sets are minimum cuts: for a threshold
tick h, the zones priced above h are the smallest set S that minimises

    sum of (Wh counted up to h - Wh bid for) over S  +  capacity of the lines into S.

Bisection on h therefore finds every zone's lowest and highest competitive price, with one small maximum
flow a step. Competitive price vectors form a set closed under rounded-down midpoints (L-natural
convexity), so the midpoints, price = floor((low + high) / 2), are again competitive: the k-rule of F3,
zone by zone. Lines between unequal prices are full; between equal ones flow follows from a maximum flow
that gives first balance, then the largest volume, by shortest paths in the order of zones and lines, so
it is the same every time. Ties at a price are shared as in F3.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend.market.jit import njit
from backend.vpp.auction import allot
from backend.vpp.errors import FlexError
from backend.vpp.spot import NO_PRICE, Grid, Ints, Orders, ZonalResult

BINS = 1024


@njit(cache=True)
def _max_flow(capacity, source, sink, flow):
    """Adds a maximum flow from source to sink to the antisymmetric matrix `flow`; shortest paths first."""
    n = len(capacity)
    parent = np.empty(n, np.int64)
    queue = np.empty(n, np.int64)
    while True:
        parent[:] = -1
        parent[source] = source
        head, tail = 0, 1
        queue[0] = source
        while head < tail and parent[sink] < 0:
            u = queue[head]
            head += 1
            for v in range(n):
                if parent[v] < 0 and capacity[u, v] - flow[u, v] > 0:
                    parent[v] = u
                    queue[tail] = v
                    tail += 1
        if parent[sink] < 0:
            return
        room = np.int64(2**62)
        v = sink
        while v != source:
            room = min(room, capacity[parent[v], v] - flow[parent[v], v])
            v = parent[v]
        v = sink
        while v != source:
            flow[parent[v], v] += room
            flow[v, parent[v]] -= room
            v = parent[v]


@njit(cache=True)
def _above(slack, line, largest, inside):
    """Marks the zones priced above a threshold: the smallest (or largest) minimum cut of the level set.

    `slack`[z] = Wh counted up to the threshold - Wh bid for in z; `line`[i, j] = capacity from i to j.
    """
    zones = len(slack)
    capacity = np.zeros((zones + 2, zones + 2), np.int64)
    source, sink = zones, zones + 1
    for z in range(zones):
        if slack[z] < 0:
            capacity[source, z] = -slack[z]
        else:
            capacity[z, sink] = slack[z]
        for y in range(zones):
            capacity[z, y] = line[y, z]  # from inside S (high price) outwards: what S could import
    flow = np.zeros_like(capacity)
    _max_flow(capacity, source, sink, flow)
    seen = np.zeros(zones + 2, np.bool_)
    stack = np.empty(zones + 2, np.int64)
    stack[0] = sink if largest else source
    seen[stack[0]] = True
    top = 1
    while top:
        top -= 1
        u = stack[top]
        for v in range(zones + 2):
            room = capacity[v, u] - flow[v, u] if largest else capacity[u, v] - flow[u, v]
            if not seen[v] and room > 0:
                seen[v] = True
                stack[top] = v
                top += 1
    for z in range(zones):
        inside[z] = (not seen[z]) if largest else seen[z]


@njit(cache=True)
def _sort_into_bins(price, quantity, base, shift, bin_start, bin_below, out_price, out_wh):
    """Orders grouped by leading bits: `bin_start` where each bin begins, `bin_below` the Wh below it."""
    bin_start[:] = 0
    bin_below[:] = 0
    for n in range(len(price)):
        b = (np.int64(price[n]) - base) >> shift
        bin_start[b + 1] += 1
        bin_below[b + 1] += abs(quantity[n])
    for b in range(BINS):
        bin_start[b + 1] += bin_start[b]
        bin_below[b + 1] += bin_below[b]
    place = bin_start.copy()
    for n in range(len(price)):
        b = (np.int64(price[n]) - base) >> shift
        out_price[place[b]] = price[n]
        out_wh[place[b]] = abs(quantity[n])
        place[b] += 1


@njit(cache=True)
def _counted(tick, base, shift, bin_start, bin_below, sorted_price, sorted_wh):
    """Wh of all orders at or below `tick`."""
    if tick < base:
        return np.int64(0)
    b = (tick - base) >> shift
    if b >= BINS:
        return bin_below[BINS]
    count = bin_below[b]
    for n in range(bin_start[b], bin_start[b + 1]):
        if sorted_price[n] <= tick:
            count += sorted_wh[n]
    return count


@njit(cache=True)
def _ends(low, high, zones, bought, line, base, shift, bin_start, bin_below, sorted_price, sorted_wh, first,
          largest, out):  # fmt: skip
    """Lowest (or highest) competitive price of every zone, by bisection of groups of zones.

    Level sets are nested, so a group that one threshold splits is searched further apart. Prices lie in
    low..high; the lowest is the first h at which a zone is not above h, the highest one past the last h at
    which it is in the largest level set.
    """
    inside = np.zeros(zones, np.bool_)
    slack = np.zeros(zones, np.int64)
    lo = np.full(zones, low, np.int64)
    hi = np.full(zones, high, np.int64)
    while True:
        h = np.int64(2**31)
        for z in range(zones):  # the next threshold: of the first zone that is not settled
            if lo[z] < hi[z]:
                h = (lo[z] + hi[z]) >> 1
                break
        if h == 2**31:
            break
        for z in range(zones):
            slack[z] = -bought[z] + _counted(
                h, base, shift, bin_start[z], bin_below[z],
                sorted_price[first[z]:first[z + 1]], sorted_wh[first[z]:first[z + 1]],
            )  # fmt: skip
        _above(slack, line, largest, inside)
        for z in range(zones):
            if inside[z]:
                lo[z] = max(lo[z], h + 1)
            else:
                hi[z] = min(hi[z], h)
    out[:] = lo


@njit(cache=True)
def _balance(tick, line, sums, flow_out, bids, asks):
    """Flows between zones, and Wh filled on each side, at competitive prices.

    `sums`[z] = (bid above, bid at, asked below, asked at). Returns False if the prices do not support a
    balance, which cannot be for competitive ones.
    """
    zones = len(tick)
    size = zones + 4
    buy, sell, source, sink = zones, zones + 1, zones + 2, zones + 3
    capacity = np.zeros((size, size), np.int64)
    flow = np.zeros((size, size), np.int64)
    # what must be bought (sold) enters at the buyers' node and leaves at the sellers': a flow with lower
    # bounds
    capacity[source, buy] = sums[:, 0].sum()
    capacity[sell, sink] = sums[:, 2].sum()
    for z in range(zones):
        spare = sums[z, 2] - sums[z, 0]
        for y in range(zones):
            if tick[y] < tick[z]:
                spare += line[y, z]
            elif tick[y] > tick[z]:
                spare -= line[z, y]
            else:
                capacity[z, y] = line[z, y]
        capacity[z, buy] = sums[z, 1]
        capacity[sell, z] = sums[z, 3]
        if spare > 0:
            capacity[source, z] = spare
        else:
            capacity[z, sink] = -spare
    capacity[buy, sell] = np.int64(2**61)
    _max_flow(capacity, source, sink, flow)
    for node in range(size):
        if flow[source, node] != capacity[source, node] or flow[node, sink] != capacity[node, sink]:
            return False
    capacity[buy, sell] = flow[buy, sell]
    _max_flow(capacity, sell, buy, flow)
    for z in range(zones):
        bids[z] = sums[z, 0] + flow[z, buy]
        asks[z] = sums[z, 2] + flow[sell, z]
        for y in range(zones):
            if tick[z] < tick[y]:
                flow_out[z, y] = line[z, y]
            elif tick[z] > tick[y]:
                flow_out[z, y] = -line[y, z]
            else:
                flow_out[z, y] = flow[z, y]
    return True


@njit(cache=True)
def _clear(price, quantity, starts, line, prices, lows, highs, bought_out, sold_out, net_flow, filled):
    """Clears every interval; `starts`[t * zones + z] is where the orders of (t, z) begin; `line`[t][i][j]."""
    intervals, zones = prices.shape
    bin_start = np.zeros((zones, BINS + 1), np.int64)
    bin_below = np.zeros((zones, BINS + 1), np.int64)
    bought, sums = np.zeros(zones, np.int64), np.zeros((zones, 4), np.int64)
    lowest, highest, tick = np.zeros(zones, np.int64), np.zeros(zones, np.int64), np.zeros(zones, np.int64)
    bids, asks = np.zeros(zones, np.int64), np.zeros(zones, np.int64)
    for t in range(intervals):
        a, b = starts[t * zones], starts[(t + 1) * zones]
        filled[a:b] = 0
        prices[t, :] = NO_PRICE
        lows[t, :] = NO_PRICE
        highs[t, :] = NO_PRICE
        if a == b:
            continue
        low, high = np.int64(price[a]), np.int64(price[a])
        for n in range(a, b):
            low, high = min(low, np.int64(price[n])), max(high, np.int64(price[n]))
        shift = 0
        while (high - low) >> shift >= BINS:
            shift += 1
        sorted_price, sorted_wh = np.empty(b - a, np.int64), np.empty(b - a, np.int64)
        first = np.empty(zones + 1, np.int64)
        for z in range(zones):
            s, e = starts[t * zones + z], starts[t * zones + z + 1]
            first[z], first[z + 1] = s - a, e - a
            bought[z] = 0
            for n in range(s, e):
                bought[z] += max(quantity[n], np.int64(0))
            _sort_into_bins(price[s:e], quantity[s:e], low, shift, bin_start[z], bin_below[z],
                            sorted_price[s - a:e - a], sorted_wh[s - a:e - a])  # fmt: skip
        _ends(low - 1, high + 1, zones, bought, line[t], low, shift, bin_start, bin_below, sorted_price,
              sorted_wh, first, False, lowest)  # fmt: skip
        _ends(low - 1, high + 1, zones, bought, line[t], low, shift, bin_start, bin_below, sorted_price,
              sorted_wh, first, True, highest)  # fmt: skip
        for z in range(zones):
            tick[z] = (lowest[z] + highest[z]) >> 1
            lows[t, z], highs[t, z] = lowest[z], highest[z]
            sums[z, :] = 0
            for n in range(starts[t * zones + z], starts[t * zones + z + 1]):
                q, p = quantity[n], np.int64(price[n])
                if q > 0 and p >= tick[z]:
                    sums[z, 0 if p > tick[z] else 1] += q
                elif q < 0 and p <= tick[z]:
                    sums[z, 2 if p < tick[z] else 3] -= q
        if not _balance(tick, line[t], sums, net_flow[t], bids, asks):
            return t
        for z in range(zones):
            s, e = starts[t * zones + z], starts[t * zones + z + 1]
            bought_out[t, z], sold_out[t, z] = bids[z], asks[z]
            trades = bids[z] + asks[z] > 0
            for y in range(zones):
                trades = trades or net_flow[t, z, y] != 0
            if trades:
                prices[t, z] = tick[z]
            if bids[z] + asks[z] > 0:
                above, bid_at, below, ask_at = sums[z]
                allot(price[s:e], quantity[s:e], tick[z], bids[z], asks[z], above, bid_at, below, ask_at,
                      filled[s:e])  # fmt: skip
    return -1


def clear_zones(orders: Orders, starts: Ints, grid: Grid, limits: npt.ArrayLike | None = None) -> ZonalResult:
    """Clears intervals of several zones; orders of interval t and zone z are
    orders[starts[t * zones + z]:starts[t * zones + z + 1]].

    `limits`[t][line] = (forward, backward) Wh replaces the grid's capacities where they change in time.
    Parallel lines add up. A zone that trades and exchanges nothing has NO_PRICE.
    """
    intervals = (len(starts) - 1) // grid.zones
    if len(starts) != intervals * grid.zones + 1 or starts[-1] != len(orders):
        raise FlexError("shape", "starts", len(starts), f"must have intervals * {grid.zones} + 1 entries")
    count = len(grid.from_zone)
    caps = np.empty((intervals, count, 2), np.int64)
    caps[:] = np.stack([grid.forward_wh, grid.backward_wh], axis=1) if limits is None else np.asarray(limits)
    line = np.zeros((intervals, grid.zones, grid.zones), np.int64)
    for n in range(count):
        line[:, grid.from_zone[n], grid.to_zone[n]] += caps[:, n, 0]
        line[:, grid.to_zone[n], grid.from_zone[n]] += caps[:, n, 1]
    prices, lows, highs, bought, sold = (np.zeros((intervals, grid.zones), np.int64) for _ in range(5))
    net = np.zeros((intervals, grid.zones, grid.zones), np.int64)
    filled = np.zeros(len(orders), np.int64)
    stuck = _clear(
        orders.price_ticks, orders.quantity_wh, starts, line, prices, lows, highs, bought, sold, net, filled
    )
    if stuck >= 0:
        raise FlexError("unbalanced", f"interval[{stuck}]", "prices", "report this book: it must not happen")
    return ZonalResult(prices, lows, highs, bought, sold, _on_lines(net, grid, caps), filled)


def _on_lines(net: Ints, grid: Grid, caps: Ints) -> Ints:
    """Net exchanges put on lines; parallel ones fill in order."""
    flow = np.zeros(caps.shape[:2], np.int64)
    rest = net.copy()
    for n in range(len(grid.from_zone)):
        i, j = grid.from_zone[n], grid.to_zone[n]
        flow[:, n] = np.clip(rest[:, i, j], -caps[:, n, 1], caps[:, n, 0])
        rest[:, i, j] -= flow[:, n]
        rest[:, j, i] += flow[:, n]
    return flow
