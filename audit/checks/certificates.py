"""Certificates and credits: one Wh one use, F11 and F12 recomputed, supplies rebuilt from events."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

from audit.abi import Event
from audit.checks.settlement import settled_slots
from audit.facts import Facts, asset_at
from audit.formulas import credit_mg
from audit.verdict import Result, Tally, check
from audit.views import ZERO, transfers

CERTIFICATE, CREDIT = 1, 2


def pack_id(kind: int, seconds: int, zone: int, source: int, issuer: str) -> int:
    """ERC-1155 id: kind, year and month of the slot start in UTC, zone, source, issuer."""
    when = datetime.fromtimestamp(seconds, UTC)
    month = when.year * 100 + when.month
    return kind << 248 | month << 224 | zone << 208 | source << 200 | int(issuer, 16)


def minted_events(facts: Facts) -> dict[tuple[str, str, int], int]:
    """What was minted to accounts: (transaction, account, id) -> amount."""
    found: dict[tuple[str, str, int], int] = defaultdict(int)
    for name in ("TransferSingle", "TransferBatch"):
        for event in facts.log("Certificates", name):
            if event.args["from"].lower() == ZERO:
                for _, to, number, amount in transfers({("Certificates", name): (event,)}):
                    found[event.tx, to, number] += amount
    return found


def plant_certificate(facts: Facts, event: Event) -> tuple[str, int] | None:
    """Owner of the plant of a power offer and the id of its certificates in the event's slot."""
    batch = facts.batch(event.args["batchId"])
    number = event.args["powerOfferIndex"]
    if batch is None or number >= len(batch.power_offers):
        return None
    offer = batch.power_offers[number]
    plant = asset_at(facts.plants, offer.terms["plantId"], offer.place)
    owner = str(plant["owner"]).lower() if plant else offer.maker
    start = batch.start + event.args["slot"] * batch.slot_seconds
    issuer = facts.address("Settlement")
    return owner, pack_id(CERTIFICATE, start, offer.terms["zoneId"], offer.terms["source"], issuer)


@check(
    "certificates.minted",
    "F12: minted = surplus + unsold delivery of each plant; F11: grams of Credited; nothing else",
)
def minted(facts: Facts) -> Result:
    tally = Tally()
    due: dict[tuple[str, str, int], int] = defaultdict(int)
    outside: set[str] = set()
    for name in ("PlantMetered", "PlantPaid"):
        for event in facts.log("Settlement", name):
            known = plant_certificate(facts, event)
            if known is None:
                outside.add(event.tx)
                continue
            args = event.args
            amount = args["mintedWh"] if name == "PlantPaid" else max(0, args["meteredWh"] - args["soldWh"])
            if amount:
                due[event.tx, *known] += amount
    for event in facts.log("Settlement", "Credited"):
        if event.args["grams"]:
            due[event.tx, event.args["account"].lower(), event.args["id"]] += event.args["grams"]
    found = minted_events(facts)
    for key in sorted(due.keys() | found.keys()):
        if key[0] in outside:
            continue
        where = f"id 0x{key[2]:064x} to {key[1]} in {key[0]}"
        tally.equal(where, due.get(key, 0), found.get(key, 0))
    return tally.result()


@check(
    "certificates.retired",
    "F11: matched Wh of every plant retired in the transaction that paid it; event Retired",
)
def retired(facts: Facts) -> Result:
    tally = Tally()
    due: dict[tuple[str, int], int] = defaultdict(int)
    outside: set[str] = set()
    for event in facts.log("Settlement", "PlantPaid"):
        known = plant_certificate(facts, event)
        if known is None:
            outside.add(event.tx)
        elif event.args["matchedWh"]:
            due[event.tx, known[1]] += event.args["matchedWh"]
    found: dict[tuple[str, int], int] = defaultdict(int)
    issuer = facts.address("Settlement")
    for event in facts.log("Certificates", "Retired"):
        if event.args["account"].lower() == issuer:
            found[event.tx, event.args["id"]] += event.args["amount"]
    for key in sorted(due.keys() | found.keys()):
        if key[0] not in outside:
            tally.equal(f"id 0x{key[1]:064x} retired in {key[0]}", due.get(key, 0), found.get(key, 0))
    return tally.result()


