"""Settlement: F15 and F5 recomputed for every run and slot, and that each was settled once."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from audit.abi import Event
from audit.facts import Batch, Chunk, Facts, ReportFact, Run
from audit.formulas import GREEN, Payment, pay_run_slot
from audit.verdict import Result, Tally, check

Key = tuple[int, int, int]
SLOT = ("batchId", "chunkIndex", "slot")


@dataclass(frozen=True, slots=True)
class Settled:
    """One run in one settled slot with what F15 gives for it."""

    batch: Batch
    chunk: Chunk
    run: Run
    slot: int
    delivered_milli: int
    matched_wh: int
    payment: Payment

    @property
    def zone(self) -> int:
        """Zone of the run's site."""
        return int(self.batch.compute_offers[self.run.offer].terms["zoneId"])

    @property
    def buyer(self) -> str:
        """The order's maker."""
        return self.chunk.makers[self.run.order].lower()

    def name(self) -> str:
        """How findings call this run and slot."""
        return f"{self.chunk.name()} run {self.run.index} slot {self.slot}"


def slot_name(event: Event) -> str:
    """How findings call a settled slot of a chunk."""
    args = event.args
    return f"batch {args['batchId']} chunk {args['chunkIndex']} slot {args['slot']} in {event.tx}"


def chunks(facts: Facts) -> dict[tuple[int, int], tuple[Batch, Chunk]]:
    """Chunks of the audited batches by (batch, chunk)."""
    return {(batch.id, chunk.index): (batch, chunk) for batch in facts.batches for chunk in batch.chunks}


def active(batch: Batch, chunk: Chunk) -> Mapping[int, list[Run]]:
    """Runs of a chunk by slot, in run order."""
    found: dict[int, list[Run]] = defaultdict(list)
    for run in chunk.runs:
        if run.offer < len(batch.compute_offers) and run.order < len(chunk.makers):
            for slot in range(run.start_slot, min(run.end_slot, batch.slots)):
                found[slot].append(run)
    return found


def pay(batch: Batch, run: Run, slot: int, delivered_milli: int, matched_wh: int) -> Payment:
    """F15 at the posted prices."""
    assert batch.prices is not None
    terms = batch.compute_offers[run.offer].terms
    return pay_run_slot(
        run.lanes,
        terms["energyWhPerVcuSlot"],
        run.mode,
        int(batch.prices.compute[terms["classId"], terms["zoneId"], run.mode, slot]),
        int(batch.prices.energy[terms["zoneId"], run.mode, slot]),
        delivered_milli,
        matched_wh,
    )


@lru_cache(maxsize=1)
def settled_slots(facts: Facts) -> tuple[tuple[Event, tuple[Settled, ...] | None], ...]:
    """Every SlotSettled of an audited batch with F15 of its runs; None where outcomes do not fit the runs."""
    return tuple(_settled_slots(facts))


def _settled_slots(facts: Facts) -> Iterator[tuple[Event, tuple[Settled, ...] | None]]:
    known = chunks(facts)
    runs_of = {key: active(*pair) for key, pair in known.items()}
    for event in facts.log("Settlement", "SlotSettled"):
        args = event.args
        key = args["batchId"], args["chunkIndex"]
        if key not in known or known[key][0].prices is None:
            continue
        batch, chunk = known[key]
        runs, slot = runs_of[key].get(args["slot"], []), args["slot"]
        if len(args["outcomes"]) != 8 * len(runs):
            yield event, None
            continue
        rows = struct.iter_unpack(">II", args["outcomes"])
        settled = (
            Settled(batch, chunk, run, slot, delivered, matched, pay(batch, run, slot, delivered, matched))
            for run, (delivered, matched) in zip(runs, rows, strict=True)
        )
        yield event, tuple(settled)


