"""The flexibility market as the running service keeps it: from bids to money in members' accounts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import select

from audit.cli import audit
from backend.store.engine import Store
from backend.store.operations import OutboxRow
from tests.integration.vpp.flex_world import DAY, DEPOSIT, FlexWorld
from tests.unit.api.callers import Key


@pytest.fixture
def flex(store: Store, tmp_path: Path) -> Iterator[FlexWorld]:
    made = FlexWorld(tmp_path, store)
    yield made
    made.close()


QUARTER = 250_000  # Wh of 1 MW in a quarter-hour
SLOTS = (40, 41, 42, 43)


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
def test_a_day_from_bids_to_paid_members(flex: FlexWorld) -> None:
    """Every step by workers that just started: two zones, two aggregators, a member, a dispute, exact
    money.
    """
    flex.trust("grid", "agg one", "agg two")
    own = flex.resource("agg one", "MP-1", 0)
    members = flex.resource("member", "MP-2", 0, aggregator="agg one")
    other = flex.resource("agg two", "MP-3", 1)
    flex.callers["grid"].call(
        "PUT",
        "/flex/lines",
        json={"lines": [{"from_zone": 0, "to_zone": 1, "forward_w": 400_000, "backward_w": 0}]},
    )
    flex.bid("agg one", own, {t: [[5_000, -QUARTER]] for t in SLOTS})
    flex.bid("agg one", members, {t: [[5_500, -QUARTER]] for t in SLOTS})
    flex.bid("agg two", other, {t: [[9_000, -QUARTER]] for t in SLOTS})
    flex.require(0, {t: [[20_000, 2 * QUARTER - 100_000]] for t in SLOTS})
    flex.require(1, {t: [[20_000, QUARTER]] for t in SLOTS})
    flex.step(2)
    assert flex.items("agg one", "/periods") == []
    flex.close_gate()
    flex.step(4, crash=True)
    period = flex.period()
    assert period["state"] == "anchored", period
    awards = flex.items("agg one", f"/awards?period_id={period['id']}")
    by_source = {a["resource_id"]: a["energy_wh"] for a in awards}
    # 100 kWh flow to zone 1: both cheap bids of zone 0 are taken in full, zone 1 buys the rest at its own
    assert by_source == {own: QUARTER, members: QUARTER}
    zone1 = flex.items("agg two", f"/awards?period_id={period['id']}")
    assert {a["energy_wh"] for a in zone1} == {QUARTER - 100_000}
    prices = period["prices"]["energy_shed"]
    assert all(prices["0"][t] <= prices["1"][t] for t in SLOTS) and prices["0"][0] is None
    positions = flex.items("agg one", f"/positions?period_id={period['id']}")
    assert sum(p["declared_wh"] for p in positions) == 4 * (3 * QUARTER - 100_000)
    check = flex.callers["agg one"].get(f"/flex/periods/{period['id']}/positions/0/proof").json()
    assert check["root"] == period["awards_root"]

    events = {e["resource_id"]: e for e in flex.items("agg one", f"/events?period_id={period['id']}")}
    assert events[members]["state"] == "SENT" and len(events[members]["set_w"]) == 4
    seen = flex.items("member", "/events")
    assert [e["id"] for e in seen] == [events[members]["id"]]
    answered = flex.post("member", f"/events/{seen[0]['id']}/receipt", {"accepted": True})
    assert answered["state"] == "ACKED"
    assert flex.post("member", f"/events/{seen[0]['id']}/receipt", {"accepted": True})["state"] == "ACKED"
    again = flex.callers["member"].post(f"/flex/events/{seen[0]['id']}/receipt", {"accepted": False})
    assert again.status_code == 409
    ven = flex.ven("agg one", "MP-1")  # the aggregator's own site listens by OpenADR
    (mirrored,) = ven.get("/openadr3/events").json()
    assert mirrored["eventName"] == events[own]["id"] and len(mirrored["intervals"]) == 4
    watts = [i["payloads"][0]["values"][0] * 1000 for i in mirrored["intervals"]]
    assert watts == events[own]["set_w"]
    flex.clock.advance_to(events[own]["deadline"] + 1)
    flex.step()
    assert (
        flex.callers["agg one"].get(f"/flex/events?resource_id={own}").json()["items"][0]["state"]
        == "NO_RECEIPT"
    )
    report = {"eventID": mirrored["id"], "clientName": "site", "resources": [{"resourceName": "ALL"}]}
    assert ven.post("/openadr3/reports", json=report).status_code == 201
    assert flex.items("agg one", f"/events?resource_id={own}")[0]["state"] == "ACKED"
    late = flex.callers["agg one"].post(f"/flex/events/{events[own]['id']}/receipt", {"accepted": False})
    assert late.status_code == 409

    shed = dict.fromkeys(SLOTS, 1000000)
    flex.tell("agg one", own, flex.day.start, flex.today_w(shed))
    flex.tell("member", members, flex.day.start, flex.today_w(dict.fromkeys(SLOTS, 750000)))
    flex.tell("agg two", other, flex.day.start, flex.today_w(dict.fromkeys(SLOTS, 100000)))
    flex.clock.advance_to(period["end"] + flex.settings.flex_telemetry_seconds + 1)
    flex.step(4, crash=True)
    period = flex.period()
    assert period["state"] == "delivered", period
    positions = flex.items("agg one", f"/positions?period_id={period['id']}")
    one = [p for p in positions if p["zone_id"] == 0]
    assert {p["delivered_wh"] for p in one} == {QUARTER + 187_500}
    assert all(p["penalty_micro"] > 0 for p in positions)

    disputed = next(p["position"] for p in positions if p["zone_id"] == 1)
    body = {"position": disputed, "evidence_hash": "0x" + "ab" * 32}
    made = flex.post("grid", f"/periods/{period['id']}/transactions/dispute", body)
    flex.send_transaction("grid", made)
    flex.clock.advance_to(flex.rpc.timestamp() + 601)
    flex.step(3, crash=True)
    assert flex.period()["state"] == "delivered"  # the others are settled, one waits for the arbiter
    assert sum(p["settled"] for p in flex.items("grid", f"/positions?period_id={period['id']}")) == 7
    flex.as_operator(flex.flex.resolve(period["chain_period"], disputed, 0, bytes(32)))
    flex.step(6, crash=True)
    assert flex.period()["state"] == "settled", flex.period()
    positions = flex.items("agg one", f"/positions?period_id={period['id']}")
    assert positions[disputed]["payment_micro"] == 0

    for name in ("agg one", "agg two"):
        split = flex.callers[name].get(f"/flex/periods/{period['id']}/split").json()
        account = Key.of(name).address.lower()
        paid = sum(p["payment_micro"] for p in positions if p["account"] == account)
        assert split["paid_micro"] == paid == sum(s["amount_micro"] for s in split["shares"]) > 0
        assert paid == flex.flex.read("position", period["chain_period"], account)[2]
        flex.send_transaction(name, flex.post(name, f"/periods/{period['id']}/transactions/split", {}))
    flex.step(4, crash=True)
    assert flex.period()["state"] == "paid", flex.period()

    payments = sum(p["payment_micro"] for p in positions)
    penalties = sum(p["penalty_micro"] for p in positions)
    money = {
        name: flex.treasury.ledger(Key.of(name).address) for name in ("grid", "agg one", "agg two", "member")
    }
    assert all(locked == 0 for _, locked in money.values())
    assert money["grid"][0] == DEPOSIT - payments + penalties
    assert sum(available for available, _ in money.values()) == 3 * DEPOSIT
    own_part = flex.items("member", f"/settlements?period_id={period['id']}")
    assert money["member"][0] == sum(s["to_member_micro"] for s in own_part) > 0
    with flex.store.reading() as session:  # nothing was asked for twice and nothing failed
        states = {row.state for row in session.exec(select(OutboxRow))}
    assert states <= {"mined", "final"}
    span = f"start={flex.day.start}&end={flex.day.start + 44 * 900}"
    free = flex.callers["agg one"].get(f"/flex/resources/{own}/free?{span}").json()["free_w"]
    assert free[39] == 8_000_000 and free[40] == 7_000_000
    _, checks = audit(flex.rpc.url, flex.archive.root, flex.book_file)
    failed = {item.name: item.result.findings for item in checks if item.result.verdict == "fail"}
    assert failed == {}
    looked_at = {item.name: item.result.checked for item in checks}
    assert looked_at["flexibility.measured"] == 12 and looked_at["flexibility.shares"] > 0


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_blocks_capacity_real_time_and_who_has_no_collateral(flex: FlexWorld) -> None:
    flex.trust("grid", "agg one")  # agg two trusts nobody: its bids are left out, with the reason
    own = flex.resource("agg one", "MP-1", 0)
    other = flex.resource("agg two", "MP-2", 0)
    day = {"day": DAY.isoformat()}
    block = {"id": "b", "first_slot": 40, "profile_wh": [-QUARTER] * 2, "limit_ticks": 4_000,
             "latest_start": 42}  # fmt: skip
    placed = flex.bid("agg one", own, {}, blocks=[block])
    cheap = flex.bid("agg two", other, {t: [[100, -QUARTER]] for t in range(40, 44)})
    flex.require(
        0,
        {
            40: [[3_000, 2 * QUARTER]],
            41: [[3_000, 2 * QUARTER]],
            42: [[9_000, 2 * QUARTER]],
            43: [[9_000, 2 * QUARTER]],
        },
    )
    hours = [0] * 24
    hours[3] = 800_000
    reserve = {
        "market": "ancillary",
        "product": "reserve_up",
        "required_w": hours,
        "cap_micro_per_kw_h": 50_000,
    }
    flex.post("grid", "/requirements", day | reserve)
    start = flex.day.start + 3 * 3600
    offer = {"resource_id": own, "product": "reserve_up", "start": start, "end": start + 3600,
             "capacity_w": 1_000_000, "price_micro_per_kw_h": 20_000}  # fmt: skip
    flex.post("agg one", "/offers", day | offer)
    flex.close_gate()
    flex.step(4)
    ahead, ancillary = flex.period(), flex.period("ancillary")
    assert (ahead["state"], ancillary["state"]) == ("anchored", "anchored"), (ahead, ancillary)
    awards = flex.items("agg one", f"/awards?period_id={ahead['id']}")
    # the block went to where it is worth its limit, and its deadline holds
    assert [(a["start"] - flex.day.start) // 900 for a in awards] == [42, 43]
    assert {a["source_id"] for a in awards} == {placed["id"]}
    why = flex.callers["agg two"].get(f"/flex/bids/{cheap['id']}").json()["refused"]
    assert "does not trust" in why
    assert flex.items("agg one", f"/awards?period_id={ancillary['id']}")[0]["energy_wh"] == 800_000
    assert ancillary["prices"]["reserve_up"][3] == 20_000 and ancillary["prices"]["reserve_up"][4] is None
    reserved = flex.callers["agg one"].get(f"/flex/resources/{own}/free?start={start}&end={start + 900}")
    assert reserved.json()["free_w"] == [8_000_000 - 800_000]

    flex.bid("agg one", own, {80: [[2_000, -QUARTER]]}, market="real_time")
    flex.require(0, {80: [[8_000, 100_000]]}, market="real_time")
    flex.clock.advance_to(flex.day.start + 19 * 3600)  # the gate of hour 20
    late = flex.callers["agg one"].post(
        "/flex/bids", day | {"resource_id": own, "market": "real_time",
                             "ladders": [[] if t != 81 else [[1, -1]] for t in range(96)]},
    )  # fmt: skip
    assert late.status_code in (409, 410) and late.json()["field"] == "received_at", late.text
    flex.step(5)
    hour = flex.period("real_time")
    assert hour["first_slot"] == 80 and hour["state"] == "anchored", hour
    assert [a["energy_wh"] for a in flex.items("agg one", f"/awards?period_id={hour['id']}")] == [100_000]

    load = flex.today_w({42: 1_000_000, 43: 1_000_000, 80: 400_000})
    flex.tell("agg one", own, flex.day.start, load)
    flex.clock.advance_to(flex.day.start + 86_400 + flex.settings.flex_telemetry_seconds + 1)
    flex.step(5)
    flex.clock.advance_to(flex.rpc.timestamp() + 601)
    flex.step(8)
    for market in ("day_ahead", "ancillary", "real_time"):
        period = flex.period(market)
        assert period["state"] == "settled", period
        for row in flex.items("agg one", f"/positions?period_id={period['id']}"):
            assert row["delivered_wh"] == row["declared_wh"] and row["penalty_micro"] == 0
    methods = {s["method"] for s in flex.items("agg one", "/settlements")}
    assert methods == {"F5+F6/caiso_10_in_10", "F5+F6/availability"}
    assert flex.treasury.ledger(Key.of("agg one").address)[1] == 0
