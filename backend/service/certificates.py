"""Certificates (1 Wh) and avoided-emission credits (1 g): what an id says, who holds what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func
from sqlmodel import Session, col, select

from backend.store.chain import CertificateMove, Retirement

CERTIFICATE, CREDIT = 1, 2


@dataclass(frozen=True, slots=True)
class CertificateId:
    """The metadata that an ERC-1155 id carries."""

    kind: int
    year_month: int
    zone_id: int
    source: int
    issuer: str

    @property
    def unit(self) -> str:
        """What one unit is."""
        return "Wh" if self.kind == CERTIFICATE else "g"


def unpack_id(number: int) -> CertificateId:
    """The metadata in an id (bits 255..248 kind, 247..224 year-month, 223..208 zone, 207..200 source,
    issuer).
    """
    return CertificateId(
        number >> 248,
        number >> 224 & 0xFFFFFF,
        number >> 208 & 0xFFFF,
        number >> 200 & 0xFF,
        "0x" + (number & ((1 << 160) - 1)).to_bytes(20).hex(),
    )


@dataclass(frozen=True, slots=True)
class Holding:
    """What an account has of one id, and what it retired of it."""

    account: str
    certificate_id: int
    amount: int
    retired: int


def holdings(session: Session, accounts: Sequence[str]) -> list[Holding]:
    """Holdings of the accounts, by id."""
    amounts: dict[tuple[str, int], int] = defaultdict(int)
    for column, sign in ((CertificateMove.receiver, 1), (CertificateMove.sender, -1)):
        rows = session.exec(
            select(column, CertificateMove.certificate_id, func.sum(CertificateMove.amount))
            .where(col(column).in_(accounts))
            .group_by(col(column), col(CertificateMove.certificate_id))
        )
        for account, number, amount in rows:
            amounts[(str(account), number)] += sign * int(amount)
    retired: dict[tuple[str, int], int] = {}
    gone = session.exec(
        select(Retirement.beneficiary, Retirement.certificate_id, func.sum(Retirement.amount))
        .where(col(Retirement.beneficiary).in_(accounts))
        .group_by(col(Retirement.beneficiary), col(Retirement.certificate_id))
    )
    for account, number, amount in gone:
        retired[(account, number)] = int(amount)
    keys = sorted(
        {key for key, amount in amounts.items() if amount} | set(retired), key=lambda key: (key[1], key[0])
    )
    return [
        Holding(account, number, amounts.get((account, number), 0), retired.get((account, number), 0))
        for account, number in keys
    ]
