"""What the blocking and the asynchronous client share: requests, answers, retries; no connection here."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
RETRIED = frozenset({429, 502, 503, 504})
MOST_ATTEMPTS = 5


class ApiError(Exception):
    """A problem that the service answered (RFC 9457): `status`, `field`, `mend`, and the whole body."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.field: str | None = problem.get("field")
        self.mend: str | None = problem.get("mend")
        where = f"{self.field}: " if self.field else ""
        mend = f" ({self.mend})" if self.mend else ""
        super().__init__(f"{where}{problem.get('detail') or problem.get('title') or status}{mend}")


class SignatureRefused(Exception):
    """The service asked for a signature under something else than was asked for; nothing was signed."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `path` below the service's API, or a whole URL of a node (`rpc`)."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    rpc: bool = False
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def headers(self) -> dict[str, str]:
        """Headers that make a repeat harmless."""
        return {"Idempotency-Key": self.key} if self.method == "POST" and not self.rpc else {}

    def query(self) -> dict[str, Any]:
        """Parameters that are given."""
        return {name: value for name, value in self.params.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    retry_after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before going on."""

    seconds: float


Operation = Generator[Request | Pause, Any, T]
"""Yields what is to be sent (an `Answer` is sent back) or a pause, and returns the result."""


def get(path: str, **params: Any) -> Operation[Any]:
    """The body of a GET."""
    return (yield from call(Request("GET", path, params)))


def post(path: str, body: Any = None) -> Operation[Any]:
    """The body of a POST; a repeat after a lost answer is harmless."""
    return (yield from call(Request("POST", path, body=body)))


def call(request: Request) -> Operation[Any]:
    """The body of an answer; ApiError when it is a problem."""
    answer: Answer = yield request
    if answer.status >= 400:
        body = answer.body if isinstance(answer.body, dict) else {"detail": str(answer.body)[:200]}
        raise ApiError(answer.status, body)
    return answer.body


def pages(path: str, **params: Any) -> Operation[list[Any]]:
    """All items of a listing, page by page."""
    items: list[Any] = []
    cursor = None
    while True:
        page = yield from get(path, cursor=cursor, limit=500, **params)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


def rpc(url: str, method: str, *params: Any) -> Operation[Any]:
    """A node's answer; ApiError with its message otherwise."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    answer: Answer = yield Request("POST", url, body=body, rpc=True)
    found = answer.body
    if not isinstance(found, dict) or "error" in found:
        detail = (
            found.get("error", {}).get("message", "no answer") if isinstance(found, dict) else "no answer"
        )
        raise ApiError(502, {"detail": f"the node refused {method}: {detail}"})
    return found.get("result")
