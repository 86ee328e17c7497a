"""The simulated trust root of development chains.

It issues what Intel's provisioning service and a quoting enclave issue: a PCK chain, TCB info, QE identity,
CRLs and version 3 SGX quotes, all well-formed and all signed, by keys that are printed in this file.
Nothing here proves anything about hardware; it lets development run the path of production with another
trust anchor. Keys, serial numbers and signatures are deterministic, so that the same day gives the same
bytes.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from oracle.wire.keys import DeviceKey

MEASUREMENTS = {
    "meter": hashlib.sha256(b"bitwatt/simulated-enclave/meter/1").digest(),
    "workload": hashlib.sha256(b"bitwatt/simulated-enclave/workload/1").digest(),
}
COLLATERAL_DAYS = 30

_FMSPC = bytes.fromhex("00b17a770000")
_PCE_ID = bytes(2)
_CPU_SVN = bytes((2,) * 16)
_PCE_SVN = 13
_MISC_SELECT = bytes(4)
_ATTRIBUTES = bytes((0x05,)) + bytes(7) + bytes((0xE7,)) + bytes(7)  # initialised, 64-bit, not debug
_SIGNER = hashlib.sha256(b"bitwatt/simulated-signer/1").digest()
_QE_PROD_ID, _QE_SVN = 1, 8
_QE_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_AUTH_DATA = bytes(range(32))
_SGX_OID = "1.2.840.113741.1.13.1"
_VALID = (datetime(2010, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, tzinfo=UTC))


def _key(name: str) -> DeviceKey:
    return DeviceKey.from_seed(f"bitwatt/simulated-root/1/{name}".encode())


def _private(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(_key(name).secret, ec.SECP256R1())


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "XX"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "BitWatt simulated, proves nothing"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


_ROOT, _CA, _TCB, _PCK = (
    "BitWatt Simulated Root CA",
    "BitWatt Simulated PCK Processor CA",
    "BitWatt Simulated TCB Signing",
    "BitWatt Simulated PCK Certificate",
)


def _certificate(subject: str, issuer: str, ca: int | None, extra: bytes | None = None) -> x509.Certificate:
    """A P-256 certificate; `ca` is the path length of an authority, None for a leaf."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(_private(subject).public_key())
        .serial_number(int.from_bytes(hashlib.sha256(subject.encode()).digest()[:15], "big") | 1)
        .not_valid_before(_VALID[0])
        .not_valid_after(_VALID[1])
        .add_extension(_authority_of(issuer), critical=False)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(_private(subject).public_key()), critical=False
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=ca is None,
                content_commitment=ca is None,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=ca is not None,
                crl_sign=ca is not None,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.BasicConstraints(ca=ca is not None, path_length=ca), critical=True)
    )
    if extra is not None:
        oid = x509.ObjectIdentifier(_SGX_OID)
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, extra), critical=False)
    return builder.sign(_private(issuer), hashes.SHA256(), ecdsa_deterministic=True)


def _authority_of(issuer: str) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(_private(issuer).public_key())


@cache
def _certificates() -> dict[str, x509.Certificate]:
    return {
        _ROOT: _certificate(_ROOT, _ROOT, 1),
        _CA: _certificate(_CA, _ROOT, 0),
        _TCB: _certificate(_TCB, _ROOT, None),
        _PCK: _certificate(_PCK, _CA, None, _sgx_extension()),
    }


@cache
def root_der() -> bytes:
    """The trust anchor of simulated evidence, a DER certificate."""
    return _certificates()[_ROOT].public_bytes(Encoding.DER)


@cache
def _chain(*names: str) -> str:
    return b"".join(_certificates()[name].public_bytes(Encoding.PEM) for name in names).decode()


# --- the PCK certificate's SGX extension ----------------------------------------
def _der(tag: int, body: bytes) -> bytes:
    size = len(body)
    head = bytes((size,)) if size < 128 else bytes((0x82,)) + size.to_bytes(2, "big")
    return bytes((tag,)) + head + body


def _oid(tail: str) -> bytes:
    der = bytes.fromhex("2a864886f84d010d01") + bytes(int(part) for part in tail.split(".") if part)
    return _der(0x06, der)


def _pair(tail: str, value: bytes) -> bytes:
    return _der(0x30, _oid(tail) + value)


def _integer(value: int) -> bytes:
    return _der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _sgx_extension() -> bytes:
    """SEQUENCE of (oid, value): PPID, TCB (16 component SVNs, PCESVN, CPUSVN), PCEID, FMSPC, SGX type."""
    parts = [_pair(f"2.{number + 1}", _integer(svn)) for number, svn in enumerate(_CPU_SVN)]
    parts += [_pair("2.17", _integer(_PCE_SVN)), _pair("2.18", _der(0x04, _CPU_SVN))]
    ppid = hashlib.sha256(b"bitwatt/simulated-platform/1").digest()[:16]
    return _der(
        0x30,
        _pair("1", _der(0x04, ppid))
        + _pair("2", _der(0x30, b"".join(parts)))
        + _pair("3", _der(0x04, _PCE_ID))
        + _pair("4", _der(0x04, _FMSPC))
        + _pair("5", _der(0x0A, b"\0")),
    )


