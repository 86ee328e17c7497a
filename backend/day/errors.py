"""What can be wrong with a day's input: a row (refused, the rest goes on) or a whole file or option."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RefusedRow:
    """One row that was not used, with the place, the reason and the mend."""

    file: str
    line: int
    field: str
    value: str
    reason: str
    mend: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}={self.value!r}: {self.reason}; {self.mend}"


class RowError(ValueError):
    """A row breaks a rule. Readers turn it into a `RefusedRow` and go on."""

    def __init__(self, field: str, value: object, reason: str, mend: str) -> None:
        self.field = field
        self.value = str(value)
        self.reason = reason
        self.mend = mend
        super().__init__(f"{field}={self.value!r}: {reason}; {mend}")


class DataFileError(ValueError):
    """A file or option as a whole cannot be used: nothing of the day can go on without it."""

    def __init__(self, where: str, field: str, reason: str, mend: str) -> None:
        self.where = where
        self.field = field
        self.reason = reason
        self.mend = mend
        super().__init__(f"{where}: {field}: {reason}; {mend}")
