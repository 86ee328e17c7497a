"""Agreements and their slots (open, they are on chain), and deliveries and payments of the caller."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from backend.api.deps import Ctx, Need, PageDep, PageQuery, get_principal
from backend.api.problems import responses
from backend.api.schemas.base import Address, Hash, Page
from backend.api.schemas.records import (
    AccountOut,
    AgreementDetail,
    AgreementOut,
    DeliveryOut,
    PaymentOut,
    PlantSlotOut,
    SlotOut,
)
from backend.service import deliveries
from backend.service.access import Principal, Scope
from backend.service.context import Context
from backend.service.pages import cursor_of, split_page
from backend.service.prices import get_batch
from backend.store.chain import (
    Account,
    Agreement,
    Batch,
    BatchPowerOffer,
    LedgerEntry,
    PlantMetered,
    PlantPaid,
)
from backend.store.identity import Wallet
from backend.store.market import PowerOfferRow

DeliveryReader = Annotated[Principal, Depends(Need(Scope.DELIVERIES_READ))]
PaymentReader = Annotated[Principal, Depends(Need(Scope.PAYMENTS_READ))]
AgreementName = Annotated[str, Path(pattern=r"^[0-9]{1,10}-[0-9]{1,10}-[0-9]{1,10}$", examples=["1-0-12"])]

router = APIRouter(tags=["records"])


def _view(row: Agreement, batch: Batch) -> dict[str, object]:
    fields = {name: getattr(row, name) for name in AgreementOut.model_fields if hasattr(row, name)}
    return fields | {
        "agreement": deliveries.agreement_name(row),
        "agreement_id": str(deliveries.agreement_number(row)),
        "start": batch.start + row.start_slot * batch.slot_seconds,
        "end": batch.start + row.end_slot * batch.slot_seconds,
    }


def _page_of(
    session: Session, query: SelectOfScalar[Agreement], page: PageQuery
) -> tuple[list[Agreement], dict[int, Batch], str | None]:
    """Agreements behind the cursor in order of (batch, chunk, run), their batches, and the next cursor."""
    after = cursor_of(page.after, int, int, int)
    if after:
        batch, chunk, run = (int(part) for part in after)
        query = query.where(
            (col(Agreement.batch_id) > batch)
            | (col(Agreement.batch_id) == batch)
            & (
                (col(Agreement.chunk_index) > chunk)
                | (col(Agreement.chunk_index) == chunk) & (col(Agreement.run_index) > run)
            )
        )
    query = query.order_by(
        col(Agreement.batch_id), col(Agreement.chunk_index), col(Agreement.run_index)
    ).limit(page.limit + 1)
    rows = session.exec(query).all()
    items, following = split_page(
        rows, page.limit, lambda row: (row.batch_id, row.chunk_index, row.run_index)
    )
    ids = {row.batch_id for row in items}
    batches = {row.batch_id: row for row in session.exec(select(Batch).where(col(Batch.batch_id).in_(ids)))}
    return list(items), batches, following


@router.get("/agreements", dependencies=[Depends(get_principal)])
def list_agreements(
    context: Ctx,
    page: PageDep,
    batch_id: Annotated[int | None, Query(ge=1, lt=1 << 62)] = None,
    order_hash: Annotated[Hash | None, Query()] = None,
    maker: Annotated[Address | None, Query(description="the buyer's account")] = None,
    seller: Annotated[Address | None, Query(description="the provider's account")] = None,
    site_id: Annotated[int | None, Query(ge=0, le=0xFFFFFFFF)] = None,
) -> Page[AgreementOut]:
    """Agreements by batch, order, buyer, provider or site; all of them are on chain."""
    query = select(Agreement)
    for column, value in (
        (Agreement.batch_id, batch_id), (Agreement.order_hash, order_hash), (Agreement.maker, maker),
        (Agreement.seller, seller), (Agreement.site_id, site_id),
    ):  # fmt: skip
        if value is not None:
            query = query.where(col(column) == value)
    with context.store.reading() as session:
        rows, batches, following = _page_of(session, query, page)
    return Page[AgreementOut](
        items=[AgreementOut.model_validate(_view(row, batches[row.batch_id])) for row in rows],
        next_cursor=following,
    )


@router.get("/agreements/{agreement}", responses=responses(404), dependencies=[Depends(get_principal)])
def read_agreement(context: Ctx, agreement: AgreementName) -> AgreementDetail:
    """One agreement, slot by slot: price, delivery, payment or refund."""
    key = deliveries.agreement_key(agreement)
    with context.store.reading() as session:
        row = deliveries.get_agreement(session, key)
        batch = get_batch(session, row.batch_id)
        slots = deliveries.slots_of(session, context.prices, [row], context.market_now())[key]
    return AgreementDetail.model_validate(
        _view(row, batch) | {"slots": [SlotOut.model_validate(slot) for slot in slots]}
    )


@router.get("/deliveries", responses=responses(401, 403))
def list_deliveries(
    context: Ctx,
    principal: DeliveryReader,
    page: PageDep,
    side: Annotated[
        Literal["buyer", "seller"], Query(description="what we bought, or what we sold")
    ] = "buyer",
    batch_id: Annotated[int | None, Query(ge=1, lt=1 << 62)] = None,
) -> Page[DeliveryOut]:
    """The organisation's agreements with their totals: ordered against delivered, paid and refunded."""
    mine = select(Wallet.address).where(Wallet.organisation_id == principal.organisation_id)
    column = Agreement.maker if side == "buyer" else Agreement.seller
    query = select(Agreement).where(col(column).in_(mine))
    if batch_id is not None:
        query = query.where(col(Agreement.batch_id) == batch_id)
    with context.store.reading() as session:
        rows, batches, following = _page_of(session, query, page)
        slots = deliveries.slots_of(session, context.prices, rows, context.market_now())
    return Page[DeliveryOut](
        items=[
            _delivery(row, batches[row.batch_id], side, slots[(row.batch_id, row.chunk_index, row.run_index)])
            for row in rows
        ],
        next_cursor=following,
    )


