"""The market's own rules for a signed order, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend.chain.eip712 import Domain, order_digest, recover
from backend.chain.errors import FieldError
from backend.chain.keccak import checksum_address
from backend.chain.orders import BundleOrder, ComputeOffer, Order, PowerOffer

_KINDS = 5
_BPS = 10_000
_MAX_TRANCHES = 255


@dataclass(frozen=True, slots=True)
class BatchTerms:
    """What an order must fit: the batch's slots [start, end), zones, classes, and the time now."""

    start: int
    slot_seconds: int
    slots: int
    zones: int
    classes: int
    now: int

    @property
    def end(self) -> int:
        """First second after the batch."""
        return self.start + self.slots * self.slot_seconds


@dataclass(frozen=True, slots=True)
class RefusedOrder:
    """Why an order is not taken: the field, its value, and the mend."""

    order: Order
    field: str
    value: object
    mend: str

    def __str__(self) -> str:
        return (
            f"{type(self.order).__name__} of {self.order.maker}: {self.field} = {self.value!r}: {self.mend}"
        )


def screen(
    order: Order, signature: bytes, domain: Domain, terms: BatchTerms, epochs: Mapping[str, int] | None = None
) -> RefusedOrder | None:
    """None when the market would take the order, else the first reason why not."""
    problem = _fields(order, terms, epochs or {}) or _signature(order, signature, domain)
    return RefusedOrder(order, *problem) if problem else None


Problem = tuple[str, object, str] | None


def _fields(order: Order, terms: BatchTerms, epochs: Mapping[str, int]) -> Problem:
    if order.expiry < terms.now:
        return "expiry", order.expiry, f"the order has expired (it is {terms.now}); sign a new one"
    if order.epoch != epochs.get(order.maker, 0):
        return "epoch", order.epoch, f"the maker's epoch is {epochs.get(order.maker, 0)}; sign with it"
    if isinstance(order, BundleOrder):
        return _bundle(order, terms)
    if order.zone_id >= terms.zones:
        return "zoneId", order.zone_id, f"this batch has zones 0 to {terms.zones - 1}"
    if isinstance(order, ComputeOffer):
        return _compute(order, terms)
    return _power(order, terms)


def _bundle(order: BundleOrder, terms: BatchTerms) -> Problem:
    window = (order.deadline - order.start) // terms.slot_seconds
    checks: tuple[tuple[bool, str, object, str], ...] = (
        (order.class_id >= terms.classes, "classId", order.class_id, f"classes are 0 to {terms.classes - 1}"),
        (
            not order.zone_mask & ((1 << terms.zones) - 1),
            "zoneMask",
            order.zone_mask,
            f"name at least one of the {terms.zones} zones",
        ),
        (order.lanes < 1, "lanes", order.lanes, "give at least one lane"),
        (order.min_lanes > order.lanes, "minLanes", order.min_lanes, f"give at most lanes = {order.lanes}"),
        (order.deadline <= order.start, "deadline", order.deadline, "give a deadline after the start"),
        (
            (order.start - terms.start) % terms.slot_seconds != 0,
            "start",
            order.start,
            f"align it to slots of {terms.slot_seconds} s",
        ),
        (
            not 1 <= order.duration_slots <= window,
            "durationSlots",
            order.duration_slots,
            f"give 1 to {window}, the slots between start and deadline",
        ),
        (
            order.start < terms.start or order.deadline > terms.end,
            "start",
            order.start,
            f"keep [start, deadline) inside the batch {terms.start} to {terms.end}",
        ),
        (order.min_green_bps > _BPS, "minGreenBps", order.min_green_bps, "give 0 to 10000"),
        (order.kind >= _KINDS, "kind", order.kind, f"give 0 to {_KINDS - 1}"),
    )
    return _first(checks)


def _compute(offer: ComputeOffer, terms: BatchTerms) -> Problem:
    return _first(
        (
            (offer.class_id >= terms.classes, "classId", offer.class_id, f"give 0 to {terms.classes - 1}"),
            (offer.capacity < 1, "capacity", offer.capacity, "give at least one lane"),
            (offer.energy_wh_per_vcu_slot < 1, "energyWhPerVcuSlot", offer.energy_wh_per_vcu_slot, "give Wh"),
            (offer.end <= offer.start, "end", offer.end, "give an end after the start"),
            (
                (offer.start - terms.start) % terms.slot_seconds != 0,
                "start",
                offer.start,
                "align it to slots",
            ),
        )
    )


def _power(offer: PowerOffer, terms: BatchTerms) -> Problem:
    return _first(
        (
            (not 1 <= offer.tranches <= _MAX_TRANCHES, "tranches", offer.tranches, "give 1 to 255"),
            (offer.slots < 1, "slots", offer.slots, "give at least one slot"),
            (
                (offer.start - terms.start) % terms.slot_seconds != 0,
                "start",
                offer.start,
                "align it to slots",
            ),
        )
    )


def _first(checks: tuple[tuple[bool, str, object, str], ...]) -> Problem:
    return next(((field, value, mend) for broken, field, value, mend in checks if broken), None)


def _signature(order: Order, signature: bytes, domain: Domain) -> Problem:
    try:
        signer = recover(order_digest(order, domain), signature)
    except FieldError as error:
        return error.field, error.value, error.mend
    if signer != checksum_address(order.maker):
        return (
            "signature",
            "0x" + signature.hex(),
            f"it is not the maker's for chain {domain.chain_id} and market {domain.verifying_contract} "
            "(signed for another chain or contract, or changed since); sign the order again for this one",
        )
    return None
