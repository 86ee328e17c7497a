"""The archive bundle of one epoch: everything that stands under a report, in one deterministic CBOR map.

archiveHash of the report is the bundle's sha256. A bundle is complete: keys, readings and outcomes are in it,
and trees, totals and roots follow from it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from oracle.wire import cbor
from oracle.wire.errors import WireError
from oracle.wire.keys import DevicePublicKey, keccak256, sha256
from oracle.wire.merkle import MerkleTree
from oracle.wire.outcomes import outcome_leaf
from oracle.wire.reading import Envelope, Leaf, decode_reading
from oracle.wire.typed import TOTALS, Report

DOMAIN = "bitwatt/bundle/1"
MAX_LEAVES = 10_000
MAX_MACHINES = 1_000


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """The key that signed some of the readings, and the sha256 of the evidence that attested it."""

    meter_id: int
    x: bytes
    y: bytes
    evidence_hash: bytes

    @property
    def key_id(self) -> bytes:
        """keccak256(x || y)."""
        return keccak256(self.x + self.y)


@dataclass(frozen=True, slots=True)
class Entry:
    """One reading as it was signed, the committee's quality, and the index of its key in `Bundle.devices`."""

    envelope: Envelope
    quality: int
    device: int


@dataclass(frozen=True, slots=True)
class OutcomeEntry:
    """Packed outcomes of one chunk in one slot."""

    batch_id: int
    chunk_index: int
    slot: int
    packed: bytes

    def leaf(self) -> bytes:
        """Its leaf hash in the outcomes tree."""
        return outcome_leaf(self.batch_id, self.chunk_index, self.slot, self.packed)


@dataclass(frozen=True, slots=True)
class Bundle:
    """One epoch of one feed. Build it with `make_bundle`, which brings it into its one order."""

    chain_id: int
    feed_id: bytes
    epoch: int
    start: int
    end: int
    devices: tuple[DeviceRecord, ...]
    entries: tuple[Entry, ...]
    outcomes: tuple[OutcomeEntry, ...]
    machines: tuple[Envelope, ...] = ()

    def leaves(self) -> list[Leaf]:
        """The leaves of the entries, in bundle order; raises WireError for a malformed payload."""
        key_ids = [device.key_id for device in self.devices]
        return [
            Leaf(
                decode_reading(entry.envelope.payload),
                entry.quality,
                key_ids[entry.device],
                self.devices[entry.device].evidence_hash,
                entry.envelope.payload_hash,
            )
            for entry in self.entries
        ]

    def public_keys(self) -> list[DevicePublicKey]:
        """The device keys, by the index the entries use."""
        return [DevicePublicKey(device.x, device.y) for device in self.devices]

    def report(self, policy_hash: bytes, prev_hash: bytes, config_digest: bytes) -> Report:
        """The report this bundle deserves: its roots, totals and hash follow from the bundle alone."""
        return make_report(self, encode_bundle(self), self.leaves(), policy_hash, prev_hash, config_digest)


def make_report(
    bundle: Bundle,
    encoded: bytes,
    leaves: Sequence[Leaf],
    policy_hash: bytes,
    prev_hash: bytes,
    config_digest: bytes,
) -> Report:
    """The report of a bundle whose encoding and leaves (in any order) are at hand."""
    return Report(
        feed_id=bundle.feed_id,
        epoch=bundle.epoch,
        start=bundle.start,
        end=bundle.end,
        root=MerkleTree.of(leaf.hash() for leaf in leaves).root,
        count=len(leaves),
        totals=totals(leaves),
        outcomes_root=MerkleTree.of(outcome.leaf() for outcome in bundle.outcomes).root,
        evidence_root=evidence_root(device.evidence_hash for device in bundle.devices),
        policy_hash=policy_hash,
        archive_hash=sha256(encoded),
        prev_hash=prev_hash,
        config_digest=config_digest,
    )


