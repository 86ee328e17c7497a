"""Signing in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from sqlmodel import col, select

from backend.api.deps import Ctx, SignedIn, cookie_name, session_token
from backend.api.problems import responses
from backend.api.schemas.identity import (
    DemoSignIn,
    Nonce,
    Seat,
    SessionOut,
    SignIn,
    SwitchOrganisation,
    Token,
)
from backend.service import login
from backend.service.access import Principal
from backend.service.errors import Forbidden, Unauthenticated
from backend.store.identity import LoginSession, Member, Organisation

router = APIRouter(tags=["identity"])
CONFLICTS = responses(409)


def _limit_login(request: Request, context: Ctx) -> None:
    address = request.client.host if request.client else "?"
    context.limiter.take(f"login:{address}", context.settings.rate_login_per_minute)


def _session(context: Ctx, principal: Principal, token: str | None, expires_at: int | None) -> SessionOut:
    assert principal.organisation_id is not None
    return SessionOut(
        actor=principal.actor,
        address=principal.address,
        organisation_id=principal.organisation_id,
        plan=principal.plan,
        roles=sorted(principal.roles),  # type: ignore[arg-type]
        scopes=sorted(principal.scopes),
        csrf_token=context.vault.csrf(token) if token else None,
        expires_at=expires_at,  # type: ignore[arg-type]
    )


@router.post("/session/nonce", status_code=201)
def create_nonce(request: Request, context: Ctx) -> Nonce:
    """Gives a nonce for one sign-in message (EIP-4361)."""
    _limit_login(request, context)
    origin = request.headers.get("origin")
    uri = origin if origin in context.origins else context.settings.public_origin
    assert uri is not None
    with context.store.writing() as session:
        row = login.new_nonce(session, context.settings)
        return Nonce(
            nonce=row.nonce,
            expires_at=row.expires_at,  # type: ignore[arg-type]
            domain=uri.split("://", 1)[1],
            uri=uri,
            chain_id=context.settings.chain_id,
            statement="Sign in to BitWatt.",
        )


@router.post("/session", status_code=201)
def open_session(request: Request, response: Response, context: Ctx, body: SignIn) -> SessionOut:
    """Signs a wallet in; sets the session cookie (HttpOnly, SameSite=Strict)."""
    _limit_login(request, context)
    message = login.check_message(
        body.message, body.signature, context.settings, context.origins, context.rpc_or_none
    )
    with context.store.writing() as session:
        opened = login.open_session(session, context.settings, context.vault, message)
    return _signed_in(context, response, opened)


@router.post("/session/demo", status_code=201, responses=responses(403))
def open_demo_session(request: Request, response: Response, context: Ctx, body: DemoSignIn) -> SessionOut:
    """Acts as any account without its key; only on a dev chain, when the service was started with
    --demo-login.
    """
    _limit_login(request, context)
    with context.store.writing() as session:
        opened = login.open_demo_session(session, context.settings, context.vault, body.address)
    return _signed_in(context, response, opened)


def _signed_in(context: Ctx, response: Response, opened: login.Opened) -> SessionOut:
    response.set_cookie(
        cookie_name(context.settings),
        opened.token,
        max_age=context.settings.session_seconds,
        path="/",
        secure=context.settings.secure_cookies,
        httponly=True,
        samesite="strict",
    )
    return _session(context, opened.principal, opened.token, opened.expires_at)


@router.get("/session", responses=responses(401))
def read_session(request: Request, context: Ctx, principal: SignedIn) -> SessionOut:
    """Says who the caller is and what it may do."""
    token = session_token(request, context) if principal.member_id else None
    ends = None
    if token:
        with context.store.reading() as session:
            ends = session.get_one(LoginSession, context.vault.hash(token)).expires_at
    return _session(context, principal, token, ends)


@router.delete("/session", status_code=204, responses=responses(401))
def close_session(request: Request, response: Response, context: Ctx, principal: SignedIn) -> None:
    """Signs out."""
    token = session_token(request, context)
    if token is None:
        raise Unauthenticated("a key has no session", mend="revoke the key instead")
    with context.store.writing() as session:
        login.close_session(session, context.vault, token, principal)
    response.delete_cookie(cookie_name(context.settings), path="/")


@router.get("/session/organisations", responses=responses(401))
def list_seats(context: Ctx, principal: SignedIn) -> list[Seat]:
    """Lists the organisations in which the caller's wallet has a seat."""
    if principal.address is None:
        raise Unauthenticated("only a wallet has seats", mend="sign in with a wallet")
    with context.store.reading() as session:
        found = session.exec(
            select(Member, Organisation)
            .join(Organisation, Organisation.id == Member.organisation_id)  # type: ignore[arg-type]
            .where(Member.address == principal.address, col(Member.removed_at).is_(None))
            .order_by(Member.id)
        ).all()
    return [Seat(organisation_id=org.id, name=org.name, roles=member.roles) for member, org in found]  # type: ignore[arg-type]


@router.put("/session/organisation", responses=responses(401, 403))
def switch_organisation(
    request: Request, context: Ctx, principal: SignedIn, body: SwitchOrganisation
) -> SessionOut:
    """Lets the session act for another organisation of the same wallet."""
    token = session_token(request, context)
    if token is None or principal.member_id is None:
        raise Forbidden(
            "a key acts for its own organisation only", mend="use a key of the other organisation"
        )
    with context.store.writing() as session:
        switched = login.switch_organisation(
            session, context.vault, context.settings, token, body.organisation_id
        )
        ends = session.get_one(LoginSession, context.vault.hash(token)).expires_at
    return _session(context, switched, token, ends)


@router.post("/oauth/token", responses=responses(401))
def create_token(
    request: Request,
    response: Response,
    context: Ctx,
    grant_type: Annotated[str, Form(pattern="^client_credentials$")],
    client_id: Annotated[str, Form(max_length=64)],
    client_secret: Annotated[str, Form(max_length=128)],
    scope: Annotated[
        str, Form(max_length=500, description="space-separated; none = all the client has")
    ] = "",
) -> Token:
    """Gives an access token to an OAuth client (client-credentials grant, RFC 6749 4.4)."""
    _limit_login(request, context)
    with context.store.writing() as session:
        token, seconds, scopes = login.grant_token(
            session, context.vault, context.settings, client_id, client_secret, scope.split()
        )
    response.headers["Cache-Control"] = "no-store"
    return Token(access_token=token, expires_in=seconds, scope=" ".join(scopes))
