"""An agent process: waits for the end of each interval, signs, spools, and posts to every node."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence

from backend.chain.addressbook import load_book
from backend.chain.errors import ChainError
from oracle.agents.fleet import Fleet, FleetDevice, FleetError, Row, device_key, read_rows
from oracle.agents.host import Host
from oracle.agents.live import LiveMeter, Mark, live_meters, open_source
from oracle.agents.probe import Probe
from oracle.agents.spool import Measured, Spool
from oracle.agents.terms import Terms
from oracle.agents.transport import transport_of
from oracle.rpc import LeanRpc
from oracle.wire.keys import DeviceKey
from oracle.wire.reading import Envelope, encode_envelopes

log = logging.getLogger("bitwatt.agent")
POST_READINGS = 500
WATCH_SECONDS = 1.0


class Agent:
    """All devices of one role in a fleet."""

    def __init__(self, fleet: Fleet, role: str) -> None:
        self.fleet, self.role = fleet, role
        self._rpc = LeanRpc(fleet.rpc)
        book = load_book(fleet.book)
        chain_id = book.chain_id
        self._terms = Terms(self._rpc, book)
        if (found := self._rpc.chain_id()) != chain_id:
            raise FleetError(f"{fleet.rpc} is chain {found}, the address book is for chain {chain_id}")
        self.spool = Spool(fleet.spool / f"{role}.sqlite", fleet.nodes, chain_id)
        self.now = 0
        self._queues: list[tuple[FleetDevice, DeviceKey, deque[Row]]] = []
        self._live: list[tuple[LiveMeter, DeviceKey]] = []
        self._hosts: list[tuple[Host, DeviceKey]] = []
        for device in fleet.of_role(role):
            if device.driver.get("kind") == "host":
                settings = device.driver
                probe = Probe(settings["guarantees"]) if settings.get("guarantees") else None
                host = Host(device, open_source(settings.get("power", {})), probe, self._terms.of)
                self._hosts.append((host, device_key(fleet, device)))
                continue
            if device.driver and device.driver.get("kind") != "series":
                key = device_key(fleet, device)
                self._live += [(meter, key) for meter in live_meters(device)]
                continue
            rows = deque(read_rows(device))
            for _ in range(self.spool.next_row(device.meter_id)):
                rows.popleft()
            self._queues.append((device, device_key(fleet, device), rows))
        self._transports = {node: transport_of(node) for node in fleet.nodes}
        self._ticked = asyncio.Condition()

    @property
    def rows_left(self) -> int:
        """Rows whose interval has not ended yet."""
        return sum(len(rows) for _, _, rows in self._queues)

    def measure(self) -> int:
        """Signs and spools every row that has ended by now; returns how many."""
        ended: list[Measured] = []
        for device, key, rows in self._queues:
            while rows and rows[0].end <= self.now:
                ended.append(Measured(device.meter_id, key, rows.popleft()))
        return self.spool.measure(ended)

    async def measure_live(self) -> int:
        """Reads the devices whose interval has ended; signs and spools what flowed."""
        found = await asyncio.gather(
            *(meter.measure(self.now, self.spool.mark(*meter.stream)) for meter, _ in self._live)
        )
        ended = [
            Measured(host.device.meter_id, key, row)
            for host, key in self._hosts
            for row in host.rows(self.now)
        ]
        marks: dict[tuple[int, int], Mark] = {}
        for (meter, key), (rows, mark) in zip(self._live, found, strict=True):
            ended += [Measured(meter.device.meter_id, key, row) for row in rows]
            if mark is not None:
                marks[meter.stream] = mark
        return self.spool.measure(ended, marks)

    async def run(self, exit_when_done: bool) -> None:
        """Until cancelled, or until every row is posted to at least one node and the others had a chance."""
        posters = [asyncio.create_task(self._post_to(node)) for node in self.fleet.nodes]
        posters += [asyncio.create_task(self._watch(host)) for host, _ in self._hosts]
        try:
            while not (
                exit_when_done
                and not self._live
                and not self._hosts
                and self.rows_left == 0
                and self.spool.waiting() == 0
            ):
                for poster in posters:
                    if poster.done():
                        poster.result()
                await self._tick()
                await asyncio.sleep(self.fleet.poll_seconds)
            await asyncio.wait(posters, timeout=1.0)
        finally:
            for poster in posters:
                poster.cancel()
            await asyncio.gather(*posters, return_exceptions=True)
            for meter, _ in self._live:
                await meter.source.close()
            for host, _ in self._hosts:
                await host.power.close()
            for transport in self._transports.values():
                await transport.close()
            self._rpc.close()
            self.spool.close()

    async def _watch(self, host: Host) -> None:
        while True:
            await host.look(time.monotonic())
            await asyncio.sleep(WATCH_SECONDS)

    async def _tick(self) -> None:
        try:
            now = await asyncio.to_thread(self._rpc.timestamp)
            if self._hosts:
                await asyncio.to_thread(self._terms.refresh)
        except ChainError as error:
            log.warning("the chain does not answer: %s", error)
            await asyncio.sleep(0.5)
            return
        if now != self.now:
            self.now = now
            self.measure()
            if self._live or self._hosts:
                await self.measure_live()
            async with self._ticked:
                self._ticked.notify_all()

    async def _post_to(self, node: str) -> None:
        pause = 0.0
        while True:
            batch = self.spool.due(node, self.now, POST_READINGS)
            if not batch:
                async with self._ticked:
                    await self._ticked.wait()
                continue
            kept = await self._post(node, batch)
            if kept is None:
                pause = min(2.0, pause * 2 or 0.1)
            else:
                self.spool.posted(node, [number for number, _ in batch if number not in kept])
                pause = 0.1 if kept else 0.0
            if pause:
                await asyncio.sleep(pause)

    async def _post(self, node: str, batch: Sequence[tuple[int, Envelope]]) -> set[int] | None:
        """Ids the node wants again later; None when it cannot be reached."""
        body = encode_envelopes([envelope for _, envelope in batch])
        refused = await self._transports[node].post(body)
        if refused is None:
            return None
        for item in refused:
            if not item["retry"]:
                log.warning("%s refused a reading: %s: %s", node, item["field"], item["problem"])
        return {batch[item["index"]][0] for item in refused if item["retry"]}
