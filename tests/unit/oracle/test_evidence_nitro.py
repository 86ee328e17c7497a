"""AWS Nitro documents: genuine ones, and every way to be refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from oracle.evidence import nitro
from oracle.evidence.certificates import Refused, pinned

ENCLAVE = "dstack/dstack__dstack-attest__tests__nitro_attestation.bin"
SECOND = "dstack/dstack__nsm-qvl__tests__nitro_attestation.bin"
DEBUG = "dstack/dstack__dstack-attest__tests__nitro_attestation_dbg.bin"
SIGNED_AT = 1766678659
ENVELOPE_HEAD, DOCUMENT_BYTES = 4, 4526


@pytest.fixture
def enclave(genuine: Path) -> bytes:
    return (genuine / ENCLAVE).read_bytes()


@pytest.fixture
def bare(enclave: bytes) -> bytes:
    return enclave[ENVELOPE_HEAD : ENVELOPE_HEAD + DOCUMENT_BYTES]


def refusal(evidence: bytes, at: int = SIGNED_AT, **options: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        nitro.attested(evidence, None, at, **options)
    return caught.value


def flipped(data: bytes, at: int, mask: int = 0x01) -> bytes:
    return data[:at] + bytes((data[at] ^ mask,)) + data[at + 1 :]


class TestGenuine:
    @pytest.mark.parametrize("name", [ENCLAVE, SECOND])
    def test_an_enclave_is_accepted_at_the_time_it_states(self, genuine: Path, name: str) -> None:
        evidence = (genuine / name).read_bytes()
        at = nitro.stated_time(evidence)
        found = nitro.attested(evidence, None, at)
        assert found.forbidden == ""
        assert found.signed_at == at
        assert len(found.measurement) == 48 and any(found.measurement)
        assert found.limits.not_after - found.limits.not_before == 3 * 3600 + 3

    def test_it_says_what_the_document_says(self, enclave: bytes) -> None:
        found = nitro.attested(enclave, None, SIGNED_AT)
        assert found.measurement.hex().startswith("eb7d0dab08ff4154")
        assert found.report_data.hex().startswith("e3b0c44298fc1c149afbf4c8996fb92427ae41e4")
        assert found.details["module_id"] == "i-0827e799ec9232d44-enc019b5640fdf630d6"

    @pytest.mark.parametrize("tag", [b"", b"\xd2"])
    def test_a_bare_document_is_the_same_evidence(self, enclave: bytes, bare: bytes, tag: bytes) -> None:
        assert nitro.attested(tag + bare, None, SIGNED_AT) == nitro.attested(enclave, None, SIGNED_AT)

    def test_debug_mode_is_forbidden(self, genuine: Path) -> None:
        evidence = (genuine / DEBUG).read_bytes()
        found = nitro.attested(evidence, None, nitro.stated_time(evidence))
        assert found.forbidden == "debug mode: PCR0 is zero, so no image is attested"
        assert found.status == "Debug"

    def test_the_pinned_root_is_the_one_aws_publishes(self) -> None:
        published = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
        assert pinned(nitro.ROOT).fingerprint(hashes.SHA256()).hex() == published


class TestFlippedBytes:
    REGIONS = (
        ("protected header", b"\xa1\x01\x38\x22", 3, {"cose.protected"}),
        ("unprotected header", b"\xa0\x59\x11\x42", 0, {"cose.unprotected", "cose"}),
        ("module id", b"i-0827e799", 4, {"signature"}),
        ("PCR0", bytes.fromhex("eb7d0dab08ff4154"), 0, {"signature"}),
        ("user data", bytes.fromhex("e3b0c44298fc1c14"), 2, {"signature"}),
        ("leaf's names", b"enc019b5640fdf630d6.us", 5, {"certificate"}),
        ("intermediate's names", b"db5d852a812a3d1e.zonal", 0, {"certificate"}),
    )

    @pytest.mark.parametrize(("region", "marker", "offset", "fields"), REGIONS, ids=[r[0] for r in REGIONS])
    def test_each_region_has_its_reason(
        self, bare: bytes, region: str, marker: bytes, offset: int, fields: set[str]
    ) -> None:
        at = bare.index(marker) + offset
        assert refusal(flipped(bare, at)).field.split()[0] in fields, region

    def test_the_signature(self, bare: bytes) -> None:
        for at in (-96, -49, -48, -1):
            assert refusal(flipped(bare, len(bare) + at)).field == "signature"

    @pytest.mark.parametrize("mask", [0x01, 0x80])
    def test_no_byte_of_the_message_can_change(self, bare: bytes, mask: int) -> None:
        for at in range(0, len(bare), 23):
            refusal(flipped(bare, at, mask))

    def test_the_envelope_must_repeat_the_signed_user_data(self, enclave: bytes) -> None:
        user_data = nitro.attested(enclave, None, SIGNED_AT).report_data
        at = enclave.rindex(user_data)
        assert refusal(flipped(enclave, at)).field == "envelope.report_data"


class TestTime:
    def test_not_yet_valid(self, enclave: bytes) -> None:
        assert "not yet valid" in refusal(enclave, SIGNED_AT - 60).problem

    def test_expired_after_three_hours(self, enclave: bytes) -> None:
        refused = refusal(enclave, SIGNED_AT + 3 * 3600 + 60)
        assert refused.problem.startswith("expired at 1766689459")
        assert "enc019b5640fdf630d6" in refused.field

    def test_the_last_second_still_counts(self, enclave: bytes) -> None:
        last = nitro.attested(enclave, None, SIGNED_AT).limits.not_after
        assert nitro.attested(enclave, None, last).signed_at == SIGNED_AT
        assert "expired" in refusal(enclave, last + 1).problem


class TestShape:
    def test_truncated_anywhere(self, enclave: bytes, bare: bytes) -> None:
        for size in (*range(0, 40), *range(40, len(bare), 97)):
            refusal(bare[:size])
        for size in (*range(0, 40), *range(40, len(enclave), 97)):
            refusal(enclave[:size])

    def test_trailing_garbage(self, enclave: bytes, bare: bytes) -> None:
        assert refusal(bare + b"\0").problem == "1 bytes follow the document"
        assert refusal(enclave + b"\0").problem == "1 bytes follow the last field"

    def test_a_huge_message_is_refused_by_its_size(self) -> None:
        assert refusal(b"\x84" * 10_000_000).field == "size"

    def test_collateral_has_no_place(self, enclave: bytes) -> None:
        with pytest.raises(Refused, match="carries its own"):
            nitro.attested(enclave, b"x", SIGNED_AT)

    @pytest.mark.parametrize(
        "hostile",
        [
            b"\x81" * 60_000,
            b"\x9f" * 60_000,
            b"\x5b" + b"\xff" * 8,
            b"\x9b" + b"\xff" * 8,
            b"\xbb" + b"\xff" * 8,
            b"\xd8\x1c\x81\xd8\x1d\x00",
            b"\xc2\x59\xff\x00" + b"\xff" * 0xFF00,
            b"\xc4\x82\x1a\x3b\x9a\xca\x00\x01",
            cbor2.dumps(cbor2.CBORTag(35, "(" * 1000)),
            cbor2.dumps([b"\xa1\x018\x22", {}, b"\xa2\x00\x01\x00\x02", bytes(96)]),
            b"\xff",
            b"\x61\xff",
            b"",
        ],
        ids=lambda value: value[:4].hex(),
    )
    def test_hostile_cbor_is_refused_quickly(self, hostile: bytes) -> None:
        refusal(hostile)
        refusal(cbor2.dumps([b"\xa1\x018\x22", {}, hostile, bytes(96)]))


Change = Callable[[dict[str, Any]], None]


class TestForged:
    """Documents that our own root signs: each is right except for one thing."""

    @pytest.fixture
    def parts(self, forge: Any) -> Iterator[Any]:
        root = forge.identity("root", path_length=2)
        zone = forge.identity("zone", root, path_length=1)
        yield root, zone, forge.identity("enclave", zone, authority=False)

    def document(
        self,
        root: Any,
        zone: Any,
        leaf: Any,
        change: Change | None = None,
        signer: Any = None,
        unprotected: dict[int, int] | None = None,
        repeat: bool = False,
    ) -> bytes:
        fields: dict[str, Any] = {
            "module_id": "i-1-enc1",
            "digest": "SHA384",
            "timestamp": 1_750_000_000_000,
            "pcrs": {0: b"\x01" * 48, 1: b"\x02" * 48, 2: b"\x03" * 48},
            "certificate": leaf.der,
            "cabundle": [root.der, zone.der],
            "public_key": None,
            "user_data": b"device",
            "nonce": None,
        }
        if change:
            change(fields)
        header, payload = cbor2.dumps({1: -35}), cbor2.dumps(fields)
        if repeat:  # the last key once more
            payload = bytes((payload[0] + 1,)) + payload[1:] + cbor2.dumps("nonce") + cbor2.dumps(None)
        r, s = (signer or leaf).sign(cbor2.dumps(["Signature1", header, b"", payload]))
        return cbor2.dumps(
            [header, unprotected or {}, payload, r.to_bytes(48, "big") + s.to_bytes(48, "big")]
        )

    def test_a_right_one_passes_under_its_own_root_only(self, parts: Any) -> None:
        evidence = self.document(*parts)
        found = nitro.attested(evidence, None, 1_750_000_000, root=parts[0].certificate)
        assert (found.report_data, found.forbidden) == (b"device", "")
        assert refusal(evidence, 1_750_000_000).field == "root"

    def test_a_root_with_the_right_name_and_another_key(self, forge: Any, parts: Any) -> None:
        other = forge.identity("root")
        assert (
            "not signed by" in refusal(self.document(*parts), 1_750_000_000, root=other.certificate).problem
        )

    def test_signed_by_another_enclave(self, forge: Any, parts: Any) -> None:
        other = forge.identity("enclave", parts[1], authority=False)
        evidence = self.document(*parts, signer=other)
        assert refusal(evidence, 1_750_000_000, root=parts[0].certificate).field == "signature"

    @pytest.mark.parametrize("register", [0, 1, 2])
    @pytest.mark.parametrize("missing", [True, False])
    def test_a_zero_or_missing_image_register_is_debug(
        self, parts: Any, register: int, missing: bool
    ) -> None:
        def change(fields: dict[str, Any]) -> None:
            if missing:
                del fields["pcrs"][register]
            else:
                fields["pcrs"][register] = bytes(48)

        evidence = self.document(*parts, change=change)
        found = nitro.attested(evidence, None, 1_750_000_000, root=parts[0].certificate)
        assert found.forbidden.startswith(f"debug mode: PCR{register} is zero")

    FIELDS: tuple[tuple[str, str, Any], ...] = (
        ("module_id", "document.module_id", 7),
        ("digest", "document.digest", "SHA256"),
        ("timestamp", "document.timestamp", "now"),
        ("timestamp", "document.timestamp", True),
        ("timestamp", "document.timestamp", -1),
        ("timestamp", "document.timestamp", 1_600_000_000_000),
        ("pcrs", "document.pcrs", {}),
        ("pcrs", "document.pcrs", {32: bytes(48)}),
        ("pcrs", "document.pcrs", {"0": bytes(48)}),
        ("pcrs", "document.pcrs", {0: bytes(32)}),
        ("certificate", "document.certificate", b"0\x82\xff\xff"),
        ("certificate", "document.certificate", None),
        ("certificate", "document.certificate", bytes(2000)),
        ("cabundle", "document.cabundle", []),
        ("cabundle", "document.cabundle", [b"x"] * 7),
        ("cabundle", "document.cabundle[0]", [b"\x30\x84\x7f\xff\xff\xff"]),
        ("user_data", "document.user_data", "text"),
        ("nonce", "document.nonce", bytes(1025)),
    )

    @pytest.mark.parametrize(("name", "field", "value"), FIELDS, ids=range(len(FIELDS)))
    def test_each_field_of_the_wrong_type_or_size(
        self, parts: Any, name: str, field: str, value: Any
    ) -> None:
        evidence = self.document(*parts, change=lambda fields: fields.__setitem__(name, value))
        assert refusal(evidence, 1_750_000_000, root=parts[0].certificate).field == field

    def test_what_nobody_signed(self, parts: Any) -> None:
        evidence = self.document(*parts, unprotected={4: 7})
        assert refusal(evidence, 1_750_000_000, root=parts[0].certificate).field == "cose.unprotected"

    def test_a_field_given_twice(self, parts: Any) -> None:
        evidence = self.document(*parts, repeat=True)
        assert refusal(evidence, 1_750_000_000, root=parts[0].certificate).field == "document"

    def test_an_issuer_whose_key_is_for_something_else(self, forge: Any) -> None:
        root = forge.identity("root")
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        zone = forge.identity("zone", root, extensions=((usage, True),))
        evidence = self.document(root, zone, forge.identity("enclave", zone, authority=False))
        assert refusal(evidence, 1_750_000_000, root=root.certificate).field == "certificate zone"

    def test_an_issuer_that_may_not_issue(self, forge: Any) -> None:
        root = forge.identity("root")
        zone = forge.identity("zone", root, authority=False)
        evidence = self.document(root, zone, forge.identity("enclave", zone, authority=False))
        refused = refusal(evidence, 1_750_000_000, root=root.certificate)
        assert (refused.field, refused.problem) == (
            "certificate zone",
            "is not allowed to issue certificates",
        )

    def test_an_issuer_with_too_many_below_it(self, forge: Any) -> None:
        root = forge.identity("root", path_length=0)
        zone = forge.identity("zone", root)
        evidence = self.document(root, zone, forge.identity("enclave", zone, authority=False))
        assert refusal(evidence, 1_750_000_000, root=root.certificate).field == "certificate root"

    def test_a_leaf_on_another_curve(self, forge: Any, parts: Any) -> None:
        leaf = forge.identity(
            "enclave", parts[1], authority=False, key=ec.generate_private_key(ec.SECP521R1())
        )
        evidence = self.document(parts[0], parts[1], leaf, signer=parts[2])
        assert "P-384" in refusal(evidence, 1_750_000_000, root=parts[0].certificate).problem

    def test_an_intermediate_that_expired(self, forge: Any) -> None:
        root = forge.identity("root")
        zone = forge.identity("zone", root, stop=1_740_000_000)
        evidence = self.document(root, zone, forge.identity("enclave", zone, authority=False))
        refused = refusal(evidence, 1_750_000_000, root=root.certificate)
        assert refused.field == "certificate zone" and refused.problem.startswith("expired")
