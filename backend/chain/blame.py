"""A refused chunk without the orders to blame: which order a revert names, and the chunk without it.

A revert leaves no trace, so a chunk can be sent again. What an order that is left out would have bought is
bought by nobody: sell that much less (`freed_lanes`) before the power offers are posted, or clear the book
again without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backend.chain.clients import Market
from backend.chain.eip712 import Domain, order_digest
from backend.chain.errors import Reverted
from backend.chain.orders import BundleOrder
from backend.chain.packing import pack_runs, unpack_runs
from backend.chain.plan import Call


@dataclass(frozen=True, slots=True)
class OpenChunk:
    """Signed orders by ascending maker and their packed runs, not yet on chain."""

    orders: tuple[BundleOrder, ...]
    signatures: tuple[bytes, ...]
    runs: bytes


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An order that the market refused, and its sentence why."""

    order: BundleOrder
    reason: str


def blamed(refusal: Reverted, chunk: OpenChunk, domain: Domain) -> int | None:
    """Place of the order that a refusal names; None where it names none (a site's capacity ran out)."""
    named = refusal.arguments
    runs = unpack_runs(chunk.runs)
    if isinstance(place := named.get("orderIdx"), int) and place < len(chunk.orders):
        return place
    if isinstance(run := named.get("runIdx"), int) and run < len(runs):
        return runs[run][0] if runs[run][0] < len(chunk.orders) else None
    digest = named.get("hash")
    if digest is not None:
        text = digest.hex() if isinstance(digest, bytes) else str(digest)
        for at, order in enumerate(chunk.orders):
            if order_digest(order, domain).hex() == text.removeprefix("0x"):
                return at
    for name, field in (("nonce", "nonce"), ("maker", "maker"), ("account", "maker")):
        value = named.get(name)
        if value is not None:
            text = str(value).lower()
            found = [
                at for at, order in enumerate(chunk.orders) if str(getattr(order, field)).lower() == text
            ]
            # of a maker without money the last order goes first
            if found and (name != "nonce" or len(found) == 1):
                return found[-1]
    return None


def without(chunk: OpenChunk, place: int) -> OpenChunk:
    """The chunk without the order at `place`; the orders behind it move up."""
    runs = [(order - (order > place), *rest) for order, *rest in unpack_runs(chunk.runs) if order != place]
    return OpenChunk(
        chunk.orders[:place] + chunk.orders[place + 1 :],
        chunk.signatures[:place] + chunk.signatures[place + 1 :],
        pack_runs([(a, b, c, d, e, f) for a, b, c, d, e, f in runs]),
    )


def freed_lanes(chunk: OpenChunk, place: int) -> dict[tuple[int, int, int], int]:
    """Lanes by (offer, mode, slot) that nobody buys without the order at `place`."""
    freed: dict[tuple[int, int, int], int] = {}
    for order, offer, mode, start, end, lanes in unpack_runs(chunk.runs):
        for slot in range(start, end) if order == place else ():
            freed[offer, mode, slot] = freed.get((offer, mode, slot), 0) + lanes
    return freed


def send_without_refused(
    market: Market,
    batch_id: int,
    index: int,
    chunk: OpenChunk,
    domain: Domain,
    send: Callable[[Call], object],
) -> tuple[OpenChunk | None, list[LeftOut]]:
    """Sends a chunk, and again without each order that the market names in its refusal.

    Returns what was taken (None if nothing was left) and what was left out. Raises Reverted where a refusal
    names no order of the chunk. `send` raises Reverted with nothing sent, or with what it sent undone.
    """
    left_out: list[LeftOut] = []
    while chunk.orders:
        try:
            send(market.clear_chunk(batch_id, index, chunk.orders, chunk.signatures, chunk.runs))
        except Reverted as refusal:
            place = blamed(refusal, chunk, domain)
            if place is None:
                raise
            left_out.append(LeftOut(chunk.orders[place], refusal.sentence))
            chunk = without(chunk, place)
        else:
            return chunk, left_out
    return None, left_out
