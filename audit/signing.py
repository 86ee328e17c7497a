"""The auditor's own key (EC P-256 with a self-signed certificate, one PEM file) and signed JSON reports.

A reader who trusts the auditor compares the certificate's fingerprint; nobody else has to be asked.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from audit.archive import parse_json

VALID_DAYS = 3650
ES256 = ec.ECDSA(hashes.SHA256())


class KeyFileError(Exception):
    """The key file cannot be used; says which file and how to make a good one."""


class ReportForged(Exception):
    """A signed report does not carry a valid signature; says why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The auditor's private key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def pem(self) -> tuple[bytes, bytes]:
        """(private key, certificate) as PEM."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key, self.certificate.public_bytes(serialization.Encoding.PEM)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, in hex: what a reader compares."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def create_identity(name: str) -> Identity:
    """A new key with a certificate for `name`, valid for ten years from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Identity(key, certificate)


def write_identity(identity: Identity, path: Path) -> None:
    """Writes key and certificate, readable by the owner only; an existing file is never replaced."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path} exists; choose another name or remove it yourself") from None
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"".join(identity.pem()))


def load_identity(path: Path) -> Identity:
    """The identity in a PEM file; raises KeyFileError."""
    make = "make one with `bitwatt audit key --out FILE`"
    try:
        content = path.read_bytes()
        key = serialization.load_pem_private_key(content, None)
        certificate = x509.load_pem_x509_certificate(content)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}; {make}") from None
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{path} holds no PEM key with its certificate ({error}); {make}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise KeyFileError(f"{path} holds no EC P-256 key; {make}")
    if certificate.public_key() != key.public_key():
        raise KeyFileError(f"{path}: the certificate is of another key; {make}")
    return Identity(key, certificate)


def canonical(report: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: JSON with sorted keys and no spaces."""
    return json.dumps(report, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def sign_report(report: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    """{"report", "signature": {"algorithm", "certificate", "fingerprint", "value"}}."""
    value = identity.key.sign(canonical(report), ES256)
    signature = {
        "algorithm": "ES256",
        "certificate": identity.pem()[1].decode(),
        "fingerprint": fingerprint(identity.certificate),
        "value": base64.b64encode(value).decode(),
    }
    return {"report": dict(report), "signature": signature}


def verify_report(content: bytes) -> tuple[dict[str, Any], str]:
    """(report, fingerprint of the signer) of a signed JSON report; raises ReportForged."""
    document, problem = parse_json(content)
    if problem:
        raise ReportForged(problem)
    try:
        report, signature = document["report"], document["signature"]
        if signature["algorithm"] != "ES256":
            raise ReportForged(f"signature.algorithm is {signature['algorithm']!r}, not ES256")
        certificate = x509.load_pem_x509_certificate(signature["certificate"].encode())
        key = certificate.public_key()
        value = base64.b64decode(signature["value"], validate=True)
    except (KeyError, TypeError, ValueError, AttributeError, UnsupportedAlgorithm) as error:
        raise ReportForged(f"not a signed report: {type(error).__name__} {error}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ReportForged("the certificate holds no EC key")
    try:
        key.verify(value, canonical(report), ES256)
    except InvalidSignature:
        raise ReportForged("the signature does not fit the report: one of the two was changed") from None
    return report, fingerprint(certificate)
