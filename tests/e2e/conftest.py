"""A finished small market day behind the real service, and Debian's Chromium in front of it.

Set BITWATT_E2E_URL (and BITWATT_E2E_DAY, the day's folder) to use a service that already runs. Screenshots
go to .build/screenshots. Without Chromium or a built web the journeys fail; nothing is skipped.
"""

from __future__ import annotations

import json
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

from backend.chain.anvil import free_port
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
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a market day that has run to its end."""
    given = os.environ.get("BITWATT_E2E_DAY")
    if given:
        return Path(given)
    folder = tmp_path_factory.mktemp("e2e")
    runner = ROOT / "tests" / "integration" / "day_runner.py"
    with (folder / "day.log").open("wb") as log:
        ended = subprocess.run([sys.executable, runner, folder / "day"], stdout=log, stderr=log, timeout=400)
    assert ended.returncode == 0, (folder / "day.log").read_text()[-3000:]
    return folder / "day"


@pytest.fixture(scope="session")
def service(day: Path) -> Iterator[str]:
    """URL of the service: chain, committee and market day behind it are real."""
    running = os.environ.get("BITWATT_E2E_URL")
    if running:
        yield running
        return
    assert (DIST / "index.html").exists(), "the web is not built: run make web"
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("bitwatt")),
        "serve",
        "--out",
        str(day),
        "--port",
        str(port),
    ]
    with (day / "serve.log").open("wb") as log:
        served = subprocess.Popen([*command, "--frontend", str(DIST)], stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            _await(f"{url}/ready", served)
            yield url
        finally:
            served.terminate()
            served.wait(timeout=20)


@pytest.fixture(scope="session")
def keys(day: Path) -> dict[str, str]:
    """Secrets of the day's parties by name: `tenant/0`, `operator/1`, `producer/pv` ..."""
    found = json.loads((day / "keys" / "accounts.json").read_text())["keys"]
    return {name: party["secret"] for name, party in found.items()}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all journeys."""
    assert CHROMIUM, "no chromium here: `make e2e` installs it as root, scripts/install_chromium.sh says how"
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