# --- collateral -------------------------------------------------------------------
def _stamp(unix: int) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _revocations(issuer: str, issued_at: int) -> bytes:
    issued = datetime.fromtimestamp(issued_at, UTC)
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(_name(issuer))
        .last_update(issued)
        .next_update(issued + timedelta(days=COLLATERAL_DAYS))
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(_authority_of(issuer), critical=False)
        .sign(_private(issuer), hashes.SHA256(), ecdsa_deterministic=True)
    )
    return crl.public_bytes(Encoding.DER)


def collateral(issued_at: int, status: str = "UpToDate") -> bytes:
    """TCB info, QE identity, chains and CRLs valid for 30 days from `issued_at` (unix seconds), as JSON.

    `status` is the TCB status it states for the simulated platform.
    """
    window = {"issueDate": _stamp(issued_at), "nextUpdate": _stamp(issued_at + COLLATERAL_DAYS * 86_400)}
    tcb_info = json.dumps(
        {
            "id": "SGX",
            "version": 3,
            **window,
            "fmspc": _FMSPC.hex().upper(),
            "pceId": _PCE_ID.hex().upper(),
            "tcbType": 0,
            "tcbEvaluationDataNumber": 1,
            "tcbLevels": [
                {
                    "tcb": {"sgxtcbcomponents": [{"svn": svn} for svn in _CPU_SVN], "pcesvn": _PCE_SVN},
                    "tcbDate": _stamp(issued_at),
                    "tcbStatus": status,
                }
            ],
        },
        separators=(",", ":"),
    )
    qe_identity = json.dumps(
        {
            "id": "QE",
            "version": 2,
            **window,
            "tcbEvaluationDataNumber": 1,
            "miscselect": _MISC_SELECT.hex().upper(),
            "miscselectMask": "FFFFFFFF",
            "attributes": "11000000000000000000000000000000",
            "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
            "mrsigner": _SIGNER.hex().upper(),
            "isvprodid": _QE_PROD_ID,
            "tcbLevels": [
                {"tcb": {"isvsvn": _QE_SVN}, "tcbDate": _stamp(issued_at), "tcbStatus": "UpToDate"}
            ],
        },
        separators=(",", ":"),
    )
    document = {
        "pck_crl_issuer_chain": _chain(_CA, _ROOT),
        "root_ca_crl": _revocations(_ROOT, issued_at).hex(),
        "pck_crl": _revocations(_CA, issued_at).hex(),
        "tcb_info_issuer_chain": _chain(_TCB, _ROOT),
        "tcb_info": tcb_info,
        "tcb_info_signature": _key(_TCB).sign(tcb_info.encode()).hex(),
        "qe_identity_issuer_chain": _chain(_TCB, _ROOT),
        "qe_identity": qe_identity,
        "qe_identity_signature": _key(_TCB).sign(qe_identity.encode()).hex(),
    }
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


# --- quotes -------------------------------------------------------------------------
def _enclave_report(measurement: bytes, attributes: bytes, product: int, svn: int, data: bytes) -> bytes:
    """The 384 bytes of an SGX enclave report."""
    return b"".join(
        (
            _CPU_SVN,
            _MISC_SELECT,
            bytes(28),
            attributes,
            measurement,
            bytes(32),
            _SIGNER,
            bytes(96),
            product.to_bytes(2, "little"),
            svn.to_bytes(2, "little"),
            bytes(60),
            data.ljust(64, b"\0"),
        )
    )


def quote(report_data: bytes, measurement: bytes, debug: bool = False) -> bytes:
    """A version 3 SGX quote over 32 or 64 bytes of report data, of an enclave of that measurement."""
    attributes = bytes((_ATTRIBUTES[0] | (2 if debug else 0),)) + _ATTRIBUTES[1:]
    head = b"".join(
        (
            (3).to_bytes(2, "little"),
            (2).to_bytes(2, "little"),
            bytes(4),
            _QE_SVN.to_bytes(2, "little"),
            _PCE_SVN.to_bytes(2, "little"),
            _QE_VENDOR,
            bytes(20),
        )
    )
    body = head + _enclave_report(measurement, attributes, 0, 1, report_data)
    attestation_key = _key("attestation key")
    point = attestation_key.public.x + attestation_key.public.y
    binding = hashlib.sha256(point + _AUTH_DATA).digest()
    quoting = hashlib.sha256(b"bitwatt/simulated-quoting-enclave/1").digest()
    qe_attributes = bytes((0x15,)) + _ATTRIBUTES[1:]
    qe_report = _enclave_report(quoting, qe_attributes, _QE_PROD_ID, _QE_SVN, binding)
    chain = _chain(_PCK, _CA, _ROOT).encode()
    signature = b"".join(
        (
            attestation_key.sign(body),
            point,
            qe_report,
            _key(_PCK).sign(qe_report),
            len(_AUTH_DATA).to_bytes(2, "little"),
            _AUTH_DATA,
            (5).to_bytes(2, "little"),
            len(chain).to_bytes(4, "little"),
            chain,
        )
    )
    return body + len(signature).to_bytes(4, "little") + signature
