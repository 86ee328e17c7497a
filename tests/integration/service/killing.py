"""A market whose API processes and workers are killed at random while it trades, delivers and settles."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlmodel import select

from backend.chain.addressbook import save_book
from backend.chain.anvil import free_port
from backend.chain.clients import Token, Treasury
from backend.chain.orders import BundleOrder, ComputeOffer, Order
from backend.service.access import Scope
from backend.service.context import ChainLink, Context
from backend.service.indexer.follow import reindex
from backend.service.outbox import FAILED, FINAL, MINED
from backend.service.secrets import Vault, random_token
from backend.service.workers.gates import OPEN_STATES
from backend.service.workers.settlement import Settler
from backend.settings import Settings
from backend.store.chain import Account, Batch, ChainEvent, ClearedOrder, SlotResult
from backend.store.engine import Store
from backend.store.identity import ApiKey, Organisation, Wallet
from backend.store.market import OrderRow
from backend.store.operations import Gate, OutboxRow
from tests.integration.service.own_market import (
    BUYERS,
    SLOT,
    SLOTS,
    OwnMarket,
    messages,
    solver,
)
from tests.integration.service.test_api_serving import BITWATT
from tests.integration.service.test_store_indexer import dump
from tests.unit.api.callers import Key

LEAD = 3600
DAY = SLOT * SLOTS
PATIENCE_SECONDS = 600


@dataclass
class Kept:
    """A process that is started again whenever it ends."""

    command: list[str]
    log: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Starts it."""
        with self.log.open("ab") as log:
            self.said = log.tell()
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.environment)

    def kill(self) -> None:
        """Ends it as a power cut would, and starts it again."""
        self.process.kill()
        self.process.wait()
        self.start()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends it; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@dataclass
