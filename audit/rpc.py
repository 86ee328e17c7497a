"""JSON-RPC over HTTP for any endpoint: batches, retries, and log ranges that shrink when refused."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx

RETRIES = 5
BATCH = 100
LOG_RANGE = 2_000


class RpcError(Exception):
    """The endpoint refused a call: `method`, and the endpoint's own words."""

    def __init__(self, method: str, message: str) -> None:
        super().__init__(f"{method}: {message}")
        self.method = method


class RpcUnreachable(Exception):
    """The endpoint did not answer after all retries; check --rpc."""


class Rpc:
    """A client of one endpoint. Every answer is data to be judged; nothing here decides anything."""

    def __init__(self, url: str, timeout_seconds: float = 60.0, pause_seconds: float = 0.2) -> None:
        self._http = httpx.Client(timeout=timeout_seconds, headers={"content-type": "application/json"})
        self._url = url
        self._pause = pause_seconds
        self._ids = itertools.count(1)
        self._batches = True

    def close(self) -> None:
        """Closes the connection."""
        self._http.close()

    def call(self, method: str, *params: Any) -> Any:
        """The result of one call; raises RpcError when the endpoint refuses it."""
        answer = self._post(
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}
        )
        if not isinstance(answer, dict):
            raise RpcError(method, f"answer is not an object: {str(answer)[:120]}")
        return _result(method, answer)

    def calls(
        self,
        method: str,
        params: Sequence[Sequence[Any]],
        step: Callable[[int], None] | None = None,
        tolerate: bool = False,
    ) -> list[Any]:
        """The results of the same method for many parameter lists, in order, sent in bounded batches.

        With `tolerate`, a refused call gives its RpcError in place of a result."""
        results: list[Any] = []
        for first in range(0, len(params), BATCH):
            part = params[first : first + BATCH]
            results.extend(self._batch(method, part, tolerate))
            if step:
                step(len(part))
        return results

    def logs(
        self,
        addresses: Sequence[str],
        first_block: int,
        last_block: int,
        step: Callable[[int], None] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """All logs of `addresses` in [first_block, last_block], in chain order.

        A refused range is halved until the endpoint takes it; ranges grow again after success."""
        width = LOG_RANGE
        low = first_block
        while low <= last_block:
            high = min(low + width - 1, last_block)
            span = {"address": list(addresses), "fromBlock": hex(low), "toBlock": hex(high)}
            try:
                found = self.call("eth_getLogs", span)
            except RpcError:
                if width == 1:
                    raise
                width = max(1, width // 2)
                continue
            found.sort(key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16)))
            yield from found
            if step:
                step(high - low + 1)
            low, width = high + 1, min(LOG_RANGE, width * 2)

    def _batch(self, method: str, params: Sequence[Sequence[Any]], tolerate: bool) -> list[Any]:
        requests = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(item)}
            for item in params
        ]
        answers = self._post(requests) if self._batches and len(requests) > 1 else None
        if not isinstance(answers, list):
            self._batches = self._batches and answers is None
            answers = [self._post(request) for request in requests]
        by_id = {answer.get("id"): answer for answer in answers if isinstance(answer, dict)}
        results: list[Any] = []
        for request in requests:
            try:
                answer = by_id.get(request["id"])
                results.append(_result(method, answer if answer is not None else self._post(request)))
            except RpcError as error:
                if not tolerate:
                    raise
                results.append(error)
        return results

    def _post(self, body: Any) -> Any:
        problem = ""
        for attempt in range(RETRIES):
            if attempt:
                time.sleep(self._pause * 2**attempt)
            try:
                response = self._http.post(self._url, content=json.dumps(body))
            except httpx.HTTPError as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if response.status_code == 429 or response.status_code >= 500:
                problem = f"HTTP {response.status_code}"
                continue
            try:
                return response.json()
            except ValueError:
                problem = f"HTTP {response.status_code}, not JSON: {response.text[:120]!r}"
        raise RpcUnreachable(f"{self._url} did not answer after {RETRIES} attempts ({problem}); check --rpc")


def _result(method: str, answer: dict[str, Any]) -> Any:
    if answer.get("error") is not None:
        error = answer["error"]
        raise RpcError(method, str(error.get("message", error) if isinstance(error, dict) else error))
    if "result" not in answer:
        raise RpcError(method, "answer has neither result nor error")
    return answer["result"]
