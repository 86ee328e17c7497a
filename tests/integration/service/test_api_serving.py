"""`bitwatt serve` and `bitwatt reindex` as processes: start, stream, web, a finished day, the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from backend.chain.addressbook import save_book
from backend.chain.anvil import free_port, save_state
from tests.unit.api.market_chain import BUYERS, GENESIS, MarketChain, account

BITWATT = str(Path(sys.executable).with_name("bitwatt"))


class Service:
    """A running `bitwatt serve`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = (folder / "service.log").open("wb")
        self.process = subprocess.Popen(
            [BITWATT, "serve", "--port", str(self.port), *arguments],
            stdout=self.log,
            stderr=self.log,
            cwd=folder,
        )
        self.http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        deadline = time.monotonic() + 120
        while True:
            assert self.process.poll() is None, (folder / "service.log").read_text()[-2000:]
            assert time.monotonic() < deadline
            try:
                if self.http.get("/ready").status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.05)

    def end(self) -> float:
        """Ends it with SIGTERM; how many seconds that took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=30) == 0
        self.log.close()
        return time.monotonic() - started

    def events(self, count: int, last: str | None = None) -> list[dict[str, Any]]:
        """The next events of the stream."""
        found: list[dict[str, Any]] = []
        headers = {"Last-Event-ID": last} if last else {}
        with self.http.stream("GET", "/api/v1/stream", headers=headers) as answer:
            event: dict[str, Any] = {}
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if line:
                    event[name] = json.loads(value) if name == "data" else value
                elif "data" in event:
                    found.append(event)
                    event = {}
                if len(found) == count:
                    return found
        return found


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketChain]:
    """A registered market."""
    chain = MarketChain(tmp_path_factory.mktemp("serving"))
    chain.register()
    yield chain
    chain.close()


@pytest.fixture(scope="module")
def service(chain: MarketChain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service on that market, with a small web."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "dist" / "assets").mkdir(parents=True)
    (folder / "dist" / "index.html").write_text("<!doctype html><title>BitWatt</title>")
    (folder / "dist" / "assets" / "app-1.js").write_text("console.log(1)")
    save_book(chain.book, folder / "book.json")
    service = Service(
        folder, "--rpc", chain.url, "--book", str(folder / "book.json"), "--frontend", str(folder / "dist"),
        "--database-url", f"sqlite:///{folder}/s.db",
    )  # fmt: skip
    yield service
    if service.process.poll() is None:
        service.end()


def test_it_serves_api_and_web_under_one_origin(service: Service) -> None:
    http = service.http
    assert http.get("/api/v1/zones").json() == [{"zone_id": 0, "name": "north"}]
    page = http.get("/orders/new")
    assert (
        page.status_code == 200
        and "<title>BitWatt" in page.text
        and page.headers["cache-control"] == "no-cache"
    )
    assert "immutable" in http.get("/assets/app-1.js").headers["cache-control"]
    assert http.get("/assets/none.js").status_code == 404
    missing = http.get("/api/v1/nothing")
    assert missing.status_code == 404 and missing.headers["content-type"] == "application/problem+json"
    assert "bitwatt_requests_total" in http.get("/metrics").text


def test_logs_are_json_lines(service: Service) -> None:
    service.http.get("/api/v1/zones", headers={"X-Request-Id": "seen-in-the-log"})
    lines = [
        json.loads(line)
        for line in (service.folder / "service.log").read_text().splitlines()
        if line[0] == "{"
    ]
    (entry,) = (line for line in lines if line.get("request_id") == "seen-in-the-log")
    assert entry["route"].endswith("/zones") and entry["status"] == 200 and entry["level"] == "INFO"


def test_the_stream_goes_on_where_it_was_left(service: Service, chain: MarketChain) -> None:
    listed = service.http.get("/api/v1/events").json()["items"]
    names = [event["name"] for event in listed]
    first = service.events(3, last=listed[4]["id"])
    assert [event["event"] for event in first] == names[5:8]
    assert first[0]["data"] == listed[5]
    assert [event["event"] for event in service.events(2, last=first[-1]["id"])] == names[8:10]


def test_new_events_come_by_themselves_and_void_ones_are_called_back(
    service: Service, chain: MarketChain
) -> None:
    last = service.http.get("/api/v1/events", params={"limit": 500}).json()["items"][-1]["id"]
    chain.send(BUYERS[0], chain.market.call("cancel", 70))
    (event,) = service.events(1, last=last)
    assert event["event"] == "Cancelled" and event["data"]["arguments"]["maker"] == account(BUYERS[0]).lower()
    chain.rpc.call("anvil_rollback", 1)
    chain.senders[BUYERS[0]].position -= 1
    chain.rpc.call("evm_mine")
    (event,) = service.events(1, last=event["id"])
    assert event["event"] == "reorganised"
    assert event["data"]["from_block"] <= chain.rpc.block_number()


def test_a_bad_event_id_is_a_problem(service: Service) -> None:
    answer = service.http.get("/api/v1/stream", headers={"Last-Event-ID": "1-x"})
    assert answer.status_code == 422 and answer.json()["field"] == "Last-Event-ID"


def test_it_ends_in_good_order_with_a_stream_open(service: Service) -> None:
    with service.http.stream("GET", "/api/v1/stream") as answer:
        assert answer.status_code == 200
        assert service.end() < 10


def test_a_finished_day_comes_back_from_its_folder(tmp_path: Path) -> None:
    chain = MarketChain(tmp_path)
    out = tmp_path / "day"
    (out / "archive").mkdir(parents=True)
    try:
        chain.register()
        save_book(chain.book, out / "archive" / "addresses.json")
        save_state(chain.rpc, out / "chain.state")
        anchor = chain.rpc.call("eth_getBlockByNumber", "0x1", False)
        run = {
            "chain": {"url": chain.url, "start": GENESIS, "anchor": {"number": "0x1", "hash": anchor["hash"]}}
        }
        (out / "run.json").write_text(json.dumps(run))
        events = chain.rpc.block_number()
    finally:
        chain.close()
    service = Service(tmp_path, "--out", str(out), "--demo-login")
    try:
        assert service.http.get("/api/v1/chain").json()["block_number"] == events
        assert service.http.get("/api/v1/zones").json() == [{"zone_id": 0, "name": "north"}]
        session = service.http.post("/api/v1/session/demo", json={"address": account(BUYERS[0])})
        assert session.status_code == 201
        (mine,) = service.http.get("/api/v1/accounts").json()
        assert mine["available_micro"] > 0
    finally:
        service.end()
    done = subprocess.run([BITWATT, "reindex", "--out", str(out), "--json"], capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["last_block"] == events


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "nowhere"), "holds no market day"),
        (("--rpc", "http://127.0.0.1:1"), "address book"),
        (("--database-url", "nonsense"), "bitwatt:"),
        (("--origin", "ftp://x/y"), "public_origin"),
    ],
)
def test_a_wrong_command_says_what_to_do(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = subprocess.run(
        [BITWATT, "serve", *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode in (1, 2) and said in done.stderr and "Traceback" not in done.stderr


def test_default_secrets_are_refused_off_the_dev_chain(tmp_path: Path) -> None:
    environment = dict(os.environ, BITWATT_CHAIN_ID="1", BITWATT_RPC_URL="http://127.0.0.1:1")
    done = subprocess.run(
        [BITWATT, "serve"], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120
    )
    assert done.returncode == 2 and "BITWATT_SECRET" in done.stderr


def test_more_processes_answer_behind_one_port_and_end_with_the_first(
    chain: MarketChain, tmp_path: Path
) -> None:
    save_book(chain.book, tmp_path / "book.json")
    service = Service(
        tmp_path, "--rpc", chain.url, "--book", str(tmp_path / "book.json"), "--database-url",
        f"sqlite:///{tmp_path}/two.db", "--processes", "2", "--no-workers",
    )  # fmt: skip
    try:
        first = psutil.Process(service.process.pid)

        def beside(but: int = 0) -> psutil.Process:
            deadline = time.monotonic() + 60
            while True:
                for child in first.children():
                    if "backend.api.beside" in child.cmdline() and child.pid != but:
                        return child
                assert time.monotonic() < deadline
                time.sleep(0.05)

        second = beside()
        second.kill()
        third = beside(second.pid)
        deadline = time.monotonic() + 60
        while not any(c.status == "LISTEN" for c in third.net_connections("inet")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        for _ in range(20):
            assert httpx.get(f"{service.url}/api/v1/zones", trust_env=False).status_code == 200
        service.end()
        assert not third.is_running()
    finally:
        if service.process.poll() is None:
            service.process.kill()
