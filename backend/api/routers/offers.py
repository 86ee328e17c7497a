"""Compute and power offers: what to sign, intake, list, withdrawal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session, col, select

from backend.api.deps import Ctx, Need, PageDep, PageQuery
from backend.api.problems import responses
from backend.api.schemas.base import Hash, Page
from backend.api.schemas.trading import (
    ComputeOfferNew,
    ComputeOfferOut,
    ComputeOfferTerms,
    PowerOfferNew,
    PowerOfferOut,
    PowerOfferTerms,
    Transaction,
    TypedData,
)
from backend.api.wallet import transaction, typed
from backend.chain.clients import Market
from backend.chain.keccak import checksum_address, keccak
from backend.chain.orders import ComputeOffer, PowerOffer
from backend.chain.packing import unpack_profile
from backend.service import offers
from backend.service.access import Principal, Scope
from backend.service.context import Context
from backend.service.errors import Invalid
from backend.service.intake import Accepted, require_own_wallet
from backend.service.metrics import ORDERS
from backend.service.orders import epoch_of, fresh_nonce
from backend.service.pages import cursor_of, split_page
from backend.store.chain import Plant, Site
from backend.store.identity import Wallet
from backend.store.market import ComputeOfferRow, PowerOfferRow, Withdrawal

Row = TypeVar("Row", ComputeOfferRow, PowerOfferRow)
Out = TypeVar("Out")
Reader = Annotated[Principal, Depends(Need(Scope.OFFERS_READ))]
Writer = Annotated[Principal, Depends(Need(Scope.OFFERS_WRITE))]
router = APIRouter(tags=["offers"], responses=responses(401, 403))


def _withdrawn(session: Session, hashes: list[str]) -> set[str]:
    return set(session.exec(select(Withdrawal.order_hash).where(col(Withdrawal.order_hash).in_(hashes))))


def _compute_view(row: ComputeOfferRow, withdrawn: bool) -> ComputeOfferOut:
    fields = {name: getattr(row, name) for name in offers.COMPUTE_FIELDS}
    fields |= {"nonce": str(row.nonce), "expiry": str(row.expiry)}
    return ComputeOfferOut(
        offer_hash=row.offer_hash,
        maker=row.maker,
        received_at=row.received_at,  # type: ignore[arg-type]
        withdrawn=withdrawn,
        **fields,
    )


def _power_view(row: PowerOfferRow, withdrawn: bool) -> PowerOfferOut:
    wh, asks = unpack_profile(row.profile, row.tranches)
    return PowerOfferOut(
        offer_hash=row.offer_hash,
        maker=row.maker,
        plant_id=row.plant_id,
        zone_id=row.zone_id,
        source=row.source_kind,
        start=row.start,
        wh=wh.tolist(),
        ask_micro_per_kwh=asks.tolist(),
        epoch=row.epoch,
        nonce=str(row.nonce),
        expiry=str(row.expiry),
        received_at=row.received_at,  # type: ignore[arg-type]
        withdrawn=withdrawn,
    )


def _page(
    context: Context,
    principal: Principal,
    page: PageQuery,
    model: type[Row],
    view: Callable[[Row, bool], Out],
) -> tuple[list[Out], str | None]:
    """The organisation's offers of one kind, newest first, as they are shown; and the next page's cursor."""
    after = cursor_of(page.after, str)
    mine = select(Wallet.address).where(Wallet.organisation_id == principal.organisation_id)
    query = select(model).where(col(model.maker).in_(mine))
    if after:
        query = query.where(col(model.seen_id) < str(after[0]))
    with context.store.reading() as session:
        rows = session.exec(query.order_by(col(model.seen_id).desc()).limit(page.limit + 1)).all()
        items, following = split_page(rows, page.limit, lambda row: (row.seen_id,))
        gone = _withdrawn(session, [row.offer_hash for row in items])
    return [view(row, row.offer_hash in gone) for row in items], following


@router.post("/compute-offers/typed-data")
def draft_compute_offer(context: Ctx, principal: Writer, body: ComputeOfferTerms) -> TypedData:
    """Returns exactly what the provider's wallet is to sign."""
    with context.store.reading() as session:
        require_own_wallet(session, principal, body.maker)
        site = session.get(Site, body.site_id)
        if site is None:
            raise Invalid("there is no such site", field="site_id", mend="see GET /api/v1/sites")
        epoch = epoch_of(session, body.maker)
    offer = ComputeOffer(
        maker=checksum_address(body.maker),
        site_id=body.site_id,
        class_id=body.class_id,
        zone_id=site.zone_id,
        capacity=body.capacity,
        energy_wh_per_vcu_slot=body.energy_wh_per_vcu_slot,
        ask_price=body.ask_price,
        start=body.start,
        end=body.end,
        epoch=epoch,
        nonce=fresh_nonce() if body.nonce is None else body.nonce,
        expiry=body.end if body.expiry is None else body.expiry,
    )
    return typed(offer, context.chain.domain)


