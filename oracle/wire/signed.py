"""A report with signatures of members, and the proof that one member signed two of one epoch."""

from __future__ import annotations

from dataclasses import dataclass, fields

from oracle.wire import cbor
from oracle.wire.errors import SignatureError, WireError
from oracle.wire.keys import recover
from oracle.wire.typed import TOTALS, Report, digest

SIGNATURE_BYTES = 65
MAX_SIGNATURES = 256


@dataclass(frozen=True, slots=True)
class SignedReport:
    """`signatures` are 65 bytes each, in any number and order."""

    report: Report
    signatures: bytes

    def encode(self) -> bytes:
        """Deterministic CBOR."""
        values = [getattr(self.report, item.name) for item in fields(Report)]
        return cbor.encode([[list(v) if isinstance(v, tuple) else v for v in values], self.signatures])

    def signers(self, separator: bytes) -> dict[str, bytes]:
        """Signature by signer, whoever that is; what no key made is left out."""
        due = digest(separator, self.report.struct_hash())
        found = {}
        for at in range(0, len(self.signatures), SIGNATURE_BYTES):
            signature = self.signatures[at : at + SIGNATURE_BYTES]
            try:
                found[recover(due, signature)] = signature
            except SignatureError:
                continue
        return found


def decode_signed_report(data: bytes) -> SignedReport:
    """Raises WireError."""
    match cbor.decode(data):
        case [list(values), bytes(signatures)] if len(values) == len(fields(Report)):
            return SignedReport(_report(values), _signatures(signatures))
    raise WireError("report", "has not the shape of a signed report")


def _signatures(data: bytes) -> bytes:
    if len(data) % SIGNATURE_BYTES or len(data) > SIGNATURE_BYTES * MAX_SIGNATURES:
        raise WireError("report.signatures", f"{len(data)} bytes are no signatures")
    return data


def _report(values: list[cbor.Value]) -> Report:
    table: dict[str, object] = {}
    for item, value in zip(fields(Report), values, strict=True):
        if item.name == "totals":
            whole = isinstance(value, list) and len(value) == TOTALS and all(type(v) is int for v in value)
            if not whole:
                raise WireError("report.totals", f"are not {TOTALS} integers")
            table[item.name] = tuple(value)  # type: ignore[arg-type]
        elif isinstance(value, bytes if item.type == "bytes" else int) and _fits(value):
            table[item.name] = value
        else:
            raise WireError(f"report.{item.name}", f"{value!r} is of another kind")
    return Report(**table)  # type: ignore[arg-type]


def _fits(value: cbor.Value) -> bool:
    return not isinstance(value, bytes) or len(value) == 32


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Two reports of one feed and epoch under one member's signatures: what `proveEquivocation` takes."""

    member: str
    first: Report
    first_signature: bytes
    second: Report
    second_signature: bytes

    def arguments(self) -> tuple[object, ...]:
        """The arguments of DeliveryOracle.proveEquivocation."""
        first, second = self.first.abi_tuple(), self.second.abi_tuple()
        return first, self.first_signature, second, self.second_signature

    def encode(self) -> bytes:
        """Deterministic CBOR, the form in which it is kept and passed on."""
        first = SignedReport(self.first, self.first_signature).encode()
        return cbor.encode([first, SignedReport(self.second, self.second_signature).encode()])


def conflict(first: SignedReport, second: SignedReport, separator: bytes) -> list[Equivocation]:
    """Every signer of both, if they are two reports of one feed and epoch."""
    a, b = first.report, second.report
    if (a.feed_id, a.epoch) != (b.feed_id, b.epoch) or a.struct_hash() == b.struct_hash():
        return []
    left, right = first.signers(separator), second.signers(separator)
    both = sorted(left.keys() & right.keys())
    return [Equivocation(member, a, left[member], b, right[member]) for member in both]


def decode_equivocation(data: bytes, separator: bytes) -> Equivocation:
    """The proof in `data`; raises WireError unless one signer made both signatures."""
    match cbor.decode(data):
        case [bytes(first), bytes(second)]:
            found = conflict(decode_signed_report(first), decode_signed_report(second), separator)
            if len(found) == 1:
                return found[0]
            raise WireError("equivocation", "nobody signed two different reports of one epoch here")
    raise WireError("equivocation", "has not the shape of a proof")
