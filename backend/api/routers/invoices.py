"""Monthly statements of the caller's organisation, and its payments as a spreadsheet."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, select

from backend.api.deps import Ctx, Need
from backend.api.problems import responses
from backend.api.schemas.invoices import CarbonStatement, CarbonUse, InvoiceOut, InvoiceSummary
from backend.service import carbon, invoices
from backend.service.access import Principal, Scope
from backend.service.errors import Invalid
from backend.store.identity import Wallet

Reader = Annotated[Principal, Depends(Need(Scope.PAYMENTS_READ))]
MonthPath = Annotated[str, Path(pattern=r"^[0-9]{4}-[0-9]{2}$", examples=["2017-10"])]
router = APIRouter(tags=["records"], responses=responses(401, 403))


def _accounts(session: Session, principal: Principal) -> list[str]:
    query = select(Wallet.address).where(Wallet.organisation_id == principal.organisation_id)
    return list(session.exec(query.order_by(col(Wallet.address))))


@router.get("/invoices")
def list_invoices(context: Ctx, principal: Reader) -> list[InvoiceSummary]:
    """A statement per month in which the organisation's accounts moved, newest first."""
    now = context.market_now()
    with context.store.reading() as session:
        mine = _accounts(session, principal)
        assert principal.organisation_id is not None
        return [
            InvoiceSummary.model_validate(
                invoices.invoice(session, context.prices, principal.organisation_id, mine, month, now)
            )
            for month in invoices.months(session, mine, now)[:24]
        ]


@router.get("/invoices/{month}")
def read_invoice(context: Ctx, principal: Reader, month: MonthPath) -> InvoiceOut:
    """One month's statement with its lines."""
    made = _invoice(context, principal, month)
    return InvoiceOut.model_validate(asdict(made))


@router.get(
    "/invoices/{month}/csv",
    response_class=Response,
    responses={200: {"description": "the lines", "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def read_invoice_csv(context: Ctx, principal: Reader, month: MonthPath) -> Response:
    """One month's lines as CSV, amounts in micro-units."""
    made = _invoice(context, principal, month)
    text = io.StringIO()
    names = list(invoices.Line.__slots__)
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([getattr(line, name) for name in names] for line in made.lines)
    disposition = {"Content-Disposition": f'attachment; filename="{made.number}.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=disposition)


def _invoice(context: Ctx, principal: Principal, month: str) -> invoices.Invoice:
    wanted = invoices.parse_month(month)
    with context.store.reading() as session:
        assert principal.organisation_id is not None
        return invoices.invoice(
            session,
            context.prices,
            principal.organisation_id,
            _accounts(session, principal),
            wanted,
            context.market_now(),
        )


@router.get("/carbon-statement")
def read_carbon_statement(
    context: Ctx,
    principal: Annotated[Principal, Depends(Need(Scope.DELIVERIES_READ))],
    start: Annotated[int, Query(ge=0, lt=1 << 40, description="unix seconds")],
    end: Annotated[int, Query(ge=0, lt=1 << 40, description="unix seconds, not included")],
) -> CarbonStatement:
    """What the organisation used between two times, and its carbon, location and market based."""
    if not start < end <= start + 366 * 86_400:
        raise Invalid("the span is empty or longer than a year", field="end", mend="give a later end")
    with context.store.reading() as session:
        zones = carbon.statement(
            session, context.prices, _accounts(session, principal), start, end, context.market_now()
        )
    energy, matched = sum(zone.energy_wh for zone in zones), sum(zone.matched_wh for zone in zones)
    return CarbonStatement(
        start=start,
        end=end,
        energy_wh=energy,
        matched_wh=matched,
        green_share_bps=matched * 10_000 // energy if energy else 0,
        location_g=sum(zone.location_g for zone in zones),
        market_g=sum(zone.market_g for zone in zones),
        zones=[CarbonUse.model_validate(zone) for zone in zones],
    )
