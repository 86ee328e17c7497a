"""X.509 paths up to a pinned vendor root, at an explicit time.

Web rules (names, lifetimes, key usages of TLS) do not fit device certificates, so the path rules of RFC 5280
that matter here are checked one by one; `cryptography` verifies every signature. Verification is offline and
repeatable, so no revocation list is fetched: a device is revoked by the measurement policy on chain.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

T = TypeVar("T", bound=x509.ExtensionType)
ROOTS = Path(__file__).parent / "roots"
MAX_PATH = 8
LAZY = ("version", "subject", "issuer", "extensions", "not_valid_before_utc", "not_valid_after_utc")
MALFORMED = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
READ_CRITICAL = frozenset({ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE})


class Refused(ValueError):
    """Evidence that does not hold: the offending part, what is wrong with it, what to do."""

    def __init__(self, field: str, problem: str, mend: str = "") -> None:
        self.field, self.problem, self.mend = field, problem, mend
        super().__init__(f"{field}: {problem}" + (f"; {mend}" if mend else ""))


@dataclass(frozen=True)
class Window:
    """Unix seconds, both inclusive, in which every certificate of a path is valid."""

    not_before: int
    not_after: int


@dataclass(frozen=True)
class Attested:
    """What genuine evidence says: bytes as the vendor signed them, times in unix seconds.

    `forbidden` is the reason why policy refuses genuine evidence (debug mode), empty when it does not.
    """

    measurement: bytes
    report_data: bytes
    signed_at: int | None
    limits: Window
    status: str
    forbidden: str
    details: dict[str, str]


def bounded(field: str, data: bytes, limit: int) -> bytes:
    """`data` when it has 1..limit bytes; raises Refused otherwise, before anything parses it."""
    if not 1 <= len(data) <= limit:
        raise Refused(field, f"{len(data)} bytes, allowed are 1 to {limit}")
    return data


def from_der(field: str, der: bytes) -> x509.Certificate:
    """One DER certificate; raises Refused on anything that is not exactly that."""
    try:
        with warnings.catch_warnings():
            # Of names that are too long, and of AMD, which numbers every VCEK 0: the signature decides.
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(der)
            for name in LAZY:  # parsed on first use only: a malformed part must show here, not later
                getattr(certificate, name)
            certificate.public_key()
    except MALFORMED as error:
        raise Refused(field, f"not an X.509 certificate ({error})") from None
    if not der.endswith(b"\0" + certificate.signature):  # a signature of whole bytes: no bits left over
        raise Refused(field, "not an X.509 certificate in DER (unused bits in its signature)")
    return certificate


def from_pem(field: str, pem: bytes) -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM bundle, or the one of a DER file; at most MAX_PATH. Raises Refused."""
    if not pem.lstrip().startswith(b"-----BEGIN CERTIFICATE-----"):
        return (from_der(field, pem),)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = x509.load_pem_x509_certificates(pem)
    except MALFORMED as error:
        raise Refused(field, f"not a PEM bundle of certificates ({error})") from None
    if pem.count(b"-----BEGIN ") != len(found) or len(found) > MAX_PATH:
        raise Refused(field, f"{len(found)} certificates read, expected 1 to {MAX_PATH} and nothing else")
    return tuple(from_der(field, one.public_bytes(Encoding.DER)) for one in found)


@cache
def pinned(name: str) -> x509.Certificate:
    """The certificate `roots/<name>.pem` that ships with this package."""
    return from_pem(f"roots/{name}.pem", (ROOTS / f"{name}.pem").read_bytes())[0]


def path_from(leaf: x509.Certificate, pool: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """`leaf` and its issuers by name, as far as `pool` has them (in any order), a self-signed one last."""
    path = [leaf]
    while len(path) <= MAX_PATH and path[-1].issuer != path[-1].subject:
        issuer = next((one for one in pool if one.subject == path[-1].issuer), None)
        if issuer is None:
            break
        path.append(issuer)
    return tuple(path)


def name_of(certificate: x509.Certificate) -> str:
    """The subject's common name, or its whole name when it has none."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def check_path(path: Sequence[x509.Certificate], root: x509.Certificate, at: int) -> Window:
    """Check `path` (leaf first, ending in `root` or just below it) at unix second `at`; returns its validity.

    Raises Refused with field `root` when the path does not reach the pinned root, else with the field
    `certificate <name>` of the one that is forged, may not issue, is expired or is not yet valid.
    """
    whole = list(path) if path[-1] == root else [*path, root]
    if len(whole) > MAX_PATH:
        raise Refused("root", f"the path has {len(whole)} certificates, allowed are {MAX_PATH}")
    if path[-1] != root and path[-1].issuer != root.subject:
        raise Refused("root", f"the path ends at {name_of(path[-1])!r}, not at the pinned {name_of(root)!r}")
    for below in range(len(whole) - 2, -1, -1):
        _check_link(whole[below], whole[below + 1], below)
    for one in reversed(whole):
        _check_time(one, at)
    return window(whole)


def window(path: Sequence[x509.Certificate]) -> Window:
    """The unix seconds in which all of `path` is valid (unchecked; `check_path` checks them)."""
    return Window(
        max(int(one.not_valid_before_utc.timestamp()) for one in path),
        min(int(one.not_valid_after_utc.timestamp()) for one in path),
    )


def _check_link(child: x509.Certificate, parent: x509.Certificate, below: int) -> None:
    """`parent` signed `child` and was allowed to, with `below` issuers between `child` and the leaf."""
    field = f"certificate {name_of(child)}"
    try:
        child.verify_directly_issued_by(parent)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        raise Refused(field, f"not signed by {name_of(parent)!r}") from None
    issuer = f"certificate {name_of(parent)}"
    basic = _extension(parent, x509.BasicConstraints)
    usage = _extension(parent, x509.KeyUsage)
    if basic is None or not basic.ca or (usage is not None and not usage.key_cert_sign):
        raise Refused(issuer, "is not allowed to issue certificates")
    if basic.path_length is not None and basic.path_length < below:
        raise Refused(issuer, f"may have {basic.path_length} issuers below it, has {below}")
    critical = {one.oid for one in child.extensions if one.critical}
    for oid in critical - READ_CRITICAL:
        raise Refused(field, f"has the critical extension {oid.dotted_string}, which nobody here reads")


def _check_time(certificate: x509.Certificate, at: int) -> None:
    field, limits = f"certificate {name_of(certificate)}", window([certificate])
    if at < limits.not_before:
        raise Refused(field, f"not yet valid at {at}, only from {limits.not_before}")
    if at > limits.not_after:
        raise Refused(field, f"expired at {limits.not_after}, before {at}")


def _extension(certificate: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def check_p384(field: str, leaf: x509.Certificate, r: int, s: int, signed: bytes) -> None:
    """ECDSA P-384 with SHA-384 over `signed` by the key of `leaf`; raises Refused(field) when it fails."""
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise Refused(f"certificate {name_of(leaf)}", "its key is not on the curve P-384")
    try:
        key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA384()))
    except (InvalidSignature, ValueError):
        raise Refused(field, f"does not verify with the key of {name_of(leaf)!r}") from None
