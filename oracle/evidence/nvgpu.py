"""NVIDIA GPUs (Hopper): the SPDM 1.1 attestation report of the GPU's security processor.

A report is the 37-byte GET_MEASUREMENTS request followed by the MEASUREMENTS response, with ECDSA P-384 over
all but the last 96 bytes by the device's attestation key. Its chain must end at the NVIDIA device root, which
is pinned as `roots/nvidia-device.pem`, the root that NVIDIA's own verifier ships, SHA-256
102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48. The boot ROM names the firmware that holds
the attestation key in the leaf; the report repeats it, and the two must agree.

The report is taken bare, in lower-case hexadecimal, or as NVIDIA's JSON: an object with "evidence" and
"certificate" in base64 and "nonce" in hexadecimal, or a list of these, which is every GPU of one machine
with one nonce and equal measurements. `collateral` is the PEM chain, leaf first, unless the JSON carries it.
A report states no time of signing.

`measurement` is SHA-384(firmware digest || measurement record), the same on every GPU with one firmware and
driver; `report_data` is the nonce of the request. The record is not compared with NVIDIA's signed reference
values (RIM): which measurements are good is the policy's to say.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509

from oracle.evidence.certificates import (
    Attested,
    Refused,
    Window,
    bounded,
    check_p384,
    check_path,
    from_pem,
    name_of,
    pinned,
    window,
)

KIND = "nvgpu"
ROOT = "nvidia-device"
MAX_EVIDENCE = 1024 * 1024
MAX_REPORT = MAX_COLLATERAL = 64 * 1024
MAX_GPUS = 16
REQUEST_BYTES, NONCE_BYTES, SIGNATURE_BYTES = 37, 32, 96
SPDM_1_1 = 0x11
GET_MEASUREMENTS, MEASUREMENTS = 0xE0, 0x60
SIGNED, ALL_MEASUREMENTS = 0x01, 0xFF
DMTF = 1
DIGEST_BYTES = 48
DRIVER_VERSION, VBIOS_VERSION, FIRMWARE_ID = 3, 6, 20
TCG_DICE_FIRMWARE = x509.ObjectIdentifier("2.23.133.5.4.1")
# DER of a SEQUENCE { OID sha384, OCTET STRING (48) }: how the leaf names its firmware.
SHA384_FIRMWARE = bytes.fromhex("303d0609608648016503040202" + "0430")


@dataclass(frozen=True)
class Report:
    """One GPU's report, taken apart. `measurements` is by index, `opaque` by NVIDIA's field number."""

    signed: bytes
    signature: bytes
    nonce: bytes
    record: bytes
    measurements: Mapping[int, bytes]
    opaque: Mapping[int, bytes]


@dataclass(frozen=True)
class _Gpu:
    report: Report
    chain: tuple[x509.Certificate, ...]


def attested(
    evidence: bytes, collateral: bytes | None, at: int, root: x509.Certificate | None = None
) -> Attested:
    """Check the report of one GPU, or of every GPU of one machine, at unix second `at`, under `root`.

    Raises Refused with field size, evidence, nonce, request, response, measurement, opaque, collateral,
    certificate <name>, root, signature or firmware.
    """
    gpus = _opened(evidence, collateral)
    windows = [_check(gpu, at, root or pinned(ROOT)) for gpu in gpus]
    first = gpus[0].report
    if len({(gpu.report.nonce, gpu.report.opaque[FIRMWARE_ID], gpu.report.record) for gpu in gpus}) != 1:
        raise Refused("evidence", "the GPUs of the list differ in nonce, firmware or measurements")
    if len({gpu.chain[0] for gpu in gpus}) != len(gpus):
        raise Refused("evidence", "one GPU stands in the list twice")
    return Attested(
        measurement=hashlib.sha384(first.opaque[FIRMWARE_ID] + first.record).digest(),
        report_data=first.nonce,
        signed_at=None,
        limits=Window(max(one.not_before for one in windows), min(one.not_after for one in windows)),
        status="UpToDate",
        forbidden="",
        details={
            "gpus": str(len(gpus)),
            "model": name_of(gpus[0].chain[1]),
            "driver": first.opaque.get(DRIVER_VERSION, b"").rstrip(b"\0").decode("ascii", "replace"),
            "vbios": _vbios(first.opaque.get(VBIOS_VERSION, b"")),
            "firmware": first.opaque[FIRMWARE_ID].hex(),
            "measurements": str(len(first.measurements)),
            "devices": ",".join(f"{gpu.chain[0].serial_number:x}" for gpu in gpus),
        },
    )


def stated_time(evidence: bytes, collateral: bytes | None = None) -> int:
    """The first unix second at which the whole chain is valid: a report itself states no time."""
    return max(window([*gpu.chain, pinned(ROOT)]).not_before for gpu in _opened(evidence, collateral))


def _check(gpu: _Gpu, at: int, root: x509.Certificate) -> Window:
    limits = check_path(gpu.chain, root, at)
    leaf, report = gpu.chain[0], gpu.report
    r, s = (int.from_bytes(half, "big") for half in (report.signature[:48], report.signature[48:]))
    check_p384("signature", leaf, r, s, report.signed)
    try:
        named = leaf.extensions.get_extension_for_oid(TCG_DICE_FIRMWARE).value.public_bytes()
    except x509.ExtensionNotFound:
        raise Refused("firmware", f"{name_of(leaf)!r} names no firmware") from None
    firmware = report.opaque.get(FIRMWARE_ID, b"")
    if len(firmware) != DIGEST_BYTES or not named.endswith(SHA384_FIRMWARE + firmware):
        raise Refused("firmware", "the report's firmware is not the one its certificate was issued for")
    return limits


def _opened(evidence: bytes, collateral: bytes | None) -> tuple[_Gpu, ...]:
    """Every report with its chain, from whichever of the forms `evidence` has."""
    bounded("size", evidence, MAX_EVIDENCE)
    if evidence.lstrip()[:1] in (b"{", b"["):
        return _from_json(evidence, collateral)
    if evidence[:1] != bytes((SPDM_1_1,)):
        digits = evidence.strip()
        if len(digits) % 2 or digits.strip(b"0123456789abcdef"):
            raise Refused("evidence", "neither an SPDM 1.1 report nor its hexadecimal form")
        evidence = binascii.unhexlify(digits)
    if collateral is None:
        raise Refused("collateral", "the report's certificate chain is missing", "give it as PEM, leaf first")
    return (_Gpu(_report(evidence), _chain(collateral)),)


def _from_json(evidence: bytes, collateral: bytes | None) -> tuple[_Gpu, ...]:
    try:
        found = json.loads(evidence)
    except (ValueError, RecursionError):
        raise Refused("evidence", "not JSON") from None
    entries = found if isinstance(found, list) else [found]
    if not 1 <= len(entries) <= MAX_GPUS:
        raise Refused("evidence", f"{len(entries)} GPUs, allowed are 1 to {MAX_GPUS}")
    gpus = []
    for entry in entries:
        try:
            report = _report(base64.b64decode(entry["evidence"], validate=True))
            chain = collateral or base64.b64decode(entry["certificate"], validate=True)
            nonce = bytes.fromhex(entry["nonce"])
        except Refused:
            raise
        except (ValueError, KeyError, TypeError):
            raise Refused("evidence", 'an entry lacks "evidence", "certificate" or "nonce"') from None
        if nonce != report.nonce:
            raise Refused("nonce", "the entry names another nonce than the one its GPU signed")
        gpus.append(_Gpu(report, _chain(chain)))
    return tuple(gpus)


def _chain(pem: bytes) -> tuple[x509.Certificate, ...]:
    chain = from_pem("collateral", bounded("collateral", pem, MAX_COLLATERAL))
    if len(chain) < 2:
        raise Refused("collateral", "only one certificate", "give the whole chain as PEM, leaf first")
    return chain


def _report(data: bytes) -> Report:
    """A bare report taken apart; raises Refused with field size, request, response, measurement or opaque."""
    bounded("size", data, MAX_REPORT)
    if len(data) < REQUEST_BYTES + 8:
        raise Refused("request", f"truncated: {len(data)} bytes")
    request, response = data[:REQUEST_BYTES], data[REQUEST_BYTES:]
    slot = request[-1]
    if request[:4] != bytes((SPDM_1_1, GET_MEASUREMENTS, SIGNED, ALL_MEASUREMENTS)):
        raise Refused("request", "does not ask SPDM 1.1 for all measurements, signed")
    if response[:2] != bytes((SPDM_1_1, MEASUREMENTS)) or response[3] & 0x0F != slot:
        raise Refused("response", "is not the SPDM 1.1 measurements of the slot that was asked")
    record_at, record_bytes = 8, int.from_bytes(response[5:8], "little")
    opaque_at = record_at + record_bytes + NONCE_BYTES + 2
    opaque_bytes = int.from_bytes(response[opaque_at - 2 : opaque_at], "little")
    if len(response) != opaque_at + opaque_bytes + SIGNATURE_BYTES:
        raise Refused("response", f"{len(response)} bytes do not fit the lengths it states")
    record = response[record_at : record_at + record_bytes]
    return Report(
        signed=data[:-SIGNATURE_BYTES],
        signature=data[-SIGNATURE_BYTES:],
        nonce=request[4:-1],
        record=record,
        measurements=_measurements(record, response[4]),
        opaque=_opaque(response[opaque_at : opaque_at + opaque_bytes]),
    )


def _measurements(record: bytes, count: int) -> dict[int, bytes]:
    """DMTF measurement blocks: index, specification 1, size; inside: type, size, SHA-384 digest."""
    found: dict[int, bytes] = {}
    block_bytes = 7 + DIGEST_BYTES
    if count == 0 or len(record) != count * block_bytes:
        raise Refused("measurement", f"{count} blocks do not fill {len(record)} bytes")
    for at in range(0, len(record), block_bytes):
        index, specification, size = record[at], record[at + 1], record[at + 2 : at + 4]
        inner = record[at + 5 : at + 7]
        if specification != DMTF or size != (3 + DIGEST_BYTES).to_bytes(2, "little") or index in found:
            raise Refused("measurement", f"block {index} repeats or is not a DMTF block of one digest")
        if inner != DIGEST_BYTES.to_bytes(2, "little"):
            raise Refused("measurement", f"block {index} does not hold a SHA-384 digest")
        found[index] = record[at + 7 : at + block_bytes]
    return found


def _opaque(data: bytes) -> dict[int, bytes]:
    """NVIDIA's fields: number, size, value; both of two bytes, little-endian."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        number, size = (int.from_bytes(data[at + i : at + i + 2], "little") for i in (0, 2))
        if at + 4 + size > len(data) or number in found:
            raise Refused("opaque", f"field {number} at offset {at} repeats or runs past the end")
        found[number] = data[at + 4 : at + 4 + size]
        at += 4 + size
    return found


def _vbios(value: bytes) -> str:
    """As the driver prints it: 00 9f 00 96 01 ... is 96.00.9F.00.01."""
    if len(value) != 8:
        return value.hex()
    return ".".join(f"{byte:02X}" for byte in (*reversed(value[:4]), value[4]))
