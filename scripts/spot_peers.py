"""Uniform-price clearing by ASSUME and nempy on generated orders, as JSON.

`bitwatt bench vpp` runs it with the Python of an environment in which they are installed. They stay separate
programs (ASSUME is AGPL).
"""

from __future__ import annotations

import json
import random
import sys
import time
from datetime import datetime, timedelta
from importlib.metadata import version


def assume_seconds(orders: int) -> float:
    """ASSUME's pay-as-clear of one product."""
    from assume.common.market_objects import MarketConfig, MarketProduct
    from assume.markets.clearing_algorithms.simple import PayAsClearRole
    from dateutil.rrule import HOURLY, rrule

    start = datetime(2024, 1, 1)
    product = (start, start + timedelta(hours=1), None)
    draw = random.Random(1)
    book = [
        {
            "start_time": product[0], "end_time": product[1], "only_hours": None,
            "agent_addr": str(n), "bid_id": n,
            "volume": draw.choice((-1, 1)) * draw.randint(1, 10**6), "price": draw.gauss(50, 25),
        }
        for n in range(orders)
    ]  # fmt: skip
    hours = rrule(HOURLY, dtstart=start, until=start + timedelta(days=1))
    role = PayAsClearRole(
        MarketConfig(
            market_id="peer",
            opening_hours=hours,
            market_products=[MarketProduct(timedelta(hours=1), 1, timedelta(0))],
        )
    )
    started = time.perf_counter()
    role.clear(book, [product])
    return time.perf_counter() - started


def nempy_seconds(orders: int) -> float:
    """nempy's dispatch of one region with one band a unit and a fixed demand."""
    import pandas as pd
    from nempy import markets

    draw = random.Random(1)
    units = [f"u{n}" for n in range(orders)]
    market = markets.SpotMarket(
        market_regions=["R"], unit_info=pd.DataFrame({"unit": units, "region": ["R"] * orders})
    )
    volumes = [draw.uniform(1, 100) for _ in units]
    started = time.perf_counter()
    market.set_unit_volume_bids(pd.DataFrame({"unit": units, "1": volumes}))
    market.set_unit_price_bids(pd.DataFrame({"unit": units, "1": [draw.gauss(50, 25) for _ in units]}))
    market.set_demand_constraints(pd.DataFrame({"region": ["R"], "demand": [sum(volumes) / 2]}))
    market.dispatch()
    return time.perf_counter() - started


def main() -> None:
    """One JSON object: seconds and version of each peer that is installed, or why it could not run."""
    found: dict[str, object] = {}
    for name, package, orders, run in (
        ("assume_pay_as_clear", "assume-framework", 10_000, assume_seconds),
        ("nempy_dispatch", "nempy", 10_000, nempy_seconds),
    ):
        try:
            found[name] = {"orders": orders, "seconds": round(run(orders), 4), "version": version(package)}
        except Exception as error:  # a peer that is missing or broken must not hide the others
            found[name] = {"error": f"{type(error).__name__}: {error}"[:200]}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
