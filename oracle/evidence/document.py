"""The evidence document of a device: a quote and everything that binds it to one key, in deterministic CBOR.

evidenceHash on chain is the document's sha256; the collateral is named by its own sha256 and archived once
for all the devices that share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from oracle.wire import cbor
from oracle.wire.attestation import report_data
from oracle.wire.errors import WireError
from oracle.wire.keys import sha256

DOMAIN = "bitwatt/evidence/1"
KINDS = ("simulated", "tdx", "sgx", "snp", "nitro", "nvgpu")  # the index is evidenceKind on chain


def kind_number(kind: str) -> int:
    """evidenceKind on chain; raises WireError for a kind nobody knows."""
    if kind not in KINDS:
        raise WireError("evidence.kind", f"{kind!r} is not a kind", f"kinds are {', '.join(KINDS)}")
    return KINDS.index(kind)


@dataclass(frozen=True, slots=True)
class EvidenceDocument:
    """One device key's evidence; `collateral_hash` is sha256 of the archived collateral, zero without one."""

    kind: str
    chain_id: int
    meter_id: int
    x: bytes
    y: bytes
    nonce: bytes
    evidence: bytes
    collateral_hash: bytes

    def report_data(self) -> bytes:
        """The 32 bytes the quote must carry."""
        return report_data(self.x, self.y, self.nonce, self.meter_id)

    def encode(self) -> bytes:
        """Deterministic CBOR."""
        fields = (
            DOMAIN,
            kind_number(self.kind),
            self.chain_id,
            self.meter_id,
            self.x,
            self.y,
            self.nonce,
            self.evidence,
            self.collateral_hash,
        )
        return cbor.encode(dict(enumerate(fields)))

    def hash(self) -> bytes:
        """evidenceHash."""
        return sha256(self.encode())


def is_document(data: bytes) -> bool:
    """Whether `data` begins as an evidence document rather than as bare evidence."""
    return data.startswith(cbor.head(5, 9) + b"\0" + cbor.encode(DOMAIN))


def decode_document(data: bytes) -> EvidenceDocument:
    """The document in `data`; raises WireError."""
    if not is_document(data):
        raise WireError("evidence", f"does not begin as a {DOMAIN!r} document")
    table = cbor.decode(data)
    assert isinstance(table, dict)
    kind = _number(table, 1)
    if kind >= len(KINDS):
        raise WireError("evidence.kind", f"{kind} is not a kind")
    return EvidenceDocument(
        KINDS[kind],
        _number(table, 2),
        _number(table, 3),
        _word(table, 4, "x"),
        _word(table, 5, "y"),
        _word(table, 6, "nonce"),
        _bytes(table, 7, "evidence"),
        _word(table, 8, "collateral_hash"),
    )


def _number(table: Mapping[int, cbor.Value], key: int) -> int:
    value = table.get(key)
    if not isinstance(value, int):
        raise WireError("evidence", f"key {key} holds no integer")
    return value


def _bytes(table: Mapping[int, cbor.Value], key: int, name: str) -> bytes:
    value = table.get(key)
    if not isinstance(value, bytes):
        raise WireError(f"evidence.{name}", "is no byte string")
    return value


def _word(table: Mapping[int, cbor.Value], key: int, name: str) -> bytes:
    value = _bytes(table, key, name)
    if len(value) != 32:
        raise WireError(f"evidence.{name}", f"{len(value)} bytes where 32 are due")
    return value
