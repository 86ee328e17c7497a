"""Bundle orders: what to sign, intake, list, withdrawal."""

from __future__ import annotations

import json
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, select

from backend.api.deps import Ctx, Need, PageDep
from backend.api.problems import responses
from backend.api.schemas.base import Hash, Page, moment_text
from backend.api.schemas.trading import (
    OrderNew,
    OrderOut,
    OrderState,
    OrderTerms,
    SignedOrder,
    TypedData,
    Withdrawn,
)
from backend.api.wallet import transaction, typed
from backend.chain.clients import Market
from backend.chain.keccak import checksum_address
from backend.chain.orders import BundleOrder
from backend.service import orders
from backend.service.access import Principal, Scope
from backend.service.audit_log import request_id
from backend.service.context import Context
from backend.service.desk import NeedsSlowCheck, NewOrder
from backend.service.errors import Invalid
from backend.service.intake import require_own_wallet, terms_now
from backend.service.metrics import ORDERS
from backend.service.pages import cursor_of, split_page
from backend.store.identity import Wallet
from backend.store.market import OrderRow

Reader = Annotated[Principal, Depends(Need(Scope.ORDERS_READ))]
Writer = Annotated[Principal, Depends(Need(Scope.ORDERS_WRITE))]
router = APIRouter(prefix="/orders", tags=["orders"], responses=responses(401, 403))


def zone_mask(zones: list[int] | None, known: frozenset[int]) -> int:
    """Bits of the zones, or of all known ones."""
    if zones is not None and not all(0 <= zone < 64 for zone in zones):
        raise Invalid("there is no such zone", field="zones", mend="give some of 0 to 63")
    return sum(1 << zone for zone in set(known if zones is None else zones))


def order_views(session: Session, rows: list[OrderRow], now: int) -> list[OrderOut]:
    """The rows as the API shows them."""
    outcomes = orders.outcomes(session, rows, now)
    return [_view(row, outcomes[row.order_hash]) for row in rows]


def _view(row: OrderRow, outcome: orders.Outcome) -> OrderOut:
    fields = {
        name: getattr(row, name)
        for name in orders.ORDER_FIELDS
        if name not in ("zone_mask", "nonce", "expiry")
    }
    return OrderOut(
        order_hash=row.order_hash,
        state=outcome.state,  # type: ignore[arg-type]
        maker=row.maker,
        zones=[zone for zone in range(64) if row.zone_mask >> zone & 1],
        nonce=str(row.nonce),
        expiry=str(row.expiry),
        received_at=row.received_at,  # type: ignore[arg-type]
        template_id=row.template_id,
        lanes_filled=outcome.lanes_filled,
        cost_micro=outcome.cost_micro,
        batch_ids=list(outcome.batch_ids),
        slots=outcome.slots,
        slots_settled=outcome.slots_settled,
        slots_refunded=outcome.slots_refunded,
        **fields,
    )


@router.post("/typed-data", responses=responses(404))
def draft_order(context: Ctx, principal: Writer, body: OrderTerms) -> TypedData:
    """Returns exactly what the wallet is to sign for these terms."""
    with context.store.reading() as session:
        require_own_wallet(session, principal, body.maker)
        known = terms_now(session, context.settings, 0)
        order = BundleOrder(
            maker=checksum_address(body.maker),
            class_id=body.class_id,
            zone_mask=zone_mask(body.zones, known.zones),
            lanes=body.lanes,
            min_lanes=body.min_lanes,
            duration_slots=body.duration_slots,
            start=body.start,
            deadline=body.deadline,
            limit_price=body.limit_price,
            min_green_bps=body.min_green_bps,
            max_carbon=body.max_carbon,
            carbon_price=body.carbon_price,
            kind=body.kind,
            epoch=orders.epoch_of(session, body.maker),
            nonce=orders.next_nonce(session, body.maker) if body.nonce is None else body.nonce,
            expiry=body.deadline if body.expiry is None else body.expiry,
        )
    return typed(order, context.chain.domain)


@router.post(
    "",
    status_code=201,
    response_model=OrderOut,
    responses={200: {"model": OrderOut, "description": "it was placed before"}},
)
async def place_order(context: Ctx, principal: Writer, body: OrderNew) -> Response:
    """Takes in a signed order after every rule and the signature were checked. A repeat changes nothing."""
    return await place(context, principal, body)


async def place(context: Context, principal: Principal, body: OrderNew) -> Response:
    """The answer to a signed order of a caller who may place orders."""
    order = BundleOrder(**_fields(body.order))
    signature = bytes.fromhex(body.signature[2:])
    try:
        placed = await context.desk.place(principal, order, signature, body.template_id, request_id.get())
    except NeedsSlowCheck:
        return await run_sync(_place_slowly, context, principal, order, signature, body.template_id)
    if isinstance(placed, str):
        return await run_sync(_placed_before, context, placed)
    ORDERS.labels("bundle").inc()
    return Response(_open_view(placed), 201, media_type="application/json")


