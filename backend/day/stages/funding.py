"""Gives every party the tokens it may need, and deposits them: buyers' limits, sellers' collateral, bonds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from backend.chain.clients import Oracle, Token, Treasury
from backend.chain.deploy import DEFAULT_BOND_MICRO
from backend.chain.plan import Call
from backend.day.progress import Advance
from backend.day.stages.chain_up import COMMITTEE
from backend.day.stages.context import OPERATOR, Context
from backend.day.types import DayInput

_PENALTY_MARGIN_MICRO_PER_KWH = 2_000
"""What the market locks per kWh beside a negative price, to cover roundings."""
_FLOOR_MICRO = 1_000_000


def deposits(day: DayInput) -> dict[str, int]:
    """Micro-units each party deposits.

    A buyer deposits what its orders may cost at most; a site one and a half times its asks (the highest
    penalty of F5 on its own revenue at ask); a plant or grid the value of its energy at the day's highest
    price, which covers penalties and negative prices.
    """
    need: defaultdict[str, int] = defaultdict(int)
    for job in day.jobs:
        need[job.tenant] += job.limit_micro_per_vcu_slot * job.vcu_slots
    for offer in day.compute_offers:
        slots = offer.end_slot - offer.start_slot
        need[offer.owner] += offer.capacity * slots * offer.ask_micro_per_vcu_slot * 3 // 2 + _FLOOR_MICRO
    highest = max((abs(price) for row in day.tariff_micro_per_kwh for price in row), default=0)
    for plant_offer in day.power_offers:
        asks = [abs(ask) for row in plant_offer.ask_micro_per_kwh for ask in row]
        price = max([highest, *asks]) + _PENALTY_MARGIN_MICRO_PER_KWH
        if plant_offer.source == 0:
            lowest = min((ask for row in plant_offer.ask_micro_per_kwh for ask in row), default=0)
            price = max(0, -lowest) + _PENALTY_MARGIN_MICRO_PER_KWH
            energy_wh = min(sum(map(sum, plant_offer.wh)), _grid_need_wh(day))
        else:
            energy_wh = sum(map(sum, plant_offer.wh)) * 3 // 2
        need[plant_offer.owner] += energy_wh * price // 1000 + _FLOOR_MICRO
    return dict(sorted(need.items()))


def _grid_need_wh(day: DayInput) -> int:
    """More than all orders together can take from a grid, whose own quantity is nearly unlimited."""
    burn = max((offer.energy_wh_per_vcu_slot for offer in day.compute_offers), default=0)
    return day.requested_vcu_slots * burn


def fund(context: Context, progress: Advance) -> dict[str, int]:
    """Mints, approves and deposits for every party, and posts the committee's bonds; returns the deposits."""
    amounts = deposits(context.day)
    needs = {**amounts, **dict.fromkeys(COMMITTEE, DEFAULT_BOND_MICRO)}
    # what one account needs of another is on chain before it is built upon: a node may mix up senders
    context.send("fund", OPERATOR, _mint_calls(context, needs), progress)
    context.send_all("fund", _deposit_calls(context, needs), progress)
    return amounts


def transactions_of(day: DayInput) -> int:
    """How many transactions `fund` sends."""
    return 3 * len(deposits(day)) + 4 * len(COMMITTEE)


def _mint_calls(context: Context, needs: dict[str, int]) -> Iterator[Call]:
    for name, amount in needs.items():
        yield Token(context.book).mint(context.keyring[name].address, amount)


def _deposit_calls(context: Context, needs: dict[str, int]) -> Iterator[tuple[str, Call]]:
    token, treasury = Token(context.book), Treasury(context.book)
    for name, amount in needs.items():
        yield name, token.approve(treasury.address, amount)
        yield name, treasury.deposit(context.keyring[name].address, amount)
    for name in COMMITTEE:
        yield name, Oracle(context.book).post_bond()
