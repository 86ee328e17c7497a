"""Orders and offers: who signed, whether it was still valid, and whether its own terms were kept."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

from audit.eip712 import STRUCTS, digest, domain_separator, keccak, recover, struct_hash
from audit.facts import Batch, Chunk, Facts, Place, Run, Signed
from audit.formulas import GREEN, GREY
from audit.verdict import Result, Tally, check

NO_CARBON_CAP = 0xFFFFFFFF
FILL_OR_KILL = 2


def groups(facts: Facts) -> Iterator[tuple[Signed, ...]]:
    """Orders and offers as they came to the chain: the offers of a batch, the orders of a chunk."""
    for batch in facts.batches:
        yield from (batch.compute_offers, batch.power_offers, *(chunk.orders for chunk in batch.chunks))


def every_signed(facts: Facts) -> Iterator[tuple[str, Signed, bytes]]:
    """Every order and offer on chain with what it is and its EIP-712 digest."""
    for items in groups(facts):
        for item in items:
            yield item.kind, item, identity(facts, item)


def identity(facts: Facts, item: Signed) -> bytes:
    """The EIP-712 digest of an order or offer, which is also its id on chain and in the archive."""
    known = _identities(facts).get(id(item))
    return known if known is not None else _identity(facts, item)


@lru_cache(maxsize=1)
def _identities(facts: Facts) -> dict[int, bytes]:
    """Digests by the object of the order or offer, which the facts keep alive."""
    return {id(item): _identity(facts, item) for items in groups(facts) for item in items}


def _identity(facts: Facts, item: Signed) -> bytes:
    separator = domain_separator("BitWatt", "1", facts.chain_id, facts.address("BundleMarket"))
    return digest(separator, struct_hash(STRUCTS[item.kind], item.terms))


def title(kind: str, item: Signed, hashed: bytes | None = None) -> str:
    """How findings call an order or offer."""
    shown = f" 0x{hashed.hex()}" if hashed else ""
    where = f"chunk {item.chunk} order {item.index}" if kind == "order" else f"{kind} {item.index}"
    return f"batch {item.batch_id} {where}{shown} of {item.maker}"


def filled(chunk: Chunk) -> Iterator[tuple[Signed, list[Run]]]:
    """Each order of a chunk with its runs, in chunk order; orders without a run are left out."""
    runs: dict[int, list[Run]] = defaultdict(list)
    for run in chunk.runs:
        runs[run.order].append(run)
    for order in chunk.orders:
        if order.index in runs:
            yield order, runs[order.index]


def order_fills(facts: Facts) -> Iterator[tuple[Batch, Chunk, Signed, list[Run]]]:
    """Every cleared order with its batch, chunk and runs."""
    for batch in facts.batches:
        for chunk in batch.chunks:
            for order, runs in filled(chunk):
                yield batch, chunk, order, runs


@check("orders.calldata", "BundleMarket.clearChunk: the signed orders are visible")
def calldata(facts: Facts) -> Result:
    tally = Tally()
    for batch in facts.batches:
        for chunk in batch.chunks:
            tally.count()
            if len(chunk.orders) != len(chunk.order_hashes):
                text = f"{len(chunk.orders)} orders in the transaction {chunk.place.tx}"
                tally.doubt(chunk.name(), f"{len(chunk.order_hashes)} signed orders in calldata", text)
    return tally.result()


@check("orders.signature", "EIP-712 domain BitWatt/1, EIP-1271; BundleMarket")
def signature(facts: Facts) -> Result:
    tally = Tally()
    separator = domain_separator("BitWatt", "1", facts.chain_id, facts.address("BundleMarket"))
    for items in groups(facts):
        tally.count(len(items))
        messages = [digest(separator, i.together) if i.together else identity(facts, i) for i in items]
        note = signers_note(items, messages)
        if facts.memo.knows(note):
            continue
        strangers = [
            (item, message)
            for item, message in zip(items, messages, strict=True)
            if recover(message, item.signature) != item.maker
        ]
        if not strangers and items:
            facts.memo.note(note)
        for item, message in strangers:
            _of_contract(tally, facts, item, message)
    return tally.result()


def signers_note(items: Sequence[Signed], messages: Sequence[bytes]) -> bytes:
    """A hash over all that decides who signed a group of orders or offers with a key."""
    hashed = hashlib.sha256(b"orders.signature/1")
    for item, message in zip(items, messages, strict=True):
        for part in (message, item.signature, item.maker.encode()):
            hashed.update(len(part).to_bytes(4, "big") + part)
    return hashed.digest()


def _of_contract(tally: Tally, facts: Facts, item: Signed, message: bytes) -> None:
    """A signature that its maker's key did not make holds if the maker is a contract that says so."""
    answer = facts.contract_signatures.get((item.maker, message))
    if answer is True:
        return
    where = title(item.kind, item, identity(facts, item))
    if answer is None and item.maker in facts.unknown_signers:
        tally.doubt(where, "EIP-1271 answer of the maker", f"none for block {item.place.block}")
    else:
        signer = recover(message, item.signature)
        tally.fail(where, f"signature of {item.maker}", f"signed by {signer or 'nobody'}")


