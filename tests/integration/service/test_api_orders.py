"""Orders and offers through the API: what is signed, what is taken, what is refused and why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from backend.api import deps, order_door
from backend.service.errors import Unauthenticated
from tests.unit.api.callers import Caller, Key, World
from tests.unit.api.market_chain import BUYERS, DEPOSIT, SLOT, START, MarketChain, account

TOMORROW = START + 2 * 86_400
HALF_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture
def buyer(trading: World) -> Caller:
    """A buyer with a deposit, signed in."""
    return trading.wallet(BUYERS[0])


def terms(name: str = BUYERS[0], **changes: Any) -> dict[str, Any]:
    """Terms of an order for the day after next."""
    return {
        "maker": account(name),
        "class_id": 0,
        "lanes": 2,
        "duration_slots": 3,
        "start": TOMORROW,
        "deadline": TOMORROW + 20 * SLOT,
        "limit_price": 50_000,
        "min_green_bps": 5000,
    } | changes


def sign(name: str, typed_data: dict[str, Any]) -> str:
    """What a wallet's eth_signTypedData_v4 returns, by an implementation that is not ours."""
    message = encode_typed_data(full_message=typed_data)
    signed = Account.sign_message(message, Key.of(name).private.secret)
    return "0x" + bytes(signed.signature).hex()


def draft(caller: Caller, name: str = BUYERS[0], **changes: Any) -> dict[str, Any]:
    """A signed order, ready to be sent."""
    answer = caller.post("/orders/typed-data", terms(name, **changes))
    assert answer.status_code == 200, answer.text
    made = answer.json()
    return {"order": made["message"], "signature": sign(name, made["typed_data"])}


def test_an_order_is_placed_listed_and_repeated_harmlessly(buyer: Caller, trading: World) -> None:
    body = draft(buyer)
    placed = buyer.post("/orders", body)
    assert placed.status_code == 201, placed.text
    order = placed.json()
    assert order["state"] == "open" and order["zones"] == [0] and order["min_green_bps"] == 5000
    assert buyer.get(f"/orders/{order['order_hash']}").json() == order
    assert buyer.get("/orders").json()["items"][0]["order_hash"] == order["order_hash"]
    again = buyer.post("/orders", body)
    assert again.status_code == 200 and again.json() == order
    signed = buyer.get(f"/orders/{order['order_hash']}/typed-data").json()
    assert signed["digest"] == order["order_hash"] and signed["message"] == body["order"]


def test_nobody_else_sees_an_order_before_it_clears(buyer: Caller, trading: World) -> None:
    order = buyer.post("/orders", draft(buyer)).json()
    other = trading.wallet(BUYERS[1])
    assert other.get(f"/orders/{order['order_hash']}").status_code == 404
    assert order["order_hash"] not in other.get("/orders", params={"limit": 500}).text
    assert other.post(f"/orders/{order['order_hash']}/cancel").status_code == 404


def test_nonces_go_up_one_by_one(buyer: Caller) -> None:
    first, second = (buyer.post("/orders", draft(buyer)).json() for _ in range(2))
    assert int(second["nonce"]) == int(first["nonce"]) + 1


def test_cancelling_takes_an_order_out_and_shows_the_transaction(
    buyer: Caller, market_chain: MarketChain
) -> None:
    order = buyer.post("/orders", draft(buyer)).json()
    gone = buyer.post(f"/orders/{order['order_hash']}/cancel")
    assert gone.status_code == 200 and gone.json()["state"] == "cancelled"
    transaction = gone.json()["transaction"]
    assert transaction["to"] == market_chain.book["BundleMarket"].address.lower()
    data = market_chain.book["BundleMarket"].abi.encode_call("cancel", (int(order["nonce"]),))
    assert transaction["data"] == "0x" + data.hex()
    assert buyer.get(f"/orders/{order['order_hash']}").json()["state"] == "cancelled"
    assert buyer.post(f"/orders/{order['order_hash']}/cancel").json()["state"] == "cancelled"


