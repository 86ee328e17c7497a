"""Laws of the wire format over generated values."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.wire import cbor, merkle
from oracle.wire.errors import WireError
from oracle.wire.keys import DeviceKey, keccak256
from oracle.wire.outcomes import (
    PlantPosition,
    RunPosition,
    SlotReadings,
    agreement_id,
    slot_outcomes,
    unpack_outcomes,
)
from oracle.wire.reading import Reading, decode_reading, encode_reading, open_envelope, seal

U64 = st.integers(0, 2**64 - 1)


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    start = draw(st.integers(0, 2**64 - 2))
    quantity = draw(U64)
    return Reading(
        draw(U64),
        draw(st.integers(1, 2**32 - 1)),
        draw(st.integers(1, 7)),
        draw(st.binary(min_size=32, max_size=32)),
        draw(U64),
        start,
        draw(st.integers(start + 1, 2**64 - 1)),
        quantity,
        draw(st.integers(quantity, 2**64 - 1)),
        draw(st.integers(0, 4)),
    )


@given(readings())
def test_reading_round_trip_and_agreement_with_another_encoder(reading: Reading) -> None:
    payload = encode_reading(reading)
    assert decode_reading(payload) == reading
    fields = [
        reading.chain_id,
        reading.meter_id,
        reading.kind,
        reading.agreement_id,
        reading.seq,
        reading.start,
    ]
    fields += [reading.end, reading.quantity, reading.register, reading.quality]
    table = {0: "bitwatt/reading/1", **dict(enumerate(fields, start=1))}
    assert payload == cbor2.dumps(table, canonical=True)


@given(readings(), st.data())
@settings(max_examples=50)
def test_any_changed_byte_is_refused(reading: Reading, data: st.DataObject) -> None:
    key = DeviceKey.from_seed(b"property")
    envelope = seal(key, reading)
    whole = envelope.payload + envelope.signature
    at = data.draw(st.integers(0, len(whole) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = bytearray(whole)
    changed[at] ^= flip
    split = len(envelope.payload)
    with pytest.raises(WireError):
        open_envelope(type(envelope)(bytes(changed[:split]), bytes(changed[split:])), key.public)


VALUES = st.recursive(
    U64 | st.binary(max_size=40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(U64, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_cbor_round_trip(value: cbor.Value) -> None:
    data = cbor.encode(value)
    assert cbor.decode(data) == value
    assert cbor2.loads(data) == value


@given(st.binary(max_size=60))
@settings(max_examples=400)
def test_whatever_decodes_has_one_encoding(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except WireError:
        return
    assert cbor.encode(value) == data


@given(st.lists(st.integers(0, 2**32), unique=True, min_size=1, max_size=40), st.data())
def test_every_leaf_and_every_subset_is_proven(numbers: list[int], data: st.DataObject) -> None:
    leaves = [keccak256(number.to_bytes(8, "big")) for number in numbers]
    tree = merkle.MerkleTree.of(leaves)
    for leaf in leaves:
        assert merkle.verify(tree.root, tree.proof(leaf), leaf)
    subset = data.draw(st.lists(st.sampled_from(leaves), unique=True, min_size=1))
    proof = tree.multiproof(subset)
    assert sorted(proof.leaves) == sorted(subset)
    assert proof.root() == tree.root
    stranger = keccak256(b"stranger")
    assert not merkle.verify(tree.root, tree.proof(leaves[0]), stranger)


@st.composite
def slots(draw: st.DrawFn) -> tuple[list[RunPosition], list[PlantPosition], SlotReadings]:
    zones = st.integers(0, 1)
    runs = [
        RunPosition(chunk, index, draw(st.integers(1, 3)), draw(zones), draw(st.integers(0, 1)),
                    draw(st.integers(1, 500)), draw(st.integers(1, 2000)))
        for chunk in range(draw(st.integers(1, 3)))
        for index in range(draw(st.integers(1, 5)))
    ]  # fmt: skip
    plants: list[PlantPosition] = []
    for zone in (0, 1):
        left = sum(run.energy_wh for run in runs if run.mode and run.zone_id == zone)
        while left:
            part = draw(st.integers(1, left))
            plants.append(PlantPosition(len(plants) + 1, zone, part))
            left = left - part if len(plants) < 6 else 0
    ids = [agreement_id(1, run.chunk_index, run.run_index) for run in runs]
    amount = st.integers(0, 2**40)
    table = {
        name: draw(st.dictionaries(st.sampled_from(ids), amount)) for name in ("it_energy_mwh", "compute_ms")
    }
    imports = draw(st.dictionaries(st.integers(1, 3), amount))
    generation = draw(st.dictionaries(st.integers(1, 6), amount))
    return runs, plants, SlotReadings(table["it_energy_mwh"], table["compute_ms"], imports, generation)


@given(slots())
def test_one_watt_hour_one_use(case: tuple[list[RunPosition], list[PlantPosition], SlotReadings]) -> None:
    """Matched Wh of a pool never exceed what its plants delivered, nor what was bought."""
    runs, plants, readings = case
    packed = slot_outcomes(1, 900, runs, plants, readings)
    matched = {0: 0, 1: 0}
    for chunk in {run.chunk_index for run in runs}:
        members = [run for run in runs if run.chunk_index == chunk]
        for run, outcome in zip(members, unpack_outcomes(packed[chunk]), strict=True):
            assert 0 <= outcome.delivered_milli_lanes <= 1000 * run.lanes
            assert 0 <= outcome.matched_wh <= (run.energy_wh if run.mode else 0)
            matched[run.zone_id] += outcome.matched_wh
    for zone in (0, 1):
        sold = [plant for plant in plants if plant.zone_id == zone]
        bought = sum(run.energy_wh for run in runs if run.mode and run.zone_id == zone)
        delivered = sum(
            min(plant.sold_wh, readings.generation_mwh.get(plant.plant_id, 0) // 1000) for plant in sold
        )
        if sum(plant.sold_wh for plant in sold) >= bought:
            assert matched[zone] <= delivered
