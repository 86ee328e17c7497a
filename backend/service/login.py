"""Signing in: wallet (EIP-4361) and session, API key, OAuth2 client credentials; who a credential is."""

from __future__ import annotations

import logging
import secrets
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete
from sqlmodel import Session, col, select

from backend.chain.rpc import Rpc
from backend.service.access import MACHINE_SCOPES, Principal, Role, Scope, scopes_of_roles
from backend.service.audit_log import record
from backend.service.errors import Forbidden, Invalid, Unauthenticated
from backend.service.secrets import Vault, random_token
from backend.service.signatures import personal_digest, require_signed_by, signature_bytes
from backend.settings import Settings
from backend.store.identity import (
    AccessToken,
    ApiKey,
    LoginNonce,
    LoginSession,
    Member,
    OAuthClient,
    Organisation,
    Wallet,
)

if TYPE_CHECKING:
    from siwe import SiweMessage

CLOCK_SKEW_SECONDS = 60
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """A session just opened: the cookie's token and when it ends (unix seconds)."""

    token: str
    expires_at: int
    principal: Principal


def new_nonce(session: Session, settings: Settings) -> LoginNonce:
    """A fresh nonce for one sign-in message; expired ones are swept."""
    now = int(time.time())
    session.execute(delete(LoginNonce).where(LoginNonce.expires_at <= now))  # type: ignore[arg-type]
    row = LoginNonce(nonce=secrets.token_hex(16), expires_at=now + settings.nonce_seconds)
    session.add(row)
    return row


def _parse(text: str) -> SiweMessage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the grammar library warns about its own rules
        from siwe import SiweMessage

        try:
            return SiweMessage.from_message(message=text)
        except ValueError as error:
            raise Invalid(
                "this is not a sign-in message",
                field="message",
                mend="send the EIP-4361 text that was signed",
            ) from error


def check_message(
    text: str, signature: str, settings: Settings, origins: frozenset[str], rpc: Rpc | None
) -> SiweMessage:
    """The message when domain, URI, chain, times and signature are right; Invalid names the field
    otherwise.
    """
    message = _parse(text)
    now = time.time()
    origin = str(message.uri).rstrip("/")
    if origin not in origins:
        raise Invalid(
            f"the message is for {origin}",
            field="uri",
            mend=f"sign in at {settings.public_origin} and use its URI",
        )
    if message.domain != origin.split("://", 1)[1]:
        raise Invalid(
            f"the message's domain is {message.domain}", field="domain", mend=f"use the domain of {origin}"
        )
    if message.chain_id != settings.chain_id:
        raise Invalid(
            f"the message is for chain {message.chain_id}",
            field="chain_id",
            mend=f"switch the wallet to chain {settings.chain_id} and sign again",
        )
    issued = message.issued_at._datetime.timestamp()
    if not now - settings.nonce_seconds <= issued <= now + CLOCK_SKEW_SECONDS:
        raise Invalid(
            "issued too long ago or in the future", field="issued_at", mend="correct the clock; sign again"
        )
    if message.expiration_time is not None and now >= message.expiration_time._datetime.timestamp():
        raise Invalid("the message has expired", field="expiration_time", mend="sign a new message")
    if message.not_before is not None and now < message.not_before._datetime.timestamp():
        raise Invalid("the message is not valid yet", field="not_before", mend="wait, or sign a new message")
    require_signed_by(message.address, personal_digest(text), signature_bytes(signature), rpc)
    return message


def use_nonce(session: Session, nonce: str) -> None:
    """Uses a nonce up; Invalid when it was used, has expired or was never given."""
    result = session.execute(
        delete(LoginNonce).where(LoginNonce.nonce == nonce, LoginNonce.expires_at > int(time.time()))  # type: ignore[arg-type]
    )
    if result.rowcount != 1:  # type: ignore[attr-defined]
        raise Invalid(
            "the nonce was used, has expired or is not ours", field="nonce", mend="ask for a new nonce"
        )


def open_session(session: Session, settings: Settings, vault: Vault, message: SiweMessage) -> Opened:
    """Signs the wallet in; a wallet seen for the first time gets an organisation of its own."""
    use_nonce(session, message.nonce)
    latest = message.expiration_time
    return _open(
        session,
        settings,
        vault,
        message.address.lower(),
        int(latest._datetime.timestamp()) if latest else None,
    )


def _open(session: Session, settings: Settings, vault: Vault, address: str, latest: int | None) -> Opened:
    now = int(time.time())
    member = _seat(session, address, now)
    ends = min(now + settings.session_seconds, latest if latest is not None else 1 << 62)
    token = random_token("bws_")
    session.add(
        LoginSession(
            token_hash=vault.hash(token),
            member_id=member.id,
            address=member.address,
            created_at=now,
            expires_at=ends,
        )
    )
    principal = _principal_of_member(session, member, settings)
    record(session, principal, "session.opened", member.address)
    return Opened(token, ends, principal)


def open_demo_session(session: Session, settings: Settings, vault: Vault, address: str) -> Opened:
    """Signs any account in without its key, to look at a demonstration; the settings allow it on dev
    chains only.
    """
    if not settings.demo_login:
        raise Forbidden("this service has no demo sign-in", mend="sign in with a wallet")
    return _open(session, settings, vault, address.lower(), None)


