"""From member bids to one portfolio bid and back.

A member bids a ladder of steps for every slot of the day. The aggregator's bid of a slot is the union of its
members' ladders, held between the declared lower and upper limits; the award of a slot goes back to the
members by the auction's own rule (better steps first, equal prices pro rata), so what members are
awarded adds up to what the portfolio was awarded, to the Wh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from backend.vpp.calendar import TradingDay
from backend.vpp.errors import FlexError
from backend.vpp.spot import Band, Ints

POINTS = (24, 96)


@dataclass(frozen=True, slots=True)
class Step:
    """Signed Wh (positive buys) at a price."""

    price_ticks: int
    quantity_wh: int


@dataclass(frozen=True, slots=True)
class MemberBid:
    """A member's ladder for every slot of a day. `certified_wh` is the most its certificate covers in a
    slot.
    """

    member_id: str
    zone: int
    ladders: tuple[tuple[Step, ...], ...]
    certified_wh: int


@dataclass(frozen=True, slots=True, eq=False)
class PortfolioBid:
    """The aggregator's steps of one zone: columns sorted by (slot, member, step).

    `starts`[t] is the first step of slot t. `lower_wh` and `upper_wh` bound the net award of each slot; their
    difference is the certified adjustable energy of a slot (F7).
    """

    aggregator_id: str
    zone: int
    starts: Ints
    member: Ints
    price_ticks: Ints
    quantity_wh: Ints
    members: tuple[str, ...]
    lower_wh: Ints
    upper_wh: Ints


def check_member(bid: MemberBid, day: TradingDay, zones: int, band: Band) -> None:
    """Raises FlexError for the first rule that a member's bid breaks."""
    at = f"bids[{bid.member_id}]"
    if not 0 <= bid.zone < zones:
        raise FlexError("wrong_zone", f"{at}.zone", bid.zone, f"must be 0..{zones - 1}")
    if len(bid.ladders) != day.count:
        raise FlexError(
            "gap", f"{at}.ladders", len(bid.ladders),
            f"{day.day} has {day.count} slots in {day.zone_name}: give a ladder, or an empty one, for each",
        )  # fmt: skip
    for t, ladder in enumerate(bid.ladders):
        for name, steps in (("buy", [s for s in ladder if s.quantity_wh > 0]),
                            ("sell", [s for s in ladder if s.quantity_wh < 0])):  # fmt: skip
            for before, after in pairwise(steps):
                falls = after.price_ticks < before.price_ticks
                if after.price_ticks == before.price_ticks or falls != (name == "buy"):
                    raise FlexError(
                        "non_monotone", f"{at}.ladders[{t}]", (before.price_ticks, after.price_ticks),
                        "buying steps must fall strictly in price, selling steps must rise",
                    )  # fmt: skip
            total = sum(abs(s.quantity_wh) for s in steps)
            if total > bid.certified_wh:
                raise FlexError(
                    "outside_capacity", f"{at}.ladders[{t}]", total,
                    f"the certificate covers {bid.certified_wh} Wh a slot: bid less or certify more",
                )  # fmt: skip
        for s in ladder:
            if s.quantity_wh == 0:
                raise FlexError("quantity", f"{at}.ladders[{t}]", 0, "a step needs a quantity")
            if not band.floor_ticks <= s.price_ticks <= band.cap_ticks:
                raise FlexError(
                    "price_outside_band", f"{at}.ladders[{t}]", s.price_ticks,
                    f"must lie in {band.floor_ticks}..{band.cap_ticks}",
                )  # fmt: skip
        sells = [s.price_ticks for s in ladder if s.quantity_wh < 0]
        buys = [s.price_ticks for s in ladder if s.quantity_wh > 0]
        if sells and buys and max(buys) >= min(sells):
            raise FlexError("crossed", f"{at}.ladders[{t}]", max(buys), "a member must not trade with itself")


