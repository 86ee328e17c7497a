"""Where the vendors' evidence lies, and a forge for certificate chains of our own."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

START, STOP = 1_700_000_000, 1_800_000_000


@pytest.fixture(scope="session")
def genuine() -> Path:
    """The folder of genuine, vendor-signed evidence."""
    default = Path(__file__).resolve().parents[4] / "shared"
    folder = Path(os.environ.get("BITWATT_SHARED", default)) / "attestation"
    if not folder.is_dir():
        pytest.skip("no shared attestation vectors: set BITWATT_SHARED")
    return folder


@dataclass(frozen=True)
class Identity:
    """A key and its certificate."""

    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def sign(self, data: bytes) -> tuple[int, int]:
        """r and s of ECDSA with SHA-384."""
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)
        return utils.decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA384())))


class Forge:
    """Makes certificates that are right in everything except what a test asks for."""

    start, stop = START, STOP

    def identity(
        self,
        name: str,
        issuer: Identity | None = None,
        authority: bool = True,
        start: int = START,
        stop: int = STOP,
        path_length: int | None = None,
        extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
    ) -> Identity:
        key = key or ec.generate_private_key(ec.SECP384R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.datetime.fromtimestamp(start, datetime.UTC))
            .not_valid_after(datetime.datetime.fromtimestamp(stop, datetime.UTC))
        )
        if authority:
            builder = builder.add_extension(x509.BasicConstraints(True, path_length), critical=True)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return Identity(key, builder.sign(issuer.key if issuer else key, hashes.SHA384()))


@pytest.fixture(scope="session")
def forge() -> Forge:
    return Forge()
