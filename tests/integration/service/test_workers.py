"""Background tasks: leases, what-if jobs, webhooks that are signed and kept from private networks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlmodel import select

from backend.market.clearing import clear
from backend.market.codec import book_to_json, solution_to_json
from backend.market.instances import plausible
from backend.service.errors import Invalid
from backend.service.jobs import JobRunner
from backend.service.webhooks import is_public, resolve
from backend.service.workers import leases
from backend.service.workers.notifier import Notifier
from backend.service.workers.runner import Runner, Task
from backend.settings import Settings
from backend.store.chain import Batch, ChainEvent
from backend.store.engine import Store
from backend.store.operations import WebhookDelivery
from tests.unit.api.callers import World
from tests.unit.api.fixtures import context, world

__all__ = ["context", "world"]


# --- leases -----------------------------------------------------------------------
def test_only_one_holds_a_lease_until_it_gives_it_back_or_falls_silent(store: Store) -> None:
    assert leases.acquire(store, "job", "a", 30) and leases.acquire(store, "job", "a", 30)
    assert not leases.acquire(store, "job", "b", 30)
    leases.release(store, "job", "b")
    assert not leases.acquire(store, "job", "b", 30)
    leases.release(store, "job", "a")
    assert leases.acquire(store, "job", "b", -10)
    assert leases.acquire(store, "job", "c", 30)


def test_whoever_lost_its_lease_writes_nothing(store: Store) -> None:
    leases.acquire(store, "job", "a", -10)
    leases.acquire(store, "job", "b", 30)
    with pytest.raises(leases.LeaseLost), store.writing() as session:
        leases.guard(session, "job", "a")
    with store.writing() as session:
        leases.guard(session, "job", "b")


def test_a_task_runs_in_one_process_at_a_time_and_survives_a_fault(store: Store) -> None:
    running, overlaps, done = [0], [0], [0]

    def step() -> bool:
        running[0] += 1
        overlaps[0] += running[0] > 1
        time.sleep(0.01)
        running[0] -= 1
        done[0] += 1
        if done[0] == 3:
            raise ValueError("a fault")
        return True

    runners = [Runner(store, [Task("count", step, 0.02)], 3) for _ in range(2)]
    for runner in runners:
        runner.start()
    deadline = time.monotonic() + 20
    while done[0] < 10 and time.monotonic() < deadline:
        time.sleep(0.02)
    for runner in runners:
        runner.stop()
    assert done[0] >= 10 and overlaps[0] == 0


# --- what-if ----------------------------------------------------------------------
def archive_batch(world: World, folder: Path) -> None:
    """A cleared batch whose book and solution are archived."""
    book = plausible(20, slots=8, seed=3)
    solution = clear(book)
    hashes = {}
    for kind, data in (("book", book_to_json(book)), ("solution", solution_to_json(solution))):
        hashes[kind] = hashlib.sha256(data).hexdigest()
        (folder / kind).mkdir(parents=True)
        (folder / kind / f"{hashes[kind]}.json").write_bytes(data)
    world.context.settings.archive = folder
    with world.context.store.writing() as session:
        session.add(
            Batch(
                batch_id=1, solver="0x" + "01" * 20, start=900, slot_seconds=900, slots=8, zones=1, classes=1,
                publication_hash="0x" + "00" * 32, book_hash="0x" + hashes["book"],
                solution_hash="0x" + hashes["solution"], welfare_micro=1, dual_bound_micro=1, opened_at=1,
                block_number=1, finalised_block=2, finalised_at=2,
            )
        )  # fmt: skip


def test_a_what_if_is_answered_with_a_job_and_once(world: World, tmp_path: Path) -> None:
    archive_batch(world, tmp_path / "archive")
    caller = world.wallet("planner")
    ask = {"batch_id": 1, "changes": {"demand_bps": 20_000, "grid_price_bps": 30_000}, "seconds": 10}
    asked = caller.post("/what-ifs", ask)
    assert asked.status_code == 202 and asked.json()["state"] == "waiting", asked.text
    path = asked.headers["location"].removeprefix("/api/v1")
    assert caller.get(path).json()["result"] is None
    runner = JobRunner(world.context)
    try:
        assert runner.step() and not runner.step()
    finally:
        runner.close()
    job = caller.get(path).json()
    assert job["state"] == "done", job
    before, after = (job["result"][side]["figures"] for side in ("before", "after"))
    assert after["requested_vcu_slots"] == 2 * before["requested_vcu_slots"]
    assert len(job["result"]["after"]["zones"][0]["energy_price_grey"]) == 8
    again = caller.post("/what-ifs", ask)
    assert again.status_code == 200 and again.json()["id"] == job["id"]
    assert caller.get("/jobs").json()["items"][0]["id"] == job["id"]
    assert world.wallet("curious").get(path).status_code == 404
    assert caller.post(f"{path}/cancel").status_code == 409


def test_jobs_can_be_cancelled_and_are_limited(world: World, tmp_path: Path) -> None:
    archive_batch(world, tmp_path / "archive")
    caller = world.wallet("planner")
    asked = [
        caller.post("/what-ifs", {"changes": {"demand_bps": 10_000 + n}, "batch_id": 1}) for n in range(5)
    ]
    assert [answer.status_code for answer in asked] == [202] * 4 + [429]
    first = asked[0].json()["id"]
    assert caller.post(f"/jobs/{first}/cancel").json()["state"] == "cancelled"
    assert caller.post(f"/jobs/{first}/cancel").status_code == 200
    assert caller.post("/what-ifs", {"batch_id": 9}).status_code == 404
    world.context.settings.archive = None
    assert caller.post("/what-ifs", {"batch_id": 1}).status_code == 409


def test_a_job_left_behind_is_done_again_but_not_for_ever(world: World, tmp_path: Path) -> None:
    archive_batch(world, tmp_path / "archive")
    caller = world.wallet("planner")
    job = caller.post("/what-ifs", {"batch_id": 1}).json()["id"]
    for attempt in range(3):
        runner = JobRunner(world.context)
        assert runner._claim() is not None  # and the worker ends here
        JobRunner(world.context).recover()
        assert caller.get(f"/jobs/{job}").json()["state"] == ("failed" if attempt == 2 else "waiting")


# --- webhooks ---------------------------------------------------------------------
class Receiver:
    """A server that hears webhooks; `answers` are the statuses it gives, the last one from then on."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.answers = [200]
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.heard.append(({k.lower(): v for k, v in self.headers.items()}, body))
                status = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://169.254.169.254/")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?x=1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that hears webhooks."""
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def expected_signature(secret: str, headers: dict[str, str], body: bytes) -> str:
    """The Standard Webhooks signature, written down a second time."""
    key = base64.b64decode(secret.split("_", 1)[1])
    signed = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def test_a_webhook_is_signed_repeated_and_told_once(world: World, receiver: Receiver) -> None:
    world.context.settings.webhook_private_hosts = True
    caller = world.wallet("listener")
    made = caller.post("/webhooks", {"url": receiver.url, "events": ["test", "batch.finalised"]})
    assert made.status_code == 201, made.text
    hook, secret = made.json()["id"], made.json()["secret"]
    assert secret not in caller.get("/webhooks").text
    assert caller.post(f"/webhooks/{hook}/test").status_code == 202
    receiver.answers = [500, 302, 200]
    notifier = Notifier(world.context)
    for attempt in range(3):
        notifier.step()
        assert len(receiver.heard) == attempt + 1
        with world.context.store.writing() as session:
            for row in session.exec(select(WebhookDelivery)):
                row.next_at = 0
    notifier.step()
    (delivery,) = caller.get(f"/webhooks/{hook}/deliveries").json()["items"]
    assert delivery["state"] == "delivered" and delivery["attempts"] == 3 and len(receiver.heard) == 3
    assert len({body for _, body in receiver.heard}) == 1
    for headers, body in receiver.heard:
        assert headers["webhook-signature"] == expected_signature(secret, headers, body)
        assert json.loads(body)["type"] == "test"
    event = ChainEvent(
        block_number=5, log_index=0, tx_hash="0x" + "ee" * 32, timestamp=1, contract="BundleMarket",
        name="BatchFinalised", batch_id=1, arguments={"batchId": 1},
    )  # fmt: skip
    for _ in range(2):  # mined, taken back, mined again in another block
        with world.context.store.writing() as session:
            session.add(ChainEvent.model_validate(event.model_dump()))
        notifier.step()
        event.block_number += 1
    told = [json.loads(body)["type"] for _, body in receiver.heard]
    assert told.count("batch.finalised") == 1
    other = world.wallet("eavesdropper")
    assert other.get("/webhooks").json() == []
    for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")):
        assert (
            other.call(method, f"/webhooks/{hook}{path}", json={} if method == "PATCH" else None).status_code
            == 404
        )
    assert caller.call("DELETE", f"/webhooks/{hook}").status_code == 204


