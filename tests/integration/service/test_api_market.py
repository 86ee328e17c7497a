"""Market data, agreements and money as the API tells them, against the chain they come from."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from backend.chain.clients import Treasury
from oracle.wire.keys import DevicePublicKey
from oracle.wire.merkle import verify
from tests.unit.api.callers import World
from tests.unit.api.market_chain import BUYERS, ENERGY_WH, SLOT, SLOTS, START, MarketChain, account


def ask(**changes: object) -> dict[str, object]:
    """A quote request for the cleared day."""
    return {
        "class_id": 0,
        "lanes": 3,
        "duration_slots": 4,
        "start": START,
        "deadline": START + SLOTS * SLOT,
    } | changes


def test_zones_classes_and_assets(trading: World) -> None:
    caller = trading.anonymous()
    assert caller.get("/zones").json() == [{"zone_id": 0, "name": "north"}]
    (kind,) = caller.get("/classes").json()
    assert kind["name"] == "gpu-training" and kind["energy_wh_per_vcu_slot"] == ENERGY_WH
    assert kind["reference_device"] == "NVIDIA A100 SXM 80 GB"
    assert [row["plant_id"] for row in caller.get("/plants").json()["items"]] == [7, 8]
    assert caller.get("/sites").json()["items"][0]["owner"] == account("provider").lower()


def test_the_chain_names_its_contracts(trading: World, market_chain: MarketChain) -> None:
    chain = trading.anonymous().get("/chain").json()
    assert chain["contracts"]["BundleMarket"]["address"] == market_chain.book["BundleMarket"].address.lower()
    assert chain["indexed_block"] == chain["block_number"]


def test_the_calendar_shows_what_cleared_and_repeats_it(trading: World, market_chain: MarketChain) -> None:
    calendar = trading.anonymous().get("/calendar", params={"start": START, "days": 3}).json()
    assert [day["basis"] for day in calendar["days"]] == ["cleared", "forecast", "forecast"]
    (zone,) = calendar["days"][0]["zones"]
    green, grey = market_chain.bought_wh(True), market_chain.bought_wh(False)
    assert zone["green_sold_wh"] == green.tolist()
    assert zone["green_share_bps"] == (green * 10_000 // (green + grey)).tolist()
    assert zone["compute_price_green"] == [31_000 + 1000 * slot for slot in range(SLOTS)]
    assert zone["green_offered_wh"] == [100_000] * SLOTS


def test_a_window_beyond_the_batch_takes_the_same_slots_of_the_day(trading: World) -> None:
    caller = trading.anonymous()
    day = SLOTS * SLOT
    inside = caller.post("/quotes", ask(start=START, deadline=START + day)).json()
    shifted = caller.post("/quotes", ask(start=START + 3 * day, deadline=START + 4 * day)).json()
    assert shifted["basis"] == "forecast" and shifted["cost_micro"] == inside["cost_micro"]
    across = caller.post("/quotes", ask(start=START + 4 * SLOT, deadline=START + day + 4 * SLOT)).json()
    assert across["basis"] == "forecast" and across["cost_micro"] == inside["cost_micro"]
    assert across["lots"][0]["slots"] == [4, 5, 6, 7]


def test_products_have_gates(trading: World) -> None:
    products = trading.anonymous().get("/products", params={"start": START, "days": 4}).json()
    assert products[0]["state"] == "cleared" and products[0]["batch_id"] == 1
    assert products[-1]["state"] == "open"
    assert all(row["gate_closes_at"] == row["start"] - 3600 for row in products)


def test_a_quote_is_the_cheapest_way_through_the_window(trading: World) -> None:
    answer = trading.anonymous().post("/quotes", ask()).json()
    grey = [30_000 + 1_000 * slot for slot in range(SLOTS)]
    cheapest = min(sum(chosen) for chosen in itertools.combinations(grey, 4))
    assert answer["cost_micro"] == 3 * cheapest == 3 * sum(grey[:4])
    assert answer["feasible"] and answer["basis"] == "cleared" and answer["green_share_bps"] == 0
    assert answer["carbon_g"] == 3 * 4 * ENERGY_WH * 550 // 1000


@pytest.mark.parametrize(("share", "green"), [(0, 0), (3334, 2), (5000, 2), (10_000, 3)])
def test_a_quote_takes_the_green_lanes_that_are_asked_for(trading: World, share: int, green: int) -> None:
    answer = trading.anonymous().post("/quotes", ask(min_green_bps=share)).json()
    assert sum(lot["lanes"] for lot in answer["lots"] if set(lot["modes"]) == {1}) == green
    assert answer["green_share_bps"] == green * 10_000 // 3


def test_a_carbon_price_or_cap_turns_a_quote_green(trading: World) -> None:
    caller = trading.anonymous()
    assert caller.post("/quotes", ask(carbon_price=1)).json()["green_share_bps"] == 0
    assert caller.post("/quotes", ask(carbon_price=1000)).json()["green_share_bps"] == 10_000
    assert caller.post("/quotes", ask(max_carbon=100)).json()["green_share_bps"] == 10_000


def test_a_quote_for_a_later_day_is_a_forecast_and_a_full_window_is_infeasible(trading: World) -> None:
    caller = trading.anonymous()
    later = {"start": START + 86_400, "deadline": START + 86_400 + 10 * SLOT}
    assert caller.post("/quotes", ask(**later)).json()["basis"] == "forecast"
    refused = caller.post("/quotes", ask(duration_slots=9))
    assert refused.status_code == 422 and refused.json()["field"] == "deadline"


def test_first_come_takes_the_earliest_slots_it_can_afford(trading: World) -> None:
    caller = trading.anonymous()
    dear = {"start": START + 4 * SLOT, "deadline": START + (SLOTS + 4) * SLOT}
    assert caller.post("/quotes", ask(**dear)).json()["first_come_micro"] is None
    waiting = caller.post("/quotes", ask(**dear, limit_price=60_000)).json()
    assert waiting["first_come_micro"] == 3 * (34_000 + 35_000 + 36_000 + 37_000)
    assert waiting["saved_micro"] == waiting["first_come_micro"] - waiting["cost_micro"] > 0
    poorer = caller.post("/quotes", ask(**dear, limit_price=35_000)).json()
    assert poorer["first_come_micro"] == 3 * (34_000 + 35_000 + 30_000 + 31_000)


def test_the_chance_of_a_fill_follows_the_limit(trading: World) -> None:
    caller = trading.anonymous()
    low = caller.post("/quotes", ask(limit_price=1)).json()["fill_probability_bps"]
    high = caller.post("/quotes", ask(limit_price=60_000)).json()["fill_probability_bps"]
    assert (low, high) == (0, 10_000)


def test_a_batch_tells_its_certificate_and_its_progress(trading: World) -> None:
    batch = trading.anonymous().get("/batches/1").json()
    assert batch["state"] == "cleared" and batch["gap_bps"] == 100
    assert (batch["orders"], batch["agreements"], batch["chunks"]) == (6, 6, 2)
    assert batch["vcu_slots"] == 4 * (1 + 2 + 3 + 4 + 5 + 6)
    assert batch["slots_settled"] == 6 and batch["slots_total"] == 16
    assert trading.anonymous().get("/batches/2").status_code == 404


def test_prices_and_merit_order(trading: World) -> None:
    caller = trading.anonymous()
    prices = caller.get("/batches/1/prices").json()
    assert prices["compute_price"][0][0][0][3] == 33_000 and prices["grid_carbon"] == [[550] * SLOTS]
    curves = caller.get("/batches/1/curves", params={"zone_id": 0, "slot": 0}).json()
    assert [step["price"] for step in curves["energy_supply"]] == [50_000, 50_000, 90_000, 90_000]
    sold = sum(step["sold"] for step in curves["energy_supply"])
    assert sold == (1 + 2 + 3) * ENERGY_WH
    assert caller.get("/batches/1/curves", params={"zone_id": 1, "slot": 0}).status_code == 422


def test_agreements_tell_delivery_and_payment_slot_by_slot(trading: World, market_chain: MarketChain) -> None:
    caller = trading.anonymous()
    listed = caller.get("/agreements", params={"batch_id": 1, "limit": 4}).json()
    rest = caller.get("/agreements", params={"batch_id": 1, "cursor": listed["next_cursor"]}).json()
    assert len(listed["items"]) == 4 and len(rest["items"]) == 2 and rest["next_cursor"] is None
    runs = [caller.get(f"/agreements/1-1-{number}").json() for number in range(3)]
    grey, last = (next(run for run in runs if run["lanes"] == lanes) for lanes in (2, 4))
    assert [slot["state"] for slot in grey["slots"]] == ["settled"] * 4
    first = grey["slots"][0]
    assert first["delivered_milli_lanes"] == 1900 and first["bundle_micro"] == 60_000
    power = 220 * 100_000 // 1000
    matched = 220 * 1900 // 2000
    assert first["power_micro"] == power * matched // 220
    assert first["compute_micro"] == (60_000 - power) * 1900 // 2000
    assert first["refund_micro"] == 60_000 - first["power_micro"] - first["compute_micro"]
    green = caller.get("/agreements/1-0-0").json()
    assert {slot["state"] for slot in green["slots"]} == {"reported"}
    assert [slot["state"] for slot in last["slots"]] == ["settled", "settled", "running", "running"]


def test_payments_of_slots_add_up_to_what_the_contract_moved(trading: World) -> None:
    caller = trading.anonymous()
    events = caller.get("/events", params={"name": "SlotSettled"}).json()["items"]
    runs = [caller.get(f"/agreements/1-1-{number}").json() for number in range(3)]
    for event in events:
        arguments = event["arguments"]
        slots = [s for run in runs for s in run["slots"] if s["slot"] == arguments["slot"]]
        assert sum(slot["compute_micro"] for slot in slots) == arguments["computeMicro"]
        assert sum(slot["power_micro"] for slot in slots) == arguments["powerMicro"]
        assert sum(slot["refund_micro"] for slot in slots) == arguments["refundMicro"]
    assert len(events) == 6


def test_money_and_deliveries_are_the_callers_own(trading: World, market_chain: MarketChain) -> None:
    buyer = trading.wallet(BUYERS[0])
    (own,) = buyer.get("/accounts").json()
    available, locked = Treasury(market_chain.book, market_chain.rpc).ledger(account(BUYERS[0]))
    assert (own["available_micro"], own["locked_micro"]) == (available, locked)
    payments = buyer.get("/payments").json()["items"]
    assert sum(row["available_micro"] for row in payments) == available
    assert {row["account"] for row in payments} == {account(BUYERS[0]).lower()}
    bought = buyer.get("/deliveries").json()["items"]
    assert len(bought) == 2 and {row["side"] for row in bought} == {"buyer"}
    stranger = trading.wallet("stranger")
    assert stranger.get("/payments").json()["items"] == [] == stranger.get("/deliveries").json()["items"]
    sold = trading.wallet("provider").get("/deliveries", params={"side": "seller"}).json()["items"]
    assert len(sold) == 6


def test_orders_that_only_the_chain_saw_are_their_makers(trading: World) -> None:
    orders = trading.wallet(BUYERS[1]).get("/orders").json()["items"]
    placed = [order for order in orders if order["batch_ids"] == [1]]
    assert sorted(order["lanes"] for order in placed) == [2, 5]
    by_lanes = {order["lanes"]: order for order in placed}
    assert by_lanes[2]["state"] == "settled" and by_lanes[2]["slots_settled"] == 4
    assert by_lanes[5]["state"] == "delivering"


def test_reports_and_plants(trading: World) -> None:
    caller = trading.anonymous()
    reports = caller.get("/reports").json()["items"]
    assert [report["epoch"] for report in reports] == list(range(6))
    assert caller.get(f"/reports/{START}").json()["end"] == START + SLOT
    assert caller.get(f"/reports/{START + 1}").status_code == 404
    rows = caller.get("/plants/7/deliveries", params={"batch_id": 1}).json()
    assert [row["sold_wh"] for row in rows] == [440] * 4 + [550] * 4


def test_unchanged_data_is_not_sent_twice(trading: World) -> None:
    caller = trading.anonymous()
    first = caller.get("/batches/1/prices")
    again = caller.get("/batches/1/prices", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304 and again.content == b""
    assert caller.get("/chain").headers["content-encoding"] == "gzip"


def test_readings_prove_themselves_against_the_root_on_chain(trading: World) -> None:
    caller = trading.anonymous()
    report = caller.get(f"/reports/{START}").json()
    readings = caller.get(f"/reports/{START}/readings").json()["items"]
    assert [reading["meter_id"] for reading in readings] == [11, 12]
    for reading in readings:
        proof = [bytes.fromhex(step[2:]) for step in reading["proof"]]
        assert verify(bytes.fromhex(report["root"][2:]), proof, bytes.fromhex(reading["leaf"][2:]))
        key = DevicePublicKey(bytes.fromhex(reading["x"][2:]), bytes.fromhex(reading["y"][2:]))
        payload, signature = (bytes.fromhex(reading[name][2:]) for name in ("payload", "signature"))
        assert key.verify(payload, signature) and int(reading["quantity"]) == 1000 * reading["meter_id"]
    one = caller.get(f"/reports/{START}/readings", params={"meter_id": 12}).json()["items"]
    assert one == readings[1:]
    page = caller.get(f"/reports/{START}/readings", params={"limit": 1}).json()
    rest = caller.get(f"/reports/{START}/readings", params={"cursor": page["next_cursor"]}).json()
    assert page["items"] + rest["items"] == readings


def test_outcomes_are_what_was_settled(trading: World, market_chain: MarketChain) -> None:
    caller = trading.anonymous()
    report = caller.get(f"/reports/{START}").json()
    (outcome,) = caller.get(f"/reports/{START}/outcomes", params={"batch_id": 1}).json()
    assert outcome["packed"] == "0x" + market_chain.outcomes(0).hex()
    assert outcome["leaf"] == report["outcomes_root"] and outcome["proof"] == []


def test_the_archive_gives_a_file_only_by_its_true_hash(trading: World, market_chain: MarketChain) -> None:
    caller = trading.anonymous()
    digest = caller.get(f"/reports/{START}").json()["archive_hash"]
    answer = caller.get(f"/archive/readings/{digest}")
    assert answer.status_code == 200 and "0x" + hashlib.sha256(answer.content).hexdigest() == digest
    assert "immutable" in answer.headers["cache-control"]
    wrong = "ab" * 32
    market_chain.archive.joinpath(f"{wrong}.cbor").write_bytes(b"something else")
    assert caller.get(f"/archive/readings/{wrong}").status_code == 404
