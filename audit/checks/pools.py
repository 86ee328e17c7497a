"""Green pools: what each plant was metered, what it was paid, and that every Wh was used once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from audit.abi import Event
from audit.checks.settlement import Settled, settled_slots
from audit.facts import Batch, Facts, ReportFact, Signed, asset_at, parse_sold
from audit.formulas import GREEN, largest_remainder
from audit.verdict import Result, Tally, check
from oracle.wire.merkle import leaf_hash, verify
from oracle.wire.reading import Kind

Pool = tuple[int, int, int]
GRID = 0
LEAF_WORDS = (
    "kind",
    "meterId",
    "agreementId",
    "seq",
    "start",
    "end",
    "quantity",
    "register",
    "quality",
    "keyId",
    "evidenceHash",
    "payloadHash",
)


@dataclass(frozen=True, slots=True)
class Position:
    """One plant in one metered pool: its event, its offer, the leaf that was shown (None: marked missing)."""

    batch: Batch
    offer: Signed
    event: Event
    leaf: Mapping[str, Any] | None
    proof: tuple[bytes, ...]
    visible: bool

    @property
    def slot(self) -> int:
        """Slot of the batch."""
        return int(self.event.args["slot"])

    @property
    def start(self) -> int:
        """Unix second at which the slot starts."""
        return self.batch.start + self.slot * self.batch.slot_seconds

    def name(self) -> str:
        """How findings call this position."""
        plant = self.offer.terms["plantId"]
        return f"batch {self.batch.id} slot {self.slot} plant {plant} in {self.event.tx}"


def pool_of(event: Event) -> Pool:
    """(batch, slot, zone) of a pool event."""
    return event.args["batchId"], event.args["slot"], event.args["zoneId"]


def green_offers(batch: Batch, zone: int) -> list[Signed]:
    """Green power offers of a zone by rising index, as the pool's positions are ordered."""
    return [
        offer
        for offer in batch.power_offers
        if offer.terms["zoneId"] == zone and offer.terms["source"] != GRID
    ]


def _positions(facts: Facts) -> Iterator[Position]:
    """A plant is metered with its pool, alone after it was marked missing, or as missing when it is paid."""
    for event in facts.log("Settlement", "PlantMetered"):
        batch = facts.batch(event.args["batchId"])
        if batch is None or event.args["powerOfferIndex"] >= len(batch.power_offers):
            continue
        offer = batch.power_offers[event.args["powerOfferIndex"]]
        call = facts.calls.get(event.tx)
        shown: Mapping[str, Any] | None = None
        if call is not None and call.name == "meterPool":
            places = [one.index for one in green_offers(batch, offer.terms["zoneId"])]
            place = places.index(offer.index) if offer.index in places else len(places)
            sent = call.args["positions"]
            shown = sent[place] if place < len(sent) else None
        elif call is not None and call.name == "meterMissing":
            shown = call.args["position"]
        elif call is not None and call.name == "payPools":
            shown = {"missing": True}
        leaf = shown["reading"] if shown is not None and not shown["missing"] else None
        proof = shown["proof"] if shown is not None and leaf is not None else ()
        yield Position(batch, offer, event, leaf, proof, shown is not None)


@lru_cache(maxsize=1)
def positions(facts: Facts) -> tuple[Position, ...]:
    """Every PlantMetered with the leaf shown for it."""
    return tuple(_positions(facts))


def report_by_start(facts: Facts) -> dict[int, ReportFact]:
    """Reports of the settling feed by the start of their interval."""
    return {
        item.report.start: item
        for item in facts.reports
        if facts.views.feed_id is None or item.report.feed_id == facts.views.feed_id
    }


def encode_leaf(leaf: Mapping[str, Any]) -> bytes:
    """The twelve words of a leaf as the chain took it."""
    words = (leaf[name] for name in LEAF_WORDS)
    return b"".join(word if isinstance(word, bytes) else word.to_bytes(32, "big") for word in words)


@check("pools.leaf", "Settlement.meterPool: a kind-1 leaf of this plant and slot, proven under Report.root")
def leaf(facts: Facts) -> Result:
    tally = Tally()
    reports = report_by_start(facts)
    plant_of = {
        device.meter_id: device.terms.get("assetId")
        for device in facts.devices
        if device.terms.get("assetKind") == 2
    }
    for position in positions(facts):
        if position.leaf is None:
            continue
        shown, where = position.leaf, position.name()
        report = reports.get(position.start)
        proven = report is not None and verify(
            report.report.root, position.proof, leaf_hash(encode_leaf(shown))
        )
        tally.true(proven, where, f"a leaf under the root of the report of {position.start}", "not proven")
        tally.equal(f"{where} kind", int(Kind.GENERATION), shown["kind"])
        interval = (position.start, position.start + position.batch.slot_seconds)
        tally.equal(f"{where} interval", interval, (shown["start"], shown["end"]))
        tally.equal(f"{where} plant", position.offer.terms["plantId"], plant_of.get(shown["meterId"]))
    return tally.result()


