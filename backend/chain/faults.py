"""Finds what is wrong with an optimistic claim and encodes the one transaction that proves it.

Whoever has the archived leaves can challenge: every leaf is judged by the chain's facts, and each finding
is a call of the contract Challenges with the leaf, its path and its data. Six kinds of wrong: 1 a row
breaks its terms (proveRun, proveOrder, proveAuthority); 2 a bundle beats the declared best
(proveBetterBundle); 3 a wrong running sum (proveRowSum, proveStepSum); 4 a load above capacity or not
what was sold (proveLoad); 5 a leaf out of place, missing or of no run (proveRowOrder, proveStepOrder,
proveOmittedOrder, proveOmittedStep, proveStrayStep); 6 a mark that is not what the price rows say
(provePriceRow).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from eth_abi.abi import encode

from backend.chain.claims import (
    ENERGY,
    LANES,
    LONGEST_RUN,
    MARK_BYTES,
    MOST_RUNS,
    NO_KEY,
    Commitment,
    Entry,
    Facts,
    Row,
    Step,
    mark_of,
    read_marks,
    read_runs,
    row_key,
    step_of,
)
from backend.chain.eip712 import order_digest, recover
from backend.chain.errors import FieldError
from backend.chain.keccak import keccak
from backend.chain.orders import FIELDS, BundleOrder
from backend.chain.packing import RUN_DTYPE

CLAIM = (
    "(uint64,uint32,uint16,uint16,uint16,uint16,bytes32,bytes32,uint32,uint32,uint8,int256,uint256,bytes32)"
)
_ROW = (
    "(bytes32,bytes32,bytes32,bytes32,address,uint64,uint256,uint32,uint32,uint128,int128,uint128,int256,"
    "uint256)"
)
ROW_AT, STEP_AT = f"(uint32,{_ROW},bytes32[])", "(uint32,(uint256,uint256,int256,int256),bytes32[])"
ORDER = "(" + ",".join(solidity for solidity, _, _ in FIELDS[BundleOrder]) + ")"
SHOWN = "(uint8,bytes)"
ARGUMENTS = {  # after batch id and claim
    "proveRun": (ROW_AT, ORDER, "bytes", "uint256"),
    "proveOrder": (ROW_AT, ORDER, "bytes", "bytes", "uint256", "uint256"),
    "proveAuthority": (ROW_AT, ORDER, "bytes"),
    "proveBetterBundle": (ROW_AT, ORDER, SHOWN, SHOWN),
    "proveRowSum": (ROW_AT, ROW_AT),
    "proveStepSum": (STEP_AT, STEP_AT),
    "proveLoad": ("uint256", "uint256", "uint256", STEP_AT),
    "proveRowOrder": (ROW_AT,),
    "proveStepOrder": (STEP_AT,),
    "proveOmittedOrder": ("address", "uint64", ROW_AT),
    "proveOmittedStep": (ROW_AT, "bytes", "uint256", "uint256", STEP_AT),
    "proveStrayStep": (STEP_AT, ROW_AT, "bytes"),
    "provePriceRow": (ROW_AT, ORDER, "bytes", "bytes", "uint256"),
}
_NO_ROW = Row(b"\0" * 32, b"\0" * 32, b"\0" * 32, b"\0" * 32, "0x" + "00" * 20, *[0] * 9)
Run = tuple[int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Proof:
    """One proof: the function of Challenges, its arguments after batch and claim, and what is wrong in
    words."""

    function: str
    arguments: tuple[Any, ...]
    says: str

    def calldata(self, batch_id: int, commitment: Commitment) -> bytes:
        """The transaction's data."""
        types = ("uint64", CLAIM, *ARGUMENTS[self.function])
        selector = keccak(f"{self.function}({','.join(types)})".encode())[:4]
        return selector + encode(types, (batch_id, astuple(commitment.claim), *self.arguments))


