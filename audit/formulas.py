"""Settlement, penalty, certificate and credit arithmetic, written from FORMULAS, not from the contracts.

Money in micro-units, compute prices in micro per VCU-slot, energy prices in micro per kWh (signed), energy
in Wh, deliveries in milli-lanes, carbon intensity in g/kWh. Every division rounds as its name says.
"""

from __future__ import annotations

from dataclasses import dataclass

GREY, GREEN = 0, 1
PASS_BPS, PARTIAL_BPS = 9_000, 7_000
"""F5 tiers: at least 90 % delivered pays nothing, at least 70 % the shortfall, below that 1.5 times."""


def ceil_div(numerator: int, denominator: int) -> int:
    """Division rounded towards plus infinity."""
    return -(-numerator // denominator)


@dataclass(frozen=True, slots=True)
class Payment:
    """F15 of one run and slot, in micro-units.

    `compute_due` is the compute leg at full delivery, `earned` its delivered part before the cap."""

    bundle: int
    compute_due: int
    earned: int
    power_due: int
    pay_compute: int
    pay_power: int
    refund: int
    matched_wh: int


def pay_run_slot(
    lanes: int,
    energy_wh_per_lane: int,
    mode: int,
    compute_price: int,
    energy_price: int,
    delivered_milli: int,
    matched_wh: int,
) -> Payment:
    """F15: what one run pays in one slot, given delivered milli-lanes and (green) matched Wh.

    At a negative power price the compute leg is capped by what the buyer locked, less the power leg."""
    bundle = lanes * compute_price
    energy = lanes * energy_wh_per_lane
    power_due = energy * energy_price // 1000
    compute_due = bundle - power_due
    matched = matched_wh if mode == GREEN else energy * delivered_milli // (1000 * lanes)
    pay_power = power_due * matched // energy if energy else 0
    earned = compute_due * delivered_milli // (1000 * lanes)
    pay_compute = min(earned, bundle - pay_power)
    refund = bundle - pay_compute - pay_power
    return Payment(bundle, compute_due, earned, power_due, pay_compute, pay_power, refund, matched)


def penalty(shortfall_value_micro: int, delivered: int, committed: int) -> int:
    """F5 deviation penalty before the cap by what the account has, rounded up; never negative."""
    if committed <= 0 or shortfall_value_micro <= 0 or delivered * 10_000 >= committed * PASS_BPS:
        return 0
    if delivered * 10_000 >= committed * PARTIAL_BPS:
        return shortfall_value_micro
    return ceil_div(shortfall_value_micro * 3, 2)


def site_penalty(payment: Payment, lanes: int, delivered_milli: int) -> int:
    """F5 on the compute leg: the part of the compute payment that was not delivered, by tier."""
    return penalty(payment.compute_due - payment.earned, delivered_milli, 1000 * lanes)


def plant_penalty(sold_wh: int, delivered_wh: int, energy_price: int) -> int:
    """F5 on the power leg: undelivered Wh at the energy price, by tier, rounded up once."""
    value_milli = (sold_wh - delivered_wh) * energy_price
    if value_milli <= 0 or delivered_wh * 10_000 >= sold_wh * PASS_BPS:
        return 0
    if delivered_wh * 10_000 >= sold_wh * PARTIAL_BPS:
        return ceil_div(value_milli, 1000)
    return ceil_div(value_milli * 3, 2000)


def credit_mg(matched_wh: int, grid_g_per_kwh: int, green_g_per_kwh: int) -> int:
    """F11 avoided emission in mg (Wh x g/kWh), floored at zero."""
    return max(0, matched_wh * (grid_g_per_kwh - green_g_per_kwh))


def credit_grams(carried_mg: int, added_mg: int) -> tuple[int, int]:
    """F11 whole grams to mint, and the remainder kept for the account."""
    return divmod(carried_mg + added_mg, 1000)


def green_factor(energy_and_factor: list[tuple[int, int]]) -> int:
    """Emission factor of a pool in g/kWh: mean of (Wh, g/kWh) weighted by Wh, rounded up; 0 if empty."""
    total = sum(wh for wh, _ in energy_and_factor)
    return ceil_div(sum(wh * factor for wh, factor in energy_and_factor), total) if total else 0


def largest_remainder(amount: int, weights: list[int]) -> list[int]:
    """Splits `amount` by weight, exactly; what is left goes to the largest remainders, then lower indices.

    A negative amount is split as its opposite is."""
    total = sum(weights)
    if total == 0:
        return [0] * len(weights)
    if amount < 0:
        return [-part for part in largest_remainder(-amount, weights)]
    shares = [divmod(amount * weight, total) for weight in weights]
    parts = [whole for whole, _ in shares]
    left = amount - sum(parts)
    order = sorted(range(len(weights)), key=lambda index: (-shares[index][1], index))
    for index in order[:left]:
        parts[index] += 1
    return parts


def obligation(sold_wh: int, energy_price: int) -> int:
    """What a seller locks for a slot at a negative price: |price| and two roundings a Wh, rounded up."""
    return ceil_div(sold_wh * (2_000 - energy_price), 1000) if energy_price < 0 else 0
