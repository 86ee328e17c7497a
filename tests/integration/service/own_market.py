"""A market that the service itself runs on Anvil: sellers, buyers, a committee, and the workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from coincurve import PrivateKey
from sqlmodel import select

from backend.chain.anvil import DevClock, give_gas_money, start_anvil
from backend.chain.clients import Oracle, Registry, Token, Treasury
from backend.chain.deploy import DeploySettings, deploy
from backend.chain.eip712 import Domain, address_of, order_digest, sign_digest, sign_order
from backend.chain.orders import BundleOrder, ComputeOffer, Order, PowerOffer
from backend.chain.packing import pack_profile
from backend.chain.plan import Call, Sender
from backend.chain.rpc import Rpc
from backend.service.context import ChainLink, Context
from backend.service.indexer.follow import Indexer
from backend.service.outbox import Confirmations, OutboxSender
from backend.service.publishing import DEV_MEMBERS, DEV_QUORUM, DevPublisher
from backend.service.secrets import Vault
from backend.service.signers import dev_secret
from backend.service.workers.gates import GateKeeper
from backend.service.workers.settlement import Settler
from backend.settings import Settings
from backend.store.chain import Batch
from backend.store.engine import Store
from backend.store.market import ComputeOfferRow, OrderRow, PowerOfferRow
from backend.store.operations import Gate, OutboxRow
from oracle.archive import Archive
from oracle.wire.bundle import OutcomeEntry, encode_bundle, make_bundle
from oracle.wire.keys import join_signatures, keccak256
from oracle.wire.typed import digest, domain_separator, feed_id
from tests.unit.api.callers import Key

CHAIN, GENESIS, START = 31337, 1_700_000_100, 1_700_006_400
SLOT, SLOTS = 900, 8
PV, GRID, SITE = 7, 8, 1
WH, DEPOSIT = 110, 10**10
BUYERS = tuple(f"own buyer {n}" for n in range(3))


def solver() -> str:
    """The service's account."""
    return address_of(PrivateKey(dev_secret("operator")).public_key)


def members() -> list[PrivateKey]:
    """Keys of the committee, by address."""
    keys = [PrivateKey(dev_secret(f"member/{n}")) for n in range(DEV_MEMBERS)]
    return sorted(keys, key=lambda key: address_of(key.public_key).lower())


def messages(
    lanes: int, orders: int, start: int, slots: int, nonce: int
) -> Iterator[tuple[str, Order, bytes]]:
    """(who signs, message, profile of a power offer): what one market day is made of."""
    end = start + slots * SLOT
    provider, supplier = Key.of("own provider").address, Key.of("own supplier").address
    yield "own provider", ComputeOffer(provider, SITE, 0, 0, 40, WH, 5_000, start, end, 0, nonce, end), b""
    for plant, source, ask in ((PV, 1, 20_000), (GRID, 0, 90_000)):
        profile = pack_profile(np.full((slots, 1), 5_000), np.full((slots, 1), ask))
        hash_, number = keccak256(profile), nonce * 16 + plant
        yield (
            "own supplier",
            PowerOffer(supplier, plant, 0, source, 1, start, slots, hash_, 0, number, end),
            profile,
        )
    for number in range(orders):
        name, green = BUYERS[number % 3], 10_000 if number % 2 else 0
        yield (
            name,
            BundleOrder(
                Key.of(name).address, 0, 1, lanes, 0, 3, start, end, 60_000, green, 0xFFFFFFFF, 0, 0, 0,
                nonce + number, end,
            ),
            b"",
        )  # fmt: skip


