"""A small market on a fresh Anvil for the oracle's tests: contracts, one cleared batch, committee, fleet."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from coincurve import PrivateKey

from backend.chain.addressbook import AddressBook, save_book
from backend.chain.anvil import DevClock, free_port, give_gas_money, start_anvil
from backend.chain.clients import BatchHeader, ChunkData, Market, Oracle, Registry, Token, Treasury
from backend.chain.deploy import DeploySettings, deploy
from backend.chain.eip712 import Domain, address_of, order_digest, sign_order
from backend.chain.orders import BundleOrder, ComputeOffer, Order, PowerOffer
from backend.chain.packing import PriceTable, pack_prices, pack_profile, pack_runs, pack_sold
from backend.chain.plan import Call, Sender
from backend.chain.rpc import Rpc
from backend.day.children import bitwatt_command
from oracle.agents.fleet import load_fleet
from oracle.archive import Archive
from oracle.client import CommitteeClient
from oracle.evidence import dev_root
from oracle.wire.bundle import Bundle, decode_bundle
from oracle.wire.keys import keccak256, sha256
from oracle.wire.outcomes import agreement_bytes
from oracle.wire.publication import CarbonDocument
from oracle.wire.typed import feed_id

GENESIS = 1_508_194_800
START = 1_508_198_400
SLOT = 900
ENERGY_WH = 110
SITE, PLANT, GRID = 1, 1, 2
PLANT_METER, SITE_METER, WORKLOAD = 11, 21, 31
FEED = feed_id("main")


def secret(name: str) -> bytes:
    return sha256(f"bitwatt/test/{name}".encode())


def account(name: str) -> str:
    return address_of(PrivateKey(secret(name)).public_key)


@dataclass
class World:
    """Everything a test needs to hold; `orders` alternate between green and grey, one lane each."""

    folder: Path
    slots: int = 4
    orders: int = 4
    url: str = ""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    anvil_pid: int = 0
    chunks: dict[int, ChunkData] = field(default_factory=dict)

    def __post_init__(self) -> None:
        anvil = start_anvil(self.folder / "anvil.log", GENESIS)
        self.anvil_pid, self.url = anvil.pid, anvil.url
        self.rpc = Rpc(self.url)
        self.clock = DevClock(self.rpc)
        self.members = sorted(
            (f"member {number}" for number in range(4)), key=lambda name: account(name).lower()
        )
        self.book_path = self.folder / "addresses.json"
        self.archive = Archive(self.folder / "archive")
        self.ports = [free_port() for _ in self.members]
        self.nodes = [f"http://127.0.0.1:{port}" for port in self.ports]
        give_gas_money(self.rpc, [account(name) for name in ("owner", "buyer", *self.members)])
        self.owner = Sender(self.rpc, secret("owner"), 31337, 0)
        self.book = self._deploy()
        self.owner.errors = self.book.errors

    # --- chain ------------------------------------------------------------------
    def _deploy(self) -> AddressBook:
        settings = DeploySettings(tuple(account(name) for name in self.members), 3, bond_micro=1_000_000)
        book, _ = deploy(self.owner, 31337, settings)
        save_book(book, self.book_path)
        return book

    def register(self) -> None:
        """Money, bonds, assets, policy."""
        token, treasury, registry = Token(self.book), Treasury(self.book), Registry(self.book)
        market, oracle = Market(self.book), Oracle(self.book)
        parties = [account(name) for name in ("owner", "buyer", *self.members)]
        self.owner.send(
            [token.mint(account("owner"), 10**15), token.approve(treasury.address)]
            + [treasury.deposit(party, 10**12) for party in parties]
            + [registry.set_solver(account("owner")), registry.set_operator(account("owner"))]
            + [registry.add_zone(0, "zone"), registry.add_class(0, "gpu")]
            + [registry.add_site(SITE, account("owner"), 0, 10_000_000)]
            + [registry.add_plant(PLANT, account("owner"), 0, 1, 10_000_000, 41)]
            + [registry.add_plant(GRID, account("owner"), 0, 0, 100_000_000, 500)]
            + [registry.set_measurement(value, 0) for value in dev_root.MEASUREMENTS.values()]
        )
        for name in self.members:
            Sender(self.rpc, secret(name), 31337, 0, self.book.errors).send([oracle.post_bond()])
        assert market.address

    def clear(self, client: CommitteeClient) -> None:
        """Publishes carbon, then opens, fills and finalises one batch in which every order runs all day."""
        document = CarbonDocument(START, SLOT, ((400,) * self.slots,), ("test",))
        signed = client.publication(document.encode())
        oracle, market = Oracle(self.book), Market(self.book)
        green = [number % 2 == 0 for number in range(self.orders)]
        sold = {PLANT: sum(green) * ENERGY_WH, GRID: (self.orders - sum(green)) * ENERGY_WH}
        header = BatchHeader(
            START, SLOT, self.slots, 1, 1, signed.publication.content_hash, bytes(32), bytes(32), 0, 0
        )
        table = PriceTable(
            compute_price=np.full((1, 1, 2, self.slots), 30_000),
            energy_price=np.full((1, 2, self.slots), 100_000),
            grid_carbon=np.full((1, self.slots), 400),
            green_factor=np.full((1, self.slots), 41),
        )
        calls = [
            oracle.call("publish", signed.publication.abi_tuple(), signed.signatures),
            market.open_batch(header),
            market.post_prices(1, 0, pack_prices(table)),
            self._compute_offer(market),
            self._power_offers(market, sold),
        ]
        per_chunk = 60
        for first in range(0, self.orders, per_chunk):
            calls.append(self._chunk(market, first, green[first : first + per_chunk]))
        for call in [*calls, market.finalize(1)]:
            self.owner.send([call])

    def _domain(self) -> Domain:
        return Domain(31337, self.book["BundleMarket"].address)

    def _sign(self, order: Order, name: str) -> bytes:
        return sign_order(order, self._domain(), PrivateKey(secret(name)))

    def _compute_offer(self, market: Market) -> Call:
        end = START + self.slots * SLOT
        offer = ComputeOffer(account("owner"), SITE, 0, 0, 2_000, ENERGY_WH, 5_000, START, end, 0, 0, end)
        return market.add_compute_offers(1, [offer], [self._sign(offer, "owner")])

    def _power_offers(self, market: Market, sold: dict[int, int]) -> Call:
        end = START + self.slots * SLOT
        offers, signatures, profiles, rows = [], [], [], []
        for plant, source in ((PLANT, 1), (GRID, 0)):
            wh = np.full((self.slots, 1), 1_000_000)
            profile = pack_profile(wh, np.full((self.slots, 1), 50_000))
            offer = PowerOffer(
                account("owner"), plant, 0, source, 1, START, self.slots, keccak256(profile), 0, plant, end
            )
            offers.append(offer)
            signatures.append(self._sign(offer, "owner"))
            profiles.append(profile)
            rows.append(pack_sold(np.full(self.slots, sold[plant])))
        return market.add_power_offers(1, offers, signatures, profiles, rows)

    def _chunk(self, market: Market, first: int, green: Sequence[bool]) -> Call:
        end = START + self.slots * SLOT
        orders = [
            BundleOrder(
                account("buyer"), 0, 1, 1, 0, self.slots, START, end, 10**6, 10_000 if is_green else 0,
                0xFFFFFFFF, 0, 0, 0, first + number, end,
            )
            for number, is_green in enumerate(green)
        ]  # fmt: skip
        runs = pack_runs(
            [(number, 0, int(is_green), 0, self.slots, 1) for number, is_green in enumerate(green)]
        )
        signatures = [self._sign(order, "buyer") for order in orders]
        hashes = tuple(order_digest(order, self._domain()) for order in orders)
        self.chunks[first // 60] = ChunkData((account("buyer"),) * len(orders), hashes, runs)
        return market.clear_chunk(1, first // 60, orders, signatures, runs)

    # --- fleet --------------------------------------------------------------------
    def write_fleet(self, edit: Callable[[int, dict[str, int]], dict[str, int] | None] | None = None) -> Path:
        """Full delivery in every slot; `edit(slot, row)` changes or drops rows of the plant meter."""
        rows: dict[str, list[dict[str, object]]] = {"plant": [], "site": [], "jobs": []}
        for slot in range(self.slots):
            start = START + slot * SLOT
            base = {"start": start, "end": start + SLOT, "delay_seconds": 0}
            plant: dict[str, int] | None = {**base, "quantity": self.orders * ENERGY_WH * 1000}
            if edit and plant is not None:
                plant = edit(slot, plant)
            if plant:
                rows["plant"].append(dict(plant))
            rows["site"].append({**base, "quantity": self.orders * ENERGY_WH * 1000})
            for number in range(self.orders):
                job = {**base, "agreement_id": agreement_bytes(1, number // 60, number % 60).hex()}
                rows["jobs"].append({**job, "kind": 3, "quantity": 100_000})
                rows["jobs"].append({**job, "kind": 4, "quantity": SLOT * 1000})
        for name, content in rows.items():
            with (self.folder / f"{name}.csv").open("w", newline="") as stream:
                writer = csv.DictWriter(
                    stream, ["start", "end", "kind", "quantity", "agreement_id", "delay_seconds"], restval=""
                )
                writer.writeheader()
                writer.writerows(content)
        devices = [
            ("meter", PLANT_METER, 2, PLANT, 1, "plant"),
            ("meter", SITE_METER, 0, SITE, 2, "site"),
            ("workload", WORKLOAD, 1, SITE, 0, "jobs"),
        ]
        fleet = {
            "rpc": self.url,
            "book": str(self.book_path),
            "nodes": self.nodes,
            "spool": "spool",
            "key_seed": "test",
            "devices": [
                {"role": role, "meter_id": meter, "asset_kind": kind, "asset_id": asset, "kind": reading,
                 "key": f"keys/{meter}.key", "replay": f"{name}.csv"}
                for role, meter, kind, asset, reading, name in devices
            ],
        }  # fmt: skip
        path = self.folder / "fleet.json"
        path.write_text(json.dumps(fleet))
        return path

    def attest(self, client: CommitteeClient) -> None:
        """Enrols the fleet's devices."""
        oracle = Oracle(self.book)
        signed = client.enrol(load_fleet(self.folder / "fleet.json"), GENESIS + 20 * 86_400)
        self.owner.send(
            [oracle.call("attestDevice", item.attestation.abi_tuple(), item.signatures) for item in signed]
        )

    # --- processes ------------------------------------------------------------------
    def start(self, name: str, *arguments: str) -> None:
        log = (self.folder / f"{name.replace(' ', '-')}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            bitwatt_command(*arguments), stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        log.close()

    def start_node(self, number: int, fault: str = "", **changes: object) -> None:
        (self.folder / f"{number}.key").write_text(secret(self.members[number]).hex())
        config = {
            "key": f"{number}.key",
            "store": f"node{number}.sqlite",
            "archive": "archive",
            "book": str(self.book_path),
            "rpc": self.url,
            "port": self.ports[number],
            "nodes": self.nodes,
            "feed": {"name": "main", "start": START, "slot_seconds": SLOT},
            "turn_seconds": 0.5,
            **changes,
        }
        path = self.folder / f"node{number}.json"
        path.write_text(json.dumps(config))
        extra = ["--fault", fault] if fault else []
        self.start(f"node {number}", "oracle-node", "--config", str(path), "--verbose", *extra)

    def await_nodes(self, numbers: Sequence[int] = (0, 1, 2, 3)) -> None:
        self.until(lambda: all(self.health(number) for number in numbers), 200, "nodes answer")

    def health(self, number: int) -> dict[str, int] | None:
        try:
            return httpx.get(f"{self.nodes[number]}/health", timeout=2, trust_env=False).json()
        except httpx.HTTPError:
            return None

    def start_agents(self) -> None:
        for role in ("meter", "workload"):
            self.start(role, role, "--fleet", str(self.folder / "fleet.json"))

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for name in list(self.processes):
            self.kill(name)
        self.rpc.close()
        os.kill(self.anvil_pid, signal.SIGKILL)
        os.waitpid(self.anvil_pid, 0)

    # --- what came of it --------------------------------------------------------------
    def until(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            dead = [name for name, process in self.processes.items() if process.poll() is not None]
            assert not dead, f"{dead} ended: {self.logs(dead)}"
            assert time.monotonic() < deadline, (
                f"not in {seconds} s: {what}\n{self.logs(list(self.processes))}"
            )
            time.sleep(0.02)

    def logs(self, names: Sequence[str]) -> str:
        parts = []
        for name in names:
            text = (self.folder / f"{name.replace(' ', '-')}.log").read_text()
            parts.append(f"--- {name}\n{text[-3000:]}")
        return "\n".join(parts)

    def next_epoch(self) -> int:
        return Oracle(self.book, self.rpc).next_epoch(FEED)

    def run_slot(self, slot: int, seconds: float = 150) -> None:
        """Moves the clock to the end of a slot and awaits its report."""
        self.clock.advance_to(START + (slot + 1) * SLOT)
        self.until(lambda: self.next_epoch() > slot, seconds, f"report of epoch {slot}")

    def bundles(self) -> dict[int, Bundle]:
        """The archived bundles by epoch, of the reports on chain."""
        abi = self.book["DeliveryOracle"].abi
        topic = "0x" + abi.topic("ReportSubmitted").hex()
        found = {}
        for log in self.rpc.logs([self.book["DeliveryOracle"].address], [topic], 0):
            event = abi.decode_log(log)
            assert event is not None
            report = event.arguments["report"]
            bundle = decode_bundle(self.archive.get("readings", report[10]))
            made = bundle.report(report[9], report[11], report[12])
            assert made.abi_tuple()[:6] == tuple(report[:6])
            assert made.struct_hash() == event.arguments["reportHash"]
            found[event.arguments["epoch"]] = bundle
        return found
