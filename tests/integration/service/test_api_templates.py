"""Templates that are signed for days in a row and scheduled daily; monthly statements that add up."""

from __future__ import annotations

import csv
import io
from typing import Any

from tests.integration.service.test_api_orders import sign
from tests.unit.api.callers import Caller, World
from tests.unit.api.market_chain import BUYERS, DEPOSIT, SLOT, SLOTS, START, account

SPEC = {
    "class_id": 0, "lanes": 2, "duration_slots": 2, "window_start_seconds": 2 * SLOT,
    "window_seconds": 4 * SLOT, "limit_price": 40_000, "min_green_bps": 8_000, "daily": True,
}  # fmt: skip
DAY = SLOT * SLOTS


def template(caller: Caller, name: str, **changes: Any) -> str:
    """A saved template."""
    made = caller.post("/templates", {"name": name, "spec": SPEC | changes})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def test_a_template_is_signed_for_days_in_a_row(trading: World) -> None:
    buyer = trading.wallet(BUYERS[2])
    name = template(buyer, "week")
    drafts = buyer.post(f"/templates/{name}/typed-data", {"maker": account(BUYERS[2]), "days": 3})
    assert drafts.status_code == 200, drafts.text
    starts = []
    for draft in drafts.json():
        body = {
            "order": draft["message"], "signature": sign(BUYERS[2], draft["typed_data"]), "template_id": name,
        }  # fmt: skip
        placed = buyer.post("/orders", body)
        assert placed.status_code == 201, placed.text
        order = placed.json()
        assert order["template_id"] == name and order["deadline"] - order["start"] == 4 * SLOT
        starts.append(order["start"])
    assert starts == [starts[0] + n * DAY for n in range(3)]
    assert (starts[0] - START) % DAY == 2 * SLOT


def test_a_day_whose_gate_has_closed_is_not_drafted(trading: World) -> None:
    buyer = trading.wallet(BUYERS[2])
    name = template(buyer, "too late")
    refused = buyer.post(f"/templates/{name}/typed-data", {"maker": account(BUYERS[2]), "day": START})
    assert refused.status_code == 409 and refused.json()["field"] == "day"
    other = trading.wallet("template stranger")
    asked = other.post(f"/templates/{name}/typed-data", {"maker": account(BUYERS[2])})
    assert asked.status_code == 404


def test_a_schedule_says_what_is_due_and_what_is_placed(trading: World) -> None:
    buyer = trading.wallet(BUYERS[1])
    name = template(buyer, "nightly")
    path = f"/templates/{name}/schedule"
    assert buyer.get(path).status_code == 404
    body = {"maker": account(BUYERS[1]), "first_day": START}
    assert buyer.call("PUT", path, json=body).status_code == 200
    assert buyer.get(path).json()["maker"] == account(BUYERS[1]).lower()
    mine = [row for row in buyer.get("/scheduled-orders").json() if row["template_id"] == name]
    due = [row for row in mine if row["state"] == "due"]
    assert len(mine) == 7 and due and {row["state"] for row in mine} <= {"due", "missed"}
    draft = buyer.post(
        f"/templates/{name}/typed-data", {"maker": account(BUYERS[1]), "day": due[0]["day"]}
    ).json()[0]
    signature = sign(BUYERS[1], draft["typed_data"])
    placed = buyer.post(
        "/orders", {"order": draft["message"], "signature": signature, "template_id": name}
    ).json()
    again = {row["day"]: row for row in buyer.get("/scheduled-orders").json() if row["template_id"] == name}
    assert again[due[0]["day"]]["state"] == "placed"
    assert again[due[0]["day"]]["order_hash"] == placed["order_hash"]
    stranger = trading.wallet("schedule stranger")
    refused = stranger.call("PUT", path, json=body)
    assert refused.status_code == 404
    assert buyer.call("DELETE", path).status_code == 204
    assert not [row for row in buyer.get("/scheduled-orders").json() if row["template_id"] == name]
    assert buyer.call("DELETE", f"/templates/{name}").status_code == 204


def test_nobody_schedules_another_organisations_account(trading: World) -> None:
    stranger = trading.wallet("schedule stranger")
    name = template(stranger, "not mine")
    refused = stranger.call(
        "PUT", f"/templates/{name}/schedule", json={"maker": account(BUYERS[1]), "first_day": START}
    )
    assert refused.status_code == 403 and refused.json()["field"] == "maker"


def test_invoices_add_up_to_the_ledger_and_to_the_deliveries(trading: World) -> None:
    for name in (BUYERS[0], "provider", "supplier"):
        caller = trading.wallet(name)
        summaries = caller.get("/invoices").json()
        assert summaries and summaries[0]["month"] == "2017-10"
        invoice = caller.get("/invoices/2017-10").json()
        (own,) = [row for row in caller.get("/accounts").json() if row["address"] == account(name).lower()]
        assert invoice["closing_micro"] == own["available_micro"] + own["locked_micro"]
        assert invoice["opening_micro"] == 0 and invoice["deposits_micro"] == DEPOSIT
        assert {key: invoice[key] for key in summaries[0]} == summaries[0]
        text = caller.get("/invoices/2017-10/csv")
        assert text.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(text.text)))
        assert [int(row["net_micro"]) for row in rows] == [row["net_micro"] for row in invoice["lines"]]
    buyer = trading.wallet(BUYERS[0])
    lines = buyer.get("/invoices/2017-10").json()["lines"]
    deliveries = buyer.get("/deliveries").json()["items"]
    paid = sum(row["compute_micro"] + row["power_micro"] for row in deliveries)
    assert sum(row["net_micro"] for row in lines if row["kind"] == "purchase") == -paid != 0
    assert buyer.get("/invoices/2017-13").status_code == 422
    assert trading.wallet("no invoices").get("/invoices").json() == []


def test_the_carbon_statement_follows_the_deliveries(trading: World) -> None:
    buyer = trading.wallet(BUYERS[0])
    whole = buyer.get("/carbon-statement", params={"start": START, "end": START + DAY}).json()
    items = buyer.get("/deliveries").json()["items"]
    assert whole["matched_wh"] == sum(row["matched_wh"] for row in items)
    assert 0 < whole["energy_wh"] <= sum(row["energy_wh"] for row in items)
    assert whole["location_g"] == sum(zone["location_g"] for zone in whole["zones"]) > 0
    assert buyer.get("/carbon-statement", params={"start": 5, "end": 5}).status_code == 422
    nothing = trading.wallet("no invoices").get("/carbon-statement", params={"start": 0, "end": 900}).json()
    assert nothing["energy_wh"] == 0 and nothing["zones"] == []
