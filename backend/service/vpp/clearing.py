"""From the rows that stand at a gate to awards: zonal energy auctions and capacity auctions (pure).

Orders of a slot and zone stand in the order of their hashes, which breaks the last tie of F3. What members of
one account are awarded in a slot and zone is one position; positions are numbered by account, product, zone
and start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from backend.service.vpp.bids import blocks_of
from backend.service.vpp.capacity import as_offer
from backend.service.vpp.terms import BAND, HOUR_SLOTS, ZONES
from backend.store.flex import FlexBid, FlexCertificate, FlexLine, FlexOffer, FlexRequirement
from backend.vpp.blocks import Block, clear_with_blocks
from backend.vpp.calendar import TradingDay
from backend.vpp.products import PRODUCTS, clear_capacity
from backend.vpp.spot import NO_PRICE, Grid, Orders

Steps = dict[tuple[int, int], list[tuple[bytes, int, int, str]]]
"""(slot, zone) -> (order hash, price ticks, signed Wh, bid id or nothing)"""


@dataclass(frozen=True, slots=True)
class Sale:
    """What a bid or offer sold from unix second `start` for `seconds`."""

    source_id: str
    account: str
    aggregator_id: str
    resource_id: str
    product: str
    zone_id: int | None
    start: int
    seconds: int
    energy_wh: int
    price_micro_per_kwh: int

    @property
    def position_key(self) -> tuple[str, str, int, int]:
        """What belongs to one position."""
        return self.account, self.product, -1 if self.zone_id is None else self.zone_id, self.start


@dataclass(slots=True)
class Cleared:
    """Sales, prices as `FlexPeriod` keeps them, and why sources were left out."""

    sales: list[Sale] = field(default_factory=list)
    prices: dict[str, object] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def positions(self) -> list[list[Sale]]:
        """The sales of each position, in the order of the anchored tree."""
        found: dict[tuple[str, str, int, int], list[Sale]] = {}
        for sale in self.sales:
            found.setdefault(sale.position_key, []).append(sale)
        return [sorted(found[key], key=lambda s: s.source_id) for key in sorted(found)]


def clear_energy(
    day: TradingDay, slots: range, bids: Sequence[FlexBid], requirements: Sequence[FlexRequirement],
    lines: Sequence[FlexLine],
) -> Cleared:  # fmt: skip
    """Clears the slots product by product; zones are joined by lines."""
    cleared = Cleared()
    for product in sorted({row.product for row in requirements}):
        own = [bid for bid in bids if bid.product == product]
        wanted = [row for row in requirements if row.product == product]
        if own:
            _clear_product(cleared, day, slots, product, own, wanted, lines)
    return cleared


def _clear_product(
    cleared: Cleared, day: TradingDay, slots: range, product: str, bids: Sequence[FlexBid],
    requirements: Sequence[FlexRequirement], lines: Sequence[FlexLine],
) -> None:  # fmt: skip
    zones = 1 + max(
        *(bid.zone_id for bid in bids), *(row.zone_id or 0 for row in requirements),
        *(max(line.from_zone, line.to_zone) for line in lines), 0,
    )  # fmt: skip
    steps = _steps(slots, bids, requirements)
    cells = [sorted(steps.get((t, z), [])) for t in range(len(slots)) for z in range(zones)]
    starts = np.cumsum([0] + [len(cell) for cell in cells]).astype(np.int64)
    flat = [step for cell in cells for step in cell]
    orders = Orders.of([s[1] for s in flat], [s[2] for s in flat], BAND)
    per_slot = day.slot_seconds
    caps = [
        (x.from_zone, x.to_zone, x.forward_w * per_slot // 3600, x.backward_w * per_slot // 3600)
        for x in lines
    ]
    by_id = {bid.id: bid for bid in bids}
    blocks = list(_blocks(bids)) if slots.start == 0 else []
    result = clear_with_blocks(orders, starts, Grid.of(min(zones, ZONES), caps), blocks, BAND)
    sold: dict[tuple[str, int], int] = {}
    for (_, _, _, source), filled, cell in zip(
        flat, result.zonal.filled_wh.tolist(), np.repeat(np.arange(len(cells)), np.diff(starts)).tolist(),
        strict=True,
    ):  # fmt: skip
        if source and filled:
            key = source, cell // zones
            sold[key] = sold.get(key, 0) - filled
    prices = result.zonal.price_ticks.copy()
    for taken in result.taken.values():
        source = taken.block.id.split("/")[0]
        for n, energy in enumerate(taken.block.wh(taken.milli).tolist()):
            t = taken.start + n
            if energy:
                sold[source, t] = sold.get((source, t), 0) - energy
                prices[t, taken.block.zone] = result.price_ticks[t, taken.block.zone]
    for (source, t), energy in sorted(sold.items()):
        bid = by_id[source]
        price = int(prices[t, bid.zone_id]) * BAND.micro_per_kwh_per_tick
        cleared.sales.append(
            Sale(source, bid.account or "", bid.aggregator_id, bid.resource_id, product, bid.zone_id,
                 day.slot_start(slots.start + t), per_slot, energy, price)
        )  # fmt: skip
    cleared.prices[product] = {
        str(z): [None if p == NO_PRICE else int(p) for p in prices[:, z].tolist()] for z in range(zones)
    }


def _steps(slots: range, bids: Iterable[FlexBid], requirements: Iterable[FlexRequirement]) -> Steps:
    steps: Steps = {}
    rows: list[tuple[str, int, list[list[list[int]]], str]] = [
        (row.id, row.zone_id or 0, row.ladders, "") for row in requirements
    ]
    rows += [(bid.id, bid.zone_id, bid.ladders, bid.id) for bid in bids]
    for name, zone, ladders, source in rows:
        for t, slot in enumerate(slots):
            for n, (price, energy) in enumerate(ladders[slot] if slot < len(ladders) else ()):
                order = hashlib.sha256(f"{name}/{slot}/{n}".encode()).digest()
                steps.setdefault((t, zone), []).append((order, price, energy, source))
    return steps


def _blocks(bids: Iterable[FlexBid]) -> Iterable[Block]:
    """Every bid's blocks, their ids and links made unique by the bid's id."""
    for bid in bids:
        bodies = [
            body | {"id": f"{bid.id}/{body['id']}",
                    "parent": f"{bid.id}/{body['parent']}" if body.get("parent") else None}
            for body in bid.blocks
        ]  # fmt: skip
        yield from blocks_of(bodies, bid.zone_id)


def clear_offers(
    day: TradingDay, offers: Sequence[tuple[FlexOffer, FlexCertificate | None]],
    requirements: Sequence[FlexRequirement],
) -> Cleared:  # fmt: skip
    """Buys capacity hour by hour; an offer that does not qualify any more is left out with its reason."""
    cleared = Cleared()
    hours = day.count // HOUR_SLOTS
    for product in sorted({row.product for row in requirements}):
        wanted = [row for row in requirements if row.product == product]
        own = [(row, proof) for row, proof in offers if row.product == product]
        cleared.refused |= {row.id: "the certificate expired" for row, proof in own if proof is None}
        sellers = {row.id: row for row, _ in own}
        prices: list[int | None] = []
        for hour in range(hours):
            start = day.slot_start(hour * HOUR_SLOTS)
            needed = sum(row.required_w[hour] for row in wanted)
            inside = [
                as_offer(row, proof) for row, proof in own if proof and row.start <= start and row.end > start
            ]
            if not needed or not inside:
                prices.append(None)
                continue
            cap = min(row.cap_micro_per_kw_h for row in wanted)
            result = clear_capacity(PRODUCTS[product], needed, inside, cap)
            cleared.refused |= {name: reason[:200] for name, reason in result.refused.items()}
            prices.append(result.price_micro_per_kw_h)
            for name, watts in sorted(result.awards_w.items()):
                row = sellers[name]
                cleared.sales.append(
                    Sale(name, row.account, row.aggregator_id, row.resource_id, product, None, start, 3600,
                         watts, result.price_micro_per_kw_h or 0)
                )  # fmt: skip
        cleared.prices[product] = prices
    return cleared


def needs(cleared: Cleared) -> Mapping[str, tuple[int, int]]:
    """(payment, penalty) at their most that each account's positions can come to, as FlexMarket locks
    them.
    """
    found: dict[str, tuple[int, int]] = {}
    for sales in cleared.positions():
        worth = sum(s.energy_wh for s in sales) * abs(sales[0].price_micro_per_kwh)
        payment, penalty = found.get(sales[0].account, (0, 0))
        found[sales[0].account] = (
            payment + (worth // 1000 if sales[0].price_micro_per_kwh > 0 else 0),
            penalty + -(-worth * 15 // 10_000),
        )
    return found
