"""The caller's organisation: members, wallets, keys, clients, audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from sqlmodel import select

from backend.api.deps import Ctx, Need, PageDep
from backend.api.problems import responses
from backend.api.schemas.base import Id, Page
from backend.api.schemas.identity import (
    AuditOut,
    ClientMade,
    ClientNew,
    ClientOut,
    KeyMade,
    KeyNew,
    KeyOut,
    MemberChange,
    MemberNew,
    MemberOut,
    OrganisationChange,
    OrganisationOut,
    WalletNew,
    WalletOut,
)
from backend.service import login, organisations
from backend.service.access import Principal, Scope
from backend.service.pages import cursor_of, split_page
from backend.store.identity import ApiKey, AuditEntry, OAuthClient, Organisation

Reader = Annotated[Principal, Depends(Need(Scope.ORGANISATION_READ))]
Writer = Annotated[Principal, Depends(Need(Scope.ORGANISATION_WRITE))]
KeyReader = Annotated[Principal, Depends(Need(Scope.KEYS_READ))]
KeyWriter = Annotated[Principal, Depends(Need(Scope.KEYS_WRITE))]
LogReader = Annotated[Principal, Depends(Need(Scope.AUDIT_READ))]

router = APIRouter(prefix="/organisation", tags=["organisation"], responses=responses(401, 403))


def _id(principal: Principal) -> str:
    assert principal.organisation_id is not None
    return principal.organisation_id


@router.get("")
def read_organisation(context: Ctx, principal: Reader) -> OrganisationOut:
    """The caller's organisation."""
    with context.store.reading() as session:
        return OrganisationOut.model_validate(session.get_one(Organisation, _id(principal)))


@router.patch("")
def change_organisation(context: Ctx, principal: Writer, body: OrganisationChange) -> OrganisationOut:
    """Renames the organisation."""
    with context.store.writing() as session:
        return OrganisationOut.model_validate(organisations.rename(session, principal, body.name))


@router.get("/members")
def list_members(context: Ctx, principal: Reader) -> list[MemberOut]:
    """Members who have a seat now."""
    with context.store.reading() as session:
        return [MemberOut.model_validate(row) for row in organisations.members(session, _id(principal))]


@router.post("/members", status_code=201, responses=responses(409))
def add_member(context: Ctx, principal: Writer, body: MemberNew) -> MemberOut:
    """Gives a wallet a seat with roles."""
    with context.store.writing() as session:
        row = organisations.add_member(session, principal, body.address, body.display_name, body.roles)
        return MemberOut.model_validate(row)


@router.patch("/members/{member_id}", responses=responses(404, 409))
def change_member(context: Ctx, principal: Writer, member_id: Id, body: MemberChange) -> MemberOut:
    """Changes a member's name or roles."""
    with context.store.writing() as session:
        row = organisations.change_member(session, principal, member_id, body.display_name, body.roles)
        return MemberOut.model_validate(row)


@router.delete("/members/{member_id}", status_code=204, responses=responses(404, 409))
def remove_member(context: Ctx, principal: Writer, member_id: Id) -> None:
    """Ends a member's seat."""
    with context.store.writing() as session:
        organisations.remove_member(session, principal, member_id)


@router.get("/wallets")
def list_wallets(context: Ctx, principal: Reader) -> list[WalletOut]:
    """The organisation's trading accounts."""
    with context.store.reading() as session:
        return [WalletOut.model_validate(row) for row in organisations.wallets(session, _id(principal))]


@router.post("/wallets", status_code=201, responses=responses(409))
def link_wallet(context: Ctx, principal: Writer, body: WalletNew) -> WalletOut:
    """Links a trading account; the account signs a sign-in message for it."""
    message = login.check_message(
        body.message, body.signature, context.settings, context.origins, context.rpc_or_none
    )
    with context.store.writing() as session:
        login.use_nonce(session, message.nonce)
        return WalletOut.model_validate(
            organisations.link_wallet(session, principal, message.address, body.label)
        )


@router.get("/keys")
def list_keys(context: Ctx, principal: KeyReader) -> list[KeyOut]:
    """API keys, without their secrets."""
    with context.store.reading() as session:
        rows = session.exec(
            select(ApiKey).where(ApiKey.organisation_id == _id(principal)).order_by(ApiKey.id)
        ).all()
        return [KeyOut.model_validate(row) for row in rows]


@router.post("/keys", status_code=201)
def make_key(context: Ctx, principal: KeyWriter, body: KeyNew) -> KeyMade:
    """Makes an API key; its secret is in this answer only."""
    with context.store.writing() as session:
        key, secret = organisations.make_key(
            session, context.vault, principal, body.name, body.scopes, body.expires_at
        )
        return KeyMade(secret=secret, **KeyOut.model_validate(key).__dict__)


@router.delete("/keys/{key_id}", status_code=204, responses=responses(404))
def revoke_key(context: Ctx, principal: KeyWriter, key_id: Id) -> None:
    """Ends an API key."""
    with context.store.writing() as session:
        organisations.revoke_key(session, principal, key_id)


@router.get("/clients")
def list_clients(context: Ctx, principal: KeyReader) -> list[ClientOut]:
    """OAuth clients, without their secrets."""
    with context.store.reading() as session:
        rows = session.exec(
            select(OAuthClient).where(OAuthClient.organisation_id == _id(principal)).order_by(OAuthClient.id)
        ).all()
        return [ClientOut.model_validate(row) for row in rows]


@router.post("/clients", status_code=201)
def make_client(context: Ctx, principal: KeyWriter, body: ClientNew) -> ClientMade:
    """Makes an OAuth client; its secret is in this answer only."""
    with context.store.writing() as session:
        client, secret = organisations.make_client(session, context.vault, principal, body.name, body.scopes)
        return ClientMade(client_secret=secret, **ClientOut.model_validate(client).__dict__)


@router.delete("/clients/{client_id}", status_code=204, responses=responses(404))
def revoke_client(context: Ctx, principal: KeyWriter, client_id: Id) -> None:
    """Ends an OAuth client and its tokens."""
    with context.store.writing() as session:
        organisations.revoke_client(session, principal, client_id)


@router.get("/audit-log")
def list_audit_log(context: Ctx, principal: LogReader, page: PageDep) -> Page[AuditOut]:
    """Who did what in this organisation, newest first."""
    after = cursor_of(page.after, str)
    query = select(AuditEntry).where(AuditEntry.organisation_id == _id(principal))
    if after:
        query = query.where(AuditEntry.id < str(after[0]))
    with context.store.reading() as session:
        rows = session.exec(query.order_by(AuditEntry.id.desc()).limit(page.limit + 1)).all()  # type: ignore[attr-defined]
        items, following = split_page(rows, page.limit, lambda row: (row.id,))
        return Page[AuditOut](items=[AuditOut.model_validate(row) for row in items], next_cursor=following)
