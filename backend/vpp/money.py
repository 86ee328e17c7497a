"""What positions and deviations cost: two-settlement (F4), tiers and band (F5), exact shares.

Money times energy is kept in milli-micro (micro per kWh times Wh) until one rounding at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.vpp.errors import FlexError
from backend.vpp.spot import Ints

MILLI = 1000
BPS = 10_000


def two_settlement_milli(
    long_wh: int,
    day_ahead_wh: int,
    real_time_wh: int,
    long_price: int,
    day_ahead_price: int,
    real_time_price: int,
) -> int:
    """Cost of energy over three markets (F4), milli-micro; prices in micro per kWh, buying positive.

    C = Ql pl + (Qda - Ql) pda + (Qrt - Qda) prt.
    """
    return (
        long_wh * long_price
        + (day_ahead_wh - long_wh) * day_ahead_price
        + (real_time_wh - day_ahead_wh) * real_time_price
    )


def to_micro_against(milli: int) -> int:
    """Milli-micro to micro, rounded up: who pays pays the fraction, who is paid does not get it."""
    return -(-milli // MILLI)


@dataclass(frozen=True, slots=True)
class Tier:
    """From a pass rate (basis points) on, a shortfall costs `factor_bps` of its price."""

    from_pass_bps: int
    factor_bps: int


@dataclass(frozen=True, slots=True)
class TierTable:
    """Deviation tiers (F5) in force from a unix second on; a later table never changes an old result."""

    version: str
    effective_from: int
    tiers: tuple[Tier, ...]

    def __post_init__(self) -> None:
        rates = [tier.from_pass_bps for tier in self.tiers]
        if (
            rates != sorted(rates, reverse=True)
            or len(set(rates)) != len(rates)
            or not rates
            or rates[-1] != 0
        ):
            raise FlexError("tiers", "tiers", rates, "must fall strictly and end at 0")

    def factor_bps(self, pass_bps: int) -> int:
        """The factor of a pass rate."""
        return next(tier.factor_bps for tier in self.tiers if pass_bps >= tier.from_pass_bps)


DEFAULT_TIERS = (
    TierTable("F5-2024", 0, (Tier(9000, 0), Tier(7000, BPS), Tier(0, 15_000))),
)  # fmt: skip


def tiers_at(time: int, tables: tuple[TierTable, ...] = DEFAULT_TIERS) -> TierTable:
    """The table in force at a unix second."""
    fitting = [table for table in tables if table.effective_from <= time]
    if not fitting:
        raise FlexError("tiers", "time", time, "no tier table is in force yet")
    return max(fitting, key=lambda table: table.effective_from)


@dataclass(frozen=True, slots=True)
class Performance:
    """One position delivered: amounts in micro-units; `penalty_micro` is charged before it is capped by
    collateral."""

    declared_wh: int
    delivered_wh: int
    pass_bps: int
    payment_micro: int
    penalty_micro: int


def performance(
    declared_wh: int, delivered_wh: int, price_micro_per_kwh: int, table: TierTable
) -> Performance:
    """Payment and penalty of a flexibility position (F5).

    Over-delivery is paid up to the declared amount. The payment is rounded down, the penalty up. At a
    negative price nothing is paid and a shortfall costs its absolute value.
    """
    if declared_wh <= 0:
        raise FlexError("quantity", "declared_wh", declared_wh, "a position needs an amount")
    delivered = min(max(delivered_wh, 0), declared_wh)
    pass_bps = delivered * BPS // declared_wh
    factor = table.factor_bps(pass_bps)
    payment = max(price_micro_per_kwh, 0) * delivered // MILLI
    penalty = -(-(declared_wh - delivered) * abs(price_micro_per_kwh) * factor // (MILLI * BPS))
    return Performance(declared_wh, delivered, pass_bps, payment, penalty)


def band_deviation_milli(
    day_ahead_wh: int, real_time_wh: int, day_ahead_price: int, real_time_price: int, *,
    lower_bps: int = 9000, upper_bps: int = 11_000,
) -> int:  # fmt: skip
    """Recovery of gains from a day-ahead position outside its band (F5), milli-micro, rounded down."""
    if day_ahead_wh * BPS > upper_bps * real_time_wh and day_ahead_price < real_time_price:
        return (day_ahead_wh * BPS - upper_bps * real_time_wh) * (real_time_price - day_ahead_price) // BPS
    if day_ahead_wh * BPS < lower_bps * real_time_wh and day_ahead_price > real_time_price:
        return (lower_bps * real_time_wh - day_ahead_wh * BPS) * (day_ahead_price - real_time_price) // BPS
    return 0


def split_exactly(amount: int, weights: Ints) -> Ints:
    """An amount of micro-units (either sign) pro rata to weights; the parts add up to it exactly.

    Where all weights are zero the amount cannot be split: FlexError.
    """
    from backend.vpp.auction import share  # numba loads with the first split, not at start-up

    total = int(weights.sum())
    if amount == 0:
        return np.zeros(len(weights), np.int64)
    if total <= 0 or (weights < 0).any():
        raise FlexError("shares", "weights", total, "must be non-negative and not all zero")
    whole, rest = divmod(abs(amount), total)
    parts = weights * whole + share(weights.astype(np.int64), rest, total)
    return parts if amount > 0 else -parts
