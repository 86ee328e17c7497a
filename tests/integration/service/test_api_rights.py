"""Every route with every role: who may, who may not; and nobody reaches into another organisation."""

from __future__ import annotations

import re

import pytest
from fastapi.dependencies.models import Dependant

from backend.api.app import api_routes
from backend.api.deps import Need
from backend.service.access import ROLE_SCOPES, Role, Scope
from tests.unit.api.callers import Caller, World

SIGNED_IN = {
    ("GET", "/session"),
    ("DELETE", "/session"),
    ("GET", "/session/organisations"),
    ("PUT", "/session/organisation"),
    ("POST", "/what-ifs"),
    ("GET", "/jobs"),
    ("GET", "/jobs/{job_id}"),
    ("POST", "/jobs/{job_id}/cancel"),
}
_OPEN_READS = (
    "/chain /zones /classes /products /calendar /sites /plants /devices /batches /batches/{batch_id} "
    "/batches/{batch_id}/prices /batches/{batch_id}/curves /agreements /agreements/{agreement} "
    "/plants/{plant_id}/deliveries /certificates/{certificate_id}/history /certificates/retirements /reports "
    "/reports/{start} /reports/{start}/readings /reports/{start}/outcomes "
    "/readings /events /archive/{kind}/{digest} /stream /listings /listings/{offer_hash} "
    "/search /transactions/{tx_hash} /cleared-orders/{order_hash}"
)
_OPEN_POSTS = "/quotes /session/nonce /session /session/demo /oauth/token"
OPEN = {("GET", path) for path in _OPEN_READS.split()} | {("POST", path) for path in _OPEN_POSTS.split()}
"""What the world may see or start with; everything else needs a scope or a session."""


def scope_of(dependant: Dependant) -> Scope | None:
    """The scope that a route asks for."""
    if isinstance(dependant.call, Need):
        return dependant.call.scope
    return next((scope for part in dependant.dependencies if (scope := scope_of(part))), None)


def operations() -> list[tuple[str, str, Scope | None]]:
    """(method, path, scope) of every route."""
    return [
        (method, route.path, scope_of(route.dependant))
        for route in api_routes()
        for method in sorted(route.methods - {"HEAD"})
    ]


def address_of(path: str) -> str:
    """The path with something in every place."""
    places = {
        "member_id": "0" * 26, "key_id": "0" * 26, "client_id": "0" * 26, "template_id": "0" * 26,
        "order_hash": "0x" + "ab" * 32, "offer_hash": "0x" + "ab" * 32, "agreement": "1-0-0", "batch_id": "1",
        "plant_id": "7", "certificate_id": "1", "start": "900", "kind": "book", "digest": "ab" * 32,
        "tx_hash": "0x" + "ab" * 32, "resource_id": "0" * 26, "job_id": "0" * 26, "webhook_id": "0" * 26,
        "month": "2017-10", "bid_id": "0" * 26, "offer_id": "0" * 26, "requirement_id": "0" * 26,
        "period_id": "0" * 26, "event_id": "0" * 26, "position": "0", "resource_kind": "battery",
    }  # fmt: skip
    return re.sub(r"\{(\w+)\}", lambda match: places[match[1]], path)


def test_every_route_is_open_on_purpose_or_asks_for_something() -> None:
    for method, path, scope in operations():
        listed = (method, path) in OPEN or (method, path) in SIGNED_IN
        assert listed != (scope is not None), f"{method} {path}"


def test_without_a_sign_in_everything_private_is_closed(trading: World) -> None:
    caller = trading.anonymous()
    for method, path, scope in operations():
        if scope is None and (method, path) not in SIGNED_IN:
            continue
        answer = caller.call(
            method, address_of(path), json={} if method in ("POST", "PUT", "PATCH") else None
        )
        assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
        assert answer.headers["www-authenticate"]


@pytest.fixture(scope="session")
def members(trading: World) -> dict[Role, Caller]:
    """One caller per role, all in one organisation."""
    owner = trading.wallet("matrix owner")
    return {role: trading.member(owner, f"matrix {role.value}", role.value) for role in Role}