def _seat(session: Session, address: str, now: int) -> Member:
    """The wallet's oldest seat, made on first sight, and its trading account."""
    member = session.exec(
        select(Member)
        .where(Member.address == address, col(Member.removed_at).is_(None))
        .order_by(Member.id)
        .limit(1)
    ).first()
    if member is None:
        organisation = Organisation(name=f"{address[:6]}…{address[-4:]}", created_at=now)
        member = Member(
            organisation_id=organisation.id,
            address=address,
            roles=[role.value for role in Role],
            created_at=now,
        )
        session.add(organisation)
        session.flush()
        session.add(member)
    if session.get(Wallet, address) is None:
        session.add(Wallet(address=address, organisation_id=member.organisation_id, created_at=now))
    session.flush()
    return member


def switch_organisation(
    session: Session, vault: Vault, settings: Settings, token: str, organisation_id: str
) -> Principal:
    """Points the session at another seat of the same wallet; Invalid when there is none."""
    row = session.get(LoginSession, vault.hash(token))
    if row is None:
        raise Unauthenticated("the session has ended", mend="sign in again")
    member = session.exec(
        select(Member).where(
            Member.address == row.address,
            Member.organisation_id == organisation_id,
            col(Member.removed_at).is_(None),
        )
    ).first()
    if member is None:
        raise Invalid(
            "you have no seat there", field="organisation_id", mend="ask an operator of it to add you"
        )
    row.member_id = member.id
    principal = _principal_of_member(session, member, settings)
    record(session, principal, "session.switched", organisation_id)
    return principal


def close_session(session: Session, vault: Vault, token: str, who: Principal) -> None:
    """Ends a session; ending it twice is fine."""
    session.execute(delete(LoginSession).where(LoginSession.token_hash == vault.hash(token)))  # type: ignore[arg-type]
    record(session, who, "session.closed")


def principal_of_session(session: Session, vault: Vault, settings: Settings, token: str) -> Principal:
    """Who holds a session cookie; Unauthenticated when it has ended."""
    found = session.exec(
        select(LoginSession, Member)
        .join(Member, Member.id == LoginSession.member_id)  # type: ignore[arg-type]
        .where(LoginSession.token_hash == vault.hash(token))
    ).first()
    if found is None or found[0].expires_at <= time.time() or found[1].removed_at is not None:
        raise Unauthenticated("the session has ended", mend="sign in again")
    return _principal_of_member(session, found[1], settings)


def _principal_of_member(session: Session, member: Member, settings: Settings) -> Principal:
    organisation = session.get_one(Organisation, member.organisation_id)
    scopes = scopes_of_roles(member.roles)
    if member.address in {operator.lower() for operator in settings.operators}:
        scopes |= {Scope.PLATFORM_OPERATE}
    return Principal(
        f"wallet:{member.address}",
        organisation.id,
        organisation.plan,
        member.address,
        member.id,
        tuple(member.roles),
        scopes,
    )


def principal_of_bearer(session: Session, vault: Vault, token: str) -> Principal:
    """Who holds a bearer credential: API key (`bwk_`) or OAuth token (`bwt_`); Unauthenticated otherwise."""
    now = time.time()
    secret_hash = vault.hash(token)
    if token.startswith("bwk_"):
        key = session.exec(select(ApiKey).where(ApiKey.secret_hash == secret_hash)).first()
        if key and key.revoked_at is None and (key.expires_at is None or key.expires_at > now):
            return _machine(session, f"key:{key.id}", key.organisation_id, key.scopes)
    elif token.startswith("bwt_"):
        granted = session.get(AccessToken, secret_hash)
        client = session.get(OAuthClient, granted.client_id) if granted and granted.expires_at > now else None
        if granted and client and client.revoked_at is None:
            return _machine(session, f"client:{client.id}", client.organisation_id, granted.scopes)
    raise Unauthenticated(
        "the credential is unknown, expired or revoked", mend="make a new key, or ask for a new token"
    )


def _machine(session: Session, actor: str, organisation_id: str, scopes: list[str]) -> Principal:
    organisation = session.get_one(Organisation, organisation_id)
    return Principal(
        actor,
        organisation.id,
        organisation.plan,
        scopes=frozenset(Scope(scope) for scope in scopes) & MACHINE_SCOPES,
    )


def grant_token(
    session: Session, vault: Vault, settings: Settings, client_id: str, secret: str, wanted: list[str]
) -> tuple[str, int, list[str]]:
    """A bearer token for an OAuth client: (token, seconds it lives, scopes); Unauthenticated on a wrong
    secret.
    """
    client = session.get(OAuthClient, client_id) if len(client_id) == 26 else None
    known = client.secret_hash if client else "0x" + "00" * 32
    matches = secrets.compare_digest(known, vault.hash(secret))
    if client is None or client.revoked_at is not None or not matches:
        raise Unauthenticated(
            "client id or secret is wrong", field="client_id", mend="check both, or make a new client"
        )
    unknown = sorted(set(wanted) - set(client.scopes))
    if unknown:
        raise Invalid(
            f"the client does not have {', '.join(unknown)}",
            field="scope",
            mend=f"ask for some of {client.scopes}",
        )
    now = int(time.time())
    session.execute(delete(AccessToken).where(AccessToken.expires_at <= now))  # type: ignore[arg-type]
    scopes = sorted(wanted or client.scopes)
    token = random_token("bwt_")
    session.add(
        AccessToken(
            token_hash=vault.hash(token),
            client_id=client.id,
            scopes=scopes,
            expires_at=now + settings.token_seconds,
        )
    )
    return token, settings.token_seconds, scopes