@router.post(
    "/compute-offers",
    status_code=201,
    responses={200: {"model": ComputeOfferOut, "description": "placed before"}},
)
def place_compute_offer(
    context: Ctx, principal: Writer, response: Response, body: ComputeOfferNew
) -> ComputeOfferOut:
    """Takes in a signed compute offer. A repeat changes nothing."""
    offer = ComputeOffer(**body.offer.model_dump() | {"maker": checksum_address(body.offer.maker)})
    with context.store.reading() as session:
        accepted = offers.accept_compute_offer(
            session, context.settings, context.chain.domain, context.rpc_or_none, principal, offer,
            bytes.fromhex(body.signature[2:]), context.market_now(),
        )  # fmt: skip
    if isinstance(accepted, Accepted):
        context.writer.store(accepted)
        ORDERS.labels("compute").inc()
        assert isinstance(accepted.row, ComputeOfferRow)
        return _compute_view(accepted.row, withdrawn=False)
    response.status_code = 200
    return _compute_view(accepted, withdrawn=False)


@router.get("/compute-offers")
def list_compute_offers(context: Ctx, principal: Reader, page: PageDep) -> Page[ComputeOfferOut]:
    """The organisation's compute offers, newest first."""
    items, following = _page(context, principal, page, ComputeOfferRow, _compute_view)
    return Page[ComputeOfferOut](items=items, next_cursor=following)


@router.post("/power-offers/typed-data")
def draft_power_offer(context: Ctx, principal: Writer, body: PowerOfferTerms) -> TypedData:
    """Returns exactly what the supplier's wallet is to sign, and the packed profile."""
    profile = offers.packed_profile([[(step.wh, step.ask) for step in row] for row in body.profile])
    slots = len(body.profile)
    with context.store.reading() as session:
        require_own_wallet(session, principal, body.maker)
        plant = session.get(Plant, body.plant_id)
        if plant is None:
            raise Invalid("there is no such plant", field="plant_id", mend="see GET /api/v1/plants")
        epoch = epoch_of(session, body.maker)
    end = body.start + slots * context.settings.slot_seconds
    offer = PowerOffer(
        checksum_address(body.maker), body.plant_id, plant.zone_id, plant.source, len(body.profile[0]),
        body.start, slots, keccak(profile), epoch, fresh_nonce() if body.nonce is None else body.nonce,
        end if body.expiry is None else body.expiry,
    )  # fmt: skip
    return typed(offer, context.chain.domain, profile)


@router.post(
    "/power-offers",
    status_code=201,
    responses={200: {"model": PowerOfferOut, "description": "placed before"}},
)
def place_power_offer(
    context: Ctx, principal: Writer, response: Response, body: PowerOfferNew
) -> PowerOfferOut:
    """Takes in a signed power offer with its profile. A repeat changes nothing."""
    fields = body.offer.model_dump()
    fields |= {
        "maker": checksum_address(body.offer.maker),
        "profile_hash": bytes.fromhex(body.offer.profile_hash[2:]),
    }
    offer = PowerOffer(**fields)
    profile = bytes.fromhex(body.profile[2:])
    if len(profile) != 8 * offer.tranches * offer.slots:
        raise Invalid(
            "the profile's length does not fit slots x tranches",
            field="profile",
            mend=f"give {8 * offer.tranches * offer.slots} bytes",
        )
    with context.store.reading() as session:
        accepted = offers.accept_power_offer(
            session, context.settings, context.chain.domain, context.rpc_or_none, principal, offer, profile,
            bytes.fromhex(body.signature[2:]), context.market_now(),
        )  # fmt: skip
    if isinstance(accepted, Accepted):
        context.writer.store(accepted)
        ORDERS.labels("power").inc()
        assert isinstance(accepted.row, PowerOfferRow)
        return _power_view(accepted.row, withdrawn=False)
    response.status_code = 200
    return _power_view(accepted, withdrawn=False)


@router.get("/power-offers")
def list_power_offers(context: Ctx, principal: Reader, page: PageDep) -> Page[PowerOfferOut]:
    """The organisation's power offers, newest first."""
    items, following = _page(context, principal, page, PowerOfferRow, _power_view)
    return Page[PowerOfferOut](items=items, next_cursor=following)


@router.post("/offers/{offer_hash}/cancel", responses=responses(404))
def cancel_offer(context: Ctx, principal: Writer, offer_hash: Hash) -> Transaction:
    """Takes an offer out of the book, and returns the transaction that cancels its nonce on chain for
    good.
    """
    link = context.chain
    with context.store.writing() as session:
        row = offers.withdraw_offer(session, principal, offer_hash)
        nonce = row.nonce
    return transaction(
        Market(link.book).call("cancel", nonce, label=f"nonce {nonce}, for ever"), link.book.chain_id
    )
