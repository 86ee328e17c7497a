"""The cheapest lane of an order at given cell prices: which zone, which slots, which mode in each."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np

from backend.market.jit import njit

NOWHERE = 1e29  # a cost above this means that no place fits


@njit(cache=True)
def kth_smallest(values, size, k):
    """The k-th smallest (from 1) of values[:size]; permutes them."""
    low, high, want = 0, size - 1, k - 1
    while low < high:
        pivot = values[(low + high) // 2]
        a, b = low, high
        while a <= b:
            while values[a] < pivot:
                a += 1
            while values[b] > pivot:
                b -= 1
            if a <= b:
                values[a], values[b] = values[b], values[a]
                a += 1
                b -= 1
        if want <= b:
            high = b
        elif want >= a:
            low = a
        else:
            return values[want]
    return values[want]


@njit(cache=True)
def cheapest_stretch(cost, room, duration):
    """Least sum of `duration` neighbours in cost[:room], and where it begins."""
    best, begin = 1e32, 0
    for first in range(room - duration + 1):
        total = 0.0
        for n in range(first, first + duration):
            total += cost[n]
            if total >= best:
                break
        if total < best:
            best, begin = total, first
    return best, begin


@njit(cache=True)
def least_of(line, room, duration, contiguous, rest):
    """Least cost of `duration` slots among line[:room]."""
    if contiguous:
        total, _ = cheapest_stretch(line, room, duration)
        return total
    total = 0.0
    if duration == room:
        for n in range(room):
            total += line[n]
        return total
    if duration == 1:
        total = line[0]
        for n in range(1, room):
            total = min(total, line[n])
        return total
    for n in range(room):
        rest[n] = line[n]
    edge = kth_smallest(rest, room, duration)
    below = 0
    for n in range(room):
        if line[n] < edge:
            total += line[n]
            below += 1
    return total + edge * (duration - below)


@njit(cache=True)
def accepts(lots, p, z):
    """True if lot p may run in zone z."""
    return (lots.bits[p] >> np.uint64(z)) & np.uint64(1) != np.uint64(0)


@njit(cache=True)
def cheapest(price, carbon, lots, p, strand, cost, mode, rest):
    """Least perceived cost of one lane of strand `strand` of lot p at `price` [z][m][t], and its zone.

    Returns (cost, zone, row): cost[row] and mode[row] hold the slots of that zone, from the lot's start on.
    """
    start, room, duration = lots.start[p], lots.deadline[p] - lots.start[p], lots.duration[p]
    weight, cap = lots.carbon_cost[p], lots.carbon_cap[p]
    best, zone, row = 1e30, -1, 0
    for z in range(price.shape[0]):
        if not accepts(lots, p, z):
            continue
        here = 1 - row
        line, modes = cost[here], mode[here]
        for n in range(room):
            line[n] = price[z, 1, start + n] + weight * carbon[z, 1, start + n]
            modes[n] = 1
        if strand == 1:
            for n in range(room):
                t = start + n
                grey = price[z, 0, t] + weight * carbon[z, 0, t]
                if grey < line[n] and carbon[z, 0, t] <= cap:
                    line[n] = grey
                    modes[n] = 0
        total = least_of(line, room, duration, lots.contiguous[p], rest)
        if total < best:
            best, zone, row = total, z, here
    return best, zone, row


@njit(cache=True)
def write_slots(lots, p, strand, zone, cost, mode, rest):
    """Notes the `duration` cheapest slots of `cost` (of lot p's window in `zone`) as the strand's place."""
    start, room, duration = lots.start[p], lots.deadline[p] - lots.start[p], lots.duration[p]
    first = lots.first[p, strand]
    lots.home[p, strand] = zone
    if lots.contiguous[p] or duration == room:
        begin = 0
        if duration < room:
            _, begin = cheapest_stretch(cost, room, duration)
        for n in range(duration):
            lots.at[first + n] = 2 * (start + begin + n) + mode[begin + n]
        return
    for n in range(room):
        rest[n] = cost[n]
    edge = kth_smallest(rest, room, duration)
    ties = duration
    for n in range(room):
        if cost[n] < edge:
            ties -= 1
    at = first
    for n in range(room):
        if cost[n] < edge or (cost[n] == edge and ties > 0):
            if cost[n] == edge:
                ties -= 1
            lots.at[at] = 2 * (start + n) + mode[n]
            at += 1