def totals(leaves: Iterable[Leaf]) -> tuple[int, ...]:
    """Sum of quantities by kind / 1000, rounded down: Wh, resource-seconds for kind 4; index 0 is 0."""
    sums = [0] * TOTALS
    for leaf in leaves:
        sums[leaf.reading.kind] += leaf.reading.quantity
    return tuple(value // 1000 for value in sums)


def evidence_root(evidence_hashes: Iterable[bytes]) -> bytes:
    """Root of the standard tree over keccak(keccak(evidenceHash)) of the distinct evidence documents."""
    return MerkleTree.of(keccak256(keccak256(item)) for item in set(evidence_hashes)).root


def make_bundle(
    chain_id: int,
    feed_id: bytes,
    epoch: int,
    start: int,
    end: int,
    entries: Iterable[tuple[Envelope, int, DeviceRecord]],
    outcomes: Iterable[OutcomeEntry],
    machines: Iterable[Envelope] = (),
) -> Bundle:
    """The bundle of (envelope, quality, device) entries, outcomes and machines, in its one order."""
    items = list(entries)
    if len(items) > MAX_LEAVES:
        raise WireError(
            "bundle.entries", f"{len(items)} readings", f"an epoch holds at most {MAX_LEAVES}; add a feed"
        )
    records = {(device.meter_id, device.x, device.y): device for _, _, device in items}
    devices = tuple(records[key] for key in sorted(records))
    index = {(device.meter_id, device.x, device.y): number for number, device in enumerate(devices)}
    indexed = [
        Entry(envelope, quality, index[device.meter_id, device.x, device.y])
        for envelope, quality, device in items
    ]
    indexed.sort(key=lambda entry: (entry.device, entry.envelope.payload))
    ordered = sorted(outcomes, key=_outcome_key)
    registered = tuple(sorted(machines))
    return Bundle(chain_id, feed_id, epoch, start, end, devices, tuple(indexed), tuple(ordered), registered)


def _outcome_key(outcome: OutcomeEntry) -> tuple[int, int, int]:
    return outcome.batch_id, outcome.chunk_index, outcome.slot


_KEYS = (list(range(9)), list(range(10)))


def encode_bundle(bundle: Bundle) -> bytes:
    """The deterministic encoding of `bundle`; key 9 is there only where machines are."""
    machines: dict[int, cbor.Value] = {9: [list(item) for item in bundle.machines]} if bundle.machines else {}
    return cbor.encode(
        {
            0: DOMAIN,
            1: bundle.chain_id,
            2: bundle.feed_id,
            3: bundle.epoch,
            4: bundle.start,
            5: bundle.end,
            6: [[device.meter_id, device.x, device.y, device.evidence_hash] for device in bundle.devices],
            7: [
                [entry.envelope.payload, entry.envelope.signature, entry.quality, entry.device]
                for entry in bundle.entries
            ],
            8: [
                [outcome.batch_id, outcome.chunk_index, outcome.slot, outcome.packed]
                for outcome in bundle.outcomes
            ],
            **machines,
        }
    )


def decode_bundle(data: bytes) -> Bundle:
    """The bundle in `data`; raises WireError unless it is well-formed, deterministic and in its one order."""
    table = cbor.decode(data)
    if not isinstance(table, dict) or list(table) not in _KEYS or table[0] != DOMAIN:
        raise WireError("bundle", f"is not a {DOMAIN!r} map")
    devices = tuple(
        DeviceRecord(_int(row[0]), _word(row[1]), _word(row[2]), _word(row[3])) for row in _rows(table[6], 4)
    )
    entries = tuple(_entry(row, len(devices)) for row in _rows(table[7], 4))
    outcomes = tuple(
        OutcomeEntry(_int(row[0]), _int(row[1]), _int(row[2]), _bytes(row[3])) for row in _rows(table[8], 4)
    )
    bundle = Bundle(
        _int(table[1]),
        _word(table[2]),
        _int(table[3]),
        _int(table[4]),
        _int(table[5]),
        devices,
        entries,
        outcomes,
        _machines(table[9]) if 9 in table else (),
    )
    _check_order(bundle)
    return bundle


def _entry(row: Sequence[cbor.Value], devices: int) -> Entry:
    signature, quality, device = _bytes(row[1]), _int(row[2]), _int(row[3])
    if len(signature) != 64:
        raise WireError("bundle.entry.signature", f"{len(signature)} bytes where 64 are due")
    if quality > 4:
        raise WireError("bundle.entry.quality", f"{quality} is not a quality")
    if device >= devices:
        raise WireError("bundle.entry.device", f"{device} is not in the table of {devices} devices")
    return Entry(Envelope(_bytes(row[0]), signature), quality, device)


def _machines(table: cbor.Value) -> tuple[Envelope, ...]:
    rows = [Envelope(_bytes(row[0]), _bytes(row[1])) for row in _rows(table, 2)]
    if not 0 < len(rows) <= MAX_MACHINES or any(len(row.signature) != 64 for row in rows):
        raise WireError("bundle.machines", f"are not 1 to {MAX_MACHINES} signed documents")
    return tuple(rows)


def _check_order(bundle: Bundle) -> None:
    """Raises WireError unless devices, entries and outcomes stand in their one order without repetition."""
    orders: tuple[tuple[str, list[tuple[object, ...]]], ...] = (
        ("devices", [(device.meter_id, device.x, device.y) for device in bundle.devices]),
        ("entries", [(entry.device, entry.envelope.payload) for entry in bundle.entries]),
        ("outcomes", [_outcome_key(outcome) for outcome in bundle.outcomes]),
        ("machines", [(machine.payload,) for machine in bundle.machines]),
    )
    for name, keys in orders:
        for index in range(1, len(keys)):
            if not keys[index - 1] < keys[index]:
                raise WireError(f"bundle.{name}[{index}]", "is out of order or repeated")
    if {entry.device for entry in bundle.entries} != set(range(len(bundle.devices))):
        raise WireError("bundle.devices", "a device is listed that signed nothing here")


def _rows(value: cbor.Value, width: int) -> list[list[cbor.Value]]:
    if not isinstance(value, list) or any(not isinstance(row, list) or len(row) != width for row in value):
        raise WireError("bundle", f"a table whose rows have {width} columns is due")
    return value


def _int(value: cbor.Value) -> int:
    if not isinstance(value, int):
        raise WireError("bundle", f"{value!r} is no integer")
    return value


def _bytes(value: cbor.Value) -> bytes:
    if not isinstance(value, bytes):
        raise WireError("bundle", f"{value!r} is no byte string")
    return value


def _word(value: cbor.Value) -> bytes:
    data = _bytes(value)
    if len(data) != 32:
        raise WireError("bundle", f"{len(data)} bytes where 32 are due")
    return data
