"""What users do with what they earned: sell a lot of credits, retire credits and certificates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from backend.chain.clients import Certificates
from backend.chain.keccak import keccak
from backend.chain.packing import certificate_id
from backend.chain.plan import Call
from backend.day.stages.context import Context
from backend.day.stages.posting import BATCH_ID
from backend.day.stages.settling import settlement_events
from backend.market.domain import Book

CERTIFICATE = 1
PURPOSE = keccak(b"voluntary claim")
MOVES = ("users_sold_credits_g", "users_retired_credits_g", "users_retired_certificates_wh")


def trade(context: Context, book: Book) -> dict[str, int]:
    """The holder of most credits sells half of them to another buyer, who retires them, and retires a quarter
    of its own; the plant with most outstanding certificates retires half of them for that holder.

    Returns the moved and retired amounts (g, Wh); all zero when nothing was earned.
    """
    settlement = context.book["Settlement"]
    events = settlement_events(context.rpc, settlement, context.book.deploy_block)
    buyers = {context.keyring[job.tenant].address: job.tenant for job in context.day.jobs}
    credits: Counter[tuple[str, int]] = Counter()
    minted: Counter[tuple[int, int]] = Counter()
    for event in events:
        given = event.arguments
        if event.name == "Credited":
            credits[given["account"], given["id"]] += given["grams"]
        elif event.name == "PlantPaid" and given["batchId"] == BATCH_ID:
            offer = book.power_offers[given["powerOfferIndex"]]
            token = certificate_id(
                CERTIFICATE,
                context.slot_start(given["slot"]),
                offer.zone_id,
                offer.source,
                settlement.address,
            )
            minted[offer.plant_id, token] += given["mintedWh"]
    done: Counter[str] = Counter()
    calls = list(_credit_calls(context, credits, buyers, done))
    calls += list(_certificate_calls(context, minted, credits, done))
    for name, call in calls:  # one after the other: a buyer retires what a seller has handed over
        context.send("trade", name, [call])
    return {name: done[name] for name in MOVES}


def _credit_calls(
    context: Context, credits: Counter[tuple[str, int]], buyers: dict[str, str], done: Counter[str]
) -> Iterator[tuple[str, Call]]:
    client = Certificates(context.book)
    ranked = sorted(credits.items(), key=lambda item: (-item[1], item[0]))
    others = [account for account in sorted(buyers) if ranked and account != ranked[0][0][0]]
    if not ranked or not others:
        return
    (seller, token), amount = ranked[0]
    buyer = others[0]
    sold, kept = amount // 2, amount // 4
    if sold:
        yield buyers[seller], client.transfer(seller, buyer, token, sold)
        yield buyers[buyer], client.retire(token, sold, buyer, PURPOSE)
    if kept:
        yield buyers[seller], client.retire(token, kept, seller, PURPOSE)
    done["users_sold_credits_g"] += sold
    done["users_retired_credits_g"] += sold + kept


def _certificate_calls(
    context: Context,
    minted: Counter[tuple[int, int]],
    credits: Counter[tuple[str, int]],
    done: Counter[str],
) -> Iterator[tuple[str, Call]]:
    ranked = sorted(minted.items(), key=lambda item: (-item[1], item[0]))
    holders = sorted(credits.items(), key=lambda item: (-item[1], item[0]))
    if not ranked or not holders or ranked[0][1] < 2:
        return
    (plant_id, token), amount = ranked[0]
    owner = next(plant.owner for plant in context.day.plants if plant.plant_id == plant_id)
    yield owner, Certificates(context.book).retire(token, amount // 2, holders[0][0][0], PURPOSE)
    done["users_retired_certificates_wh"] += amount // 2