def test_a_settled_order_cannot_be_cancelled(trading: World) -> None:
    caller = trading.wallet(BUYERS[1])
    settled = next(order for order in caller.get("/orders").json()["items"] if order["state"] == "settled")
    refused = caller.post(f"/orders/{settled['order_hash']}/cancel")
    assert refused.status_code == 409 and refused.json()["mend"]


CHANGES: list[tuple[dict[str, Any], int, str]] = [
    ({"class_id": 9}, 422, "class_id"),
    ({"zones": [5]}, 422, "zone_mask"),
    ({"start": TOMORROW + 1}, 422, "start"),
    ({"deadline": TOMORROW + 20 * SLOT + 7}, 422, "deadline"),
    ({"deadline": TOMORROW + 2 * SLOT}, 422, "deadline"),
    ({"min_lanes": 3}, 422, "min_lanes"),
    ({"kind": 3}, 422, "kind"),
    ({"limit_price": 0}, 422, "limit_price"),
    ({"expiry": START - 10}, 409, "expiry"),
    ({"start": START, "deadline": START + 8 * SLOT, "expiry": TOMORROW}, 409, "deadline"),
    ({"limit_price": 2**62}, 422, "limit_price"),
]


@pytest.mark.parametrize(("change", "status", "field"), CHANGES)
def test_an_order_that_breaks_a_rule_names_field_and_mend(
    buyer: Caller, change: dict[str, Any], status: int, field: str
) -> None:
    answer = buyer.post("/orders", draft(buyer, **change))
    assert answer.status_code == status, answer.text
    assert answer.json()["field"] == field and answer.json()["mend"]


def test_an_order_beyond_the_deposit_says_how_much_is_missing(buyer: Caller) -> None:
    answer = buyer.post("/orders", draft(buyer, limit_price=DEPOSIT))
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/insufficient-deposit" and "deposit" in answer.json()["mend"]


def test_a_used_nonce_is_refused_for_another_order(buyer: Caller) -> None:
    body = draft(buyer)
    assert buyer.post("/orders", body).status_code == 201
    other = buyer.post("/orders", draft(buyer, lanes=1, nonce=body["order"]["nonce"]))
    assert other.status_code == 409 and other.json()["field"] == "nonce"


def test_another_epoch_is_refused(buyer: Caller) -> None:
    made = buyer.post("/orders/typed-data", terms()).json()
    made["typed_data"]["message"]["epoch"] = made["message"]["epoch"] = 4
    answer = buyer.post(
        "/orders", {"order": made["message"], "signature": sign(BUYERS[0], made["typed_data"])}
    )
    assert answer.status_code == 409 and answer.json()["field"] == "epoch"


