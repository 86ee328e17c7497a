"""The HTTP client of nodes and agents: whatever ends a connection is an httpx.HTTPError."""

from __future__ import annotations

import httpx


class _Transport(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except AttributeError as error:  # of anyio, where the other side dies while the connection is made
            raise httpx.ConnectError(f"the connection broke: {error}", request=request) from error


def http_client(timeout: float = 5.0, limits: httpx.Limits | None = None) -> httpx.AsyncClient:
    """A client that asks directly, without the environment's proxies; `timeout` in seconds."""
    transport = _Transport(limits=limits) if limits else _Transport()
    return httpx.AsyncClient(trust_env=False, timeout=timeout, transport=transport)
