"""What a node accepts, sets aside and refuses: a named outcome for every kind of bad reading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oracle.node.expect import asset_stream, build_bundle, expected, fitting
from oracle.node.facts import Facts
from oracle.node.ledger import Ledger
from oracle.node.store import Store, StoreFull
from oracle.wire.keys import DeviceKey
from oracle.wire.outcomes import Outcome, unpack_outcomes
from oracle.wire.reading import Envelope, Reading
from tests.unit.oracle.oracle_facts import (
    CHAIN,
    END,
    EXPIRED,
    JOB,
    KEYS,
    LATER_JOB,
    OTHER_SITE,
    PLANT_METER,
    SITE_METER,
    SLOT,
    START,
    WORKLOAD,
    device,
    facts,
    reading,
    signed,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "node.sqlite")
    yield made
    made.close()


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store, facts(), CHAIN)


def problem(
    ledger: Ledger, item: Reading | Envelope, now: int = END, key: DeviceKey | None = None
) -> tuple[str, bool]:
    envelope = item if isinstance(item, Envelope) else signed(item, key)
    receipt = ledger.take([envelope], now)
    assert receipt.accepted == 0 and len(receipt.refused) == 1
    return receipt.refused[0][1].field, receipt.refused[0][1].retry


def accept(ledger: Ledger, *items: Reading, now: int = END) -> None:
    receipt = ledger.take([signed(item) for item in items], now)
    assert receipt.accepted == len(items), receipt.refused


def job(kind: int = 3, seq: int = 0, agreement: bytes = JOB, slot: int = 0, **changes: int) -> Reading:
    quantity = changes.pop("quantity", 180_000)
    return reading(WORKLOAD, kind, slot, quantity, register=quantity, seq=seq, agreement=agreement, **changes)


REFUSED = {
    "wrong chain": (reading(chain_id=1), "reading.chain_id", False),
    "unknown meter": (None, "reading.meter_id", True),
    "early": (reading(slot=3), "reading.end", True),
    "expired key": (reading(EXPIRED, 2), "device.attested_until", False),
    "kind of another device": (reading(kind=7), "reading.kind", False),
    "kind of another role": (reading(SITE_METER, 3, agreement=JOB), "reading.kind", False),
    "above nameplate": (reading(quantity=262_501, register=262_501), "reading.quantity", False),
    "wrong unit (Wh as uWh)": (reading(quantity=10**8, register=10**8), "reading.quantity", False),
    "a plant with an agreement": (reading(agreement=JOB), "reading.agreement_id", False),
    "a job without one": (job(agreement=bytes(32)), "reading.agreement_id", True),
    "a job of no batch": (job(agreement=(2 << 64).to_bytes(32, "big")), "reading.agreement_id", True),
    "a job of no run": (job(agreement=(1 << 64 | 7).to_bytes(32, "big")), "reading.agreement_id", False),
    "a job outside its run": (job(agreement=LATER_JOB), "reading.start", False),
    "a job over two slots": (job(end=START + 2 * SLOT), "reading.start", False),
    "a number beyond 2**63": (reading(quantity=1, register=1 << 63), "reading", False),
}


@pytest.mark.parametrize("name", REFUSED)
def test_named_refusals(ledger: Ledger, name: str) -> None:
    item, field, retry = REFUSED[name]
    now = START + SLOT
    if item is None:
        stranger = reading()._replace(meter_id=99)
        outcome = problem(ledger, stranger, now, DeviceKey.from_seed(b"stranger"))
    else:
        outcome = problem(ledger, item, END if item.end > now and name != "early" else now)
    assert outcome == (field, retry)
    assert ledger.counts() == {"accepted": 0, "unreported": 0, "quarantined": 0 if retry else 1}


def test_the_nameplate_has_five_percent_of_tolerance(ledger: Ledger) -> None:
    accept(ledger, reading(quantity=262_500, register=262_500))


def test_a_job_of_another_site(ledger: Ledger, store: Store) -> None:
    known = facts()
    device(known, WORKLOAD, 1, OTHER_SITE)
    assert problem(Ledger(store, known, CHAIN), job()) == ("reading.agreement_id", False)


def test_a_batch_that_is_not_final_is_not_delivered(store: Store) -> None:
    assert problem(Ledger(store, facts(finalised=False), CHAIN), job()) == ("reading.agreement_id", True)
    assert expected(facts(finalised=False), START, START + SLOT) == set()


def test_signatures(ledger: Ledger, store: Store) -> None:
    good = signed(reading())
    broken = good._replace(signature=bytes(64))
    assert problem(ledger, broken) == ("envelope.signature", False)
    assert problem(ledger, signed(reading(), KEYS[SITE_METER])) == ("envelope.signature", False)
    assert problem(ledger, Envelope(good.payload[:-1], good.signature))[1] is False
    assert ledger.counts()["accepted"] == 0
    assert [field for _, field, _ in store.quarantined()].count("envelope.signature") >= 1


def test_a_bad_one_does_not_spoil_its_neighbours(ledger: Ledger) -> None:
    bad = Envelope(b"rubbish", bytes(64))
    receipt = ledger.take([signed(reading()), bad, signed(reading(slot=1))], END)
    assert receipt.accepted == 2 and [index for index, _ in receipt.refused] == [1]


def test_duplicates_are_harmless_before_and_after_the_report(ledger: Ledger) -> None:
    accept(ledger, reading())
    assert ledger.take([signed(reading())], END).duplicates == 1
    ledger.book(0, [(PLANT_METER, 0)])
    assert ledger.take([signed(reading())], END).duplicates == 1
    assert ledger.counts() == {"accepted": 1, "unreported": 0, "quarantined": 0}


def test_register_continuity(ledger: Ledger) -> None:
    accept(ledger, reading())
    assert problem(ledger, reading(slot=1, register=199_999)) == ("reading.register", False)
    assert problem(ledger, reading(slot=1, register=200_001)) == ("reading.register", False)
    accept(ledger, reading(slot=1))


def test_overlap_and_stuck_clock(ledger: Ledger) -> None:
    accept(ledger, reading())
    assert problem(ledger, reading(seq=1, register=200_000)) == ("reading.start", False)
    half = reading(seq=1, register=200_000, start=START + SLOT // 2)
    assert problem(ledger, half) == ("reading.start", False)


def test_out_of_order_and_gap(ledger: Ledger) -> None:
    accept(ledger, reading(), reading(slot=2))
    assert ledger.counters["gaps"] == 1
    # the missing one must fit between its neighbours
    assert problem(ledger, reading(slot=1, quantity=100_001, register=200_001)) == ("reading.register", False)
    accept(ledger, reading(slot=1))
    assert ledger.counters["gaps"] == 0 and ledger.counters["out of order"] == 1
    assert problem(ledger, reading(slot=3, register=400_001)) == ("reading.register", False)
    accept(ledger, reading(slot=3))


def test_a_gap_lets_the_register_jump_but_not_fall(ledger: Ledger) -> None:
    accept(ledger, reading(register=500_000))
    assert problem(ledger, reading(slot=2, register=599_999)) == ("reading.register", False)
    accept(ledger, reading(slot=2, register=5_000_000))


def test_out_of_order_inside_one_batch(ledger: Ledger) -> None:
    accept(ledger, reading(slot=2), reading(slot=0), reading(slot=1))
    assert ledger.counters["gaps"] == 0


def test_streams_of_one_device_have_registers_of_their_own(ledger: Ledger) -> None:
    accept(ledger, job(3, 0), job(4, 1, quantity=1_800_000), now=START + SLOT)
    second = [
        job(3, 2, slot=1)._replace(register=360_000),
        job(4, 3, slot=1, quantity=1_800_000)._replace(register=3_600_000),
    ]
    accept(ledger, *second)


def test_a_device_that_signs_two_values_ends_the_same_on_every_node(tmp_path: Path) -> None:
    first, second = signed(reading()), signed(reading(quantity=200_000, register=200_000))
    kept = []
    for number, order in enumerate(([first, second], [second, first])):
        store = Store(tmp_path / f"{number}.sqlite")
        ledger = Ledger(store, facts(), CHAIN)
        for envelope in order:
            ledger.take([envelope], END)
        assert ledger.counters["equivocating devices"] == 1
        kept.append(ledger.open[PLANT_METER, 0].envelope)
        again = Ledger(store, facts(), CHAIN)
        assert again.open[PLANT_METER, 0].envelope == kept[-1]
        ledger.book(0, [(PLANT_METER, 0)])
        loser = second if kept[-1] == first else first
        assert problem(ledger, loser) == ("reading.seq", False)
        store.close()
    assert kept[0] == kept[1]


def test_what_is_accepted_survives_the_process(tmp_path: Path) -> None:
    store = Store(tmp_path / "node.sqlite")
    ledger = Ledger(store, facts(), CHAIN)
    accept(ledger, reading(), reading(slot=2), job())
    del ledger, store  # no close: as after a kill
    again = Ledger(Store(tmp_path / "node.sqlite"), facts(), CHAIN)
    assert again.counters["gaps"] == 1
    again.refresh_seen()
    assert set(again.open) == {(PLANT_METER, 0), (PLANT_METER, 2), (WORKLOAD, 0)}
    assert again.take([signed(reading())], END).duplicates == 1
    assert problem(again, reading(slot=3, register=300_001)) == ("reading.register", False)


def test_expected_streams() -> None:
    known = facts()
    plant, site = asset_stream(1, 1), asset_stream(2, 1)
    assert expected(known, START, START + SLOT) == {plant, site, (3, JOB), (4, JOB)}
    third = START + 2 * SLOT
    both = {plant, site, (3, JOB), (4, JOB), (3, LATER_JOB), (4, LATER_JOB)}
    assert expected(known, third, third + SLOT) == both
    assert expected(known, END, END + SLOT) == set()
    assert expected(known, START + 1, START + 1 + SLOT) == set()
    known.apply("BatchVoided", {"batchId": 1})
    assert expected(known, START, START + SLOT) == set()


def test_missing_closes_when_everything_is_in(ledger: Ledger) -> None:
    wanted = expected(facts(), START, START + SLOT)
    assert ledger.missing(wanted, START) == wanted
    accept(ledger, reading(), reading(SITE_METER, 2, quantity=220_000), job(3, 0), job(4, 1, quantity=1))
    assert ledger.missing(wanted, START) == set()


def test_bundle_of_an_epoch_takes_late_readings_but_settles_its_own_slot() -> None:
    known = facts()
    store = Store(Path(":memory:"))
    ledger = Ledger(store, known, CHAIN)
    accept(ledger, reading(quantity=220_000), reading(SITE_METER, 2, quantity=220_000))
    accept(ledger, job(3, 0), job(4, 1, quantity=1_800_000))
    late = ledger.due(START + SLOT)
    bundle, _ = build_bundle(known, CHAIN, 0, START, START + SLOT, late, ledger.history)
    assert unpack_outcomes(bundle.outcomes[0].packed) == [Outcome(2000, 220)]
    next_bundle, _ = build_bundle(known, CHAIN, 1, START + SLOT, START + 2 * SLOT, late, ledger.history)
    assert unpack_outcomes(next_bundle.outcomes[0].packed) == [Outcome(0, 0)]
    assert len(next_bundle.entries) == 4


def test_estimated_values_never_match(store: Store) -> None:
    known = facts()
    ledger = Ledger(store, known, CHAIN)
    accept(ledger, reading(quantity=220_000, quality=1), reading(SITE_METER, 2, quantity=220_000))
    accept(ledger, job(3, 0), job(4, 1, quantity=1_800_000))
    bundle, _ = build_bundle(known, CHAIN, 0, START, START + SLOT, ledger.due(START + SLOT), ledger.history)
    assert unpack_outcomes(bundle.outcomes[0].packed) == [Outcome(2000, 0)]
    assert {entry.quality for entry in bundle.entries} == {0, 1}


def test_a_rewritten_chain_is_read_again() -> None:
    known: Facts = facts()
    known.reset()
    assert known.batches == {} and known.devices == {} and known.block == -1
    assert known.feed_id == facts().feed_id


def test_a_full_disk_loses_nothing_and_accepts_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "node.sqlite")
    ledger = Ledger(store, facts(), CHAIN)
    accept(ledger, reading())
    store.limit_pages(store.pages())
    many = [signed(reading(slot=slot, start=START + 900 * slot)) for slot in range(1, 4)]
    with pytest.raises(StoreFull, match="takes no more"):
        for _ in range(100):
            ledger.take([Envelope(bytes([n]) * 90, bytes(64)) for n in range(200)], END)
            ledger.take(many, END)
            many = [signed(reading(slot=slot, start=START + 900 * slot)) for slot in range(1, 4)]
            ledger.take([signed(reading(SITE_METER, 2, slot)) for slot in range(4)], END)
    held = set(ledger.open)
    again = Ledger(Store(tmp_path / "node.sqlite"), facts(), CHAIN)
    assert set(again.open) == held and (PLANT_METER, 0) in held
    store.limit_pages(1 << 20)
    ledger.take(many, END)
    assert {(PLANT_METER, seq) for seq in range(4)} <= set(ledger.open)


def test_an_epoch_takes_no_more_than_a_tree_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oracle.node.expect.MAX_LEAVES", 3)
    known = facts()
    ledger = Ledger(Store(Path(":memory:")), known, CHAIN)
    accept(
        ledger,
        reading(),
        reading(slot=1),
        reading(slot=2),
        reading(SITE_METER, 2, 1, seq=0, register=100_000),
    )
    wanted = expected(known, START + SLOT, START + 2 * SLOT)
    kept = fitting(known, ledger.due(END), wanted, START + SLOT)
    keys = [(item.reading.meter_id, item.reading.start) for item in kept]
    # what the epoch waits for comes first, then the oldest
    assert keys == [(PLANT_METER, START + SLOT), (SITE_METER, START + SLOT), (PLANT_METER, START)]
    assert len(fitting(known, ledger.due(END)[:3], wanted, START)) == 3