def month_index(seconds: int) -> int:
    """Months since January 1970, UTC."""
    when = datetime.fromtimestamp(seconds, UTC)
    return (when.year - 1970) * 12 + when.month - 1


def key_of(credit_id: int) -> int:
    """Credit key (zone, month) of an ERC-1155 id."""
    stamp, zone = credit_id >> 224 & 0xFFFFFF, credit_id >> 208 & 0xFFFF
    return zone << 12 | (stamp // 100 - 1970) * 12 + stamp % 100 - 1


@check("certificates.credits", "F11: m (ci - ef) mg earned by each buyer, whole grams claimed once; Credited")
def credits(facts: Facts) -> Result:
    tally = Tally()
    due: dict[tuple[str, str, int], int] = defaultdict(int)
    for event, rows in settled_slots(facts):
        for row in rows or ():
            if row.matched_wh and row.batch.prices is not None:
                grid = int(row.batch.prices.grid_carbon[row.zone, row.slot])
                green = int(row.batch.prices.green_factor[row.zone, row.slot])
                key = row.zone << 12 | month_index(row.batch.start)
                due[event.tx, row.buyer, key] += credit_mg(row.matched_wh, grid, green)
    told: dict[tuple[str, str, int], int] = defaultdict(int)
    left: dict[tuple[str, int], int] = defaultdict(int)
    for event in facts.log("Treasury", "Earned"):
        account, key = event.args["account"].lower(), event.args["key"]
        told[event.tx, account, key] += event.args["mg"]
        left[account, key] += event.args["mg"]
    outside = {event.tx for event in facts.log("Settlement", "SlotSettled")} - {
        event.tx for event, rows in settled_slots(facts) if rows is not None
    }
    for place in sorted(due.keys() | told.keys()):
        if place[0] not in outside:
            where = f"account {place[1]} key {place[2]} mg credited in {place[0]}"
            tally.equal(where, due.get(place, 0), told.get(place, 0))
    for event in facts.log("Settlement", "Credited"):
        kind, issuer = event.args["id"] >> 248, event.args["id"] & ((1 << 160) - 1)
        tally.equal(
            f"credit id in {event.tx}", (CREDIT, int(facts.address("Settlement"), 16)), (kind, issuer)
        )
        left[event.args["account"].lower(), key_of(event.args["id"])] -= 1000 * event.args["grams"]
    for (account, key), mg in sorted(left.items()):
        tally.true(mg >= 0, f"account {account} key {key}", "no more claimed than earned", f"{mg} mg")
        found = facts.views.credits_mg.get((account, key))
        if found is not None:
            tally.equal(f"account {account} creditMgOf key {key}", mg, found)
    return tally.result()


@check("certificates.supply", "ERC-1155 supply by events = mintedOf, retiredOf, totalSupply, balances")
def supply(facts: Facts) -> Result:
    tally = Tally()
    made: dict[int, int] = defaultdict(int)
    gone: dict[int, int] = defaultdict(int)
    held: dict[tuple[str, int], int] = defaultdict(int)
    for source, target, number, amount in transfers(facts.events):
        if source == ZERO:
            made[number] += amount
        else:
            held[source, number] -= amount
        if target != ZERO:
            held[target, number] += amount
    issuer = facts.address("Settlement")
    for event in facts.log("Certificates", "Retired"):
        number, amount = event.args["id"], event.args["amount"]
        gone[number] += amount
        if event.args["account"].lower() == issuer:
            made[number] += amount
    for number in sorted(made.keys() | gone.keys()):
        where = f"id 0x{number:064x}"
        views = facts.views
        for name, due, table in (
            ("minted", made[number], views.minted),
            ("retired", gone[number], views.retired),
            ("outstanding", made[number] - gone[number], views.supply),
        ):
            if number in table:
                tally.equal(f"{where} {name}", due, table[number])
            else:
                tally.doubt(f"{where} {name}", due, "the view gives no answer")
        balances = sum(amount for (_, other), amount in held.items() if other == number)
        tally.equal(f"{where} sum of balances", made[number] - gone[number], balances)
    for (account, number), amount in held.items():
        tally.true(amount >= 0, f"id 0x{number:064x} of {account}", "never negative", amount)
        if (account, number) in facts.views.holdings:
            tally.equal(f"id 0x{number:064x} of {account}", amount, facts.views.holdings[account, number])
    return tally.result()


CHECKS = (minted, retired, credits, supply)
