"""Bodies of monthly statements."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from backend.api.schemas.base import Address, Answer, Hash, Id, Micro, Seconds

MonthName = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}$", examples=["2017-10"])]


class InvoiceLine(Answer):
    """One position; amounts are signed from the organisation's side: what it paid is negative."""

    kind: Literal["purchase", "site_sale", "plant_sale"]
    batch_id: int
    account: Address
    reference: str = Field(examples=["batch 1"])
    quantity: int
    unit: Literal["milli-VCU-slot", "Wh"]
    gross_micro: Micro
    refund_micro: Micro
    penalty_micro: Micro
    net_micro: Micro
    slots: int
    slots_open: int = Field(description="slots that are neither settled nor refunded yet")


class InvoiceSummary(Answer):
    """A month in figures. closing = opening + deposits + withdrawals + postings."""

    number: str = Field(examples=["BW-9YHB4CND-201710"])
    month: MonthName
    final: bool = Field(description="the month is over and every slot in it is settled or refunded")
    opening_micro: Micro
    deposits_micro: Micro
    withdrawals_micro: Micro
    postings_micro: Micro
    closing_micro: Micro
    purchases_micro: Micro
    sales_micro: Micro
    penalties_micro: Micro


class InvoiceOut(InvoiceSummary):
    """A month's statement, derived from chain data alone; `document_hash` is the SHA-256 of its contents."""

    organisation_id: Id
    organisation_name: str
    accounts: list[Address]
    lines: list[InvoiceLine]
    document_hash: Hash


class CarbonUse(Answer):
    """Use in one zone, of settled slots; energy in Wh, carbon in g."""

    zone_id: int
    energy_wh: int
    matched_wh: int = Field(description="matched with green power in its own slot and zone")
    location_g: int = Field(description="location based: at the grid's factor")
    market_g: int = Field(description="market based: matched at the plants' factor, the rest at residual mix")
    slots: int
    slots_open: int = Field(description="slots that are not settled yet, left out")


class CarbonStatement(Answer):
    """The carbon of what the organisation used in a time span (F10)."""

    start: Seconds
    end: Seconds
    energy_wh: int
    matched_wh: int
    green_share_bps: int
    location_g: int
    market_g: int
    zones: list[CarbonUse]
