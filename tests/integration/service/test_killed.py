"""Processes die at any time; orders, payments and books do not. BITWATT_KILL_SECONDS makes it a campaign."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest

from tests.integration.service.killing import KilledMarket
from tests.unit.api.fixtures import _create_database

SECONDS = float(os.environ.get("BITWATT_KILL_SECONDS", "0"))


@pytest.mark.skipif(SECONDS > 0, reason="the campaign runs instead")
def test_a_day_survives_that_each_kind_of_process_is_killed(postgres: str, tmp_path: Path) -> None:
    url = _create_database(postgres, "killed", "template_bitwatt")
    market = KilledMarket(tmp_path, url_of_database=url, apis=1, workers=1)
    chance = random.Random(7)
    stop = threading.Event()
    killer = threading.Thread(target=_twice, args=(market, stop, chance))
    killer.start()
    try:
        market.day(0, orders=12)
        stop.set()
        killer.join()
        market.come_to_rest()
        market.verify()
        assert market.kills >= 2 and len(market.acknowledged) == 15 and not market.refused
    finally:
        stop.set()
        killer.join()
        market.close()


def _twice(market: KilledMarket, stop: threading.Event, chance: random.Random) -> None:
    """The API dies once an order is in, the worker once the gate has closed."""
    while len(market.acknowledged) < 5 and not stop.wait(0.02):
        pass
    market.kill_one(chance, "api")
    while not market.outbox() and not stop.wait(0.02):
        pass
    market.kill_one(chance, "worker")


@pytest.mark.skipif(SECONDS == 0, reason="make campaign-service")
@pytest.mark.timeout(SECONDS + 900)
def test_nothing_is_lost_or_done_twice_however_often_processes_die(postgres: str, tmp_path: Path) -> None:
    url = _create_database(postgres, "killed", "template_bitwatt")
    market = KilledMarket(tmp_path, url_of_database=url)
    seed = int(os.environ.get("BITWATT_KILL_SEED", str(int(time.time()))))
    stop = threading.Event()
    killer = threading.Thread(target=market.kill_now_and_then, args=(stop, random.Random(seed)))
    killer.start()
    started, days = time.monotonic(), 0
    try:
        while time.monotonic() - started < SECONDS:
            market.day(days, orders=40)
            days += 1
        stop.set()
        killer.join()
        market.come_to_rest()
        market.verify()
        print(
            f"seed {seed}: {days} days, {len(market.acknowledged)} messages, {market.kills} kills, "
            f"{len(market.outbox())} transactions; nothing lost, nothing twice"
        )
        assert days and market.kills > days
    finally:
        stop.set()
        killer.join()
        market.close()
