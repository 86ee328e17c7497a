"""How an agent hands readings to a node: HTTPS, or MQTT through any broker; the node gives a receipt.

A broker's own acknowledgement says only that the broker has a message. So a reading leaves the spool when the
node has answered, whichever way it went.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiomqtt
import httpx

from oracle.http_client import http_client
from oracle.wire import cbor

log = logging.getLogger("bitwatt.agent")
SECONDS = 30.0
_RETRY_SECONDS = 0.5


class Transport(Protocol):
    """A way to one node."""

    async def post(self, body: bytes) -> list[dict[str, Any]] | None:
        """The refusals in the node's receipt for a POST body; None when there is no receipt."""
        ...

    async def close(self) -> None:
        """Ends the connection."""
        ...


def transport_of(node: str) -> Transport:
    """The way to a node: http(s)://host:port, or mqtt(s)://host:port/ADDRESS OF THE MEMBER."""
    return MqttTransport(node) if urlsplit(node).scheme in ("mqtt", "mqtts") else HttpTransport(node)


class HttpTransport:
    """POST /readings."""

    def __init__(self, node: str) -> None:
        self._url = f"{node}/readings"
        self._client = http_client(SECONDS)

    async def post(self, body: bytes) -> list[dict[str, Any]] | None:
        """See Transport."""
        try:
            response = await self._client.post(self._url, content=body)
            response.raise_for_status()
            return list(response.json()["refused"])
        except (httpx.HTTPError, ValueError, KeyError) as error:
            log.info("%s does not take readings: %s", self._url, error)
            return None

    async def close(self) -> None:
        """See Transport."""
        await self._client.aclose()


class MqttTransport:
    """A request on the node's topic, its receipt on a topic of our own."""

    def __init__(self, node: str) -> None:
        address = urlsplit(node)
        self._host, self._port = address.hostname or "localhost", address.port
        self._tls = address.scheme == "mqtts"
        self._topic = f"bitwatt/readings/{address.path.strip('/').lower()}"
        self._replies = f"bitwatt/receipts/{secrets.token_hex(8)}"
        self._waiting: dict[int, asyncio.Future[list[dict[str, Any]]]] = {}
        self._next = 0
        self._client: aiomqtt.Client | None = None
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def post(self, body: bytes) -> list[dict[str, Any]] | None:
        """See Transport."""
        if self._task is None:
            self._task = asyncio.create_task(self._follow())
        number, self._next = self._next, self._next + 1
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(SECONDS):
                await self._ready.wait()
                client = self._client
                if client is None:
                    return None
                await client.publish(self._topic, cbor.encode([self._replies, number, body]), qos=1)
                return await answer
        except (TimeoutError, aiomqtt.MqttError) as error:
            log.info("%s: no receipt: %s", self._topic, error or "time is over")
            return None
        finally:
            self._waiting.pop(number, None)

    async def _follow(self) -> None:
        default = 8883 if self._tls else 1883
        tls = aiomqtt.TLSParameters() if self._tls else None
        while True:
            try:
                async with aiomqtt.Client(self._host, self._port or default, tls_params=tls) as client:
                    await client.subscribe(self._replies, qos=1)
                    self._client = client
                    self._ready.set()
                    async for message in client.messages:
                        self._take(message.payload)
            except aiomqtt.MqttError as error:
                log.warning("the broker does not answer: %s", error)
            self._ready.clear()
            self._client = None
            await asyncio.sleep(_RETRY_SECONDS)

    def _take(self, payload: object) -> None:
        try:
            receipt = json.loads(payload if isinstance(payload, bytes) else b"")
            answer = self._waiting.get(receipt["batch"])
            if answer and not answer.done():
                answer.set_result(list(receipt["refused"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("a receipt of no use: %r", error)

    async def close(self) -> None:
        """See Transport."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