@check("settlement.outcomes", "SlotSettled.outcomes = outcomes of the archived report of exactly that slot")
def outcomes(facts: Facts) -> Result:
    tally = Tally()
    archived: dict[tuple[int, int, Key], tuple[bytes, str]] = {}
    unread = {item.report.start for item in facts.reports if settles(facts, item) and not item.inside}
    for item in facts.reports:
        if settles(facts, item):
            for row in item.bundle.outcomes:
                key = (row.batch_id, row.chunk_index, row.slot)
                archived[item.report.start, item.report.end, key] = (row.packed, item.document.path)
    for event, _ in settled_slots(facts):
        args = event.args
        batch = facts.batch(args["batchId"])
        assert batch is not None
        start = batch.start + args["slot"] * batch.slot_seconds
        if start in unread:
            continue
        key = args["batchId"], args["chunkIndex"], args["slot"]
        found = archived.get((start, start + batch.slot_seconds, key))
        tally.count()
        if found is None:
            tally.fail(slot_name(event), f"outcomes in the archived report of {start}", "none")
        elif found[0] != args["outcomes"]:
            tally.fail(f"{slot_name(event)} against {found[1]}", args["outcomes"], found[0])
    return tally.result()


@check("settlement.bounds", "F15: delivered <= committed, matched <= bought, grey matches nothing")
def bounds(facts: Facts) -> Result:
    tally = Tally()
    for event, rows in settled_slots(facts):
        if rows is None:
            tally.fail(slot_name(event), "8 bytes of outcome for each active run", event.args["outcomes"])
            continue
        tally.checked += len(rows)
        for row in rows:
            energy = row.run.lanes * row.batch.compute_offers[row.run.offer].terms["energyWhPerVcuSlot"]
            if row.delivered_milli > 1000 * row.run.lanes:
                tally.fail(row.name(), f"at most {1000 * row.run.lanes} milli-lanes", row.delivered_milli)
            most = energy if row.run.mode == GREEN else 0
            if row.matched_wh > most:
                tally.fail(row.name(), f"at most {most} Wh matched", row.matched_wh)
    return tally.result()


@check("settlement.payment", "F15 per run and slot; event SlotSettled computeMicro, powerMicro, refundMicro")
def payment(facts: Facts) -> Result:
    tally = Tally()
    for event, rows in settled_slots(facts):
        if rows is None:
            continue
        tally.checked += len(rows)
        due = (
            sum(row.payment.pay_compute for row in rows),
            sum(row.payment.pay_power for row in rows),
            sum(row.payment.refund for row in rows),
        )
        names = ("computeMicro", "powerMicro", "refundMicro")
        for name, expected in zip(names, due, strict=True):
            if event.args[name] != expected:
                tally.fail(f"{slot_name(event)} {name}", expected, event.args[name])
    return tally.result()


@check("settlement.refund", "F15: a slot without a report is refunded in full; event SlotRefunded")
def refund(facts: Facts) -> Result:
    tally = Tally()
    contradictions = {
        (event.tx, event.args["batchId"], event.args["chunkIndex"], event.args["slot"]): event.args[
            "outcomes"
        ]
        for event in facts.log("Settlement", "SlotContradicted")
    }
    known = chunks(facts)
    for event in facts.log("Settlement", "SlotRefunded"):
        args = event.args
        pair = known.get((args["batchId"], args["chunkIndex"]))
        if pair is None or pair[0].prices is None:
            continue
        batch, chunk = pair
        runs = active(batch, chunk).get(args["slot"], [])
        due = sum(pay(batch, run, args["slot"], 0, 0).bundle for run in runs)
        tally.equal(f"refund of {slot_name(event)}", due, args["refundMicro"])
        end = batch.start + (args["slot"] + 1) * batch.slot_seconds
        delay = facts.views.refund_delay
        if delay is not None and event.timestamp < end + delay:
            shown = contradictions.get((event.tx, *(args[name] for name in SLOT)))
            allowed = shown is not None and contradicts(batch, runs, shown)
            tally.true(
                allowed,
                f"refund of {slot_name(event)}",
                f"not before {end + delay}, or outcomes that contradict the orders",
                event.timestamp,
            )
    return tally.result()


