"""The figures of a cleared day, on one basis for every mechanism (F9, F10).

Costs are resource costs: what the suppliers ask for what is used, whoever gains at the published prices.
Green is matched in its own slot and zone (F9). Available green is what plants offered; curtailed is the rest.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from backend.carbon.factors import FOSSIL_FALLBACK_G_PER_KWH
from backend.market.certificate import tranche_cost
from backend.market.domain import GREEN, GREY, Book, Solution
from backend.market.lanes import filled_lanes
from backend.market.tables import tables_of

Metrics = dict[str, int | float | str]


def metrics(book: Book, solution: Solution, residual_g_per_kwh: int = FOSSIL_FALLBACK_G_PER_KWH) -> Metrics:
    """Figures of `solution`; money in micro-units, energy in Wh, carbon in g, shares and the gap as ratios.

    welfare_micro = value of the lanes at the buyers' limits - their own price of carbon - asks of the
    sites and of the energy used, rounded down. buyer_cost_micro is what buyers pay: posted prices, or the
    asks where the mechanism has no prices. carbon_market_g (F10) takes green energy at its plant's factor and
    the rest at the residual mix, never at the grid's average.
    """
    tab, o, f = tables_of(book), book.orders, solution.fills
    zone = tab.offer_zone[f.offer]
    vcu = _total(f.lanes)
    burnt = f.lanes * tab.offer_energy_wh[f.offer]
    power_milli = sum(
        tranche_cost(g.wh, g.ask_micro_per_kwh, solution.sold[n]) for n, g in enumerate(book.power_offers)
    )
    asks = _total(f.lanes.astype(object) * tab.offer_ask[f.offer])
    value = _total(f.lanes.astype(object) * o.limit_micro_per_vcu_slot[f.order])
    carbon_milli = _total(
        f.lanes.astype(object)
        * o.carbon_price_micro_per_g[f.order]
        * tab.class_energy_wh[tab.class_row[f.order]]
        * tab.carbon[zone, f.mode, f.slot]
    )
    if solution.uniform:
        price = solution.compute_price[tab.class_row[f.order], zone, f.mode, f.slot]
        paid = _total(f.lanes.astype(object) * price)
    else:
        paid = asks + -(-power_milli // 1000)
    energy, green = _total(burnt), _total(burnt[f.mode == GREEN])
    offered = sum(int(g.wh.sum()) for g in book.power_offers if g.mode == GREEN)
    supplied = sum(
        _total(solution.sold[n]) * g.emission_g_per_kwh
        for n, g in enumerate(book.power_offers)
        if g.mode == GREEN
    )
    milligrams = burnt.astype(object) * tab.carbon[zone, GREY, f.slot]
    filled = filled_lanes(book, f)
    return {
        "mechanism": solution.mechanism,
        "orders": len(o),
        "orders_filled": int((filled == o.lanes).sum()),
        "requested_vcu_slots": _total(o.lanes.astype(object) * o.duration_slots),
        "filled_vcu_slots": vcu,
        "deadline_missed": int((filled < o.lanes).sum()),
        "buyer_cost_micro": paid,
        "compute_cost_micro": asks,
        "energy_cost_micro": -(-power_milli // 1000),
        "energy_cost_micro_per_kwh": round(power_milli / energy, 1) if energy else 0.0,
        "energy_wh": energy,
        "green_matched_wh": green,
        "green_share": green / energy if energy else 0.0,
        "available_green_wh": offered,
        "curtailed_wh": offered - green,
        "carbon_location_g": _total(milligrams) // 1000,
        "carbon_market_g": (supplied + (energy - green) * residual_g_per_kwh) // 1000,
        "welfare_micro": (1000 * value - carbon_milli - 1000 * asks - power_milli) // 1000,
        "optimality_gap": solution.certificate.gap if solution.certificate else 0.0,
        "reason": solution.reason,
    }


def _total(values: npt.NDArray[Any]) -> int:
    return int(values.astype(object).sum()) if len(values) else 0