def find_faults(
    facts: Facts,
    shown: Commitment,
    insisted: Mapping[tuple[str, int], bytes] | None = None,
    posted_at: int = 0,
) -> Iterator[Proof]:
    """Every provable fault of a claim whose leaves are known, cheapest rules first.

    `insisted` are the hashes of orders, by maker and nonce, that the claim had to contain; `posted_at` is the
    second at which it was posted (0: expiry is not looked at).
    """
    yield from _row_faults(shown)
    yield from _step_faults(facts, shown)
    for index, (row, entry) in enumerate(zip(shown.rows, shown.entries, strict=True)):
        yield from _order_faults(facts, shown, index, row, entry, posted_at)
    yield from _missing_steps(facts, shown)
    yield from _stray_steps(facts, shown)
    for (maker, nonce), digest in sorted((insisted or {}).items()):
        yield from _omitted(shown, maker, nonce, digest)


def _row_faults(shown: Commitment) -> Iterator[Proof]:
    before = _NO_ROW
    for n, row in enumerate(shown.rows):
        last = n + 1 == len(shown.rows)
        if row.key >= row.next_key or (last and row.next_key != NO_KEY):
            yield Proof("proveRowOrder", (_row(shown, n),), f"row {n} is out of order")
        sums = (before.cum_welfare + row.welfare_milli, before.cum_best + row.best_milli)
        total = (shown.claim.welfare_milli, shown.claim.best_milli)
        linked = n == 0 or before.next_key == row.key
        if (
            not linked
            or (row.cum_welfare, row.cum_best) != sums
            or (last and (row.cum_welfare, row.cum_best) != total)
        ):
            yield Proof(
                "proveRowSum", (_row(shown, max(n - 1, 0)), _row(shown, n)), f"row {n} adds up wrongly"
            )
        before = row


def _step_faults(facts: Facts, shown: Commitment) -> Iterator[Proof]:
    before: Step | None = None
    for n, step in enumerate(shown.steps):
        pair = (_step(shown, max(n - 1, 0)), _step(shown, n))
        last = n + 1 == len(shown.steps)
        if step.key >= step.next_key or (last and step.next_key != NO_KEY):
            yield Proof("proveStepOrder", (_step(shown, n),), f"step {n} is out of order")
        same = before is not None and before.key >> 72 == step.key >> 72
        linked = before is None or before.next_key == step.key
        if not linked or step.load != step.delta + (before.load if before is not None and same else 0):
            yield Proof("proveStepSum", pair, f"step {n} adds up wrongly")
        before = step
    keys = [step.key for step in shown.steps]
    if keys != sorted(keys):
        return
    load = loads(shown)
    for at, offer in enumerate(facts.offers):
        over = [t for t in range(facts.slots) if load.get((LANES, at, t), 0) > offer.capacity]
        for t in over[:1]:
            yield _load_proof(shown, keys, LANES, at, t, f"offer {at} is sold above its capacity in slot {t}")
    for z in range(facts.sold_wh.shape[0]):
        for m in (0, 1):
            wrong = [
                t
                for t in range(facts.slots)
                if load.get((ENERGY, 2 * z + m, t), 0) != int(facts.sold_wh[z, m, t])
            ]
            for t in wrong[:1]:
                yield _load_proof(
                    shown, keys, ENERGY, 2 * z + m, t, f"pool {z}/{m} does not balance in slot {t}"
                )


def loads(shown: Commitment) -> dict[tuple[int, int, int], int]:
    """Load of each (kind, cell, slot) that the steps state."""
    found: dict[tuple[int, int, int], int] = {}
    for step, after in zip(shown.steps, [*shown.steps[1:], None], strict=True):
        kind, cell = step.cell
        end = after.slot if after is not None and after.cell == step.cell else step.slot + 1
        for t in range(step.slot, max(end, step.slot + 1)):
            found[kind, cell, t] = step.load
    return found


