"""Receipts: what one buyer needs to see that it was treated fairly, checked with nobody else's data.

A receipt carries the order, its runs with the zone of each, and the public prices and carbon of its
window. From these alone `verify_receipt` recomputes what the buyer pays, that limits, window, whole lanes
and green share are kept, and its shortfall: what the best choice at these prices would have been worth
above what it got. Receipts are the leaves of a Merkle tree (SHA-256, pairs sorted), whose root names them
all.
"""

# mypy: allow-untyped-calls
from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from backend.market.certificate import shape_price, shortfalls_of
from backend.market.domain import Book, Ints, Run, Solution
from backend.market.lanes import lane_faults_of_rows
from backend.market.orders import KIND_CONTIGUOUS, Order
from backend.market.runs import runs_of_fills
from backend.market.tables import tables_of


@dataclass(frozen=True, slots=True)
class Receipt:
    """`body` is canonical JSON; `proof` are the hashes from its leaf to the root."""

    body: bytes
    proof: tuple[bytes, ...]

    def root(self) -> bytes:
        """The root that this receipt claims to be under."""
        node = leaf_of(self.body)
        for other in self.proof:
            node = _pair(node, other)
        return node


def leaf_of(body: bytes) -> bytes:
    """Leaf hash of a receipt's body; the prefix keeps leaves and inner nodes apart."""
    return hashlib.sha256(b"\x00" + body).digest()


def receipts_of(book: Book, solution: Solution) -> tuple[bytes, list[Receipt]]:
    """The root and the receipt of every order, in the order of the book."""
    bodies = _bodies(book, solution)
    levels = [[leaf_of(body) for body in bodies]]
    while len(levels[-1]) > 1:
        row = levels[-1]
        levels.append([_pair(*row[n : n + 2]) if n + 1 < len(row) else row[n] for n in range(0, len(row), 2)])
    made = []
    for n, body in enumerate(bodies):
        proof, at = [], n
        for row in levels[:-1]:
            if at ^ 1 < len(row):
                proof.append(row[at ^ 1])
            at //= 2
        made.append(Receipt(body, tuple(proof)))
    return (levels[-1][0] if bodies else hashlib.sha256(b"").digest()), made


def verify_receipt(receipt: Receipt, root: bytes) -> list[str]:
    """What is wrong with a receipt under the published root; an empty list means that all of it is true."""
    if receipt.root() != root:
        return ["the receipt is not under this root"]
    doc = json.loads(receipt.body)
    order = Order(**doc["order"])
    zone_ids = sorted(int(z) for z in doc["price"])
    price = np.array(
        [doc["price"][str(z)] for z in zone_ids], dtype=np.int64
    )  # [zone][mode][slot of the window]
    carbon = np.array([doc["carbon"][str(z)] for z in zone_ids], dtype=np.int64)
    cells = [
        (zone_ids.index(run["zone_id"]), run["mode"], t - order.start_slot, run["lanes"])
        for run in doc["runs"]
        for t in range(run["start_slot"], run["end_slot"])
        if order.start_slot <= t < order.deadline_slot
    ]
    faults = []
    if len(cells) != sum(run["end_slot"] - run["start_slot"] for run in doc["runs"]):
        faults.append("a run leaves the window")
    if any(m == 0 and carbon[z, 0, t] > order.max_carbon_g_per_kwh for z, m, t, _ in cells):
        faults.append("a grey slot is above the carbon cap")
    faults += _lane_faults(order, cells)
    paid = sum(lanes * int(price[z, m, t]) for z, m, t, lanes in cells)
    volume = sum(lanes for *_, lanes in cells)
    if paid > order.limit_micro_per_vcu_slot * volume:
        faults.append(f"the cost {paid} micro is above the limit")
    if paid != doc["cost_micro"]:
        faults.append(f"the cost is {paid} micro, not {doc['cost_micro']}")
    weight = order.carbon_price_micro_per_g * doc["class_energy_wh"]
    felt = sum(
        lanes * (1000 * int(price[z, m, t]) + weight * int(carbon[z, m, t])) for z, m, t, lanes in cells
    )
    got = 1000 * order.limit_micro_per_vcu_slot * volume - felt
    missed = _best(order, price, carbon, doc) - got
    if missed != doc["shortfall_milli"]:
        faults.append(f"the shortfall is {missed} milli-micro, not {doc['shortfall_milli']}")
    return faults


