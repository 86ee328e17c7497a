"""Which price area takes which column of which file, and the classes of compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True)
class ZonePlan:
    """A price area: its name and, best first, the keys it takes from price and carbon files."""

    name: str
    price_keys: tuple[str, ...]
    carbon_keys: tuple[str, ...]


PROVINCES: Final = ("Inner Mongolia", "Gansu", "Yunnan", "Hebei", "Guangdong")
"""Zones of the simbench profiles: two wind-and-sun bases, a hydro province, two load centres."""

ZONE_PLANS: Final[Mapping[str, ZonePlan]] = MappingProxyType(
    {
        "RTS-1": ZonePlan("RTS area 1", ("101",), ("CISO", "us-west4", "us-west2")),
        "RTS-2": ZonePlan("RTS area 2", ("201",), ("CISO", "us-west4", "us-west2")),
        "RTS-3": ZonePlan("RTS area 3", ("317", "309", "320"), ("CISO", "us-west4", "us-west2")),
        "LU": ZonePlan("Luxembourg", ("DE-LU",), ("DE", "europe-west3")),
        "NSW1": ZonePlan("New South Wales", ("NSW1",), ("AU-NSW", "australia-southeast1")),
        "SA1": ZonePlan("South Australia", ("SA1",), ("AU-SA", "AU-NSW", "australia-southeast2")),
        "CN_PV_1": ZonePlan("Gansu (96 E)", ("Gansu",), ("Gansu", "Northwest", "asia-east2")),
        "CN_PV_3": ZonePlan("Hebei (119 E)", ("Hebei",), ("Hebei", "North", "asia-east2")),
        **{name: ZonePlan(name, (name,), (name, "asia-east2")) for name in PROVINCES},
    }
)
"""RTS areas stand for zones because prices hardly differ inside an area: power is deliverable there."""

CLASS_IT_W: Final[Mapping[str, int]] = MappingProxyType(
    {
        "A100": 366,
        "V100M32": 275,
        "V100M16": 275,
        "P100": 229,
        "A10": 137,
        "T4": 64,
        "G2": 366,
        "G3": 366,
    }
)
"""Watts of one device and its share of the server before PUE: measured for A100 (2,930 W / 8); others 0.915
of their TDP, the same ratio; the undisclosed G2 and G3 as A100."""
STANDARD_CLASS: Final = "A100"
STANDARD_PUE_MILLI: Final = 1_200


def plan_of(key: str) -> ZonePlan:
    """The plan of a generation zone; an unlisted zone looks for its own name in every file."""
    return ZONE_PLANS.get(key, ZonePlan(key, (key,), (key,)))


def choose_key(wanted: Sequence[str], have: Sequence[str], index: int) -> tuple[str, bool]:
    """The first wanted key that the file has, else the file's keys in turn; and whether it was a match."""
    for key in wanted:
        if key in have:
            return key, True
    ordered = sorted(have)
    return ordered[index % len(ordered)], len(ordered) == 1


def standard_wh(it_w: int, slot_s: int, pue_milli: int = STANDARD_PUE_MILLI) -> int:
    """Facility Wh of one VCU-slot (F2), rounded up: a buyer never gets less than the class draws."""
    return -(-it_w * slot_s * pue_milli // 3_600_000)
