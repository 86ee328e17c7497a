"""Latency and bandwidth of a site, measured in every slot: time in which what was sold does not hold is not
delivered. What was sold stands on chain (terms.py); the fleet says only where to measure.

Settings (`guarantees` of a host): `host`, `port`, and where bandwidth is sold `url` (something large);
`every_seconds` (60).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from oracle.agents.drivers.source import SourceError
from oracle.http_client import http_client

_TRIES = 3
_SECONDS = 5.0
_MOST_BYTES = 16 << 20


class Probed(NamedTuple):
    """One probe: round trip in ms (None: no answer), Mbit/s (None: not asked for or no answer)."""

    latency_ms: float | None = None
    bandwidth_mbps: float | None = None


class Probe:
    """Asks when it is due, and remembers what it found."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        try:
            self._host, self._port = str(settings["host"]), int(settings["port"])
            self._url = str(settings.get("url", ""))
            self._every = float(settings.get("every_seconds", 60))
        except (KeyError, ValueError) as error:
            raise SourceError(f"guarantees: {error!r} is missing or of no use") from None
        for name in ("latency_ms", "bandwidth_mbps"):
            if name in settings:
                raise SourceError(f"guarantees.{name}: is what was sold, and stands on chain; leave it out")
        self._next = 0.0
        self.last = Probed()

    async def measure(self, now: float) -> Probed:
        """The last probe, a new one when it is due; `now` in seconds of a clock that never goes back."""
        if now >= self._next:
            self.last = await self.ask()
            self._next = now + self._every
        return self.last

    async def ask(self) -> Probed:
        """One probe."""
        tries = [await self._connect() for _ in range(_TRIES)]
        answered = [value for value in tries if value is not None]
        return Probed(min(answered) if answered else None, await self._download() if self._url else None)

    async def _connect(self) -> float | None:
        begin = time.perf_counter()
        try:
            async with asyncio.timeout(_SECONDS):
                _, writer = await asyncio.open_connection(self._host, self._port)
        except (OSError, TimeoutError):
            return None
        spent = (time.perf_counter() - begin) * 1000
        writer.close()
        return spent

    async def _download(self) -> float | None:
        begin, size = time.perf_counter(), 0
        try:
            async with (
                http_client(_SECONDS) as client,
                client.stream("GET", self._url) as response,
            ):
                response.raise_for_status()
                async for part in response.aiter_bytes():
                    size += len(part)
                    if size >= _MOST_BYTES or time.perf_counter() - begin > _SECONDS:
                        break
        except httpx.HTTPError:
            return None
        return size * 8 / 1e6 / max(time.perf_counter() - begin, 1e-6)
