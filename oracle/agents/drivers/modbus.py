"""Modbus TCP: a SunSpec device found by its model chain, or any register by its address.

Settings: `host`, `port` (502), `device_id` (1), and either `sunspec`: "generation" | "export" | "import", or
`address`, `words` (2 or 4), `unit` (Wh, kWh) and optionally `input` (true: input registers).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from oracle.agents.drivers.source import SourceError

log = logging.getLogger("bitwatt.agent")
MARK = (0x5375, 0x6E53)
"""'SunS', at the beginning of the model chain."""
BASES = (40_000, 50_000, 0)
END_MODEL = 0xFFFF
NOT_IMPLEMENTED = 0x8000
MOST_MODELS = 64
# offsets from the model's id register: (counter, scale factor)
_INVERTERS = dict.fromkeys((101, 102, 103), (24, 26))
_EXPORT = dict.fromkeys((201, 202, 203, 204), (38, 54))
_IMPORT = dict.fromkeys((201, 202, 203, 204), (46, 54))
WANTED = {"generation": _INVERTERS | _EXPORT, "export": _EXPORT, "import": _IMPORT}
_MILLI = {"Wh": 1000, "kWh": 1_000_000}


class ModbusSource:
    """One counter of one device."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        try:
            self._host, self._port = str(settings["host"]), int(settings.get("port", 502))
            self._device_id = int(settings.get("device_id", 1))
            self._kind = str(settings.get("sunspec", ""))
            self._address = int(settings["address"]) if not self._kind else -1
            self._words = int(settings.get("words", 2))
            self._milli = _MILLI[str(settings.get("unit", "Wh"))]
        except (KeyError, ValueError) as error:
            raise SourceError(f"modbus: {error!r} is missing or of no use") from None
        if self._kind and self._kind not in WANTED:
            raise SourceError(f"modbus.sunspec: {self._kind!r} is none of {', '.join(WANTED)}")
        if self._words not in (2, 4):
            raise SourceError(f"modbus.words: {self._words} is neither 2 nor 4")
        self._input = bool(settings.get("input", False))
        self._place: tuple[int, int] | None = None
        self._client: AsyncModbusTcpClient | None = None

    @property
    def modulus_mwh(self) -> int:
        """acc32 and acc64 count in the unit of the register."""
        return (1 << 16 * self._words) * self._milli

    async def close(self) -> None:
        """Closes the connection."""
        if self._client:
            self._client.close()
        self._client = None

    async def register_mwh(self) -> int | None:
        """The counter, mWh; None when the device does not answer or says that it has none."""
        try:
            return await (self._sunspec() if self._kind else self._plain())
        except (ModbusException, OSError, TimeoutError) as error:
            log.info("%s:%d: %s", self._host, self._port, error)
            await self.close()
            return None

    async def _plain(self) -> int | None:
        value = _number(await self._read(self._address, self._words))
        return None if value == (1 << 16 * self._words) - 1 else value * self._milli

    async def _sunspec(self) -> int | None:
        if self._place is None:
            self._place = await self._find()
        counter, scale = self._place
        value = _number(await self._read(counter, 2))
        exponent = (await self._read(scale, 1))[0]
        if value in (0, 0xFFFFFFFF) or exponent == NOT_IMPLEMENTED:
            return None  # SunSpec: an accumulator of 0 is one that is not there
        signed = exponent - 0x10000 if exponent & 0x8000 else exponent
        if not -3 <= signed <= 6:
            raise SourceError(f"sunspec: a scale factor of {signed} is no meter's")
        self._milli = 10 ** (3 + signed)
        return value * self._milli

    async def _find(self) -> tuple[int, int]:
        """Addresses of the counter and its scale factor."""
        for base in BASES:
            try:
                if tuple(await self._read(base, 2)) == MARK:
                    break
            except ModbusException:
                continue
        else:
            raise SourceError("sunspec: the device has no model chain")
        at = base + 2
        wanted = WANTED[self._kind]
        for _ in range(MOST_MODELS):
            model, length = await self._read(at, 2)
            if model == END_MODEL:
                break
            if model in wanted:
                counter, scale = wanted[model]
                return at + counter, at + scale
            at += 2 + length
        raise SourceError(f"sunspec: the device has no model that counts {self._kind}")

    async def _read(self, address: int, count: int) -> Sequence[int]:
        if self._client is None:
            self._client = AsyncModbusTcpClient(self._host, port=self._port, reconnect_delay=0)
            if not await self._client.connect():
                raise ModbusException("the device does not answer")
        read = self._client.read_input_registers if self._input else self._client.read_holding_registers
        answer = await read(address, count=count, device_id=self._device_id)
        if answer.isError() or len(answer.registers) != count:
            raise ModbusException(f"{address}: {answer}")
        return answer.registers


def _number(words: Sequence[int]) -> int:
    value = 0
    for word in words:
        value = value << 16 | word
    return value
