"""Compute and power offers: intake and withdrawal."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from sqlmodel import Session

from backend.chain.eip712 import Domain
from backend.chain.keccak import checksum_address, keccak
from backend.chain.orders import ComputeOffer, PowerOffer
from backend.chain.packing import pack_profile
from backend.chain.rpc import Rpc
from backend.service import intake
from backend.service.access import Principal, Scope
from backend.service.audit_log import record, request_id
from backend.service.errors import Forbidden, Invalid, NotFound
from backend.service.rules import check_compute_offer, check_power_offer
from backend.settings import Settings
from backend.store.chain import Plant, Site
from backend.store.identity import Wallet
from backend.store.market import ComputeOfferRow, PowerOfferRow, Withdrawal

COMPUTE_FIELDS = (
    "site_id", "class_id", "zone_id", "capacity", "energy_wh_per_vcu_slot", "ask_price", "start", "end",
    "epoch", "nonce", "expiry",
)  # fmt: skip
Tranche = tuple[int, int]
"""(Wh, ask in micro-units per kWh)"""


def packed_profile(rows: Sequence[Sequence[Tranche]]) -> bytes:
    """The profile bytes of [slot][tranche] pairs; Invalid when rows differ in length."""
    widths = {len(row) for row in rows}
    if len(widths) != 1 or not 1 <= max(widths) <= 255:
        raise Invalid(
            "slots differ in their numbers of tranches",
            field="profile",
            mend="give 1 to 255, the same in every slot",
        )
    table = np.array(rows, dtype=np.int64)
    return pack_profile(table[:, :, 0], table[:, :, 1])


def _own_asset(asset: Site | Plant | None, maker: str, name: str) -> None:
    if asset is None:
        raise Invalid(
            f"there is no such {name}", field=f"{name}_id", mend="have it registered by the operator"
        )
    if asset.owner != maker:
        raise Forbidden(
            f"the {name} belongs to {asset.owner}", field=f"{name}_id", mend="sign with its owner's account"
        )


def accept_compute_offer(
    session: Session, settings: Settings, domain: Domain, rpc: Rpc | None, who: Principal, offer:
    ComputeOffer, signature: bytes, now: int,
) -> intake.Accepted | ComputeOfferRow:  # fmt: skip
    """The offer when every rule holds and the site's owner signed it; the stored one when it is here
    already.
    """
    who.require(Scope.OFFERS_WRITE)
    maker = offer.maker.lower()
    intake.require_own_wallet(session, who, maker)
    site = session.get(Site, offer.site_id)
    _own_asset(site, maker, "site")
    assert site is not None
    known_maker = intake.maker_now(session, settings, maker, offer.nonce)
    terms = intake.terms_now(session, settings, now)
    check_compute_offer(offer, known_maker, terms, site.zone_id, site.nameplate_w)
    offer_hash = intake.signed_hash(offer, signature, domain, rpc)
    known = session.get(ComputeOfferRow, offer_hash)
    if known is not None:
        return known
    row = ComputeOfferRow(
        offer_hash=offer_hash,
        maker=maker,
        signature=signature,
        received_at=int(time.time()),
        **{name: getattr(offer, name) for name in COMPUTE_FIELDS},
    )
    return intake.Accepted(row, intake.entry_of(who, "offer.placed", offer_hash, request_id.get()))


def accept_power_offer(
    session: Session, settings: Settings, domain: Domain, rpc: Rpc | None, who: Principal, offer: PowerOffer,
    profile: bytes, signature: bytes, now: int,
) -> intake.Accepted | PowerOfferRow:  # fmt: skip
    """The offer when every rule holds and the plant's owner signed it; the stored one when it is here
    already.
    """
    who.require(Scope.OFFERS_WRITE)
    maker = offer.maker.lower()
    intake.require_own_wallet(session, who, maker)
    plant = session.get(Plant, offer.plant_id)
    _own_asset(plant, maker, "plant")
    assert plant is not None
    if keccak(profile) != offer.profile_hash:
        raise Invalid(
            "the profile is not the signed one", field="profile", mend="send exactly the profile you signed"
        )
    wh = (
        np.frombuffer(profile, dtype=">u4")[::2]
        .astype(np.int64)
        .reshape(-1, max(offer.tranches, 1))
        .sum(axis=1)
    )
    check_power_offer(
        offer,
        wh.tolist(),
        intake.maker_now(session, settings, maker, offer.nonce),
        intake.terms_now(session, settings, now),
        plant.zone_id,
        plant.source,
        plant.nameplate_w,
    )
    offer_hash = intake.signed_hash(offer, signature, domain, rpc)
    known = session.get(PowerOfferRow, offer_hash)
    if known is not None:
        return known
    row = PowerOfferRow(
        offer_hash=offer_hash,
        maker=maker,
        plant_id=offer.plant_id,
        zone_id=offer.zone_id,
        source_kind=offer.source,
        tranches=offer.tranches,
        start=offer.start,
        slots=offer.slots,
        profile=profile,
        epoch=offer.epoch,
        nonce=offer.nonce,
        expiry=offer.expiry,
        signature=signature,
        received_at=int(time.time()),
    )
    return intake.Accepted(row, intake.entry_of(who, "offer.placed", offer_hash, request_id.get()))


def compute_message(row: ComputeOfferRow) -> ComputeOffer:
    """The signed message of a stored compute offer."""
    return ComputeOffer(
        maker=checksum_address(row.maker), **{name: getattr(row, name) for name in COMPUTE_FIELDS}
    )


def power_message(row: PowerOfferRow) -> PowerOffer:
    """The signed message of a stored power offer."""
    return PowerOffer(
        checksum_address(row.maker), row.plant_id, row.zone_id, row.source_kind, row.tranches, row.start,
        row.slots, keccak(row.profile), row.epoch, row.nonce, row.expiry,
    )  # fmt: skip


def withdraw_offer(session: Session, who: Principal, offer_hash: str) -> ComputeOfferRow | PowerOfferRow:
    """Takes an offer out of the book of every batch that has not been opened yet. Twice is fine."""
    organisation_id = who.require(Scope.OFFERS_WRITE)
    row = session.get(ComputeOfferRow, offer_hash) or session.get(PowerOfferRow, offer_hash)
    wallet = session.get(Wallet, row.maker) if row else None
    if row is None or wallet is None or wallet.organisation_id != organisation_id:
        raise NotFound("no such offer in your organisation", field="offer_hash", mend="list your offers")
    if session.get(Withdrawal, offer_hash) is None:
        session.add(Withdrawal(order_hash=offer_hash, maker=row.maker, at=int(time.time())))
        record(session, who, "offer.withdrawn", offer_hash)
    return row
