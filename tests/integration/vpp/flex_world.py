"""A flexibility market on Anvil with the service on it: a grid operator that pays, two aggregators, a
member.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from coincurve import PrivateKey
from fastapi.testclient import TestClient

from backend.api.app import make_app
from backend.chain.addressbook import save_book
from backend.chain.anvil import DevClock, give_gas_money, start_anvil
from backend.chain.clients import Registry, Token, Treasury
from backend.chain.deploy import DeploySettings, deploy
from backend.chain.eip712 import address_of
from backend.chain.flex import FlexMarket
from backend.chain.keccak import checksum_address
from backend.chain.plan import Call, Sender
from backend.chain.rpc import Rpc
from backend.service.access import Principal, Scope
from backend.service.context import ChainLink, Context
from backend.service.indexer.follow import Indexer
from backend.service.organisations import make_client
from backend.service.outbox import OutboxSender
from backend.service.secrets import Vault
from backend.service.signers import dev_secret
from backend.service.workers.flex import FlexKeeper
from backend.settings import Settings
from backend.store.engine import Store
from backend.store.flex import OpenAdrObject
from backend.vpp.calendar import TradingDay, trading_day
from oracle.archive import Archive
from tests.unit.api.callers import ORIGIN, Caller, Key, World

CHAIN = 31337
ZONE = "Asia/Shanghai"
DAY = date(2024, 11, 21)
DEPOSIT = 10**9
ADJUSTABLE_W = 2_000_000
LEVEL_W = 4_000_000
PARTIES = ("grid", "agg one", "agg two", "member")
SHED = {
    "at": 1, "baseline_w": LEVEL_W, "requested_w": -ADJUSTABLE_W,
    "times_ms": [0, 100, 3_700_000], "power_w": [LEVEL_W, LEVEL_W - ADJUSTABLE_W, LEVEL_W - ADJUSTABLE_W],
}  # fmt: skip


@dataclass
class FlexWorld:
    """The chain, the service, and its callers by name."""

    folder: Path
    store: Store
    callers: dict[str, Caller] = field(default_factory=dict)
    senders: dict[str, Sender] = field(default_factory=dict)
    day: TradingDay = field(default_factory=lambda: trading_day(DAY, ZONE))

    def __post_init__(self) -> None:
        anvil = start_anvil(self.folder / "anvil.log", self.day.start - 3 * 86_400)
        self.pid = anvil.pid
        self.rpc = Rpc(anvil.url)
        self.clock = DevClock(self.rpc)
        self.operator = address_of(PrivateKey(dev_secret("operator")).public_key)
        give_gas_money(self.rpc, [self.operator, *(Key.of(name).address for name in PARTIES)])
        owner = Sender(self.rpc, dev_secret("operator"), CHAIN, 0)
        members = sorted((Key.of(f"committee {n}").address for n in range(4)), key=str.lower)
        self.book, _ = deploy(owner, CHAIN, DeploySettings(tuple(members), 3, dispute_window=600))
        owner.errors = self.book.errors
        self.book_file = self.folder / "addresses.json"
        save_book(self.book, self.book_file)
        token, treasury = Token(self.book), Treasury(self.book)
        funds = [treasury.deposit(Key.of(name).address, DEPOSIT) for name in PARTIES[:3]]
        owner.send([token.mint(owner.address, 10**12), token.approve(treasury.address), *funds,
                    Registry(self.book).set_operator(owner.address)])  # fmt: skip
        self.flex = FlexMarket(self.book, self.rpc)
        self.treasury = Treasury(self.book, self.rpc)
        self.archive = Archive(self.folder / "archive")
        self.settings = Settings(
            public_origin=ORIGIN, dev_keys=True, archive=self.archive.root,
            operators=[Key.of("grid").address], rate_login_per_minute=10**6, rate_free_per_minute=10**6,
        )  # fmt: skip
        link = ChainLink(self.book, anvil.url)
        self.context = Context(self.settings, self.store, Vault(self.settings), link=link)
        self.app = make_app(self.context)
        self.indexer = Indexer(self.store, self.rpc, self.book, self.settings)
        self.indexer.prepare()
        world = World(self.context, self.app)
        self.callers = {name: world.wallet(name) for name in PARTIES}
        self.restart()

    def close(self) -> None:
        """Ends the chain."""
        self.context.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def restart(self) -> None:
        """New workers, as a process that starts again has them."""
        link = self.context.chain
        self.sender = OutboxSender(self.store, link.rpc(), dev_secret("operator"), CHAIN, self.book.errors)
        self.keeper = FlexKeeper(self.context, self.operator.lower(), self.archive)

    def step(self, times: int = 1, crash: bool = False) -> None:
        """Steps of everything; with `crash` every one by workers that just started."""
        for _ in range(times):
            if crash:
                self.restart()
            self.keeper.step()
            self.sender.step()
            self.indexer.catch_up()

    def send(self, name: str, *calls: Call) -> None:
        """Sends calls with a party's own key."""
        key = Key.of(name)
        if name not in self.senders:
            nonce = self.rpc.nonce(key.address)
            self.senders[name] = Sender(self.rpc, key.private.secret, CHAIN, nonce, self.book.errors)
        self.senders[name].send(list(calls))

    def send_transaction(self, name: str, made: dict[str, Any]) -> None:
        """Sends what the API prepared for the wallet."""
        data = bytes.fromhex(made["data"][2:])
        self.send(
            name, Call(checksum_address(bytes.fromhex(made["to"][2:])), data, 5_000_000, made["description"])
        )

    def as_operator(self, *calls: Call) -> None:
        """Sends calls with the operator's key, between what its outbox sends."""
        secret = dev_secret("operator")
        Sender(self.rpc, secret, CHAIN, self.rpc.nonce(self.operator), self.book.errors).send(list(calls))

    def trust(self, *names: str) -> None:
        """The parties let the operator lock their deposits, by the API's transaction."""
        for name in names:
            made = self.callers["agg one"].post("/flex/transactions/trust")
            assert made.status_code == 200, made.text
            self.send_transaction(name, made.json())

    def ven(self, owner: str, target: str) -> TestClient:
        """A VEN of a party's organisation with one target, which its business logic gave it."""
        with self.store.writing() as session:
            who = Principal("wallet:0x", self.organisation(owner), "unlimited", scopes=frozenset(Scope))
            scopes = [Scope.FLEX_READ]
            client, secret = make_client(session, self.context.vault, who, "ven", scopes)
        http = TestClient(self.app, base_url=ORIGIN)
        token = http.post("/openadr3/auth/token", data={"grant_type": "client_credentials"},
                          auth=(client.id, secret)).json()["access_token"]  # fmt: skip
        http.headers["Authorization"] = f"Bearer {token}"
        made = http.post("/openadr3/vens", json={"venName": "site"}).json()
        with self.store.writing() as session:
            row = session.get_one(OpenAdrObject, made["id"])
            row.body = row.body | {"targets": [target]}
            session.add(row)
        return http

    # --- what parties do ----------------------------------------------------------
    def post(self, name: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What a successful POST gave."""
        answer = self.callers[name].post(f"/flex{path}", body)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    def items(self, name: str, path: str) -> list[dict[str, Any]]:
        """The first page of a listing."""
        answer = self.callers[name].get(f"/flex{path}")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    def organisation(self, name: str) -> str:
        """A party's organisation."""
        return str(self.callers[name].get("/session").json()["organisation_id"])

    def resource(self, name: str, point: str, zone: int, aggregator: str | None = None) -> str:
        """A certified resource of a party, signed up with an aggregator, with twenty days of telemetry."""
        body = {"name": point, "kind": "compute_site", "metering_point": point, "zone_id": zone, "node": "n",
                "nameplate_w": 8_000_000}  # fmt: skip
        made = str(self.post(name, "/resources", body)["id"])
        history = {"history_w": [LEVEL_W] * 96, "slot_seconds": 900, "tests": [SHED]}
        self.post(name, f"/resources/{made}/certificates", history)
        if aggregator is not None:
            terms = {"resource_id": made, "aggregator_id": self.organisation(aggregator), "share_bps": 8_000,
                     "start": self.day.start - 86_400, "end": self.day.start + 10 * 86_400}  # fmt: skip
            self.post(name, "/contracts", terms)
        for back in range(20, 0, -10):
            start = trading_day(DAY - timedelta(days=back), ZONE).start
            self.tell(name, made, start, [LEVEL_W] * (10 * 96))
        return made

    def tell(self, name: str, resource_id: str, start: int, watts: list[int]) -> None:
        """Telemetry of quarter-hours."""
        with self.store.writing() as session:  # many days at once; the API takes a week's at most
            from backend.store.flex import FlexSeries

            session.add(
                FlexSeries(
                    organisation_id=self.organisation(name), resource_id=resource_id, name="telemetry",
                    unit="W", start=start, slot_seconds=900, readings=watts, known_at=start,
                )
            )  # fmt: skip

    def bid(
        self, name: str, resource_id: str, ladders: dict[int, list[list[int]]], **more: Any
    ) -> dict[str, Any]:
        """A bid with ladders at some slots."""
        table = [ladders.get(t, []) for t in range(self.day.count)]
        body = {"resource_id": resource_id, "day": DAY.isoformat(), "ladders": table} | more
        return self.post(name, "/bids", body)

    def require(self, zone: int, ladders: dict[int, list[list[int]]], **more: Any) -> dict[str, Any]:
        """What the grid needs of a zone at some slots."""
        table = [ladders.get(t, []) for t in range(self.day.count)]
        return self.post(
            "grid", "/requirements", {"day": DAY.isoformat(), "zone_id": zone, "ladders": table} | more
        )

    def period(self, market: str = "day_ahead") -> dict[str, Any]:
        """The market's newest period."""
        return self.items("agg one", f"/periods?market={market}&day={DAY}")[0]

    def close_gate(self) -> None:
        """Moves the clock to the day-ahead gate."""
        self.clock.advance_to(self.day.start - 12 * 3600)

    def today_w(self, shed: dict[int, int]) -> list[int]:
        """A day's load with some W less at some slots."""
        load = np.full(self.day.count, LEVEL_W)
        for slot, watts in shed.items():
            load[slot] -= watts
        return [int(w) for w in load]