def _open_view(row: NewOrder) -> str:
    """The JSON of `OrderOut` of an order that just came in; a test holds it to what GET shows."""
    fields: dict[str, Any] = {name: getattr(row, name) for name in orders.ORDER_FIELDS}
    mask = fields.pop("zone_mask")
    fields |= {"nonce": str(row.nonce), "expiry": str(row.expiry), "order_hash": row.order_hash}
    fields |= {"zones": [zone for zone in range(mask.bit_length()) if mask >> zone & 1], "state": "open"}
    fields |= {"maker": row.maker, "template_id": row.template_id, "lanes_filled": 0, "cost_micro": 0}
    fields |= {"received_at": moment_text(row.received_at), "batch_ids": []}
    fields |= {"slots": 0, "slots_settled": 0, "slots_refunded": 0}
    return json.dumps(fields)


def _answer(view: OrderOut, status: int) -> Response:
    return Response(view.model_dump_json(), status, media_type="application/json")


def _placed_before(context: Context, order_hash: str) -> Response:
    with context.store.reading() as session:
        row = session.get_one(OrderRow, order_hash)
        return _answer(order_views(session, [row], context.market_now())[0], 200)


def _place_slowly(
    context: Context, principal: Principal, order: BundleOrder, signature: bytes, template_id: str | None
) -> Response:
    """The same, one by one, asking the chain whether a contract account signed it (EIP-1271)."""
    with context.store.reading() as session:
        accepted = orders.accept(
            session, context.settings, context.chain.domain, context.rpc_or_none, principal, order, signature,
            context.market_now(), template_id,
        )  # fmt: skip
    if isinstance(accepted, OrderRow):
        return _placed_before(context, accepted.order_hash)
    context.writer.store(accepted)
    ORDERS.labels("bundle").inc()
    assert isinstance(accepted.row, OrderRow)
    return _answer(_view(accepted.row, orders.Outcome("open")), 201)


def _fields(body: SignedOrder) -> dict[str, Any]:
    return body.model_dump() | {"maker": checksum_address(body.maker)}


@router.get("")
def list_orders(
    context: Ctx,
    principal: Reader,
    page: PageDep,
    state: Annotated[
        OrderState | None, Query(description="filters the page; a page may then be short")
    ] = None,
) -> Page[OrderOut]:
    """The organisation's orders, newest first."""
    after = cursor_of(page.after, str)
    mine = select(Wallet.address).where(Wallet.organisation_id == principal.organisation_id)
    query = select(OrderRow).where(col(OrderRow.maker).in_(mine))
    if after:
        query = query.where(col(OrderRow.seen_id) < str(after[0]))
    now = context.market_now()
    with context.store.reading() as session:
        rows = session.exec(query.order_by(col(OrderRow.seen_id).desc()).limit(page.limit + 1)).all()
        items, following = split_page(rows, page.limit, lambda row: (row.seen_id,))
        views = order_views(session, list(items), now)
    return Page[OrderOut](
        items=[view for view in views if state in (None, view.state)], next_cursor=following
    )


@router.get("/{order_hash}", responses=responses(404))
def read_order(context: Ctx, principal: Reader, order_hash: Hash) -> OrderOut:
    """One order and what became of it."""
    with context.store.reading() as session:
        row = orders.get_own_order(session, principal, order_hash)
        return order_views(session, [row], context.market_now())[0]


@router.get("/{order_hash}/typed-data", responses=responses(404))
def read_order_typed_data(context: Ctx, principal: Reader, order_hash: Hash) -> TypedData:
    """What was signed."""
    with context.store.reading() as session:
        row = orders.get_own_order(session, principal, order_hash)
    return typed(orders.as_message(row), context.chain.domain)


@router.post("/{order_hash}/cancel", responses=responses(404))
def cancel_order(context: Ctx, principal: Writer, order_hash: Hash) -> Withdrawn:
    """Takes an open order out of the book, and returns the transaction that cancels its nonce on chain
    for good.
    """
    with context.store.writing() as session:
        row = orders.withdraw(session, principal, order_hash, context.market_now())
    answer = None
    if context.link is not None:
        cancel = Market(context.link.book).call("cancel", row.nonce, label=f"nonce {row.nonce}, for ever")
        answer = transaction(cancel, context.link.book.chain_id)
    return Withdrawn(order_hash=order_hash, state="cancelled", transaction=answer)
