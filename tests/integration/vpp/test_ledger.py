"""One kW is sold once: under concurrent load, on both databases, whatever the order."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from backend.service.errors import Conflict, Invalid
from backend.service.vpp import ledger
from backend.store.chain import Agreement, Batch
from backend.store.engine import Store
from backend.store.flex import FlexCertificate, FlexReservation, FlexResource, FlexRoom
from backend.store.identity import Organisation
from backend.store.types import new_id

START, HOUR = 1_700_000_100 - 1_700_000_100 % 900, 3600


def resource(
    store: Store, nameplate_w: int, certified_w: int | None = None, site_id: int | None = None
) -> FlexResource:
    with store.writing() as session:
        org = Organisation(name="dc", created_at=0)
        session.add(org)
        session.flush()
        row = FlexResource(
            organisation_id=org.id, name="site", kind="compute_site", metering_point=new_id(), zone_id=0,
            node="n", nameplate_w=nameplate_w, created_at=0, site_id=site_id,
        )  # fmt: skip
        session.add(row)
        session.flush()
        if certified_w is not None:
            session.add(
                FlexCertificate(
                    resource_id=row.id, metrics={"adjustable_w": certified_w}, method="F7", version="1",
                    inputs_hash="0x" + "11" * 32, issued_at=0, expires_at=2**40,
                )
            )  # fmt: skip
        return row


def used(store: Store, row: FlexResource) -> dict[int, int]:
    with store.reading() as session:
        rows = session.exec(select(FlexRoom).where(FlexRoom.resource_id == row.id)).all()
    return {room.slot_start: room.used_w for room in rows}


def held(store: Store, row: FlexResource) -> dict[int, int]:
    """What the reservations add up to, slot by slot."""
    out: dict[int, int] = {}
    with store.reading() as session:
        for r in session.exec(select(FlexReservation).where(FlexReservation.resource_id == row.id)):
            if r.released_at is None:
                for slot in range(r.start, r.end, 900):
                    out[slot] = out.get(slot, 0) + r.watts
    return out


def test_bundle_capacity_cannot_be_sold_again_as_flexibility(store: Store) -> None:
    row = resource(store, 1000, certified_w=1000)
    with store.writing() as session:
        ledger.reserve(session, row, ledger.BUNDLE, "order", START, START + HOUR, 700)
    with pytest.raises(Conflict, match="300 W left"), store.writing() as session:
        ledger.reserve_flexibility(session, row, ledger.SPOT, "bid", START + 900, START + 1800, 301, START)
    with store.writing() as session:
        ledger.reserve_flexibility(session, row, ledger.SPOT, "bid", START + 900, START + 1800, 300, START)
    assert used(store, row) == held(store, row)


def test_a_conflict_takes_nothing(store: Store) -> None:
    row = resource(store, 1000)
    with store.writing() as session:
        ledger.reserve(session, row, ledger.BUNDLE, "a", START + 2700, START + HOUR, 900)
    with pytest.raises(Conflict), store.writing() as session:
        ledger.reserve(session, row, ledger.SPOT, "b", START, START + HOUR, 200)
    assert sum(used(store, row).values()) == 900


def test_again_is_the_same_and_release_gives_back_once(store: Store) -> None:
    row = resource(store, 1000)
    for _ in range(2):
        with store.writing() as session:
            ledger.reserve(session, row, ledger.SPOT, "a", START, START + HOUR, 600)
    assert max(used(store, row).values()) == 600
    with pytest.raises(Conflict), store.writing() as session:
        ledger.reserve(session, row, ledger.SPOT, "a", START, START + HOUR, 601)
    for _ in range(2):
        with store.writing() as session:
            ledger.release(session, ledger.SPOT, "a")
    assert max(used(store, row).values()) == 0


def test_flexibility_stays_inside_its_certificate(store: Store) -> None:
    row = resource(store, 1000, certified_w=400)
    with store.writing() as session:
        ledger.reserve_flexibility(session, row, ledger.ANCILLARY, "r", START, START + HOUR, 300, START)
    with pytest.raises(Conflict, match="100 W"), store.writing() as session:
        ledger.reserve_flexibility(session, row, ledger.SPOT, "s", START, START + 900, 101, START)
    bare = resource(store, 1000)
    with pytest.raises(Invalid, match="no capability certificate"), store.writing() as session:
        ledger.reserve_flexibility(session, bare, ledger.SPOT, "s", START, START + 900, 1, START)


def test_what_a_batch_sold_goes_on_the_ledger_once(store: Store) -> None:
    row = resource(store, 10_000, certified_w=10_000, site_id=7)
    with store.writing() as session:
        session.add(
            Batch(
                batch_id=3, solver="0x" + "01" * 20, start=START, slot_seconds=900, slots=96, zones=1,
                classes=1,
                publication_hash="0x" + "00" * 32, book_hash="0x" + "00" * 32,
                solution_hash="0x" + "00" * 32,
                welfare_micro=0, dual_bound_micro=0, opened_at=0, block_number=1,
            )
        )  # fmt: skip
        session.add(
            Agreement(
                batch_id=3, chunk_index=0, run_index=0, order_index=0, order_hash="0x" + "02" * 32,
                maker="0x" + "03" * 20, offer_index=0, seller="0x" + "04" * 20, site_id=7, class_id=0,
                zone_id=0, mode=0, start_slot=4, end_slot=8, lanes=16,
                energy_wh_per_vcu_slot=110, block_number=1,
            )
        )  # fmt: skip
    for _ in range(2):
        with store.writing() as session:
            assert ledger.reserve_agreements(session, 3) == 1
    assert set(used(store, row).values()) == {16 * 440}
    with pytest.raises(Conflict), store.writing() as session:
        ledger.reserve_flexibility(
            session, row, ledger.SPOT, "x", START + 4 * 900, START + 5 * 900, 4000, START
        )


@given(st.data())
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_concurrent_bids_never_oversell(store: Store, data: st.DataObject) -> None:
    """Many threads reserve and release at once in all three markets; the ledger is never over capacity."""
    capacity, certified = 1000, 600
    row = resource(store, capacity, certified_w=certified)
    seeds = data.draw(st.lists(st.integers(0, 2**31), min_size=6, max_size=6, unique=True))
    gate = threading.Barrier(len(seeds))

    def trader(seed: int) -> tuple[int, int]:
        rng = np.random.default_rng(seed)
        gate.wait()
        won = lost = 0
        for n in range(12):
            market = [ledger.BUNDLE, ledger.SPOT, ledger.ANCILLARY][rng.integers(3)]
            begin = START + 900 * int(rng.integers(0, 4))
            end = begin + 900 * int(rng.integers(1, 4))
            watts, reference = int(rng.integers(100, 500)), f"{seed}-{n}-{row.id}"
            try:
                with store.writing() as session:
                    if market == ledger.BUNDLE:
                        ledger.reserve(session, row, market, reference, begin, end, watts)
                    else:
                        ledger.reserve_flexibility(session, row, market, reference, begin, end, watts, START)
                won += 1
                if rng.random() < 0.4:
                    with store.writing() as session:
                        ledger.release(session, market, reference)
            except Conflict:
                lost += 1
        return won, lost

    with ThreadPoolExecutor(len(seeds)) as pool:
        outcomes = list(pool.map(trader, seeds))
    assert sum(won for won, _ in outcomes) > 0
    rooms, reservations = used(store, row), held(store, row)
    assert all(0 <= w <= capacity for w in rooms.values())
    assert {slot: w for slot, w in rooms.items() if w} == reservations
    with store.reading() as session:
        flexible: dict[int, int] = {}
        for r in session.exec(select(FlexReservation).where(FlexReservation.resource_id == row.id)):
            if r.released_at is None and r.market != ledger.BUNDLE:
                for slot in range(r.start, r.end, 900):
                    flexible[slot] = flexible.get(slot, 0) + r.watts
    assert all(w <= certified for w in flexible.values())
