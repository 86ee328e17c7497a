"""Cuts the clearing into chunks that each fit one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from backend.chain.clients import ChunkData
from backend.chain.keccak import address_bytes
from backend.chain.orders import BundleOrder
from backend.chain.packing import pack_runs
from backend.day.stages.signing import Signed
from backend.market.domain import Book, Run

CHUNK_ORDERS = 80
CHUNK_RUNS = 400
CHUNK_RUN_SLOTS = 2_000
"""Limits of one `clearChunk`: orders, runs, and slots summed over runs (gas follows them)."""


@dataclass(frozen=True)
class Chunk:
    """Orders cleared in one transaction. `runs` are (orderIdx, offerIdx, mode, start, end, lanes), sorted."""

    index: int
    orders: tuple[Signed[BundleOrder], ...]
    runs: tuple[tuple[int, int, int, int, int, int], ...]

    @cached_property
    def data(self) -> ChunkData:
        """The chunk as its commitment holds it."""
        return ChunkData(
            tuple(item.order.maker for item in self.orders),
            tuple(bytes.fromhex(item.id[2:]) for item in self.orders),
            pack_runs(list(self.runs)),
        )

    @cached_property
    def active_slots(self) -> tuple[int, ...]:
        """Slots in which at least one run is active, ascending."""
        return tuple(sorted({slot for run in self.runs for slot in range(run[3], run[4])}))

    def active_runs(self, slot: int) -> list[int]:
        """Indices of the runs active in `slot`, in run order."""
        return [index for index, run in enumerate(self.runs) if run[3] <= slot < run[4]]


def make_chunks(book: Book, runs: Sequence[Run], signed: dict[str, Signed[BundleOrder]]) -> list[Chunk]:
    """Chunks of all filled orders. Orders that run at the same time and of one maker stand together; in a
    chunk makers ascend, as the market wants them.

    The offer index of a run is the offer's position in the book, which is the order they are posted in.
    """
    by_order: dict[int, list[Run]] = {}
    for run in runs:
        by_order.setdefault(run.order, []).append(run)
    ids = [str(identity) for identity in book.orders.id]

    def place(order: int) -> tuple[int, str, str]:
        first = min(run.start_slot for run in by_order[order])
        return first // 8, signed[ids[order]].order.maker, ids[order]

    groups: list[list[int]] = []
    run_count = run_slots = 0
    for order in sorted(by_order, key=place):
        mine = by_order[order]
        slots = sum(run.end_slot - run.start_slot for run in mine)
        full = (
            not groups
            or len(groups[-1]) == CHUNK_ORDERS
            or run_count + len(mine) > CHUNK_RUNS
            or run_slots + slots > CHUNK_RUN_SLOTS
        )
        if full:
            groups.append([])
            run_count = run_slots = 0
        groups[-1].append(order)
        run_count += len(mine)
        run_slots += slots

    def by_maker(order: int) -> tuple[bytes, str]:
        return address_bytes(signed[ids[order]].order.maker), ids[order]

    return [
        _chunk(index, sorted(group, key=by_maker), book, by_order, ids, signed)
        for index, group in enumerate(groups)
    ]


def _chunk(
    index: int,
    group: Sequence[int],
    book: Book,
    by_order: dict[int, list[Run]],
    ids: Sequence[str],
    signed: dict[str, Signed[BundleOrder]],
) -> Chunk:
    rows = [
        (position, run.offer, run.mode, run.start_slot, run.end_slot, run.lanes)
        for position, order in enumerate(group)
        for run in by_order[order]
    ]
    # the market takes them by order and zone; the rest of the key only fixes the order
    rows.sort(key=lambda row: (row[0], book.compute_offers[row[1]].zone_id, row[3], *row))
    return Chunk(index, tuple(signed[ids[order]] for order in group), tuple(rows))
