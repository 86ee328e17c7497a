"""Latency and bandwidth of a site, as they were sold: time in which they do not hold is not delivered.

Settings: `host`, `port`, `latency_ms`, and where bandwidth was sold `url` (something large) and
`bandwidth_mbps`; `every_seconds` (60).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from oracle.agents.drivers.source import SourceError

_TRIES = 3
_SECONDS = 5.0
_MOST_BYTES = 16 << 20


class Probed(NamedTuple):
    """One probe: round trip in ms (None: no answer), Mbit/s (None: not asked for or no answer)."""

    latency_ms: float | None
    bandwidth_mbps: float | None
    holds: bool


class Probe:
    """Asks when it is due, and remembers whether the guarantees hold."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        try:
            self._host, self._port = str(settings["host"]), int(settings["port"])
            self._latency_ms = float(settings["latency_ms"])
            self._mbps = float(settings.get("bandwidth_mbps", 0))
            self._url = str(settings["url"]) if self._mbps else ""
            self._every = float(settings.get("every_seconds", 60))
        except (KeyError, ValueError) as error:
            raise SourceError(f"guarantees: {error!r} is missing or of no use") from None
        self._next = 0.0
        self.last: Probed | None = None

    async def holds(self, now: float) -> bool:
        """Whether latency and bandwidth are what was sold, as of the last probe; asks when one is due."""
        if now >= self._next:
            self.last = await self.ask()
            self._next = now + self._every
        return self.last is not None and self.last.holds

    async def ask(self) -> Probed:
        """One probe."""
        tries = [await self._connect() for _ in range(_TRIES)]
        answered = [value for value in tries if value is not None]
        latency = min(answered) if answered else None
        mbps = await self._download() if self._mbps else None
        good = latency is not None and latency <= self._latency_ms
        return Probed(latency, mbps, good and (not self._mbps or (mbps or 0) >= self._mbps))

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
                httpx.AsyncClient(trust_env=False, timeout=_SECONDS) as client,
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
