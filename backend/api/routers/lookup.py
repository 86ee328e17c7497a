"""Finding things by name, the events of a transaction, and the story of a cleared order; open to everyone."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from sqlmodel import Session, col, select

from backend.api.deps import Ctx, get_principal
from backend.api.problems import responses
from backend.api.routers.orders import order_views
from backend.api.routers.reports import event_view
from backend.api.schemas.lookup import OrderStory, SearchHit, StageOut
from backend.api.schemas.records import EventOut
from backend.service.deliveries import agreement_key
from backend.service.errors import NotFound
from backend.service.stories import story
from backend.store.chain import (
    Account,
    Agreement,
    CertificateMove,
    ChainEvent,
    ClearedOrder,
    ReportRow,
)
from backend.store.market import OrderRow

HashPath = Annotated[str, Path(pattern=r"^0x[0-9a-f]{64}$", description="lower-case hex")]
router = APIRouter(tags=["lookup"], dependencies=[Depends(get_principal)])
_MOST = 500


@router.get("/search")
def search(context: Ctx, q: Annotated[str, Query(min_length=1, max_length=100)]) -> list[SearchHit]:
    """What has this whole name: hash, number or account; nothing for part of one."""
    text = q.strip().lower()
    with context.store.reading() as session:
        return _hits(session, text)


def _hits(session: Session, text: str) -> list[SearchHit]:
    if re.fullmatch(r"[0-9]{1,10}-[0-9]{1,10}-[0-9]{1,10}", text):
        known = session.get(Agreement, agreement_key(text))
        return [SearchHit(kind="agreement", id=text)] if known else []
    if re.fullmatch(r"[0-9]{12,78}", text) and int(text) < 1 << 256:
        return _certificate(session, int(text))
    if re.fullmatch(r"0x[0-9a-f]{40}", text):
        return [SearchHit(kind="account", id=text)] if session.get(Account, text) else []
    if not re.fullmatch(r"0x[0-9a-f]{64}", text):
        return []
    hits = []
    if session.get(OrderRow, text):
        hits.append(SearchHit(kind="order", id=text))
    if session.exec(select(ChainEvent.tx_hash).where(ChainEvent.tx_hash == text)).first():
        hits.append(SearchHit(kind="transaction", id=text))
    report = session.exec(
        select(ReportRow).where((ReportRow.root == text) | (ReportRow.report_hash == text))
    ).first()
    if report:
        hits.append(SearchHit(kind="report", id=text, start=report.start))
    return hits + _certificate(session, int(text, 16))


def _certificate(session: Session, number: int) -> list[SearchHit]:
    query = select(CertificateMove.amount).where(CertificateMove.certificate_id == number)
    return [] if session.exec(query).first() is None else [SearchHit(kind="certificate", id=str(number))]


@router.get("/transactions/{tx_hash}", responses=responses(404))
def read_transaction(context: Ctx, tx_hash: HashPath) -> list[EventOut]:
    """The contract events of one transaction."""
    with context.store.reading() as session:
        rows = session.exec(
            select(ChainEvent)
            .where(ChainEvent.tx_hash == tx_hash)
            .order_by(col(ChainEvent.log_index))
            .limit(_MOST)
        ).all()
        if not rows:
            raise NotFound("no event of such a transaction", field="tx_hash", mend="wait until it is mined")
        return [event_view(row) for row in rows]


@router.get("/cleared-orders/{order_hash}", responses=responses(404))
def read_cleared_order(context: Ctx, order_hash: HashPath) -> OrderStory:
    """An order that has cleared, as it stands on chain, and its stages."""
    now = context.market_now()
    with context.store.reading() as session:
        row = session.get(OrderRow, order_hash)
        cleared = session.exec(select(ClearedOrder).where(ClearedOrder.order_hash == order_hash)).first()
        if row is None or cleared is None:
            raise NotFound(
                "no such order has cleared", field="order_hash", mend="only its owner sees it before"
            )
        stages = story(session, order_hash, now)
        return OrderStory(
            order=order_views(session, [row], now)[0],
            stages=[StageOut.model_validate(stage) for stage in stages],
        )
