"""OpenADR 3.1 as VTN: programs, events, reports, vens, resources and subscriptions of a tenant.

A client with the scope flex:write is business logic (the aggregator): it sees and changes everything of its
organisation. One with flex:read only is a VEN: it registers itself and its resources, reads programs and
events meant for it, and sends reports; it sees nobody else's objects and cannot set targets. An object
without targets is for everybody; one with targets is for VENs that have them all, on themselves or on a
resource.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlmodel import Session, col, select

from backend.service.access import Principal, Scope
from backend.service.audit_log import record
from backend.service.errors import Conflict, Forbidden, Invalid, NotFound
from backend.service.vpp import dispatching
from backend.service.webhooks import check_url, resolve
from backend.settings import Settings
from backend.store.flex import FlexEvent, FlexResource, OpenAdrObject

Body = dict[str, Any]
CALLBACK_SECONDS = 5.0
DISPATCH_PROGRAM, MARKET_CLIENT = "bitwatt-dispatch", "market"
MOST_PER_PAGE = 50
_DURATION = re.compile(r"^-?P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$")


@dataclass(frozen=True, slots=True)
class Kind:
    """What an object must have, which other object it hangs on, and who may write it."""

    name: str
    required: tuple[str, ...]
    parent: tuple[str, str] | None
    ven_writes: bool
    object_type: str


KINDS = {
    "programs": Kind("programName", ("programName",), None, False, "PROGRAM"),
    "events": Kind("eventName", ("programID",), ("programID", "programs"), False, "EVENT"),
    "reports": Kind(
        "reportName", ("eventID", "clientName", "resources"), ("eventID", "events"), True, "REPORT"
    ),
    "vens": Kind("venName", ("venName",), None, True, "VEN"),
    "resources": Kind("resourceName", ("resourceName", "venID"), ("venID", "vens"), True, "RESOURCE"),
    "subscriptions": Kind("clientName", ("clientName", "objectOperations"), None, True, "SUBSCRIPTION"),
}
_OURS = frozenset({"id", "createdDateTime", "modificationDateTime", "objectType", "clientID"})
NAMED_ONCE = frozenset({"programs", "vens", "resources"})


def is_business(who: Principal) -> bool:
    """Whether the caller is business logic."""
    return Scope.FLEX_WRITE in who.scopes


def _check(kind: str, body: Body, settings: Settings) -> None:
    rule = KINDS[kind]
    for name in rule.required:
        if body.get(name) in (None, "", [], ()):
            raise Invalid(f"{name} is missing", field=name, mend="give it")
    for name in ("programName", "eventName", "reportName", "venName", "resourceName", "clientName"):
        if body.get(name) is not None and (not isinstance(body[name], str) or len(body[name]) > 128):
            raise Invalid(f"{name} must be text of at most 128 characters", field=name, mend="shorten it")
    targets = body.get("targets")
    if targets is not None and not (isinstance(targets, list) and all(isinstance(t, str) for t in targets)):
        raise Invalid("targets must be a list of texts", field="targets", mend='such as ["zone-1"]')
    for place, intervals in [("intervals", body.get("intervals"))] + [
        (f"resources[{n}].intervals", r.get("intervals") if isinstance(r, dict) else None)
        for n, r in enumerate(body.get("resources") or [])
    ]:
        _check_intervals(place, intervals)
    if body.get("intervalPeriod") is not None:
        _check_period("intervalPeriod", body["intervalPeriod"])
    for n, operation in enumerate(body.get("objectOperations") or []):
        if not isinstance(operation, dict) or not isinstance(operation.get("callbackUrl"), str):
            raise Invalid(
                "callbackUrl is missing", field=f"objectOperations[{n}].callbackUrl", mend="give it"
            )
        check_url(operation["callbackUrl"], settings)


def _check_intervals(place: str, intervals: object) -> None:
    if intervals is None:
        return
    if not isinstance(intervals, list):
        raise Invalid("must be a list", field=place, mend="give intervals with id and payloads")
    for n, interval in enumerate(intervals):
        if not isinstance(interval, dict) or not isinstance(interval.get("id"), int):
            raise Invalid(
                "an interval needs an integer id", field=f"{place}[{n}].id", mend="number them from 0"
            )
        if not isinstance(interval.get("payloads"), list) or not interval["payloads"]:
            raise Invalid(
                "an interval needs payloads", field=f"{place}[{n}].payloads", mend="give at least one"
            )
        if interval.get("intervalPeriod") is not None:
            _check_period(f"{place}[{n}].intervalPeriod", interval["intervalPeriod"])


def _check_period(place: str, period: object) -> None:
    if not isinstance(period, dict) or not isinstance(period.get("start"), str):
        raise Invalid("needs a start", field=f"{place}.start", mend="ISO 8601 with zone")
    try:
        zoned = datetime.fromisoformat(period["start"]).tzinfo is not None
    except ValueError:
        zoned = False
    if not zoned:
        raise Invalid("is no time with a zone", field=f"{place}.start", mend="such as 2024-06-01T12:00:00Z")
    duration = period.get("duration")
    if duration is not None and not (isinstance(duration, str) and _DURATION.match(duration)):
        raise Invalid("is no duration", field=f"{place}.duration", mend="such as PT15M")


def shown(row: OpenAdrObject) -> Body:
    """The object as OpenADR shows it."""
    extra: Body = {"clientID": row.client} if row.kind in ("reports", "vens", "resources") else {}
    return row.body | extra | {
        "id": row.id,
        "createdDateTime": _iso(row.created_at),
        "modificationDateTime": _iso(row.modified_at),
        "objectType": KINDS[row.kind].object_type,
    }  # fmt: skip


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _targets_of(session: Session, who: Principal) -> frozenset[str]:
    """All targets of a VEN: its own and its resources'."""
    rows = session.exec(
        select(OpenAdrObject).where(
            OpenAdrObject.organisation_id == who.organisation_id,
            OpenAdrObject.client == who.actor,
            col(OpenAdrObject.kind).in_(("vens", "resources")),
        )
    ).all()
    return frozenset(target for row in rows for target in row.body.get("targets") or ())