@check("pools.twin", "the leaf shown on chain = the archived reading of that meter and seq")
def twin(facts: Facts) -> Result:
    tally = Tally()
    archived = {
        (entry.reading.meter_id, entry.reading.seq): (item, entry)
        for item in facts.reports
        for entry in item.bundle.items
        if entry.reading is not None and entry.reading.kind == Kind.GENERATION
    }
    inside = {item.report.start for item in facts.reports if item.inside and item.document.state != "missing"}
    for position in positions(facts):
        shown = position.leaf
        if shown is None or position.start not in inside:
            continue
        tally.count()
        where = f"{position.name()} meter {shown['meterId']} seq {shown['seq']}"
        found = archived.get((shown["meterId"], shown["seq"]))
        if found is None:
            tally.fail(where, "in the archive", "absent or unreadable")
            continue
        item, entry = found
        assert entry.reading is not None
        due = (shown["quantity"], shown["register"], shown["quality"], shown["start"])
        reading = entry.reading
        has = (reading.quantity, reading.register, entry.quality, reading.start)
        if due != has:
            text = f"{item.document.path} {entry.name()}"
            tally.fail(f"{where} against {text}", f"quantity, register, quality, start {due}", has)
    return tally.result()


@check(
    "pools.metered", "F5, F12: metered Wh rounded down, delivered = min(sold, metered); event PlantMetered"
)
def metered(facts: Facts) -> Result:
    tally = Tally()
    reported = _reported(facts)
    told = {
        (event.tx, event.args["powerOfferIndex"])
        for name in ("PlantMetered", "PlantMissing")
        for event in facts.log("Settlement", name)
    }
    for pool in facts.log("Settlement", "PoolMetered"):
        batch = facts.batch(pool.args["batchId"])
        for offer in green_offers(batch, pool.args["zoneId"]) if batch is not None else ():
            where = f"batch {pool.args['batchId']} slot {pool.args['slot']} plant {offer.terms['plantId']}"
            tally.true(
                (pool.tx, offer.index) in told, where, f"a PlantMetered or PlantMissing in {pool.tx}", "none"
            )
    for position in positions(facts):
        args, where = position.event.args, position.name()
        sold = (parse_sold(position.offer.sold) or [0] * position.batch.slots)[position.slot]
        tally.equal(f"{where} soldWh", sold, args["soldWh"])
        if not position.visible:
            tally.doubt(where, "the reading that was shown", "the call cannot be seen")
        elif position.leaf is None:
            tally.equal(f"{where} meteredWh of a missing reading", 0, args["meteredWh"])
            text = reported.get((position.offer.terms["plantId"], position.start))
            tally.true(text is None, where, "no actual reading reported, as it was marked missing", text)
        else:
            tally.equal(f"{where} meteredWh", _metered_wh(facts, position), args["meteredWh"])
        tally.equal(f"{where} deliveredWh", min(sold, args["meteredWh"]), args["deliveredWh"])
    return tally.result()


