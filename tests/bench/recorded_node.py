"""Shows a recorded chain over JSON-RPC: `python recorded_node.py RECORDING` prints its address and serves."""

from __future__ import annotations

import json
import pickle
import sys
from bisect import bisect_left, bisect_right
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class Recorded:
    """Answers what an auditor asks of a node; anything else is refused."""

    def __init__(self, recording: Json) -> None:
        self.told = recording
        self.blocks = [int(log["blockNumber"], 16) for log in recording["logs"]]

    def answer(self, method: str, params: list[Any]) -> Any:
        """The result of one call; raises LookupError for what was not recorded."""
        told = self.told
        if method == "eth_chainId":
            return told["chain_id"]
        if method == "eth_getBlockByNumber":
            return told["head"]
        if method == "eth_getCode":
            return "0x00" if params[0] in told["contracts"] else "0x"
        if method == "eth_getTransactionByHash":
            return told["transactions"].get(params[0])
        if method == "eth_getLogs":
            low, high = (int(params[0][name], 16) for name in ("fromBlock", "toBlock"))
            return told["logs"][bisect_left(self.blocks, low) : bisect_right(self.blocks, high)]
        if method == "eth_call":
            return told["views"][params[0]["to"], params[0]["data"]]
        raise LookupError(method)

    def reply(self, request: Json) -> Json:
        """One JSON-RPC answer."""
        head = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            return {**head, "result": self.answer(request["method"], request["params"])}
        except LookupError:
            return {**head, "error": {"code": 3, "message": "execution reverted: not recorded"}}


def serve(recording: Path) -> None:
    """Serves until the process is ended; the first line of output is the address."""
    node = Recorded(pickle.loads(recording.read_bytes()))  # written by big_day a moment ago

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            many = isinstance(body, list)
            answers = [node.reply(item) for item in (body if many else [body])]
            content = json.dumps(answers if many else answers[0]).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
