"""Signing in with a wallet: what is taken, what is refused and why."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.api.callers import Key, World, siwe_text


def test_sign_in_gives_a_session_and_out_ends_it(world: World) -> None:
    caller = world.wallet("alice")
    who = caller.get("/session").json()
    assert who["address"] == Key.of("alice").address.lower()
    assert "buyer" in who["roles"] and "orders:write" in who["scopes"]
    assert caller.call("DELETE", "/session").status_code == 204
    assert caller.get("/session").status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(world: World) -> None:
    caller = world.anonymous()
    key = Key.of("alice")
    text = siwe_text(key.address, caller.nonce())
    answer = caller.post("/session", {"message": text, "signature": key.sign_text(text)})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie


def test_a_wallet_keeps_its_organisation(world: World) -> None:
    first, second = world.wallet("alice"), world.wallet("alice")
    assert first.session["organisation_id"] == second.session["organisation_id"]
    assert world.wallet("bob").session["organisation_id"] != first.session["organisation_id"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"domain": "evil.example"}, "domain"),
        ({"uri": "http://evil.example", "domain": "evil.example"}, "uri"),
        ({"chain_id": 1}, "chain_id"),
        ({"issued": timedelta(hours=-2)}, "issued_at"),
        ({"issued": timedelta(hours=2)}, "issued_at"),
        ({"expires": timedelta(seconds=-10)}, "expiration_time"),
        ({"nonce": "deadbeefdeadbeef"}, "nonce"),
    ],
)
def test_a_wrong_message_is_refused_by_field(world: World, change: dict[str, object], field: str) -> None:
    caller, key = world.anonymous(), Key.of("alice")
    terms = {"nonce": caller.nonce()} | change
    text = siwe_text(key.address, **terms)  # type: ignore[arg-type]
    answer = caller.post("/session", {"message": text, "signature": key.sign_text(text)})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field and answer.json()["mend"]


def test_a_nonce_works_once(world: World) -> None:
    caller, key = world.anonymous(), Key.of("alice")
    text = siwe_text(key.address, caller.nonce())
    body = {"message": text, "signature": key.sign_text(text)}
    assert caller.post("/session", body).status_code == 201
    again = world.anonymous().post("/session", body)
    assert again.status_code == 422 and again.json()["field"] == "nonce"


def test_another_key_cannot_sign_for_a_wallet(world: World) -> None:
    caller = world.anonymous()
    text = siwe_text(Key.of("alice").address, caller.nonce())
    answer = caller.post("/session", {"message": text, "signature": Key.of("bob").sign_text(text)})
    assert answer.status_code == 422 and answer.json()["field"] == "signature"


def test_a_message_that_is_none_is_refused(world: World) -> None:
    answer = world.anonymous().post("/session", {"message": "hello", "signature": "0x" + "11" * 65})
    assert answer.status_code == 422 and answer.json()["field"] == "message"


def test_changes_with_the_cookie_need_the_csrf_token(world: World) -> None:
    caller = world.wallet("alice")
    token = caller.session.pop("csrf_token")
    refused = caller.call("PATCH", "/organisation", json={"name": "Lab"})
    assert refused.status_code == 403 and refused.json()["field"] == "X-CSRF-Token"
    headers = {"X-CSRF-Token": token, "Origin": "http://evil.example"}
    refused = caller.call("PATCH", "/organisation", json={"name": "Lab"}, headers=headers)
    assert refused.status_code == 403 and refused.json()["field"] == "Origin"
    taken = caller.call("PATCH", "/organisation", json={"name": "Lab"}, headers={"X-CSRF-Token": token})
    assert taken.status_code == 200 and taken.json()["name"] == "Lab"


def test_logins_are_limited(world: World) -> None:
    object.__setattr__(world.context.settings, "rate_login_per_minute", 1)
    caller = world.anonymous()
    answers = [caller.post("/session/nonce") for _ in range(25)]
    assert answers[-1].status_code == 429 and int(answers[-1].headers["retry-after"]) >= 1


def test_keys_and_clients_open_what_their_scopes_say_and_no_more(world: World) -> None:
    owner = world.wallet("alice")
    made = owner.post("/organisation/keys", {"name": "bot", "scopes": ["organisation:read"]})
    assert made.status_code == 201 and made.json()["secret"].startswith("bwk_")
    machine = world.anonymous().with_token(made.json()["secret"])
    assert machine.get("/organisation").status_code == 200
    refused = machine.get("/organisation/audit-log")
    assert refused.status_code == 403 and refused.json()["field"] == "scope"
    assert owner.call("DELETE", f"/organisation/keys/{made.json()['id']}").status_code == 204
    assert machine.get("/organisation").status_code == 401

    client = owner.post("/organisation/clients", {"name": "ven", "scopes": ["organisation:read"]}).json()
    form = {
        "grant_type": "client_credentials",
        "client_id": client["id"],
        "client_secret": client["client_secret"],
    }
    token = world.anonymous().call("POST", "/oauth/token", data=form).json()
    assert token["token_type"] == "Bearer" and token["scope"] == "organisation:read"
    machine = world.anonymous().with_token(token["access_token"])
    assert machine.get("/organisation").status_code == 200
    wrong = world.anonymous().call("POST", "/oauth/token", data=form | {"client_secret": "bwc_no"})
    assert wrong.status_code == 401 and "www-authenticate" in wrong.headers
    assert owner.call("DELETE", f"/organisation/clients/{client['id']}").status_code == 204
    assert machine.get("/organisation").status_code == 401


def test_a_machine_gets_no_more_than_its_maker_and_never_members(world: World) -> None:
    owner = world.wallet("alice")
    for scope in ("organisation:write", "keys:write", "platform:operate"):
        answer = owner.post("/organisation/keys", {"name": "bot", "scopes": [scope]})
        assert answer.status_code == 422 and answer.json()["field"] == "scopes"


def test_secrets_are_stored_as_hashes_only(world: World) -> None:
    owner = world.wallet("alice")
    secret = owner.post("/organisation/keys", {"name": "bot", "scopes": ["orders:read"]}).json()["secret"]
    with world.context.store.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM api_key").fetchall()
    assert secret not in repr(rows) and secret[5:] not in repr(rows)


def test_who_did_what_is_logged(world: World) -> None:
    owner = world.wallet("alice")
    owner.post("/organisation/keys", {"name": "bot", "scopes": ["orders:read"]})
    entries = owner.get("/organisation/audit-log").json()["items"]
    assert [entry["action"] for entry in entries] == ["key.made", "session.opened"]
    assert all(entry["actor"] == f"wallet:{owner.session['address']}" for entry in entries)
