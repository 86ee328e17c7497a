"""What the wire format refuses, and the name it gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oracle.wire import bundle, cbor, merkle, outcomes, publication, typed
from oracle.wire.attestation import report_data
from oracle.wire.errors import NotCanonicalError, SignatureError, TruncatedError, WireError
from oracle.wire.keys import (
    P256_ORDER,
    SECP256K1_ORDER,
    DeviceKey,
    DevicePublicKey,
    address_of,
    join_signatures,
    recover,
    sha256,
    sign_digest,
)
from oracle.wire.reading import (
    MAX_MESSAGE_BYTES,
    Envelope,
    Reading,
    decode_envelope,
    decode_envelopes,
    decode_reading,
    encode_envelope,
    encode_envelopes,
    encode_reading,
    open_envelope,
    seal,
)

KEY = DeviceKey.from_seed(b"refusals")
READING = Reading(31337, 7, 4, bytes(32), 3, 900, 1800, 1000, 5000)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"meter_id": 0}, "reading.meter_id"),
        ({"meter_id": 1 << 32}, "reading.meter_id"),
        ({"kind": 0}, "reading.kind"),
        ({"kind": 8}, "reading.kind"),
        ({"agreement_id": bytes(31)}, "reading.agreement_id"),
        ({"seq": -1}, "reading.seq"),
        ({"end": 900}, "reading.end"),
        ({"quantity": -99}, "reading.quantity"),
        ({"quantity": 1 << 64}, "reading.quantity"),
        ({"register": 999}, "reading.register"),
        ({"quality": 5}, "reading.quality"),
    ],
)
def test_readings_nobody_may_sign(change: dict[str, int], field: str) -> None:
    with pytest.raises(WireError) as refusal:
        encode_reading(READING._replace(**change))  # type: ignore[arg-type]
    assert refusal.value.field == field


@pytest.mark.parametrize("length", range(len(encode_reading(READING))))
def test_truncated_reading(length: int) -> None:
    with pytest.raises(WireError):
        decode_reading(encode_reading(READING)[:length])


def test_trailing_bytes() -> None:
    with pytest.raises(WireError, match="1 bytes follow"):
        decode_reading(encode_reading(READING) + b"\0")


def test_second_way_to_write_a_number_is_refused() -> None:
    payload = encode_reading(READING)
    short, long = b"\x05\x03\x06", b"\x05\x18\x03\x06"
    assert payload.count(short) == 1
    with pytest.raises(NotCanonicalError, match="shortest"):
        decode_reading(payload.replace(short, long))


def test_swapped_keys_are_refused() -> None:
    payload = encode_reading(READING)
    with pytest.raises(NotCanonicalError, match="key 5"):
        decode_reading(payload.replace(b"\x05\x03\x06", b"\x06\x03\x05"))


def test_high_s_is_refused_though_ecdsa_accepts_it() -> None:
    envelope = seal(KEY, READING)
    s = int.from_bytes(envelope.signature[32:], "big")
    twin = Envelope(envelope.payload, envelope.signature[:32] + (P256_ORDER - s).to_bytes(32, "big"))
    open_envelope(envelope, KEY.public)
    with pytest.raises(SignatureError):
        open_envelope(twin, KEY.public)


def test_other_key_and_other_payload() -> None:
    envelope = seal(KEY, READING)
    with pytest.raises(SignatureError):
        open_envelope(envelope, DeviceKey.from_seed(b"other").public)
    other = encode_reading(READING._replace(quantity=1001))
    with pytest.raises(SignatureError):
        open_envelope(envelope._replace(payload=other), KEY.public)


def test_zero_signature() -> None:
    assert not KEY.public.verify(b"", bytes(64))
    assert not KEY.public.verify(b"", bytes(63))


def test_point_off_the_curve() -> None:
    with pytest.raises(WireError, match="not on P-256"):
        DevicePublicKey(bytes(31) + b"\1", bytes(31) + b"\1")


def test_one_bad_payload_does_not_spoil_its_neighbours() -> None:
    good, bad = seal(KEY, READING), Envelope(b"rubbish", bytes(64))
    assert decode_envelopes(encode_envelopes([good, bad, good])) == [good, bad, good]


def test_bodies() -> None:
    body = encode_envelopes([seal(KEY, READING)] * 3)
    for length in range(len(body)):
        with pytest.raises(WireError):
            decode_envelopes(body[:length])
    with pytest.raises(WireError, match="follow the array"):
        decode_envelopes(body + b"\0")
    with pytest.raises(WireError, match="not a CBOR array"):
        decode_envelopes(b"\x01")
    with pytest.raises(WireError, match="at most"):
        decode_envelopes(bytes(MAX_MESSAGE_BYTES + 1))
    with pytest.raises(TruncatedError):
        decode_envelopes(b"\x9b" + b"\x00\x00\xff\xff\xff\xff\xff\xff")
    with pytest.raises(WireError, match="follow the envelope"):
        decode_envelope(encode_envelope(seal(KEY, READING)) + b"\0")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", TruncatedError),
        (b"\x18", TruncatedError),
        (b"\x18\x17", NotCanonicalError),
        (b"\x19\x00\xff", NotCanonicalError),
        (b"\x5f\xff", NotCanonicalError),
        (b"\x20", WireError),
        (b"\xf5", WireError),
        (b"\x61\xff", WireError),
        (b"\x42\x00", TruncatedError),
        (b"\x9a\xff\xff\xff\xff", TruncatedError),
        (b"\xa2\x01\x00\x00\x00", NotCanonicalError),
        (b"\xa2\x01\x00\x01\x00", NotCanonicalError),
        (b"\x81" * 20 + b"\x00", WireError),
        (b"\x00\x00", WireError),
    ],
)
def test_cbor(data: bytes, error: type[WireError]) -> None:
    with pytest.raises(error):
        cbor.decode(data)


@pytest.mark.parametrize("value", [True, -1, 1 << 64])
def test_cbor_values(value: int) -> None:
    with pytest.raises(WireError):
        cbor.encode(value)


def test_tree_refuses_a_repeated_leaf_and_an_unknown_one() -> None:
    leaf = sha256(b"a")
    with pytest.raises(WireError, match="twice"):
        merkle.MerkleTree.of([leaf, leaf])
    with pytest.raises(WireError, match="not in the tree"):
        merkle.MerkleTree.of([leaf]).proof(sha256(b"b"))
    with pytest.raises(WireError, match="32"):
        merkle.MerkleTree.of([b"short"])


def test_the_empty_root_proves_nothing() -> None:
    assert merkle.MerkleTree.of([]).root == bytes(32)
    assert not merkle.verify(bytes(32), [], bytes(32))


def test_committee_signatures() -> None:
    digest = sha256(b"digest")
    secrets = [sha256(bytes([number])) for number in range(4)]
    signatures = [sign_digest(secret, digest) for secret in secrets]
    joined = join_signatures(digest, [*signatures, signatures[0]])
    assert len(joined) == 4 * 65
    signers = [recover(digest, joined[at : at + 65]) for at in range(0, len(joined), 65)]
    assert signers == sorted(address_of(secret) for secret in secrets)
    s = SECP256K1_ORDER - int.from_bytes(signatures[0][32:64], "big")
    for broken, problem in (
        (signatures[0][:64], "64 bytes"),
        (signatures[0][:64] + b"\1", "neither"),
        (signatures[0][:32] + s.to_bytes(32, "big") + signatures[0][64:], "upper half"),
        (bytes(64) + b"\x1b", "no key"),
    ):
        with pytest.raises(SignatureError, match=problem):
            recover(digest, broken)


def test_numbers_that_do_not_fit() -> None:
    with pytest.raises(WireError, match="uint32"):
        typed.DeviceAttestation(
            1 << 32, 0, 0, bytes(32), bytes(32), bytes(32), 0, bytes(32), 0, bytes(32)
        ).struct_hash()
    with pytest.raises(WireError, match="two uint32"):
        outcomes.pack_outcome(outcomes.Outcome(1 << 32, 0))
    with pytest.raises(WireError, match="whole number"):
        outcomes.unpack_outcomes(bytes(9))
    with pytest.raises(WireError, match=r"carbon\[0\]\[1\]"):
        publication.pack_carbon([[1, 65536]])
    with pytest.raises(WireError, match="are due"):
        publication.publication_hash(0, 900, 2, 1, bytes(3))
    with pytest.raises(WireError, match="are due"):
        publication.unpack_carbon(bytes(5), 1, 2)


def test_report_data() -> None:
    data = report_data(KEY.public.x, KEY.public.y, bytes(32), 7)
    assert data == sha256(b"bitwatt/device/1" + KEY.public.x + KEY.public.y + bytes(32) + bytes([0, 0, 0, 7]))
    with pytest.raises(WireError, match="no meter"):
        report_data(KEY.public.x, KEY.public.y, bytes(32), 0)
    with pytest.raises(WireError, match="nonce"):
        report_data(KEY.public.x, KEY.public.y, bytes(31), 7)


def small_bundle() -> bundle.Bundle:
    record = bundle.DeviceRecord(7, KEY.public.x, KEY.public.y, sha256(b"evidence"))
    entries = [(seal(KEY, READING._replace(seq=seq)), 0, record) for seq in (2, 1)]
    outcome = [bundle.OutcomeEntry(1, chunk, 0, bytes(8)) for chunk in (1, 0)]
    return bundle.make_bundle(31337, typed.feed_id("main"), 0, 900, 1800, entries, outcome)


def test_bundle_order_and_references() -> None:
    good = small_bundle()
    assert bundle.decode_bundle(bundle.encode_bundle(good)) == good
    for broken, field in (
        (replace(good, entries=good.entries[::-1]), "entries"),
        (replace(good, outcomes=good.outcomes[::-1]), "outcomes"),
        (replace(good, entries=good.entries[:1] * 2), "entries"),
        (replace(good, entries=()), "devices"),
        (replace(good, entries=tuple(replace(entry, device=1) for entry in good.entries)), "device"),
        (replace(good, entries=tuple(replace(entry, quality=9) for entry in good.entries)), "quality"),
    ):
        with pytest.raises(WireError, match=field):
            bundle.decode_bundle(bundle.encode_bundle(broken))


def test_bundle_truncated() -> None:
    data = bundle.encode_bundle(small_bundle())
    for length in range(0, len(data), 7):
        with pytest.raises(WireError):
            bundle.decode_bundle(data[:length])


def test_a_tree_stays_small_enough_for_a_browser() -> None:
    record = bundle.DeviceRecord(7, KEY.public.x, KEY.public.y, sha256(b"evidence"))
    item = (seal(KEY, READING), 0, record)
    with pytest.raises(WireError, match="at most 10000"):
        bundle.make_bundle(31337, bytes(32), 0, 0, 1, [item] * 10_001, [])
