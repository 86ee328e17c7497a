"""NVIDIA GPU reports: genuine ones, and every way to be refused."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from oracle.evidence import nvgpu
from oracle.evidence.certificates import Refused, pinned

REPORT = "nvtrust/hopperAttestationReport.txt"
CHAIN = "nvtrust/hopperCertChain.txt"
MACHINE = "nvtrust/gpu_evidence.json"
CLAIMS = "dstack/dstack__dstack-util__tests__fixtures__gpu_attestation_h100.json"
VENDOR_ROOT = "nvtrust/verifier_device_root.pem"
AT = 1_790_000_000
FORGED_AT = 1_750_000_000
CHAIN_VALID_FROM = 1646092800
RECORD_AT, RECORD_BYTES = 37 + 8, 3520
NONCE_AT = RECORD_AT + RECORD_BYTES
OPAQUE_AT = NONCE_AT + 32 + 2


@dataclass(frozen=True)
class Vector:
    text: bytes
    report: bytes
    chain: bytes


@pytest.fixture
def gpu(genuine: Path) -> Vector:
    text = (genuine / REPORT).read_bytes()
    return Vector(text, bytes.fromhex(text.decode()), (genuine / CHAIN).read_bytes())


@pytest.fixture
def machine(genuine: Path) -> list[dict[str, str]]:
    entries: list[dict[str, str]] = json.loads((genuine / MACHINE).read_bytes())
    return entries


def refusal(evidence: bytes, collateral: bytes | None, at: int = AT, **options: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        nvgpu.attested(evidence, collateral, at, **options)
    return caught.value


def flipped(data: bytes, at: int, mask: int = 0x01) -> bytes:
    at %= len(data)
    return data[:at] + bytes((data[at] ^ mask,)) + data[at + 1 :]


class TestGenuine:
    def test_it_says_what_the_report_says(self, gpu: Vector) -> None:
        found = nvgpu.attested(gpu.text, gpu.chain, AT)
        assert found.forbidden == "" and found.signed_at is None
        # nonce, versions and model as NVIDIA's own verifier states them for this sample
        assert found.report_data.hex() == "931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb"
        assert found.details["driver"] == "550.90.07"
        assert found.details["vbios"] == "96.00.9F.00.01"
        assert found.details["model"] == "GH100 A01 GSP BROM"
        assert int(found.details["devices"], 16) == 0x53C22BA15E5D68088282DA074ED9FB37AA585771
        assert found.limits.not_before == CHAIN_VALID_FROM

    def test_the_measurement_covers_firmware_and_record(self, gpu: Vector) -> None:
        firmware = gpu.report[OPAQUE_AT:-96].split(bytes((20, 0, 48, 0)))[1][:48]
        record = gpu.report[RECORD_AT : RECORD_AT + RECORD_BYTES]
        found = nvgpu.attested(gpu.report, gpu.chain, AT)
        assert found.measurement == hashlib.sha384(firmware + record).digest()

    def test_hexadecimal_or_bare(self, gpu: Vector) -> None:
        expected = nvgpu.attested(gpu.text, gpu.chain, AT)
        assert nvgpu.attested(gpu.report, gpu.chain, AT) == expected
        assert nvgpu.attested(gpu.text + b"\n", gpu.chain, AT) == expected

    def test_signed_means_from_when_the_chain_is_valid(self, gpu: Vector) -> None:
        assert nvgpu.stated_time(gpu.text, gpu.chain) == CHAIN_VALID_FROM
        assert nvgpu.attested(gpu.text, gpu.chain, CHAIN_VALID_FROM).forbidden == ""

    def test_a_machine_of_eight(self, machine: list[dict[str, str]]) -> None:
        evidence = json.dumps(machine).encode()
        found = nvgpu.attested(evidence, None, AT)
        assert found.details["gpus"] == "8" and len(set(found.details["devices"].split(","))) == 8
        assert found.report_data.hex() == machine[0]["nonce"]
        assert found.measurement == nvgpu.attested(json.dumps(machine[3]).encode(), None, AT).measurement

    def test_another_driver_is_another_measurement(self, gpu: Vector, machine: list[dict[str, str]]) -> None:
        one = nvgpu.attested(json.dumps(machine[0]).encode(), None, AT)
        assert one.measurement != nvgpu.attested(gpu.text, gpu.chain, AT).measurement

    def test_the_pinned_root_is_the_vendors(self, genuine: Path) -> None:
        root = pinned(nvgpu.ROOT)
        assert root == x509.load_pem_x509_certificate((genuine / VENDOR_ROOT).read_bytes())
        published = "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"
        assert root.fingerprint(hashes.SHA256()).hex() == published

    def test_unsigned_claims_of_a_verifier_are_not_evidence(self, genuine: Path) -> None:
        assert refusal((genuine / CLAIMS).read_bytes(), None).field == "evidence"


class TestFlippedBytes:
    REGIONS = (
        ("version", 0, "evidence"),
        ("request code", 1, "request"),
        ("request attributes", 2, "request"),
        ("measurements asked for", 3, "request"),
        ("nonce asked", 4, "signature"),
        ("slot", 36, "response"),
        ("response version", 37, "response"),
        ("response code", 38, "response"),
        ("block count", 41, "measurement"),
        ("record length", 42, "response"),
        ("block index", RECORD_AT, "signature"),
        ("block specification", RECORD_AT + 1, "measurement"),
        ("block size", RECORD_AT + 2, "measurement"),
        ("digest type", RECORD_AT + 4, "signature"),
        ("digest size", RECORD_AT + 5, "measurement"),
        ("a digest", RECORD_AT + 70, "signature"),
        ("nonce answered", NONCE_AT, "signature"),
        ("opaque length", NONCE_AT + 32, "response"),
        ("opaque field size", OPAQUE_AT + 2, "opaque"),
        ("board", OPAQUE_AT + 17, "signature"),
        ("r", -96, "signature"),
        ("s", -48, "signature"),
        ("last byte", -1, "signature"),
    )

    @pytest.mark.parametrize(("region", "at", "field"), REGIONS, ids=[r[0] for r in REGIONS])
    def test_each_region_has_its_reason(self, gpu: Vector, region: str, at: int, field: str) -> None:
        mask = 0x40 if region == "block index" else 0x01
        assert refusal(flipped(gpu.report, at, mask), gpu.chain).field == field, region

    def test_no_byte_of_the_report_can_change(self, gpu: Vector) -> None:
        for at in range(0, len(gpu.report), 29):
            refusal(flipped(gpu.report, at), gpu.chain)

    @pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
    def test_no_digit_of_the_text_can_change(self, gpu: Vector, mask: int) -> None:
        for at in range(0, len(gpu.text), 101):
            refusal(flipped(gpu.text, at, mask), gpu.chain)


class TestChain:
    def test_none(self, gpu: Vector) -> None:
        refused = refusal(gpu.report, None)
        assert refused.field == "collateral" and refused.mend

    def test_the_leaf_alone(self, gpu: Vector) -> None:
        leaf = gpu.chain.split(b"-----END CERTIFICATE-----")[0] + b"-----END CERTIFICATE-----\n"
        assert refusal(gpu.report, leaf).problem == "only one certificate"

    def test_without_its_root_it_still_reaches_the_pinned_one(self, gpu: Vector) -> None:
        end = b"-----END CERTIFICATE-----\n"
        parts = gpu.chain.split(end)
        assert nvgpu.attested(gpu.report, end.join(parts[:4]) + end, AT).forbidden == ""

    def test_a_gap_in_it(self, gpu: Vector) -> None:
        end = b"-----END CERTIFICATE-----\n"
        parts = gpu.chain.split(end)
        refused = refusal(gpu.report, end.join(parts[:1] + parts[2:5]) + end)
        assert (refused.field, refused.problem[:13]) == ("certificate GH100 A01 GSP FMC LF", "not signed by")

    def test_the_chain_of_another_gpu(self, gpu: Vector, machine: list[dict[str, str]]) -> None:
        assert refusal(gpu.report, base64.b64decode(machine[0]["certificate"])).field == "signature"

    def test_no_byte_of_a_certificate_can_change(self, gpu: Vector) -> None:
        end = b"-----END CERTIFICATE-----\n"
        parts = [part + end for part in gpu.chain.split(end) if part.strip()]
        for number in range(4):
            der = ssl.PEM_cert_to_DER_cert(parts[number].decode())
            for at in range(0, len(der), 37):
                changed = ssl.DER_cert_to_PEM_cert(flipped(der, at)).encode()
                refusal(gpu.report, b"".join([*parts[:number], changed, *parts[number + 1 :]]))

    @pytest.mark.parametrize(
        "hostile", [b"", b"\x30\x84\x7f\xff\xff\xff", b"-----BEGIN CERTIFICATE-----\n" * 9]
    )
    def test_hostile_chains(self, gpu: Vector, hostile: bytes) -> None:
        assert refusal(gpu.report, hostile).field == "collateral"

    def test_not_yet_valid(self, gpu: Vector) -> None:
        refused = refusal(gpu.report, gpu.chain, CHAIN_VALID_FROM - 1)
        assert refused.field == "certificate NVIDIA GH100 Provisioner ICA 1"
        assert refused.problem.startswith("not yet valid")


class TestShape:
    def test_truncated_anywhere(self, gpu: Vector) -> None:
        for size in (*range(0, 60), *range(60, len(gpu.report), 83)):
            refusal(gpu.report[:size], gpu.chain)
        for size in range(0, len(gpu.text), 163):
            refusal(gpu.text[:size], gpu.chain)

    def test_trailing_garbage(self, gpu: Vector) -> None:
        assert refusal(gpu.report + b"\0", gpu.chain).field == "response"
        assert refusal(gpu.text + b"00", gpu.chain).field == "response"
        assert refusal(gpu.text + b"zz", gpu.chain).field == "evidence"

    def test_a_huge_message_is_refused_by_its_size(self, gpu: Vector) -> None:
        assert refusal(b"\x11" * 10_000_000, gpu.chain).field == "size"
        assert refusal(b"\x11" * 100_000, gpu.chain).field == "size"

    @pytest.mark.parametrize(
        "hostile",
        [
            b"{",
            b"[",
            b"{}",
            b"[]",
            b"[1]",
            b'["x"]',
            b"[" * 60_000,
            b'{"evidence": "?"}',
            b'{"evidence": null}',
        ],
    )
    def test_hostile_json(self, hostile: bytes) -> None:
        assert refusal(hostile, None).field == "evidence"


class TestMachine:
    def test_a_nonce_that_is_not_the_signed_one(self, machine: list[dict[str, str]]) -> None:
        machine[5]["nonce"] = "00" * 32
        assert refusal(json.dumps(machine).encode(), None).field == "nonce"

    def test_one_bad_gpu_spoils_the_machine(self, machine: list[dict[str, str]]) -> None:
        report = base64.b64decode(machine[7]["evidence"])
        machine[7]["evidence"] = base64.b64encode(flipped(report, -1)).decode()
        assert refusal(json.dumps(machine).encode(), None).field == "signature"

    def test_one_gpu_twice(self, machine: list[dict[str, str]]) -> None:
        assert "twice" in refusal(json.dumps([machine[0], machine[0]]).encode(), None).problem

    def test_too_many(self, machine: list[dict[str, str]]) -> None:
        assert refusal(json.dumps(machine * 3).encode(), None).problem.startswith("24 GPUs")

    def test_gpus_of_two_machines(self, gpu: Vector, machine: list[dict[str, str]]) -> None:
        other = {
            "evidence": base64.b64encode(gpu.report).decode(),
            "certificate": base64.b64encode(gpu.chain).decode(),
            "nonce": gpu.report[4:36].hex(),
        }
        assert "differ" in refusal(json.dumps([machine[0], other]).encode(), None).problem


FIRMWARE, NONCE = b"\x05" * 48, b"\x09" * 32


class TestForged:
    """Reports that a chain of our own signs: each is right except for one thing."""

    def chain(self, forge: Any, named: bytes | None = FIRMWARE, **leaf: Any) -> Any:
        root = forge.identity("root")
        rom = forge.identity("GH100 BROM", root)
        extensions = ()
        if named is not None:
            value = b"\x30\x81\xba" + nvgpu.SHA384_FIRMWARE + named
            extensions = ((x509.UnrecognizedExtension(nvgpu.TCG_DICE_FIRMWARE, value), False),)
        return root, rom, forge.identity("FMC", rom, authority=False, extensions=extensions, **leaf)

    def report(
        self, signer: Any, opaque: bytes | None = None, blocks: int = 2, repeat: bool = False
    ) -> bytes:
        record = b"".join(
            bytes((1 if repeat else i + 1, 1, 51, 0, 1, 48, 0)) + bytes((i,)) * 48 for i in range(blocks)
        )
        if opaque is None:
            opaque = bytes((20, 0, 48, 0)) + FIRMWARE
        signed = b"".join(
            (
                bytes((0x11, 0xE0, 1, 0xFF)) + NONCE + b"\0",
                bytes((0x11, 0x60, 0, 0, blocks)) + len(record).to_bytes(3, "little") + record,
                bytes(32) + len(opaque).to_bytes(2, "little") + opaque,
            )
        )
        r, s = signer.sign(signed)
        return signed + r.to_bytes(48, "big") + s.to_bytes(48, "big")

    def test_a_right_one_passes_under_its_own_root_only(self, forge: Any) -> None:
        root, rom, leaf = self.chain(forge)
        evidence = self.report(leaf)
        found = nvgpu.attested(evidence, leaf.pem + rom.pem, FORGED_AT, root=root.certificate)
        assert (found.report_data, found.details["measurements"]) == (NONCE, "2")
        assert refusal(evidence, leaf.pem + rom.pem, FORGED_AT).field == "root"
        assert refusal(evidence, leaf.pem + rom.pem + root.pem, FORGED_AT).field == "root"

    @pytest.mark.parametrize("named", [None, b"\x06" * 48, FIRMWARE + b"\0"])
    def test_firmware_the_leaf_was_not_issued_for(self, forge: Any, named: bytes | None) -> None:
        root, rom, leaf = self.chain(forge, named)
        refused = refusal(self.report(leaf), leaf.pem + rom.pem, FORGED_AT, root=root.certificate)
        assert refused.field == "firmware"

    @pytest.mark.parametrize("named", [FIRMWARE, b""])
    def test_a_report_without_its_firmware(self, forge: Any, named: bytes) -> None:
        root, rom, leaf = self.chain(forge, named)
        evidence = self.report(leaf, opaque=b"")
        assert refusal(evidence, leaf.pem + rom.pem, FORGED_AT, root=root.certificate).field == "firmware"

    @pytest.mark.parametrize("opaque", [b"\1", b"\1\0\5\0", b"\1\0\0\0\1\0\0\0", b"\1\0\xff\xff"])
    def test_hostile_opaque_fields(self, forge: Any, opaque: bytes) -> None:
        root, rom, leaf = self.chain(forge)
        evidence = self.report(leaf, opaque=opaque)
        assert refusal(evidence, leaf.pem + rom.pem, FORGED_AT, root=root.certificate).field == "opaque"

    @pytest.mark.parametrize(("blocks", "repeat"), [(0, False), (2, True)])
    def test_hostile_measurements(self, forge: Any, blocks: int, repeat: bool) -> None:
        root, rom, leaf = self.chain(forge)
        evidence = self.report(leaf, blocks=blocks, repeat=repeat)
        assert refusal(evidence, leaf.pem + rom.pem, FORGED_AT, root=root.certificate).field == "measurement"

    def test_an_expired_leaf(self, forge: Any) -> None:
        root, rom, leaf = self.chain(forge, stop=1_740_000_000)
        refused = refusal(self.report(leaf), leaf.pem + rom.pem, FORGED_AT, root=root.certificate)
        assert (refused.field, refused.problem[:7]) == ("certificate FMC", "expired")

    def test_signed_by_another_gpu(self, forge: Any) -> None:
        root, rom, leaf = self.chain(forge)
        evidence = self.report(self.chain(forge)[2])
        assert refusal(evidence, leaf.pem + rom.pem, FORGED_AT, root=root.certificate).field == "signature"