def _load_proof(shown: Commitment, keys: list[int], kind: int, cell: int, slot: int, says: str) -> Proof:
    key = kind << 88 | cell << 72 | slot << 56 | ((1 << 56) - 1)
    return Proof("proveLoad", (kind, cell, slot, _last(shown, keys, key)), says)


def _order_faults(
    facts: Facts, shown: Commitment, index: int, row: Row, entry: Entry, posted_at: int
) -> Iterator[Proof]:
    order, at = entry.order, _row(shown, index)
    digest = order_digest(order, facts.domain)
    hashes = (row.order_hash, row.sig_hash, row.runs_hash, row.marks_hash)
    if hashes != (digest, keccak(entry.signature), keccak(entry.runs), keccak(entry.marks)):
        return  # what is archived is not what was committed: the leaf must be demanded on chain
    terms = _terms(order)
    if (row.maker.lower(), row.nonce, row.order_lanes) != (order.maker.lower(), order.nonce, order.lanes) or (
        not _signed(order, digest, entry.signature) or posted_at > order.expiry
    ):
        yield Proof("proveAuthority", (at, terms, entry.signature), f"row {index} was not signed so")
    if len(entry.runs) % RUN_DTYPE.itemsize:
        yield Proof("proveOrder", (at, terms, entry.runs, entry.marks, 0, 0), f"row {index} has half a run")
        return
    runs = read_runs(entry.runs)
    position = index % (1 << shown.claim.chunk_bits)
    for n, run in enumerate(runs):
        if _run_is_wrong(facts, order, run, position):
            yield Proof("proveRun", (at, terms, entry.runs, n), f"run {n} of row {index} breaks its terms")
    wrong = _order_is_wrong(row, order, runs, entry.marks)
    if wrong is not None:
        call = (at, terms, entry.runs, entry.marks, *wrong)
        yield Proof("proveOrder", call, f"the runs of row {index} break its terms")
    for n, (run, mark) in enumerate(zip(runs, read_marks(entry.marks), strict=False)):
        inside = run[1] < len(facts.offers) and run[3] < run[4] <= facts.slots and run[2] <= 1
        if inside and mark != mark_of(facts, order, run):
            call_ = (at, terms, entry.runs, entry.marks, n)
            yield Proof("provePriceRow", call_, f"mark {n} of row {index} is not what the prices say")
    best = best_bundle(facts, order)
    if best is not None and best[0] > row.best_milli:
        yield Proof(
            "proveBetterBundle", (at, terms, best[1], best[2]), f"row {index} could have had {best[0]}"
        )


def _run_is_wrong(facts: Facts, order: BundleOrder, run: Run, position: int) -> bool:
    at, offer_at, mode, start, end, lanes = run
    if at != position or mode > 1 or start >= end or lanes == 0 or end > facts.slots:
        return True
    if end - start > LONGEST_RUN or offer_at >= len(facts.offers):
        return True
    offer = facts.offers[offer_at]
    begin, close = (facts.start + t * facts.slot_seconds for t in (start, end))
    if begin < order.start or close > order.deadline or start < offer.start_slot or end > offer.end_slot:
        return True
    if offer.class_id != order.class_id or not order.zone_mask >> offer.zone & 1:
        return True
    price = facts.table.compute_price[order.class_id, offer.zone, mode, start:end]
    energy = facts.table.energy_price[offer.zone, mode, start:end]
    if (1000 * price - offer.energy_wh * energy < 1000 * offer.ask_micro).any():
        return True
    grey = mode == 0 and order.max_carbon != 0xFFFFFFFF
    return bool(grey and (facts.table.grid_carbon[offer.zone, start:end] > order.max_carbon).any())


