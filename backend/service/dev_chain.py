"""Chains on this machine for development: a fresh one, or a finished market day brought back to life."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coincurve import PrivateKey

from backend.chain.addressbook import AddressBook, load_book
from backend.chain.anvil import STATE_FILE, anvil_command, await_anvil, free_port, give_gas_money
from backend.chain.clients import Registry
from backend.chain.deploy import DeploySettings, deploy
from backend.chain.eip712 import address_of
from backend.chain.errors import ChainError
from backend.chain.plan import Sender
from backend.chain.rpc import Rpc
from backend.service.signers import dev_secret

DEV_CHAIN_ID = 31337
ZONES = ("north", "east", "west")
TICK_SECONDS = 5.0
CLASSES = ("gpu-training", "gpu-inference", "npu", "cpu")


class NotServable(Exception):
    """A folder that holds no market day, or one whose chain is gone."""


@contextmanager
def _anvil(genesis: int) -> Iterator[str]:
    """An Anvil that ends with the block; its RPC URL."""
    port = free_port()
    with tempfile.TemporaryFile() as log:
        command = [*anvil_command(port, genesis), "--no-request-size-limit"]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            url = f"http://127.0.0.1:{port}"
            await_anvil(url, lambda: process.poll() is None)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=10)


@contextmanager
def fresh_chain() -> Iterator[tuple[str, AddressBook]]:
    """A new chain on the wall clock with the contracts, a few zones and classes: its URL and address book."""
    with _anvil(int(time.time())) as url, Rpc(url) as rpc:
        rpc.call("anvil_removeBlockTimestampInterval")
        members = sorted(
            (address_of(PrivateKey(dev_secret(f"member/{n}")).public_key) for n in range(4)), key=str.lower
        )
        operator = Sender(rpc, dev_secret("operator"), DEV_CHAIN_ID, 0)
        give_gas_money(rpc, [operator.address])
        book, _ = deploy(operator, DEV_CHAIN_ID, DeploySettings(tuple(members), 3))
        operator.errors = book.errors
        registry = Registry(book)
        operator.send(
            [registry.set_solver(operator.address), registry.set_operator(operator.address)]
            + [registry.add_zone(number, name) for number, name in enumerate(ZONES)]
            + [registry.add_class(number, name) for number, name in enumerate(CLASSES)]
        )
        stop = threading.Event()
        clock = threading.Thread(target=_tick, args=(url, stop), name="dev-clock", daemon=True)
        clock.start()
        try:
            yield url, book
        finally:
            stop.set()
            clock.join(timeout=5)


def _tick(url: str, stop: threading.Event) -> None:
    """Mines a block now and then, so that the chain's clock goes on while nobody trades."""
    with Rpc(url, timeout_seconds=5) as rpc:
        while not stop.wait(TICK_SECONDS):
            try:
                rpc.call("evm_mine")
            except ChainError:
                return


@contextmanager
def finished_day(out: Path) -> Iterator[tuple[str, AddressBook]]:
    """The chain of a market day's folder, still running or brought back from its saved state.

    Raises NotServable when there is neither.
    """
    book_path = out / "archive" / "addresses.json"
    run_path = out / "run.json"
    if not book_path.exists() or not run_path.exists():
        raise NotServable(f"{out} holds no market day: run `bitwatt demo --out {out}` first")
    book = load_book(book_path)
    chain = json.loads(run_path.read_text(encoding="utf-8")).get("chain", {})
    if chain.get("url") and _is_alive(chain):
        yield str(chain["url"]), book
        return
    state = out / STATE_FILE
    if not state.exists():
        raise NotServable(
            f"the chain of {out} has ended and {state} is missing: run the day again in a new folder"
        )
    with _anvil(int(chain.get("start", 0))) as url, Rpc(url) as rpc:
        rpc.call("anvil_loadState", "0x" + state.read_bytes().hex())
        yield url, book


def _is_alive(chain: dict[str, object]) -> bool:
    """Whether the recorded node answers and is on the recorded chain."""
    anchor = chain.get("anchor")
    if not isinstance(anchor, dict):
        return False
    try:
        with Rpc(str(chain["url"]), timeout_seconds=5) as rpc:
            block = rpc.call("eth_getBlockByNumber", anchor["number"], False)
    except ChainError:
        return False
    return bool(block) and block["hash"] == anchor["hash"]
