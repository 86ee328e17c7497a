"""Errors of the market: each names the field, the value found and how to mend it."""

from __future__ import annotations


class MarketError(ValueError):
    """Base of everything that can be wrong with a book, a solution or a request to clear."""


class BookError(MarketError):
    """A book breaks the order language.

    `field` is a dotted path such as `orders[0xab..].deadline_slot`.
    """

    def __init__(self, field: str, value: object, mend: str) -> None:
        super().__init__(f"{field} = {value!r}: {mend}")
        self.field, self.value, self.mend = field, value, mend


class SolutionError(MarketError):
    """A solution cannot be read, or does not belong to the book it is shown with."""

    def __init__(self, field: str, value: object, mend: str) -> None:
        super().__init__(f"{field} = {value!r}: {mend}")
        self.field, self.value, self.mend = field, value, mend


class MechanismError(MarketError):
    """The named mechanism does not exist, or cannot clear this book."""