def _lane_faults(order: Order, cells: list[tuple[int, int, int, int]]) -> list[str]:
    if not cells:
        return []
    rows = np.array(sorted((z, t, m, lanes) for z, m, t, lanes in cells), dtype=np.int64)
    one = np.ones(1, dtype=np.int64)
    fault = lane_faults_of_rows(
        np.zeros(len(rows), dtype=np.int64), rows[:, 0], rows[:, 2], rows[:, 1], rows[:, 3],
        one * order.lanes, one * green_lanes(order), one * order.min_lanes, one * order.duration_slots,
        one * order.kind,
        order.deadline_slot - order.start_slot,
    )  # fmt: skip
    return [what for what in fault if what]


def _best(order: Order, price: Ints, carbon: Ints, doc: dict[str, Any]) -> int:
    """Best profit (milli-micro) of this order at these prices, with Python's integers."""
    least = []
    for strand in (0, 1):
        one = shape_price.py_func(
            price.astype(object), carbon, int(doc["class_energy_wh"]), np.uint64((1 << len(price)) - 1), 0,
            order.deadline_slot - order.start_slot, order.duration_slots, order.max_carbon_g_per_kwh,
            order.carbon_price_micro_per_g, order.kind >= KIND_CONTIGUOUS, strand == 0,
        )  # fmt: skip
        least.append(int(one))
    green = green_lanes(order)
    value = 1000 * order.limit_micro_per_vcu_slot * order.lanes * order.duration_slots
    best = max(0, value - green * least[0] - (order.lanes - green) * least[1])
    return -(-best * int(doc["able_lanes"]) // order.lanes)


def green_lanes(order: Order) -> int:
    """Lanes of an order that are green-only."""
    return -(-order.min_green_bps * order.lanes // 10_000)


def _bodies(book: Book, solution: Solution) -> list[bytes]:
    tab = tables_of(book)
    missed = shortfalls_of(book, solution, tab)
    mine: dict[int, list[Run]] = {}
    sellers = book.sellers()
    for run in runs_of_fills(solution.fills):
        mine.setdefault(run.order, []).append(run)
    zones = book.zone_index()
    bodies = []
    for j, order in enumerate(book.orders):
        k = int(tab.class_row[j])
        window = slice(order.start_slot, order.deadline_slot)
        rows, cost = [], 0
        for run in mine.get(j, []):
            zone = sellers[run.offer].zone_id
            price = solution.compute_price[k, zones[zone], run.mode, run.start_slot : run.end_slot]
            cost += run.lanes * int(price.sum())
            rows.append(
                {n: getattr(run, n) for n in ("mode", "start_slot", "end_slot", "lanes")} | {"zone_id": zone}
            )
        seen = [zone.id for zone in book.zones if order.zone_mask >> zone.id & 1]
        bodies.append(
            _canonical(
                {
                    "order": asdict(order),
                    "able_lanes": int(tab.able_lanes[j]),
                    "class_energy_wh": int(tab.class_energy_wh[k]),
                    "runs": rows,
                    "price": {str(z): solution.compute_price[k, zones[z], :, window].tolist() for z in seen},
                    "carbon": {str(z): tab.carbon[zones[z], :, window].tolist() for z in seen},
                    "cost_micro": cost,
                    "shortfall_milli": int(missed.order_best[j]) - int(missed.order_got[j]),
                }
            )
        )
    return bodies


def _canonical(doc: dict[str, Any]) -> bytes:
    return json.dumps(doc, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _pair(a: bytes, b: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + min(a, b) + max(a, b)).digest()
