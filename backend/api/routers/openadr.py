"""OpenADR 3.1 façade (VTN) at /openadr3; the names are the standard's."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Form, Query, Request, Response

from backend.api.deps import Ctx, Need
from backend.service import login
from backend.service.access import Principal, Scope
from backend.service.errors import Invalid, NotFound, Unauthenticated
from backend.service.vpp import openadr

PREFIX = "/openadr3"
Client = Annotated[Principal, Depends(Need(Scope.FLEX_READ))]
router = APIRouter(prefix=PREFIX, tags=["openadr"], include_in_schema=False)


@router.get("/auth/server")
def openadr_auth_server(context: Ctx) -> dict[str, str]:
    """Where tokens are given."""
    return {"tokenURL": f"{context.settings.public_origin}{PREFIX}/auth/token"}


@router.post("/auth/token")
def openadr_token(
    request: Request,
    response: Response,
    context: Ctx,
    grant_type: Annotated[str, Form(pattern="^client_credentials$")],
    client_id: Annotated[str | None, Form(max_length=64)] = None,
    client_secret: Annotated[str | None, Form(max_length=128)] = None,
    scope: Annotated[str, Form(max_length=500)] = "",
) -> dict[str, str | int]:
    """A token by client credentials (RFC 6749 4.4), in the body or as HTTP Basic."""
    address = request.client.host if request.client else "?"
    context.limiter.take(f"login:{address}", context.settings.rate_login_per_minute)
    if client_id is None or client_secret is None:
        client_id, client_secret = _basic(request.headers.get("authorization", ""))
    with context.store.writing() as session:
        token, seconds, scopes = login.grant_token(
            session, context.vault, context.settings, client_id, client_secret, scope.split()
        )
    response.headers["Cache-Control"] = "no-store"
    return {"access_token": token, "token_type": "Bearer", "expires_in": seconds, "scope": " ".join(scopes)}


def _basic(header: str) -> tuple[str, str]:
    try:
        name, secret = base64.b64decode(header.removeprefix("Basic ")).decode().split(":", 1)
    except ValueError:
        raise Unauthenticated("there are no client credentials", mend="send them as HTTP Basic") from None
    return name, secret


def _known(kind: str) -> str:
    if kind not in openadr.KINDS:
        raise NotFound("there is no such collection", field="path", mend=f"use {', '.join(openadr.KINDS)}")
    return kind


Kind = Annotated[str, Depends(_known)]


async def _body(request: Request, context: Ctx) -> dict[str, Any]:
    raw = await request.body()
    if len(raw) > context.settings.max_body_bytes:
        raise Invalid(
            "the body is too large", field="body", mend=f"at most {context.settings.max_body_bytes} bytes"
        )
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise Invalid("the body is not JSON", field="body", mend="send one JSON object") from error
    if not isinstance(body, dict):
        raise Invalid("the body is not an object", field="body", mend="send one JSON object")
    return body


JsonBody = Annotated[dict[str, Any], Depends(_body)]


@router.get("/{kind}")
def openadr_list(
    context: Ctx, who: Client, kind: Kind,
    skip: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=50)] = 50,
    targets: Annotated[list[str] | None, Query(max_length=50)] = None,
    program: Annotated[str | None, Query(alias="programID", max_length=128)] = None,
    event: Annotated[str | None, Query(alias="eventID", max_length=128)] = None,
    ven: Annotated[str | None, Query(alias="venID", max_length=128)] = None,
    ven_name: Annotated[str | None, Query(alias="venName", max_length=128)] = None,
    resource_name: Annotated[str | None, Query(alias="resourceName", max_length=128)] = None,
    client_name: Annotated[str | None, Query(alias="clientName", max_length=128)] = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """The caller's objects of a kind."""
    equal = {"programID": program, "eventID": event, "venID": ven, "venName": ven_name,
             "resourceName": resource_name, "clientName": client_name}  # fmt: skip
    with context.store.reading() as session:
        rows = openadr.listing(session, who, kind, skip=skip, limit=limit, targets=targets or (), **equal)
        return [openadr.shown(row) for row in rows]


@router.get("/{kind}/{object_id}")
def openadr_read(context: Ctx, who: Client, kind: Kind, object_id: str) -> dict[str, Any]:
    """One object."""
    with context.store.reading() as session:
        return openadr.shown(openadr.get(session, who, kind, object_id))


@router.post("/{kind}", status_code=201)
def openadr_add(
    context: Ctx, who: Client, kind: Kind, body: JsonBody, later: BackgroundTasks
) -> dict[str, Any]:
    """A new object; subscribers are called back after the answer."""
    with context.store.writing() as session:
        thing = openadr.shown(openadr.add(session, who, kind, body, context.settings))
        due = openadr.notices(session, who, kind, "CREATE", thing)
    later.add_task(openadr.notify, due, context.settings)
    return thing


@router.put("/{kind}/{object_id}")
def openadr_change(
    context: Ctx, who: Client, kind: Kind, object_id: str, body: JsonBody, later: BackgroundTasks
) -> dict[str, Any]:
    """Replaces an object."""
    with context.store.writing() as session:
        thing = openadr.shown(openadr.change(session, who, kind, object_id, body, context.settings))
        due = openadr.notices(session, who, kind, "UPDATE", thing)
    later.add_task(openadr.notify, due, context.settings)
    return thing


@router.delete("/{kind}/{object_id}")
def openadr_remove(
    context: Ctx, who: Client, kind: Kind, object_id: str, later: BackgroundTasks
) -> dict[str, Any]:
    """Deletes an object that nothing belongs to."""
    with context.store.writing() as session:
        thing = openadr.remove(session, who, kind, object_id)
        due = openadr.notices(session, who, kind, "DELETE", thing)
    later.add_task(openadr.notify, due, context.settings)
    return thing
