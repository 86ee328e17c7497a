"""The three signed orders as the contracts know them (EIP-712 structs of BundleMarket).

Units: prices in micro-units of the settlement token per VCU-slot, times in unix seconds aligned to slots,
energy in Wh, carbon in g/kWh, carbon price in micro-units per g.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from backend.chain.errors import FieldError

NO_CARBON_CAP = 0xFFFFFFFF
"""`max_carbon` of an order that accepts any grid carbon."""


@dataclass(frozen=True, slots=True)
class BundleOrder:
    """A buyer's bid for compute and its power as one good."""

    maker: str
    class_id: int
    zone_mask: int
    lanes: int
    min_lanes: int
    duration_slots: int
    start: int
    deadline: int
    limit_price: int
    min_green_bps: int
    max_carbon: int
    carbon_price: int
    kind: int
    epoch: int
    nonce: int
    expiry: int


@dataclass(frozen=True, slots=True)
class ComputeOffer:
    """A provider's offer of capacity of one site and class; `ask_price` per VCU-slot."""

    maker: str
    site_id: int
    class_id: int
    zone_id: int
    capacity: int
    energy_wh_per_vcu_slot: int
    ask_price: int
    start: int
    end: int
    epoch: int
    nonce: int
    expiry: int


@dataclass(frozen=True, slots=True)
class PowerOffer:
    """A supplier's offer of one plant's energy; `profile_hash` commits to `packing.pack_profile`."""

    maker: str
    plant_id: int
    zone_id: int
    source: int
    tranches: int
    start: int
    slots: int
    profile_hash: bytes
    epoch: int
    nonce: int
    expiry: int


AnyOrder = TypeVar("AnyOrder", "BundleOrder", "ComputeOffer", "PowerOffer")
Order = BundleOrder | ComputeOffer | PowerOffer

# struct name -> (Solidity type, Solidity field, attribute), in the order of the struct
FIELDS: dict[type, tuple[tuple[str, str, str], ...]] = {
    BundleOrder: (
        ("address", "maker", "maker"),
        ("uint32", "classId", "class_id"),
        ("uint64", "zoneMask", "zone_mask"),
        ("uint32", "lanes", "lanes"),
        ("uint32", "minLanes", "min_lanes"),
        ("uint16", "durationSlots", "duration_slots"),
        ("uint64", "start", "start"),
        ("uint64", "deadline", "deadline"),
        ("uint64", "limitPrice", "limit_price"),
        ("uint16", "minGreenBps", "min_green_bps"),
        ("uint32", "maxCarbon", "max_carbon"),
        ("uint32", "carbonPrice", "carbon_price"),
        ("uint8", "kind", "kind"),
        ("uint32", "epoch", "epoch"),
        ("uint64", "nonce", "nonce"),
        ("uint64", "expiry", "expiry"),
    ),
    ComputeOffer: (
        ("address", "maker", "maker"),
        ("uint32", "siteId", "site_id"),
        ("uint32", "classId", "class_id"),
        ("uint32", "zoneId", "zone_id"),
        ("uint32", "capacity", "capacity"),
        ("uint32", "energyWhPerVcuSlot", "energy_wh_per_vcu_slot"),
        ("uint64", "askPrice", "ask_price"),
        ("uint64", "start", "start"),
        ("uint64", "end", "end"),
        ("uint32", "epoch", "epoch"),
        ("uint64", "nonce", "nonce"),
        ("uint64", "expiry", "expiry"),
    ),
    PowerOffer: (
        ("address", "maker", "maker"),
        ("uint32", "plantId", "plant_id"),
        ("uint32", "zoneId", "zone_id"),
        ("uint8", "source", "source"),
        ("uint8", "tranches", "tranches"),
        ("uint64", "start", "start"),
        ("uint16", "slots", "slots"),
        ("bytes32", "profileHash", "profile_hash"),
        ("uint32", "epoch", "epoch"),
        ("uint64", "nonce", "nonce"),
        ("uint64", "expiry", "expiry"),
    ),
}


def abi_tuple(order: Order) -> tuple[object, ...]:
    """The order as the tuple that the contracts' functions take."""
    return tuple(getattr(order, attribute) for _, _, attribute in FIELDS[type(order)])


def from_message(kind: type[AnyOrder], message: Mapping[str, Any]) -> AnyOrder:
    """The order of a typed-data message (Solidity field names).

    Raises FieldError for a missing or an extra field.
    """
    names = {name: attribute for _, name, attribute in FIELDS[kind]}
    for name in sorted(names.keys() ^ message.keys()):
        mend = "leave it out" if name in message else "give it"
        raise FieldError(f"{kind.__name__}.{name}", message.get(name), mend)
    return kind(**{attribute: message[name] for name, attribute in names.items()})
