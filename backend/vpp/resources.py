"""What can be flexible, how it is grouped, and what a test of it measured.

Power is consumption in W: a plant or a discharging battery is negative. Times of a test are milliseconds from
the signal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from backend.vpp.errors import FlexError
from backend.vpp.spot import Ints


class Kind(StrEnum):
    """Resource types of the registry."""

    COMPUTE_SITE = "compute_site"
    BATTERY = "battery"
    UPS = "ups"
    PV = "pv"
    WIND = "wind"
    EV_FLEET = "ev_fleet"
    BASE_STATION = "base_station"
    COOLING = "cooling"
    HEAT_RECOVERY = "heat_recovery"


@dataclass(frozen=True, slots=True)
class Resource:
    """A registered resource or a group of them (`parent` names the group it belongs to).

    `metering_point` is the meter its energy is settled by; `node` the grid node all members of a VPP share.
    """

    id: str
    member_id: str
    kind: Kind
    zone: int
    node: str
    metering_point: str
    nameplate_w: int
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Contract:
    """A member's contract with an aggregator for one resource and contract type, in force [start, end).

    `share_bps` of what the resource earns is the member's; a dispatch needs `notice_seconds`; a refused or
    missed one costs the member `penalty_bps` of its share of the event's penalty.
    """

    resource_id: str
    member_id: str
    aggregator_id: str
    contract_type: str
    share_bps: int
    notice_seconds: int
    penalty_bps: int
    start: int
    end: int

    def __post_init__(self) -> None:
        for name in ("share_bps", "penalty_bps"):
            if not 0 <= getattr(self, name) <= 10_000:
                raise FlexError("contract", name, getattr(self, name), "must be 0..10000 basis points")
        if self.end <= self.start or self.notice_seconds < 0:
            raise FlexError("contract", "end", self.end, f"must come after the start {self.start}")


def require_one_vpp(new: Contract, standing: Sequence[Contract]) -> None:
    """Raises FlexError where the member already has a VPP for this contract type in that time (F7)."""
    for old in standing:
        same = (old.member_id, old.contract_type) == (new.member_id, new.contract_type)
        if same and old.aggregator_id != new.aggregator_id and old.start < new.end and new.start < old.end:
            raise FlexError(
                "two_vpps", "aggregator_id", new.aggregator_id,
                f"the member is with {old.aggregator_id} for {new.contract_type} until {old.end}",
            )  # fmt: skip


def members_of(group: str, parents: Mapping[str, str | None]) -> list[str]:
    """The leaves under a group, at any depth, sorted; FlexError for a circle."""
    children: dict[str, list[str]] = {}
    for name, parent in parents.items():
        if parent is not None:
            children.setdefault(parent, []).append(name)
    leaves: list[str] = []
    stack, seen = [group], {group}
    while stack:
        name = stack.pop()
        below = children.get(name, [])
        if not below and name != group:
            leaves.append(name)
        for child in below:
            if child in seen:
                raise FlexError("circle", f"resources[{child}].parent", name, "a group cannot contain itself")
            seen.add(child)
            stack.append(child)
    return sorted(leaves)


@dataclass(frozen=True, slots=True, eq=False)
class ResponseTest:
    """One signal and what the meter saw: `requested_w` is the change asked for (negative sheds)."""

    at: int
    baseline_w: int
    requested_w: int
    times_ms: Ints
    power_w: Ints

    def __post_init__(self) -> None:
        if len(self.times_ms) != len(self.power_w) or len(self.times_ms) < 2:
            raise FlexError(
                "test", "power_w", len(self.power_w), "give at least two samples with their times"
            )
        if (np.diff(self.times_ms) <= 0).any() or self.requested_w == 0:
            raise FlexError(
                "test", "times_ms", self.requested_w, "times must rise and something be asked for"
            )

    def achieved_bps(self) -> Ints:
        """Share of the requested change reached at each sample, basis points, never below zero."""
        change = (self.power_w - self.baseline_w) * np.sign(self.requested_w)
        return np.maximum(change, 0) * 10_000 // abs(self.requested_w)


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON of a value, as 0x hex: the hash that amounts and certificates carry."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    return "0x" + hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):  # by its bytes: histories are long
        data = np.ascontiguousarray(value, dtype=">i8").tobytes()
        return {"shape": list(value.shape), "int64_be_sha256": hashlib.sha256(data).hexdigest()}
    if isinstance(value, np.integer):
        return int(value)
    raise TypeError(f"{type(value).__name__} has no canonical form")
