"""Optimistic claims: an honest one has no fault, and each kind of lie is found, named and encoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, replace

import numpy as np
import pytest
from coincurve import PrivateKey
from eth_abi.abi import decode

from backend.chain.claims import (
    OPTIMISTIC_DOMAIN_NAME,
    Commitment,
    Entry,
    Facts,
    Step,
    commit,
    facts_of,
    pack_mark,
    read_marks,
    read_runs,
    sealed,
    steps_of,
)
from backend.chain.deploy import artifact
from backend.chain.eip712 import Domain, address_of, order_digest, sign_order
from backend.chain.faults import ARGUMENTS, CLAIM, Proof, find_faults
from backend.chain.keccak import keccak
from backend.chain.orders import BundleOrder
from backend.chain.packing import PriceTable, pack_runs
from backend.market.certificate import best_of_orders
from backend.market.clearing import clear
from backend.market.instances import plausible
from backend.market.tables import green_factor, tables_of

DOMAIN = Domain(31337, "0x" + "11" * 20, OPTIMISTIC_DOMAIN_NAME)
KEYS = [PrivateKey(bytes([n]) * 32) for n in range(1, 6)]


@pytest.fixture(scope="module")
def world() -> tuple[Facts, Commitment]:
    book = plausible(50, slots=16, zones=2, classes=2, sites=6, plants=4)
    solution = clear(book)
    table = PriceTable(
        solution.compute_price, solution.energy_price, np.asarray(book.grid_carbon), green_factor(book)
    )
    facts = facts_of(book, solution, table, DOMAIN)
    signed = {}
    for n, order in enumerate(book.orders):
        key = KEYS[n % len(KEYS)]
        terms = BundleOrder(
            maker=address_of(key.public_key),
            class_id=order.class_id,
            zone_mask=order.zone_mask,
            lanes=order.lanes,
            min_lanes=order.min_lanes,
            duration_slots=order.duration_slots,
            start=book.slots.start + order.start_slot * 900,
            deadline=book.slots.start + order.deadline_slot * 900,
            limit_price=order.limit_micro_per_vcu_slot,
            min_green_bps=order.min_green_bps,
            max_carbon=order.max_carbon_g_per_kwh,
            carbon_price=order.carbon_price_micro_per_g,
            kind=order.kind,
            epoch=0,
            nonce=n,
            expiry=2**40,
        )
        signed[order.id] = (terms, sign_order(terms, DOMAIN, key))
    made = commit(book, solution, facts, signed)
    best = best_of_orders(book, tables_of(book), solution.compute_price)
    assert sum(row.best_milli for row in made.rows) >= int(best.sum())
    return facts, made


def _functions(facts: Facts, shown: Commitment, **more: object) -> set[str]:
    return {proof.function for proof in find_faults(facts, shown, **more)}  # type: ignore[arg-type]


def _filled(made: Commitment) -> int:
    return next(n for n, row in enumerate(made.rows) if row.lanes >= 2 and len(made.entries[n].runs) > 13)


def _resealed(
    facts: Facts, made: Commitment, index: int, entry: Entry, steps: bool = True, **row: object
) -> Commitment:
    """The claim as a liar would post it: entry and row changed, hashes, sums and steps made to fit."""
    entries = [*made.entries[:index], entry, *made.entries[index + 1 :]]
    rows, welfare, best = [], 0, 0
    for n, (one, data) in enumerate(zip(made.rows, entries, strict=True)):
        marks = read_marks(data.marks)
        changed = replace(
            one,
            runs_hash=keccak(data.runs),
            marks_hash=keccak(data.marks),
            order_hash=order_digest(data.order, facts.domain),
            sig_hash=keccak(data.signature),
            cost_micro=sum(m[1] for m in marks),
            welfare_milli=sum(m[2] for m in marks),
        )
        changed = replace(changed, **row) if n == index else changed  # type: ignore[arg-type]
        welfare, best = welfare + changed.welfare_milli, best + changed.best_milli
        rows.append(replace(changed, cum_welfare=welfare, cum_best=best))
    return sealed(made.claim, rows, steps_of(facts, entries) if steps else made.steps, entries)


def test_an_honest_claim_has_no_fault(world: tuple[Facts, Commitment]) -> None:
    facts, made = world
    assert len(made.rows) == 50
    assert len(made.steps) == 4 * sum(len(read_runs(e.runs)) for e in made.entries)
    assert list(find_faults(facts, made)) == []
    for n in (0, 17, 49):
        node = made.rows[n].leaf()
        for level, other in enumerate(made.row_path(n)):
            node = keccak(node + other) if n >> level & 1 == 0 else keccak(other + node)
        assert node == made.claim.rows_root
    insisted = {(row.maker, row.nonce): row.order_hash for row in made.rows}
    assert list(find_faults(facts, made, insisted)) == []


def _longer_run(facts: Facts, made: Commitment) -> Commitment:
    n = _filled(made)
    entry = made.entries[n]
    runs = read_runs(entry.runs)
    runs[0] = (*runs[0][:3], runs[0][3], runs[0][4] + 20, runs[0][5])
    return _resealed(facts, made, n, replace(entry, runs=pack_runs(runs)))


def _fewer_lanes(facts: Facts, made: Commitment) -> Commitment:
    return _resealed(facts, made, _filled(made), made.entries[_filled(made)], lanes=1)


def _other_signer(facts: Facts, made: Commitment) -> Commitment:
    entry = made.entries[3]
    forged = sign_order(entry.order, facts.domain, PrivateKey(b"\x77" * 32))
    return _resealed(facts, made, 3, replace(entry, signature=forged))


def _modest_best(facts: Facts, made: Commitment) -> Commitment:
    n = next(n for n, row in enumerate(made.rows) if row.best_milli > 0)
    return _resealed(facts, made, n, made.entries[n], best_milli=made.rows[n].best_milli - 1)


def _bold_sum(facts: Facts, made: Commitment) -> Commitment:
    rows = [replace(row, cum_welfare=row.cum_welfare + 7 * (n >= 20)) for n, row in enumerate(made.rows)]
    return sealed(made.claim, rows, made.steps, made.entries)


def _light_step(facts: Facts, made: Commitment) -> Commitment:
    steps = list(made.steps)
    steps[1] = replace(steps[1], load=steps[1].load - 1)
    return sealed(made.claim, made.rows, steps, made.entries)


def _crowded_offer(facts: Facts, made: Commitment) -> Commitment:
    n = _filled(made)
    entry = made.entries[n]
    runs = read_runs(entry.runs)
    runs[0] = (*runs[0][:5], 4_000_000)
    return _resealed(facts, made, n, replace(entry, runs=pack_runs(runs)))


def _swapped_rows(facts: Facts, made: Commitment) -> Commitment:
    rows, entries = list(made.rows), list(made.entries)
    rows[4], rows[5] = rows[5], rows[4]
    entries[4], entries[5] = entries[5], entries[4]
    return sealed(made.claim, rows, made.steps, entries)


def _swapped_steps(facts: Facts, made: Commitment) -> Commitment:
    steps = list(made.steps)
    steps[4], steps[5] = steps[5], steps[4]
    return sealed(made.claim, made.rows, steps, made.entries)


def _dropped_step(facts: Facts, made: Commitment) -> Commitment:
    return sealed(made.claim, made.rows, _loads_again(made.steps[:8] + made.steps[9:]), made.entries)


def _stray_step(facts: Facts, made: Commitment) -> Commitment:
    extra = replace(made.steps[8], key=made.steps[8].key | 9, delta=-3)
    steps = sorted([*made.steps, extra], key=lambda s: s.key)
    return sealed(made.claim, made.rows, _loads_again(steps), made.entries)


def _loads_again(steps: tuple[Step, ...] | list[Step]) -> list[Step]:
    made: list[Step] = []
    for step in steps:
        same = bool(made) and made[-1].key >> 72 == step.key >> 72
        made.append(replace(step, load=step.delta + (made[-1].load if same else 0)))
    return made


def _wrong_mark(facts: Facts, made: Commitment) -> Commitment:
    n = _filled(made)
    entry = made.entries[n]
    (zone, cost, welfare), *rest = read_marks(entry.marks)
    marks = b"".join(pack_mark(*m) for m in [(zone, cost - 1, welfare + 1000), *rest])
    return _resealed(facts, made, n, replace(entry, marks=marks))


@pytest.mark.parametrize(
    ("lie", "function"),
    [
        (_longer_run, "proveRun"),
        (_fewer_lanes, "proveOrder"),
        (_other_signer, "proveAuthority"),
        (_modest_best, "proveBetterBundle"),
        (_bold_sum, "proveRowSum"),
        (_light_step, "proveStepSum"),
        (_crowded_offer, "proveLoad"),
        (_swapped_rows, "proveRowOrder"),
        (_swapped_steps, "proveStepOrder"),
        (_dropped_step, "proveOmittedStep"),
        (_stray_step, "proveStrayStep"),
        (_wrong_mark, "provePriceRow"),
    ],
)
def test_each_lie_is_found_and_encodes(
    world: tuple[Facts, Commitment], lie: Callable[[Facts, Commitment], Commitment], function: str
) -> None:
    facts, made = world
    shown = lie(facts, made)
    assert shown.claim != made.claim
    proof = next(p for p in find_faults(facts, shown) if p.function == function)
    data = proof.calldata(9, shown)
    types = ("uint64", CLAIM, *ARGUMENTS[function])
    assert data[:4] == keccak(f"{function}({','.join(types)})".encode())[:4]
    batch, claim, *_ = decode(types, data[4:])
    assert batch == 9
    assert claim == astuple(shown.claim)


def test_an_order_that_was_insisted_on_and_left_out(world: tuple[Facts, Commitment]) -> None:
    facts, made = world
    for gone in (0, 20, 49):
        row = made.rows[gone]
        keep = [n for n in range(50) if n != gone]
        shown = sealed(made.claim, [made.rows[n] for n in keep], made.steps, [made.entries[n] for n in keep])
        found: list[Proof] = [
            p
            for p in find_faults(facts, shown, {(row.maker, row.nonce): row.order_hash})
            if p.function == "proveOmittedOrder"
        ]
        assert len(found) == 1
        assert found[0].arguments[2][0] == max(gone - 1, 0)
        assert found[0].calldata(1, shown)


def test_an_unbalanced_pool_is_found(world: tuple[Facts, Commitment]) -> None:
    facts, made = world
    sold = facts.sold_wh.copy()
    sold[0, 1, 3] += 5
    assert _functions(replace(facts, sold_wh=sold), made) == {"proveLoad"}
    assert _functions(facts, made, posted_at=2**41) == {"proveAuthority"}


@pytest.mark.parametrize("function", sorted(ARGUMENTS))
def test_proofs_are_calls_of_the_contract(function: str) -> None:
    types = ("uint64", CLAIM, *ARGUMENTS[function])
    signature = f"{function}({','.join(types)})"
    assert artifact("Challenges").abi.function(function).signature == signature
