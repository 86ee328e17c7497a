"""Drivers against real servers: Modbus TCP with a SunSpec map, an MQTT broker, Redfish over HTTP, files."""

from __future__ import annotations

import asyncio
import http.server
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from backend.chain.anvil import free_port
from oracle.agents.drivers.modbus import ModbusSource
from oracle.agents.drivers.mqtt import MqttSource
from oracle.agents.drivers.power import IpmiSource, NvmlSource, RaplSource, RedfishSource
from oracle.agents.drivers.series import SeriesError, read_series
from oracle.agents.drivers.source import SourceError
from oracle.agents.fleet import FleetDevice
from oracle.agents.live import LiveMeter, Mark, live_meters, open_source
from oracle.agents.spool import Measured, Spool
from oracle.agents.vee import Measure, of_registers, of_value, spread
from oracle.node.dev_broker import start_dev_broker
from oracle.wire.keys import DeviceKey
from oracle.wire.reading import Quality, decode_reading


# --- validate, estimate, edit ---------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "quantity", "quality"),
    [
        (12.5, 12_500, Quality.ACTUAL),
        (0.0, 0, Quality.ACTUAL),
        (-0.063, 0, Quality.EDITED),
        (-99.0, 0, Quality.MISSING),
        (6553.5, 0, Quality.MISSING),
        (None, 0, Quality.MISSING),
        (float("nan"), 0, Quality.MISSING),
        (106.0, 0, Quality.MISSING),
        (105.0, 105_000, Quality.ACTUAL),
    ],
)
def test_values_of_a_series(value: float | None, quantity: int, quality: Quality) -> None:
    assert of_value(value, 1000, 100_000)[:2] == (quantity, quality)


@pytest.mark.parametrize(
    ("before", "now", "quantity", "quality"),
    [
        (100, 150, 50, Quality.ACTUAL),
        (100, 100, 0, Quality.ACTUAL),
        (2**32 - 10, 5, 15, Quality.ACTUAL),  # rollover
        (5_000_000, 3, 0, Quality.MISSING),  # a new meter
        (0, 1_000_000, 0, Quality.MISSING),  # a jump, or a wrong unit
    ],
)
def test_registers(before: int, now: int, quantity: int, quality: Quality) -> None:
    assert of_registers(before, now, 2**32, 1000)[:2] == (quantity, quality)


def test_what_was_read_late_or_over_a_gap_is_estimated() -> None:
    actual = Measure(10, Quality.ACTUAL)
    assert spread(actual, 1, late=False) == [actual]
    assert [part[:2] for part in spread(actual, 1, late=True)] == [(10, Quality.ESTIMATED)]
    parts = spread(actual, 3, late=False)
    assert [part.quantity for part in parts] == [4, 3, 3]
    assert {part.quality for part in parts} == {Quality.ESTIMATED}
    assert {part.quality for part in spread(Measure(0, Quality.MISSING), 2, False)} == {Quality.MISSING}


# --- series ---------------------------------------------------------------------------
SERIES = {"time": "t", "value": "mw", "unit": "MW", "interval_seconds": 900, "nameplate_w": 30_000_000}


def test_a_series_with_dirty_rows(tmp_path: Path) -> None:
    path = tmp_path / "pv.csv"
    path.write_text(
        "site,t,mw\nA,2019-05-01T00:00:00Z,1.5\nB,2019-05-01T00:00:00Z,9\nA,2019-05-01T00:15:00Z,-0.063\n"
        "A,2019-05-01T00:30:00Z,\nA,2019-05-01T00:45:00Z,6553.5\n"
    )
    rows = list(read_series(path, {**SERIES, "where": {"site": "A"}, "shift_seconds": 10}))
    assert [start for start, _ in rows] == [1_556_668_810 + 900 * n for n in range(4)]
    assert [(m.quantity, m.quality) for _, m in rows] == [(375_000_000, 0), (0, 4), (0, 3), (0, 3)]
    with pytest.raises(SeriesError, match="column 'kw' is not there"):
        list(read_series(path, {**SERIES, "value": "kw"}))
    with pytest.raises(SeriesError, match="unit: 'PS'"):
        list(read_series(path, {**SERIES, "unit": "PS"}))
    path.write_text("site,t,mw\nA,yesterday,1\n")
    with pytest.raises(SeriesError, match="line 2"):
        list(read_series(path, SERIES))


