"""Runs the oracle committee, and asks it to attest the devices and to publish the grid's carbon."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from backend.chain.anvil import free_port
from backend.chain.clients import Oracle
from backend.day.children import bitwatt_command
from backend.day.run_state import DriverError
from backend.day.stages.chain_up import COMMITTEE
from backend.day.stages.context import OPERATOR, Context
from backend.day.stages.physics import WORKLOAD, Device, devices_of
from backend.market.domain import Book
from oracle.client import CommitteeClient
from oracle.evidence import dev_root, simulated
from oracle.evidence.document import kind_number
from oracle.node.cosign import DeviceRequest
from oracle.wire.keys import DeviceKey
from oracle.wire.publication import CarbonDocument
from oracle.wire.typed import DeviceAttestation, Publication

FEED_NAME = "main"
GRACE_SLOTS = 4
"""Slots of chain time after which an epoch is reported without the readings it lacks."""
TURN_SECONDS = 0.6
POLL_SECONDS = 0.05
_START_SECONDS = 60.0
_SIMULATED = kind_number("simulated")
_DAY_SECONDS = 86_400


class CommitteeError(DriverError):
    """The committee did not do what it was asked to."""


def measurements(context: Context) -> list[tuple[bytes, int]]:
    """The device code that the day allows: the simulated meter and workload agent."""
    return [(measurement, _SIMULATED) for _, measurement in sorted(dev_root.MEASUREMENTS.items())]


def grace_seconds(context: Context) -> int:
    """Chain time after an epoch's end until it is closed without missing readings."""
    return GRACE_SLOTS * context.day.slot_seconds


# --- processes ------------------------------------------------------------------
def node_names() -> list[str]:
    """Names of the node processes, in the order of COMMITTEE."""
    return [f"node-{number}" for number in range(len(COMMITTEE))]


def node_urls(context: Context) -> list[str]:
    """Addresses of the nodes' HTTP interfaces, in the order of COMMITTEE."""
    return [f"http://127.0.0.1:{context.state.ports[name]}" for name in node_names()]


def start(context: Context, lying: int) -> None:
    """Starts the nodes that are not running, each with its own key and store, and waits until all answer."""
    if context.state.chain.get("delivered"):
        return
    running = [name for name in node_names() if context.children.find(name)]
    for name in node_names():  # agents address their spool by these, so they last as long as the chain
        context.state.ports.setdefault(name, free_port())
    context.state.save()
    for number, name in enumerate(node_names()):
        if name in running:
            continue
        path = _write_config(context, name, COMMITTEE[number])
        fault = ("--fault", "lie") if number == lying else ()
        command = bitwatt_command("oracle-node", "--config", str(path), *fault)
        context.children.start(name, command, {"port": context.state.ports[name]})
    _await(context, lambda: all(health(url) is not None for url in node_urls(context)))


def _write_config(context: Context, name: str, member: str) -> Path:
    folder = context.out / "nodes" / name
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "key", context.keyring[member].secret.hex())
    config = {
        "key": "key",
        "store": "store.sqlite",
        "archive": str(context.archive),
        "book": str(context.out / "addresses.json"),
        "rpc": context.rpc.url,
        "host": "127.0.0.1",
        "port": context.state.ports[name],
        "nodes": node_urls(context),
        "feed": {"name": FEED_NAME, "start": context.start, "slot_seconds": context.day.slot_seconds},
        "grace_seconds": grace_seconds(context),
        "turn_seconds": TURN_SECONDS,
        "poll_seconds": POLL_SECONDS,
    }
    _write(folder / "config.json", json.dumps(config, indent=1))
    return folder / "config.json"


def _write(path: Path, text: str) -> None:
    scratch = path.with_suffix(".part")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
    scratch.replace(path)


@cache
def _http() -> httpx.Client:
    """One client for the nodes on this machine; making one costs more than asking."""
    return httpx.Client(timeout=5.0, trust_env=False)


def health(url: str) -> dict[str, Any] | None:
    """A node's account of itself, None while it does not answer."""
    try:
        answer = _http().get(f"{url}/health")
        return answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return None


def _await(context: Context, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        context.children.check()
        if time.monotonic() > deadline:
            raise CommitteeError(
                f"the committee was not ready in {_START_SECONDS:.0f} s: see {context.out / 'logs'}"
            )
        time.sleep(0.05)


# --- signatures -----------------------------------------------------------------
def _client(context: Context) -> CommitteeClient:
    return CommitteeClient(context.out / "addresses.json", context.rpc.url, node_urls(context))


def _kept(context: Context, name: str, make: Callable[[], list[bytes]]) -> list[bytes]:
    """Joined signatures as collected the first time: a restart must send the very same transactions."""
    path = context.out / "nodes" / f"{name}.json"
    if not path.exists():
        _write(path, json.dumps([signatures.hex() for signatures in make()]))
    return [bytes.fromhex(text) for text in json.loads(path.read_text())]


def device_key(context: Context, device: Device) -> DeviceKey:
    """The P-256 key of a device of the day."""
    return DeviceKey.from_seed(context.keyring.device_secret(device.meter_id))


def attest(context: Context) -> None:
    """Has every device attested by the committee and recorded on chain, through simulated quotes."""
    anchor = context.state.chain["anchor"]
    collateral = dev_root.collateral(anchor["time"] - anchor["time"] % _DAY_SECONDS)
    until = context.slot_start(context.day.slots) + _DAY_SECONDS
    nonce = bytes.fromhex(anchor["hash"][2:])
    config = Oracle(context.book, context.rpc).config_digest()
    requests = [
        _request(context, device, nonce, collateral, until, config) for device in devices_of(context.day)
    ]

    def collect() -> list[bytes]:
        return [signed.signatures for signed in _client(context).devices(requests, collateral)]

    signatures = _kept(context, "attestations", collect)
    oracle = Oracle(context.book)
    calls = [
        oracle.attest_device(made.abi_tuple(), joined)
        for (_, made), joined in zip(requests, signatures, strict=True)
    ]
    context.send("attest", OPERATOR, calls)


def _request(
    context: Context, device: Device, nonce: bytes, collateral: bytes, until: int, config: bytes
) -> tuple[DeviceRequest, DeviceAttestation]:
    """A device's evidence and the attestation it asks for, until unix second `until`."""
    key = device_key(context, device).public
    role = "workload" if device.asset_kind == WORKLOAD else "meter"
    document = simulated.attest(role, key, device.meter_id, nonce, collateral, context.chain_id)
    made = DeviceAttestation(
        device.meter_id,
        device.asset_kind,
        device.asset_id,
        key.x,
        key.y,
        dev_root.MEASUREMENTS[role],
        until,
        document.hash(),
        _SIMULATED,
        config,
    )
    return DeviceRequest(document.encode(), device.asset_kind, device.asset_id, until), made


def publish(context: Context, book: Book) -> None:
    """Has the committee publish the grid's carbon for the batch; its members archive the document."""
    rows = tuple(tuple(int(value) for value in row) for row in book.grid_carbon)
    sources = tuple(sorted({zone.carbon_key for zone in context.day.zones if zone.carbon_key}))
    document = CarbonDocument(context.start, context.day.slot_seconds, rows, sources)
    oracle = Oracle(context.book, context.rpc)
    made = Publication(context.start, document.content_hash(), oracle.config_digest())

    def collect() -> list[bytes]:
        return [_client(context).publication(document.encode()).signatures]

    joined = _kept(context, "publication", collect)
    context.send("publish", OPERATOR, [oracle.publish(made.abi_tuple(), joined[0])])
