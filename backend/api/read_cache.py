"""Market data for everyone, kept for a moment: the same bytes for all who ask the same thing.

Only for callers without a credential, whose rate limit is taken here as it is in the application.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.service.context import Context
from backend.service.errors import TooMany

PATHS = ("/api/v1/zones", "/api/v1/classes", "/api/v1/products", "/api/v1/calendar", "/api/v1/batches")
KEEP_SECONDS = 1.0
MOST_KEPT = 512
MOST_BYTES = 2_000_000
_PRIVATE = frozenset({b"authorization", b"cookie"})
_Key = tuple[str, bytes, bool]


@dataclass(frozen=True, slots=True)
class _Kept:
    until: float
    version: int
    headers: list[tuple[bytes, bytes]]
    etag: bytes
    body: bytes
    route: object


class ReadCache:
    """Answers repeated reads of market data without the application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The kept answer, 304 when the caller has it already, or the application's, which is then kept."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(PATHS):
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"])
        if not _PRIVATE.isdisjoint(given):
            await self.app(scope, receive, send)
            return
        context: Context = scope["app"].state.context
        key = (scope["path"], scope["query_string"], b"gzip" in given.get(b"accept-encoding", b""))
        found = self._kept.get(key)
        if found is None or found.until < time.monotonic() or found.version != context.hub.version:
            await self._fill(key, context, scope, receive, send)
            return
        try:
            self._take(context, scope)
        except TooMany:
            await self.app(scope, receive, send)  # which says so
            return
        scope["route"] = found.route  # for the log and the metrics
        same = found.etag and found.etag in given.get(b"if-none-match", b"")
        headers = [pair for pair in found.headers if not same or pair[0] not in _OF_BODY]
        await send({"type": "http.response.start", "status": 304 if same else 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if same else found.body})

    @staticmethod
    def _take(context: Context, scope: Scope) -> None:
        address = scope["client"][0] if scope.get("client") else "?"
        rate = context.settings.rate_anonymous_per_minute
        context.limiter.take(f"address:{address}", rate * 100)
        context.limiter.take(f"anonymous:{address}", rate)

    async def _fill(self, key: _Key, context: Context, scope: Scope, receive: Receive, send: Send) -> None:
        version = context.hub.version
        start: Message | None = None
        body = bytearray()

        async def send_on(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            elif start is not None and start["status"] == 200:
                body.extend(message.get("body", b""))
                if not message.get("more_body") and len(body) <= MOST_BYTES:
                    self._keep(key, version, list(start["headers"]), bytes(body), scope.get("route"))
            await send(message)

        await self.app(scope, receive, send_on)

    def _keep(
        self, key: _Key, version: int, headers: list[tuple[bytes, bytes]], body: bytes, route: object
    ) -> None:
        etag = next((value for name, value in headers if name == b"etag"), b"")
        self._kept[key] = _Kept(time.monotonic() + KEEP_SECONDS, version, headers, etag, body, route)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


_OF_BODY = frozenset({b"content-length", b"content-type", b"content-encoding"})