@check("orders.hash", "EIP-712 digest; event ChunkCleared, OrderCleared")
def order_hash(facts: Facts) -> Result:
    tally = Tally()
    for batch in facts.batches:
        for chunk in batch.chunks:
            for order in chunk.orders:
                hashed = identity(facts, order)
                where = title("order", order)
                tally.equal(where, chunk.order_hashes[order.index], hashed)
                tally.equal(where + " maker", chunk.makers[order.index].lower(), order.maker)
    return tally.result()


@check("orders.profile", "PowerOffer.profileHash = keccak256(profile)")
def profile(facts: Facts) -> Result:
    tally = Tally()
    for batch in facts.batches:
        for offer in batch.power_offers:
            tally.equal(title("power offer", offer), offer.terms["profileHash"], keccak(offer.profile))
    return tally.result()


@check("orders.alive", "BundleMarket events of cancellation and epoch; expiry against the block's time")
def alive(facts: Facts) -> Result:
    tally = Tally()
    for kind, item, hashed in every_signed(facts):
        where = title(kind, item, hashed)
        place = item.place
        cancelled = facts.cancelled.get((item.maker, item.terms["nonce"]))
        if cancelled is not None and cancelled < place and not _reopened(facts, item, cancelled):
            tally.fail(where, f"nonce {item.terms['nonce']} not cancelled", f"cancelled in {cancelled.tx}")
        epoch = max((new for at, new in facts.epochs.get(item.maker, ()) if at < place), default=0)
        tally.equal(where + " epoch", epoch, item.terms["epoch"])
        expiry = item.terms["expiry"]
        in_time = place.timestamp <= expiry
        tally.true(in_time, where + " expiry", f"used until {expiry}", f"used at {place.timestamp}")
    return tally.result()


def _reopened(facts: Facts, item: Signed, cancelled: Place) -> bool:
    """Whether a queued nonce was cancelled in an earlier epoch than the order's."""
    epoch = max((new for at, new in facts.epochs.get(item.maker, ()) if at < cancelled), default=0)
    return is_queued(item.terms["nonce"]) and epoch < item.terms["epoch"]


def is_queued(nonce: int) -> bool:
    """Nonces [2^52, 2^52 + 2^24) start anew in every epoch."""
    return nonce >> 24 == 1 << 28


@check("orders.window", "MECHANISM feasible: window, zone, class; SPEC order terms")
def window(facts: Facts) -> Result:
    tally = Tally()
    for batch, chunk, order, runs in order_fills(facts):
        terms = order.terms
        where = title("order", order, chunk.order_hashes[order.index])
        span = f"inside [{terms['start']}, {terms['deadline']})"
        for run in runs:
            begin = batch.start + run.start_slot * batch.slot_seconds
            end = batch.start + run.end_slot * batch.slot_seconds
            inside = terms["start"] <= begin < end <= terms["deadline"] and run.end_slot <= batch.slots
            tally.true(inside, f"{where} run {run.index}", span, f"[{begin}, {end})")
            if run.offer >= len(batch.compute_offers):
                tally.fail(f"{where} run {run.index}", "an offer of the batch", f"offer {run.offer}")
                continue
            offer = batch.compute_offers[run.offer].terms
            tally.equal(f"{where} run {run.index} class", terms["classId"], offer["classId"])
            allowed = terms["zoneMask"] >> offer["zoneId"] & 1
            tally.true(allowed, f"{where} run {run.index}", "an allowed zone", f"zone {offer['zoneId']}")
    return tally.result()


