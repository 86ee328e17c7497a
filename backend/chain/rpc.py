"""A small JSON-RPC client: single requests, batches, and the handful of Ethereum calls the product needs."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import httpx

from backend.chain.errors import RpcError, RpcUnavailable
from backend.chain.keccak import hex0x, unhex

Request = tuple[str, Sequence[object]]


class Rpc:
    """One node's JSON-RPC endpoint over HTTP; not thread-safe."""

    def __init__(self, url: str, timeout_seconds: float = 120.0) -> None:
        self.url = url
        self._client = httpx.Client(timeout=timeout_seconds, trust_env=False)
        self._next_id = 0

    def __enter__(self) -> Rpc:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def batch(self, requests: Sequence[Request]) -> list[Any]:
        """Results of several requests sent as one; an error stands in its place as RpcError, not raised."""
        if not requests:
            return []
        first = self._next_id
        self._next_id += len(requests)
        body = [
            {"jsonrpc": "2.0", "id": first + position, "method": method, "params": list(params)}
            for position, (method, params) in enumerate(requests)
        ]
        answers = self._post(body)
        if not isinstance(answers, list):
            raise RpcError("batch", -32600, str(answers)[:300])
        by_id = {answer["id"]: answer for answer in answers}
        return [_result(method, by_id[first + position]) for position, (method, _) in enumerate(requests)]

    def call(self, method: str, *params: object) -> Any:
        """Result of one request; raises RpcError, or RpcUnavailable when nothing answers."""
        self._next_id += 1
        result = _result(
            method,
            self._post({"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": list(params)}),
        )
        if isinstance(result, RpcError):
            raise result
        return result

    def _post(self, body: object) -> Any:
        try:
            response = self._client.post(self.url, json=body)
            return response.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise RpcUnavailable(self.url, error) from error

    def chain_id(self) -> int:
        """The chain's id."""
        return int(self.call("eth_chainId"), 16)

    def block_number(self) -> int:
        """Number of the latest block."""
        return int(self.call("eth_blockNumber"), 16)

    def timestamp(self) -> int:
        """Timestamp of the latest block, unix seconds."""
        return int(self.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def nonce(self, account: str) -> int:
        """How many transactions `account` has mined."""
        return int(self.call("eth_getTransactionCount", account, "latest"), 16)

    def code(self, account: str) -> bytes:
        """The contract code at an address, empty where there is none."""
        return unhex(self.call("eth_getCode", account, "latest"))

    def eth_call(self, to: str, data: bytes, sender: str | None = None, block: str = "latest") -> bytes:
        """Return data of a read; raises RpcError with the revert data when it reverts."""
        transaction = {"to": to, "data": hex0x(data)} | ({"from": sender} if sender else {})
        return unhex(self.call("eth_call", transaction, block))

    def logs(
        self,
        addresses: Sequence[str],
        topics: Sequence[object],
        first_block: int,
        last_block: int | str = "latest",
    ) -> list[dict[str, Any]]:
        """Logs of `addresses` in a block range, filtered by topics."""
        last = last_block if isinstance(last_block, str) else hex(last_block)
        query = {
            "address": list(addresses),
            "topics": list(topics),
            "fromBlock": hex(first_block),
            "toBlock": last,
        }
        return list(self.call("eth_getLogs", query))


def _result(method: str, answer: Any) -> Any:
    """The result in a JSON-RPC answer, or an RpcError."""
    if not isinstance(answer, dict):
        return RpcError(method, -32600, f"not a JSON-RPC answer: {str(answer)[:200]}")
    if "error" not in answer:
        return answer.get("result")
    error = answer["error"]
    code, message = int(error.get("code", 0)), str(error.get("message", ""))
    return RpcError(method, code, message, _revert_data(error.get("data")))


def _revert_data(data: Any) -> bytes:
    """Revert data out of an error's `data`, which nodes shape differently."""
    if isinstance(data, dict):
        data = data.get("data") or data.get("result")
    if isinstance(data, str) and data.startswith("0x"):
        try:
            return unhex(data)
        except ValueError:
            return b""
    return b""
