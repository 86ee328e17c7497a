"""What goes wrong on the day, drawn from the seed: one of each kind, at the places where it hurts most.

Faults touch the physical side only; what they cost follows from readings, reports and contracts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from backend.day.draws import below
from backend.market.domain import GREEN, Book, Ints

FULL_PPM = 1_000_000
_CANDIDATES = 3
LATE_SLOTS = 6
"""How late the late meter reports: more than the committee waits."""

_NOUN = {"under_delivery": "site", "forecast_miss": "plant", "late_meter": "plant", "lying_node": "node"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    `kind` under_delivery | forecast_miss | late_meter | lying_node; `target` the site, plant or node;
    `slots` when; `ppm` what is left of the delivery; `delay_slots` how late a reading is sent.
    """

    kind: str
    target: int
    slots: tuple[int, ...]
    ppm: tuple[int, ...] = ()
    delay_slots: int = 0

    def as_dict(self) -> dict[str, object]:
        """For the report."""
        return {
            "kind": self.kind,
            "target": f"{_NOUN[self.kind]} {self.target}",
            "slots": list(self.slots),
            "delivered_ppm": list(self.ppm),
            "delay_slots": self.delay_slots,
        }


def plan_faults(
    seed: int, book: Book, site_load: Mapping[int, Ints], sold: Ints, lying_node: int
) -> list[Fault]:
    """The day's faults. `site_load[site][slot]` VCU sold, `sold[offer][slot]` Wh.

    A market without sales has no delivery faults; the lying node lies all the same.
    """
    faults: list[Fault] = []
    sites = _busiest({site: int(load.sum()) for site, load in site_load.items()})
    if sites:
        site = sites[below(seed, "fault", "site", len(sites))]
        slots = _top_window(site_load[site], 6)
        ppm = tuple(800_000 if place < len(slots) // 2 else 500_000 for place in range(len(slots)))
        faults.append(Fault("under_delivery", site, slots, ppm))
    rows = {index: offer.plant_id for index, offer in enumerate(book.power_offers) if offer.mode == GREEN}
    plants = _busiest({row: int(sold[row].sum()) for row in rows})
    if plants:
        missing = plants[below(seed, "fault", "plant", len(plants))]
        slots = _top_window(sold[missing], 4)
        ppm = tuple(750_000 if place % 2 else 550_000 for place in range(len(slots)))
        faults.append(Fault("forecast_miss", rows[missing], slots, ppm))
        late = next((row for row in plants if row != missing), None)
        if late is not None:
            faults.append(Fault("late_meter", rows[late], _top_window(sold[late], 2), delay_slots=LATE_SLOTS))
    faults.append(Fault("lying_node", lying_node, ()))
    return faults


def _busiest(totals: Mapping[int, int]) -> list[int]:
    """The few keys with most, most first; those with nothing are left out."""
    ranked = sorted((key for key, total in totals.items() if total), key=lambda key: (-totals[key], key))
    return ranked[:_CANDIDATES]


def _top_window(load: Ints, length: int) -> tuple[int, ...]:
    """The `length` consecutive slots that carry most, of them those with any load."""
    length = min(length, len(load))
    sums = np.convolve(load, np.ones(length, dtype=np.int64), "valid")
    start = int(np.argmax(sums))
    return tuple(slot for slot in range(start, start + length) if load[slot])


def delivered_ppm(faults: Sequence[Fault], kind: str, target: int, slot: int) -> int:
    """What is left of the delivery of a target in a slot, in millionths."""
    for fault in faults:
        if fault.kind == kind and fault.target == target and slot in fault.slots:
            return fault.ppm[fault.slots.index(slot)]
    return FULL_PPM


def delay_slots(faults: Sequence[Fault], target: int, slot: int) -> int:
    """How many slots late the plant's meter sends its reading of a slot."""
    late = [fault for fault in faults if fault.kind == "late_meter" and fault.target == target]
    return max((fault.delay_slots for fault in late if slot in fault.slots), default=0)