@check("orders.quantity", "MECHANISM feasible: whole lanes per zone, rate, minimum; event OrderCleared")
def quantity(facts: Facts) -> Result:
    tally = Tally()
    ever: dict[tuple[str, int, int], int] = defaultdict(int)
    for batch, chunk, order, runs in order_fills(facts):
        terms, hashed = order.terms, chunk.order_hashes[order.index]
        where = title("order", order, hashed)
        by_zone: dict[int, list[Run]] = defaultdict(list)
        for run in runs:
            if run.offer < len(batch.compute_offers):
                by_zone[batch.compute_offers[run.offer].terms["zoneId"]].append(run)
        duration, lanes = max(terms["durationSlots"], 1), 0
        for zone, inside in by_zone.items():
            slots = vcu_slots(inside)
            due = f"lanes of {duration} whole slots in zone {zone}"
            tally.true(slots % duration == 0, where, due, f"{slots} VCU-slots")
            rate = max(_rate(inside))
            due = f"at most {slots // duration} lanes in a slot in zone {zone}"
            tally.true(rate <= slots // duration, where, due, rate)
            lanes += slots // duration
        least = max(terms["lanes"] if terms["kind"] == FILL_OR_KILL else terms["minLanes"], 1)
        tally.true(lanes >= least, where, f"at least {least} lanes", lanes)
        told = chunk.lanes_filled.get(hashed)
        if told is not None:
            tally.equal(where + " lanesFilled", lanes, told[0])
        key = order.maker, terms["nonce"], terms["epoch"] if is_queued(terms["nonce"]) else 0
        ever[key] += lanes if batch.voided is None else 0
        tally.true(ever[key] <= terms["lanes"], where, f"at most {terms['lanes']} lanes ever", ever[key])
    return tally.result()


def vcu_slots(runs: list[Run]) -> int:
    """VCU-slots of runs."""
    return sum(run.lanes * (run.end_slot - run.start_slot) for run in runs)


def _rate(runs: list[Run]) -> list[int]:
    load: dict[int, int] = defaultdict(int)
    for run in runs:
        for slot in range(run.start_slot, run.end_slot):
            load[slot] += run.lanes
    return list(load.values()) or [0]


@check("orders.green", "MECHANISM rational: green share of the filled VCU-slots")
def green(facts: Facts) -> Result:
    tally = Tally()
    for _, chunk, order, runs in order_fills(facts):
        total = vcu_slots(runs)
        share = vcu_slots([run for run in runs if run.mode == GREEN])
        enough = share * 10_000 >= order.terms["minGreenBps"] * total
        where = title("order", order, chunk.order_hashes[order.index])
        tally.true(enough, where, f"{order.terms['minGreenBps']} bps of {total} VCU-slots green", share)
    return tally.result()


@check("orders.carbon", "MECHANISM feasible: maxCarbon masks grey cells")
def carbon(facts: Facts) -> Result:
    tally = Tally()
    for batch, chunk, order, runs in order_fills(facts):
        cap = order.terms["maxCarbon"]
        if batch.prices is None or cap == NO_CARBON_CAP:
            continue
        for run in runs:
            if run.mode != GREY or run.offer >= len(batch.compute_offers):
                continue
            zone = batch.compute_offers[run.offer].terms["zoneId"]
            worst = int(batch.prices.grid_carbon[zone, run.start_slot : run.end_slot].max(initial=0))
            where = f"{title('order', order, chunk.order_hashes[order.index])} run {run.index}"
            tally.true(worst <= cap, where, f"grey slots of at most {cap} g/kWh", f"{worst} g/kWh")
    return tally.result()


@check("orders.limit", "MECHANISM rational: cost <= limit; event OrderCleared")
def limit(facts: Facts) -> Result:
    tally = Tally()
    for batch, chunk, order, runs in order_fills(facts):
        if batch.prices is None or any(run.offer >= len(batch.compute_offers) for run in runs):
            continue
        total = vcu_slots(runs)
        cost = sum(run_cost(batch, run) for run in runs)
        hashed = chunk.order_hashes[order.index]
        where = title("order", order, hashed)
        most = order.terms["limitPrice"] * total
        tally.true(cost <= most, where, f"cost at most {most} micro", cost)
        told = chunk.lanes_filled.get(hashed)
        if told is not None:
            tally.equal(where + " costMicro", cost, told[1])
    return tally.result()


def run_cost(batch: Batch, run: Run) -> int:
    """Bundle price of a run over its slots, micro-units."""
    assert batch.prices is not None
    terms = batch.compute_offers[run.offer].terms
    row = batch.prices.compute[terms["classId"], terms["zoneId"], run.mode, run.start_slot : run.end_slot]
    return run.lanes * int(row.sum())


CHECKS = (calldata, signature, order_hash, profile, alive, window, quantity, green, carbon, limit)
