"""The JSON-RPC client against a small endpoint that refuses, stumbles and limits as real ones do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from audit.rpc import Rpc, RpcError, RpcUnreachable


class Endpoint(HTTPServer):
    """Blocks 0..999 with one log each; `widest` is the longest range it serves, `stumbles` fail first."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.widest = 10_000
        self.stumbles = 0
        self.batches = True
        self.bodies = 0

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to one request."""
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        if request["method"] == "eth_getLogs":
            first, last = (int(request["params"][0][name], 16) for name in ("fromBlock", "toBlock"))
            if last - first + 1 > self.widest:
                return {**reply, "error": {"code": -32005, "message": "query returned too many results"}}
            logs = [{"blockNumber": hex(number), "logIndex": "0x0"} for number in range(first, last + 1)]
            return {**reply, "result": logs[::-1]}
        if request["method"] == "double":
            return {**reply, "result": 2 * request["params"][0]}
        return {**reply, "error": {"code": -32601, "message": "no such method"}}


class Handler(BaseHTTPRequestHandler):
    """Serves an Endpoint."""

    server: Endpoint

    def do_POST(self) -> None:
        """One HTTP request."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies += 1
        if self.server.stumbles:
            self.server.stumbles -= 1
            return self.reply(503, {})
        if isinstance(body, list) and not self.server.batches:
            return self.reply(200, {"jsonrpc": "2.0", "id": None, "error": {"message": "no batches here"}})
        if isinstance(body, list):
            return self.reply(200, [self.server.answer(request) for request in body][::-1])
        return self.reply(200, self.server.answer(body))

    def reply(self, status: int, value: object) -> None:
        """Sends JSON."""
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Stays silent."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A running endpoint."""
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def client(endpoint: Endpoint) -> Rpc:
    """A client that does not wait long."""
    return Rpc(f"http://127.0.0.1:{endpoint.server_port}", pause_seconds=0.001)


@pytest.mark.parametrize("widest", [1, 7, 250, 10_000])
def test_logs_come_whole_and_in_order_whatever_range_is_served(endpoint: Endpoint, widest: int) -> None:
    endpoint.widest = widest
    steps: list[int] = []
    found = [int(log["blockNumber"], 16) for log in client(endpoint).logs(["0x0"], 3, 999, steps.append)]
    assert found == list(range(3, 1000))
    assert sum(steps) == 997


def test_a_range_of_one_block_that_is_refused_is_an_error(endpoint: Endpoint) -> None:
    endpoint.widest = 0
    with pytest.raises(RpcError, match="too many results"):
        list(client(endpoint).logs(["0x0"], 0, 9))


def test_batches_are_answered_in_the_order_of_the_calls(endpoint: Endpoint) -> None:
    numbers = list(range(250))
    assert client(endpoint).calls("double", [[number] for number in numbers]) == [2 * n for n in numbers]
    assert endpoint.bodies == 3


def test_an_endpoint_without_batches_is_asked_one_by_one(endpoint: Endpoint) -> None:
    endpoint.batches = False
    assert client(endpoint).calls("double", [[number] for number in range(5)]) == [0, 2, 4, 6, 8]


def test_a_stumbling_endpoint_is_asked_again(endpoint: Endpoint) -> None:
    endpoint.stumbles = 3
    assert client(endpoint).call("double", 21) == 42


def test_refusals_are_raised_or_kept_as_asked(endpoint: Endpoint) -> None:
    with pytest.raises(RpcError, match="no such method"):
        client(endpoint).calls("halve", [[1], [2]])
    kept = client(endpoint).calls("halve", [[1], [2]], tolerate=True)
    assert [type(item) for item in kept] == [RpcError, RpcError]


def test_a_dead_endpoint_says_so(endpoint: Endpoint) -> None:
    endpoint.stumbles = 99
    with pytest.raises(RpcUnreachable, match="check --rpc"):
        client(endpoint).call("double", 1)
