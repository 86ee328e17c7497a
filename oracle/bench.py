"""`bitwatt bench oracle`: what one node does on one core, beside the bare signature check of the same bytes.

Nothing here needs a chain: a ledger in a temporary folder is given signed readings as they come over HTTP.
Both sides of the comparison run in turns in the same process, so that a busy machine slows both.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import subprocess
import sys
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
from oracle.node.tuning import tune_memory
from oracle.wire.bundle import MAX_LEAVES, decode_bundle, encode_bundle, make_report
from oracle.wire.keys import DeviceKey, keccak256, sha256
from oracle.wire.merkle import MerkleTree
from oracle.wire.reading import (
    NO_AGREEMENT,
    Envelope,
    Kind,
    Reading,
    decode_envelopes,
    decode_reading,
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
    meters: Annotated[int, typer.Option(help="meters, one reading each in every interval", min=500)] = 20_000,
    intervals: Annotated[int, typer.Option(help="intervals of 5 minutes", min=1, max=12)] = 3,
    settlement_slots: Annotated[
        int, typer.Option(help="also settle so many slots of 100 agreements on a local chain", min=0)
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Measure ingest, verification, trees and bundles of one oracle node on one core, and settlement."""
    figures = measure(meters, intervals)
    if settlement_slots:
        figures |= _settlement(settlement_slots)
    if as_json:
        print(json.dumps({"figures": figures}, indent=1, sort_keys=True))
        return
    for name, value in figures.items():
        print(f"{name:28} {value:>14,.3f}" if isinstance(value, float) else f"{name:28} {value:>14,}")


def measure(meters: int, intervals: int) -> dict[str, float]:
    """All figures; rates are per second of processor time, times in seconds of wall time.

    The devices sign in a process of their own, so that `memory_mib` is the node's.
    """
    with tempfile.TemporaryDirectory(prefix="bitwatt-bench-") as folder:
        bodies = Path(folder) / "bodies"
        signer = multiprocessing.get_context("spawn").Process(target=_sign, args=(bodies, meters, intervals))
        signer.start()
        signer.join()
        tune_memory()
        facts = _facts(bodies)
        store = Store(Path(folder) / "node.sqlite")
        figures = _ingest(Ledger(store, facts, DEV_CHAIN_ID), facts, bodies)
        figures["memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures |= _epoch(facts, Ledger(store, facts, DEV_CHAIN_ID))
        store.close()
    figures["tree_10k_s"] = _seconds(
        lambda: MerkleTree.of(keccak256(n.to_bytes(4, "big")) for n in range(MAX_LEAVES))
    )
    key = DeviceKey.from_seed(b"bench")
    figures["sign_per_s"] = 2000 / _seconds(lambda: [key.sign(b"message") for _ in range(2000)])
    return {name: round(value, 3) for name, value in figures.items()}


def _settlement(slots: int) -> dict[str, float]:
    """The figures of scripts/bench_settlement.py, which needs the repository and its contracts."""
    script = Path(__file__).resolve().parents[1] / "scripts" / "bench_settlement.py"
    if not script.is_file():
        return {}
    done = subprocess.run(
        [sys.executable, str(script), "--slots", str(slots)], capture_output=True, check=False, text=True
    )
    if done.returncode:
        raise typer.BadParameter(f"settlement could not be measured: {done.stderr[-500:]}")
    found: dict[str, float] = json.loads(done.stdout)["figures"]
    return {name: value for name, value in found.items() if name.endswith("_s")}


def _sign(folder: Path, meters: int, intervals: int) -> None:
    """Writes the devices' public keys, and their readings as the bodies of POST /readings."""
    folder.mkdir()
    keys = [DeviceKey.from_seed(number.to_bytes(4, "big")) for number in range(1, meters + 1)]
    (folder / "keys").write_bytes(b"".join(key.public.x + key.public.y for key in keys))
    registers = [0] * meters
    for interval in range(intervals):
        for first in range(0, meters, BATCH):
            envelopes = []
            for number in range(first, min(first + BATCH, meters)):
                quantity = 40_000_000 + (number * 7919 + interval * 104_729) % 9_999_991
                registers[number] += quantity
                reading = _reading(number + 1, interval, quantity, registers[number])
                envelopes.append(seal(keys[number], reading))
            (folder / f"{interval:03}-{first:07}").write_bytes(encode_envelopes(envelopes))


def _reading(meter_id: int, interval: int, quantity: int, register: int) -> Reading:
    start = START + interval * INTERVAL
    end = start + INTERVAL
    kind = Kind.GENERATION
    return Reading(DEV_CHAIN_ID, meter_id, kind, NO_AGREEMENT, interval, start, end, quantity, register)


def _facts(bodies: Path) -> Facts:
    """A registry of plants with one meter each."""
    facts = Facts(feed_id("bench"))
    keys = (bodies / "keys").read_bytes()
    for meter_id in range(1, len(keys) // 64 + 1):
        x, y = keys[64 * meter_id - 64 : 64 * meter_id - 32], keys[64 * meter_id - 32 : 64 * meter_id]
        plant = {"plantId": meter_id, "zoneId": 0, "nameplateW": PLANT_W, "source": 1}
        facts.apply("PlantAdded", plant)
        record = (x, y, bytes(32), sha256(x), START * 2, meter_id, 2, 0)
        facts.apply("DeviceRecorded", {"meterId": meter_id, "device": record})
    return facts


def _ingest(ledger: Ledger, facts: Facts, bodies: Path) -> dict[str, float]:
    """POST bodies to accepted, stored readings; and the bare check of the same signatures, body by body.

    What was reported leaves the ledger before the next interval comes, as in a running node.
    """
    ours = bare = booking = 0.0
    count = 0
    interval = 0
    for path in sorted(bodies.glob("*-*")):
        if int(path.name[:3]) != interval:
            with _processor_time() as spent:
                ledger.book(interval, list(ledger.open))
            booking += spent[0]
            interval += 1
        body = path.read_bytes()
        prepared = [
            _prepared(facts.devices[decode_reading(e.payload).meter_id], e) for e in decode_envelopes(body)
        ]
        count += len(prepared)
        with _processor_time() as spent:
            for key, signature, payload in prepared:
                key.verify(signature, payload, _ES256)
        bare += spent[0]
        del prepared
        with _processor_time() as spent:
            receipt = ledger.take(decode_envelopes(body), START + (interval + 1) * INTERVAL)
        ours += spent[0]
        assert not receipt.refused and not receipt.duplicates, receipt.refused[:3]
    return {
        "readings": count,
        "meters": len(facts.devices),
        "readings_per_s": count / ours,
        "bare_verify_per_s": count / bare,
        "share_of_bare_verify": bare / ours,
        "interval_share_of_one_core": (ours + booking) / INTERVAL * (100_000 / count),
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
    due = ledger.due(START * 2)[:MAX_LEAVES]
    end = START + INTERVAL
    times: dict[str, float] = {}
    with _wall_time(times, "bundle_s"):
        bundle, leaves = build_bundle(facts, DEV_CHAIN_ID, 0, START, end, due, ledger.history)
        encoded = encode_bundle(bundle)
    with _wall_time(times, "report_s"):
        make_report(bundle, encoded, leaves, bytes(32), bytes(32), bytes(32))
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