def test_a_webhook_that_never_answers_is_switched_off(world: World, receiver: Receiver) -> None:
    world.context.settings.webhook_private_hosts = True
    world.context.settings.webhook_attempts = 1
    receiver.answers = [503]
    caller = world.wallet("listener")
    hook = caller.post("/webhooks", {"url": receiver.url, "events": ["test"]}).json()["id"]
    caller.post(f"/webhooks/{hook}/test")
    Notifier(world.context).step()
    assert caller.get("/webhooks").json()[0]["disabled_at"] is not None
    assert caller.get(f"/webhooks/{hook}/deliveries").json()["items"][0]["state"] == "failed"
    assert caller.call("PATCH", f"/webhooks/{hook}", json={"enabled": True}).json()["disabled_at"] is None


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "https://user:pw@example.org/",  # pragma: allowlist secret
        "https://example.org:22/", "ftp://example.org/",
        "https://example.org:99999/", "file:///etc/passwd", "https:///nothing", "gopher://example.org/x",
    ],
)  # fmt: skip
def test_addresses_that_no_webhook_may_have(world: World, url: str) -> None:
    refused = world.wallet("listener").post("/webhooks", {"url": url, "events": ["test"]})
    assert refused.status_code == 422 and refused.json()["field"] == "url", refused.text


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0", "[::ffff:10.0.0.1]",
             "192.168.1.1", "2130706433", "0x7f000001", "[fd00::1]", "[64:ff9b::a00:1]"],
)  # fmt: skip
def test_private_networks_are_not_called(host: str) -> None:
    with pytest.raises(Invalid):
        resolve(f"https://{host}/hook", Settings())


def test_public_addresses_are_told_from_private_ones() -> None:
    assert is_public("93.184.216.34") and is_public("2606:2800:220:1::1")
    for address in ("100.64.0.1", "172.16.9.9", "224.0.0.1", "::", "2002:a00:1::", "fe80::1%eth0"):
        assert not is_public(address), address


def test_the_engine_ends_with_a_worker_that_was_killed() -> None:
    code = (
        "import os, time; from backend.service.engine_process import engine_pool; "
        "print(engine_pool().submit(os.getpid).result(), flush=True); time.sleep(600)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    engine = psutil.Process(int(worker.stdout.readline()))
    worker.kill()
    worker.wait()
    worker.stdout.close()
    engine.wait(timeout=60)