# --- Modbus and SunSpec ----------------------------------------------------------------
def sunspec(model: int, length: int, counter: int, value: int, scale_at: int, scale: int) -> list[int]:
    """Registers from 40000: the mark, a common model, the model with its counter, and the end."""
    body = [0] * (2 + length)
    body[:2] = [model, length]
    body[counter : counter + 2] = [value >> 16, value & 0xFFFF]
    body[scale_at] = scale & 0xFFFF
    return [0x5375, 0x6E53, 1, 66, *[0] * 66, *body, 0xFFFF, 0]


class Meter:
    """A Modbus TCP server with one block of holding registers at an address."""

    def __init__(self, registers: Sequence[int], address: int = 40_000) -> None:
        self.port = free_port()
        self.registers = list(registers)
        data = SimData(address, values=list(registers), datatype=DataType.REGISTERS)
        self.device = SimDevice(1, [data], action=self._now)

    async def _now(
        self, code: int, start: int, address: int, count: int, current: list[int], new: object
    ) -> None:
        current[:] = self.registers

    async def __aenter__(self) -> Meter:
        self.server = ModbusTcpServer(self.device, address=("127.0.0.1", self.port))
        await self.server.serve_forever(background=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.shutdown()

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"kind": "modbus", "host": "127.0.0.1", "port": self.port, **more}


@pytest.mark.parametrize(
    ("kind", "model", "counter", "scale_at", "length", "scale", "value", "mwh"),
    [
        ("generation", 103, 24, 26, 50, 0, 1_234_567, 1_234_567_000),
        ("generation", 203, 38, 54, 105, 1, 500, 5_000_000),
        ("import", 201, 46, 54, 105, -2, 12_345, 123_450),
    ],
)
def test_sunspec(
    kind: str, model: int, counter: int, scale_at: int, length: int, scale: int, value: int, mwh: int
) -> None:
    async def read() -> None:
        async with Meter(sunspec(model, length, counter, value, scale_at, scale)) as meter:
            source = ModbusSource(meter.settings(sunspec=kind))
            assert await source.register_mwh() == mwh
            assert source.modulus_mwh == 2**32 * mwh // value
            await source.close()

    asyncio.run(read())


@pytest.mark.parametrize(
    ("registers", "problem"),
    [([1, 2, 3, 4], "has no model chain"), (sunspec(120, 26, 4, 1, 6, 0), "no model that counts generation")],
)
def test_a_device_that_is_no_sunspec_meter(registers: list[int], problem: str) -> None:
    async def read() -> None:
        async with Meter(registers) as meter:
            source = ModbusSource(meter.settings(sunspec="generation"))
            with pytest.raises(SourceError, match=problem):
                await source.register_mwh()
            await source.close()

    asyncio.run(read())


def test_a_sunspec_counter_that_is_not_there_is_no_value() -> None:
    async def read() -> None:
        for value, scale in ((0, 0), (0xFFFFFFFF, 0), (5, 0x8000)):
            async with Meter(sunspec(103, 50, 24, value, 26, scale)) as meter:
                source = ModbusSource(meter.settings(sunspec="generation"))
                assert await source.register_mwh() is None
                await source.close()

    asyncio.run(read())