def _order_is_wrong(row: Row, order: BundleOrder, runs: list[Run], packed: bytes) -> tuple[int, int] | None:
    """(zone, slot) to show where the order as a whole breaks its terms; None where it does not."""
    if len(packed) != MARK_BYTES * len(runs) or len(runs) > MOST_RUNS:
        return 0, 0
    if not runs:
        return (0, 0) if row.lanes or row.cost_micro or row.welfare_milli else None
    if order.kind > 2 or order.duration_slots == 0:
        return 0, 0
    marks = read_marks(packed)
    zones = [zone for zone, _, _ in marks]
    if zones != sorted(zones):
        return 0, 0
    volume = green = lanes = 0
    for zone in sorted(set(zones)):
        mine = [run for run, z in zip(runs, zones, strict=True) if z == zone]
        total = sum(run[5] * max(run[4] - run[3], 0) for run in mine)
        green += sum(run[5] * max(run[4] - run[3], 0) for run in mine if run[2] == 1)
        if total % order.duration_slots:
            return 0, 0
        for t in sorted({run[3] for run in mine}):
            if sum(run[5] for run in mine if run[3] <= t < run[4]) > total // order.duration_slots:
                return zone, t
        volume, lanes = volume + total, lanes + total // order.duration_slots
    cost, welfare = sum(mark[1] for mark in marks), sum(mark[2] for mark in marks)
    least = order.lanes if order.kind == 2 else order.min_lanes
    fair = least <= lanes <= order.lanes and lanes == row.lanes
    fair = (
        fair
        and green * 10_000 >= order.min_green_bps * volume
        and cost <= min(order.limit_price * volume, (1 << 64) - 1)
    )
    return None if fair and cost == row.cost_micro and welfare == row.welfare_milli else (0, 0)