def _may_see(row: OpenAdrObject, who: Principal, targets: frozenset[str]) -> bool:
    if is_business(who):
        return True
    if row.kind in ("programs", "events"):
        return set(row.body.get("targets") or ()) <= targets
    return row.client == who.actor


def listing(
    session: Session, who: Principal, kind: str, *, skip: int = 0, limit: int = MOST_PER_PAGE,
    targets: Sequence[str] = (), **equal: str | None,
) -> list[OpenAdrObject]:  # fmt: skip
    """The caller's objects of a kind, oldest first; all `targets` must be on them, and the fields equal."""
    organisation_id = who.require(Scope.FLEX_READ)
    own = _targets_of(session, who)
    rows = session.exec(
        select(OpenAdrObject)
        .where(OpenAdrObject.organisation_id == organisation_id, OpenAdrObject.kind == kind)
        .order_by(col(OpenAdrObject.id))
    ).all()
    found = [
        row for row in rows
        if _may_see(row, who, own) and set(targets) <= set(row.body.get("targets") or ())
        and all(value is None or row.body.get(name) == value for name, value in equal.items())
    ]  # fmt: skip
    return found[skip : skip + limit]


def get(session: Session, who: Principal, kind: str, object_id: str) -> OpenAdrObject:
    """One object; NotFound also for one that is not the caller's to see."""
    organisation_id = who.require(Scope.FLEX_READ)
    row = session.get(OpenAdrObject, object_id)
    if (
        row is None
        or row.kind != kind
        or row.organisation_id != organisation_id
        or not _may_see(row, who, _targets_of(session, who))
    ):
        raise NotFound(f"no such object among {kind}", field="id", mend="list them")
    return row


def _writable(who: Principal, kind: str) -> None:
    who.require(Scope.FLEX_READ)
    if not is_business(who) and not KINDS[kind].ven_writes:
        raise Forbidden(f"a VEN does not write {kind}", field="scope", mend="use a client with flex:write")


def _prepared(
    session: Session, who: Principal, kind: str, body: Body, settings: Settings
) -> tuple[Body, str, str | None]:
    """The body to keep, whose it is, and what it hangs on."""
    _check(kind, body, settings)
    business, client = is_business(who), who.actor
    kept = {name: value for name, value in body.items() if name not in _OURS}
    if kind in ("vens", "resources"):
        if business:
            client = str(body.get("clientID") or who.actor)
        else:
            kept.pop("targets", None)  # only business logic says what a VEN is a target of
    parent = None
    rule = KINDS[kind].parent
    if rule:
        parent = get(session, who, rule[1], str(body[rule[0]])).id
    return kept, client, parent


