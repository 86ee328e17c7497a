"""The envelope in which the dstack guest agent hands out platform evidence (SCALE, version 0).

Only what the vendor signed counts. The envelope itself is unsigned: its event log and configuration are read
past, and its report data must repeat what the signed document says. The reader is strict: every length is
checked and nothing may follow the last field.
"""

from __future__ import annotations

from dataclasses import dataclass

from oracle.evidence.certificates import Refused

VERSION_0 = 0
NITRO, SNP = 2, 3
FIELD = "envelope"


@dataclass(frozen=True)
class Envelope:
    """What the vendor signed, the PEM or DER certificates beside it, and the 64 bytes of report data."""

    document: bytes
    certificates: tuple[bytes, ...]
    report_data: bytes


class _Reader:
    """A cursor over SCALE bytes that refuses to run past the end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise Refused(FIELD, f"truncated: {count} bytes expected at offset {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count : self.at]

    def compact(self) -> int:
        """A SCALE compact integer below 2**30."""
        first = self.take(1)[0]
        mode = first & 3
        if mode == 3:
            raise Refused(FIELD, f"a length of more than four bytes at offset {self.at - 1}")
        return int.from_bytes(bytes((first,)) + self.take((1 << mode) - 1), "little") >> 2

    def blob(self) -> bytes:
        return self.take(self.compact())


def is_envelope(evidence: bytes) -> bool:
    """Whether `evidence` starts like an envelope of one of the two kinds read here."""
    return evidence[:2] in (bytes((VERSION_0, NITRO)), bytes((VERSION_0, SNP)))


def unwrap(evidence: bytes, variant: int) -> Envelope:
    """The parts of a version 0 envelope of `variant` (NITRO or SNP); raises Refused("envelope", ...)."""
    reader = _Reader(evidence)
    version, found = reader.take(2)
    if version != VERSION_0 or found != variant:
        raise Refused(FIELD, f"version {version} variant {found}, expected version 0 variant {variant}")
    document = reader.blob()
    certificates: list[bytes] = []
    if variant == SNP:
        certificates = [reader.blob() for _ in range(reader.compact())]
        reader.blob()  # configuration document, bound by HOST_DATA
    for _ in range(reader.compact()):  # event log: name and payload
        reader.blob(), reader.blob()
    report_data = reader.take(64)
    reader.blob()  # configuration
    if reader.at != len(evidence):
        raise Refused(FIELD, f"{len(evidence) - reader.at} bytes follow the last field")
    return Envelope(document, tuple(certificates), report_data)
