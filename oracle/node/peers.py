"""Messages between committee members: deterministic CBOR over HTTP, answered with a word and a payload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from oracle.http_client import http_client
from oracle.node.consensus import Lock
from oracle.wire import cbor
from oracle.wire.errors import WireError

MAX_ANSWER_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Proposal:
    """A leader's proposal for an epoch: the bundle, its signature, and the lock that justifies it, if any."""

    epoch: int
    round_number: int
    bundle: bytes
    signature: bytes
    justification: Lock | None = None

    def encode(self) -> bytes:
        """Deterministic CBOR."""
        lock = self.justification
        return cbor.encode(
            {
                0: self.epoch,
                1: self.round_number,
                2: self.bundle,
                3: self.signature,
                4: [lock.round_number, lock.report, lock.certificate] if lock else [],
            }
        )


@dataclass(frozen=True, slots=True)
class Certified:
    """A report digest with a certificate: the body of the lock and sign messages."""

    epoch: int
    round_number: int
    report: bytes
    certificate: bytes

    def encode(self) -> bytes:
        """Deterministic CBOR."""
        return cbor.encode({0: self.epoch, 1: self.round_number, 2: self.report, 3: self.certificate})


@dataclass(frozen=True, slots=True)
class Answer:
    """`word`: vote (signature), missing (envelopes), lock (lock and bundle), none, refused (reason)."""

    word: str
    payload: bytes = b""

    def encode(self) -> bytes:
        """Deterministic CBOR."""
        return cbor.encode([self.word, self.payload])


def decode_proposal(data: bytes) -> Proposal:
    """Raises WireError."""
    match cbor.decode(data):
        case {0: int(epoch), 1: int(number), 2: bytes(bundle), 3: bytes(signature), 4: list(lock)}:
            return Proposal(epoch, number, bundle, signature, _lock(lock) if lock else None)
    raise WireError("proposal", "has not the shape of one")


def decode_certified(data: bytes) -> Certified:
    """Raises WireError."""
    match cbor.decode(data):
        case {0: int(epoch), 1: int(number), 2: bytes(report), 3: bytes(certificate)} if len(report) == 32:
            return Certified(epoch, number, report, certificate)
    raise WireError("certificate", "has not the shape of one")


def decode_answer(data: bytes) -> Answer:
    """Raises WireError."""
    match cbor.decode(data):
        case [str(word), bytes(payload)]:
            return Answer(word, payload)
    raise WireError("answer", "has not the shape of one")


def encode_lock(lock: Lock, bundle: bytes) -> bytes:
    """The payload of a lock answer."""
    return cbor.encode([lock.round_number, lock.report, lock.certificate, bundle])


def decode_lock_answer(data: bytes) -> tuple[Lock, bytes]:
    """The lock and the bundle in a lock answer; raises WireError."""
    match cbor.decode(data):
        case [*head, bytes(bundle)]:
            return _lock(head), bundle
    raise WireError("lock", "has not the shape of one")


def _lock(value: Sequence[cbor.Value]) -> Lock:
    match value:
        case [int(number), bytes(report), bytes(certificate)] if len(report) == 32:
            return Lock(number, report, certificate)
    raise WireError("lock", "has not the shape of one")


class Peers:
    """The other members' nodes."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = tuple(urls)
        self._client = http_client(limits=httpx.Limits(max_keepalive_connections=32))
        self._errands: set[asyncio.Task[None]] = set()  # the event loop itself keeps weak references only

    async def close(self) -> None:
        """Drops errands that still run, and closes the connections."""
        for errand in tuple(self._errands):
            errand.cancel()
        await self._client.aclose()

    def run(self, errand: Coroutine[Any, Any, None]) -> None:
        """Runs what nobody waits for."""
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def tell_all(self, path: str, body: bytes, seconds: float) -> None:
        """Asks every node and does not care for the answers."""
        async for _ in self.ask_all(path, body, seconds):
            pass

    async def ask_all(self, path: str, body: bytes, seconds: float) -> AsyncIterator[tuple[str, Answer]]:
        """(url, answer) of the nodes that answer in time, as they come; the caller may stop listening."""
        tasks = [asyncio.create_task(self._ask(url, path, body, seconds)) for url in self.urls]
        try:
            for task in asyncio.as_completed(tasks):
                url, answer = await task
                if answer is not None:
                    yield url, answer
        finally:
            for pending in tasks:
                pending.cancel()

    async def _ask(self, url: str, path: str, body: bytes, seconds: float) -> tuple[str, Answer | None]:
        try:
            response = await self._client.post(url + path, content=body, timeout=seconds)
            if response.status_code != 200 or len(response.content) > MAX_ANSWER_BYTES:
                return url, None
            return url, decode_answer(response.content)
        except (httpx.HTTPError, WireError):
            return url, None

    async def fetch(self, path: str, seconds: float) -> AsyncIterator[bytes]:
        """The bodies of those nodes that have something at `path`, one after the other."""
        for url in self.urls:
            try:
                response = await self._client.get(url + path, timeout=seconds)
            except httpx.HTTPError:
                continue
            if response.status_code == 200:
                yield response.content
