"""A finished small market day behind the real service, and Debian's Chromium in front of it.

Set BITWATT_E2E_URL to use a service that already runs. Screenshots go to .build/screenshots.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from backend.chain.anvil import await_anvil, free_port
from tests.e2e.browser import ROOT, Visitor

CHROMIUM = shutil.which("chromium")
DIST = ROOT / "frontend" / "dist"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the journeys, with the reason, where they cannot run."""
    missing = None
    if CHROMIUM is None:
        missing = "no chromium here: install Debian's package (make e2e does it as root)"
    elif not (DIST / "index.html").exists():
        missing = "the web is not built: run make web"
    for item in items:
        if missing and "e2e" in item.path.parts:
            item.add_marker(pytest.mark.skip(reason=missing))


def _await(url: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the service: chain, committee and market day behind it are real."""
    running = os.environ.get("BITWATT_E2E_URL")
    if running:
        yield running
        return
    folder = tmp_path_factory.mktemp("e2e")
    port, rpc_port = free_port(), free_port()
    rpc = f"http://127.0.0.1:{rpc_port}"
    anvil = f"anvil --silent --port {rpc_port} --timestamp 1508112000 --accounts 3 --order fifo --base-fee 0"
    processes: list[subprocess.Popen[bytes]] = []
    with (folder / "log").open("wb") as log:
        try:
            chain = subprocess.Popen([*anvil.split(), "--disable-block-gas-limit"], stdout=log, stderr=log)
            processes.append(chain)
            await_anvil(rpc, lambda: chain.poll() is None)
            day = folder / "day"
            runner = ROOT / "tests" / "integration" / "day_runner.py"
            subprocess.run(
                [sys.executable, runner, day, rpc], stdout=log, stderr=log, check=True, timeout=240
            )
            command = [str(Path(sys.executable).with_name("bitwatt")), "serve", "--rpc", rpc]
            command += ["--book", str(day / "addresses.json"), "--archive", str(day / "archive")]
            command += ["--database-url", f"sqlite:///{folder}/store.db", "--port", str(port)]
            served = subprocess.Popen([*command, "--frontend", str(DIST)], stdout=log, stderr=log)
            processes.append(served)
            url = f"http://127.0.0.1:{port}"
            _await(f"{url}/ready", served)
            yield url
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(timeout=20)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all journeys."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visitor(browser: Browser, service: str) -> Iterator[Visitor]:
    """Opens pages; fails the test when a page complained, unless the test cleared the complaints."""
    guest = Visitor(browser, service)
    yield guest
    guest.close()
    assert guest.complaints == []
