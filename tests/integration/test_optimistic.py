"""Optimistic batches on a real chain: a built claim is posted, lies are convicted, an honest one opens."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from coincurve import PrivateKey

from backend.chain.anvil import give_gas_money, start_anvil
from backend.chain.claims import OPTIMISTIC_DOMAIN_NAME, Commitment, Facts, commit, facts_of, sealed
from backend.chain.clients import BatchHeader, Oracle, Registry, Token, Treasury
from backend.chain.deploy import DeploySettings, deploy
from backend.chain.eip712 import Domain, address_of, sign_order
from backend.chain.errors import Reverted
from backend.chain.faults import find_faults
from backend.chain.keccak import keccak
from backend.chain.optimistic import Challenges, OptimisticMarket
from backend.chain.orders import BundleOrder, ComputeOffer, PowerOffer, abi_tuple
from backend.chain.packing import (
    PriceTable,
    pack_carbon,
    pack_profile,
    pack_sold,
    publication_hash,
)
from backend.chain.plan import Call, Receipt, Sender
from backend.chain.rpc import Rpc
from backend.market.clearing import clear
from backend.market.instances import plausible
from backend.market.tables import green_factor
from oracle.wire.keys import join_signatures, sign_digest
from oracle.wire.typed import Publication, digest, domain_separator
from tests.faults.claims import LIES, Lie

CHAIN = 31337
FUNDS = 10**15
DAY = 86_400
KEYS = {name: bytes([number]) * 32 for number, name in enumerate(
    ("owner", "challenger", "buyer-0", "buyer-1", "buyer-2", "site", "plant", "m0", "m1", "m2", "m3"), 21
)}  # fmt: skip
BUYERS = ("buyer-0", "buyer-1", "buyer-2")
GAS_OF_A_PROOF = 125_000


def address(name: str) -> str:
    return address_of(PrivateKey(KEYS[name]).public_key)


class World:
    """A deployed market with the participants of a small book, and its honest commitment."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc
        give_gas_money(rpc, [address(name) for name in KEYS])
        self.members = sorted(("m0", "m1", "m2", "m3"), key=lambda name: int(address(name), 16))
        self.senders = {name: Sender(rpc, key, CHAIN, 0) for name, key in KEYS.items()}
        settings = DeploySettings(tuple(address(name) for name in self.members), 3, bond_micro=0)
        self.book, _ = deploy(self.senders["owner"], CHAIN, settings)
        for sender in self.senders.values():
            sender.errors = self.book.errors
        self.oracle, self.treasury = Oracle(self.book, rpc), Treasury(self.book, rpc)
        self.market, self.challenges = OptimisticMarket(self.book, rpc), Challenges(self.book, rpc)
        self.day = plausible(24, slots=8, zones=2, classes=2, sites=4, plants=4)
        self.start = self.day.slots.start
        self.solution = clear(self.day)
        green = green_factor(self.day)
        solution = self.solution
        self.table = PriceTable(
            solution.compute_price, solution.energy_price, np.asarray(self.day.grid_carbon), green
        )
        self.domain = Domain(CHAIN, self.market.address, OPTIMISTIC_DOMAIN_NAME)
        self.facts: Facts = facts_of(self.day, solution, self.table, self.domain)
        self.honest: Commitment = commit(self.day, solution, self.facts, self.signed_orders(), chunk_bits=3)
        self.batches = 0
        self.warp(self.start - DAY)
        self.register()

    def send(self, name: str, *calls: Call) -> list[Receipt]:
        return self.senders[name].send(calls)

    def warp(self, time: int) -> None:
        self.rpc.call("evm_setNextBlockTimestamp", time)
        self.rpc.call("evm_mine")

    def now(self) -> int:
        return int(self.rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def signed_orders(self) -> dict[str, tuple[BundleOrder, bytes]]:
        signed = {}
        for n, order in enumerate(self.day.orders):
            buyer = BUYERS[n % len(BUYERS)]
            terms = BundleOrder(
                maker=address(buyer),
                class_id=order.class_id,
                zone_mask=order.zone_mask,
                lanes=order.lanes,
                min_lanes=order.min_lanes,
                duration_slots=order.duration_slots,
                start=self.start + order.start_slot * 900,
                deadline=self.start + order.deadline_slot * 900,
                limit_price=order.limit_micro_per_vcu_slot,
                min_green_bps=order.min_green_bps,
                max_carbon=order.max_carbon_g_per_kwh,
                carbon_price=order.carbon_price_micro_per_g,
                kind=order.kind,
                epoch=0,
                nonce=n,
                expiry=2**40,
            )
            signed[order.id] = (terms, sign_order(terms, self.domain, PrivateKey(KEYS[buyer])))
        return signed

    def register(self) -> None:
        registry = Registry(self.book)
        calls = [registry.set_operator(address("owner")), registry.set_solver(address("owner"))]
        calls += [registry.add_zone(zone.id, zone.name) for zone in self.day.zones]
        for cls in self.day.classes:
            calls.append(registry.add_class(cls.id, cls.name))
            calls.append(self.market.set_class_energy(cls.id, cls.energy_wh_per_vcu_slot))
        sites = {offer.site_id: offer.zone_id for offer in self.day.compute_offers}
        calls += [registry.add_site(site, address("site"), zone, 2**40) for site, zone in sites.items()]
        for offer in self.day.power_offers:
            place = (offer.plant_id, address("plant"), offer.zone_id, offer.source)
            calls.append(registry.add_plant(*place, 2**40, offer.emission_g_per_kwh))
        token = Token(self.book)
        calls.append(token.mint(address("owner"), 100 * FUNDS))
        calls.append(token.approve(self.treasury.address))
        calls += [self.treasury.deposit(address(name), FUNDS) for name in ("owner", "challenger", *BUYERS)]
        calls.append(self.treasury.deposit(address("plant"), FUNDS))
        carbon = pack_carbon(self.day.grid_carbon)
        content = publication_hash(self.start, 900, 8, 2, carbon)
        made = Publication(self.start, content, self.oracle.config_digest())
        what = digest(domain_separator(CHAIN, self.oracle.address), made.struct_hash())
        signatures = [sign_digest(KEYS[name], what) for name in self.members[:3]]
        calls.append(self.oracle.publish(made.abi_tuple(), join_signatures(what, signatures)))
        self.send("owner", *calls)
        for buyer in BUYERS:
            self.send(buyer, self.market.reserve(FUNDS // 2))
        self.header = BatchHeader(self.start, 900, 8, 2, 2, content, b"\x01" * 32, b"\x02" * 32, 0, 0)

    def prepare(self) -> int:
        """Opens a batch with prices and offers; returns its id."""
        self.batches += 1
        batch = self.batches
        market = Domain(CHAIN, self.book["BundleMarket"].address)
        end = self.start + 8 * 900
        sign = partial(sign_order, domain=market)
        compute = [
            ComputeOffer(
                address("site"), o.site_id, o.class_id, o.zone_id, o.capacity, o.energy_wh_per_vcu_slot,
                o.ask_micro_per_vcu_slot, self.start + o.start_slot * 900,
                self.start + o.end_slot * 900, 0, n, end,
            )
            for n, o in enumerate(self.day.compute_offers)
        ]  # fmt: skip
        calls = [self.market.open_batch(self.header), *self.market.price_calls(batch, self.table)]
        signatures = [sign(o, key=PrivateKey(KEYS["site"])) for o in compute]
        calls.append(self.market.add_compute_offers(batch, compute, signatures))
        for n, offer in enumerate(self.day.power_offers):
            profile = pack_profile(offer.wh, offer.ask_micro_per_kwh)
            terms = PowerOffer(
                address("plant"), offer.plant_id, offer.zone_id, offer.source, offer.wh.shape[1],
                self.start, 8, keccak(profile), 0, n, end,
            )  # fmt: skip
            signature = sign(terms, key=PrivateKey(KEYS["plant"]))
            sold = pack_sold(self.solution.sold[n])
            calls.append(self.market.add_power_offers(batch, [terms], [signature], [profile], [sold]))
        self.send("owner", *calls)
        return batch

    def ledger_holds(self) -> bool:
        names = ("owner", "challenger", "site", "plant", *BUYERS)
        held = sum(sum(self.treasury.ledger(address(name))) for name in names)
        return held == self.treasury.total()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    process = start_anvil(Path(tmp_path_factory.mktemp("anvil")) / "anvil.log", 1_500_000_000)
    try:
        with Rpc(process.url) as rpc:
            yield World(rpc)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)


@pytest.fixture
def rewound(world: World) -> Iterator[World]:
    """The world, as it was again after the test."""
    before = world.rpc.call("evm_snapshot")
    kept = {name: sender.position for name, sender in world.senders.items()}
    batches = world.batches
    yield world
    world.rpc.call("evm_revert", before)
    for name, position in kept.items():
        world.senders[name].position = position
    world.batches = batches


@pytest.mark.parametrize(("lie", "function"), LIES, ids=[function for _, function in LIES])
def test_each_lie_is_convicted_in_one_transaction(rewound: World, lie: Lie, function: str) -> None:
    world = rewound
    batch = world.prepare()
    shown = lie(world.facts, world.honest)
    world.send("owner", world.market.post(batch, shown.claim))
    proof = next(p for p in find_faults(world.facts, shown) if p.function == function)
    (receipt,) = world.send("challenger", world.challenges.prove(batch, shown, proof))
    assert receipt.gas_used < GAS_OF_A_PROOF, function
    money = world.treasury.ledger(address("challenger"))[0]
    world.send("challenger", world.market.collect(batch))
    assert world.treasury.ledger(address("challenger"))[0] - money == world.market.read("bondMicro") // 2
    assert world.ledger_holds()


def test_an_omitted_order_is_convicted(rewound: World) -> None:
    world = rewound
    entry = world.honest.entries[5]
    insist = world.market.call("insist", world.start, abi_tuple(entry.order), entry.signature)
    world.send("challenger", insist)
    batch = world.prepare()
    world.warp(world.now() + 700)
    keep = [n for n in range(len(world.honest.rows)) if n != 5]
    shown = sealed(
        world.honest.claim, [world.honest.rows[n] for n in keep], world.honest.steps,
        [world.honest.entries[n] for n in keep],
    )  # fmt: skip
    world.send("owner", world.market.post(batch, shown.claim))
    row = world.honest.rows[5]
    found = find_faults(world.facts, shown, {(row.maker, row.nonce): row.order_hash})
    proof = next(p for p in found if p.function == "proveOmittedOrder")
    (receipt,) = world.send("challenger", world.challenges.prove(batch, shown, proof))
    assert receipt.gas_used < GAS_OF_A_PROOF


def test_an_honest_claim_opens_and_nothing_convicts_it(world: World) -> None:
    batch = world.prepare()
    made = world.honest
    world.send("owner", world.market.post(batch, made.claim))
    assert not list(find_faults(world.facts, made))
    lie, function = LIES[0]
    shown = lie(world.facts, made)
    proof = next(p for p in find_faults(world.facts, shown) if p.function == function)
    with pytest.raises(Reverted) as refused:
        world.send("challenger", world.challenges.prove(batch, made, proof))
    assert refused.value.error in ("NotInTree", "NothingWrong")
    world.warp(world.start - DAY // 2)
    world.send("owner", world.market.finalise(batch), *world.market.chunk_calls(batch, made))
    world.send("owner", world.market.complete(batch, made.claim))
    cost = sum(row.cost_micro for row in made.rows)
    held = sum(world.treasury.ledger(address(buyer))[1] for buyer in BUYERS)
    assert held == len(BUYERS) * (FUNDS // 2), "reserved money stays locked, now for the agreements"
    left = sum(world.market.read("reserveOf", address(buyer)) for buyer in BUYERS)
    assert held - left == cost
    assert world.ledger_holds()