def test_a_modbus_meter_through_rollover_silence_and_replacement() -> None:
    """Interval by interval: what the device signs, as its register and the network behave."""

    async def story() -> None:
        meter = Meter([0xFFFF, 0xFFF0], address=100)
        device = FleetDevice(
            1, "meter", 2, 1, 1, Path("key"),
            driver=meter.settings(address=100, unit="Wh", interval_seconds=900, nameplate_w=1_000_000),
        )  # fmt: skip
        live = LiveMeter(device, open_source(device.driver))
        mark: Mark | None = None
        signed: list[tuple[int, int, int]] = []

        async def at(now: int) -> None:
            nonlocal mark
            rows, mark = await live.measure(now, mark)
            signed.extend((row.start, row.quantity, row.quality) for row in rows)

        async with meter:
            await at(900)
            assert mark == Mark(900, 0xFFFFFFF0 * 1000, False)
            await at(1700)  # the interval has not ended
            assert signed == []
            meter.registers = [0, 0x0010]
            await at(1800)
        await at(2700)  # the device does not answer
        assert signed == [(900, 32_000, 0)]
        async with meter:
            meter.registers = [0, 0x0010 + 60]
            await at(3600)
            await at(3600)
            assert signed[1:] == [(1800, 30_000, 1), (2700, 30_000, 1)]
            meter.registers = [0, 7]
            await at(4500)
            meter.registers = [0, 9]
            await at(5400)
            assert signed[3:] == [(3600, 0, 3), (4500, 2000, 0)]
            meter.registers = [0, 12]
            await at(6300 + 100)  # too long after the end
            assert signed[5:] == [(5400, 3000, 1)]
        await live.source.close()

    asyncio.run(story())


