"""AMD SEV-SNP reports: the genuine one, and every way to be refused."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from oracle.evidence import snp
from oracle.evidence.certificates import Refused, check_path, pinned

GUEST = "dstack/dstack__dstack-attest__tests__sev_snp_attestation.bin"
SECOND = "dstack/dstack__verifier__fixtures__sev-snp-attestation.json"
VCEK = "dstack/dstack__dstack-attest__tests__sev_snp_vcek.pem"
ASK = "dstack/dstack__dstack-attest__tests__sev_snp_ask.pem"
VCEK_FROM, VCEK_TO = 1781658304, 2002583104
AT = 1_800_000_000
FORGED_AT = 1_750_000_000


@dataclass(frozen=True)
class Vector:
    envelope: bytes
    report: bytes
    vcek: bytes
    ask: bytes


@pytest.fixture
def guest(genuine: Path) -> Vector:
    envelope = (genuine / GUEST).read_bytes()
    return Vector(
        envelope, envelope[4 : 4 + 1184], (genuine / VCEK).read_bytes(), (genuine / ASK).read_bytes()
    )


def refusal(evidence: bytes, collateral: bytes | None, at: int = AT, **options: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        snp.attested(evidence, collateral, at, **options)
    return caught.value


def flipped(data: bytes, at: int, mask: int = 0x01) -> bytes:
    return data[:at] + bytes((data[at] ^ mask,)) + data[at + 1 :]


class TestGenuine:
    def test_it_says_what_the_report_says(self, guest: Vector) -> None:
        found = snp.attested(guest.envelope, guest.vcek, AT)
        assert found.forbidden == "" and found.signed_at is None
        assert found.report_data.rstrip(b"\0") == b"attest-test-fixture-2026"
        assert found.measurement.hex().startswith("7f51e17f72a04d5422cb2c00998166536019a217376f3aa4")
        assert found.details["host_data"].startswith("783f0057820acb99249af56cc3b07b4e")
        assert found.details["tcb_reported"] == "boot loader 4, TEE 0, SNP 23, microcode 213"
        assert (found.limits.not_before, found.limits.not_after) == (VCEK_FROM, VCEK_TO)

    def test_bare_or_wrapped_with_the_chain_in_any_order(self, guest: Vector) -> None:
        expected = snp.attested(guest.envelope, guest.vcek, AT)
        for collateral in (guest.vcek, guest.vcek + guest.ask, guest.ask + guest.vcek):
            assert snp.attested(guest.report, collateral, AT) == expected

    def test_the_vcek_as_der(self, guest: Vector) -> None:
        der = ssl.PEM_cert_to_DER_cert(guest.vcek.decode())
        assert snp.attested(guest.report, der, AT).measurement

    def test_an_envelope_that_carries_its_chain(self, genuine: Path) -> None:
        evidence = (genuine / SECOND).read_bytes()
        raw = bytes.fromhex(json.loads(evidence)["attestation"])
        assert snp.attested(evidence, None, AT) == snp.attested(raw, None, AT)

    def test_signed_means_from_when_the_chain_is_valid(self, guest: Vector) -> None:
        at = snp.stated_time(guest.report, guest.vcek)
        assert at == VCEK_FROM
        assert snp.attested(guest.report, guest.vcek, at).forbidden == ""

    def test_the_pinned_ark_signed_itself_and_the_ask(self, guest: Vector) -> None:
        ark = pinned(snp.ROOT)
        ark.verify_directly_issued_by(ark)
        x509.load_pem_x509_certificate(guest.ask).verify_directly_issued_by(ark)
        assert ark.fingerprint(hashes.SHA256()).hex().startswith("69d063b45344d26a2e94e1f4210de49ef5553082")

    def test_the_intermediate_that_ships_is_the_genuine_one(self, guest: Vector) -> None:
        assert pinned(snp.INTERMEDIATE) == x509.load_pem_x509_certificate(guest.ask)
        assert check_path([pinned(snp.INTERMEDIATE)], pinned(snp.ROOT), AT)


class TestFlippedBytes:
    REGIONS = (
        ("version", 0x00, 0x80, "report.version"),
        ("guest svn", 0x04, 0x01, "signature"),
        ("policy", 0x0A, 0x08, "signature"),
        ("signature algorithm", 0x34, 0x01, "report.signature_algo"),
        ("current TCB", 0x3E, 0x01, "signature"),
        ("signing key", 0x48, 0x04, "report.signing_key"),
        ("report data", 0x50, 0x01, "signature"),
        ("measurement", 0x90, 0x01, "signature"),
        ("host data", 0xC0, 0x01, "signature"),
        ("reported TCB", 0x186, 0x01, "signature"),
        ("chip id", 0x1A0, 0x01, "signature"),
        ("reserved", 0x29F, 0x01, "signature"),
        ("r", 0x2A0, 0x01, "signature"),
        ("r's padding", 0x2A0 + 48, 0x01, "report.signature"),
        ("s", 0x2A0 + 72, 0x01, "signature"),
        ("s's padding", 0x2A0 + 120, 0x01, "report.signature"),
        ("last byte", 1183, 0x01, "report.signature"),
    )

    @pytest.mark.parametrize(("region", "at", "mask", "field"), REGIONS, ids=[r[0] for r in REGIONS])
    def test_each_region_has_its_reason(
        self, guest: Vector, region: str, at: int, mask: int, field: str
    ) -> None:
        assert refusal(flipped(guest.report, at, mask), guest.vcek).field == field, region

    def test_no_byte_of_the_report_can_change(self, guest: Vector) -> None:
        for at in range(0, len(guest.report), 7):
            refusal(flipped(guest.report, at), guest.vcek)

    def test_no_byte_of_the_vcek_can_change(self, guest: Vector) -> None:
        der = ssl.PEM_cert_to_DER_cert(guest.vcek.decode())
        for at in range(0, len(der), 11):
            refusal(guest.report, flipped(der, at))

    def test_not_even_the_count_of_unused_bits(self, guest: Vector) -> None:
        der = ssl.PEM_cert_to_DER_cert(guest.vcek.decode())
        at = der.rindex(b"\x03\x82\x02\x01\0") + 4
        assert "unused bits" in refusal(guest.report, flipped(der, at)).problem

    def test_the_envelope_must_repeat_the_report_data(self, guest: Vector) -> None:
        at = guest.envelope.rindex(b"attest-test-fixture-2026")
        assert refusal(flipped(guest.envelope, at), guest.vcek).field == "envelope.report_data"


class TestCollateral:
    def test_none(self, guest: Vector) -> None:
        refused = refusal(guest.report, None)
        assert refused.field == "collateral" and refused.mend

    def test_the_ask_alone(self, guest: Vector) -> None:
        assert refusal(guest.report, guest.ask).problem == "0 VCEKs in 1 certificates, expected one"

    def test_two_vceks(self, guest: Vector, forge: Any) -> None:
        collateral = guest.vcek + forge.identity("SEV-VCEK", authority=False).pem
        assert refusal(guest.report, collateral).problem.startswith("2 VCEKs")

    def test_a_vcek_of_our_own_does_not_reach_amd(self, guest: Vector, forge: Any) -> None:
        assert refusal(guest.report, forge.identity("SEV-VCEK", authority=False).pem).field == "root"

    @pytest.mark.parametrize(
        "hostile",
        [
            b"",
            b"\x30\x84\x7f\xff\xff\xff",
            b"\x30\x80" * 1000,
            b"-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydA==\n-----END CERTIFICATE-----\n",
            b"-----BEGIN CERTIFICATE-----\n" + b"A" * 60_000,
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",  # pragma: allowlist secret
        ],
        ids=range(6),
    )
    def test_hostile_certificates(self, guest: Vector, hostile: bytes) -> None:
        assert refusal(guest.report, hostile).field == "collateral"
        if hostile.startswith(b"-----"):
            assert refusal(guest.report, guest.vcek + hostile).field == "collateral"

    def test_too_much_of_it(self, guest: Vector) -> None:
        assert refusal(guest.report, guest.vcek * 9).field == "collateral"
        assert refusal(guest.report, guest.vcek * 5_000).field == "collateral"


class TestTime:
    def test_not_yet_valid(self, guest: Vector) -> None:
        refused = refusal(guest.report, guest.vcek, VCEK_FROM - 1)
        assert (refused.field, refused.problem[:13]) == ("certificate SEV-VCEK", "not yet valid")

    def test_expired_in_2033(self, guest: Vector) -> None:
        assert snp.attested(guest.report, guest.vcek, VCEK_TO)
        refused = refusal(guest.report, guest.vcek, VCEK_TO + 1)
        assert (refused.field, refused.problem[:7]) == ("certificate SEV-VCEK", "expired")


class TestShape:
    def test_truncated_anywhere(self, guest: Vector) -> None:
        for size in range(0, len(guest.report), 61):
            refusal(guest.report[:size], guest.vcek)
        for size in range(0, len(guest.envelope), 61):
            refusal(guest.envelope[:size], guest.vcek)

    def test_trailing_garbage(self, guest: Vector) -> None:
        assert refusal(guest.report + b"\0", guest.vcek).field == "report.size"
        assert refusal(guest.envelope + b"\0", guest.vcek).problem == "1 bytes follow the last field"

    def test_a_huge_message_is_refused_by_its_size(self, guest: Vector) -> None:
        assert refusal(bytes(10_000_000), guest.vcek).field == "size"

    @pytest.mark.parametrize(
        "hostile", [b"{}", b'{"attestation": 1}', b'{"attestation": "zz"}', b"{" * 60_000, b'{"a":' * 12_000]
    )
    def test_hostile_json(self, guest: Vector, hostile: bytes) -> None:
        assert refusal(hostile, guest.vcek).field == "envelope"

    @pytest.mark.parametrize(
        "hostile", [b"\0\3", b"\0\3\3", b"\0\3" + b"\xff" * 99, b"\0\3\0\xfe\xff\xff\xff"]
    )
    def test_hostile_envelopes(self, guest: Vector, hostile: bytes) -> None:
        assert refusal(hostile, guest.vcek).field in {"envelope", "report.size"}


CHIP, LEVELS = bytes(range(64)), (4, 0, 0, 0, 0, 0, 23, 213)


class TestForged:
    """Reports that a chain of our own signs: each is right except for one thing."""

    @pytest.fixture(scope="class")
    def authorities(self, forge: Any) -> Any:
        keys = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
        ark = forge.identity("ARK-Milan", key=keys[0])
        return ark, forge.identity("SEV-Milan", ark, key=keys[1], path_length=0)

    def vcek(
        self, forge: Any, ask: Any, chip: bytes = CHIP, levels: tuple[int, ...] = LEVELS, drop: str = ""
    ) -> Any:
        values = {snp.CHIP_ID: chip}
        for oid, level in zip(snp.TCB, levels, strict=True):
            values[oid] = bytes((2, 1, level)) if 0 <= level < 128 else bytes((2, 2, 0, level & 255))
        extensions = tuple(
            (x509.UnrecognizedExtension(oid, value), False)
            for oid, value in values.items()
            if oid.dotted_string != drop
        )
        return forge.identity("SEV-VCEK", ask, authority=False, extensions=extensions)

    def report(self, signer: Any, changes: dict[int, bytes] | None = None) -> bytes:
        report = bytearray(1184)
        fields = {
            0x00: (3).to_bytes(4, "little"),
            0x08: (0x30000).to_bytes(8, "little"),
            0x34: (1).to_bytes(4, "little"),
            0x50: b"device".ljust(64, b"\0"),
            0x90: b"\x07" * 48,
            0x1A0: CHIP,
            **dict.fromkeys((0x38, 0x180, 0x1E0, 0x1F0), bytes(LEVELS)),
            **(changes or {}),
        }
        for at, value in fields.items():
            report[at : at + len(value)] = value
        r, s = signer.sign(bytes(report[:0x2A0]))
        report[0x2A0:0x2D0], report[0x2E8:0x318] = r.to_bytes(48, "little"), s.to_bytes(48, "little")
        return bytes(report)

    def test_a_right_one_passes_under_its_own_root_only(self, forge: Any, authorities: Any) -> None:
        ark, ask = authorities
        vcek = self.vcek(forge, ask)
        evidence, collateral = self.report(vcek), ask.pem + vcek.pem
        found = snp.attested(evidence, collateral, FORGED_AT, root=ark.certificate)
        assert (found.status, found.forbidden) == ("UpToDate", "")
        refused = refusal(evidence, collateral, FORGED_AT)
        assert refused.field == "root"

    def test_the_name_of_amds_root_is_not_enough(self, forge: Any, guest: Vector) -> None:
        fake = forge.identity("ARK-Milan")
        assert refusal(guest.report, guest.vcek, root=fake.certificate).field == "root"

    def test_debug_mode_is_forbidden(self, forge: Any, authorities: Any) -> None:
        ark, ask = authorities
        vcek = self.vcek(forge, ask)
        evidence = self.report(vcek, {0x08: (0x30000 | 1 << 19).to_bytes(8, "little")})
        found = snp.attested(evidence, ask.pem + vcek.pem, FORGED_AT, root=ark.certificate)
        assert found.forbidden.startswith("debug mode")

    def test_a_migration_agent_is_forbidden(self, forge: Any, authorities: Any) -> None:
        ark, ask = authorities
        vcek = self.vcek(forge, ask)
        evidence = self.report(vcek, {0x08: (0x30000 | 1 << 18).to_bytes(8, "little")})
        found = snp.attested(evidence, ask.pem + vcek.pem, FORGED_AT, root=ark.certificate)
        assert "migration agent" in found.forbidden

    def test_firmware_below_what_runs_shows_in_the_status(self, forge: Any, authorities: Any) -> None:
        ark, ask = authorities
        vcek = self.vcek(forge, ask)
        evidence = self.report(vcek, {0x38: bytes((4, 0, 0, 0, 0, 0, 24, 213))})
        found = snp.attested(evidence, ask.pem + vcek.pem, FORGED_AT, root=ark.certificate)
        assert found.status == "ReportedTcbDiffers"

    @pytest.mark.parametrize("part", range(8))
    def test_a_vcek_of_another_firmware_level(self, forge: Any, authorities: Any, part: int) -> None:
        ark, ask = authorities
        levels = tuple(level + (1 if i == part else 0) for i, level in enumerate(LEVELS))
        vcek = self.vcek(forge, ask, levels=levels)
        refused = refusal(self.report(vcek), ask.pem + vcek.pem, FORGED_AT, root=ark.certificate)
        assert refused.field == "vcek.tcb"

    def test_a_vcek_of_another_chip(self, forge: Any, authorities: Any) -> None:
        ark, ask = authorities
        vcek = self.vcek(forge, ask, chip=bytes(64))
        refused = refusal(self.report(vcek), ask.pem + vcek.pem, FORGED_AT, root=ark.certificate)
        assert refused.field == "vcek.chip_id"

    def test_signed_by_the_key_of_another_chip(self, forge: Any, authorities: Any) -> None:
        ark, ask = authorities
        vcek, other = self.vcek(forge, ask), self.vcek(forge, ask)
        refused = refusal(self.report(other), ask.pem + vcek.pem, FORGED_AT, root=ark.certificate)
        assert refused.field == "signature"

    @pytest.mark.parametrize("missing", [snp.CHIP_ID.dotted_string, snp.TCB[6].dotted_string])
    def test_a_vcek_without_its_extensions(self, forge: Any, authorities: Any, missing: str) -> None:
        ark, ask = authorities
        vcek = self.vcek(forge, ask, drop=missing)
        refused = refusal(self.report(vcek), ask.pem + vcek.pem, FORGED_AT, root=ark.certificate)
        assert (refused.field, refused.problem) == ("vcek.extension", f"{missing} is missing")

    @pytest.mark.parametrize(
        "value", [b"", b"\2", b"\2\1", b"\2\1\xff", b"\2\2\1\0", b"\4\1\1", b"\2\1\1\0", b"\2\xff"]
    )
    def test_hostile_numbers(self, forge: Any, authorities: Any, value: bytes) -> None:
        ark, ask = authorities
        values = {snp.CHIP_ID: CHIP, **dict.fromkeys(snp.TCB, value)}
        extensions = tuple((x509.UnrecognizedExtension(oid, raw), False) for oid, raw in values.items())
        vcek = forge.identity("SEV-VCEK", ask, authority=False, extensions=extensions)
        refused = refusal(self.report(vcek), ask.pem + vcek.pem, FORGED_AT, root=ark.certificate)
        assert refused.field == "vcek.extension"

    def test_a_critical_extension_nobody_reads(self, forge: Any, authorities: Any) -> None:
        ark, ask = authorities
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")
        vcek = forge.identity("SEV-VCEK", ask, authority=False, extensions=((unknown, True),))
        refused = refusal(self.report(vcek), ask.pem + vcek.pem, FORGED_AT, root=ark.certificate)
        assert "1.2.3.4" in refused.problem
