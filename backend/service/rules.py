"""The market's rules for a signed message, checked at intake (pure); the contracts check them again.

Every refusal names the field and the mend. Times in unix seconds, prices in micro-units.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from backend.chain.orders import BundleOrder, ComputeOffer, PowerOffer
from backend.service.errors import Closed, Conflict, InsufficientDeposit, Invalid

CANCELLED_LANES = 0xFFFFFFFF
MAX_CAPACITY = 32_767
KINDS = (0, 1, 2)
_LIMIT = 1 << 63


@dataclass(frozen=True, slots=True)
class Terms:
    """What the market trades now: slot length, known zones and classes, clock, and how early a gate
    closes.
    """

    slot_seconds: int
    zones: frozenset[int]
    classes: frozenset[int]
    now: int
    gate_lead_seconds: int

    @property
    def open_from(self) -> int:
        """Start of the first slot whose gate is still open."""
        earliest = self.now + self.gate_lead_seconds
        return -(-earliest // self.slot_seconds) * self.slot_seconds


@dataclass(frozen=True, slots=True)
class Maker:
    """What is known of a maker: usable deposit (None = not checked), signing epoch, cancelled nonces
    asked about.
    """

    available_micro: int | None
    epoch: int
    cancelled_nonces: frozenset[int] = frozenset()


def _aligned(name: str, value: int, terms: Terms) -> None:
    if value % terms.slot_seconds:
        raise Invalid(
            f"{value} is not on a slot boundary",
            field=name,
            mend=f"give a multiple of {terms.slot_seconds} s",
        )
    if value >= _LIMIT:
        raise Invalid(f"{value} is too far away", field=name, mend="give unix seconds")


def _known(name: str, value: int, known: Collection[int]) -> None:
    if value not in known:
        listed = ", ".join(str(item) for item in sorted(known)[:20]) or "none yet"
        raise Invalid(f"there is no {name.removesuffix('_id')} {value}", field=name, mend=f"known: {listed}")


def _alive(order: BundleOrder | ComputeOffer | PowerOffer, maker: Maker, terms: Terms) -> None:
    """Expiry, epoch and nonce."""
    if order.expiry <= terms.now:
        raise Closed(
            f"it expired at {order.expiry}, now is {terms.now}",
            field="expiry",
            mend="sign it with a later expiry",
        )
    if order.epoch != maker.epoch:
        raise Conflict(
            f"it is signed for epoch {order.epoch}, the maker's is {maker.epoch}",
            field="epoch",
            mend=f"sign it with epoch {maker.epoch}",
        )
    if order.nonce in maker.cancelled_nonces:
        raise Conflict(f"nonce {order.nonce} was cancelled", field="nonce", mend="sign it with another nonce")


def check_order(order: BundleOrder, maker: Maker, terms: Terms) -> None:
    """Raises when the order breaks a rule."""
    _known("class_id", order.class_id, terms.classes)
    mask = sum(1 << zone for zone in terms.zones)
    if order.zone_mask == 0 or order.zone_mask & ~mask:
        zones = ", ".join(str(zone) for zone in sorted(terms.zones)) or "none yet"
        raise Invalid(
            "it names no zone, or one there is not", field="zone_mask", mend=f"set bits of zones {zones}"
        )
    _aligned("start", order.start, terms)
    _aligned("deadline", order.deadline, terms)
    if order.duration_slots < 1:
        raise Invalid("a lane runs for at least one slot", field="duration_slots", mend="give 1 or more")
    window = (order.deadline - order.start) // terms.slot_seconds
    if window < order.duration_slots:
        raise Invalid(
            f"the window has {max(window, 0)} slots, a lane needs {order.duration_slots}",
            field="deadline",
            mend="give a later deadline, or a shorter duration",
        )
    _check_quantities(order)
    _alive(order, maker, terms)
    left = (order.deadline - max(order.start, terms.open_from)) // terms.slot_seconds
    if left < order.duration_slots:
        raise Closed(
            f"only {max(left, 0)} slots of the window are still open, a lane needs {order.duration_slots}",
            field="deadline",
            mend=f"give a deadline that leaves enough slots from {terms.open_from}",
        )
    need = order.limit_price * order.lanes * order.duration_slots
    if need >= _LIMIT:
        raise Invalid("limit x lanes x duration is too large", field="limit_price", mend="split the order")
    if maker.available_micro is not None and maker.available_micro < need:
        raise InsufficientDeposit(
            f"it may cost up to {need} micro-units, {maker.available_micro} are deposited",
            field="limit_price",
            mend=f"deposit {need - maker.available_micro} micro-units more, or ask for less",
        )


def _check_quantities(order: BundleOrder) -> None:
    if not 1 <= order.lanes < CANCELLED_LANES:
        raise Invalid("it asks for no lanes", field="lanes", mend="give 1 or more")
    if order.min_lanes > order.lanes:
        raise Invalid("the minimum is above the lanes", field="min_lanes", mend=f"give at most {order.lanes}")
    if order.kind not in KINDS:
        raise Invalid(
            f"kind {order.kind} is not traded yet",
            field="kind",
            mend="give 0 (divisible), 1 (minimum) or 2 (fill or kill)",
        )
    if order.min_green_bps > 10_000:
        raise Invalid("a share above the whole", field="min_green_bps", mend="give at most 10000")
    if not 1 <= order.limit_price < _LIMIT:
        raise Invalid("the limit buys nothing", field="limit_price", mend="give 1 or more micro-units")


def check_compute_offer(
    offer: ComputeOffer, maker: Maker, terms: Terms, zone_of_site: int, nameplate_w: int
) -> None:
    """Raises when the offer breaks a rule; the site is the maker's, in `zone_of_site`."""
    _known("class_id", offer.class_id, terms.classes)
    if offer.zone_id != zone_of_site:
        raise Invalid(
            f"the site is in zone {zone_of_site}", field="zone_id", mend=f"give zone {zone_of_site}"
        )
    _aligned("start", offer.start, terms)
    _aligned("end", offer.end, terms)
    if offer.end <= offer.start:
        raise Invalid("it ends before it starts", field="end", mend="give a later end")
    if not 1 <= offer.capacity <= MAX_CAPACITY:
        raise Invalid("out of range", field="capacity", mend=f"give 1 to {MAX_CAPACITY}, or several offers")
    if offer.energy_wh_per_vcu_slot < 1:
        raise Invalid("computing takes energy", field="energy_wh_per_vcu_slot", mend="give 1 or more Wh")
    watts = offer.capacity * offer.energy_wh_per_vcu_slot * 3600 // terms.slot_seconds
    if watts > nameplate_w:
        raise Invalid(
            f"it needs {watts} W, the site has {nameplate_w} W", field="capacity", mend="offer less capacity"
        )
    if offer.ask_price >= _LIMIT:
        raise Invalid("too large", field="ask_price", mend="give less")
    _alive(offer, maker, terms)
    if offer.end <= terms.open_from:
        raise Closed("its last gate has closed", field="end", mend=f"give an end after {terms.open_from}")