def test_a_storage_has_a_register_for_each_way(tmp_path: Path) -> None:
    """Charge and discharge of one device: one sequence, two streams, states that survive the process."""

    async def story() -> None:
        async with Meter([0, 100, 0, 40], address=100) as meter:
            ways = {
                "charge": meter.settings(address=100),
                "discharge": meter.settings(address=102),
            }
            driver = {"kind": "storage", "interval_seconds": 900, "nameplate_w": 1_000_000, **ways}
            device = FleetDevice(1, "meter", 2, 1, 0, Path("key"), driver=driver)
            meters, key = live_meters(device), DeviceKey.from_seed(b"storage")
            spool = Spool(tmp_path / "spool.sqlite", ["http://node"], 1)

            async def at(now: int) -> None:
                measured, marks = [], {}
                for item in meters:
                    rows, mark = await item.measure(now, spool.mark(*item.stream))
                    measured += [Measured(1, key, row) for row in rows]
                    if mark:
                        marks[item.stream] = mark
                spool.measure(measured, marks)

            await at(900)
            meter.registers = [0, 160, 0, 45]
            await at(1800)
            spool.close()
            spool = Spool(tmp_path / "spool.sqlite", ["http://node"], 1)
            meter.registers = [0, 160, 0, 90]
            await at(2700)
            found = [decode_reading(envelope.payload) for _, envelope in spool.due("http://node", 9999, 10)]
            assert [(item.seq, item.kind, item.quantity, item.register) for item in found] == [
                (0, 5, 60_000, 60_000),
                (1, 6, 5_000, 5_000),
                (2, 5, 0, 60_000),
                (3, 6, 45_000, 50_000),
            ]
            for item in meters:
                await item.source.close()

    asyncio.run(story())
    with pytest.raises(SourceError, match=r"storage.discharge: is missing"):
        charge = {"kind": "modbus", "host": "x", "address": 1}
        settings = {"kind": "storage", "charge": charge, "nameplate_w": 1}
        live_meters(FleetDevice(1, "meter", 2, 1, 0, Path("key"), driver=settings))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"kind": "telepathy"}, "driver.kind: 'telepathy'"),
        ({"kind": "modbus", "host": "x"}, "address"),
        ({"kind": "modbus", "host": "x", "sunspec": "heat"}, "modbus.sunspec: 'heat'"),
        ({"kind": "modbus", "host": "x", "address": 1, "words": 3}, "modbus.words"),
        ({"kind": "modbus", "host": "x", "address": 1, "unit": "J"}, "'J'"),
        ({"kind": "mqtt", "url": "mqtt://x"}, "topic"),
        ({"kind": "redfish"}, "redfish.url"),
        ({"kind": "rapl", "path": "/nonexistent"}, "rapl: /nonexistent has no package"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(SourceError, match=problem):
        open_source(settings)


# --- MQTT -------------------------------------------------------------------------------
def test_a_meter_that_publishes_its_register() -> None:
    async def story() -> None:
        url = f"mqtt://127.0.0.1:{free_port()}"
        source = MqttSource({"url": url, "topic": "plant/1", "stale_seconds": 30})
        assert await source.register_mwh() is None  # no broker yet
        broker = await start_dev_broker(url, 31337)
        try:
            port = int(url.rpartition(":")[2])
            async with aiomqtt.Client("127.0.0.1", port) as client:
                for _ in range(100):
                    for payload in (
                        '{"energy_wh": 12.5}',
                        "[[[[",
                        '{"energy_wh": -1}',
                        '{"energy_wh": true}',
                    ):
                        await client.publish("plant/1", payload, qos=1)
                    await asyncio.sleep(0.05)
                    if await source.register_mwh() is not None:
                        break
            assert await source.register_mwh() == 12_500
            source._stale = 0
            assert await source.register_mwh() is None
        finally:
            await source.close()
            await broker.shutdown()

    asyncio.run(story())


# --- machines ----------------------------------------------------------------------------
def test_rapl_adds_packages_and_unrolls_their_counters(tmp_path: Path) -> None:
    for name, start in (("intel-rapl:0", 5_000_000), ("intel-rapl:1", 900_000_000), ("intel-rapl:0:0", 1)):
        zone = tmp_path / name
        zone.mkdir()
        (zone / "energy_uj").write_text(f"{start}\n")
        (zone / "max_energy_range_uj").write_text("1000000000\n")
    source = RaplSource({"path": str(tmp_path)})
    assert asyncio.run(source.register_mwh()) == 0
    (tmp_path / "intel-rapl:0/energy_uj").write_text("12200000")  # 7.2 J = 2 mWh
    (tmp_path / "intel-rapl:1/energy_uj").write_text("8000000")  # rolled over: 108 J = 30 mWh
    assert asyncio.run(source.register_mwh()) == 32
    (tmp_path / "intel-rapl:1/energy_uj").unlink()
    assert asyncio.run(source.register_mwh()) is None


def test_ipmi_watts_are_added_up(tmp_path: Path) -> None:
    script = tmp_path / "ipmitool"
    script.write_text("print('    Instantaneous power reading:                   220 Watts')")
    source = IpmiSource({"command": [sys.executable, str(script)]})
    assert asyncio.run(source.register_mwh()) == 0
    assert source.add(220.0, source._last[0] + 18) == 1100  # type: ignore[index]
    assert source.add(None, 0) is None
    with pytest.raises(SourceError, match="is not installed"):
        asyncio.run(IpmiSource({"command": ["/nonexistent/ipmitool"]}).register_mwh())


def test_watts_are_not_believed_over_a_long_gap() -> None:
    source = IpmiSource({})
    assert source.add(100, 0.0) == 0 and source.add(100, 9.0) == 250
    assert source.add(100, 1000.0) is None
    assert source.add(100, 1009.0) == 500


@contextmanager
def redfish(watts: list[object]) -> Iterator[str]:
    """A server that answers with the next of some values."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"PowerControl": [{"PowerConsumedWatts": watts.pop(0)}]}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/redfish/v1/Chassis/1/Power"
    server.shutdown()


def test_redfish() -> None:
    async def story() -> None:
        with redfish([300, None, 300]) as url:
            source = RedfishSource({"url": url})
            assert await source.register_mwh() == 0
            assert await source.register_mwh() is None
            assert await source.register_mwh() == 0
            await source.close()

    asyncio.run(story())


def test_nvml_says_so_where_there_is_no_gpu() -> None:
    try:
        source = NvmlSource({})
    except SourceError as error:
        assert str(error).startswith("nvml:")
        return
    first = asyncio.run(source.register_mwh())
    assert first is not None and first >= 0
