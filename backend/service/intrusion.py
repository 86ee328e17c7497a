"""Signs of network penetration in the API's access log: who scans, guesses, probes rights, injects or floods.

Pure: log records in, alerts out. Each rule counts one kind of record per client in a sliding window, except
payloads that no honest client sends, of which one is enough. Every threshold is data, set so that a person
who mistypes and a program that polls stay below it (`bitwatt bench intrusion` measures both sides).
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

WINDOW_SECONDS = 300
SLOW_WINDOW_SECONDS = 6 * 3600
QUIET_SECONDS = 600
"""An attack that pauses longer than this is told again."""
EXAMPLES = 5
EVERYONE = "*"
_PAYLOAD = re.compile(
    r"\.\./|\.\.\\|/etc/passwd|<script|javascript:|\bunion\s+(all\s+)?select\b|\bor\s+1\s*=\s*1\b|'\s*or\s*'"
    r"|;\s*drop\s+table|\bsleep\(\d|\$\{jndi:|\{\{.*\}\}|\x00|\bexec\s+xp_|;\s*(cat|wget|curl)\s|%0d%0a|\r\n",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"/(session|sessions|nonce|token|oauth)\b")


@dataclass(frozen=True, slots=True)
class Request:
    """One line of the access log. `at` in unix seconds; `route` "-" where no route fits; `path` as sent."""

    at: float
    client: str
    method: str
    route: str
    path: str
    status: int
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of sign: which requests count, what makes two of them different, and how many are too many."""

    kind: str
    counts: Callable[[Request], bool]
    limit: int
    window_seconds: int = WINDOW_SECONDS
    distinct: Callable[[Request], str] | None = None
    everyone: bool = False
    """Counted over all clients together: an attack spread over many addresses."""


@dataclass(slots=True)
class Alert:
    """One attack of one client ("*": of many), from its first to its last counted request.

    `told` is when the rule's limit was crossed."""

    kind: str
    client: str
    start: float
    told: float
    end: float
    count: int
    examples: list[str] = field(default_factory=list)


def is_payload(request: Request) -> bool:
    """Whether the path carries what only an attack does, also when it is encoded twice."""
    once = unquote_plus(request.path)
    return any(_PAYLOAD.search(text) for text in (request.path, once, unquote_plus(once)))


def _unknown(request: Request) -> bool:
    return request.status == 404 and request.route == "-"


def _login_refused(request: Request) -> bool:
    return request.status in (400, 401, 403, 422) and bool(_LOGIN.search(request.path))


def _refused(request: Request) -> bool:
    return request.status in (401, 403) and not _LOGIN.search(request.path)


def _guessed_id(request: Request) -> bool:
    return request.status == 404 and "{" in request.route


def _malformed(request: Request) -> bool:
    return request.status in (400, 405, 413, 415, 422) and not _LOGIN.search(request.path)


RULES = (
    Rule("payload", is_payload, 1),
    Rule("scan", _unknown, 12, distinct=lambda request: request.path.split("?")[0]),
    Rule("slow scan", _unknown, 40, SLOW_WINDOW_SECONDS, lambda request: request.path.split("?")[0]),
    Rule("credential guessing", _login_refused, 10),
    Rule("slow credential guessing", _login_refused, 40, SLOW_WINDOW_SECONDS),
    Rule("credential stuffing", _login_refused, 25, 1800, lambda request: request.client, everyone=True),
    Rule("rights probing", _refused, 12, distinct=lambda request: f"{request.method} {request.route}"),
    Rule("enumeration", _guessed_id, 25, distinct=lambda request: request.path.split("?")[0]),
    Rule("malformed requests", _malformed, 40),
    Rule("flood", lambda request: request.status == 429, 60),
    Rule("provoked errors", lambda request: request.status >= 500, 10),
)


class Watch:
    """Takes requests in order of time and tells of attacks as they cross a rule's limit."""

    def __init__(self, rules: Iterable[Rule] = RULES) -> None:
        self._rules = tuple(rules)
        self._seen: dict[tuple[str, str], deque[Request]] = defaultdict(deque)
        self._running: dict[tuple[str, str], Alert] = {}

    def take(self, request: Request) -> Iterator[Alert]:
        """New attacks that this request completes; one that goes on is prolonged, not told again."""
        for rule in self._rules:
            if not rule.counts(request):
                continue
            client = EVERYONE if rule.everyone else request.client
            key = client, rule.kind
            recent = self._seen[key]
            recent.append(request)
            while recent[0].at <= request.at - rule.window_seconds:
                recent.popleft()
            running = self._running.get(key)
            if running is not None and request.at - running.end <= max(QUIET_SECONDS, rule.window_seconds):
                running.end, running.count = request.at, running.count + 1
                continue
            distinct = rule.distinct
            number = len(recent) if distinct is None else len({distinct(item) for item in recent})
            if number >= rule.limit:
                examples = [item.request_id or item.path for item in recent][-EXAMPLES:]
                alert = Alert(rule.kind, client, recent[0].at, request.at, request.at, len(recent), examples)
                self._running[key] = alert
                yield alert

    def forget(self, before: float) -> None:
        """Drops what no rule can count any more, so that a watch may run for ever."""
        for key, recent in list(self._seen.items()):
            if not recent or recent[-1].at < before - SLOW_WINDOW_SECONDS:
                del self._seen[key]
                self._running.pop(key, None)


def alerts_of(requests: Iterable[Request], rules: Iterable[Rule] = RULES) -> list[Alert]:
    """Every attack in a log, in order of its discovery."""
    watch = Watch(rules)
    return [alert for request in requests for alert in watch.take(request)]