def check_power_offer(
    offer: PowerOffer, wh_per_slot: Collection[int], maker: Maker, terms: Terms, zone_of_plant: int,
    source: int, nameplate_w: int,
) -> None:  # fmt: skip
    """Raises when the offer breaks a rule; the plant is the maker's; `wh_per_slot` sums its tranches."""
    if offer.zone_id != zone_of_plant:
        raise Invalid(
            f"the plant is in zone {zone_of_plant}", field="zone_id", mend=f"give zone {zone_of_plant}"
        )
    if offer.source != source:
        raise Invalid(f"the plant's source is {source}", field="source", mend=f"give {source}")
    _aligned("start", offer.start, terms)
    if offer.slots < 1 or len(wh_per_slot) != offer.slots:
        raise Invalid("slots and profile differ", field="slots", mend="give one row of the profile per slot")
    most = nameplate_w * terms.slot_seconds // 3600
    if max(wh_per_slot) > most:
        raise Invalid(
            f"a slot offers {max(wh_per_slot)} Wh, the plant can make {most} Wh",
            field="profile",
            mend="offer less",
        )
    _alive(offer, maker, terms)
    if offer.start + offer.slots * terms.slot_seconds <= terms.open_from:
        raise Closed("its last gate has closed", field="start", mend="offer later slots")
