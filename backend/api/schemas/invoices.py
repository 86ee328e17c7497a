"""Bodies of monthly statements."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from backend.api.schemas.base import Address, Answer, Hash, Id, Micro

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
