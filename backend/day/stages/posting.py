"""Puts the clearing on chain: batch, prices, offers, chunks, finalisation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backend.chain.clients import BatchHeader, Market
from backend.chain.packing import pack_carbon, pack_prices, pack_sold, publication_hash, split_parts
from backend.chain.plan import Call
from backend.day.progress import Advance
from backend.day.stages.chunks import Chunk
from backend.day.stages.clearing import Cleared, price_table
from backend.day.stages.context import SOLVER, Context
from backend.day.stages.signing import SignedDay

COMPUTE_OFFERS_PER_CALL = 40
POWER_OFFERS_PER_CALL = 6
BATCH_ID = 1
"""The first batch of the deployment, which each run makes for itself."""


def batch_header(cleared: Cleared) -> BatchHeader:
    """The header of the batch; welfare rounds down and its bound up."""
    book, certificate = cleared.book, cleared.joint.certificate
    slots = book.slots
    carbon = pack_carbon(book.grid_carbon)
    return BatchHeader(
        slots.start,
        slots.slot_seconds,
        slots.count,
        len(book.zones),
        len(book.classes),
        publication_hash(slots.start, slots.slot_seconds, slots.count, len(book.zones), carbon),
        cleared.book_hash,
        cleared.solution_hash,
        certificate.welfare_milli // 1000 if certificate else 0,
        -(-certificate.bound_milli // 1000) if certificate else 0,
    )


def posting_calls(
    market: Market, cleared: Cleared, signed: SignedDay, chunks: Sequence[Chunk], batch_id: int = BATCH_ID
) -> Iterator[Call]:
    """Every transaction of the solver, in order."""
    book = cleared.book
    yield market.open_batch(batch_header(cleared))
    for part, data in enumerate(split_parts(pack_prices(price_table(book, cleared.joint)))):
        yield market.post_prices(batch_id, part, data)
    compute = [signed.compute_offers[offer.id] for offer in book.compute_offers]
    for at in range(0, len(compute), COMPUTE_OFFERS_PER_CALL):
        items = compute[at : at + COMPUTE_OFFERS_PER_CALL]
        orders, signatures = [item.order for item in items], [item.signature for item in items]
        yield market.add_compute_offers(batch_id, orders, signatures)
    power = [signed.power_offers[offer.id] for offer in book.power_offers]
    for at in range(0, len(power), POWER_OFFERS_PER_CALL):
        rows = range(at, min(at + POWER_OFFERS_PER_CALL, len(power)))
        yield market.add_power_offers(
            batch_id,
            [power[row].order for row in rows],
            [power[row].signature for row in rows],
            [signed.profiles[power[row].id] for row in rows],
            [pack_sold(cleared.joint.sold[row]) for row in rows],
        )
    for chunk in chunks:
        orders_of = [item.order for item in chunk.orders]
        signatures_of = [item.signature for item in chunk.orders]
        yield market.clear_chunk(batch_id, chunk.index, orders_of, signatures_of, chunk.data.runs)
    yield market.finalize(batch_id)


def post_clearing(
    context: Context, cleared: Cleared, signed: SignedDay, chunks: Sequence[Chunk], progress: Advance
) -> None:
    """Sends the clearing; a refusal by the contract ends the run with its reason."""
    calls = posting_calls(Market(context.book), cleared, signed, chunks)
    context.send("clear", SOLVER, calls, progress)
