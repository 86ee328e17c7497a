"""Turns final reports and their bundles into settlement calls: meter pools, settle chunks, pay pools.

Pure: the same chain, clearing and bundles give the same calls in the same order, whoever sends them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backend.chain.clients import Settlement
from backend.chain.packing import credit_key
from backend.chain.plan import Call
from backend.day.run_state import DriverError
from backend.day.stages.chunks import Chunk
from backend.market.domain import GREEN, GREY, Book, Solution
from oracle.wire.bundle import Bundle
from oracle.wire.merkle import MerkleTree
from oracle.wire.reading import Leaf

GENERATION = 1
SETTLE_RUN_SLOTS = 260
SETTLE_SLOTS = 48
"""Limits of one `settleChunk`: slots summed over runs, and slots."""
PAY_SLOTS = 24
"""Slots of a zone in one `payPools`."""
CLAIM_ACCOUNTS = 100
"""Accounts of one `claimCredits`."""
_NO_READING = (0,) * 9 + (bytes(32),) * 3


class ReportMissing(DriverError):
    """A slot in which something was sold has no bundle to settle by."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        super().__init__(
            f"slot {slot} was sold but no report covers it: wait for the committee, or refund it"
        )


@dataclass(frozen=True)
class SlotEvidence:
    """One epoch's bundle, ready for proofs."""

    readings: MerkleTree
    outcomes: MerkleTree
    generation: Mapping[int, Leaf]
    packed: Mapping[int, tuple[bytes, bytes]]

    @staticmethod
    def of(bundle: Bundle, batch_id: int) -> SlotEvidence:
        """A bundle's trees; `generation` by meter (of exactly this slot), `packed` by chunk with its leaf."""
        leaves = bundle.leaves()
        generation = {
            leaf.reading.meter_id: leaf
            for leaf in leaves
            if leaf.reading.kind == GENERATION
            and (leaf.reading.start, leaf.reading.end) == (bundle.start, bundle.end)
        }
        outcomes = [(outcome, outcome.leaf()) for outcome in bundle.outcomes]
        return SlotEvidence(
            MerkleTree.of(leaf.hash() for leaf in leaves) if generation else MerkleTree.of(()),
            MerkleTree.of(leaf for _, leaf in outcomes),
            generation,
            {
                outcome.chunk_index: (outcome.packed, leaf)
                for outcome, leaf in outcomes
                if outcome.batch_id == batch_id
            },
        )


def green_pools(book: Book, solution: Solution) -> list[tuple[int, int]]:
    """(slot, zone id) of every green pool in which something was sold."""
    pools = set()
    for row, offer in enumerate(book.power_offers):
        if offer.mode == GREEN:
            pools |= {(int(slot), offer.zone_id) for slot in solution.sold[row].nonzero()[0]}
    return sorted(pools)


def meter_calls(
    client: Settlement,
    batch_id: int,
    book: Book,
    pools: Sequence[tuple[int, int]],
    meter_of: Mapping[int, int],
    evidence: Mapping[int, SlotEvidence],
) -> Iterator[Call]:
    """Step 1 of every green pool; a plant without a reading of the slot is marked missing."""
    for slot, zone in pools:
        if slot not in evidence:
            raise ReportMissing(slot)
        found = evidence[slot]
        positions: list[object] = []
        for offer in book.power_offers:
            if offer.mode != GREEN or offer.zone_id != zone:
                continue
            leaf = found.generation.get(meter_of[offer.plant_id])
            if leaf is None:
                positions.append((True, _NO_READING, []))
            else:
                positions.append((False, reading_tuple(leaf), found.readings.proof(leaf.hash())))
        yield client.meter_pool(batch_id, slot, zone, positions)


