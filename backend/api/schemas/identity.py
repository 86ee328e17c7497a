"""Bodies of sessions, organisations, members, wallets, keys and clients."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from backend.api.schemas.base import Address, Answer, Body, Id, Label, Moment, Name, Seconds
from backend.service.access import Role, Scope

RoleIn = Annotated[Role, BeforeValidator(lambda value: Role(value) if value in set(Role) else value)]
ScopeIn = Annotated[Scope, BeforeValidator(lambda value: Scope(value) if value in set(Scope) else value)]


class Nonce(Answer):
    """A nonce for one sign-in message, and what the message must say."""

    nonce: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015"])
    expires_at: Moment
    domain: str = Field(description="`domain` of the message", examples=["127.0.0.1:8000"])
    uri: str = Field(description="`URI` of the message", examples=["http://127.0.0.1:8000"])
    chain_id: int = Field(examples=[31337])
    statement: str = Field(description="suggested statement", examples=["Sign in to BitWatt."])


class SignIn(Body):
    """A signed EIP-4361 message."""

    message: str = Field(min_length=1, max_length=4000, description="the text that the wallet signed")
    signature: str = Field(
        pattern=r"^0x([0-9a-fA-F]{2}){65,2048}$", description="the wallet's signature, hex"
    )


class DemoSignIn(Body):
    """The account to act as."""

    address: Address


class SessionOut(Answer):
    """Who is signed in. `csrf_token` goes into the header X-CSRF-Token of every change made with the
    cookie.
    """

    actor: str = Field(examples=["wallet:0x70997970c51812dc3a010c7d01b50e0d17dc79c8"])
    address: Address | None
    organisation_id: Id
    plan: str = Field(examples=["free"])
    roles: list[Role]
    scopes: list[Scope]
    csrf_token: str | None = Field(default=None, description="null for keys and clients")
    expires_at: Moment | None = None


class Seat(Answer):
    """An organisation in which the caller's wallet has a seat."""

    organisation_id: Id
    name: str
    roles: list[Role]


class SwitchOrganisation(Body):
    """Which organisation the session shall act for."""

    organisation_id: Id


class OrganisationOut(Answer):
    """The caller's organisation."""

    id: Id
    name: str
    plan: str
    created_at: Moment


class OrganisationChange(Body):
    """A new name."""

    name: Name


class MemberOut(Answer):
    """A member."""

    id: Id
    address: Address
    display_name: str
    roles: list[Role]
    created_at: Moment


class MemberNew(Body):
    """A wallet to be given a seat."""

    address: Address
    display_name: Label = ""
    roles: list[RoleIn] = Field(min_length=1, max_length=6)


class MemberChange(Body):
    """What changes; what is left out stays."""

    display_name: Label | None = None
    roles: list[RoleIn] | None = Field(default=None, min_length=1, max_length=6)


class WalletOut(Answer):
    """A trading account."""

    address: Address
    label: str
    created_at: Moment


class WalletNew(SignIn):
    """A sign-in message signed by the account that is to be linked."""

    label: Label = ""


class KeyOut(Answer):
    """An API key, without its secret."""

    id: Id
    name: str
    prefix: str = Field(examples=["bwk_3kXy0a"])
    scopes: list[Scope]
    created_by: str
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None


class KeyNew(Body):
    """A key to make."""

    name: Name
    scopes: list[ScopeIn] = Field(min_length=1, max_length=20, examples=[["orders:read", "orders:write"]])
    expires_at: Seconds | None = Field(default=None, description="unix seconds; none = until revoked")


class KeyMade(KeyOut):
    """A key just made; the secret is shown this once."""

    secret: str = Field(examples=["bwk_3kXy0aExampleExampleExampleExampleExample"])


class ClientOut(Answer):
    """An OAuth client, without its secret."""

    id: Id
    name: str
    scopes: list[Scope]
    created_by: str
    created_at: Moment
    revoked_at: Moment | None


class ClientNew(Body):
    """An OAuth client to make."""

    name: Name
    scopes: list[ScopeIn] = Field(min_length=1, max_length=20, examples=[["flex:read", "flex:write"]])


class ClientMade(ClientOut):
    """A client just made; the secret is shown this once."""

    client_secret: str


class Token(Answer):
    """An access token (RFC 6749)."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: int = Field(description="seconds", examples=[3600])
    scope: str = Field(examples=["orders:read orders:write"])


class AuditOut(Answer):
    """Who did what."""

    id: Id
    at: Moment
    actor: str
    action: str = Field(examples=["key.made"])
    target: str
    detail: dict[str, object]
    request_id: str
