"""What can go wrong in a use case, as types. The API turns them into problem bodies in one place."""

from __future__ import annotations


class ServiceError(Exception):
    """Base: `detail` says what is wrong, `field` where, `mend` what to do about it."""

    def __init__(self, detail: str, *, field: str | None = None, mend: str | None = None) -> None:
        self.detail = detail
        self.field = field
        self.mend = mend
        super().__init__(detail)


class Invalid(ServiceError):
    """A value breaks a rule of the market."""


class Unauthenticated(ServiceError):
    """Nobody is signed in, or the credential is wrong, expired or revoked."""


class Forbidden(ServiceError):
    """The caller is known and may not do this."""


class NotFound(ServiceError):
    """There is no such thing, or none that the caller may see."""


class Conflict(ServiceError):
    """The request contradicts what is already there."""


class Closed(ServiceError):
    """The time for this has passed: gate closed, order expired."""


class InsufficientDeposit(ServiceError):
    """The account's available deposit does not cover the worst case."""


class TooMany(ServiceError):
    """The caller's rate limit is used up; `retry_after_seconds` says when to come back."""

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail, mend=f"wait {retry_after_seconds} s, or ask for a larger plan")
        self.retry_after_seconds = retry_after_seconds


class Unavailable(ServiceError):
    """Something this needs is not there now: the chain, the book, a first cleared batch."""
