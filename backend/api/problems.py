"""Errors as RFC 9457 problem bodies, in this one place."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from backend.chain.errors import ChainError, FieldError, RpcUnavailable
from backend.service import errors
from backend.service.audit_log import request_id

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger(__name__)


class FieldProblem(BaseModel):
    """One field that is wrong."""

    field: str = Field(description="where: a path such as `order.lanes`", examples=["order.lanes"])
    detail: str = Field(description="what is wrong", examples=["Input should be greater than 0"])
    mend: str = Field(description="what to do about it", examples=["give a whole number from 1"])


class Problem(BaseModel):
    """An RFC 9457 problem body; `field` and `mend` say where and what to do."""

    model_config = ConfigDict(json_schema_extra={"description": "RFC 9457 problem"})

    type: str = Field(description="kind of problem, stable", examples=["/problems/invalid"])
    title: str = Field(description="the kind in words", examples=["A value breaks a rule"])
    status: int = Field(description="HTTP status", examples=[422])
    detail: str = Field(description="what is wrong here", examples=["the deadline is not on a slot boundary"])
    instance: str = Field(description="id of the request, for the logs", examples=["urn:request:01k0"])
    field: str | None = Field(default=None, description="the offending field", examples=["order.deadline"])
    mend: str | None = Field(
        default=None, description="how to mend it", examples=["give a multiple of 900 s"]
    )
    errors: list[FieldProblem] | None = Field(
        default=None, description="every wrong field, where there are several"
    )


KINDS: dict[type[Exception], tuple[int, str, str]] = {
    errors.Invalid: (422, "invalid", "A value breaks a rule"),
    errors.InsufficientDeposit: (422, "insufficient-deposit", "The deposit does not cover this"),
    errors.Closed: (409, "closed", "The time for this has passed"),
    errors.Conflict: (409, "conflict", "This contradicts what is there"),
    errors.NotFound: (404, "not-found", "There is no such thing"),
    errors.Unauthenticated: (401, "unauthenticated", "Nobody is signed in"),
    errors.Forbidden: (403, "forbidden", "This is not allowed to you"),
    errors.TooMany: (429, "too-many-requests", "Too many requests"),
    errors.Unavailable: (503, "unavailable", "Something needed is not there now"),
    FieldError: (422, "invalid", "A value breaks a rule"),
    RpcUnavailable: (503, "chain-unavailable", "The chain does not answer"),
    ChainError: (502, "chain-refused", "The chain refused"),
}
_TITLES = {
    400: ("malformed", "The request cannot be read"),
    404: ("not-found", "There is no such thing"),
    405: ("method-not-allowed", "This address takes another method"),
    413: ("too-large", "The body is too large"),
    415: ("wrong-content-type", "The body's type is not taken here"),
    422: ("invalid", "A value breaks a rule"),
    500: ("internal", "Something broke on our side"),
}
_MENDS = {
    400: "send well-formed JSON",
    404: "see the OpenAPI document, /api/v1/openapi.json",
    405: "use one of the methods in the Allow header",
}


def problem(
    status: int,
    slug: str,
    title: str,
    detail: str,
    *,
    field: str | None = None,
    mend: str | None = None,
    fields: Sequence[FieldProblem] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A problem response."""
    body = Problem(
        type=f"/problems/{slug}",
        title=title,
        status=status,
        detail=detail,
        instance=f"urn:request:{request_id.get()}",
        field=field,
        mend=mend,
        errors=list(fields) if fields else None,
    )
    return Response(body.model_dump_json(exclude_none=True), status, headers, MEDIA_TYPE)


def problem_of(error: Exception) -> Response:
    """The problem body of a domain or chain error."""
    kind = next(base for base in type(error).__mro__ if base in KINDS)
    status, slug, title = KINDS[kind]
    headers: dict[str, str] = {}
    if isinstance(error, errors.TooMany):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="bitwatt"'
    detail = error.detail if isinstance(error, errors.ServiceError) else str(error)
    return problem(
        status,
        slug,
        title,
        detail,
        field=getattr(error, "field", None),
        mend=getattr(error, "mend", None),
        headers=headers,
    )


def plain(status: int, detail: str, mend: str | None = None) -> Response:
    """The problem body of a bare HTTP status."""
    slug, title = _TITLES.get(status, (str(status), HTTPStatus(status).phrase))
    mend = mend or _MENDS.get(status)
    return problem(status, slug, title, detail, mend=mend)


def _mend(kind: str, context: dict[str, Any]) -> str:
    if kind == "extra_forbidden":
        return "remove it, or correct its name"
    if kind == "missing":
        return "give it"
    if kind == "json_invalid":
        return "send well-formed JSON"
    bounds = {
        key: context[key]
        for key in ("gt", "ge", "lt", "le", "min_length", "max_length", "pattern")
        if key in context
    }
    return "keep to " + json.dumps(bounds, sort_keys=True) if bounds else "see the description of the field"


def _of_validation(error: RequestValidationError) -> Response:
    fields = []
    malformed = False
    for item in error.errors():
        malformed |= item["type"] == "json_invalid"
        path = [str(part) for part in item["loc"] if part != "body"] or ["body"]
        fields.append(
            FieldProblem(
                field=".".join(path), detail=item["msg"], mend=_mend(item["type"], item.get("ctx") or {})
            )
        )
    status = 400 if malformed else 422
    slug, title = _TITLES[status]
    first = fields[0]
    return problem(status, slug, title, first.detail, field=first.field, mend=first.mend, fields=fields)


def install(app: FastAPI) -> None:
    """Makes every error of `app` a problem body."""

    @app.exception_handler(errors.ServiceError)
    @app.exception_handler(ChainError)
    def on_domain_error(_: Request, error: Exception) -> Response:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    def on_validation_error(_: Request, error: RequestValidationError) -> Response:
        return _of_validation(error)

    @app.exception_handler(HTTPException)
    def on_http_error(_: Request, error: HTTPException) -> Response:
        response = plain(error.status_code, str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    def on_unexpected(_: Request, error: Exception) -> Response:
        log.error("unexpected error", exc_info=error)
        return plain(500, "an unexpected error; it is in our log under this instance", "try again later")


_EXAMPLES: dict[int, tuple[str, str]] = {
    400: ("malformed", "the body is not JSON"),
    401: ("unauthenticated", "this needs a signed-in caller"),
    403: ("forbidden", "this needs the scope orders:write"),
    404: ("not-found", "no such order"),
    409: ("conflict", "the nonce is used by another order"),
    413: ("too-large", "the body is larger than 262144 bytes"),
    415: ("wrong-content-type", "send application/json"),
    422: ("invalid", "the deadline is not on a slot boundary"),
    429: ("too-many-requests", "more than 600 requests a minute"),
    502: ("chain-refused", "the chain refused"),
    503: ("unavailable", "no batch has cleared yet"),
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries of the problems a route can answer with."""
    table: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        slug, detail = _EXAMPLES[status]
        example = {
            "type": f"/problems/{slug}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "instance": "urn:request:01k0zq3v5m8r",
        }
        table[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
        }
    return table