def _metered_wh(facts: Facts, position: Position) -> int:
    assert position.leaf is not None
    if position.leaf["quality"] != 0:
        return 0
    plant = asset_at(facts.plants, position.offer.terms["plantId"], position.offer.place)
    wh: int = position.leaf["quantity"] // 1000
    return min(wh, plant["nameplateW"] * position.batch.slot_seconds // 3600) if plant else wh


def _reported(facts: Facts) -> dict[tuple[int, int], str]:
    """(plant, slot start) -> the archived actual reading in the report of exactly that slot."""
    plant_of = {device.meter_id: int(device.terms.get("assetId", 0)) for device in facts.devices}
    return {
        (plant_of.get(entry.reading.meter_id, 0), entry.reading.start): f"{item.document.path} {entry.name()}"
        for item in facts.reports
        for entry in item.bundle.items
        if entry.reading is not None
        and entry.reading.kind == Kind.GENERATION
        and entry.quality == 0
        and entry.reading.start == item.report.start
    }


def by_pool(facts: Facts) -> dict[Pool, list[Settled]]:
    """Settled green runs by (batch, slot, zone)."""
    found: dict[Pool, list[Settled]] = defaultdict(list)
    for _, rows in settled_slots(facts):
        for row in rows or ():
            if row.run.mode == GREEN:
                found[row.batch.id, row.slot, row.zone].append(row)
    return found


@check("pools.matched", "F9, F11: matched Wh of the runs = of the plants = retired, never above delivered")
def matched(facts: Facts) -> Result:
    tally = Tally()
    runs = by_pool(facts)
    delivered = {
        pool_of(event): event.args["deliveredWh"] for event in facts.log("Settlement", "PoolMetered")
    }
    paid = {pool_of(event): event for event in facts.log("Settlement", "PoolPaid")}
    for pool, rows in runs.items():
        total = sum(row.matched_wh for row in rows)
        where = f"pool of batch {pool[0]} slot {pool[1]} zone {pool[2]}"
        most = delivered.get(pool, 0)
        tally.true(total <= most, where, f"at most the delivered {most} Wh", f"{total} Wh matched by runs")
        if pool in paid:
            tally.equal(f"{where} matchedWh", total, paid[pool].args["matchedWh"])
            money = sum(row.payment.pay_power for row in rows)
            tally.equal(f"{where} moneyMicro", money, paid[pool].args["moneyMicro"])
    return tally.result()


@check("pools.paid", "F15: money and matched Wh shared by delivered Wh, largest remainder; event PlantPaid")
def paid(facts: Facts) -> Result:
    tally = Tally()
    delivered: dict[tuple[int, int, int], int] = {}
    for event in facts.log("Settlement", "PlantMetered"):
        args = event.args
        delivered[args["batchId"], args["slot"], args["powerOfferIndex"]] = args["deliveredWh"]
    told: dict[tuple[int, int, int], Event] = {}
    for event in facts.log("Settlement", "PlantPaid"):
        told[event.args["batchId"], event.args["slot"], event.args["powerOfferIndex"]] = event
    for event in facts.log("Settlement", "PoolPaid"):
        batch = facts.batch(event.args["batchId"])
        if batch is None:
            continue
        slot = event.args["slot"]
        offers = green_offers(batch, event.args["zoneId"])
        weights = [delivered.get((batch.id, slot, offer.index), 0) for offer in offers]
        money = largest_remainder(event.args["moneyMicro"], weights)
        energy = largest_remainder(event.args["matchedWh"], weights)
        for offer, weight, micro, wh in zip(offers, weights, money, energy, strict=True):
            plant = told.get((batch.id, slot, offer.index))
            found = tuple(plant.args[name] for name in PAID) if plant is not None else (0, 0, 0)
            where = f"batch {batch.id} slot {slot} plant {offer.terms['plantId']} in {event.tx}"
            tally.equal(f"{where} money, matched, minted", (micro, wh, weight - wh), found)
    return tally.result()


PAID = ("moneyMicro", "matchedWh", "mintedWh")


@check("pools.once", "one Wh one use: no pool and no (meter, slot) twice; settlement nullifiers")
def once(facts: Facts) -> Result:
    tally = Tally()
    for name in ("PoolMetered", "PoolPaid"):
        seen: dict[Pool, str] = {}
        for event in facts.log("Settlement", name):
            pool = pool_of(event)
            first = seen.setdefault(pool, event.tx)
            where = f"{name} of batch {pool[0]} slot {pool[1]} zone {pool[2]}"
            tally.true(first == event.tx, where, "once", f"{first} and {event.tx}")
    used: dict[tuple[int, int], str] = {}
    for position in positions(facts):
        if position.leaf is not None:
            key = position.leaf["meterId"], position.leaf["start"]
            first = used.setdefault(key, position.name())
            where = f"meter {key[0]} interval from {key[1]}"
            tally.true(first == position.name(), where, "used once", f"{first} and {position.name()}")
    return tally.result()


@check("pools.complete", "every green pool with sold Wh of a past slot metered and paid")
def complete(facts: Facts) -> Result:
    tally = Tally()
    done = {
        name: {pool_of(event) for event in facts.log("Settlement", name)}
        for name in ("PoolMetered", "PoolPaid")
    }
    delay = facts.views.refund_delay or 0
    for batch in facts.batches:
        if batch.finalised is None:
            continue
        sold: dict[tuple[int, int], int] = defaultdict(int)
        for offer in batch.power_offers:
            if offer.terms["source"] != GRID:
                for slot, wh in enumerate(parse_sold(offer.sold) or ()):
                    sold[slot, offer.terms["zoneId"]] += wh
        for (slot, zone), wh in sold.items():
            end = batch.start + (slot + 1) * batch.slot_seconds
            if not wh or end > facts.head.timestamp:
                continue
            tally.count()
            missing = [name for name, pools in done.items() if (batch.id, slot, zone) not in pools]
            if missing:
                late = end + 2 * delay < facts.head.timestamp
                report = tally.fail if late else tally.doubt
                report(
                    f"pool of batch {batch.id} slot {slot} zone {zone}", "metered and paid", f"no {missing}"
                )
    return tally.result()


CHECKS = (leaf, twin, metered, matched, paid, once, complete)
