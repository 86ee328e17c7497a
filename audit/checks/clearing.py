"""Clearing: prices, capacities, asks and balances as posted on chain."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from audit.checks.orders import title
from audit.eip712 import keccak
from audit.facts import Batch, Facts, Ints, Signed, Terms, asset_at, parse_profile, parse_sold
from audit.formulas import GREEN, GREY, green_factor
from audit.verdict import Result, Tally, check

GRID = 0


def load(batch: Batch) -> Ints:
    """Sold lanes per (compute offer, slot)."""
    lanes = np.zeros((len(batch.compute_offers), batch.slots), dtype=np.int64)
    for chunk in batch.chunks:
        for run in chunk.runs:
            if run.offer < len(lanes):
                lanes[run.offer, run.start_slot : run.end_slot] += run.lanes
    return lanes


def pool_demand(batch: Batch) -> Ints:
    """Wh bought per (zone, mode, slot)."""
    demand = np.zeros((batch.header["zones"], 2, batch.slots), dtype=np.int64)
    for chunk in batch.chunks:
        for run in chunk.runs:
            if run.offer >= len(batch.compute_offers) or run.mode > 1:
                continue
            terms = batch.compute_offers[run.offer].terms
            wh = run.lanes * terms["energyWhPerVcuSlot"]
            demand[terms["zoneId"], run.mode, run.start_slot : run.end_slot] += wh
    return demand


def pool_supply(batch: Batch) -> Ints:
    """Wh sold per (zone, mode, slot)."""
    supply = np.zeros((batch.header["zones"], 2, batch.slots), dtype=np.int64)
    for offer in batch.power_offers:
        row = parse_sold(offer.sold)
        if row is not None and len(row) == batch.slots:
            mode = GREY if offer.terms["source"] == GRID else GREEN
            supply[offer.terms["zoneId"], mode] += np.array(row, dtype=np.int64)
    return supply


@check("clearing.table", "BundleMarket.postPrices: the whole price table in its layout")
def table(facts: Facts) -> Result:
    tally = Tally()
    for batch in facts.batches:
        header = batch.header
        cells = header["zones"] * batch.slots
        size = header["classes"] * cells * 8 + cells * 12
        tally.equal(f"batch {batch.id} price table bytes", size, len(batch.table))
    return tally.result()


@check("clearing.runs", "event ChunkCleared: runs of 13 bytes, sorted, in bounds")
def runs(facts: Facts) -> Result:
    tally = Tally()
    for batch in facts.batches:
        for chunk in batch.chunks:
            tally.equal(f"{chunk.name()} runs bytes", 13 * len(chunk.runs), len(chunk.runs_raw))
            last = 0
            for run in chunk.runs:
                sane = (
                    last <= run.order < len(chunk.order_hashes)
                    and run.offer < len(batch.compute_offers)
                    and run.mode <= 1
                    and run.start_slot < run.end_slot <= batch.slots
                    and run.lanes > 0
                )
                tally.true(sane, f"{chunk.name()} run {run.index}", "in bounds and sorted by order", run)
                last = run.order
    return tally.result()


@check(
    "clearing.capacity", "MECHANISM feasible: lanes sold <= capacity of the compute offer, inside its window"
)
def capacity(facts: Facts) -> Result:
    tally = Tally()
    for batch in facts.batches:
        sold = load(batch)
        for offer, row in zip(batch.compute_offers, sold, strict=True):
            times = batch.start + np.arange(batch.slots) * batch.slot_seconds
            open_ = (times >= offer.terms["start"]) & (times + batch.slot_seconds <= offer.terms["end"])
            room = np.where(open_, offer.terms["capacity"], 0)
            tally.count(batch.slots)
            for slot in np.nonzero(row > room)[0]:
                where = f"{title('compute offer', offer)} slot {slot}"
                tally.fail(where, f"at most {room[slot]} lanes", int(row[slot]))
    return tally.result()


@check("clearing.site_ask", "MECHANISM rational: 1000 pc - e pe >= 1000 ask wherever a site sells")
def site_ask(facts: Facts) -> Result:
    tally = Tally()
    for batch in facts.batches:
        if batch.prices is None:
            continue
        seen: set[tuple[int, int]] = set()
        for chunk in batch.chunks:
            for run in chunk.runs:
                if run.offer < len(batch.compute_offers) and run.mode <= 1:
                    seen.add((run.offer, run.mode))
        sold = _load_by_mode(batch)
        for offer_index, mode in sorted(seen):
            terms = batch.compute_offers[offer_index].terms
            price = batch.prices.compute[terms["classId"], terms["zoneId"], mode]
            margin = 1000 * price - terms["energyWhPerVcuSlot"] * batch.prices.energy[terms["zoneId"], mode]
            used = sold[offer_index, mode] > 0
            tally.count(int(used.sum()))
            for slot in np.nonzero(used & (margin < 1000 * terms["askPrice"]))[0]:
                where = f"{title('compute offer', batch.compute_offers[offer_index])} mode {mode} slot {slot}"
                tally.fail(
                    where, f"at least {terms['askPrice']} micro per VCU-slot", f"{margin[slot]} / 1000"
                )
    return tally.result()


def _load_by_mode(batch: Batch) -> Ints:
    lanes = np.zeros((len(batch.compute_offers), 2, batch.slots), dtype=np.int64)
    for chunk in batch.chunks:
        for run in chunk.runs:
            if run.offer < len(lanes) and run.mode <= 1:
                lanes[run.offer, run.mode, run.start_slot : run.end_slot] += run.lanes
    return lanes


@check("clearing.plant_ask", "MECHANISM rational: sold Wh <= tranches whose ask <= pe")
def plant_ask(facts: Facts) -> Result:
    tally = Tally()
    for batch in facts.batches:
        if batch.prices is None:
            continue
        for offer in batch.power_offers:
            terms, where = offer.terms, title("power offer", offer)
            profile = parse_profile(offer.profile, terms["slots"], terms["tranches"])
            sold = parse_sold(offer.sold)
            if profile is None or sold is None or len(sold) != batch.slots:
                tally.fail(
                    where,
                    f"a profile of {terms['slots']} slots and sold Wh of {batch.slots}",
                    "another length",
                )
                continue
            mode = GREY if terms["source"] == GRID else GREEN
            price = batch.prices.energy[terms["zoneId"], mode].tolist()
            shift = (terms["start"] - batch.start) // batch.slot_seconds
            tally.count(batch.slots)
            for slot, wh in enumerate(sold):
                row = profile[slot - shift] if 0 <= slot - shift < len(profile) else []
                room = sum(offered for offered, ask in row if ask <= price[slot])
                if wh > room:
                    tally.fail(
                        f"{where} slot {slot}", f"at most {room} Wh at or below {price[slot]} micro/kWh", wh
                    )
    return tally.result()


@check("clearing.balance", "MECHANISM balanced: bought = sold per zone, mode and slot; BundleMarket.finalize")
def balance(facts: Facts) -> Result:
    tally = Tally()
    for batch in facts.batches:
        if batch.finalised is None:
            continue
        demand, supply = pool_demand(batch), pool_supply(batch)
        tally.count(demand.size)
        for zone, mode, slot in np.argwhere(demand != supply):
            where = f"batch {batch.id} zone {zone} {'green' if mode else 'grey'} slot {slot}"
            tally.fail(where, f"{demand[zone, mode, slot]} Wh bought", f"{supply[zone, mode, slot]} Wh sold")
    return tally.result()


@check("clearing.one_seller", "SPEC: one offer per plant, one grid offer per zone and batch")
def one_seller(facts: Facts) -> Result:
    tally = Tally()
    for batch in facts.batches:
        plants: dict[tuple[str, int], int] = {}
        for offer in batch.power_offers:
            grid = offer.terms["source"] == GRID
            key = ("zone grid", offer.terms["zoneId"]) if grid else ("plant", offer.terms["plantId"])
            first = plants.setdefault(key, offer.index)
            tally.true(
                first == offer.index,
                title("power offer", offer),
                f"one offer of {key}",
                f"also offer {first}",
            )
        for zone in range(batch.header["zones"]):
            if np.any(pool_demand(batch)[zone, GREY]):
                tally.true(
                    ("zone grid", zone) in plants, f"batch {batch.id} zone {zone}", "a grid offer", "none"
                )
    return tally.result()


@check("clearing.green_factor", "F10, F11: emission factor of the green sold, weighted by Wh, rounded up")
def factor(facts: Facts) -> Result:
    tally = Tally()
    for batch in facts.batches:
        if batch.prices is None or batch.finalised is None:
            continue
        for zone in range(batch.header["zones"]):
            rows = [
                (sold, facts.emission_factor(offer))
                for offer in batch.power_offers
                if offer.terms["zoneId"] == zone
                and offer.terms["source"] != GRID
                and (sold := parse_sold(offer.sold)) is not None
                and len(sold) == batch.slots
            ]
            for slot in range(batch.slots):
                parts = [(sold[slot], factor) for sold, factor in rows if sold[slot]]
                if not parts:
                    continue
                posted = int(batch.prices.green_factor[zone, slot])
                least = green_factor(parts)
                where = f"batch {batch.id} zone {zone} slot {slot} green factor"
                tally.equal(where, f"{least} g/kWh", f"{posted} g/kWh")
    return tally.result()


@check(
    "clearing.commitment",
    "BundleMarket.chunkCommitment = keccak256 of the three keccak256 of makers, order hashes, runs",
)
def commitment(facts: Facts) -> Result:
    tally = Tally()
    for batch in facts.batches:
        for chunk in batch.chunks:
            found = facts.views.commitments.get((batch.id, chunk.index))
            makers = b"".join(bytes.fromhex(maker[2:]) for maker in chunk.makers)
            due = keccak(keccak(makers) + keccak(b"".join(chunk.order_hashes)) + keccak(chunk.runs_raw))
            if found is None:
                tally.doubt(chunk.name(), due, "the view gives no answer")
            else:
                tally.equal(f"{chunk.name()} commitment", due, found)
    return tally.result()


@check("clearing.assets", "Registry: the maker owns site or plant; zone, source and nameplate fit")
def assets(facts: Facts) -> Result:
    tally = Tally()
    for batch in facts.batches:
        load_wh: dict[int, int] = defaultdict(int)
        for offer in batch.compute_offers:
            terms, where = offer.terms, title("compute offer", offer)
            site = asset_at(facts.sites, terms["siteId"], offer.place)
            if _owned(tally, where, offer, site) and site is not None:
                load_wh[terms["siteId"]] += terms["capacity"] * terms["energyWhPerVcuSlot"]
                watts = load_wh[terms["siteId"]] * 3600 / batch.slot_seconds
                tally.true(watts <= site["nameplateW"], where, f"at most {site['nameplateW']} W", watts)
        for offer in batch.power_offers:
            terms, where = offer.terms, title("power offer", offer)
            plant = asset_at(facts.plants, terms["plantId"], offer.place)
            if _owned(tally, where, offer, plant) and plant is not None:
                tally.equal(f"{where} source", plant["source"], terms["source"])
                most = plant["nameplateW"] * batch.slot_seconds // 3600
                sold = max(parse_sold(offer.sold) or [0])
                tally.true(sold <= most, where, f"at most {most} Wh a slot at nameplate", sold)
    return tally.result()


def _owned(tally: Tally, where: str, offer: Signed, asset: Terms | None) -> bool:
    if asset is None:
        tally.fail(where, "a registered asset", "none")
        return False
    tally.equal(f"{where} owner", str(asset["owner"]).lower(), offer.maker)
    return tally.equal(f"{where} zone", asset["zoneId"], offer.terms["zoneId"])


CHECKS = (table, runs, commitment, assets, capacity, site_ask, plant_ask, balance, one_seller, factor)
