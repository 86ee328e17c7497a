"""Writes settlement.json: random cases of the auditor's arithmetic, which DeliveryMath must agree with.

Usage: generate_settlement.py [SEED [CASES]]. Columns of numbers; negative ones are given as a
magnitude and a sign, as forge reads unsigned arrays.
"""

from __future__ import annotations

import json
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

from audit.formulas import (
    GREEN,
    largest_remainder,
    obligation,
    pay_run_slot,
    plant_penalty,
    site_penalty,
)

TARGET = Path(__file__).with_name("settlement.json")
SEED, CASES = 1, 400


def edge(rng: random.Random, most: int) -> int:
    """A number up to `most` that is often at an end."""
    return rng.choice((0, 1, most, most - 1 if most else 0, rng.randint(0, most), rng.randint(0, most)))


def payments(rng: random.Random, cases: int) -> dict[str, list[int]]:
    """F15 and F5 of runs; the clearing guarantees a compute part of at least 0."""
    rows: dict[str, list[int]] = {}
    while len(rows.get("lanes", ())) < cases:
        lanes = 1 + edge(rng, rng.choice((10, 65_534)))
        wh = 1 + edge(rng, rng.choice((2_000, 2**32 - 2)))
        mode = rng.randint(0, 1)
        price = edge(rng, 2**32 - 1)
        energy_price = rng.choice((-1, 1)) * edge(rng, rng.choice((1_000_000, 2**31 - 1)))
        milli = edge(rng, 1000 * lanes)
        matched = edge(rng, min(lanes * wh, 2**32 - 1)) if mode == GREEN else 0
        paid = pay_run_slot(lanes, wh, mode, price, energy_price, milli, matched)
        if paid.compute_due < 0:
            continue
        row = {
            "lanes": lanes, "wh": wh, "mode": mode, "price": price, "energyPrice": abs(energy_price),
            "energyNegative": int(energy_price < 0), "milli": milli, "matched": matched,
            "bundle": paid.bundle,
            "payCompute": paid.pay_compute, "payPower": abs(paid.pay_power),
            "powerNegative": int(paid.pay_power < 0), "refund": paid.refund, "matchedWh": paid.matched_wh,
            "penalty": site_penalty(paid, lanes, milli),
        }  # fmt: skip
        for name, value in row.items():
            rows.setdefault(name, []).append(value)
    return rows


def plants(rng: random.Random, cases: int) -> dict[str, list[int]]:
    """F5 of plants, and what they lock at a negative price."""
    rows: dict[str, list[int]] = {
        name: [] for name in ("sold", "delivered", "price", "negative", "penalty", "locked")
    }
    for _ in range(cases):
        sold = edge(rng, 2**32 - 1)
        delivered = min(sold, edge(rng, sold) if rng.random() < 0.7 else sold * rng.choice((7, 9)) // 10)
        price = rng.choice((-1, 1)) * edge(rng, 2**31 - 1)
        found = (sold, delivered, abs(price), int(price < 0), plant_penalty(sold, delivered, price),
                 obligation(sold, price))  # fmt: skip
        for name, value in zip(rows, found, strict=True):
            rows[name].append(value)
    return rows


def splits(rng: random.Random, cases: int) -> list[dict[str, object]]:
    """Totals shared by weight."""
    found: list[dict[str, object]] = []
    for _ in range(cases):
        weights = [edge(rng, rng.choice((3, 2**32 - 1))) for _ in range(rng.randint(1, 7))]
        total = edge(rng, 2**64 - 1)
        found.append({"total": total, "weights": weights, "shares": largest_remainder(total, weights)})
    return found


def months(rng: random.Random, cases: int) -> dict[str, list[int]]:
    """year * 100 + month of unix times until 2100, the ends of months among them."""
    times = [rng.randint(0, 4_102_444_799) for _ in range(cases)]
    times += [
        int(datetime(year, 3, 1, tzinfo=UTC).timestamp()) - ago
        for year in (1972, 2000, 2024)
        for ago in (0, 1)
    ]
    months_ = [datetime.fromtimestamp(time, UTC) for time in times]
    return {"time": times, "month": [when.year * 100 + when.month for when in months_]}


def document(seed: int = SEED, cases: int = CASES) -> dict[str, object]:
    """All cases."""
    rng = random.Random(seed)
    return {
        "payments": payments(rng, cases),
        "plants": plants(rng, cases),
        "splits": splits(rng, cases // 4),
        "months": months(rng, cases // 4),
    }


def main() -> None:
    TARGET.write_text(json.dumps(document(*(int(word) for word in sys.argv[1:])), indent=None) + "\n")


if __name__ == "__main__":
    main()
