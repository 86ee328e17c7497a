"""What the wire format refuses, by name."""

from __future__ import annotations


class WireError(ValueError):
    """Bytes or a value that the wire format refuses.

    `field` is the offending field, `problem` what is wrong with it, `mend` what to do instead.
    """

    def __init__(self, field: str, problem: str, mend: str = "") -> None:
        self.field, self.problem, self.mend = field, problem, mend
        super().__init__(f"{field}: {problem}" + (f"; {mend}" if mend else ""))


class TruncatedError(WireError):
    """The bytes end before the value does."""


class NotCanonicalError(WireError):
    """The bytes decode, but are not the one deterministic encoding of their value."""


class SignatureError(WireError):
    """A signature that is malformed, malleable or of another key."""