def test_every_route_with_every_role(members: dict[Role, Caller]) -> None:
    tried = 0
    for role, caller in members.items():
        assert caller.session["roles"] == [role.value]
        for method, path, scope in operations():
            if scope is None:
                continue
            body = {} if method in ("POST", "PUT", "PATCH") else None
            answer = caller.call(method, address_of(path), json=body)
            if scope in ROLE_SCOPES[role]:
                assert answer.status_code not in (401, 403), f"{role} {method} {path}: {answer.text}"
                assert answer.status_code < 500, f"{role} {method} {path}: {answer.text}"
            else:
                assert answer.status_code == 403, f"{role} {method} {path}: {answer.status_code}"
                assert answer.json()["field"] == "scope"
            tried += 1
    assert tried > 200


def test_a_role_given_up_ends_at_once(trading: World) -> None:
    owner = trading.wallet("strict owner")
    member = trading.member(owner, "demoted", "buyer")
    assert member.get("/orders").status_code == 200
    (seat,) = (row for row in owner.get("/organisation/members").json() if row["roles"] == ["buyer"])
    owner.call("PATCH", f"/organisation/members/{seat['id']}", json={"roles": ["provider"]})
    assert member.get("/orders").status_code == 403
    assert owner.call("DELETE", f"/organisation/members/{seat['id']}").status_code == 204
    assert member.get("/organisation").status_code == 401


def test_the_last_operator_stays(trading: World) -> None:
    owner = trading.wallet("last operator")
    (seat,) = owner.get("/organisation/members").json()
    for change in ({"roles": ["buyer"]}, None):
        method = "PATCH" if change else "DELETE"
        answer = owner.call(method, f"/organisation/members/{seat['id']}", json=change)
        assert answer.status_code == 409 and answer.json()["field"] == "roles"


def test_what_belongs_to_another_organisation_is_not_there(trading: World) -> None:
    owner, other = trading.wallet("owner a"), trading.wallet("owner b")
    key = owner.post("/organisation/keys", {"name": "bot", "scopes": ["orders:read"]}).json()
    client = owner.post("/organisation/clients", {"name": "ven", "scopes": ["orders:read"]}).json()
    (seat,) = owner.get("/organisation/members").json()
    for path in (f"keys/{key['id']}", f"clients/{client['id']}", f"members/{seat['id']}"):
        assert other.call("DELETE", f"/organisation/{path}").status_code == 404
    assert (
        other.call("PATCH", f"/organisation/members/{seat['id']}", json={"roles": ["buyer"]}).status_code
        == 404
    )
    for path in ("keys", "clients", "audit-log"):
        assert key["id"] not in other.get(f"/organisation/{path}").text
    refused = other.call(
        "PUT", "/session/organisation", json={"organisation_id": owner.session["organisation_id"]}
    )
    assert refused.status_code == 422 and refused.json()["field"] == "organisation_id"


def test_a_wallet_with_two_seats_chooses_one(trading: World) -> None:
    owner = trading.wallet("host")
    guest = trading.wallet("guest")
    trading.member(owner, "guest", "auditor")
    seats = guest.get("/session/organisations").json()
    assert len(seats) == 2
    switched = guest.call(
        "PUT", "/session/organisation", json={"organisation_id": owner.session["organisation_id"]}
    )
    assert switched.status_code == 200 and switched.json()["roles"] == ["auditor"]
    assert guest.get("/organisation/audit-log").status_code == 200
    assert guest.get("/organisation/keys").status_code == 403


def test_only_operators_of_the_platform_see_its_settings(trading: World) -> None:
    assert trading.wallet("matrix owner").get("/settings").status_code == 403
    boss = trading.wallet("platform boss")
    trading.context.settings.operators.append(boss.session["address"])
    shown = boss.get("/settings")
    assert shown.status_code == 200 and "secret" not in shown.json()


def test_the_demo_sign_in_is_off_unless_switched_on(trading: World) -> None:
    refused = trading.anonymous().post("/session/demo", {"address": "0x" + "11" * 20})
    assert refused.status_code == 403
