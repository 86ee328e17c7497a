"""Series of meters: readings as the committee reported them, each with the way to its proof."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from backend.api.deps import Ctx, PageDep, get_principal
from backend.api.schemas.base import Page
from backend.api.schemas.records import MeterReadingOut
from backend.service import readings
from backend.service.pages import cursor_of, split_page

router = APIRouter(prefix="/readings", tags=["evidence"], dependencies=[Depends(get_principal)])


@router.get("")
def list_meter_readings(
    context: Ctx,
    page: PageDep,
    meter_id: Annotated[int, Query(ge=1, le=0xFFFFFFFF, examples=[11])],
    start: Annotated[int, Query(ge=0, lt=1 << 40, description="unix seconds", examples=[1508198400])] = 0,
    end: Annotated[int, Query(ge=0, le=1 << 40, description="unix seconds, not included")] = 1 << 40,
) -> Page[MeterReadingOut]:
    """Readings of a meter that begin in [start, end), oldest first; the narrower, the quicker.

    `report_start` and `leaf_index` lead to signature and Merkle path (GET /reports/{start}/readings).
    """
    after = cursor_of(page.after, int, int, int)
    place = (int(after[0]), int(after[1]), int(after[2])) if after else None
    rows = readings.series(context, meter_id, start, end, place, page.limit + 1)
    items, following = split_page(rows, page.limit, lambda row: (row.start, row.kind, row.seq))
    views = [
        MeterReadingOut.model_validate(
            row.model_dump()
            | {name: str(getattr(row, name)) for name in ("agreement_id", "quantity", "register_value")}
        )
        for row in items
    ]
    return Page[MeterReadingOut](items=views, next_cursor=following)
