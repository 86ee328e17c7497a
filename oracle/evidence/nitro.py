"""AWS Nitro Enclaves: the attestation document of the Nitro Security Module.

A COSE_Sign1 message (RFC 9052) over a CBOR map, signed with ES384 by a certificate that lives three hours.
Its chain must end at the AWS root. Pinned is `roots/aws-nitro-g1.pem`, of the SHA-256 that AWS publishes:
641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b.
The document is taken bare or in a dstack envelope. What it attests: `measurement` is PCR0, the whole image;
`report_data` is the document's user_data.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import cbor2
from cryptography import x509

from oracle.evidence import dstack
from oracle.evidence.certificates import (
    Attested,
    Refused,
    bounded,
    check_p384,
    check_path,
    from_der,
    pinned,
)

KIND = "nitro"
ROOT = "aws-nitro-g1"
MAX_EVIDENCE = 64 * 1024
MAX_CERTIFICATE = 1024
MAX_CABUNDLE = 6
MAX_OPTIONAL = 1024
MAX_DEPTH = 4
SIGNATURE_BYTES = 96
COSE_SIGN1_TAG = 0xD2
ES384_HEADER = cbor2.dumps({1: -35})
DIGEST = "SHA384"
PCR_BYTES = 48
IMAGE_PCRS = (0, 1, 2)


@dataclass(frozen=True)
class Document:
    """The signed fields, checked for type and size. `timestamp_ms` is unix milliseconds."""

    module_id: str
    timestamp_ms: int
    pcrs: Mapping[int, bytes]
    certificate: x509.Certificate
    cabundle: tuple[x509.Certificate, ...]
    public_key: bytes
    user_data: bytes
    nonce: bytes


def attested(
    evidence: bytes, collateral: bytes | None, at: int, root: x509.Certificate | None = None
) -> Attested:
    """Check a document at unix second `at`, under `root` (the pinned one unless given).

    It brings its own chain, so `collateral` must be None or empty.

    Raises Refused with field size, envelope, cose, document.<field>, certificate <name>, root or signature.
    """
    if collateral:
        raise Refused("collateral", "a Nitro document carries its own certificates", "leave it out")
    document, signed, signature = _opened(evidence)
    limits = check_path([document.certificate, *reversed(document.cabundle)], root or pinned(ROOT), at)
    r, s = int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big")
    check_p384("signature", document.certificate, r, s, signed)
    signed_at = document.timestamp_ms // 1000
    if not limits.not_before <= signed_at <= limits.not_after:
        raise Refused(
            "document.timestamp", f"{signed_at} is outside the life of the certificate that signed it"
        )
    debug = [index for index in IMAGE_PCRS if not any(document.pcrs.get(index, b""))]
    return Attested(
        measurement=document.pcrs.get(0, b""),
        report_data=document.user_data,
        signed_at=signed_at,
        limits=limits,
        status="Debug" if debug else "UpToDate",
        forbidden=f"debug mode: PCR{debug[0]} is zero, so no image is attested" if debug else "",
        details={
            "module_id": document.module_id,
            "public_key": document.public_key.hex(),
            "nonce": document.nonce.hex(),
            **{f"pcr{index}": value.hex() for index, value in sorted(document.pcrs.items()) if any(value)},
        },
    )


def stated_time(evidence: bytes, collateral: bytes | None = None) -> int:
    """The unix second at which the document says it was signed. Raises Refused when it cannot be read."""
    return _opened(evidence)[0].timestamp_ms // 1000


def _opened(evidence: bytes) -> tuple[Document, bytes, bytes]:
    """The document, the bytes that were signed and the signature."""
    bounded("size", evidence, MAX_EVIDENCE)
    envelope = dstack.unwrap(evidence, dstack.NITRO) if dstack.is_envelope(evidence) else None
    protected, payload, signature = _sign1(envelope.document if envelope else evidence)
    document = _document(payload)
    if envelope and document.user_data != envelope.report_data:
        raise Refused("envelope.report_data", "is not the user data that the document signs")
    return document, cbor2.dumps(["Signature1", protected, b"", payload]), signature


def _decode(field: str, data: bytes) -> object:
    """The one CBOR item that fills `data`: no trailing bytes, no repeated keys, nothing nested deep."""
    stream = io.BytesIO(data)
    try:
        item = cbor2.load(stream, max_depth=MAX_DEPTH, allow_duplicate_keys=False)
    except cbor2.CBORDecodeEOF:
        raise Refused(field, "truncated") from None
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise Refused(field, f"not CBOR ({str(error)[:80]})") from None
    if stream.tell() != len(data):
        raise Refused(field, f"{len(data) - stream.tell()} bytes follow the document")
    return item


def _sign1(message: bytes) -> tuple[bytes, bytes, bytes]:
    """Protected header, payload and signature of a COSE_Sign1 message that names ES384 and nothing else."""
    if message[:1] == bytes((COSE_SIGN1_TAG,)):
        message = message[1:]
    item = _decode("cose", message)
    if not isinstance(item, list) or len(item) != 4:
        raise Refused("cose", "not the four parts of a COSE_Sign1 message")
    protected, unprotected, payload, signature = item
    if protected != ES384_HEADER:
        raise Refused("cose.protected", "does not name ES384 alone")
    if unprotected != {}:
        raise Refused("cose.unprotected", "holds something, and nobody signed it")
    if not isinstance(payload, bytes) or not isinstance(signature, bytes):
        raise Refused("cose", "payload and signature are not byte strings")
    if len(signature) != SIGNATURE_BYTES:
        raise Refused("cose.signature", f"{len(signature)} bytes where {SIGNATURE_BYTES} are due")
    return ES384_HEADER, payload, signature


def _document(payload: bytes) -> Document:
    """The fields of the payload, each of the type and size AWS specifies."""
    fields = _decode("document", payload)
    if not isinstance(fields, dict):
        raise Refused("document", "not a map")
    module_id, timestamp, pcrs = (fields.get(name) for name in ("module_id", "timestamp", "pcrs"))
    if not isinstance(module_id, str) or not 0 < len(module_id) <= MAX_OPTIONAL:
        raise Refused("document.module_id", "not a text")
    if fields.get("digest") != DIGEST:
        raise Refused("document.digest", f"not {DIGEST}")
    if type(timestamp) is not int or not 0 < timestamp < 1 << 63:
        raise Refused("document.timestamp", "not unix milliseconds")
    if not isinstance(pcrs, dict) or not 1 <= len(pcrs) <= 32:
        raise Refused("document.pcrs", "not a map of 1 to 32 registers")
    for index, value in pcrs.items():
        if type(index) is not int or not 0 <= index < 32:
            raise Refused("document.pcrs", f"{str(index)[:20]!r} is no register")
        if not isinstance(value, bytes) or len(value) != PCR_BYTES:
            raise Refused("document.pcrs", f"register {index} does not have {PCR_BYTES} bytes")
    cabundle = fields.get("cabundle")
    if not isinstance(cabundle, list) or not 1 <= len(cabundle) <= MAX_CABUNDLE:
        raise Refused("document.cabundle", f"not a list of 1 to {MAX_CABUNDLE} certificates")
    return Document(
        module_id,
        timestamp,
        pcrs,
        _certificate("document.certificate", fields.get("certificate")),
        tuple(_certificate(f"document.cabundle[{i}]", der) for i, der in enumerate(cabundle)),
        *(_optional(fields, name) for name in ("public_key", "user_data", "nonce")),
    )


def _certificate(field: str, der: object) -> x509.Certificate:
    if not isinstance(der, bytes):
        raise Refused(field, "not a byte string")
    return from_der(field, bounded(field, der, MAX_CERTIFICATE))


def _optional(fields: Mapping[object, object], name: str) -> bytes:
    value = fields.get(name)
    if value is None:
        return b""
    if not isinstance(value, bytes) or len(value) > MAX_OPTIONAL:
        raise Refused(f"document.{name}", f"not a byte string of at most {MAX_OPTIONAL} bytes")
    return value