def signatures(made: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Signatures that must not pass."""
    typed, good = made["typed_data"], sign(BUYERS[0], made["typed_data"])
    yield "another key", sign(BUYERS[1], typed)
    yield "another chain", sign(BUYERS[0], typed | {"domain": typed["domain"] | {"chainId": 1}})
    other = "0x" + "11" * 20
    yield (
        "another contract",
        sign(BUYERS[0], typed | {"domain": typed["domain"] | {"verifyingContract": other}}),
    )
    s = HALF_ORDER - int(good[66:130], 16)
    flipped = "1c" if good[130:] == "1b" else "1b"
    yield "high s", good[:66] + s.to_bytes(32).hex() + flipped
    yield "zeros", "0x" + "00" * 65
    yield "no point", "0x" + "ff" * 64 + "1b"
    yield "too long", good + "00"


def test_signatures_that_are_not_the_makers_are_refused(buyer: Caller) -> None:
    made = buyer.post("/orders/typed-data", terms()).json()
    for name, signature in signatures(made):
        answer = buyer.post("/orders", {"order": made["message"], "signature": signature})
        assert answer.status_code == 422 and answer.json()["field"] == "signature", name


def test_a_known_key_goes_the_short_way_and_meets_the_same_rules(
    trading: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought = trading.wallet(BUYERS[0])
    scopes = ["orders:read", "orders:write"]
    made = bought.post("/organisation/keys", {"name": "machine", "scopes": scopes})
    machine = trading.anonymous().with_token(made.json()["secret"])
    read = bought.post("/organisation/keys", {"name": "reader", "scopes": scopes[:1]}).json()
    reader = trading.anonymous().with_token(read["secret"])
    short: list[str] = []
    place = order_door.place

    def counted(context: Any, principal: Any, body: Any) -> Any:
        short.append(principal.actor)
        return place(context, principal, body)

    monkeypatch.setattr(order_door, "place", counted)
    for module in (order_door, deps):
        monkeypatch.setattr(module, "HOT_SECONDS", 600)
    first, second = draft(bought), draft(bought, lanes=1, nonce=1 << 40)
    assert machine.post("/orders", first).status_code == 201 and not short
    placed = machine.post("/orders", second)
    assert placed.status_code == 201 and len(short) == 1, placed.text
    assert machine.get(f"/orders/{placed.json()['order_hash']}").json() == placed.json()
    again = machine.post("/orders", second)
    assert again.status_code == 200 and again.json() == placed.json()
    for body, status, field in (
        (second | {"signature": first["signature"]}, 422, "signature"),
        ({**second, "order": second["order"] | {"start": 1}}, 422, "start"),
        ({**second, "order": second["order"] | {"colour": 1}}, 422, "order.colour"),
        (second | {"more": 1}, 422, "more"),
    ):
        refused = machine.post("/orders", body)
        assert (refused.status_code, refused.json()["field"]) == (status, field), refused.text
        assert refused.json()["mend"] and refused.headers["x-request-id"]
    assert reader.post("/orders", second).status_code == 403 == reader.post("/orders", second).status_code
    assert machine.post("/orders?x=1", second).json()["field"] == "x"
    keyed = [machine.post("/orders", second, headers={"Idempotency-Key": "a" * 9}) for _ in range(2)]
    assert keyed[1].headers["idempotent-replay"] == "true"
    assert (
        machine.call(
            "POST", "/orders", content=b"{", headers={"content-type": "application/json"}
        ).status_code
        == 400
    )


def test_a_key_in_use_is_looked_up_again_and_forgotten_once_it_is_revoked(
    trading: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, context = trading.wallet(BUYERS[0]), trading.context
    monkeypatch.setattr(order_door, "HOT_SECONDS", 600)
    key = owner.post("/organisation/keys", {"name": "renewed", "scopes": ["orders:write"]}).json()
    door = order_door.OrderDoor(trading.app, route=None)
    given = (b"authorization", b"Bearer " + key["secret"].encode())
    scope = {"type": "http", "query_string": b"", "headers": [given]}

    async def known_for(seconds: float) -> bool:
        principal = await deps.renew(context, key["secret"])
        context.principals[key["secret"]] = (time.monotonic() - seconds, principal)
        known = door._known(context, scope) is not None
        await asyncio.gather(*door._renewing.values())
        return known

    assert asyncio.run(known_for(10)) and not asyncio.run(known_for(601))
    assert asyncio.run(known_for(350)) and time.monotonic() - context.principals[key["secret"]][0] < 300
    owner.call("DELETE", f"/organisation/keys/{key['id']}")
    with pytest.raises(Unauthenticated):
        asyncio.run(deps.renew(context, key["secret"]))
    assert key["secret"] not in context.principals


def test_an_order_of_another_organisations_account_is_refused(trading: World) -> None:
    stranger = trading.wallet("stranger")
    assert stranger.post("/orders/typed-data", terms()).status_code == 403
    body = draft(trading.wallet(BUYERS[0]))
    refused = stranger.post("/orders", body)
    assert refused.status_code == 403 and refused.json()["field"] == "maker"


def test_a_compute_offer_goes_the_same_way(trading: World) -> None:
    provider = trading.wallet("provider")
    body = {
        "maker": account("provider"),
        "site_id": 1,
        "class_id": 0,
        "capacity": 50,
        "energy_wh_per_vcu_slot": 110,
        "ask_price": 4_000,
        "start": TOMORROW,
        "end": TOMORROW + 96 * SLOT,
    }
    made = provider.post("/compute-offers/typed-data", body).json()
    signed = {"offer": made["message"], "signature": sign("provider", made["typed_data"])}
    placed = provider.post("/compute-offers", signed)
    assert placed.status_code == 201 and placed.json()["offer_hash"] == made["digest"]
    assert provider.post("/compute-offers", signed).status_code == 200
    too_much = provider.post("/compute-offers/typed-data", body | {"capacity": 30_000}).json()
    refused = provider.post(
        "/compute-offers",
        {"offer": too_much["message"], "signature": sign("provider", too_much["typed_data"])},
    )
    assert refused.status_code == 422 and refused.json()["field"] == "capacity"
    assert provider.post(f"/offers/{made['digest']}/cancel").status_code == 200
    listed = provider.get("/compute-offers").json()["items"]
    assert {row["offer_hash"]: row["withdrawn"] for row in listed}[made["digest"]] is True


def test_a_site_of_somebody_else_cannot_be_offered(trading: World) -> None:
    buyer = trading.wallet(BUYERS[0])
    body = {
        "maker": account(BUYERS[0]),
        "site_id": 1,
        "class_id": 0,
        "capacity": 1,
        "energy_wh_per_vcu_slot": 110,
        "ask_price": 1,
        "start": TOMORROW,
        "end": TOMORROW + SLOT,
    }
    made = buyer.post("/compute-offers/typed-data", body).json()
    refused = buyer.post(
        "/compute-offers", {"offer": made["message"], "signature": sign(BUYERS[0], made["typed_data"])}
    )
    assert refused.status_code == 403 and refused.json()["field"] == "site_id"


def test_a_power_offer_carries_its_profile(trading: World) -> None:
    supplier = trading.wallet("supplier")
    profile = [[{"wh": 1000 + slot, "ask": 20_000}, {"wh": 500, "ask": -5}] for slot in range(4)]
    made = supplier.post(
        "/power-offers/typed-data",
        {"maker": account("supplier"), "plant_id": 7, "start": TOMORROW, "profile": profile},
    ).json()
    body = {
        "offer": made["message"],
        "profile": made["profile"],
        "signature": sign("supplier", made["typed_data"]),
    }
    placed = supplier.post("/power-offers", body)
    assert placed.status_code == 201, placed.text
    assert placed.json()["wh"][3] == [1003, 500] and placed.json()["ask_micro_per_kwh"][0] == [20_000, -5]
    changed = supplier.post("/power-offers", body | {"profile": "0x" + "00" * 64})
    assert changed.status_code == 422 and changed.json()["field"] == "profile"


def test_templates_are_kept_per_organisation(trading: World) -> None:
    owner, other = trading.wallet("keeper"), trading.wallet("other")
    spec = {"class_id": 0, "lanes": 4, "duration_slots": 8, "window_seconds": 86_400, "limit_price": 40_000}
    made = owner.post("/templates", {"name": "night", "spec": spec})
    assert made.status_code == 201 and made.json()["revision"] == 1
    path = f"/templates/{made.json()['id']}"
    changed = owner.call("PUT", path, json={"name": "night", "spec": spec | {"lanes": 5}})
    assert changed.json()["revision"] == 2 and changed.json()["spec"]["lanes"] == 5
    assert owner.post("/templates", {"name": "night", "spec": spec}).status_code == 409
    assert other.get(path).status_code == 404 and other.get("/templates").json() == []
    assert other.call("DELETE", path).status_code == 404
    assert owner.call("DELETE", path).status_code == 204 and owner.get("/templates").json() == []


def test_a_post_with_the_same_key_is_answered_once(trading: World) -> None:
    owner = trading.wallet("once")
    headers = {"Idempotency-Key": "4b0f7c1e-1"}
    body = {"name": "bot", "scopes": ["orders:read"]}
    first = owner.post("/organisation/keys", body, headers=headers)
    again = owner.post("/organisation/keys", body, headers=headers)
    assert first.status_code == again.status_code == 201 and again.json() == first.json()
    assert again.headers["idempotent-replay"] == "true"
    assert len(owner.get("/organisation/keys").json()) == 1
    other = owner.post("/organisation/keys", body | {"name": "b"}, headers=headers)
    assert other.status_code == 422 and other.json()["field"] == "Idempotency-Key"
