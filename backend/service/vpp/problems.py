"""Errors of the pure rules as errors of the service, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from backend.service.errors import Closed, Conflict, Invalid, ServiceError
from backend.vpp.errors import FlexError, GateClosed

_CONFLICTS = frozenset({"two_vpps", "duplicate", "transition", "collateral", "oversold"})


def problem_of(error: FlexError) -> ServiceError:
    """The service error of a broken rule; it keeps field and mend."""
    detail = f"{error.field} = {error.value!r} breaks the rule {error.rule}"
    kind: type[ServiceError] = Invalid
    if isinstance(error, GateClosed):
        kind = Closed
    elif error.rule in _CONFLICTS:
        kind = Conflict
    return kind(detail, field=error.field[:200], mend=error.mend)


@contextmanager
def as_problem() -> Iterator[None]:
    """Raises a ServiceError where the block raises a FlexError."""
    try:
        yield
    except FlexError as error:
        raise problem_of(error) from error
