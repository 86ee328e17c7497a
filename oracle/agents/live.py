"""A meter whose driver is read when an interval ends: register states in, readings to sign out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from oracle.agents.drivers.source import Source, SourceError
from oracle.agents.fleet import FleetDevice, Row
from oracle.agents.vee import of_registers, spread

log = logging.getLogger("bitwatt.agent")
LATE_SHARE = 20
"""A register read later than 1/20 of the interval after its end is not the state at the end."""


class Mark(NamedTuple):
    """A register's state at the end of an interval, as the spool remembers it."""

    end: int
    register_mwh: int
    late: bool


class LiveMeter:
    """One device with a driver."""

    def __init__(self, device: FleetDevice, source: Source) -> None:
        settings = device.driver
        self.device, self.source = device, source
        try:
            self.interval = int(settings.get("interval_seconds", 900))
            self._most = int(settings["nameplate_w"]) * self.interval * 1000 // 3600
        except (KeyError, ValueError) as error:
            raise SourceError(f"driver: {error!r} is missing or of no use") from None

    @property
    def stream(self) -> tuple[int, int]:
        """(meter, kind) of its register."""
        return self.device.meter_id, self.device.kind

    async def measure(self, now: int, last: Mark | None) -> tuple[list[Row], Mark | None]:
        """The rows of intervals that ended since `last`, and the new mark; no rows while nothing has ended.

        While the device does not answer, nothing is said; when it answers again, what flowed meanwhile is
        spread over the intervals and counts as estimated.
        """
        end = now - now % self.interval
        if last is not None and end <= last.end:
            return [], last
        register = await self.source.register_mwh()
        if register is None:
            log.warning("meter %d: the device does not answer", self.device.meter_id)
            return [], last
        late = (now - end) * LATE_SHARE > self.interval
        mark = Mark(end, register, late)
        if last is None:
            return [], mark
        intervals = (end - last.end) // self.interval
        flowed = of_registers(last.register_mwh, register, self.source.modulus_mwh, self._most * intervals)
        if flowed.note:
            log.warning("meter %d: %s", self.device.meter_id, flowed.note)
        rows = []
        for number, part in enumerate(spread(flowed, intervals, late or last.late)):
            start = last.end + number * self.interval
            row = Row(start, start + self.interval, self.device.kind, part.quantity, quality=part.quality)
            rows.append(row)
        return rows, mark


def _modbus(settings: Mapping[str, Any]) -> Source:
    from oracle.agents.drivers.modbus import ModbusSource

    return ModbusSource(settings)


def _mqtt(settings: Mapping[str, Any]) -> Source:
    from oracle.agents.drivers.mqtt import MqttSource

    return MqttSource(settings)


def _power(name: str) -> Callable[[Mapping[str, Any]], Source]:
    def make(settings: Mapping[str, Any]) -> Source:
        from oracle.agents.drivers import power

        source: Source = getattr(power, name)(settings)
        return source

    return make


DRIVERS: Mapping[str, Callable[[Mapping[str, Any]], Source]] = {
    "modbus": _modbus,
    "mqtt": _mqtt,
    "rapl": _power("RaplSource"),
    "nvml": _power("NvmlSource"),
    "ipmi": _power("IpmiSource"),
    "redfish": _power("RedfishSource"),
}


STORAGE_STREAMS = {"charge": 5, "discharge": 6, "bought": 2}


def live_meters(device: FleetDevice) -> list[LiveMeter]:
    """The registers of a device with a driver: one, or those of a storage; raises SourceError.

    `{"kind": "storage", "charge": {..}, "discharge": {..}}` names a driver for each, and at a plant `bought`
    for what it takes from the grid.
    """
    settings = device.driver
    if settings.get("kind") != "storage":
        return [LiveMeter(device, open_source(settings))]
    common = {name: settings[name] for name in ("interval_seconds", "nameplate_w") if name in settings}
    found = []
    for name, kind in STORAGE_STREAMS.items():
        if name not in settings:
            if name == "bought":
                continue
            raise SourceError(f"storage.{name}: is missing; it names the driver of that register")
        driver = {**settings[name], **common}
        found.append(LiveMeter(replace(device, kind=kind, driver=driver), open_source(driver)))
    return found


def open_source(settings: Mapping[str, Any]) -> Source:
    """The driver that `settings["kind"]` names; raises SourceError."""
    kind = str(settings.get("kind", ""))
    if kind not in DRIVERS:
        raise SourceError(f"driver.kind: {kind!r} is none of {', '.join([*DRIVERS, 'series'])}")
    return DRIVERS[kind](settings)
