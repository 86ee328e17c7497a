"""Anvil as a child process, and control of a development chain's clock and balances."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backend.chain.errors import ChainError, RpcError, RpcUnavailable
from backend.chain.rpc import Rpc

STATE_FILE = "chain.state"
"""What a market day's folder calls the state of the chain it ran on."""

_START_SECONDS = 20.0
_NATIVE = Path("node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil")


def anvil_binary() -> str:
    """Path of the native Anvil: $BITWATT_ANVIL, the locked npm package, or PATH."""
    named = os.environ.get("BITWATT_ANVIL")
    packaged = Path(__file__).resolve().parents[2] / _NATIVE
    found = named or (str(packaged) if packaged.exists() else shutil.which("anvil"))
    if not found:
        raise ChainError("anvil is not installed: run `make setup`, or name it in BITWATT_ANVIL")
    return found


def free_port() -> int:
    """A TCP port on 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class AnvilProcess:
    """A running Anvil."""

    pid: int
    url: str


def anvil_command(port: int, genesis_timestamp: int) -> list[str]:
    """The command of an Anvil on 127.0.0.1 whose first block is at `genesis_timestamp`.

    Blocks have no gas limit (each transaction still has EIP-7825's), transactions are taken in order of
    arrival, and gas is free, so that runs repeat.
    """
    return [
        anvil_binary(), "--silent", "--port", str(port), "--timestamp", str(genesis_timestamp),
        "--accounts", "1", "--order", "fifo", "--base-fee", "0", "--disable-block-gas-limit",
    ]  # fmt: skip


def await_anvil(url: str, alive: Callable[[], bool]) -> None:
    """Waits until Anvil answers and sets one second per block; raises ChainError when it does not come up."""
    deadline = time.monotonic() + _START_SECONDS
    with Rpc(url) as rpc:
        while time.monotonic() < deadline and alive():
            try:
                rpc.chain_id()
                DevClock(rpc).tick_one_second_per_block()
                return
            except RpcUnavailable:
                time.sleep(0.05)
    raise ChainError(f"anvil did not answer at {url}")


def start_anvil(log: Path, genesis_timestamp: int, port: int | None = None) -> AnvilProcess:
    """Starts Anvil and awaits it; raises ChainError when it does not come up."""
    port = port or free_port()
    with log.open("ab") as stream:
        process = subprocess.Popen(
            anvil_command(port, genesis_timestamp),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        await_anvil(url, lambda: process.poll() is None)
    except ChainError:
        process.kill()
        raise
    return AnvilProcess(process.pid, url)


class DevClock:
    """The clock of a development chain, which stands still unless it is moved or a block is mined."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def tick_one_second_per_block(self) -> None:
        """Every further block is one second after the one before it."""
        self._rpc.call("anvil_setBlockTimestampInterval", 1)

    def now(self) -> int:
        """Timestamp of the latest block, unix seconds."""
        return self._rpc.timestamp()

    def advance_to(self, timestamp: int) -> int:
        """Mines a block at `timestamp` unless the chain is already there; returns the chain's time."""
        now = self.now()
        if now >= timestamp:
            return now
        try:
            self._rpc.call("evm_setNextBlockTimestamp", timestamp)
            self._rpc.call("evm_mine")
        except RpcError as error:
            raise ChainError(f"the node's clock cannot be set ({error}): use an Anvil chain") from error
        return self.now()


def give_gas_money(rpc: Rpc, accounts: list[str], wei: int = 10**24) -> None:
    """Sets the native balance of `accounts` on a development chain."""
    for answer in rpc.batch([("anvil_setBalance", [account, hex(wei)]) for account in accounts]):
        if isinstance(answer, RpcError):
            raise ChainError(f"the node does not let balances be set ({answer}): use an Anvil chain")


def save_state(rpc: Rpc, path: Path) -> None:
    """Writes the whole state of a development chain (blocks, logs, accounts), whole or not at all."""
    state: str = rpc.call("anvil_dumpState")
    scratch = path.with_suffix(".part")
    scratch.write_bytes(bytes.fromhex(state[2:]))
    scratch.replace(path)
