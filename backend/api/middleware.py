"""What surrounds every request: request id, security headers, body limits, entity tags, idempotency."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from functools import lru_cache

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.problems import plain
from backend.service import telemetry
from backend.service.audit_log import request_id
from backend.service.metrics import REQUEST_SECONDS, REQUESTS
from backend.store.types import new_id

access_log = logging.getLogger("bitwatt.access")
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
_CSP = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'{rpc}; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; worker-src 'self'"
)
WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
API = "/api/"
MAX_LOGGED = 300


class Surround:
    """Request id, security headers, access log and metrics of every request."""

    def __init__(self, app: ASGIApp, *, rpc_origin: str | None = None, https: bool = False) -> None:
        self.app = app
        self.headers = {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
            "Content-Security-Policy": _CSP.format(rpc=f" {rpc_origin}" if rpc_origin else ""),
        } | ({"Strict-Transport-Security": "max-age=31536000; includeSubDomains"} if https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on and writes one log line when it ends."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        name = given if _REQUEST_ID.match(given) else new_id()
        token = request_id.set(name)
        started = time.perf_counter()
        status = 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = name
                for key, value in self.headers.items():
                    headers.setdefault(key, value)
                if scope["path"].startswith(API):
                    headers.setdefault("Cache-Control", "private, no-cache")
            await send(message)

        try:
            if telemetry.is_on():
                await self._traced(scope, receive, send_on, name)
            else:
                await self.app(scope, receive, send_on)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "-")
            count, measure = _meters(scope["method"], route, status)
            count.inc()
            measure.observe(seconds)
            if access_log.isEnabledFor(logging.INFO):
                access_log.info(
                    "request",
                    extra={
                        "request_id": name,
                        "method": scope["method"],
                        "route": route,
                        "client": (scope.get("client") or ("-",))[0],
                        "path": _asked(scope, status),
                        "status": status,
                        "ms": round(seconds * 1000, 2),
                    },
                )
            request_id.reset(token)

    async def _traced(self, scope: Scope, receive: Receive, send: Send, name: str) -> None:
        """The request inside a span, the child of the caller's if it has one (`traceparent`)."""
        status = 500

        async def send_on(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        headers = {key: value for key, value in Headers(scope=scope).items() if key.startswith("trace")}
        with telemetry.span(scope["method"], headers, server=True) as span:
            try:
                await self.app(scope, receive, send_on)
            finally:
                route = getattr(scope.get("route"), "path", "-")
                span.name(f"{scope['method']} {route}")
                span.set(
                    http__request__method=scope["method"],
                    http__route=route,
                    http__response__status_code=status,
                    bitwatt__request_id=name,
                )
                if status >= 500:
                    span.failed(str(status))


def _asked(scope: Scope, status: int) -> str:
    """The path as it was sent; with its query where it was refused, which is where attacks show."""
    path = bytes(scope.get("raw_path") or scope["path"].encode("utf-8", "replace"))
    query: bytes = scope.get("query_string", b"") if status >= 400 else b""
    return (path + (b"?" + query if query else b""))[:MAX_LOGGED].decode("ascii", "backslashreplace")


@lru_cache(maxsize=4096)
def _meters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """The metrics of one kind of answer; looking them up by label costs more than counting."""
    return REQUESTS.labels(method, route, str(status)), REQUEST_SECONDS.labels(method, route)


class BodyLimits:
    """Refuses bodies that are too large or of a type that is not taken; reads the body once."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """413 or 415, or the request with its whole body."""
        if scope["type"] != "http" or scope["method"] not in WITH_BODY:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self.max_bytes:
            await self._too_large()(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > self.max_bytes:
                await self._too_large()(scope, receive, send)
                return
            if not message.get("more_body"):
                break
        wanted = (
            "application/x-www-form-urlencoded"
            if scope["path"].endswith("/oauth/token")
            else "application/json"
        )
        kind = headers.get("content-type", "").split(";")[0].strip().lower()
        if scope["path"].startswith(API) and body and kind != wanted:
            await plain(415, f"the body's type is {kind or 'not given'}", f"send {wanted}")(
                scope, receive, send
            )
            return
        sent = False

        async def receive_whole() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        scope.setdefault("state", {})["body"] = bytes(body)
        await self.app(scope, receive_whole, send)

    def _too_large(self) -> Response:
        return plain(413, f"the body is larger than {self.max_bytes} bytes", "send less at a time")


class EntityTags:
    """Weak ETag on every JSON answer to a GET of the API, and 304 when the caller has it already."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Collects the body of JSON answers; streams pass through."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(API):
            await self.app(scope, receive, send)
            return
        wanted = {tag.strip() for tag in Headers(scope=scope).get("if-none-match", "").split(",")}
        start: Message | None = None
        body = bytearray()

        async def send_on(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if message["status"] == 200 and headers.get("content-type", "").startswith(
                    "application/json"
                ):
                    start = message
                    return
            elif start is not None and message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if message.get("more_body"):
                    return
                await self._finish(start, bytes(body), wanted, send)
                return
            await send(message)

        await self.app(scope, receive, send_on)

    async def _finish(self, start: Message, body: bytes, wanted: set[str], send: Send) -> None:
        headers = MutableHeaders(scope=start)
        tag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        headers["ETag"] = tag
        if tag in wanted:
            start["status"] = 304
            del headers["content-length"]
            del headers["content-type"]
            body = b""
        await send(start)
        await send({"type": "http.response.body", "body": body})


def dump_answer(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
    """An answer as bytes, to be sealed and stored."""
    kept = [
        (k.decode("latin-1"), v.decode("latin-1")) for k, v in headers if k in (b"content-type", b"location")
    ]
    return json.dumps([status, kept]).encode() + b"\n" + body


def load_answer(raw: bytes) -> Response:
    """The answer that `dump_answer` wrote."""
    head, body = raw.split(b"\n", 1)
    status, headers = json.loads(head)
    return Response(body, status, dict(headers) | {"Idempotent-Replay": "true"})
