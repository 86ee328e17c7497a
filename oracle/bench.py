"""`bitwatt bench oracle`: what one node does on one core, beside the bare signature check of the same bytes.

Nothing here needs a chain: a ledger in a temporary folder is given signed readings as they come over HTTP.
Both sides of the comparison run in turns in the same process, so that a busy machine slows both.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from oracle.evidence.verify import DEV_CHAIN_ID
from oracle.node.expect import build_bundle
from oracle.node.facts import Device, Facts
from oracle.node.ledger import Ledger
from oracle.node.store import Store
from oracle.wire.bundle import MAX_LEAVES, decode_bundle, encode_bundle, make_report
from oracle.wire.keys import DeviceKey, keccak256, sha256
from oracle.wire.merkle import MerkleTree
from oracle.wire.reading import (
    NO_AGREEMENT,
    Envelope,
    Kind,
    Reading,
    decode_envelopes,
    encode_envelopes,
    seal,
)
from oracle.wire.typed import feed_id

START, INTERVAL = 1_508_198_400, 300
BATCH = 500
PLANT_W = 1_000_000
_ES256 = ec.ECDSA(hashes.SHA256())

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)


@app.callback()
def oracle(
    meters: Annotated[int, typer.Option(help="meters, one reading each", min=500)] = 20_000,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Measure ingest, verification, trees and bundles of one oracle node on one core."""
    figures = measure(meters)
    if as_json:
        print(json.dumps({"figures": figures}, indent=1, sort_keys=True))
        return
    for name, value in figures.items():
        print(f"{name:28} {value:>14,.3f}" if isinstance(value, float) else f"{name:28} {value:>14,}")


def measure(meters: int) -> dict[str, float]:
    """All figures; rates are per second of processor time, times in seconds of wall time."""
    facts, keys = _facts(meters)
    with tempfile.TemporaryDirectory(prefix="bitwatt-bench-") as folder:
        store = Store(Path(folder) / "node.sqlite")
        figures = _ingest(Ledger(store, facts, DEV_CHAIN_ID), facts, keys)
        figures |= _epoch(facts, Ledger(store, facts, DEV_CHAIN_ID))
        store.close()
    figures["tree_10k_s"] = _seconds(
        lambda: MerkleTree.of(keccak256(n.to_bytes(4, "big")) for n in range(MAX_LEAVES))
    )
    figures["sign_per_s"] = 2000 / _seconds(lambda: [keys[0].sign(b"message") for _ in range(2000)])
    figures["memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {name: round(value, 3) for name, value in figures.items()}


def _facts(meters: int) -> tuple[Facts, list[DeviceKey]]:
    """A registry of plants with one meter each, and their keys."""
    facts = Facts(feed_id("bench"))
    keys = []
    for meter_id in range(1, meters + 1):
        key = DeviceKey.from_seed(meter_id.to_bytes(4, "big"))
        keys.append(key)
        plant = {"plantId": meter_id, "zoneId": 0, "nameplateW": PLANT_W, "source": 1}
        facts.apply("PlantAdded", plant)
        record = (key.public.x, key.public.y, bytes(32), sha256(key.public.x), START * 2, meter_id, 2, 0)
        facts.apply("DeviceRecorded", {"meterId": meter_id, "device": record})
    return facts, keys


def _reading(meter_id: int) -> Reading:
    quantity = 50_000_000 + meter_id
    return Reading(
        DEV_CHAIN_ID, meter_id, Kind.GENERATION, NO_AGREEMENT, 0, START, START + INTERVAL, quantity, quantity
    )


def _bodies(keys: list[DeviceKey]) -> Iterator[bytes]:
    for first in range(0, len(keys), BATCH):
        part = keys[first : first + BATCH]
        yield encode_envelopes(seal(key, _reading(first + offset + 1)) for offset, key in enumerate(part))


def _ingest(ledger: Ledger, facts: Facts, keys: list[DeviceKey]) -> dict[str, float]:
    """POST bodies to accepted, stored readings; and the bare check of the same signatures, body by body."""
    ours = bare = 0.0
    count = 0
    for body in _bodies(keys):
        envelopes = decode_envelopes(body)
        count += len(envelopes)
        prepared = [
            _prepared(facts.devices[count - len(envelopes) + n + 1], e) for n, e in enumerate(envelopes)
        ]
        with _processor_time() as spent:
            for key, signature, payload in prepared:
                key.verify(signature, payload, _ES256)
        bare += spent[0]
        with _processor_time() as spent:
            receipt = ledger.take(decode_envelopes(body), START + INTERVAL)
        ours += spent[0]
        assert receipt.accepted == len(envelopes), receipt.refused[:3]
    return {
        "readings": count,
        "readings_per_s": count / ours,
        "bare_verify_per_s": count / bare,
        "share_of_bare_verify": bare / ours,
        "interval_share_of_one_core": ours / INTERVAL * (100_000 / count),
    }


def _prepared(device: Device, envelope: Envelope) -> tuple[ec.EllipticCurvePublicKey, bytes, bytes]:
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(device.key.x, "big"), int.from_bytes(device.key.y, "big"), ec.SECP256R1()
    )
    r, s = envelope.signature[:32], envelope.signature[32:]
    der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    return numbers.public_key(), der, envelope.payload


def _epoch(facts: Facts, ledger: Ledger) -> dict[str, float]:
    """From accepted readings to a report, for the largest epoch a tree may hold."""
    end = START + INTERVAL
    due = ledger.due(end)[:MAX_LEAVES]
    times: dict[str, float] = {}
    with _wall_time(times, "bundle_s"):
        bundle = build_bundle(facts, DEV_CHAIN_ID, 0, START, end, due)
        encoded = encode_bundle(bundle)
    with _wall_time(times, "report_s"):
        make_report(bundle, encoded, [item.leaf() for item in due], bytes(32), bytes(32), bytes(32))
    with _wall_time(times, "bundle_decode_s"):
        decode_bundle(encoded)
    return {"epoch_readings": len(due), "bundle_mib": len(encoded) / (1 << 20), **times}


@contextmanager
def _processor_time() -> Iterator[list[float]]:
    spent = [0.0]
    begin = time.process_time()
    yield spent
    spent[0] = time.process_time() - begin


@contextmanager
def _wall_time(times: dict[str, float], name: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    times[name] = time.perf_counter() - begin


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
