"""Certificates and credits: holdings, history, retirement."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from sqlmodel import col, select

from backend.api.deps import Ctx, Need, PageDep, get_principal
from backend.api.problems import responses
from backend.api.schemas.base import Address, Page
from backend.api.schemas.records import (
    CertificateEvent,
    HoldingOut,
    RetirementNew,
    RetirementOut,
)
from backend.api.schemas.trading import Transaction
from backend.api.wallet import transaction
from backend.chain.plan import Call
from backend.service import certificates
from backend.service.access import Principal, Scope
from backend.service.errors import Invalid
from backend.service.pages import cursor_of, split_page
from backend.store.chain import CertificateMove, Retirement
from backend.store.identity import Wallet

Reader = Annotated[Principal, Depends(Need(Scope.CERTIFICATES_READ))]
Writer = Annotated[Principal, Depends(Need(Scope.CERTIFICATES_WRITE))]
CertificateNumber = Annotated[str, Path(pattern=r"^[0-9]{1,78}$", examples=["452312848583266388"])]
_MAX = 1 << 256

router = APIRouter(prefix="/certificates", tags=["certificates"])


def _number(text: str) -> int:
    number = int(text)
    if number >= _MAX:
        raise Invalid("larger than any id", field="certificate_id", mend="give an id from your holdings")
    return number


def _view(holding: certificates.Holding) -> HoldingOut:
    meta = certificates.unpack_id(holding.certificate_id)
    return HoldingOut(
        account=holding.account,
        certificate_id=str(holding.certificate_id),
        kind="credit" if meta.kind == certificates.CREDIT else "certificate",
        unit="g" if meta.kind == certificates.CREDIT else "Wh",
        year_month=meta.year_month,
        zone_id=meta.zone_id,
        source=meta.source,
        issuer=meta.issuer,
        amount=holding.amount,
        retired=holding.retired,
    )


@router.get("", responses=responses(401, 403))
def list_holdings(context: Ctx, principal: Reader) -> list[HoldingOut]:
    """What the organisation's accounts hold and had retired for them."""
    with context.store.reading() as session:
        mine = session.exec(
            select(Wallet.address).where(Wallet.organisation_id == principal.organisation_id)
        ).all()
        return [_view(holding) for holding in certificates.holdings(session, mine)]


@router.get("/{certificate_id}/history", dependencies=[Depends(get_principal)])
def list_certificate_history(
    context: Ctx, page: PageDep, certificate_id: CertificateNumber
) -> Page[CertificateEvent]:
    """Every step of a certificate or credit, oldest first; it is public on chain."""
    number = _number(certificate_id)
    after = cursor_of(page.after, int, int, int)
    query = select(CertificateMove).where(CertificateMove.certificate_id == number)
    if after:
        block, log, position = (int(part) for part in after)
        query = query.where(
            (col(CertificateMove.block_number) > block)
            | (col(CertificateMove.block_number) == block)
            & (
                (col(CertificateMove.log_index) > log)
                | (col(CertificateMove.log_index) == log) & (col(CertificateMove.position) > position)
            )
        )
    oldest = (
        col(CertificateMove.block_number),
        col(CertificateMove.log_index),
        col(CertificateMove.position),
    )
    with context.store.reading() as session:
        rows = session.exec(query.order_by(*oldest).limit(page.limit + 1)).all()
    items, following = split_page(
        rows, page.limit, lambda row: (row.block_number, row.log_index, row.position)
    )
    return Page[CertificateEvent](items=[_event(row) for row in items], next_cursor=following)


def _event(row: CertificateMove) -> CertificateEvent:
    step = "minted" if row.sender is None else "retired" if row.receiver is None else "transferred"
    return CertificateEvent(
        event=step,  # type: ignore[arg-type]
        certificate_id=str(row.certificate_id),
        sender=row.sender,
        receiver=row.receiver,
        amount=row.amount,
        at=row.timestamp,
        tx_hash=row.tx_hash,
        block_number=row.block_number,
    )


@router.get("/retirements", dependencies=[Depends(get_principal)])
def list_retirements(
    context: Ctx, page: PageDep, beneficiary: Annotated[Address | None, Query()] = None
) -> Page[RetirementOut]:
    """Retirements, newest first; public, so that anyone can check a claim."""
    after = cursor_of(page.after, int, int)
    query = select(Retirement)
    if beneficiary is not None:
        query = query.where(Retirement.beneficiary == beneficiary)
    if after:
        block, log = int(after[0]), int(after[1])
        query = query.where(
            (col(Retirement.block_number) < block)
            | (col(Retirement.block_number) == block) & (col(Retirement.log_index) < log)
        )
    newest = (col(Retirement.block_number).desc(), col(Retirement.log_index).desc())
    with context.store.reading() as session:
        rows = session.exec(query.order_by(*newest).limit(page.limit + 1)).all()
    items, following = split_page(rows, page.limit, lambda row: (row.block_number, row.log_index))
    return Page[RetirementOut](
        items=[
            RetirementOut.model_validate(
                {**row.__dict__, "certificate_id": str(row.certificate_id), "at": row.timestamp}
            )
            for row in items
        ],
        next_cursor=following,
    )


@router.post("/retirements/transaction", responses=responses(401, 403))
def draft_retirement(context: Ctx, principal: Writer, body: RetirementNew) -> Transaction:
    """Returns the transaction that retires units for a beneficiary; final once it is mined."""
    link = context.chain
    purpose = hashlib.sha256(body.purpose.encode()).digest()
    contract = link.book["Certificates"]
    arguments = (_number(body.certificate_id), body.amount, body.beneficiary, purpose)
    data = contract.abi.encode_call("retire", arguments)
    label = f"retire {body.amount} units for {body.beneficiary}"
    return transaction(Call(contract.address, data, 0, label), link.book.chain_id)