def _delivery(
    row: Agreement, batch: Batch, side: Literal["buyer", "seller"], slots: list[deliveries.SlotDelivery]
) -> DeliveryOut:
    return DeliveryOut(
        agreement=deliveries.agreement_name(row),
        batch_id=row.batch_id,
        order_hash=row.order_hash,
        site_id=row.site_id,
        zone_id=row.zone_id,
        mode=row.mode,
        side=side,
        start=batch.start + row.start_slot * batch.slot_seconds,
        slots=len(slots),
        slots_settled=sum(slot.state == "settled" for slot in slots),
        slots_refunded=sum(slot.state == "refunded" for slot in slots),
        lanes=row.lanes,
        ordered_vcu_slots=row.lanes * len(slots),
        delivered_milli_vcu_slots=sum(slot.delivered_milli_lanes or 0 for slot in slots),
        energy_wh=sum(slot.energy_wh for slot in slots),
        matched_wh=sum(slot.matched_wh or 0 for slot in slots),
        bundle_micro=sum(slot.bundle_micro for slot in slots),
        compute_micro=sum(slot.compute_micro or 0 for slot in slots),
        power_micro=sum(slot.power_micro or 0 for slot in slots),
        refund_micro=sum(slot.refund_micro or 0 for slot in slots),
    )


@router.get("/plants/{plant_id}/deliveries", responses=responses(404), dependencies=[Depends(get_principal)])
def list_plant_deliveries(
    context: Ctx,
    plant_id: Annotated[int, Path(ge=0, le=0xFFFFFFFF)],
    batch_id: Annotated[int, Query(ge=1, lt=1 << 62)],
) -> list[PlantSlotOut]:
    """What a plant sold, was metered to deliver and was paid, slot by slot of a batch."""
    with context.store.reading() as session:
        batch = get_batch(session, batch_id)
        found = session.exec(
            select(BatchPowerOffer)
            .join(PowerOfferRow, col(PowerOfferRow.offer_hash) == col(BatchPowerOffer.offer_hash))
            .where(BatchPowerOffer.batch_id == batch_id, PowerOfferRow.plant_id == plant_id)
        ).first()
        if found is None:
            return []
        index = found.offer_index
        metered = {
            row.slot: row
            for row in session.exec(
                select(PlantMetered).where(
                    PlantMetered.batch_id == batch_id, PlantMetered.offer_index == index
                )
            )
        }
        paid = {
            row.slot: row
            for row in session.exec(
                select(PlantPaid).where(PlantPaid.batch_id == batch_id, PlantPaid.offer_index == index)
            )
        }
    sold = [int.from_bytes(found.sold[at : at + 4]) for at in range(0, len(found.sold), 4)]
    return [
        PlantSlotOut(
            batch_id=batch_id,
            slot=slot,
            start=batch.start + slot * batch.slot_seconds,
            sold_wh=wh,
            metered_wh=getattr(metered.get(slot), "metered_wh", None),
            delivered_wh=getattr(metered.get(slot), "delivered_wh", None),
            matched_wh=getattr(paid.get(slot), "matched_wh", None),
            minted_wh=getattr(paid.get(slot), "minted_wh", None),
            paid_micro=getattr(paid.get(slot), "money_micro", None),
            penalty_micro=getattr(metered.get(slot), "penalty_micro", None),
        )
        for slot, wh in enumerate(sold)
        if wh or slot in metered
    ]


def _own_accounts(session: Session, principal: Principal) -> list[str]:
    query = select(Wallet.address).where(Wallet.organisation_id == principal.organisation_id)
    return list(session.exec(query.order_by(col(Wallet.address))))


@router.get("/accounts", responses=responses(401, 403))
def list_accounts(context: Ctx, principal: PaymentReader) -> list[AccountOut]:
    """Money and signing epoch of the organisation's accounts."""
    with context.store.reading() as session:
        mine = _own_accounts(session, principal)
        found = {
            row.address: row for row in session.exec(select(Account).where(col(Account.address).in_(mine)))
        }
    return [
        AccountOut.model_validate(found[address])
        if address in found
        else AccountOut(address=address, available_micro=0, locked_micro=0, epoch=0)
        for address in mine
    ]


@router.get("/payments", responses=responses(401, 403))
def list_payments(context: Ctx, principal: PaymentReader, page: PageDep) -> Page[PaymentOut]:
    """Every movement on the organisation's accounts, newest first."""
    return _payments(context, principal, page)


def _payments(context: Context, principal: Principal, page: PageQuery) -> Page[PaymentOut]:
    after = cursor_of(page.after, int, int)
    with context.store.reading() as session:
        query = select(LedgerEntry).where(col(LedgerEntry.account).in_(_own_accounts(session, principal)))
        if after:
            block, log = int(after[0]), int(after[1])
            query = query.where(
                (col(LedgerEntry.block_number) < block)
                | (col(LedgerEntry.block_number) == block) & (col(LedgerEntry.log_index) < log)
            )
        newest = (col(LedgerEntry.block_number).desc(), col(LedgerEntry.log_index).desc())
        rows = session.exec(query.order_by(*newest).limit(page.limit + 1)).all()
    items, following = split_page(rows, page.limit, lambda row: (row.block_number, row.log_index))
    return Page[PaymentOut](
        items=[PaymentOut.model_validate({**row.__dict__, "at": row.timestamp}) for row in items],
        next_cursor=following,
    )
