"""A node as a process: its HTTP interface and its duty loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from backend.chain.errors import ChainError
from oracle.archive import ArchiveError
from oracle.node import cosign, duty, faults
from oracle.node.config import NodeConfig
from oracle.node.consensus import ATTEMPTS
from oracle.node.machines import NotRegistered
from oracle.node.mqtt import mqtt_loop, receipt_json
from oracle.node.node import Node
from oracle.node.peers import Answer
from oracle.node.store import StoreFull
from oracle.node.tuning import tune_memory
from oracle.wire.errors import WireError
from oracle.wire.machine import decode_machine
from oracle.wire.reading import MAX_MESSAGE_BYTES

log = logging.getLogger("bitwatt.oracle")
MAX_PEER_BYTES = 32 << 20
_ANSWERS: dict[str, Callable[[Node, bytes], Awaitable[Answer]]] = {
    "status": duty.answer_status,
    "propose": duty.answer_proposal,
    "lock": duty.answer_lock,
    "sign": duty.answer_sign,
    "news": duty.answer_news,
}


async def duty_loop(node: Node) -> None:
    """Follows the chain and leads when it is this node's turn, until cancelled."""
    tried: tuple[int, int] | None = None
    down = 0.0
    while True:
        try:
            await node.refresh()
            due = node.turn()
            if due and due != tried and node.config.fault != "stall":
                tried = due
                if node.committee.leader(due[0], due[1] * ATTEMPTS) == node.address:
                    await duty.lead(node, *due)
            down = 0.0
        except ChainError as error:
            down = min(2.0, down * 2 or 0.1)
            log.warning("the chain does not answer: %s", error)
        await _pause(node, down)


async def _pause(node: Node, seconds: float) -> None:
    """Sleeps, or for one poll at most until the node is woken by news."""
    if seconds:
        await asyncio.sleep(seconds)
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(node.wake.wait(), node.config.poll_seconds)
    node.wake.clear()


