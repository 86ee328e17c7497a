"""Optimistic claims: an honest one has no fault, and each kind of lie is found, named and encoded."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
from coincurve import PrivateKey
from eth_abi.abi import decode

from backend.chain.claims import (
    OPTIMISTIC_DOMAIN_NAME,
    Commitment,
    Facts,
    commit,
    facts_of,
    read_runs,
    sealed,
)
from backend.chain.deploy import artifact
from backend.chain.eip712 import Domain, address_of, sign_order
from backend.chain.faults import ARGUMENTS, CLAIM, Proof, find_faults
from backend.chain.keccak import keccak
from backend.chain.orders import BundleOrder
from backend.chain.packing import PriceTable
from backend.market.certificate import best_of_orders
from backend.market.clearing import clear
from backend.market.instances import plausible
from backend.market.tables import green_factor, tables_of
from tests.faults.claims import LIES, Lie

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


@pytest.mark.parametrize(
    ("lie", "function"),
    LIES,
)
def test_each_lie_is_found_and_encodes(world: tuple[Facts, Commitment], lie: Lie, function: str) -> None:
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
