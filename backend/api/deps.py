"""Dependencies of the routes: context, caller, scope, page."""

from __future__ import annotations

import time
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Depends, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.security import APIKeyCookie, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from backend.service import login
from backend.service.access import ANONYMOUS, Principal, Scope
from backend.service.context import Context
from backend.service.errors import Forbidden, Invalid, Unauthenticated
from backend.service.pages import Cursor, decode_cursor
from backend.settings import Settings

HOT_PATH = "/api/v1/orders"
HOT_SECONDS = 1.0
MOST_HOT = 10_000
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "X-CSRF-Token"
bearer = HTTPBearer(
    auto_error=False, scheme_name="bearer", description="API key (bwk_) or OAuth2 token (bwt_)"
)
cookie = APIKeyCookie(
    name="bitwatt_session",
    auto_error=False,
    scheme_name="session",
    description="cookie of a wallet's sign-in",
)


def cookie_name(settings: Settings) -> str:
    """Name of the session cookie; under https the `__Host-` prefix pins it to this host."""
    return "__Host-bitwatt_session" if settings.secure_cookies else "bitwatt_session"


async def get_context(request: Request) -> Context:
    """The service's context."""
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(get_context)]


def query_names(dependant: Dependant) -> frozenset[str]:
    """Names of the query parameters that a route and its dependencies declare."""
    inner = (query_names(part) for part in dependant.dependencies)
    return frozenset(field.alias for field in dependant.query_params).union(*inner)


async def refuse_unknown_query(request: Request) -> None:
    """Refuses query parameters that the route does not declare."""
    if not request.query_params:
        return
    names: frozenset[str] = request.app.state.query_names[request.scope["endpoint"]]
    unknown = sorted(set(request.query_params) - names)
    if unknown:
        mend = f"use some of {', '.join(sorted(names))}" if names else "leave it out: there are none here"
        raise Invalid("there is no such query parameter", field=unknown[0][:60], mend=mend)


def session_token(request: Request, context: Context) -> str | None:
    """The session token in the request's cookie."""
    return request.cookies.get(cookie_name(context.settings))


async def get_principal(
    request: Request,
    context: Ctx,
    credential: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    _cookie: Annotated[str | None, Depends(cookie)],
) -> Principal:
    """Who is calling; checks the CSRF token of cookie sessions and takes from the caller's rate limit.

    A bearer credential is looked up at most once a second a process while it only places orders.
    """
    token = session_token(request, context)
    address = request.client.host if request.client else "?"
    take_of_address(context, address)
    if credential is not None:
        principal = await _of_bearer(context, credential.credentials, request.scope["path"] == HOT_PATH)
    elif token is not None:
        principal = await run_sync(_of_session, context, token)
        _check_csrf(request, context, token)
    else:
        context.limiter.take(f"anonymous:{address}", context.settings.rate_anonymous_per_minute)
        return ANONYMOUS
    take_of_organisation(context, principal)
    return principal


def take_of_address(context: Context, address: str) -> None:
    """Takes from what one address may ask for, whoever it says it is."""
    context.limiter.take(f"address:{address}", context.settings.rate_anonymous_per_minute * 100)


def take_of_organisation(context: Context, principal: Principal) -> None:
    """Takes from the rate limit of the caller's organisation, by its plan."""
    per_minute = getattr(context.settings, f"rate_{principal.plan}_per_minute")
    context.limiter.take(f"organisation:{principal.organisation_id}", per_minute)


def _of_session(context: Context, token: str) -> Principal:
    with context.store.reading() as session:
        return login.principal_of_session(session, context.vault, context.settings, token)


async def _of_bearer(context: Context, token: str, hot: bool) -> Principal:
    now = time.monotonic()
    known = context.principals.get(token) if hot else None
    if known is not None and now - known[0] < HOT_SECONDS:
        return known[1]
    if hot:
        return await renew(context, token)
    return await run_sync(_look_up, context, token)


async def renew(context: Context, token: str) -> Principal:
    """Looks a bearer credential up and keeps what it says for HOT_SECONDS; what is not good is forgotten."""
    now = time.monotonic()
    try:
        principal = await run_sync(_look_up, context, token)
    except Unauthenticated:
        context.principals.pop(token, None)
        raise
    if len(context.principals) > MOST_HOT:
        context.principals.clear()
    context.principals[token] = (now, principal)
    return principal


def _look_up(context: Context, token: str) -> Principal:
    with context.store.reading() as session:
        return login.principal_of_bearer(session, context.vault, token)


def _check_csrf(request: Request, context: Context, token: str) -> None:
    """A cookie alone never changes anything: the page must also show the token it was given, from our
    origin.
    """
    if request.method in SAFE_METHODS:
        return
    origin = request.headers.get("origin")
    if origin is not None and origin not in context.origins:
        raise Forbidden(
            "the request comes from another site", field="Origin", mend="use this service's own pages"
        )
    if request.headers.get(CSRF_HEADER) != context.vault.csrf(token):
        raise Forbidden(
            "the CSRF token is missing or wrong",
            field=CSRF_HEADER,
            mend=f"send the csrf_token of GET /api/v1/session in the header {CSRF_HEADER}",
        )


Caller = Annotated[Principal, Depends(get_principal)]


async def get_signed_in(principal: Caller) -> Principal:
    """Whoever is signed in; Unauthenticated when nobody is."""
    if principal.is_anonymous:
        raise Unauthenticated("nobody is signed in", mend="sign in with a wallet")
    return principal


SignedIn = Annotated[Principal, Depends(get_signed_in)]


class Need:
    """A dependency that admits callers with one scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, principal: Caller) -> Principal:
        """The caller, who has the scope."""
        principal.require(self.scope)
        return principal


class PageQuery:
    """Where a page starts and how long it is."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=500, description="items on the page")] = 100,
        cursor: Annotated[
            str | None,
            Query(max_length=200, description="`next_cursor` of the page before", examples=["WyIwMWswIl0"]),
        ] = None,
    ) -> None:
        self.limit = limit
        self.after: Cursor | None = decode_cursor(cursor) if cursor else None


PageDep = Annotated[PageQuery, Depends()]
