"""Signing a day, screening it, and cutting its clearing into chunks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_day import SLOTS, START, small_day

from backend.chain.eip712 import Domain, order_digest, recover, sign_order
from backend.chain.errors import WrongChain
from backend.chain.packing import pack_profile, unpack_runs
from backend.chain.screen import BatchTerms, screen
from backend.day.book import to_book
from backend.day.keys import Keyring
from backend.day.stages import chunks
from backend.day.stages.signing import SignedDay, screen_day, sign_day, without_refused
from backend.market.clearing import clear
from backend.market.domain import Run
from backend.market.runs import runs_of_fills

DOMAIN = Domain(31337, "0x" + "22" * 20)
TERMS = BatchTerms(START, 900, SLOTS, 1, 1, START - 1)


@pytest.fixture(scope="module")
def signed() -> SignedDay:
    return sign_day(small_day(), Keyring(0, 31337), DOMAIN, START)


def test_every_signature_is_the_makers_and_ids_are_digests(signed: SignedDay) -> None:
    for part in (signed.orders, signed.compute_offers, signed.power_offers):
        for key, item in part.items():
            digest = order_digest(item.order, DOMAIN)
            assert key == item.id == "0x" + digest.hex()
            assert recover(digest, item.signature) == item.order.maker
    assert len(signed.ids()) == 24 + 2 + 4
    pairs = [(item.order.maker, item.order.nonce) for item in signed.orders.values()]
    assert len(set(pairs)) == len(pairs)


def test_profiles_are_what_the_offers_commit_to(signed: SignedDay) -> None:
    import numpy as np

    from backend.chain.keccak import keccak

    day = small_day()
    for offer in day.power_offers:
        key = signed.ids()[offer.offer_id]
        profile = pack_profile(np.array(offer.wh), np.array(offer.ask_micro_per_kwh))
        assert signed.profiles[key] == profile
        assert signed.power_offers[key].order.profile_hash == keccak(profile)


def test_screening_names_field_and_mend_and_the_rest_goes_on(signed: SignedDay) -> None:
    keyring = Keyring(0, 31337)
    tenant = {keyring[job.tenant].address: job.tenant for job in small_day().jobs}
    ids = list(signed.orders)
    bad = dict(signed.orders)
    changes = {
        "deadline": {"deadline": START - 900},
        "classId": {"class_id": 7},
        "zoneMask": {"zone_mask": 2},
        "durationSlots": {"duration_slots": 9},
        "expiry": {"expiry": 5},
        "minGreenBps": {"min_green_bps": 10_001},
    }
    for key, change in zip(ids, changes.values(), strict=False):
        order = replace(bad[key].order, **change)
        signature = sign_order(order, DOMAIN, keyring[tenant[order.maker]].key)
        bad[key] = replace(bad[key], order=order, signature=signature)
    elsewhere = bad[ids[6]]
    other_chain = Domain(1, DOMAIN.verifying_contract)
    bad[ids[6]] = replace(
        elsewhere,
        signature=sign_order(elsewhere.order, other_chain, keyring[tenant[elsewhere.order.maker]].key),
    )
    screened = screen_day(replace(signed, orders=bad), DOMAIN, TERMS)
    assert [problem.field for problem in screened.refused] == [*changes, "signature"]
    assert "chain 31337" in screened.refused[-1].mend and "sign the order again" in screened.refused[-1].mend
    assert len(screened.orders) == 24 - 7
    left = without_refused(small_day(), screened)
    assert len(left.jobs) == 17 and len(left.compute_offers) == 2


def test_a_good_order_passes(signed: SignedDay) -> None:
    for part in (signed.orders, signed.compute_offers, signed.power_offers):
        assert all(screen(item.order, item.signature, DOMAIN, TERMS) is None for item in part.values())


def test_development_keys_are_refused_elsewhere() -> None:
    with pytest.raises(WrongChain, match="development keys"):
        Keyring(0, 1)


@pytest.mark.parametrize(("orders", "limit"), [(24, 80), (24, 5), (24, 1)])
def test_chunks_hold_every_run_once_in_the_markets_order(
    signed: SignedDay, monkeypatch: pytest.MonkeyPatch, orders: int, limit: int
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ORDERS", limit)
    book = to_book(small_day(orders), signed.ids())
    runs = runs_of_fills(clear(book).fills)
    cut = chunks.make_chunks(book, runs, signed.orders)
    found = []
    for number, chunk in enumerate(cut):
        assert chunk.index == number and len(chunk.orders) <= limit
        assert unpack_runs(chunk.data.runs) == list(chunk.runs)
        keys = [(row[0], book.compute_offers[row[1]].zone_id) for row in chunk.runs]
        assert keys == sorted(keys) and {row[0] for row in chunk.runs} == set(range(len(chunk.orders)))
        rows = {str(identity): row for row, identity in enumerate(book.orders.id)}
        found += [Run(rows[chunk.orders[row[0]].id], *row[1:]) for row in chunk.runs]
        for slot in chunk.active_slots:
            assert chunk.active_runs(slot)
    key = lambda run: (run.order, run.offer, run.mode, run.start_slot, run.end_slot, run.lanes)  # noqa: E731
    assert sorted(found, key=key) == sorted(runs, key=key)