def best_bundle(facts: Facts, order: BundleOrder) -> tuple[int, Any, Any] | None:
    """(profit in milli-micro, shown slots of the green-only lanes, of the others) at the posted prices.

    None where the order cannot be placed inside the batch.
    """
    first = max(-(-(order.start - facts.start) // facts.slot_seconds), 0)
    last = min((order.deadline - facts.start) // facts.slot_seconds, facts.slots)
    if last - first < order.duration_slots or order.duration_slots == 0:
        return None
    few = -(-order.min_green_bps * order.lanes // 10_000)
    green = _cheapest(facts, order, first, last, True) if few else (0, 0, 0)
    free = _cheapest(facts, order, first, last, False) if few < order.lanes else (0, 0, 0)
    if green is None or free is None:
        return None
    value = 1000 * order.limit_price * order.duration_slots * order.lanes
    profit = value - few * green[0] - (order.lanes - few) * free[0]
    return profit, _shown(green), _shown(free)


def _cheapest(
    facts: Facts, order: BundleOrder, first: int, last: int, green_only: bool
) -> tuple[int, int, int] | None:
    """(cost, zone, slots as bits) of the cheapest lane."""
    found: tuple[int, int, int] | None = None
    felt = order.carbon_price * facts.class_wh[order.class_id]
    for zone in range(facts.table.energy_price.shape[0]):
        if not order.zone_mask >> zone & 1:
            continue
        price = facts.table.compute_price[order.class_id, zone, :, first:last].astype(object)
        cost = 1000 * price[1] + felt * facts.table.green_factor[zone, first:last].astype(object)
        if not green_only:
            grams = facts.table.grid_carbon[zone, first:last].astype(object)
            grey = 1000 * price[0] + felt * grams
            cost = np.where(np.asarray(grams <= order.max_carbon, dtype=bool) & (grey < cost), grey, cost)
        size, room = order.duration_slots, last - first
        if order.kind >= 3:
            begin = min(range(room - size + 1), key=lambda n: (int(cost[n : n + size].sum()), n))
            chosen = list(range(begin, begin + size))
        else:
            chosen = sorted(range(room), key=lambda n: (int(cost[n]), n))[:size]
        total = sum(int(cost[n]) for n in chosen)
        if found is None or total < found[0]:
            found = total, zone, sum(1 << (first + n) for n in chosen)
    return found


def _shown(lane: tuple[int, int, int]) -> tuple[int, bytes]:
    """Zone and slots, two bytes each, ascending."""
    slots = (t for t in range(lane[2].bit_length()) if lane[2] >> t & 1)
    return lane[1], b"".join(t.to_bytes(2, "big") for t in slots)


def _missing_steps(facts: Facts, shown: Commitment) -> Iterator[Proof]:
    keys = [step.key for step in shown.steps]
    if keys != sorted(keys):
        return
    known = set(keys)
    for index, entry in enumerate(shown.entries):
        for n, run in enumerate(_readable(facts, shown, index)):
            for part in range(4):
                key, _ = step_of(facts, index, n, run, part)
                if key not in known:
                    call = (_row(shown, index), entry.runs, n, part, _last(shown, keys, key))
                    yield Proof("proveOmittedStep", call, f"run {n} of row {index} lacks step {part}")


def _stray_steps(facts: Facts, shown: Commitment) -> Iterator[Proof]:
    for at, step in enumerate(shown.steps):
        kind, side, index, n = (
            step.key >> 88,
            step.key >> 48 & 0xFF,
            step.key >> 16 & 0xFFFFFFFF,
            step.key & 0xFFFF,
        )
        wrong = index >= len(shown.rows) or kind > ENERGY or side > 1
        row, runs = 0 if index >= len(shown.rows) else index, b""
        if not wrong:
            mine = _readable(facts, shown, index)
            runs = shown.entries[index].runs
            wrong = n >= len(mine) or step_of(facts, index, n, mine[n], 2 * kind + 1 - side) != (
                step.key,
                step.delta,
            )
        if wrong:
            yield Proof(
                "proveStrayStep", (_step(shown, at), _row(shown, row), runs), f"step {at} is of no run"
            )


def _readable(facts: Facts, shown: Commitment, index: int) -> list[Run]:
    """The runs of a row whose data is the committed one and names offers that exist."""
    entry = shown.entries[index]
    if keccak(entry.runs) != shown.rows[index].runs_hash or len(entry.runs) % RUN_DTYPE.itemsize:
        return []
    runs = read_runs(entry.runs)
    return runs if all(run[1] < len(facts.offers) for run in runs) else []


def _omitted(shown: Commitment, maker: str, nonce: int, digest: bytes) -> Iterator[Proof]:
    keys, key = [row.key for row in shown.rows], row_key(maker, nonce)
    if keys != sorted(keys):
        return
    position = max(bisect_right(keys, key) - 1, 0)
    if keys and keys[position] == key and shown.rows[position].order_hash == digest:
        return
    call = (maker, nonce, _row(shown, position))
    yield Proof("proveOmittedOrder", call, f"order {nonce} of {maker} is left out")


def _last(shown: Commitment, keys: list[int], key: int) -> tuple[Any, ...]:
    """The last step at or below a key, or the first of all; its next key shows that nothing lies between."""
    if not keys:
        return 0, (0, 0, 0, 0), []
    return _step(shown, max(bisect_right(keys, key) - 1, 0))


def _row(shown: Commitment, index: int) -> tuple[Any, ...]:
    return index, astuple(shown.rows[index]), shown.row_path(index)


def _step(shown: Commitment, index: int) -> tuple[Any, ...]:
    return index, astuple(shown.steps[index]), shown.step_path(index)


def _terms(order: BundleOrder) -> tuple[Any, ...]:
    return tuple(getattr(order, attribute) for _, _, attribute in FIELDS[BundleOrder])


def _signed(order: BundleOrder, digest: bytes, signature: bytes) -> bool:
    """Whether the maker's key made the signature; none, or a contract's, only the chain can judge."""
    if len(signature) != 65:
        return True
    try:
        return recover(digest, signature).lower() == order.maker.lower()
    except FieldError:
        return False