def reading_tuple(leaf: Leaf) -> tuple[object, ...]:
    """The twelve words of a leaf as the contract's struct."""
    reading = leaf.reading
    return (
        int(reading.kind),
        reading.meter_id,
        int.from_bytes(reading.agreement_id, "big"),
        reading.seq,
        reading.start,
        reading.end,
        reading.quantity,
        reading.register,
        leaf.quality,
        leaf.key_id,
        leaf.evidence_hash,
        leaf.payload_hash,
    )


def settle_calls(
    client: Settlement, batch_id: int, chunks: Sequence[Chunk], evidence: Mapping[int, SlotEvidence]
) -> Iterator[Call]:
    """Step 2: every chunk's active slots, as many in one transaction as its gas allows."""
    for chunk in chunks:
        for group in slot_groups(chunk):
            packed: list[bytes] = []
            proofs: list[list[bytes]] = []
            for slot in group:
                if slot not in evidence or chunk.index not in evidence[slot].packed:
                    raise ReportMissing(slot)
                data, leaf = evidence[slot].packed[chunk.index]
                packed.append(data)
                proofs.append(evidence[slot].outcomes.proof(leaf))
            yield client.settle_chunk(batch_id, chunk.index, chunk.data, group, packed, proofs)


def slot_groups(chunk: Chunk) -> list[list[int]]:
    """The chunk's active slots in groups whose runs are few enough for one transaction."""
    groups: list[list[int]] = []
    weight = 0
    for slot in chunk.active_slots:
        active = len(chunk.active_runs(slot))
        if not groups or weight + active > SETTLE_RUN_SLOTS or len(groups[-1]) == SETTLE_SLOTS:
            groups.append([])
            weight = 0
        groups[-1].append(slot)
        weight += active
    return groups


def pay_calls(client: Settlement, batch_id: int, pools: Sequence[tuple[int, int]]) -> Iterator[Call]:
    """Step 3: every green pool, the slots of a zone together as far as one transaction's gas goes."""
    slots: dict[int, list[int]] = {}
    for slot, zone in pools:
        slots.setdefault(zone, []).append(slot)
    for zone, found in sorted(slots.items()):
        for at in range(0, len(found), PAY_SLOTS):
            yield client.pay_pools(batch_id, found[at : at + PAY_SLOTS], zone)


def has_missing(
    book: Book,
    pools: Sequence[tuple[int, int]],
    meter_of: Mapping[int, int],
    evidence: Mapping[int, SlotEvidence],
) -> bool:
    """Whether a plant of these pools has no reading: marked missing, it lets its pool wait for its pay."""
    return any(
        offer.mode == GREEN
        and offer.zone_id == zone
        and meter_of[offer.plant_id] not in evidence[slot].generation
        for slot, zone in pools
        for offer in book.power_offers
    )


def claim_calls(client: Settlement, start: int, book: Book, chunks: Sequence[Chunk]) -> Iterator[Call]:
    """Mints what the buyers of green runs have earned, by zone; a batch's credits are of its first month."""
    earners: dict[int, set[str]] = {}
    for chunk in chunks:
        for order, offer, mode, *_ in chunk.runs:
            if mode == GREEN:
                zone = book.compute_offers[offer].zone_id
                earners.setdefault(zone, set()).add(chunk.orders[order].order.maker)
    for zone, makers in sorted(earners.items()):
        accounts = sorted(makers)
        for at in range(0, len(accounts), CLAIM_ACCOUNTS):
            yield client.claim_credits(credit_key(start, zone), accounts[at : at + CLAIM_ACCOUNTS])


def release_calls(client: Settlement, batch_id: int, book: Book, solution: Solution) -> Iterator[Call]:
    """What grid accounts locked for negative prices and may have back."""
    zones = book.zone_index()
    for row, offer in enumerate(book.power_offers):
        if offer.mode != GREY:
            continue
        prices = solution.energy_price[zones[offer.zone_id], GREY]
        for slot in solution.sold[row].nonzero()[0]:
            if prices[slot] < 0:
                yield client.release_grid(batch_id, int(slot), offer.zone_id)
