"""The secondary market: signed offers of certificates and credits, their rules and what became of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func
from sqlmodel import Session, col, select

from backend.chain.addressbook import AddressBook, Deployed
from backend.chain.eip712 import Domain
from backend.chain.keccak import checksum_address, hex0x
from backend.chain.points import CONTRACT, PointsOffer, cost_micro, digest, domain
from backend.chain.rpc import Rpc
from backend.service.access import Principal, Scope
from backend.service.audit_log import record
from backend.service.certificates import CERTIFICATE, CREDIT, unpack_id
from backend.service.errors import Closed, Conflict, InsufficientDeposit, Invalid, NotFound
from backend.service.intake import require_own_wallet
from backend.service.signatures import require_signed_by
from backend.store.chain import Account, CertificateMove, ListingCancellation, ListingFill
from backend.store.identity import Wallet
from backend.store.market import Listing

MOST = 1 << 62
MOST_SECONDS = 366 * 86_400


def market_of(book: AddressBook) -> Deployed:
    """The points market; Conflict when this deployment has none."""
    if CONTRACT not in book.contracts:
        raise Conflict(
            "this deployment has no points market",
            field="listing",
            mend="transfer certificates directly, or deploy again with one",
        )
    return book[CONTRACT]


def domain_of(book: AddressBook) -> Domain:
    """The EIP-712 domain of offers."""
    return domain(book.chain_id, market_of(book).address)


def balance(session: Session, account: str, token_id: int) -> int:
    """Units that an account holds."""
    amounts = []
    for column in (CertificateMove.receiver, CertificateMove.sender):
        query = select(func.coalesce(func.sum(CertificateMove.amount), 0)).where(
            col(column) == account, CertificateMove.certificate_id == token_id
        )
        amounts.append(int(session.exec(query).one()))
    return amounts[0] - amounts[1]


def next_nonce(session: Session, maker: str) -> int:
    """The maker's next nonce in sequence."""
    last = session.exec(select(func.max(Listing.nonce)).where(Listing.maker == maker)).one()
    return 1 if last is None else int(last) + 1


def epoch_of(session: Session, maker: str) -> int:
    """The maker's signing epoch in the points market."""
    return (
        session.exec(
            select(func.max(ListingCancellation.epoch)).where(ListingCancellation.maker == maker)
        ).one()
        or 0
    )


def check(session: Session, book: AddressBook, offer: PointsOffer, now: int) -> None:
    """Raises when an offer breaks a rule."""
    maker = offer.maker.lower()
    if offer.asset.lower() != book["Certificates"].address.lower():
        raise Invalid(
            "only certificates and credits are listed here",
            field="asset",
            mend=f"give {book['Certificates'].address}",
        )
    if unpack_id(offer.token_id).kind not in (CERTIFICATE, CREDIT):
        raise Invalid("no certificate has this id", field="certificate_id", mend="see GET /certificates")
    if not 1 <= offer.amount < MOST:
        raise Invalid("it offers nothing, or too much", field="amount", mend=f"give 1 to {MOST - 1}")
    if (
        not 1 <= offer.price_micro_per_thousand < MOST
        or cost_micro(offer.amount, offer.price_micro_per_thousand) >= MOST
    ):
        raise Invalid("the price is out of range", field="price_micro_per_thousand", mend="give less")
    if not now < offer.expiry <= now + MOST_SECONDS:
        raise Closed(
            f"it expires at {offer.expiry}, now is {now}",
            field="expiry",
            mend="give a time within a year from now",
        )
    epoch = epoch_of(session, maker)
    if offer.epoch != epoch:
        raise Conflict(
            f"it is signed for epoch {offer.epoch}, the maker's is {epoch}",
            field="epoch",
            mend=f"sign it with epoch {epoch}",
        )
    cancelled = session.exec(
        select(ListingCancellation.maker).where(
            ListingCancellation.maker == maker, ListingCancellation.nonce == offer.nonce
        )
    ).first()
    if cancelled is not None:
        raise Conflict(f"nonce {offer.nonce} was cancelled", field="nonce", mend="sign another nonce")
    _covered(session, offer, maker)


def _covered(session: Session, offer: PointsOffer, maker: str) -> None:
    if offer.sell:
        held = balance(session, maker, offer.token_id)
        if held < offer.amount:
            raise Invalid(f"the account holds {held} units", field="amount", mend=f"offer at most {held}")
        return
    account = session.get(Account, maker)
    available = account.available_micro if account else 0
    need = cost_micro(offer.amount, offer.price_micro_per_thousand)
    if available < need:
        raise InsufficientDeposit(
            f"it may cost {need} micro-units, {available} are deposited",
            field="amount",
            mend=f"deposit {need - available} micro-units more, or ask for less",
        )