def make_app(node: Node) -> FastAPI:
    """The HTTP interface."""
    app = FastAPI(title="BitWatt oracle node", docs_url=None, redoc_url=None, lifespan=_lifespan(node))

    @app.post("/readings")
    async def readings(request: Request) -> Response:
        """A CBOR array of envelopes; answers what became of each."""
        if node.config.fault == "stall":
            await asyncio.sleep(faults.STALL_SECONDS)
        receipt = await node.ingest(await _body(request, MAX_MESSAGE_BYTES))
        return JSONResponse(receipt_json(receipt))

    @app.post("/peer/{step}")
    async def peer(step: str, request: Request) -> Response:
        """A step of reaching the epoch's report."""
        if step not in _ANSWERS:
            raise HTTPException(404)
        body = await _body(request, MAX_PEER_BYTES)
        answer = await faults.false_answer(node, body) or await _ANSWERS[step](node, body)
        return Response(answer.encode(), media_type="application/cbor")

    @app.post("/cosign/publication")
    async def cosign_publication(request: Request) -> Response:
        """A carbon document; answers this member's signature of its publication."""
        await node.refresh()
        try:
            made, signature = cosign.publication(node, await _body(request, MAX_PEER_BYTES))
        except cosign.NotSigned as error:
            return JSONResponse({"problem": str(error)}, status_code=422)
        return JSONResponse(
            {"signer": node.address, "content_hash": _hex(made.content_hash), "signature": _hex(signature)}
        )

    @app.post("/cosign/devices")
    async def cosign_devices(request: Request) -> Response:
        """Device requests; answers a signature or a problem for each."""
        await node.refresh()
        requests, collateral = cosign.decode_device_requests(await _body(request, MAX_PEER_BYTES))
        results: list[dict[str, str]] = []
        for item in requests:
            try:
                _, signature = await cosign.device(node, item, collateral)
                results.append({"signature": _hex(signature)})
            except (cosign.NotSigned, WireError) as error:
                results.append({"problem": str(error)})
        return JSONResponse({"signer": node.address, "results": results})

    @app.post("/machines")
    async def register_machine(request: Request) -> Response:
        """A machine's document under its workload device's signature; kept, and listed by GET /machines."""
        await node.refresh()
        try:
            machine = cosign.machine(node, await _body(request, MAX_PEER_BYTES))
        except NotRegistered as error:
            return JSONResponse({"problem": str(error)}, status_code=422)
        return JSONResponse({"meter_id": machine.meter_id, "milli_vcu": machine.milli_vcu})

    @app.get("/machines")
    async def machines() -> list[dict[str, object]]:
        """The latest document of every machine that registered itself."""
        return [
            asdict(item) | {"milli_vcu": item.milli_vcu}
            for item in map(decode_machine, node.store.machines())
        ]

    @app.get("/bundles/{digest}")
    async def bundle(digest: str) -> Response:
        """The archived bundle with that sha256."""
        try:
            content = node.archive.get("readings", bytes.fromhex(digest))
        except (ArchiveError, ValueError):
            raise HTTPException(404) from None
        return Response(content, media_type="application/cbor")

    @app.get("/health")
    async def health() -> dict[str, object]:
        """The node's state."""
        return node.health()

    @app.get("/quarantine")
    async def quarantine() -> list[dict[str, str]]:
        """What was set aside, and why."""
        return [
            {"payload_hash": _hex(digest), "field": field, "problem": problem}
            for digest, field, problem in node.store.quarantined()
        ]

    @app.get("/suspicions")
    async def suspicions() -> list[dict[str, object]]:
        """The latest readings that were reported but not believed, and why."""
        names = ("epoch", "meter_id", "seq", "why")
        return [dict(zip(names, row, strict=True)) for row in node.store.suspicions()]

    @app.get("/equivocations")
    async def equivocations() -> list[dict[str, object]]:
        """Proofs that a member signed two reports of one epoch; `bitwatt evidence slash` takes `proof`."""
        return [
            {"epoch": epoch, "member": member, "proof": _hex(proof.encode())}
            for (epoch, member), proof in sorted(node.witness.proofs.items())
        ]

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counters in Prometheus text format."""
        return PlainTextResponse(_metrics(node))

    @app.exception_handler(StoreFull)
    async def full(_: Request, error: StoreFull) -> Response:
        node.counters["store full"] += 1
        return JSONResponse({"problem": f"{error}; keep the readings and send them again"}, status_code=507)

    @app.exception_handler(WireError)
    async def malformed(_: Request, error: WireError) -> Response:
        return JSONResponse({"field": error.field, "problem": str(error)}, status_code=400)

    return app


def _lifespan(node: Node) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        broker = None
        if node.config.dev_broker:
            from oracle.node.dev_broker import start_dev_broker

            broker = await start_dev_broker(node.config.mqtt, node.chain_id)
        tasks = [asyncio.create_task(duty_loop(node))]
        if node.config.mqtt:
            tasks.append(asyncio.create_task(mqtt_loop(node, node.config.mqtt)))
        for task in tasks:
            task.add_done_callback(_stop_on_error)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if broker:
            await broker.shutdown()
        await node.close()

    return lifespan


def _stop_on_error(task: asyncio.Task[None]) -> None:
    """A node whose duty loop fails must not look alive: it logs why and ends."""
    if not task.cancelled() and task.exception():
        log.error("a loop of the node failed", exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)


async def _body(request: Request, limit: int) -> bytes:
    """The request's body; refuses one that is longer than `limit` before reading it whole."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise HTTPException(413, f"a message has at most {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _metrics(node: Node) -> str:
    gauges = {
        "chain_time_seconds": node.now,
        "next_epoch": node.facts.next_epoch,
        "open_readings": len(node.ledger.open),
        "sequence_gaps": node.ledger.counters["gaps"],
    }
    lines = [f"bitwatt_oracle_{name} {value}" for name, value in gauges.items()]
    for name, value in sorted((node.ledger.counters + node.counters).items()):
        if name != "gaps":
            lines.append(f'bitwatt_oracle_events_total{{event="{name}"}} {value}')
    return "\n".join(lines) + "\n"


def serve(config: NodeConfig) -> None:
    """Runs a node until it is told to stop."""
    started = time.monotonic()
    tune_memory()
    node = Node(config)
    log.info("member %s, ready after %.2f s", node.address, time.monotonic() - started)
    uvicorn.run(
        make_app(node),
        host=config.host,
        port=config.port,
        log_level="warning",
        access_log=False,
        lifespan="on",
    )
