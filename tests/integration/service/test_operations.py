"""Workers as processes of their own, backup and restore."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from sqlmodel import select

from backend.chain.addressbook import save_book
from backend.settings import Settings
from backend.store.engine import Store, make_engine
from backend.store.identity import Organisation
from backend.store.operations import Lease
from tests.integration.service.test_api_serving import BITWATT
from tests.unit.api.market_chain import MarketChain


def bitwatt(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command."""
    return subprocess.run([BITWATT, *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_a_backup_brings_database_and_archive_back(settings: Settings, store: Store, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    (archive / "book").mkdir(parents=True)
    (archive / "book" / "x.json").write_text("{}")
    with store.writing() as session:
        session.add(Organisation(name="kept", created_at=1))
    target = tmp_path / "saved.tar.gz"
    place = ("--database-url", settings.database_url, "--archive", str(archive))
    saved = bitwatt("backup", str(target), *place)
    assert saved.returncode == 0, saved.stderr
    assert target.stat().st_mode & 0o077 == 0
    assert bitwatt("backup", str(target), *place).returncode == 1
    with store.writing() as session:
        for row in session.exec(select(Organisation)):
            session.delete(row)
    (archive / "book" / "x.json").unlink()
    store.engine.dispose()
    refused = bitwatt("restore", str(target), *place)
    assert refused.returncode == 1, "a database with tables is not replaced without a word"
    restored = bitwatt("restore", str(target), *place, "--overwrite")
    assert restored.returncode == 0, restored.stderr
    assert (archive / "book" / "x.json").read_text() == "{}"
    engine = make_engine(settings)
    with Store(engine).reading() as session:
        assert [row.name for row in session.exec(select(Organisation))] == ["kept"]
    engine.dispose()


def test_workers_share_the_tasks_and_take_over_when_one_is_killed(
    market_chain: MarketChain, settings: Settings, store: Store, tmp_path: Path
) -> None:
    save_book(market_chain.book, tmp_path / "book.json")
    command = [
        BITWATT, "worker", "--rpc", market_chain.url, "--book", str(tmp_path / "book.json"),
        "--database-url", settings.database_url, "--only", "housekeeping", "--only", "notifier",
    ]  # fmt: skip
    environment = os.environ | {"BITWATT_LEASE_SECONDS": "3"}
    log = (tmp_path / "workers.log").open("wb")
    workers = [
        subprocess.Popen(command, stdout=log, stderr=log, env=environment, stdin=subprocess.DEVNULL)
        for _ in range(2)
    ]

    def holder(task: str) -> str:
        with store.reading() as session:
            row = session.get(Lease, f"task:{task}")
            return row.holder if row else ""

    def pid(name: str) -> int:
        return int(name.split(":")[1])

    try:
        deadline = time.monotonic() + 90
        while not holder("notifier"):
            assert time.monotonic() < deadline, (tmp_path / "workers.log").read_text()[-2000:]
            time.sleep(0.1)
        first = pid(holder("notifier"))
        os.kill(first, signal.SIGKILL)
        while pid(holder("notifier")) == first:
            assert time.monotonic() < deadline + 60
            time.sleep(0.1)
        survivor = next(worker for worker in workers if worker.pid != first)
        survivor.send_signal(signal.SIGTERM)
        assert survivor.wait(timeout=60) == 0
        assert holder("notifier") == "", "a worker that ends gives its leases back"
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
        log.close()


def test_a_worker_says_what_it_lacks(tmp_path: Path) -> None:
    assert bitwatt("worker").returncode == 2
    unknown = bitwatt("worker", "--rpc", "http://127.0.0.1:1", "--only", "magic")
    assert unknown.returncode == 2 and "known are" in unknown.stderr


@pytest.mark.parametrize("command", ["worker", "backup", "restore"])
def test_help(command: str) -> None:
    assert bitwatt(command, "--help").returncode == 0
