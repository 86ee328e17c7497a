"""The running service sells a kW once: bundle market and flexibility at the same site, at the same time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sqlmodel import col, select

from backend.service.errors import Conflict
from backend.service.vpp import ledger
from backend.store.chain import Agreement
from backend.store.engine import Store
from backend.store.flex import FlexReservation, FlexResource, FlexRoom
from tests.integration.service.own_market import SITE, SLOT, SLOTS, START, WH, OwnMarket
from tests.integration.vpp.test_ledger import held, resource, used

OFFERED_W = 40 * WH * 3600 // SLOT


@pytest.fixture
def market(store: Store, tmp_path: Path) -> Iterator[OwnMarket]:
    made = OwnMarket(tmp_path)
    made.serve(store)
    yield made
    made.gates.close()
    made.context.close()
    os.kill(made.pid, signal.SIGKILL)
    os.waitpid(made.pid, 0)


def until_ended(market: OwnMarket, seconds: float = 240, quiet: threading.Event | None = None) -> str:
    """Steps the market to the gate's end; `quiet` is set while the engine computes in its own process."""
    deadline = time.monotonic() + seconds
    while (gate := market.gate()) is None or gate.state not in ("finalised", "empty", "failed"):
        assert time.monotonic() < deadline, gate
        market.step()
        if quiet is not None and gate is not None:
            (quiet.set if gate.state == "sealed" else quiet.clear)()
        time.sleep(0.02)
    return gate.state


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
def test_what_the_bundle_market_sells_is_not_sold_as_flexibility(market: OwnMarket, store: Store) -> None:
    """Traders bid for the site's room while its gate closes, clears and posts; no slot is ever oversold."""
    row = resource(store, OFFERED_W + 4_000, certified_w=OFFERED_W + 4_000, site_id=SITE)
    market.trade(orders=4)
    stop, quiet = threading.Event(), threading.Event()
    won: list[int] = []

    def trader(seed: int) -> None:
        rng = np.random.default_rng(seed)
        number = 0
        while not stop.is_set():
            if quiet.is_set():  # nothing of the ledger moves, and the engine needs a processor
                time.sleep(0.05)
                continue
            begin = START + SLOT * int(rng.integers(0, SLOTS))
            number += 1
            try:
                with store.writing() as session:
                    ledger.reserve_flexibility(
                        session, row, ledger.SPOT, f"{seed}/{number}", begin, begin + SLOT, 1_000, START
                    )
                won.append(1)
            except Conflict:
                pass
            if rng.random() < 0.5:
                with store.writing() as session:
                    ledger.release(session, ledger.SPOT, f"{seed}/{int(rng.integers(1, number + 1))}")

    market.clock.advance_to(START - 3600)
    market.step()  # the gate closes and holds what the site offered
    with ThreadPoolExecutor(4) as pool:
        traders = [pool.submit(trader, seed) for seed in range(4)]
        try:
            state = until_ended(market, quiet=quiet)
        finally:
            stop.set()
        for one in traders:
            one.result()
    assert state == "finalised" and won
    with store.reading() as session:
        sold = session.exec(select(Agreement).where(Agreement.site_id == SITE)).all()
        rows = session.exec(
            select(FlexReservation).where(
                col(FlexReservation.released_at).is_(None), FlexReservation.market == ledger.BUNDLE
            )
        ).all()
        rooms = session.exec(select(FlexRoom)).all()
    assert sold and {r.reference.split("/")[0] for r in rows} == {"1"}  # the gate's holds are gone
    bundle = {START + n * SLOT: 0 for n in range(SLOTS)}
    for agreement in sold:
        for n in range(agreement.start_slot, agreement.end_slot):
            bundle[START + n * SLOT] += agreement.lanes * WH * 3600 // SLOT
    live = held(store, row)
    assert used(store, row) == {slot: live.get(slot, 0) for slot in used(store, row)}
    assert all(live[slot] >= watts for slot, watts in bundle.items() if watts)
    assert max(room.used_w for room in rooms) <= row.nameplate_w


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
def test_a_site_whose_power_is_sold_as_flexibility_stays_out_of_the_batch(
    market: OwnMarket, store: Store
) -> None:
    row: FlexResource = resource(store, OFFERED_W, certified_w=OFFERED_W, site_id=SITE)
    with store.writing() as session:
        ledger.reserve_flexibility(session, row, ledger.SPOT, "bid", START, START + SLOT, 1_000, START)
    market.trade(orders=2)
    market.clock.advance_to(START - 3600)
    assert until_ended(market) == "empty"
    assert set(held(store, row).values()) == {1_000}
