"""Monthly statements of an organisation, derived from the chain's tables alone; anyone can check them.

Money in micro-units; amounts are signed from the organisation's side (what it paid is negative). A month is a
UTC calendar month of delivery; balances are those of the ledger at its first and last second.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from backend.service.deliveries import slots_of
from backend.service.errors import Invalid
from backend.service.prices import PriceBook
from backend.store.chain import (
    Agreement,
    Batch,
    BatchPowerOffer,
    LedgerEntry,
    PlantMetered,
    PlantPaid,
)
from backend.store.identity import Organisation
from backend.store.market import PowerOfferRow


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in UTC; `start` and `end` in unix seconds."""

    year: int
    month: int

    @property
    def start(self) -> int:
        """First second."""
        return int(datetime(self.year, self.month, 1, tzinfo=UTC).timestamp())

    @property
    def end(self) -> int:
        """First second of the next month."""
        return Month(self.year + self.month // 12, self.month % 12 + 1).start

    @property
    def text(self) -> str:
        """`YYYY-MM`."""
        return f"{self.year:04d}-{self.month:02d}"


def month_of(at: int) -> Month:
    """The month that contains `at`."""
    moment = datetime.fromtimestamp(at, UTC)
    return Month(moment.year, moment.month)


def parse_month(text: str) -> Month:
    """The month of `YYYY-MM`; Invalid otherwise."""
    year, month = int(text[:4]), int(text[5:])
    if not 1 <= month <= 12 or not 1970 <= year <= 9000:
        raise Invalid("there is no such month", field="month", mend="give YYYY-MM, such as 2017-10")
    return Month(year, month)


@dataclass(frozen=True, slots=True)
class Line:
    """One position. `kind`: purchase, site_sale or plant_sale; `quantity` in milli-VCU-slots or Wh."""

    kind: str
    batch_id: int
    account: str
    reference: str
    quantity: int
    unit: str
    gross_micro: int
    refund_micro: int
    penalty_micro: int
    net_micro: int
    slots: int
    slots_open: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """A month's statement; `final` once the month is over and every slot in it is settled or refunded."""

    number: str
    month: str
    organisation_id: str
    organisation_name: str
    accounts: tuple[str, ...]
    final: bool
    opening_micro: int
    deposits_micro: int
    withdrawals_micro: int
    postings_micro: int
    closing_micro: int
    purchases_micro: int
    sales_micro: int
    penalties_micro: int
    lines: tuple[Line, ...]
    document_hash: str = ""

    def hashed(self) -> str:
        """SHA-256 of the canonical JSON of everything else."""
        fields = asdict(self)
        del fields["document_hash"]
        return "0x" + hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def months(session: Session, accounts: Sequence[str], now: int) -> list[Month]:
    """The months in which the accounts moved or were delivered to, newest first."""
    seconds = select(func.min(LedgerEntry.timestamp), func.max(LedgerEntry.timestamp)).where(
        col(LedgerEntry.account).in_(accounts)
    )
    first, last = session.exec(seconds).one()
    if first is None:
        return []
    ends = session.exec(
        select(func.max(col(Batch.start) + col(Agreement.end_slot) * col(Batch.slot_seconds)))
        .join(Agreement, col(Agreement.batch_id) == col(Batch.batch_id))
        .where(col(Agreement.maker).in_(accounts) | col(Agreement.seller).in_(accounts))
    ).one()
    newest = month_of(max(last, min(now, ends or last)))
    found, month = [newest], newest
    while month.start > first:
        month = month_of(month.start - 1)
        found.append(month)
    return found


def invoice(
    session: Session, prices: PriceBook, organisation_id: str, accounts: Sequence[str], month: Month, now: int
) -> Invoice:
    """The statement of one month."""
    organisation = session.get_one(Organisation, organisation_id)
    lines = (
        _agreement_lines(session, prices, accounts, month, now, buying=True)
        + _agreement_lines(session, prices, accounts, month, now, buying=False)
        + _plant_lines(session, accounts, month)
    )
    sums = _ledger(session, accounts, month)
    opening = sums.pop("opening")
    made = Invoice(
        number=f"BW-{organisation_id[-8:].upper()}-{month.year:04d}{month.month:02d}",
        month=month.text,
        organisation_id=organisation_id,
        organisation_name=organisation.name,
        accounts=tuple(sorted(accounts)),
        final=now >= month.end and not any(line.slots_open for line in lines),
        opening_micro=opening,
        deposits_micro=sums["deposit"],
        withdrawals_micro=sums["withdrawal"],
        postings_micro=sums["posting"],
        closing_micro=opening + sum(sums.values()),
        purchases_micro=sum(line.net_micro for line in lines if line.kind == "purchase"),
        sales_micro=sum(line.net_micro for line in lines if line.kind != "purchase"),
        penalties_micro=sum(line.penalty_micro for line in lines),
        lines=tuple(lines),
    )
    fields = {name: getattr(made, name) for name in made.__slots__}
    return Invoice(**fields | {"document_hash": made.hashed()})


def _ledger(session: Session, accounts: Sequence[str], month: Month) -> dict[str, int]:
    """Sums of available + locked: before the month, and in it by kind."""
    amount = func.coalesce(func.sum(col(LedgerEntry.available_micro) + col(LedgerEntry.locked_micro)), 0)
    mine = col(LedgerEntry.account).in_(accounts)
    opening = session.exec(select(amount).where(mine, LedgerEntry.timestamp < month.start)).one()
    sums = {"opening": int(opening), "deposit": 0, "withdrawal": 0, "posting": 0}
    rows = session.exec(
        select(LedgerEntry.kind, amount)
        .where(mine, LedgerEntry.timestamp >= month.start, LedgerEntry.timestamp < month.end)
        .group_by(col(LedgerEntry.kind))
    )
    return sums | {kind: int(total) for kind, total in rows}


def _agreement_lines(
    session: Session, prices: PriceBook, accounts: Sequence[str], month: Month, now: int, *, buying: bool
) -> list[Line]:
    """A line per batch and account: what was bought, or what the sites sold."""
    party = Agreement.maker if buying else Agreement.seller
    first = col(Batch.start) + col(Agreement.start_slot) * col(Batch.slot_seconds)
    last = col(Batch.start) + col(Agreement.end_slot) * col(Batch.slot_seconds)
    rows = session.exec(
        select(Agreement)
        .join(Batch, col(Batch.batch_id) == col(Agreement.batch_id))
        .where(
            col(party).in_(accounts),
            first < month.end,
            last > month.start,
            col(Batch.finalised_block).is_not(None),
        )
    ).all()
    table: dict[tuple[int, str], list[int]] = {}
    slots = slots_of(session, prices, rows, now)
    for row in rows:
        account = row.maker if buying else row.seller
        sums = table.setdefault((row.batch_id, account), [0] * 5)
        for slot in slots[(row.batch_id, row.chunk_index, row.run_index)]:
            if not month.start <= slot.start < month.end:
                continue
            paid = (slot.compute_micro or 0) + ((slot.power_micro or 0) if buying else 0)
            sums[0] += slot.delivered_milli_lanes or 0
            sums[1] += paid
            sums[2] += slot.refund_micro or 0
            sums[3] += 1
            sums[4] += slot.refund_micro is None
    return [
        Line(
            kind="purchase" if buying else "site_sale",
            batch_id=batch_id,
            account=account,
            reference=f"batch {batch_id}",
            quantity=delivered,
            unit="milli-VCU-slot",
            gross_micro=-paid - refund if buying else paid,
            refund_micro=refund if buying else 0,
            penalty_micro=0,
            net_micro=-paid if buying else paid,
            slots=count,
            slots_open=waiting,
        )
        for (batch_id, account), (delivered, paid, refund, count, waiting) in sorted(table.items())
        if count
    ]


def _plant_lines(session: Session, accounts: Sequence[str], month: Month) -> list[Line]:
    """A line per batch and plant: matched energy sold, less deviation penalties."""
    at = col(Batch.start) + col(PlantPaid.slot) * col(Batch.slot_seconds)
    rows = session.exec(
        select(PlantPaid, PowerOfferRow.maker, PowerOfferRow.plant_id, PlantMetered.penalty_micro)
        .join(Batch, col(Batch.batch_id) == col(PlantPaid.batch_id))
        .join(
            BatchPowerOffer,
            (col(BatchPowerOffer.batch_id) == col(PlantPaid.batch_id))
            & (col(BatchPowerOffer.offer_index) == col(PlantPaid.offer_index)),
        )
        .join(PowerOfferRow, col(PowerOfferRow.offer_hash) == col(BatchPowerOffer.offer_hash))
        .join(
            PlantMetered,
            (col(PlantMetered.batch_id) == col(PlantPaid.batch_id))
            & (col(PlantMetered.slot) == col(PlantPaid.slot))
            & (col(PlantMetered.offer_index) == col(PlantPaid.offer_index)),
            isouter=True,
        )
        .where(col(PowerOfferRow.maker).in_(accounts), at >= month.start, at < month.end)
    ).all()
    table: dict[tuple[int, str, int], list[int]] = {}
    for paid, maker, plant, penalty in rows:
        sums = table.setdefault((paid.batch_id, maker, plant), [0] * 4)
        sums[0] += paid.matched_wh
        sums[1] += paid.money_micro
        sums[2] += penalty or 0
        sums[3] += 1
    return [
        Line(
            "plant_sale",
            batch_id,
            maker,
            f"plant {plant}",
            wh,
            "Wh",
            money,
            0,
            penalty,
            money - penalty,
            count,
            0,
        )
        for (batch_id, maker, plant), (wh, money, penalty, count) in sorted(table.items())
    ]
