"""One clearing over several processes or machines: independent groups of the market, and blocks of one group.

Groups share no zone, line or order, so each clears by itself and the results are put together: nothing is
lost. One group is cut into blocks, each with a share of its orders and the same share of all supply; the
blocks clear apart and tell their prices, the mean of which is where the next round of blocks begins, and
at last one clearing of the whole group. Only orders and prices travel. In this process by default; on Ray
where an address is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from backend.market.assets import Assets, Dispatch, Ints, Positions
from backend.market.certificate import certify
from backend.market.domain import Book, Fills, PowerOffer, Solution

Task = tuple[Book, str, str, Solution | None]
Map = Callable[[Sequence[Task]], list[Solution]]
ROUNDS = 2  # of blocks, before the whole is cleared


def clear_spread(book: Book, mechanism: str, effort: str, ray: str, blocks: int = 2) -> Solution:
    """Clears `book` by groups, or by blocks where it is one group.

    `ray` is an address, "local" (Ray on this machine with `blocks` workers), or "none" (in this process: the
    same result without Ray). Raises ValueError for fewer than one block.
    """
    if blocks < 1:
        raise ValueError(f"blocks = {blocks}: give at least 1")
    parts = groups(book)
    with _workers(ray, max(blocks, 1)) as run:
        if len(parts) > 1:
            return joined(book, parts, run([(part, mechanism, effort, None) for part in parts]))
        start: Solution | None = None
        if blocks > 1 and len(book.orders) >= blocks:
            cut = blocks_of(book, blocks)
            for _ in range(ROUNDS):
                start = mean_prices(run([(block, mechanism, effort, start) for block in cut]))
    return clear_one((book, mechanism, effort, start))


def clear_one(task: Task) -> Solution:
    """Clears one part; what a worker runs."""
    from backend.market.clearing import clear

    book, mechanism, effort, start = task
    return clear(book, mechanism, effort, last=start)  # type: ignore[arg-type]


def groups(book: Book) -> list[Book]:
    """The parts of `book` that have no zone in common, by order or by line; a zone without orders is one
    too."""
    zones = book.zone_index()
    home = list(range(len(zones)))

    def find(z: int) -> int:
        while home[z] != z:
            z = home[z]
        return z

    known = sum(1 << zone.id for zone in book.zones)
    for mask in np.unique(book.orders.zone_mask).tolist():
        inside = [zones[z] for z in range(64) if mask & known & 1 << z]
        for z in inside[1:]:
            home[find(z)] = find(inside[0])
    for line in book.assets.lines:
        home[find(zones[line.from_zone_id])] = find(zones[line.to_zone_id])
    roots = sorted({find(z) for z in range(len(zones))})
    if len(roots) < 2:
        return [book]
    return [_part(book, {book.zones[z].id for z in range(len(zones)) if find(z) == root}) for root in roots]


def _part(book: Book, zone_ids: set[int]) -> Book:
    rows = [n for n, zone in enumerate(book.zones) if zone.id in zone_ids]
    mask = np.uint64(sum(1 << z for z in zone_ids))
    orders = book.orders.take(np.flatnonzero(book.orders.zone_mask & mask))
    compute = tuple(o for o in book.compute_offers if o.zone_id in zone_ids)
    power = tuple(o for o in book.power_offers if o.zone_id in zone_ids)
    ids = {o.id for o in compute} | {o.id for o in power}
    a, p = book.assets, book.positions
    return replace(
        book,
        zones=tuple(book.zones[n] for n in rows),
        compute_offers=compute,
        power_offers=power,
        grid_carbon=book.grid_carbon[rows],
        orders=orders,
        assets=Assets(
            tuple(x for x in a.flexibilities if x.zone_id in zone_ids),
            tuple(x for x in a.storages if x.zone_id in zone_ids),
            tuple(x for x in a.lines if x.from_zone_id in zone_ids),
        ),
        positions=Positions(
            tuple(x for x in p.compute if x.offer_id in ids), tuple(x for x in p.power if x.offer_id in ids)
        ),
    )


def joined(book: Book, parts: Sequence[Book], solved: Sequence[Solution]) -> Solution:
    """The solution of `book` from those of its groups, certified anew."""
    zones = book.zone_index()
    order_row = {name: n for n, name in enumerate(book.orders.id.tolist())}
    seller_row = {offer.id: n for n, offer in enumerate(book.sellers())}
    power_row = {offer.id: n for n, offer in enumerate(book.power_offers)}
    slots = book.slots.count
    compute = np.zeros((len(book.classes), len(zones), 2, slots), dtype=np.int64)
    energy = np.zeros((len(zones), 2, slots), dtype=np.int64)
    sold = np.zeros((len(power_row), slots), dtype=np.int64)
    dispatch = Dispatch.idle(book.assets, slots)
    columns: list[list[Ints]] = [[], [], [], [], []]
    for part, one in zip(parts, solved, strict=True):
        rows = [zones[zone.id] for zone in part.zones]
        compute[:, rows], energy[rows] = one.compute_price, one.energy_price
        orders = np.array([order_row[name] for name in part.orders.id.tolist()], dtype=np.int64)
        sellers = np.array([seller_row[offer.id] for offer in part.sellers()], dtype=np.int64)
        f = one.fills
        for column, values in zip(
            columns, (orders[f.order], sellers[f.offer], f.mode, f.slot, f.lanes), strict=True
        ):
            column.append(values)
        if len(part.power_offers):
            sold[[power_row[offer.id] for offer in part.power_offers]] = one.sold
        for name, all_, mine in (
            ("flexibilities", (dispatch.shed, dispatch.raised), (one.dispatch.shed, one.dispatch.raised)),
            (
                "storages",
                (dispatch.charge, dispatch.discharge),
                (one.dispatch.charge, one.dispatch.discharge),
            ),
            ("lines", (dispatch.flow,), (one.dispatch.flow,)),
        ):
            at = {x.id: n for n, x in enumerate(getattr(book.assets, name))}
            here = [at[x.id] for x in getattr(part.assets, name)]
            for whole, table in zip(all_, mine, strict=True):
                if here and len(table):
                    whole[here] = table
    reasons = sorted({one.reason for one in solved if one.reason})
    filled = any(len(one.fills) for one in solved)
    bare = Solution(
        solved[0].mechanism, compute, energy, Fills.of(*(np.concatenate(c) for c in columns)), sold,
        solved[0].uniform, None, "" if filled or not reasons else reasons[0],
        dispatch if book.assets else Dispatch(),
    )  # fmt: skip
    return replace(bare, certificate=certify(book, bare)) if bare.uniform else bare


def blocks_of(book: Book, count: int) -> list[Book]:
    """`count` books of a share of the orders each, drawn at random, and the same share of all supply."""
    drawn = np.random.default_rng(20_171_012).permutation(len(book.orders))
    plain = replace(book, assets=Assets(), positions=Positions(), power_offers=book.open_power())
    return [
        replace(
            plain,
            orders=book.orders.take(np.sort(drawn[n::count])),
            compute_offers=tuple(
                replace(o, capacity=_share(o.capacity, n + i, count))
                for i, o in enumerate(book.compute_offers)
            ),
            power_offers=tuple(_less_power(o, n, count) for o in plain.power_offers),
        )
        for n in range(count)
    ]


def _share(amount: int, n: int, count: int) -> int:
    return amount // count + int(n % count < amount % count)


def _less_power(offer: PowerOffer, n: int, count: int) -> PowerOffer:
    wh = offer.wh
    return replace(offer, wh=wh // count + (n < wh % count))


def mean_prices(solved: Sequence[Solution]) -> Solution:
    """The mean of the blocks' prices, as a solution to start from."""
    first = solved[0]
    return replace(
        first,
        compute_price=np.mean([one.compute_price for one in solved], axis=0).astype(np.int64),
        energy_price=np.mean([one.energy_price for one in solved], axis=0).astype(np.int64),
        fills=Fills.empty(),
        certificate=None,
    )


@contextmanager
def _workers(ray: str, count: int) -> Iterator[Map]:
    """Runs tasks here ("none") or on Ray, which is imported only then and left running if it was running."""
    if ray == "none":
        yield lambda tasks: [clear_one(task) for task in tasks]
        return
    import ray as cluster

    started = not cluster.is_initialized()
    if started:
        options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
        options |= {"num_cpus": count} if ray == "local" else {"address": ray}
        cluster.init(**options)
    work = cluster.remote(num_cpus=1)(clear_one)
    try:
        yield lambda tasks: list(cluster.get([work.remote(task) for task in tasks]))
    finally:
        if started:
            cluster.shutdown()