def contradicts(batch: Batch, runs: Sequence[Run], outcomes: bytes) -> bool:
    """Whether outcomes of a slot are not of its runs, or say more than the runs hold."""
    if len(outcomes) != 8 * len(runs):
        return True
    for at, run in enumerate(runs):
        milli, matched = (int.from_bytes(outcomes[8 * at + k : 8 * at + k + 4]) for k in (0, 4))
        energy = run.lanes * batch.compute_offers[run.offer].terms["energyWhPerVcuSlot"]
        if milli > 1000 * run.lanes or matched > energy or (matched and run.mode != GREEN):
            return True
    return False


@check("settlement.once", "every active (run, slot) of a past slot settled exactly once or refunded")
def once(facts: Facts) -> Result:
    tally = Tally()
    seen: dict[Key, list[str]] = defaultdict(list)
    for name in ("SlotSettled", "SlotRefunded"):
        for event in facts.log("Settlement", name):
            seen[event.args["batchId"], event.args["chunkIndex"], event.args["slot"]].append(
                f"{name} {event.tx}"
            )
    delay = facts.views.refund_delay or 0
    for batch in facts.batches:
        if batch.finalised is None:
            continue
        for chunk in batch.chunks:
            slots = active(batch, chunk)
            for slot, runs in slots.items():
                tally.checked += len(runs)
                times = seen.pop((batch.id, chunk.index, slot), [])
                end = batch.start + (slot + 1) * batch.slot_seconds
                where = f"{chunk.name()} slot {slot}"
                if len(times) > 1:
                    tally.fail(where, "settled or refunded once", ", ".join(times))
                elif not times and end + delay < facts.head.timestamp:
                    tally.fail(where, f"settled or refunded by {end + delay}", "neither")
                elif not times and end < facts.head.timestamp:
                    tally.doubt(where, "settled or refunded", "not yet")
    audited = {batch.id for batch in facts.batches}
    for key, times in seen.items():
        if key[0] in audited:
            where = f"batch {key[0]} chunk {key[1]} slot {key[2]}"
            tally.fail(where, "an active run of a final batch", ", ".join(times))
    return tally.result()


RULINGS = ("Ruled", "LeafAnswered", "LeafUnanswered")


@check(
    "settlement.final", "DeliveryOracle.finalReport: settled by a report past its dispute window, not voided"
)
def final(facts: Facts) -> Result:
    tally = Tally()
    window = facts.views.dispute_window
    posted = {item.report.start: item.place for item in facts.reports if settles(facts, item)}
    ruled: dict[int, tuple[int, bool]] = {}
    for event in sorted(
        (event for name in RULINGS for event in facts.log("DeliveryOracle", name)),
        key=lambda event: (event.block, event.index),
    ):
        if facts.views.feed_id is None or event.args["feedId"] == facts.views.feed_id:
            upheld = event.args["upheld"] if event.name == "Ruled" else event.name == "LeafAnswered"
            ruled[event.args["start"]] = (event.timestamp, upheld)
    for name in ("SlotSettled", "PoolMetered"):
        for event in facts.log("Settlement", name):
            batch = facts.batch(event.args["batchId"])
            if batch is None or window is None:
                continue
            start = batch.start + event.args["slot"] * batch.slot_seconds
            since, upheld = ruled.get(start, (posted[start].timestamp if start in posted else None, True))
            where = f"{name} of batch {batch.id} slot {event.args['slot']} in {event.tx}"
            if since is None or not upheld:
                tally.fail(where, f"a standing report of {start}", "none" if since is None else "voided")
            else:
                in_time = event.timestamp >= since + window
                tally.true(in_time, where, f"not before {since + window}", event.timestamp)
    return tally.result()


def settles(facts: Facts, item: ReportFact) -> bool:
    """Whether a report is of the feed that settles."""
    return facts.views.feed_id is None or item.report.feed_id == facts.views.feed_id


CHECKS = (outcomes, final, bounds, payment, refund, once)