def place(
    session: Session, book: AddressBook, rpc: Rpc | None, who: Principal, offer: PointsOffer,
    signature: bytes, now: int,
) -> tuple[Listing, bool]:  # fmt: skip
    """Stores a signed offer after every rule holds; whether it is new. A repeat changes nothing."""
    who.require(Scope.CERTIFICATES_WRITE)
    maker = offer.maker.lower()
    require_own_wallet(session, who, maker)
    found = digest(offer, domain_of(book))
    offer_hash = hex0x(found)
    known = session.get(Listing, offer_hash)
    if known is not None:
        return known, False
    check(session, book, offer, now)
    require_signed_by(offer.maker, found, signature, rpc)
    same = session.exec(
        select(Listing.offer_hash).where(Listing.maker == maker, Listing.nonce == offer.nonce)
    ).first()
    if same is not None:
        raise Conflict(
            f"nonce {offer.nonce} is used by another listing", field="nonce", mend="sign another nonce"
        )
    meta = unpack_id(offer.token_id)
    row = Listing(
        offer_hash=offer_hash,
        maker=maker,
        sell=offer.sell,
        asset=offer.asset.lower(),
        certificate_id=offer.token_id,
        kind=meta.kind,
        year_month=meta.year_month,
        zone_id=meta.zone_id,
        source=meta.source,
        amount=offer.amount,
        price_micro_per_thousand=offer.price_micro_per_thousand,
        taker=offer.taker.lower(),
        nonce=offer.nonce,
        epoch=offer.epoch,
        expiry=offer.expiry,
        signature=signature,
        received_at=int(time.time()),
    )
    session.add(row)
    record(session, who, "listing.placed", offer_hash, sell=offer.sell, amount=offer.amount)
    return row, True


def message(row: Listing) -> PointsOffer:
    """The signed offer of a stored listing."""
    return PointsOffer(
        checksum_address(row.maker), row.sell, checksum_address(row.asset), row.certificate_id, row.amount,
        row.price_micro_per_thousand, checksum_address(row.taker), row.nonce, row.epoch, row.expiry,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of a listing: open, filled, cancelled or expired; `left` units can still be filled."""

    state: str
    filled: int
    left: int


def standings(session: Session, rows: Sequence[Listing], now: int) -> dict[str, Standing]:
    """The standing of each listing, by hash."""
    hashes = [row.offer_hash for row in rows]
    makers = {row.maker for row in rows}
    filled = {
        offer_hash: int(total)
        for offer_hash, total in session.exec(
            select(ListingFill.offer_hash, func.sum(ListingFill.amount))
            .where(col(ListingFill.offer_hash).in_(hashes))
            .group_by(col(ListingFill.offer_hash))
        )
    }
    gone = session.exec(select(ListingCancellation).where(col(ListingCancellation.maker).in_(makers))).all()
    nonces: set[tuple[str, int | None]] = {(row.maker, row.nonce) for row in gone if row.nonce is not None}
    epochs: dict[str, int] = {}
    for row in gone:
        if row.epoch is not None:
            epochs[row.maker] = max(epochs.get(row.maker, 0), row.epoch)
    return {
        row.offer_hash: _standing(row, filled.get(row.offer_hash, 0), nonces, epochs, now) for row in rows
    }


def _standing(
    row: Listing, filled: int, nonces: set[tuple[str, int | None]], epochs: dict[str, int], now: int
) -> Standing:
    left = row.amount - filled
    if left <= 0:
        return Standing("filled", filled, 0)
    if (row.maker, row.nonce) in nonces or epochs.get(row.maker, 0) > row.epoch:
        return Standing("cancelled", filled, 0)
    if row.withdrawn_at is not None:
        return Standing("cancelled", filled, 0)
    if now >= row.expiry:
        return Standing("expired", filled, 0)
    return Standing("open", filled, left)


def get(session: Session, offer_hash: str) -> Listing:
    """A listing; NotFound when there is none."""
    row = session.get(Listing, offer_hash)
    if row is None:
        raise NotFound("no such listing", field="offer_hash", mend="list the listings")
    return row


def withdraw(session: Session, who: Principal, offer_hash: str) -> Listing:
    """Takes an own listing off the board; the chain's cancel makes it final. Twice is fine."""
    organisation_id = who.require(Scope.CERTIFICATES_WRITE)
    row = get(session, offer_hash)
    wallet = session.get(Wallet, row.maker)
    if wallet is None or wallet.organisation_id != organisation_id:
        raise NotFound(
            "no such listing in your organisation", field="offer_hash", mend="list your listings (maker=...)"
        )
    if row.withdrawn_at is None:
        row.withdrawn_at = int(time.time())
        session.add(row)
        record(session, who, "listing.withdrawn", offer_hash)
    return row


def check_fill(session: Session, row: Listing, account: str, amount: int, now: int) -> int:
    """What filling `amount` units costs, when it can be filled by `account`; raises otherwise."""
    standing = standings(session, [row], now)[row.offer_hash]
    if standing.state != "open":
        raise Conflict(f"the listing is {standing.state}", field="offer_hash", mend="choose another")
    if amount > standing.left:
        raise Invalid(f"only {standing.left} units are left", field="amount", mend="ask for less")
    if row.taker not in ("0x" + "00" * 20, account):
        raise Conflict(f"it is for {row.taker} only", field="account", mend="choose another listing")
    if account == row.maker:
        raise Conflict("nobody fills its own listing", field="account", mend="choose another listing")
    cost = cost_micro(amount, row.price_micro_per_thousand)
    if row.sell:
        known = session.get(Account, account)
        available = known.available_micro if known else 0
        if available < cost:
            raise InsufficientDeposit(
                f"it costs {cost} micro-units, {available} are deposited",
                field="amount",
                mend=f"deposit {cost - available} micro-units more, or take less",
            )
    elif balance(session, account, row.certificate_id) < amount:
        raise Invalid("the account does not hold so much", field="amount", mend="give less")
    return cost
