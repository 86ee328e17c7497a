"""Virtual power plants over HTTP: the whole path of a member, and clear answers to what is wrong."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.unit.api.callers import Caller, World

SHED = {
    "at": 1, "baseline_w": 4_000_000, "requested_w": -2_000_000,
    "times_ms": [0, 60_000, 3_700_000], "power_w": [4_000_000, 2_000_000, 2_000_000],
}  # fmt: skip
HISTORY = {"history_w": [4_000_000] * 96, "slot_seconds": 900, "tests": [SHED]}


@pytest.fixture
def aggregator(world: World) -> Caller:
    return world.wallet("agg")


def resource(caller: Caller, **changed: Any) -> dict[str, Any]:
    body = {
        "name": "site", "kind": "compute_site", "metering_point": "MP-1", "zone_id": 0, "node": "n1",
        "nameplate_w": 8_000_000,
    } | changed  # fmt: skip
    answer = caller.post("/flex/resources", body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def certified(caller: Caller) -> str:
    made = resource(caller)["id"]
    answer = caller.post(f"/flex/resources/{made}/certificates", HISTORY)
    assert answer.status_code == 201, answer.text
    assert answer.json()["metrics"]["adjustable_w"] == 2_000_000 and answer.json()["method"] == "F7"
    return str(made)


def soon() -> tuple[date, int]:
    day = datetime.now(UTC).date() + timedelta(days=3)
    return day, int(time.time()) // 900 * 900 + 86_400


def test_from_registration_to_a_bid(aggregator: Caller) -> None:
    made = certified(aggregator)
    day, _ = soon()
    ladders = [[[5_000, -100_000], [6_000, -200_000]]] + [[] for _ in range(95)]
    bid = {"resource_id": made, "day": day.isoformat(), "ladders": ladders}
    answer = aggregator.post("/flex/bids", bid)
    assert answer.status_code == 201, answer.text
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) - 8 * 3600
    free = aggregator.get(f"/flex/resources/{made}/free?start={start}&end={start + 1800}").json()
    assert free["free_w"] == [8_000_000 - 1_200_000, 8_000_000]
    twice = aggregator.post("/flex/bids", bid)
    assert twice.status_code == 409 and twice.json()["field"] == "day"
    more = bid | {"product": "peak_shed", "ladders": [[[5_000, -400_000]], *ladders[1:]]}
    again = aggregator.post("/flex/bids", more)
    assert again.status_code == 409 and "800000 W of 2000000 W" in again.json()["detail"]
    path = f"/flex/portfolio?day={day}&zone_id=0"
    assert aggregator.get(path).json()["lower_wh"][:2] == [-300_000, 0]
    assert aggregator.get(f"{path}&hourly=true").json()["lower_wh"][:2] == [-300_000, 0]
    assert len(aggregator.get(f"/flex/bids?day={day}").json()["items"]) == 1
    for _ in range(2):
        gone = aggregator.call("DELETE", f"/flex/bids/{answer.json()['id']}")
        assert gone.status_code == 200 and gone.json()["withdrawn_at"]
    free = aggregator.get(f"/flex/resources/{made}/free?start={start}&end={start + 900}").json()
    assert free["free_w"] == [8_000_000]
    assert aggregator.post("/flex/bids", more).status_code == 201


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"day": "2020-01-01"}, 409, "received_at"),
        ({"ladders": [[]] * 92}, 422, "ladders"),
        ({"ladders": [[[5_000, -600_000]]] + [[]] * 95}, 422, "ladders[0]"),
        ({"ladders": [[[5_000, -1], [4_000, -1]]] + [[]] * 95}, 422, "ladders[0]"),
        ({"ladders": [[[400_000, -1]]] + [[]] * 95}, 422, "ladders[0]"),
        ({"ladders": [[[5_000, 1_000]]] + [[]] * 95}, 422, "ladders[0]"),
        ({"ladders": [[]] * 96}, 422, "ladders"),
        ({"blocks": [{"id": "b", "first_slot": 0, "profile_wh": [5], "limit_ticks": 1}]}, 422, "profile_wh"),
        ({"product": "frequency"}, 422, "product"),
        ({"account": "0x" + "11" * 20}, 403, "account"),
        ({"market": "real_time", "day": "2020-01-01"}, 409, "received_at"),
        ({"blocks": [{"id": "b", "first_slot": 95, "profile_wh": [-1, -1], "limit_ticks": 1}]}, 422, "b]"),
        ({"blocks": [{"id": "b", "first_slot": 0, "profile_wh": [-400_000], "limit_ticks": 1}]}, 422,
        "blocks[0]"), ],
)  # fmt: skip
def test_bad_bids(aggregator: Caller, change: dict[str, Any], status: int, field: str) -> None:
    body = {"resource_id": certified(aggregator), "day": soon()[0].isoformat(),
            "ladders": [[[5_000, -200_000]]] + [[]] * 95} | change  # fmt: skip
    answer = aggregator.post("/flex/bids", body)
    assert answer.status_code in (status, 410) and field in answer.json()["field"], answer.text


def test_a_bid_needs_a_certificate(aggregator: Caller) -> None:
    made = resource(aggregator)["id"]
    body = {"resource_id": made, "day": soon()[0].isoformat(), "ladders": [[]] * 96}
    answer = aggregator.post("/flex/bids", body)
    assert answer.status_code == 422 and "certificate" in answer.json()["detail"]


def test_one_vpp_per_member_and_contract_type(world: World) -> None:
    member, first, second = (world.wallet(name) for name in ("member", "one", "two"))
    made = resource(member)["id"]
    names = [w.get("/session").json()["organisation_id"] for w in (first, second)]
    now = int(time.time())
    body = {"resource_id": made, "share_bps": 8000, "start": now - 60, "end": now + 10**6}
    assert member.post("/flex/contracts", body | {"aggregator_id": names[0]}).status_code == 201
    answer = member.post("/flex/contracts", body | {"aggregator_id": names[1]})
    assert answer.status_code == 409 and answer.json()["field"] == "aggregator_id"
    assert first.get(f"/flex/resources/{made}").status_code == 200
    assert second.get(f"/flex/resources/{made}").status_code == 404
    reasons = first.get("/flex/admission").json()["reasons"]
    assert any("no capability certificate" in reason for reason in reasons)


def test_groups_nest_without_circles(aggregator: Caller) -> None:
    park = resource(aggregator, name="park", metering_point="MP-park")["id"]
    leaf = resource(aggregator, name="leaf", metering_point="MP-leaf", parent_id=park)["id"]
    answer = aggregator.call("PUT", f"/flex/resources/{park}/group", json={"parent_id": leaf})
    assert answer.status_code == 409 and answer.json()["field"] == "parent_id"
    pv = {"name": "x", "kind": "pv", "metering_point": "MP-leaf", "zone_id": 0, "node": "n", "nameplate_w": 1}
    twice = aggregator.post("/flex/resources", pv)
    assert twice.status_code == 409


def test_series_as_flexmeasures_writes_them(aggregator: Caller) -> None:
    made = resource(aggregator)["id"]
    start = int(time.time()) // 900 * 900 - 3600
    body = {"resource_id": made, "start": start, "duration": "PT1H", "values": [1, 2, 3, 4], "unit": "kW"}
    assert aggregator.post("/flex/series", body).status_code == 201
    correction = body | {"start": start + 900, "duration": "PT15M", "values": [9]}
    assert aggregator.post("/flex/series", correction).status_code == 201
    path = f"/flex/series?resource_id={made}&start={start - 900}&duration=PT1H15M"
    assert aggregator.get(path).json()["values"] == [None, 1000, 9000, 3000, 4000]
    assert aggregator.get(f"{path}&known_by=1").json()["values"] == [None] * 5
    for change, field in (
        ({"start": start - 30 * 86_400}, "start"), ({"values": [1, 2, 3, 4, 5, 6, 7]}, "values"),
        ({"duration": "1h"}, "duration"), ({"values": [10**6] * 4, "unit": "MW"}, "values"),
    ):  # fmt: skip
        answer = aggregator.post("/flex/series", body | change)
        assert answer.status_code == 422 and field in answer.json()["field"], answer.text


@pytest.mark.parametrize(("day", "slots"), [("2030-03-31", 92), ("2030-10-27", 100), ("2030-06-01", 96)])
def test_days_on_which_clocks_change_have_their_own_slots(world: World, day: str, slots: int) -> None:
    world.context.settings.flex_time_zone = "Europe/Berlin"
    caller = world.wallet("agg")
    made = certified(caller)
    shown = caller.get(f"/flex/market?day={day}").json()
    assert (
        shown["slots"] == slots
        and len([g for g in shown["gates"] if g["market"] == "real_time"]) == slots // 4
    )
    body = {"resource_id": made, "day": day, "ladders": [[[5_000, -1_000]]] * 96}
    answer = caller.post("/flex/bids", body)
    assert answer.status_code == (201 if slots == 96 else 422), answer.text
    if slots != 96:
        assert "ladders" in answer.json()["field"]
        assert caller.post("/flex/bids", body | {"ladders": [[[5_000, -1_000]]] * slots}).status_code == 201


def test_notice_keeps_short_gates_away(world: World) -> None:
    member, first = world.wallet("member"), world.wallet("one")
    made = certified(member)
    now = int(time.time())
    day, _ = soon()
    body = {"resource_id": made, "aggregator_id": first.get("/session").json()["organisation_id"],
            "share_bps": 8000, "start": now - 60, "end": now + 10**6, "notice_seconds": 7_200}  # fmt: skip
    assert member.post("/flex/contracts", body).status_code == 201
    bid = {"resource_id": made, "day": day.isoformat(), "ladders": [[[5_000, -1_000]]] * 96}
    refused = first.post("/flex/bids", bid | {"market": "real_time"})
    assert refused.status_code == 422 and "notice" in refused.json()["detail"]
    assert first.post("/flex/bids", bid).status_code == 201
    offer = {"resource_id": made, "product": "reserve_up", "day": day.isoformat(), "start": 0, "end": 3600,
             "capacity_w": 200_000, "price_micro_per_kw_h": 10}  # fmt: skip
    assert first.post("/flex/offers", offer).status_code == 422  # not of that day
    start = first.get(f"/flex/market?day={day}").json()["start"]
    alone = first.post("/flex/offers", offer | {"start": start, "end": start + 3600})
    assert alone.status_code == 403  # the contract is for energy


def test_capacity_is_offered_within_certificate_and_product(aggregator: Caller) -> None:
    made = certified(aggregator)
    day, _ = soon()
    start = aggregator.get(f"/flex/market?day={day}").json()["start"]
    body = {"resource_id": made, "product": "reserve_up", "day": day.isoformat(), "start": start,
            "end": start + 7200, "capacity_w": 1_500_000, "price_micro_per_kw_h": 10}  # fmt: skip
    for change, field in (
        ({"capacity_w": 2_000_001}, "capacity_w"), ({"capacity_w": 99_999}, "capacity_w"),
        ({"product": "frequency"}, "capacity_w"), ({"start": start + 900}, "start"),
        ({"price_micro_per_kw_h": 300_001}, "price_micro_per_kw_h"), ({"product": "energy_shed"}, "product"),
    ):  # fmt: skip
        answer = aggregator.post("/flex/offers", body | change)
        assert answer.status_code == 422 and field in answer.json()["field"], answer.text
    made_offer = aggregator.post("/flex/offers", body)
    assert made_offer.status_code == 201, made_offer.text
    bid = {"resource_id": made, "day": day.isoformat(), "ladders": [[[5_000, -200_000]]] + [[]] * 95}
    refused = aggregator.post("/flex/bids", bid)
    assert refused.status_code == 409 and "500000 W of 2000000 W" in refused.json()["detail"]
    assert aggregator.call("DELETE", f"/flex/offers/{made_offer.json()['id']}").status_code == 200
    assert aggregator.post("/flex/bids", bid).status_code == 201


def test_requirements_are_the_operators_alone(world: World) -> None:
    grid = world.wallet("grid")
    day, _ = soon()
    body = {"day": day.isoformat(), "zone_id": 0, "ladders": [[[9_000, 1_000]]] + [[]] * 95}
    assert grid.post("/flex/requirements", body).status_code == 403
    world.context.settings.operators.append(grid.session["address"])
    made = grid.post("/flex/requirements", body)
    assert made.status_code == 201, made.text
    for change, field in (
        ({"ladders": [[[9_000, -1]]] + [[]] * 95}, "ladders[0]"), ({"ladders": [[]] * 96}, "ladders"),
        ({"ladders": [[[9_000, 1]]]}, "ladders"), ({"zone_id": None}, "zone_id"),
        ({"ladders": [[[300_001, 1]]] + [[]] * 95}, "ladders[0]"), ({"product": "frequency"}, "product"),
        ({"market": "ancillary", "product": "frequency", "ladders": [], "required_w": [1]}, "required_w"),
    ):  # fmt: skip
        answer = grid.post("/flex/requirements", body | change)
        assert answer.status_code == 422 and field in answer.json()["field"], answer.text
    assert len(grid.get(f"/flex/requirements?day={day}").json()["items"]) == 1
    assert grid.call("DELETE", f"/flex/requirements/{made.json()['id']}").json()["withdrawn_at"]
    lines = [{"from_zone": 0, "to_zone": 0, "forward_w": 1, "backward_w": 1}]
    assert grid.call("PUT", "/flex/lines", json={"lines": lines}).status_code == 422