def add(session: Session, who: Principal, kind: str, body: Body, settings: Settings) -> OpenAdrObject:
    """A new object; names of programs, vens and resources are unique in the organisation."""
    _writable(who, kind)
    kept, client, parent = _prepared(session, who, kind, body, settings)
    name = str(body.get(KINDS[kind].name) or "")
    if kind in NAMED_ONCE:
        _require_free(session, who, kind, name, None)
    now = int(time.time())
    row = OpenAdrObject(
        organisation_id=str(who.organisation_id), kind=kind, client=client, name=name, parent_id=parent,
        body=kept, created_at=now, modified_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    if kind == "reports":
        about = session.get_one(OpenAdrObject, str(parent))
        if about.client == MARKET_CLIENT:  # a VEN that reports on a dispatch has received it
            dispatching.heard(session, about.name, now)
    record(session, who, f"openadr.{kind}_added", row.id, name=name)
    return row


def _require_free(session: Session, who: Principal, kind: str, name: str, own: str | None) -> None:
    found = session.exec(
        select(OpenAdrObject.id).where(
            OpenAdrObject.organisation_id == who.organisation_id,
            OpenAdrObject.kind == kind,
            OpenAdrObject.name == name,
        )
    ).first()
    if found is not None and found != own:
        raise Conflict("there is one of this name", field=KINDS[kind].name, mend="choose another name")


def change(
    session: Session, who: Principal, kind: str, object_id: str, body: Body, settings: Settings
) -> OpenAdrObject:
    """Replaces an object of the caller's."""
    _writable(who, kind)
    row = get(session, who, kind, object_id)
    kept, client, parent = _prepared(session, who, kind, body, settings)
    name = str(body.get(KINDS[kind].name) or "")
    if kind in NAMED_ONCE:
        _require_free(session, who, kind, name, row.id)
    if not is_business(who) and "targets" in row.body:
        kept["targets"] = row.body["targets"]
    row.body, row.name, row.parent_id, row.modified_at = kept, name, parent, int(time.time())
    row.client = client if is_business(who) and "clientID" in body else row.client
    session.add(row)
    record(session, who, f"openadr.{kind}_changed", row.id)
    return row


def remove(session: Session, who: Principal, kind: str, object_id: str) -> Body:
    """Deletes an object that nothing hangs on; what it was."""
    _writable(who, kind)
    row = get(session, who, kind, object_id)
    below = session.exec(select(OpenAdrObject.id).where(OpenAdrObject.parent_id == row.id)).first()
    if below is not None:
        raise Conflict("something still belongs to it", field="id", mend="delete what belongs to it first")
    was = shown(row)
    session.delete(row)
    record(session, who, f"openadr.{kind}_removed", object_id)
    return was


def mirror(session: Session, event: FlexEvent) -> None:
    """Shows a dispatch of the market to the VENs of its aggregator whose target is the resource's metering
    point: an event of the program `bitwatt-dispatch`, set-points in kW.
    """
    now = int(time.time())
    own = OpenAdrObject.organisation_id == event.aggregator_id
    program = session.exec(
        select(OpenAdrObject).where(
            own, OpenAdrObject.kind == "programs", OpenAdrObject.name == DISPATCH_PROGRAM
        )
    ).first()
    if program is None:
        program = OpenAdrObject(
            organisation_id=event.aggregator_id, kind="programs", client=MARKET_CLIENT,
            name=DISPATCH_PROGRAM, body={"programName": DISPATCH_PROGRAM}, created_at=now, modified_at=now,
        )  # fmt: skip
        session.add(program)
        session.flush()
    kind = "DISPATCH_SETPOINT"
    body: Body = {
        "programID": program.id,
        "eventName": event.id,
        "targets": [session.get_one(FlexResource, event.resource_id).metering_point],
        "payloadDescriptors": [
            {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": kind, "units": "KW"}
        ],
        "intervalPeriod": {"start": _iso(event.start), "duration": f"PT{event.slot_seconds}S"},
        "intervals": [
            {"id": n, "payloads": [{"type": kind, "values": [watts / 1000]}]}
            for n, watts in enumerate(event.set_w)
        ],
    }
    session.add(
        OpenAdrObject(
            organisation_id=event.aggregator_id, kind="events", client=MARKET_CLIENT, name=event.id,
            parent_id=program.id, body=body, created_at=now, modified_at=now,
        )
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Notice:
    """A callback that is due: where, with which token, and what it says."""

    url: str
    token: str | None
    body: Body


def notices(session: Session, who: Principal, kind: str, operation: str, thing: Body) -> list[Notice]:
    """The subscriptions of the organisation that an operation concerns."""
    rows = session.exec(
        select(OpenAdrObject).where(
            OpenAdrObject.organisation_id == who.organisation_id, OpenAdrObject.kind == "subscriptions"
        )
    ).all()
    object_type = KINDS[kind].object_type
    due = []
    for row in rows:
        program = row.body.get("programID")
        if program and thing.get("programID") not in (None, program):
            continue
        for wish in row.body.get("objectOperations") or ():
            if object_type in wish.get("objects", ()) and operation in wish.get("operations", ()):
                body = {"objectType": object_type, "operation": operation, "object": thing}
                due.append(Notice(wish["callbackUrl"], wish.get("bearerToken"), body))
    return due


def notify(due: Sequence[Notice], settings: Settings) -> int:
    """Calls the subscribers back, each once within five seconds; how many answered with success.

    A subscriber that misses a call reads the objects again: notices carry nothing that cannot be listed.
    Calls about two changes made at once may arrive in either order.
    """
    heard = 0
    for notice in due:
        try:
            target = resolve(notice.url, settings)
            headers = {"Host": target.host if target.port in (80, 443) else f"{target.host}:{target.port}"}
            if notice.token:
                headers["Authorization"] = f"Bearer {notice.token}"
            with httpx.Client(timeout=CALLBACK_SECONDS) as caller:
                sni = {"sni_hostname": target.host}
                answer = caller.post(target.url, json=notice.body, headers=headers, extensions=sni)
            heard += answer.is_success
        except (httpx.HTTPError, Invalid):
            continue
    return heard
