"""The secondary market of certificates and credits: signed offers, open to everyone to read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, select

from backend.api.deps import Ctx, Need, PageDep, get_principal
from backend.api.problems import responses
from backend.api.schemas.base import Address, Hash, Page
from backend.api.schemas.listings import (
    FillDraft,
    FillNew,
    KindName,
    ListingDetail,
    ListingFillOut,
    ListingNew,
    ListingOut,
    ListingTerms,
    Side,
)
from backend.api.schemas.trading import Transaction, TypedData
from backend.api.wallet import transaction
from backend.chain.keccak import checksum_address, hex0x
from backend.chain.plan import Call
from backend.chain.points import ANYONE, PointsOffer, digest, typed_data
from backend.service import listings
from backend.service.access import Principal, Scope
from backend.service.certificates import CERTIFICATE, CREDIT
from backend.service.errors import Invalid
from backend.service.intake import require_own_wallet
from backend.service.pages import cursor_of, split_page
from backend.store.chain import ListingFill
from backend.store.market import Listing

Writer = Annotated[Principal, Depends(Need(Scope.CERTIFICATES_WRITE))]
_KINDS = {"certificate": CERTIFICATE, "credit": CREDIT}
router = APIRouter(prefix="/listings", tags=["listings"])


def _fields(row: Listing, standing: listings.Standing) -> dict[str, object]:
    return {
        **{name: getattr(row, name) for name in ListingOut.model_fields if hasattr(row, name)},
        "state": standing.state,
        "side": "sell" if row.sell else "buy",
        "kind": "credit" if row.kind == CREDIT else "certificate",
        "unit": "g" if row.kind == CREDIT else "Wh",
        "certificate_id": str(row.certificate_id),
        "filled": standing.filled,
        "left": standing.left,
        "taker": None if row.taker == ANYONE else row.taker,
        "nonce": str(row.nonce),
    }


def _view(session: Session, row: Listing, now: int) -> ListingOut:
    return ListingOut.model_validate(_fields(row, listings.standings(session, [row], now)[row.offer_hash]))


@router.get("", dependencies=[Depends(get_principal)])
def list_listings(
    context: Ctx,
    page: PageDep,
    side: Annotated[Side | None, Query()] = None,
    kind: Annotated[KindName | None, Query()] = None,
    state: Annotated[str | None, Query(pattern="^(open|filled|cancelled|expired)$")] = None,
    maker: Annotated[Address | None, Query()] = None,
    zone_id: Annotated[int | None, Query(ge=0, le=0xFFFF)] = None,
    source: Annotated[int | None, Query(ge=0, le=255)] = None,
) -> Page[ListingOut]:
    """Listings, newest first. `state` filters the page; a page may then be short."""
    after = cursor_of(page.after, str)
    query = select(Listing)
    if after:
        query = query.where(col(Listing.seen_id) < str(after[0]))
    for column, value in (
        (Listing.sell, None if side is None else side == "sell"),
        (Listing.kind, None if kind is None else _KINDS[kind]),
        (Listing.maker, maker), (Listing.zone_id, zone_id), (Listing.source, source),
    ):  # fmt: skip
        if value is not None:
            query = query.where(col(column) == value)
    now = context.market_now()
    with context.store.reading() as session:
        rows = session.exec(query.order_by(col(Listing.seen_id).desc()).limit(page.limit + 1)).all()
        items, following = split_page(rows, page.limit, lambda row: (row.seen_id,))
        found = listings.standings(session, items, now)
    views = [ListingOut.model_validate(_fields(row, found[row.offer_hash])) for row in items]
    return Page[ListingOut](
        items=[view for view in views if state in (None, view.state)], next_cursor=following
    )


@router.post("/typed-data", responses=responses(401, 403))
def draft_listing(context: Ctx, principal: Writer, body: ListingTerms) -> TypedData:
    """Returns exactly what the maker's wallet is to sign. A seller's account approves the market once, see
    POST /listings/approval.
    """
    book = context.chain.book
    where = listings.domain_of(book)
    with context.store.reading() as session:
        require_own_wallet(session, principal, body.maker)
        offer = PointsOffer(
            checksum_address(body.maker),
            body.side == "sell",
            book["Certificates"].address,
            _token(body.certificate_id),
            body.amount,
            body.price_micro_per_thousand,
            checksum_address(body.taker or ANYONE),
            listings.next_nonce(session, body.maker) if body.nonce is None else body.nonce,
            listings.epoch_of(session, body.maker),
            body.expiry,
        )
    message: dict[str, object] = {
        name: str(value) if name in ("token_id", "nonce") else value
        for name, value in zip(PointsOffer.__slots__, offer.abi_tuple(), strict=True)
    }
    for name in ("maker", "asset", "taker"):
        message[name] = str(message[name]).lower()
    return TypedData(typed_data=typed_data(offer, where), digest=hex0x(digest(offer, where)), message=message)


@router.post("/approval", responses=responses(401, 403))
def draft_listing_approval(context: Ctx, principal: Writer) -> Transaction:
    """Returns the transaction by which an account lets the points market hand over what it sells; once."""
    book = context.chain.book
    market, certificates = listings.market_of(book), book["Certificates"]
    data = certificates.abi.encode_call("setApprovalForAll", (market.address, True))
    call = Call(certificates.address, data, 0, "let the points market hand over what you sell")
    return transaction(call, book.chain_id)


@router.post(
    "", status_code=201,
    responses={200: {"model": ListingOut, "description": "it was placed before"}, **responses(401, 403)},
)  # fmt: skip
def place_listing(context: Ctx, principal: Writer, response: Response, body: ListingNew) -> ListingOut:
    """Takes in a signed offer. A repeat changes nothing."""
    fields = body.offer.model_dump()
    fields["token_id"] = _token(body.offer.token_id)
    for name in ("maker", "asset", "taker"):
        fields[name] = checksum_address(fields[name])
    offer = PointsOffer(**fields)
    now = context.market_now()
    with context.store.writing() as session:
        row, made = listings.place(
            session, context.chain.book, context.rpc_or_none, principal, offer,
            bytes.fromhex(body.signature[2:]), now,
        )  # fmt: skip
        if not made:
            response.status_code = 200
        session.flush()
        return _view(session, row, now)


def _token(text: str) -> int:
    number = int(text)
    if not 0 < number < 1 << 256:
        raise Invalid("no certificate has this id", field="certificate_id", mend="see GET /certificates")
    return number


@router.get("/{offer_hash}", responses=responses(404), dependencies=[Depends(get_principal)])
def read_listing(context: Ctx, offer_hash: Hash) -> ListingDetail:
    """One listing with its signature, which is all that is needed to fill it, and its fills."""
    with context.store.reading() as session:
        row = listings.get(session, offer_hash)
        standing = listings.standings(session, [row], context.market_now())[offer_hash]
        fills = session.exec(
            select(ListingFill)
            .where(ListingFill.offer_hash == offer_hash)
            .order_by(col(ListingFill.block_number).desc(), col(ListingFill.log_index).desc())
            .limit(500)
        ).all()
    detail = _fields(row, standing) | {
        "asset": row.asset,
        "signature": hex0x(row.signature),
        "fills": [ListingFillOut.model_validate({**fill.__dict__, "at": fill.timestamp}) for fill in fills],
    }
    return ListingDetail.model_validate(detail)


@router.post("/{offer_hash}/fill", responses=responses(401, 403, 404))
def draft_listing_fill(context: Ctx, principal: Writer, offer_hash: Hash, body: FillNew) -> FillDraft:
    """Returns the transaction by which an account fills a listing, and what the buyer pays."""
    book = context.chain.book
    market = listings.market_of(book)
    with context.store.reading() as session:
        require_own_wallet(session, principal, body.account)
        row = listings.get(session, offer_hash)
        cost = listings.check_fill(session, row, body.account, body.amount, context.market_now())
    data = market.abi.encode_call("fill", (listings.message(row).abi_tuple(), row.signature, body.amount))
    label = f"{'buy' if row.sell else 'sell'} {body.amount} units for {cost} micro-units"
    return FillDraft(
        cost_micro=cost, transaction=transaction(Call(market.address, data, 0, label), book.chain_id)
    )


@router.post("/{offer_hash}/cancel", responses=responses(401, 403, 404))
def cancel_listing(context: Ctx, principal: Writer, offer_hash: Hash) -> Transaction:
    """Takes an own listing off the board, and returns the transaction that cancels it on chain for good."""
    book = context.chain.book
    market = listings.market_of(book)
    with context.store.writing() as session:
        nonce = listings.withdraw(session, principal, offer_hash).nonce
    data = market.abi.encode_call("cancel", (nonce,))
    return transaction(Call(market.address, data, 0, f"nonce {nonce}, for ever"), book.chain_id)
