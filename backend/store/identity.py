"""Who uses the service: organisations, members, keys, sessions, and the log of who did what.

Times of this module are unix seconds of the wall clock. Secrets are stored as keyed hashes only.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, String
from sqlmodel import Field, SQLModel

from backend.store.types import Hex, JsonValue, new_id


class Organisation(SQLModel, table=True):
    """A tenant: every private row belongs to exactly one."""

    __tablename__ = "organisation"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    name: str = Field(max_length=120)
    plan: str = Field(default="free", max_length=16)
    created_at: int = Field(sa_type=BigInteger)


class Member(SQLModel, table=True):
    """A wallet's seat in an organisation, with its roles; `removed_at` ends it."""

    __tablename__ = "member"
    __table_args__ = (
        Index("member_address", "address"),
        Index("member_seat", "organisation_id", "address", unique=True),
    )

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    organisation_id: str = Field(foreign_key="organisation.id", max_length=26)
    address: str = Field(sa_column=Column(Hex(20), nullable=False))
    display_name: str = Field(default="", max_length=120)
    roles: list[str] = Field(sa_column=Column(JsonValue, nullable=False))
    created_at: int = Field(sa_type=BigInteger)
    removed_at: int | None = Field(default=None, sa_type=BigInteger)


class Wallet(SQLModel, table=True):
    """A trading account of an organisation; an account belongs to one organisation only."""

    __tablename__ = "wallet"

    address: str = Field(sa_column=Column(Hex(20), primary_key=True))
    organisation_id: str = Field(foreign_key="organisation.id", max_length=26, index=True)
    label: str = Field(default="", max_length=120)
    created_at: int = Field(sa_type=BigInteger)


class ApiKey(SQLModel, table=True):
    """A machine's key; only its keyed hash is kept, `prefix` lets people tell keys apart."""

    __tablename__ = "api_key"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    organisation_id: str = Field(foreign_key="organisation.id", max_length=26, index=True)
    name: str = Field(max_length=120)
    prefix: str = Field(max_length=16)
    secret_hash: str = Field(sa_column=Column(Hex(32), nullable=False, unique=True))
    scopes: list[str] = Field(sa_column=Column(JsonValue, nullable=False))
    created_by: str = Field(max_length=80)
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int | None = Field(default=None, sa_type=BigInteger)
    revoked_at: int | None = Field(default=None, sa_type=BigInteger)


class OAuthClient(SQLModel, table=True):
    """A program that obtains tokens by the client-credentials grant (RFC 6749 4.4)."""

    __tablename__ = "oauth_client"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    organisation_id: str = Field(foreign_key="organisation.id", max_length=26, index=True)
    name: str = Field(max_length=120)
    secret_hash: str = Field(sa_column=Column(Hex(32), nullable=False))
    scopes: list[str] = Field(sa_column=Column(JsonValue, nullable=False))
    created_by: str = Field(max_length=80)
    created_at: int = Field(sa_type=BigInteger)
    revoked_at: int | None = Field(default=None, sa_type=BigInteger)


class AccessToken(SQLModel, table=True):
    """A bearer token of an OAuth client."""

    __tablename__ = "access_token"

    token_hash: str = Field(sa_column=Column(Hex(32), primary_key=True))
    client_id: str = Field(foreign_key="oauth_client.id", max_length=26, index=True)
    scopes: list[str] = Field(sa_column=Column(JsonValue, nullable=False))
    expires_at: int = Field(sa_type=BigInteger, index=True)


class LoginNonce(SQLModel, table=True):
    """A nonce handed out for one sign-in message; used once, before it expires."""

    __tablename__ = "login_nonce"

    nonce: str = Field(primary_key=True, max_length=64)
    expires_at: int = Field(sa_type=BigInteger, index=True)


class LoginSession(SQLModel, table=True):
    """A browser's session; the cookie holds the token, this row its hash."""

    __tablename__ = "login_session"

    token_hash: str = Field(sa_column=Column(Hex(32), primary_key=True))
    member_id: str = Field(foreign_key="member.id", max_length=26, index=True)
    address: str = Field(sa_column=Column(Hex(20), nullable=False))
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger, index=True)


class AuditEntry(SQLModel, table=True):
    """Who did what, never changed; `id` orders entries by time."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index("audit_entry_organisation", "organisation_id", "id"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    at: int = Field(sa_type=BigInteger)
    organisation_id: str | None = Field(default=None, max_length=26)
    actor: str = Field(max_length=80)
    action: str = Field(max_length=80)
    target: str = Field(default="", sa_type=String(160))
    detail: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JsonValue, nullable=False))
    request_id: str = Field(default="", max_length=64)
