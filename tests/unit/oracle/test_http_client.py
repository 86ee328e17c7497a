"""A node or agent outlives whatever its counterparts' connections do."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from oracle.agents.transport import HttpTransport
from oracle.node.peers import Answer, Peers


def test_a_peer_that_dies_while_it_is_called_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        raise AttributeError("'NoneType' object has no attribute 'getpeername'")

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", broken)

    async def ask() -> tuple[list[tuple[str, Answer]], list[bytes], object]:
        peers, agent = Peers(["http://127.0.0.1:9"]), HttpTransport("http://127.0.0.1:9")
        answers = [item async for item in peers.ask_all("/peer/news", b"", 1.0)]
        bodies = [body async for body in peers.fetch("/archive", 1.0)]
        taken = await agent.post(b"")
        await peers.close()
        await agent.close()
        return answers, bodies, taken

    assert asyncio.run(ask()) == ([], [], None)