def portfolio(
    aggregator_id: str,
    bids: Sequence[MemberBid],
    day: TradingDay,
    *,
    zones: int = 1,
    band: Band | None = None,
) -> PortfolioBid:
    """One bid of the aggregator from checked bids of members in one zone (F7: all members at one node)."""
    band = band or Band()
    if len({bid.member_id for bid in bids}) != len(bids):
        raise FlexError("duplicate", "bids", len(bids), "one bid a member")
    for bid in bids:
        check_member(bid, day, zones, band)
    if len({bid.zone for bid in bids}) > 1:
        raise FlexError(
            "wrong_zone", "bids", sorted({b.zone for b in bids}), "members of one VPP are at one node"
        )
    ordered = sorted(bids, key=lambda b: b.member_id)
    rows: list[tuple[int, int, int, int]] = [
        (t, n, s.price_ticks, s.quantity_wh)
        for n, bid in enumerate(ordered) for t, ladder in enumerate(bid.ladders) for s in ladder
    ]  # fmt: skip
    rows.sort(key=lambda row: (row[0], row[1]))
    table = np.array(rows, np.int64).reshape(-1, 4)
    starts = np.searchsorted(table[:, 0], np.arange(day.count + 1)).astype(np.int64)
    quantity = np.ascontiguousarray(table[:, 3])
    sums = np.concatenate([[0], np.cumsum(np.minimum(quantity, 0))])
    tops = np.concatenate([[0], np.cumsum(np.maximum(quantity, 0))])
    return PortfolioBid(
        aggregator_id, ordered[0].zone if ordered else 0, starts, np.ascontiguousarray(table[:, 1]),
        np.ascontiguousarray(table[:, 2]), quantity, tuple(b.member_id for b in ordered),
        np.diff(sums[starts]), np.diff(tops[starts]),
    )  # fmt: skip


def points(day: TradingDay, values: Mapping[int, int] | Sequence[int], field: str = "points") -> Ints:
    """A full row of values, one per slot; FlexError names the first gap.

    A list may also give one value an hour, each of which then holds for the hour's slots.
    """
    if isinstance(values, Mapping):
        for slot in range(day.count):
            if slot not in values:
                raise FlexError("gap", f"{field}[{slot}]", None, f"give all {day.count} slots of {day.day}")
        if len(values) != day.count:
            raise FlexError("gap", field, len(values), f"{day.day} has slots 0..{day.count - 1}")
        return np.array([values[t] for t in range(day.count)], np.int64)
    per_hour = 3600 // day.slot_seconds
    if len(values) == day.count:
        return np.array(values, np.int64)
    if len(values) * per_hour == day.count:
        return np.repeat(np.array(values, np.int64), per_hour)
    raise FlexError(
        "gap",
        field,
        len(values),
        f"{day.day} takes {day.count} values, or {day.count // per_hour} hourly ones",
    )


def award_to_members(bid: PortfolioBid, slot: int, net_wh: int, price_ticks: int) -> Ints:
    """A slot's net award split over the bid's steps, signed Wh per step; FlexError outside the bid.

    Steps better than the price are taken in full, equal ones share; where the net award is less than that
    (a limit, or a rationed step) the side in surplus shares pro rata too.
    """
    from backend.vpp.auction import share  # numba loads with the first award, not at start-up

    a, b = int(bid.starts[slot]), int(bid.starts[slot + 1])
    price, quantity = bid.price_ticks[a:b], bid.quantity_wh[a:b]
    if not bid.lower_wh[slot] <= net_wh <= bid.upper_wh[slot]:
        raise FlexError(
            "outside_limits", f"awards[{slot}]", net_wh,
            f"the bid allows {bid.lower_wh[slot]}..{bid.upper_wh[slot]} Wh",
        )  # fmt: skip
    out = np.where(quantity > 0, np.where(price > price_ticks, quantity, 0),
                   np.where(price < price_ticks, quantity, 0))  # fmt: skip
    rest = net_wh - int(out.sum())
    if rest:
        sign = 1 if rest > 0 else -1
        room = np.where((price == price_ticks) & (quantity * sign > 0), np.abs(quantity), 0)
        if int(room.sum()) >= abs(rest):
            return out + sign * share(room, abs(rest), int(room.sum()))
        back = np.where(out * sign < 0, np.abs(out), 0)
        if int(back.sum()) >= abs(rest):
            return out + sign * share(back, abs(rest), int(back.sum()))
        raise FlexError(
            "award", f"awards[{slot}]", net_wh, f"no steps at {price_ticks} ticks make up this award"
        )
    return out
