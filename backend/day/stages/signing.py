"""Signs every order and offer of the day with its party's key, and screens them as the market will."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from backend.chain.eip712 import Domain, order_digest, sign_digest
from backend.chain.keccak import hex0x, keccak
from backend.chain.order_codec import QUEUE_NONCE, QUEUE_PLACES
from backend.chain.orders import BundleOrder, ComputeOffer, PowerOffer, from_message
from backend.chain.screen import BatchTerms, RefusedOrder, screen
from backend.day.book import compute_offer_message, order_message, power_offer_message, profile_bytes
from backend.day.keys import Keyring, Party
from backend.day.types import DayInput

Kind = TypeVar("Kind", BundleOrder, ComputeOffer, PowerOffer)


@dataclass(frozen=True, slots=True)
class Signed(Generic[Kind]):
    """An order, the maker's signature, and its id: the EIP-712 digest as hex. `name` is the day's own id."""

    name: str
    order: Kind
    signature: bytes
    id: str


@dataclass(frozen=True, slots=True)
class SignedDay:
    """What the parties signed, by id; `profiles` of the power offers, `refused` what was screened out."""

    orders: dict[str, Signed[BundleOrder]]
    compute_offers: dict[str, Signed[ComputeOffer]]
    power_offers: dict[str, Signed[PowerOffer]]
    profiles: dict[str, bytes]
    refused: tuple[RefusedOrder, ...]

    def ids(self) -> dict[str, str]:
        """The day's own ids -> EIP-712 ids."""
        parts = (self.orders, self.compute_offers, self.power_offers)
        return {signed.name: signed.id for part in parts for signed in part.values()}


def sign_day(day: DayInput, keyring: Keyring, domain: Domain, start: int) -> SignedDay:
    """Signs the day for a batch that starts at unix second `start`; nonces count up per maker."""
    nonces: defaultdict[str, int] = defaultdict(int)
    expiry = start + day.slots * day.slot_seconds

    def terms_of(owner: str) -> tuple[Party, dict[str, Any]]:
        party = keyring[owner]
        number = nonces[owner]
        nonces[owner] += 1
        # queued nonces cost less; only so many can be open, and an order that loses keeps its place
        nonce = QUEUE_NONCE + number if number < QUEUE_PLACES else number
        return party, {"maker": party.address, "nonce": nonce, "expiry": expiry, "epoch": 0, "start": start}

    def seal(name: str, order: Kind, party: Party) -> Signed[Kind]:
        digest = order_digest(order, domain)
        return Signed(name, order, sign_digest(digest, party.key), hex0x(digest))

    orders: list[Signed[BundleOrder]] = []
    for job in day.jobs:
        party, terms = terms_of(job.tenant)
        orders.append(seal(job.job_id, from_message(BundleOrder, order_message(day, job, **terms)), party))
    compute: list[Signed[ComputeOffer]] = []
    for offer in day.compute_offers:
        party, terms = terms_of(offer.owner)
        message = compute_offer_message(day, offer, **terms)
        compute.append(seal(offer.offer_id, from_message(ComputeOffer, message), party))
    power: list[Signed[PowerOffer]] = []
    profiles: dict[str, bytes] = {}
    for plant_offer in day.power_offers:
        party, terms = terms_of(plant_offer.owner)
        profile = profile_bytes(plant_offer)
        power_message = power_offer_message(day, plant_offer, profile_hash=keccak(profile), **terms)
        signed = seal(plant_offer.offer_id, from_message(PowerOffer, power_message), party)
        power.append(signed)
        profiles[signed.id] = profile
    return SignedDay(
        {signed.id: signed for signed in orders},
        {signed.id: signed for signed in compute},
        {signed.id: signed for signed in power},
        profiles,
        (),
    )


def without_refused(day: DayInput, signed: SignedDay) -> DayInput:
    """The day without the orders and offers that were screened out."""
    names = signed.ids().keys()
    return replace(
        day,
        jobs=tuple(job for job in day.jobs if job.job_id in names),
        compute_offers=tuple(offer for offer in day.compute_offers if offer.offer_id in names),
        power_offers=tuple(offer for offer in day.power_offers if offer.offer_id in names),
    )


def screen_day(signed: SignedDay, domain: Domain, terms: BatchTerms) -> SignedDay:
    """The same without the orders and offers that the market would refuse."""
    refused: list[RefusedOrder] = []

    def keep(part: dict[str, Signed[Kind]]) -> dict[str, Signed[Kind]]:
        kept = {}
        for key, item in part.items():
            problem = screen(item.order, item.signature, domain, terms)
            if problem:
                refused.append(problem)
            else:
                kept[key] = item
        return kept

    return SignedDay(
        keep(signed.orders),
        keep(signed.compute_offers),
        keep(signed.power_offers),
        signed.profiles,
        tuple(refused),
    )
