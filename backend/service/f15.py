"""F15 for one run and slot, as the contract settles it (pure): money in micro-units, energy in Wh."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunSlot:
    """What a run bought in a slot: lanes, Wh per VCU-slot, prices per VCU-slot and per kWh, and the mode."""

    lanes: int
    energy_wh_per_vcu_slot: int
    compute_price: int
    energy_price: int
    green: bool

    @property
    def bundle_micro(self) -> int:
        """What the buyer locked."""
        return self.lanes * self.compute_price

    @property
    def energy_wh(self) -> int:
        """Energy of the run in the slot."""
        return self.lanes * self.energy_wh_per_vcu_slot


@dataclass(frozen=True, slots=True)
class Payment:
    """Who gets what; the three add up to the bundle."""

    compute_micro: int
    power_micro: int
    refund_micro: int


def pay(run: RunSlot, delivered_milli_lanes: int, matched_wh: int) -> Payment:
    """F15: compute by delivered milli-lanes, green power by matched Wh, the rest back to the buyer."""
    full = 1000 * run.lanes
    power = run.energy_wh * run.energy_price // 1000
    compute = run.bundle_micro - power
    matched = matched_wh if run.green else run.energy_wh * delivered_milli_lanes // full
    pay_power = power * matched // run.energy_wh
    pay_compute = min(compute * delivered_milli_lanes // full, run.bundle_micro - pay_power)
    return Payment(pay_compute, pay_power, run.bundle_micro - pay_compute - pay_power)