class KilledMarket(OwnMarket):
    """The market, its processes, and everything it was ever promised."""

    url_of_database: str = ""
    apis: int = 2
    workers: int = 2
    acknowledged: dict[str, Order] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    kills: int = 0

    def __post_init__(self) -> None:
        self.changed = {"database_url": self.url_of_database, "lease_seconds": 3}
        super().__post_init__()
        self.store = Store(make_pool(self.settings))
        self.context = Context(
            self.settings, self.store, Vault(self.settings), link=ChainLink(self.book, self.url)
        )
        self.settler = Settler(self.context, solver().lower(), self.archive)
        self._key = self._organisation()
        self._start()

    def _organisation(self) -> str:
        """One organisation of every trader; its API key."""
        token, now = random_token("bwk_"), int(time.time())
        with self.store.writing() as session:
            organisation = Organisation(name="everyone", plan="unlimited", created_at=now)
            session.add(organisation)
            session.flush()
            for name in ("own provider", "own supplier", *BUYERS):
                address = Key.of(name).address.lower()
                session.add(Wallet(address=address, organisation_id=organisation.id, created_at=now))
            session.add(
                ApiKey(
                    organisation_id=organisation.id, name="all", prefix=token[:8], created_by="test",
                    secret_hash=Vault(self.settings).hash(token), created_at=now,
                    scopes=[scope.value for scope in (Scope.ORDERS_WRITE, Scope.OFFERS_WRITE)],
                )
            )  # fmt: skip
        return token

    def _start(self) -> None:
        save_book(self.book, self.folder / "book.json")
        environment = os.environ | {
            "BITWATT_DATABASE_URL": self.url_of_database, "BITWATT_SLOTS": str(SLOTS),
            "BITWATT_GATE_LEAD_SECONDS": str(LEAD), "BITWATT_LEASE_SECONDS": "3",
            "BITWATT_DEV_KEYS": "1", "BITWATT_ARCHIVE": str(self.archive.root),
            "BITWATT_CLEARING_SECONDS": "20", "BITWATT_INDEX_POLL_SECONDS": "0.2",
            "BITWATT_RATE_ANONYMOUS_PER_MINUTE": "1000000", "BITWATT_LOG_LEVEL": "WARNING",
        }  # fmt: skip
        chain = ["--rpc", self.url, "--book", str(self.folder / "book.json")]
        self.ports = [free_port() for _ in range(self.apis)]
        self.api = [
            Kept(
                [BITWATT, "serve", "--port", str(port), "--no-workers", "--no-index", *chain],
                self.folder / f"api-{port}.log",
                environment,
            )
            for port in self.ports
        ]
        self.worker = [
            Kept([BITWATT, "worker", *chain], self.folder / f"worker-{n}.log", environment)
            for n in range(self.workers)
        ]

    def close(self) -> None:
        """Ends every process and the chain."""
        for each in (*self.api, *self.worker):
            each.process.kill()
            each.process.wait()
        self.context.close()
        self.store.engine.dispose()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    # --- trouble ----------------------------------------------------------------
    def kill_one(self, chance: random.Random, kind: str | None = None) -> None:
        """Kills a process at random, of a kind if asked."""
        chosen = {"api": self.api, "worker": self.worker, None: [*self.api, *self.worker]}[kind]
        chance.choice(chosen).kill()
        self.kills += 1

    def kill_now_and_then(self, stop: threading.Event, chance: random.Random) -> None:
        """Kills until `stop`, one whose like is up at a time, so that the market goes on; it may itself be
        starting still. Where processes take long to come up, it takes its time as well.
        """
        started = time.monotonic()
        while not all(self._up(each) for each in (*self.api, *self.worker)) and not stop.wait(0.2):
            pass
        pace = max(1.0, (time.monotonic() - started) / 4)
        while not stop.wait(pace * chance.uniform(2, 6)):
            kind = chance.choice([self.api, self.worker])
            chosen = chance.choice(kind)
            if all(self._up(each) for each in kind if each is not chosen):
                chosen.kill()
                self.kills += 1

    # --- trading ----------------------------------------------------------------
    def place(self, name: str, message: Order, profile: bytes = b"") -> bool:
        """Sends a message to any API process until one has answered; whether it was taken."""
        order_hash, signature = self.sign(name, message)
        fields: dict[str, Any] = {
            attribute: getattr(message, attribute) for attribute in type(message).__slots__
        }
        fields = {k: "0x" + v.hex() if isinstance(v, bytes) else v for k, v in fields.items()}
        if isinstance(message, BundleOrder):
            path, body = "orders", {"order": fields}
        else:
            path = "compute-offers" if isinstance(message, ComputeOffer) else "power-offers"
            body = {"offer": fields} | ({"profile": "0x" + profile.hex()} if profile else {})
        body["signature"] = "0x" + signature.hex()
        headers = {"Authorization": f"Bearer {self._key}"}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            port = random.choice(self.ports)
            try:
                answer = httpx.post(
                    f"http://127.0.0.1:{port}/api/v1/{path}", json=body, headers=headers, timeout=10,
                    trust_env=False,
                )  # fmt: skip
            except httpx.HTTPError:
                time.sleep(0.1)
                continue
            if answer.status_code in (200, 201):
                self.acknowledged[order_hash] = message
                return True
            if answer.status_code < 500:
                self.refused[answer.text] += 1
                return False
            time.sleep(0.1)
        raise AssertionError(f"no API process answered for {PATIENCE_SECONDS} s")

    def day(self, number: int, orders: int) -> None:
        """One market day from its offers to its last payment."""
        now = self.clock.now()
        start = (now + LEAD) // DAY * DAY + 2 * DAY
        day = list(messages(2, orders, start, SLOTS, 1 + number * 1_000))
        for name, message, profile in day[:3]:
            assert self.place(name, message, profile), self.refused
        with_orders = [threading.Thread(target=self._place_all, args=(day[3 + n :: 4],)) for n in range(4)]
        for thread in with_orders:
            thread.start()
        for thread in with_orders:
            thread.join()
        self.clock.advance_to(start - LEAD)
        batch_id = self._await(lambda: self._finalised(start), "the batch is finalised")
        for slot in range(SLOTS):
            self.deliver(slot, start, batch_id)
        self.clock.advance_to(start + DAY + self.settler._window + self.settler._grace + 60)
        self._await(lambda: self._settled(batch_id), "every slot is settled")

    def _place_all(self, signed: list[tuple[str, Order, bytes]]) -> None:
        for name, message, _ in signed:
            self.place(name, message)

    def _await(self, what: Any, words: str) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := what()):
            assert time.monotonic() < deadline, f"not after {PATIENCE_SECONDS} s: {words}"
            time.sleep(0.1)
        return found

    def _finalised(self, start: int) -> int | None:
        with self.store.reading() as session:
            gate = session.exec(select(Gate).where(Gate.start == start)).first()
        assert gate is None or gate.state != "failed", gate.error
        return gate.batch_id if gate is not None and gate.state == "finalised" else None

    def _settled(self, batch_id: int) -> bool:
        plan = self.settler._plan(self.batch(batch_id))
        assert plan is not None
        due = {(chunk.index, slot) for chunk in plan.chunks for slot in chunk.active_slots}
        with self.store.reading() as session:
            found = session.exec(select(SlotResult).where(SlotResult.batch_id == batch_id)).all()
        return {(row.chunk_index, row.slot) for row in found} == due

    # --- the end ----------------------------------------------------------------
    def come_to_rest(self) -> None:
        """Waits until nothing waits, then ends every process gracefully."""
        self._await(self._at_rest, "gates and outbox are at rest")
        for each in (*self.api, *self.worker):
            self._await(lambda each=each: self._up(each), "it is up again")
            assert each.end() == 0, each.log.read_text()[-2000:]

    def _up(self, each: Kept) -> bool:
        """Whether a process came up: an API answers, a worker says that it works."""
        if each in self.api:
            port = self.ports[self.api.index(each)]
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=2)
                return answer.status_code == 200
            except httpx.HTTPError:
                return False
        return b"working:" in each.log.read_bytes()[each.said :]

    def _at_rest(self) -> bool:
        with self.store.reading() as session:
            gates = session.exec(select(Gate).where(Gate.state.in_(OPEN_STATES))).all()  # type: ignore[attr-defined]
            states = set(session.exec(select(OutboxRow.state)))
        return not gates and states <= {MINED, FINAL, FAILED}

    def verify(self) -> None:
        """No order lost, none placed twice, no payment twice; chain and database agree."""
        live = dump(self.store)
        with self.store.reading() as session:
            orders = {row.order_hash: row for row in session.exec(select(OrderRow))}
            cleared = session.exec(select(ClearedOrder)).all()
            batches = {row.batch_id: row for row in session.exec(select(Batch))}
            opened = session.exec(select(ChainEvent).where(ChainEvent.name == "BatchOpened")).all()
            rows = session.exec(select(OutboxRow)).all()
            accounts = session.exec(select(Account)).all()
        placed = {h for h, message in self.acknowledged.items() if isinstance(message, BundleOrder)}
        assert placed <= orders.keys(), "an acknowledged order is lost"
        assert len({(row.maker, row.nonce) for row in orders.values()}) == len(orders), "placed twice"
        times = Counter(row.order_hash for row in cleared)
        assert set(times) <= orders.keys() and set(times.values()) <= {1}, "an order cleared twice"
        assert len(opened) == len({batch.start for batch in batches.values()}), "a batch was opened twice"
        self._no_transaction_twice(rows)
        treasury, token = Treasury(self.book, self.rpc), Token(self.book, self.rpc)
        for row in accounts:
            assert treasury.ledger(row.address) == (row.available_micro, row.locked_micro), row.address
        held = sum(row.available_micro + row.locked_micro for row in accounts)
        assert token.read("balanceOf", treasury.address) == held, "money was made or lost"
        reindex(self.store, self.rpc, self.book, self.settings)
        assert dump(self.store) == live, "the database is not what the chain says"

    def _no_transaction_twice(self, rows: Any) -> None:
        """Every transaction that succeeded for the service is one row of the outbox, and no row has two."""
        head = self.rpc.block_number()
        done: Counter[tuple[str, str]] = Counter()
        for first in range(0, head + 1, 200):
            numbers = range(first, min(first + 200, head + 1))
            blocks = self.rpc.batch([("eth_getBlockByNumber", (hex(n), True)) for n in numbers])
            sent = [
                tx
                for block in blocks
                for tx in block["transactions"]
                if tx["from"].lower() == solver().lower() and int(tx["nonce"], 16) >= self.operator.position
            ]
            receipts = self.rpc.batch([("eth_getTransactionReceipt", (tx["hash"],)) for tx in sent])
            for tx, receipt in zip(sent, receipts, strict=True):
                done[(tx["to"].lower(), tx["input"])] += int(receipt["status"], 16)
        good = Counter((row.to, "0x" + row.data.hex()) for row in rows if row.state in (MINED, FINAL))
        assert +done == good, "the chain has other transactions than the outbox"
        assert set(good.values()) <= {1}, "something was paid for twice"


def make_pool(settings: Settings) -> Any:
    """An engine on the market's database."""
    from backend.store.engine import make_engine

    return make_engine(settings)
