"""A meter that publishes its register over MQTT: JSON with one number under a name.

Settings: `url` (mqtt://host:port), `topic`, `value` (name in the JSON, default energy_wh), `unit` (Wh, kWh)
and `stale_seconds` (120): an older message is no reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiomqtt

from oracle.agents.drivers.power import NEVER
from oracle.agents.drivers.source import SourceError

log = logging.getLogger("bitwatt.agent")
_MILLI = {"Wh": 1000, "kWh": 1_000_000}
_RETRY_SECONDS = 1.0


class MqttSource:
    """The last register a topic told."""

    modulus_mwh = NEVER

    def __init__(self, settings: Mapping[str, Any]) -> None:
        try:
            address = urlsplit(str(settings["url"]))
            self._topic = str(settings["topic"])
            self._milli = _MILLI[str(settings.get("unit", "Wh"))]
        except KeyError as error:
            raise SourceError(f"mqtt: {error} is missing or of no use") from None
        self._host, self._port = address.hostname or "localhost", address.port or 1883
        self._name = str(settings.get("value", "energy_wh"))
        self._stale = float(settings.get("stale_seconds", 120))
        self._last: tuple[float, int] | None = None
        self._task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Ends the subscription."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def register_mwh(self) -> int | None:
        """The last register, None when it is too old."""
        if self._task is None:
            self._task = asyncio.create_task(self._follow())
        if self._last is None or time.monotonic() - self._last[0] > self._stale:
            return None
        return self._last[1]

    async def _follow(self) -> None:
        while True:
            try:
                async with aiomqtt.Client(self._host, self._port) as client:
                    await client.subscribe(self._topic, qos=1)
                    async for message in client.messages:
                        self._take(message.payload)
            except aiomqtt.MqttError as error:
                log.warning("%s: the broker does not answer: %s", self._topic, error)
                await asyncio.sleep(_RETRY_SECONDS)

    def _take(self, payload: object) -> None:
        try:
            value = json.loads(payload if isinstance(payload, bytes | str) else b"")[self._name]
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise ValueError(f"{value!r} is no register")
            self._last = time.monotonic(), round(value * self._milli)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("%s: a message of no use: %r", self._topic, error)
