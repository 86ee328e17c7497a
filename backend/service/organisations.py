"""Use cases of an organisation: members and roles, wallets, API keys, OAuth clients."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlmodel import Session, col, select

from backend.service.access import MACHINE_SCOPES, Principal, Role, Scope
from backend.service.audit_log import record
from backend.service.errors import Conflict, Invalid, NotFound
from backend.service.secrets import Vault, random_token
from backend.store.identity import ApiKey, Member, OAuthClient, Organisation, Wallet


def rename(session: Session, who: Principal, name: str) -> Organisation:
    """Gives the caller's organisation a name."""
    organisation = session.get_one(Organisation, who.require(Scope.ORGANISATION_WRITE))
    organisation.name = name
    record(session, who, "organisation.renamed", organisation.id, name=name)
    return organisation


def members(session: Session, organisation_id: str) -> Sequence[Member]:
    """Members who have a seat now, oldest first."""
    return session.exec(
        select(Member)
        .where(Member.organisation_id == organisation_id, col(Member.removed_at).is_(None))
        .order_by(Member.id)
    ).all()


def add_member(session: Session, who: Principal, address: str, name: str, roles: Sequence[Role]) -> Member:
    """Gives a wallet a seat; Conflict when it has one."""
    organisation_id = who.require(Scope.ORGANISATION_WRITE)
    address = address.lower()
    member = session.exec(
        select(Member).where(Member.organisation_id == organisation_id, Member.address == address)
    ).first()
    if member is not None and member.removed_at is None:
        raise Conflict("this wallet is a member already", field="address", mend="change its roles instead")
    now = int(time.time())
    if member is None:
        member = Member(organisation_id=organisation_id, address=address, roles=[], created_at=now)
    member.display_name, member.removed_at = name, None
    member.roles = sorted({role.value for role in roles})
    session.add(member)
    record(session, who, "member.added", address, roles=member.roles)
    return member


def change_member(
    session: Session, who: Principal, member_id: str, name: str | None, roles: Sequence[Role] | None
) -> Member:
    """Changes a member's name or roles; the last operator keeps the role."""
    member = _member(session, who, member_id)
    if roles is not None:
        wanted = sorted({role.value for role in roles})
        if Role.OPERATOR.value not in wanted:
            _require_other_operator(session, member)
        member.roles = wanted
    if name is not None:
        member.display_name = name
    session.add(member)
    record(session, who, "member.changed", member.address, roles=member.roles)
    return member


def remove_member(session: Session, who: Principal, member_id: str) -> None:
    """Ends a seat; sessions on it end with it. The last operator stays."""
    member = _member(session, who, member_id)
    _require_other_operator(session, member)
    member.removed_at = int(time.time())
    session.add(member)
    record(session, who, "member.removed", member.address)


def _member(session: Session, who: Principal, member_id: str) -> Member:
    member = session.get(Member, member_id)
    if member is None or member.organisation_id != who.require(Scope.ORGANISATION_WRITE) or member.removed_at:
        raise NotFound("no such member in this organisation", field="member_id", mend="list the members")
    return member


def _require_other_operator(session: Session, member: Member) -> None:
    others = [
        other
        for other in members(session, member.organisation_id)
        if other.id != member.id and Role.OPERATOR.value in other.roles
    ]
    if Role.OPERATOR.value in member.roles and not others:
        raise Conflict(
            "an organisation keeps at least one operator", field="roles", mend="make another operator first"
        )


def wallets(session: Session, organisation_id: str) -> Sequence[Wallet]:
    """The organisation's trading accounts, oldest first."""
    return session.exec(
        select(Wallet)
        .where(Wallet.organisation_id == organisation_id)
        .order_by(Wallet.created_at, Wallet.address)  # type: ignore[arg-type]
    ).all()