@dataclass
class OwnMarket:
    """The chain, and a service on one store."""

    folder: Path
    changed: dict[str, Any] = field(default_factory=dict)
    head_hash: bytes = bytes(32)
    reported: int = 0
    senders: dict[str, Sender] = field(default_factory=dict)

    def __post_init__(self) -> None:
        anvil = start_anvil(self.folder / "anvil.log", GENESIS)
        self.pid, self.url = anvil.pid, anvil.url
        self.rpc = Rpc(self.url)
        self.clock = DevClock(self.rpc)
        names = ("own provider", "own supplier", *BUYERS)
        give_gas_money(self.rpc, [solver(), *(Key.of(name).address for name in names)])
        self.operator = Sender(self.rpc, dev_secret("operator"), CHAIN, 0)
        addresses = tuple(address_of(key.public_key) for key in members())
        self.book, _ = deploy(self.operator, CHAIN, DeploySettings(addresses, DEV_QUORUM, bond_micro=0))
        self.operator.errors = self.book.errors
        self._register()
        self.archive = Archive(self.folder / "archive")
        self.settings = Settings(
            slots=SLOTS, gate_lead_seconds=3600, dev_keys=True, archive=self.archive.root,
            clearing_seconds=20, **self.changed,
        )  # fmt: skip

    def _register(self) -> None:
        token, treasury, registry = Token(self.book), Treasury(self.book), Registry(self.book)
        names = ("own provider", "own supplier", *BUYERS)
        self.operator.send(
            [
                token.mint(self.operator.address, 10**15),
                token.approve(treasury.address),
                *(treasury.deposit(Key.of(name).address, DEPOSIT) for name in names),
                registry.set_solver(self.operator.address),
                registry.set_operator(self.operator.address),
                registry.add_zone(0, "north"),
                registry.add_class(0, "gpu-training"),
                registry.add_site(SITE, Key.of("own provider").address, 0, 1_000_000),
                registry.add_plant(PV, Key.of("own supplier").address, 0, 1, 1_000_000, 43),
                registry.add_plant(GRID, Key.of("own supplier").address, 0, 0, 100_000_000, 500),
            ]
        )

    # --- the service ------------------------------------------------------------
    def serve(self, store: Store) -> None:
        """Puts the service on a store; anew after a crash."""
        self.store = store
        self.context = Context(
            self.settings, store, Vault(self.settings), link=ChainLink(self.book, self.url)
        )
        self.indexer = Indexer(store, self.rpc, self.book, self.settings)
        self.indexer.prepare()
        self.indexer.catch_up()
        self.restart()

    def restart(self) -> None:
        """New workers, as a process that starts again has them."""
        link = self.context.chain
        address = solver().lower()
        self.sender = OutboxSender(
            self.store, link.rpc(), dev_secret("operator"), CHAIN, self.book.errors,
            confirmations=Confirmations(64),
        )  # fmt: skip
        if hasattr(self, "gates"):
            self.gates.close()
        self.gates = GateKeeper(self.context, address, self.archive, DevPublisher(self.book, self.archive))
        self.settler = Settler(self.context, address, self.archive)

    def close(self) -> None:
        """Ends the service and the chain."""
        if hasattr(self, "gates"):
            self.gates.close()
            self.context.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def step(self) -> None:
        """One step of everything."""
        for worker in (self.gates, self.settler, self.sender):
            worker.step()
        self.indexer.catch_up()

    def gate(self) -> Gate | None:
        """The first gate."""
        with self.store.reading() as session:
            return session.exec(select(Gate).order_by(Gate.start)).first()  # type: ignore[arg-type]

    def gates_of(self, kind: str, start: int) -> list[Gate]:
        """The gates of a kind that close for a window from `start`."""
        with self.store.reading() as session:
            return list(session.exec(select(Gate).where(Gate.kind == kind, Gate.start == start)))

    def outbox(self) -> list[OutboxRow]:
        """The outbox in order."""
        with self.store.reading() as session:
            return list(session.exec(select(OutboxRow).order_by(OutboxRow.id)))

    # --- traders ----------------------------------------------------------------
    def sign(self, name: str, order: Order) -> tuple[str, bytes]:
        """(hash, signature) of a message."""
        where = Domain(CHAIN, self.book["BundleMarket"].address)
        return "0x" + order_digest(order, where).hex(), sign_order(order, where, Key.of(name).private)

    def trade(
        self, lanes: int = 4, orders: int = 6, start: int = START, slots: int = SLOTS, nonce: int = 0
    ) -> None:
        """Offers and orders for `slots` slots from `start`, stored as the API stores them."""
        rows: list[OrderRow | ComputeOfferRow | PowerOfferRow] = []
        for number, (name, message, profile) in enumerate(messages(lanes, orders, start, slots, nonce)):
            digest_, signature = self.sign(name, message)
            fields = asdict(message) | {"maker": message.maker.lower(), "signature": signature}
            if isinstance(message, BundleOrder):
                rows.append(OrderRow(order_hash=digest_, received_at=2 + number, **fields))
            elif isinstance(message, ComputeOffer):
                rows.append(ComputeOfferRow(offer_hash=digest_, received_at=1, **fields))
            else:
                fields |= {"source_kind": fields.pop("source"), "profile": profile}
                del fields["profile_hash"]
                rows.append(PowerOfferRow(offer_hash=digest_, received_at=1, **fields))
        with self.store.writing() as session:
            session.add_all(rows)

    # --- delivery ---------------------------------------------------------------
    def deliver(self, slot: int, start: int = START, batch_id: int = 1) -> None:
        """Posts the slot's report: every run delivered in full, green from what the plant made of its pool.

        No plant meter is attested here, so the pools are metered as missing and green Wh count as unmatched.
        """
        self.clock.advance_to(start + (slot + 1) * SLOT)
        plan = self.settler._plan(self.batch(batch_id))
        assert plan is not None
        entries = []
        for chunk in plan.chunks:
            active = chunk.active_runs(slot)
            if active:
                packed = b"".join((chunk.runs[n][5] * 1000).to_bytes(4) + bytes(4) for n in active)
                entries.append(OutcomeEntry(batch_id, chunk.index, slot, packed))
        oracle = Oracle(self.book, self.rpc)
        first, last = start + slot * SLOT, start + (slot + 1) * SLOT
        bundle = make_bundle(CHAIN, feed_id("main"), self.reported, first, last, [], entries)
        report = bundle.report(bytes(32), self.head_hash, oracle.config_digest())
        self.archive.put("readings", encode_bundle(bundle))
        what = digest(domain_separator(CHAIN, self.book["DeliveryOracle"].address), report.struct_hash())
        signatures = join_signatures(what, [sign_digest(what, key) for key in members()[:DEV_QUORUM]])
        self.post("submit", oracle.call("submit", report.abi_tuple(), signatures))
        self.head_hash = report.struct_hash()
        self.reported += 1

    def post(self, _label: str, call: Call) -> None:
        """Sends a call of a stranger: anyone may hand a report in."""
        name = "own supplier"
        if name not in self.senders:
            nonce = self.rpc.nonce(Key.of(name).address)
            self.senders[name] = Sender(self.rpc, Key.of(name).private.secret, CHAIN, nonce, self.book.errors)
        self.senders[name].send([call])

    def batch(self, batch_id: int = 1) -> Batch:
        """A batch; the first one where none is named."""
        with self.store.reading() as session:
            return session.get_one(Batch, batch_id)
