"""A fresh Anvil for a test."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.chain.anvil import start_anvil
from backend.chain.rpc import Rpc

sys.path.insert(0, str(Path(__file__).resolve().parent))  # for the helper modules beside the tests


@pytest.fixture
def anvil_rpc(tmp_path: Path) -> Iterator[Rpc]:
    """RPC of an Anvil whose first block is at 1,500,000,000."""
    process = start_anvil(tmp_path / "anvil.log", 1_500_000_000)
    with Rpc(process.url) as rpc:
        yield rpc
    os.kill(process.pid, signal.SIGKILL)
    os.waitpid(process.pid, 0)
