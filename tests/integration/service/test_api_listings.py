"""The secondary market: what is signed, what is taken, who may take it back."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import select

from backend.chain.points import cost_micro
from backend.store.chain import ListingFill
from tests.integration.service.test_api_orders import sign
from tests.unit.api.callers import Caller, World
from tests.unit.api.market_chain import BUYERS, START, account

EXPIRY = START + 30 * 86_400
CERTIFICATE = (1 << 248) | (201710 << 224) | (1 << 200) | 0xABC


@pytest.fixture
def market(trading: World) -> World:
    """The service beside the deployed points market."""
    assert "PointsMarket" in trading.context.chain.book.contracts
    return trading


def terms(name: str, **changes: Any) -> dict[str, Any]:
    """Terms of an offer to buy."""
    return {
        "maker": account(name), "side": "buy", "certificate_id": str(CERTIFICATE), "amount": 5_000,
        "price_micro_per_thousand": 1_001, "expiry": EXPIRY,
    } | changes  # fmt: skip


def draft(caller: Caller, name: str, **changes: Any) -> dict[str, Any]:
    """A signed listing, ready to be sent."""
    made = caller.post("/listings/typed-data", terms(name, **changes))
    assert made.status_code == 200, made.text
    document = made.json()["typed_data"]
    message = {
        key: int(value) if key in ("id", "amount", "priceMicroPerThousand", "nonce", "expiry") else value
        for key, value in document["message"].items()
    }
    return {"offer": made.json()["message"], "signature": sign(name, document | {"message": message})}


def test_a_listing_is_signed_placed_shown_filled_and_taken_back(market: World) -> None:
    buyer, other = market.wallet(BUYERS[0]), market.wallet(BUYERS[1])
    body = draft(buyer, BUYERS[0])
    placed = buyer.post("/listings", body)
    assert placed.status_code == 201, placed.text
    listing = placed.json()
    assert listing["state"] == "open" and listing["side"] == "buy" and listing["left"] == 5_000
    assert buyer.post("/listings", body).status_code == 200
    path = f"/listings/{listing['offer_hash']}"
    anyone = market.anonymous()
    assert anyone.get(path).json()["signature"] == body["signature"]
    found = anyone.get("/listings", params={"side": "buy", "kind": "certificate", "state": "open"}).json()
    assert listing["offer_hash"] in [row["offer_hash"] for row in found["items"]]
    assert anyone.get("/listings", params={"side": "sell"}).json()["items"] == []
    refused = other.post(f"{path}/fill", {"account": account(BUYERS[1]), "amount": 10})
    assert refused.status_code == 422 and refused.json()["field"] == "amount"
    assert buyer.post(f"{path}/fill", {"account": account(BUYERS[0]), "amount": 10}).status_code == 409
    assert other.post(f"{path}/cancel").status_code == 404
    with market.context.store.writing() as session:
        session.add(
            ListingFill(
                block_number=10**6, log_index=0, offer_hash=listing["offer_hash"],
                maker=listing["maker"], taker=account(BUYERS[1]).lower(), certificate_id=CERTIFICATE,
                maker_sells=False, amount=2_000, cost_micro=cost_micro(2_000, 1_001), filled_total=2_000,
                tx_hash="0x" + "11" * 32, timestamp=START,
            )
        )  # fmt: skip
    detail = anyone.get(path).json()
    assert detail["left"] == 3_000 and detail["fills"][0]["cost_micro"] == 2_002
    cancelled = buyer.post(f"{path}/cancel")
    points = market.context.chain.book.contracts["PointsMarket"].address
    assert cancelled.status_code == 200 and cancelled.json()["to"] == points.lower()
    assert anyone.get(path).json()["state"] == "cancelled"
    with market.context.store.writing() as session:
        for row in session.exec(select(ListingFill)):
            session.delete(row)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"side": "sell"}, "amount"),
        ({"amount": 10**15}, "amount"),
        ({"expiry": START}, "expiry"),
        ({"expiry": EXPIRY + 400 * 86_400}, "expiry"),
        ({"certificate_id": "17"}, "certificate_id"),
    ],
)
def test_a_listing_that_breaks_a_rule_names_the_field(
    market: World, change: dict[str, Any], field: str
) -> None:
    buyer = market.wallet(BUYERS[2])
    refused = buyer.post("/listings", draft(buyer, BUYERS[2], **change))
    assert refused.status_code in (409, 422) and refused.json()["field"] == field, refused.text
    assert refused.json()["mend"]


def test_a_listing_is_signed_by_its_maker_for_this_market(market: World) -> None:
    buyer = market.wallet(BUYERS[2])
    body = draft(buyer, BUYERS[2])
    forged = body | {"offer": body["offer"] | {"amount": 6_000}}
    refused = buyer.post("/listings", forged)
    assert refused.status_code == 422 and refused.json()["field"] == "signature"
    stranger = market.wallet("listing stranger")
    assert stranger.post("/listings", body).status_code == 403
    assert buyer.post("/listings", body).status_code == 201
    again = draft(buyer, BUYERS[2], nonce=body["offer"]["nonce"], amount=10)
    assert buyer.post("/listings", again).json()["field"] == "nonce"


def test_costs_are_rounded_against_the_buyer() -> None:
    assert cost_micro(1, 1) == 1 and cost_micro(2_000, 1_001) == 2_002 and cost_micro(999, 1_000) == 999
