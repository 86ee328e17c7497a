"""The live workload agent: what it counts, what it does not, and how a machine describes itself."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.agents.drivers.source import SourceError
from oracle.agents.fleet import FleetDevice, Row
from oracle.agents.host import Host, read_jobs
from oracle.agents.machine import describe, measure_mflops, reference_devices, run_benchmark
from oracle.agents.probe import Probe
from oracle.agents.terms import guarantees_of
from oracle.wire.errors import WireError
from oracle.wire.guarantees import NONE, Guarantees, parse_class
from oracle.wire.keys import DeviceKey
from oracle.wire.machine import Machine, decode_machine, sign_machine
from tests.unit.oracle.oracle_facts import JOB, facts

A, B = bytes(31) + b"\x0a", bytes(31) + b"\x0b"


class Counter:
    """A register that a test turns."""

    modulus_mwh = 1 << 62

    def __init__(self) -> None:
        self.mwh: int | None = 0

    async def register_mwh(self) -> int | None:
        return self.mwh

    async def close(self) -> None:
        pass


def jobs_file(path: Path, *jobs: tuple[bytes, int, bool]) -> None:
    rows = [{"agreement_id": "0x" + a.hex(), "milli_vcu": vcu, "running": runs} for a, vcu, runs in jobs]
    path.write_text(json.dumps(rows))


def host(tmp_path: Path, probe: Probe | None = None, sold: Guarantees = NONE) -> tuple[Host, Counter]:
    settings = {"kind": "host", "jobs": str(tmp_path / "jobs.json"), "interval_seconds": 10}
    power = Counter()
    return Host(
        FleetDevice(1, "workload", 1, 1, 0, Path("key"), driver=settings), power, probe, lambda _: sold
    ), power


def by_kind(rows: list[Row]) -> dict[tuple[bytes, int], int]:
    return {(row.agreement_id, row.kind): row.quantity for row in rows}


def test_compute_and_energy_of_jobs(tmp_path: Path) -> None:
    async def story() -> None:
        agent, power = host(tmp_path)
        path = tmp_path / "jobs.json"
        jobs_file(path, (A, 2000, True), (B, 1000, False))
        assert agent.rows(1000) == []
        for second in range(11):
            power.mwh = 100 * second
            await agent.look(float(second))
        assert agent.rows(1009) == []
        rows = by_kind(agent.rows(1010))
        assert rows[A, 4] == 20_000 and rows[B, 4] == 0, "two VCU for ten seconds; one that does not run"
        assert rows[A, 3] + rows[B, 3] in (999, 1000), "the rest goes on to the next look"
        assert rows[A, 3] == pytest.approx(2 * rows[B, 3], abs=10), "by reserved VCU, whole mWh a look"
        power.mwh = 2000
        await agent.look(100.0)  # unwatched for too long
        assert by_kind(agent.rows(1020)) == {}

    asyncio.run(story())


def test_an_interval_that_was_not_watched_whole_is_not_reported(tmp_path: Path) -> None:
    async def story() -> None:
        agent, _ = host(tmp_path)
        jobs_file(tmp_path / "jobs.json", (A, 1000, True))
        assert agent.rows(1000) == []
        await agent.look(0.0)
        await agent.look(1.0)
        assert agent.rows(1030) == [], "two intervals in one are not told apart"
        await agent.look(2.0)
        assert by_kind(agent.rows(1040)) == {(A, 3): 0, (A, 4): 1000}

    asyncio.run(story())


def test_compute_counts_only_while_latency_holds(tmp_path: Path) -> None:
    async def story() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        settings = {"host": "127.0.0.1", "port": port, "every_seconds": 0}
        agent, _ = host(tmp_path, Probe(settings), Guarantees(latency_ms=2000))
        jobs_file(tmp_path / "jobs.json", (A, 1000, True))
        agent.rows(1000)
        for second in range(4):
            await agent.look(float(second))
        server.close()
        await server.wait_closed()
        for second in range(4, 9):
            await agent.look(float(second))
        assert by_kind(agent.rows(1010))[A, 4] == 3000

    asyncio.run(story())


def test_bandwidth_is_probed() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline():
            body = bytes(1 << 20)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        settings = {"host": "127.0.0.1", "port": port, "url": f"http://127.0.0.1:{port}/"}
        good = await Probe(settings).ask()
        assert good.bandwidth_mbps is not None and good.bandwidth_mbps > 0.1
        assert Guarantees(5000, 0).hold(*good) and not Guarantees(None, 10**9).hold(*good)
        server.close()

    asyncio.run(story())


def test_nobody_there_holds_no_guarantee() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    probed = asyncio.run(Probe({"host": "127.0.0.1", "port": port}).ask())
    assert probed.latency_ms is None and not Guarantees(latency_ms=1000).hold(*probed)
    assert Guarantees().hold(*probed), "nothing was sold"
    with pytest.raises(SourceError, match="port"):
        Probe({"host": "x"})
    with pytest.raises(SourceError, match="latency_ms: is what was sold"):
        Probe({"host": "x", "port": 1, "latency_ms": 5})


def test_what_was_sold_stands_in_the_class_on_chain() -> None:
    known = facts()
    assert guarantees_of(known, JOB) == Guarantees()
    known.apply("ClassAdded", {"classId": 0, "name": "gpu-inference@20ms/1000mbps"})
    assert guarantees_of(known, JOB) == Guarantees(20, 1000)
    assert guarantees_of(known, (9 << 64).to_bytes(32, "big")) == Guarantees(), "of another chain"
    assert parse_class("cpu") == ("cpu", Guarantees())
    assert parse_class("cpu@5mbps") == ("cpu", Guarantees(None, 5))
    for name in ("cpu@20", "cpu@20ms/30ms", "cpu@0ms", "cpu@-1ms", "cpu@20ms/"):
        with pytest.raises(WireError, match="class"):
            parse_class(name)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Expecting"),
        ("[" * 100_000, "nested too deep|Expecting"),
        ('[{"agreement_id": "0x01"}]', "job 0: KeyError"),
        ('[{"agreement_id": "zz", "milli_vcu": 1, "running": true}]', "job 0"),
        ('[{"agreement_id": "0x01", "milli_vcu": 0, "running": true}]', "of no use"),
        (" " * ((1 << 20) + 1), "more than"),
    ],
)
def test_job_files_of_no_use(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "jobs.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=problem):
        read_jobs(path)


# --- machines -----------------------------------------------------------------------
def test_a_machine_measures_itself() -> None:
    machine = describe({"class": "cpu", "zone": "z0"}, 31337, 7, seconds=0.05)
    assert machine.measured_mflops > 0 and machine.devices[0].partition(" x ")[2]
    assert machine.milli_vcu == 1000 * machine.measured_mflops // 1_024_000
    key = DeviceKey.from_seed(b"machine")
    envelope = sign_machine(key, machine)
    assert decode_machine(envelope.payload) == machine
    assert key.public.verify(envelope.payload, envelope.signature)
    assert measure_mflops(0.01) > 0


def test_an_accelerator_is_measured_by_a_program(tmp_path: Path) -> None:
    assert run_benchmark(["printf", "warming up\\n156000.5\\n"]) == 156_000_500
    machine = describe({"class": "gpu-training", "benchmark": ["printf", "156000.5"]}, 1, 2)
    assert machine.milli_vcu == 500, "rounded down"
    for command in (["false"], ["printf", "nothing"], ["/nonexistent"]):
        with pytest.raises(SourceError, match="benchmark"):
            run_benchmark(command)
    with pytest.raises(SourceError, match="needs a program"):
        describe({"class": "npu"}, 1, 2)
    with pytest.raises(SourceError, match=r"machine.class: 'abacus'"):
        describe({"class": "abacus"}, 1, 2)


def test_the_reference_table_is_whole() -> None:
    table = reference_devices()
    assert table["version"] >= 1
    assert {"gpu-training", "gpu-inference", "npu", "cpu"} <= set(table["classes"])


@given(st.binary(max_size=80))
def test_rubbish_is_no_machine(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_machine(data)


def test_machines_that_are_refused() -> None:
    good = Machine(1, 2, "cpu", "z", ("x",), 1, 1, 1, 1)
    for bad in (
        Machine(1, 2, "cpu", "z", ("x" * 201,), 1, 1, 1, 1),
        Machine(1, 2, "cpu", "z", ("x",) * 65, 1, 1, 1, 1),
        Machine(1, 2, "cpu", "z", ("x",), 1, 0, 1, 1),
    ):
        with pytest.raises(WireError):
            decode_machine(bad.encode())
    assert decode_machine(good.encode()) == good
