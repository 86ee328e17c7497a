"""Energy of a machine: RAPL and NVML count it themselves, IPMI and Redfish say watts that are added up.

Settings: `kind` rapl (`path`, default /sys/class/powercap), nvml, ipmi (`command`), redfish (`url`). What a
machine does not have is said at start, not guessed.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from oracle.agents.drivers.source import SourceError
from oracle.http_client import http_client

MICROJOULES_PER_MWH = 3_600_000
NEVER = 1 << 62
"""The modulus of a register that does not start again."""
MOST_GAP_SECONDS = 30.0
"""Watts are believed for this long; what lies between is not counted."""


class RaplSource:
    """The packages of Intel and AMD processors, through Linux powercap."""

    modulus_mwh = NEVER

    def __init__(self, settings: Mapping[str, Any]) -> None:
        root = Path(settings.get("path", "/sys/class/powercap"))
        self._zones = [
            zone
            for zone in sorted(root.glob("*-rapl:*"))
            if zone.name.count(":") == 1 and (zone / "energy_uj").is_file()
        ]
        if not self._zones:
            raise SourceError(f"rapl: {root} has no package")
        self._last: dict[Path, int] = {}
        self._microjoules = 0

    async def close(self) -> None:
        """Nothing to let go of."""

    async def register_mwh(self) -> int | None:
        """Energy since the driver was opened; the counters start again every few minutes under load."""
        try:
            for zone in self._zones:
                now = int((zone / "energy_uj").read_text())
                before = self._last.get(zone, now)
                if now < before:
                    now_unrolled = now + int((zone / "max_energy_range_uj").read_text())
                    self._microjoules += max(0, now_unrolled - before)
                else:
                    self._microjoules += now - before
                self._last[zone] = now
        except (OSError, ValueError):
            return None
        return self._microjoules // MICROJOULES_PER_MWH


class NvmlSource:
    """All NVIDIA GPUs of the machine."""

    modulus_mwh = NEVER

    def __init__(self, settings: Mapping[str, Any]) -> None:
        import pynvml

        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
            self._devices = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
        except pynvml.NVMLError as error:
            raise SourceError(f"nvml: {error}") from None
        if not self._devices:
            raise SourceError("nvml: the driver knows no GPU")

    async def close(self) -> None:
        """Lets go of the driver."""
        self._nvml.nvmlShutdown()

    async def register_mwh(self) -> int | None:
        """Energy since the GPU driver was loaded."""
        try:
            millijoules = sum(self._nvml.nvmlDeviceGetTotalEnergyConsumption(item) for item in self._devices)
        except self._nvml.NVMLError:
            return None
        return int(millijoules) * 1000 // MICROJOULES_PER_MWH


class _Watts:
    """Adds up watts between reads."""

    modulus_mwh = NEVER

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._milliwatt_seconds = 0.0

    def add(self, watts: float | None, now: float) -> int | None:
        """The energy so far, mWh; None when there is no value or the last one is too old to go on from."""
        last, self._last = self._last, None if watts is None else (now, watts)
        if watts is None:
            return None
        if last is not None and now - last[0] <= MOST_GAP_SECONDS:
            self._milliwatt_seconds += (last[1] + watts) / 2 * (now - last[0]) * 1000
        elif last is not None:
            return None
        return int(self._milliwatt_seconds / 3600)


class IpmiSource(_Watts):
    """`ipmitool dcmi power reading`, a program of its own."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self._command = [
            str(part) for part in settings.get("command", ("ipmitool", "dcmi", "power", "reading"))
        ]

    async def close(self) -> None:
        """Nothing to let go of."""

    async def register_mwh(self) -> int | None:
        """Energy since the driver was opened."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
            )
            output, _ = await asyncio.wait_for(process.communicate(), 10)
        except FileNotFoundError:
            raise SourceError(f"ipmi: {self._command[0]} is not installed") from None
        except TimeoutError:
            process.kill()
            return self.add(None, time.monotonic())
        found = re.search(rb"Instantaneous power reading:\s+(\d+) Watts", output)
        return self.add(float(found[1]) if found else None, time.monotonic())


class RedfishSource(_Watts):
    """The PowerControl of a Redfish chassis."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        if not settings.get("url"):
            raise SourceError("redfish.url: is missing; it names the chassis' Power resource")
        self._url = str(settings["url"])
        self._client = http_client(10.0)

    async def close(self) -> None:
        """Closes the connection."""
        await self._client.aclose()

    async def register_mwh(self) -> int | None:
        """Energy since the driver was opened."""
        try:
            answer = await self._client.get(self._url)
            answer.raise_for_status()
            watts = float(answer.json()["PowerControl"][0]["PowerConsumedWatts"])
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError):
            return self.add(None, time.monotonic())
        return self.add(watts, time.monotonic())
