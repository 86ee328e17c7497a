"""Signs of penetration: what crosses a limit is told once, what honest clients do is not."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from typer.testing import CliRunner

from backend.api.intrusion_cli import app, parse
from backend.api.logs import configure
from backend.api.middleware import Surround
from backend.service.intrusion import RULES, Request, alerts_of, is_payload
from backend.service.intrusion_trials import ATTACKS, PAYLOADS, measure
from oracle.false_data import FAULTS, Plant, caught
from oracle.wire.screen import Metered

LIMITS = {rule.kind: rule.limit for rule in RULES}


def guesses(count: int, pause: float = 1.0) -> list[Request]:
    return [Request(n * pause, "a", "POST", "/session", "/api/v1/session", 401) for n in range(count)]


def test_a_limit_is_crossed_once_and_an_attack_that_goes_on_is_one_alert() -> None:
    limit = LIMITS["credential guessing"]
    assert alerts_of(guesses(limit - 1)) == []
    alerts = [alert for alert in alerts_of(guesses(3 * limit)) if alert.kind == "credential guessing"]
    assert [(alert.client, alert.count) for alert in alerts] == [("a", 3 * limit)]
    assert alerts[0].told == limit - 1 and alerts[0].end == 3 * limit - 1


def test_what_is_slower_than_the_window_does_not_add_up() -> None:
    assert all(alert.kind != "credential guessing" for alert in alerts_of(guesses(100, 301)))


def test_clients_are_counted_apart() -> None:
    requests = [
        Request(n, f"client-{n % 20}", "GET", "-", f"/x{n}", 404) for n in range(20 * (LIMITS["scan"] - 1))
    ]
    assert alerts_of(requests) == []


def test_the_same_missing_address_again_and_again_is_no_scan() -> None:
    assert alerts_of([Request(n, "a", "GET", "-", "/favicon.ico", 404) for n in range(200)]) == []


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payloads_are_known_when_encoded_too(payload: str) -> None:
    assert is_payload(Request(0, "a", "GET", "/x", "/x" + payload, 422))


@pytest.mark.parametrize(
    "path", ["/guide/", "/api/v1/orders?cursor=eyJhIjoxfQ==", "/api/v1/market?zone=1&slot=4"]
)
def test_honest_paths_are_no_payloads(path: str) -> None:
    assert not is_payload(Request(0, "a", "GET", path, path, 400))


def test_all_but_the_slowest_attack_are_noticed_and_honest_days_nearly_silent() -> None:
    found = measure(days=1, trials=1, seed=3)
    missed = {row["attack"] for row in found["rows"] if row["caught"] < row["trials"]}  # type: ignore[attr-defined]
    assert missed <= {"passwords, half an hour apart"} and len(ATTACKS) == 12
    assert found["figures"]["false_alarms_per_client_day"] <= 0.05  # type: ignore[index]


def test_the_command_finds_an_attack_in_what_the_service_really_logged(tmp_path: Path) -> None:
    async def hello(request: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    path = tmp_path / "access.log"
    configure("INFO", as_json=True)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.getLogger().handlers[0].formatter)
    logging.getLogger("bitwatt.access").addHandler(handler)
    try:
        transport = httpx.ASGITransport(
            Surround(Starlette(routes=[Route("/", hello)])), client=("10.0.0.9", 1)
        )

        async def attack() -> None:
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                for number in range(LIMITS["scan"]):
                    await client.get(f"/admin/{number}?a=..%2f..%2fetc%2fpasswd")
                await client.get("/?secret=1")

        anyio.run(attack)
    finally:
        logging.getLogger("bitwatt.access").removeHandler(handler)
        handler.close()
    assert "secret" not in path.read_text(), "queries of what was answered stay out of the log"
    done = CliRunner().invoke(app, [str(path), "--json"])
    told = json.loads(done.stdout)
    assert done.exit_code == 1 and told["requests"] == LIMITS["scan"] + 1
    assert {(alert["client"], alert["kind"]) for alert in told["alerts"]} == {
        ("10.0.0.9", "payload"),
        ("10.0.0.9", "scan"),
    }


def test_lines_that_are_no_access_records_are_passed_over() -> None:
    for line in ("", "x", "{}", "[1]", '{"logger": "bitwatt.access", "at": "never"}', '{"logger": "other"}'):
        assert parse(line) is None


def test_false_data_that_screening_is_for_is_noticed() -> None:
    chance = random.Random(1)
    nights = [max(0.0, 1 - ((slot % 96 - 48) / 24) ** 2) for slot in range(8 * 96)]
    rows = [tuple(int(h * chance.uniform(0.5, 0.8) * 250_000_000) for h in nights) for _ in range(2)]
    plants = [Plant(f"p{n}", Metered(1_000_000, 1), 900, row) for n, row in enumerate(rows)]
    for name in ("stuck value", "sentinel", "replayed day", "copied plant"):
        hits = [caught(plants[0], plants[1], FAULTS[name], random.Random(n)) for n in range(5)]
        assert sum(map(bool, hits)) >= 4, name
