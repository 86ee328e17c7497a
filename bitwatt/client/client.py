"""The two clients: the same operations, run over a blocking or an asynchronous connection."""

from __future__ import annotations

import asyncio
import time
from typing import Any, TypeVar

import httpx

from bitwatt.client.methods import Methods
from bitwatt.client.protocol import MOST_ATTEMPTS, RETRIED, Answer, ApiError, Operation, Pause, Request

T = TypeVar("T")


def _silent(address: str, error: Exception) -> ApiError:
    return ApiError(503, {"detail": f"{address} does not answer: {error}"})


class Client(Methods):
    """The blocking client; use it as a context manager."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._http = httpx.Client(**self._options)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _run(self, running: Operation[T]) -> T:
        answer: Answer | None = None
        while True:
            try:
                step = running.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                answer = None
            else:
                answer = self._sent(step)

    def _sent(self, request: Request) -> Answer:
        for attempt in range(MOST_ATTEMPTS):
            answer = None
            try:
                response = self._http.request(
                    request.method, self._address(request), **self._prepared(request)
                )
                answer = self._answer(response)
            except httpx.TransportError as error:
                if attempt == MOST_ATTEMPTS - 1:
                    raise _silent(self._address(request), error) from error
            if answer is not None and (answer.status not in RETRIED or attempt == MOST_ATTEMPTS - 1):
                return answer
            time.sleep(self._pause_before(attempt, answer))
        raise AssertionError("unreachable")


class AsyncClient(Methods):
    """The asynchronous client; use it as an asynchronous context manager."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._http = httpx.AsyncClient(**self._options)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def _run(self, running: Operation[T]) -> T:
        answer: Answer | None = None
        while True:
            try:
                step = running.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                answer = None
            else:
                answer = await self._sent(step)

    async def _sent(self, request: Request) -> Answer:
        for attempt in range(MOST_ATTEMPTS):
            answer = None
            try:
                response = await self._http.request(
                    request.method, self._address(request), **self._prepared(request)
                )
                answer = self._answer(response)
            except httpx.TransportError as error:
                if attempt == MOST_ATTEMPTS - 1:
                    raise _silent(self._address(request), error) from error
            if answer is not None and (answer.status not in RETRIED or attempt == MOST_ATTEMPTS - 1):
                return answer
            await asyncio.sleep(self._pause_before(attempt, answer))
        raise AssertionError("unreachable")


__all__ = ["AsyncClient", "Client"]