def link_wallet(session: Session, who: Principal, address: str, label: str) -> Wallet:
    """Adds a trading account whose owner has just signed for it; Conflict when another organisation has
    it.
    """
    organisation_id = who.require(Scope.ORGANISATION_WRITE)
    wallet = session.get(Wallet, address.lower())
    if wallet is not None and wallet.organisation_id != organisation_id:
        raise Conflict(
            "the account belongs to another organisation", field="address", mend="use another account"
        )
    if wallet is None:
        wallet = Wallet(address=address.lower(), organisation_id=organisation_id, created_at=int(time.time()))
    wallet.label = label
    session.add(wallet)
    record(session, who, "wallet.linked", wallet.address)
    return wallet


def check_machine_scopes(who: Principal, scopes: Sequence[Scope]) -> list[str]:
    """The scopes a new key or client may have: not more than its maker, nothing only people do."""
    refused = sorted(set(scopes) - MACHINE_SCOPES)
    if refused:
        raise Invalid(f"a machine may not have {', '.join(refused)}", field="scopes", mend="leave them out")
    beyond = sorted(set(scopes) - _grantable(who))
    if beyond:
        raise Invalid(
            f"you do not have {', '.join(beyond)} yourself", field="scopes", mend="ask for fewer scopes"
        )
    return sorted({scope.value for scope in scopes})


def _grantable(who: Principal) -> frozenset[Scope]:
    """An operator may grant any machine scope of its organisation, since it may give itself any role."""
    return MACHINE_SCOPES if Scope.ORGANISATION_WRITE in who.scopes else who.scopes & MACHINE_SCOPES


def make_key(
    session: Session, vault: Vault, who: Principal, name: str, scopes: Sequence[Scope], expires_at: int | None
) -> tuple[ApiKey, str]:
    """A new API key and its secret, which is shown once."""
    organisation_id = who.require(Scope.KEYS_WRITE)
    if expires_at is not None and expires_at <= time.time():
        raise Invalid("expires_at is in the past", field="expires_at", mend="give a later time, or none")
    secret = random_token("bwk_")
    key = ApiKey(
        organisation_id=organisation_id,
        name=name,
        prefix=secret[:10],
        secret_hash=vault.hash(secret),
        scopes=check_machine_scopes(who, scopes),
        created_by=who.actor,
        created_at=int(time.time()),
        expires_at=expires_at,
    )
    session.add(key)
    record(session, who, "key.made", key.id, name=name, scopes=key.scopes)
    return key, secret


def revoke_key(session: Session, who: Principal, key_id: str) -> None:
    """Ends an API key; ending it twice is fine."""
    key = session.get(ApiKey, key_id)
    if key is None or key.organisation_id != who.require(Scope.KEYS_WRITE):
        raise NotFound("no such key in this organisation", field="key_id", mend="list the keys")
    if key.revoked_at is None:
        key.revoked_at = int(time.time())
        session.add(key)
        record(session, who, "key.revoked", key.id)


def make_client(
    session: Session, vault: Vault, who: Principal, name: str, scopes: Sequence[Scope]
) -> tuple[OAuthClient, str]:
    """A new OAuth client and its secret, which is shown once."""
    secret = random_token("bwc_")
    client = OAuthClient(
        organisation_id=who.require(Scope.KEYS_WRITE),
        name=name,
        secret_hash=vault.hash(secret),
        scopes=check_machine_scopes(who, scopes),
        created_by=who.actor,
        created_at=int(time.time()),
    )
    session.add(client)
    record(session, who, "client.made", client.id, name=name, scopes=client.scopes)
    return client, secret


def revoke_client(session: Session, who: Principal, client_id: str) -> None:
    """Ends an OAuth client and with it its tokens."""
    client = session.get(OAuthClient, client_id)
    if client is None or client.organisation_id != who.require(Scope.KEYS_WRITE):
        raise NotFound("no such client in this organisation", field="client_id", mend="list the clients")
    if client.revoked_at is None:
        client.revoked_at = int(time.time())
        session.add(client)
        record(session, who, "client.revoked", client.id)
