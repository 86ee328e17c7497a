"""Writes the wire-format vectors of the oracle: `python tests/vectors/generate_oracle.py`.

The files are frozen. Run this only when the wire format changes, and read the difference before committing.
Hashes that another implementation can compute (ABI words, EIP-712) are computed by that implementation.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from eth_abi import encode as abi_encode
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from oracle.evidence import dev_root
from oracle.evidence.simulated import attest
from oracle.wire import bundle, merkle, outcomes, pack, publication, typed
from oracle.wire.keys import DeviceKey, address_of, join_signatures, sha256, sign_digest
from oracle.wire.machine import Machine, sign_machine
from oracle.wire.reading import Leaf, Reading, encode_envelope, seal

HERE = Path(__file__).parent
CHAIN, CONTRACT, START = 31337, "0x5fbdb2315678afecb367f032d93f642f64180aa3", 1_508_198_400
MEMBER = sha256(b"bitwatt/test/member")
LEAF_TYPES = ["uint256"] * 9 + ["bytes32"] * 3


def hexed(value: object) -> object:
    """JSON form: bytes as 0x hex, integers beyond 2**53 as decimal text."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1 << 53:
        return str(value)
    if isinstance(value, dict):
        return {str(key): hexed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hexed(item) for item in value]
    return value


def write(name: str, content: object) -> None:
    """Writes one vector file."""
    (HERE / name).write_text(json.dumps(hexed(content), indent=1, sort_keys=True) + "\n")


def readings() -> list[Reading]:
    """Readings that reach every length of the integer encoding."""
    job = outcomes.agreement_bytes(1, 2, 3)
    return [
        Reading(CHAIN, 1, 1, bytes(32), 0, START, START + 900, 0, 0),
        Reading(CHAIN, 23, 2, bytes(32), 24, START, START + 900, 255, 256),
        Reading(CHAIN, 70_000, 3, job, 1, START, START + 900, 65_536, 4_294_967_296),
        Reading(CHAIN, 4_294_967_295, 4, job, 2, START, START + 900, 7_200_000, 7_200_000, 1),
        Reading(1, 9, 7, b"\xff" * 32, 2**64 - 1, 1, 2, 2**53, 2**64 - 1, 4),
    ]


def reading_vectors() -> list[Leaf]:
    """Payload, signature, envelope, leaf words and leaf hash of each reading."""
    rows, leaves = [], []
    for number, reading in enumerate(readings()):
        key = DeviceKey.from_seed(f"vector {number}".encode())
        envelope = seal(key, reading)
        evidence_hash = sha256(f"evidence {number}".encode())
        leaf = Leaf(reading, reading.quality, key.public.key_id, evidence_hash, envelope.payload_hash)
        leaves.append(leaf)
        agreement = int.from_bytes(reading.agreement_id, "big")
        values = [reading.kind, reading.meter_id, agreement, reading.seq, reading.start, reading.end]
        values += [reading.quantity, reading.register, leaf.quality]
        words = abi_encode(LEAF_TYPES, [*values, leaf.key_id, leaf.evidence_hash, leaf.payload_hash])
        rows.append(
            {
                "secret": key.secret.to_bytes(32, "big"),
                "x": key.public.x,
                "y": key.public.y,
                "reading": reading._asdict(),
                "payload": envelope.payload,
                "signature": envelope.signature,
                "envelope": encode_envelope(envelope),
                "evidence_hash": evidence_hash,
                "key_id": leaf.key_id,
                "payload_hash": leaf.payload_hash,
                "leaf_words": words,
                "leaf": keccak(keccak(words)),
            }
        )
    write("readings.json", rows)
    return leaves


def merkle_vectors(leaves: list[bytes]) -> None:
    """Trees of 0 to 7 leaves with every proof and one multiproof."""
    rows = []
    pool = [*leaves, keccak(b"six"), keccak(b"seven")]
    for count in range(len(pool) + 1):
        tree = merkle.MerkleTree.of(pool[:count])
        multi = tree.multiproof(pool[:count:2]) if count else None
        rows.append(
            {
                "leaves": pool[:count],
                "root": tree.root,
                "proofs": [tree.proof(leaf) for leaf in pool[:count]],
                "multiproof": asdict(multi) if multi else None,
            }
        )
    write("merkle.json", rows)


def fields(text: str) -> list[dict[str, str]]:
    """EIP-712 field list of a type string."""
    pairs = (part.split(" ") for part in text[text.index("(") + 1 : -1].split(","))
    return [{"type": kind, "name": name} for kind, name in pairs]


def typed_vectors(leaves: list[Leaf]) -> None:
    """Digests and signatures of the three structs, computed by eth-account."""
    root = merkle.MerkleTree.of(leaf.hash() for leaf in leaves).root
    report = typed.Report(
        typed.feed_id("main"), 5, START + 4500, START + 5400, root, len(leaves), bundle.totals(leaves),
        keccak(b"outcomes"), keccak(b"evidence"), keccak(b"policy"), sha256(b"archive"), keccak(b"prev"),
        keccak(b"config"),
    )  # fmt: skip
    device = typed.DeviceAttestation(
        7, 1, 3, sha256(b"x"), sha256(b"y"), sha256(b"m"), START, sha256(b"e"), 0, keccak(b"config")
    )
    published = typed.Publication(START, keccak(b"content"), keccak(b"config"))
    rows = {}
    for name, kind, value in (
        ("Report", typed.REPORT_TYPE, report),
        ("DeviceAttestation", typed.DEVICE_ATTESTATION_TYPE, device),
        ("Publication", typed.PUBLICATION_TYPE, published),
    ):
        members = fields(kind)
        message = dict(zip([member["name"] for member in members], value.abi_tuple(), strict=True))
        domain = {"name": "BitWatt Oracle", "version": "1", "chainId": CHAIN, "verifyingContract": CONTRACT}
        signable = encode_typed_data(domain, {name: members}, message)
        digest = keccak(b"\x19\x01" + signable.header + signable.body)
        rows[name] = {
            "message": message,
            "struct_hash": signable.body,
            "domain_separator": signable.header,
            "digest": digest,
            "signature": sign_digest(MEMBER, digest),
        }
    write(
        "typed.json", {"chain_id": CHAIN, "contract": CONTRACT, "signer": address_of(MEMBER), "structs": rows}
    )


def outcome_vectors() -> None:
    """One slot: a short site with storage, a short plant, an import below the IT sum, a missing reading."""
    runs = [
        outcomes.RunPosition(0, 0, 1, 0, 1, 10, 110),
        outcomes.RunPosition(0, 2, 1, 0, 0, 4, 110),
        outcomes.RunPosition(1, 0, 2, 0, 1, 3, 95),
        outcomes.RunPosition(1, 1, 2, 1, 1, 2, 95),
    ]
    ids = [outcomes.agreement_id(1, run.chunk_index, run.run_index) for run in runs]
    positions = [
        outcomes.PlantPosition(1, 0, 900),
        outcomes.PlantPosition(2, 0, 485),
        outcomes.PlantPosition(3, 1, 190),
    ]
    readings = outcomes.SlotReadings(
        it_energy_mwh={ids[0]: 910_000, ids[1]: 360_001, ids[2]: 200_000},
        compute_ms={ids[0]: 9_000_000, ids[1]: 3_599_999, ids[2]: 2_099_999, ids[3]: 0},
        import_mwh={1: 1_650_000, 2: 100_000},
        generation_mwh={1: 650_999, 2: 500_000},
        charge_mwh={1: 400_000},
        discharge_mwh={1: 250_000},
    )
    packed = outcomes.slot_outcomes(1, 900, runs, positions, readings)
    leaves = {
        chunk: keccak(
            keccak(abi_encode(["uint64", "uint32", "uint16", "bytes32"], [1, chunk, 7, keccak(data)]))
        )
        for chunk, data in packed.items()
    }
    write(
        "outcomes.json",
        {
            "batch_id": 1,
            "slot": 7,
            "slot_seconds": 900,
            "runs": [asdict(run) for run in runs],
            "positions": [asdict(position) for position in positions],
            "readings": {
                "it_energy_mwh": readings.it_energy_mwh,
                "compute_ms": readings.compute_ms,
                "import_mwh": readings.import_mwh,
                "generation_mwh": readings.generation_mwh,
                "charge_mwh": readings.charge_mwh,
                "discharge_mwh": readings.discharge_mwh,
            },
            "packed": packed,
            "leaves": leaves,
            "root": merkle.MerkleTree.of(leaves.values()).root,
        },
    )


def publication_vectors() -> None:
    """A carbon table of two zones and three slots."""
    table = [[412, 0, 65_535], [1, 2, 3]]
    carbon = publication.pack_carbon(table)
    words = abi_encode(
        ["uint64", "uint32", "uint16", "uint16", "bytes32"], [START, 900, 3, 2, keccak(carbon)]
    )
    write(
        "publication.json",
        {"start": START, "slot_seconds": 900, "slots": 3, "zones": 2, "table": table, "carbon": carbon,
         "hash": keccak(words)},
    )  # fmt: skip


def bundle_vectors() -> None:
    """A small epoch: two devices, five readings, one outcome, a machine that registers."""
    job = outcomes.agreement_bytes(1, 0, 0)
    keys = [DeviceKey.from_seed(b"vector 0"), DeviceKey.from_seed(b"vector 1")]
    records = [
        bundle.DeviceRecord(meter, key.public.x, key.public.y, sha256(f"evidence {meter}".encode()))
        for meter, key in zip((2, 1), keys, strict=True)
    ]
    made = [
        (seal(keys[0], Reading(CHAIN, 2, 3, job, 0, START, START + 900, 91_000, 91_000)), 0, records[0]),
        (seal(keys[0], Reading(CHAIN, 2, 4, job, 1, START, START + 900, 900_000, 900_000)), 0, records[0]),
        (seal(keys[1], Reading(CHAIN, 1, 1, bytes(32), 0, START, START + 900, 5_000, 5_000)), 1, records[1]),
        (seal(keys[1], Reading(CHAIN, 1, 5, bytes(32), 1, START, START + 900, 1_500, 70_000)), 0, records[1]),
        (seal(keys[1], Reading(CHAIN, 1, 6, bytes(32), 2, START, START + 900, 0, 60_000)), 3, records[1]),
    ]
    machine = Machine(CHAIN, 2, "cpu", "zone", ("2 x a processor",), 512_000, 1_024_000, 1, START - 1)
    outcome = bundle.OutcomeEntry(1, 0, 0, outcomes.pack_outcome(outcomes.Outcome(1000, 90)))
    built = bundle.make_bundle(
        CHAIN, typed.feed_id("main"), 0, START, START + 900, made, [outcome], [sign_machine(keys[0], machine)]
    )
    report = built.report(keccak(b"policy"), bytes(32), keccak(b"config"))
    encoded = bundle.encode_bundle(built)
    content = {"bundle": encoded, "archive_hash": sha256(encoded), "report": asdict(report)}
    write("bundle.json", content | {"struct_hash": report.struct_hash()})


def pack_vectors() -> None:
    """The evidence pack of a green agreement over two slots, at a site with another job and a storage."""
    job, other = (outcomes.agreement_bytes(1, 0, run) for run in range(2))
    nonce, collateral = keccak(b"block"), dev_root.collateral(START - 86_400)
    keys = {meter: DeviceKey.from_seed(b"vector %d" % meter) for meter in (1, 2, 3, 4)}
    roles = {1: "meter", 2: "meter", 3: "workload", 4: "meter"}  # plant, site, jobs, storage of the site
    documents = {
        meter: attest(roles[meter], key.public, meter, nonce, collateral, CHAIN)
        for meter, key in keys.items()
    }
    records = {
        meter: bundle.DeviceRecord(meter, key.public.x, key.public.y, documents[meter].hash())
        for meter, key in keys.items()
    }
    members = sorted((sha256(b"bitwatt/test/member %d" % number) for number in range(4)), key=address_of)
    digest = pack.config_digest(CHAIN, CONTRACT, [address_of(member) for member in members], 3)
    runs = [outcomes.RunPosition(0, 0, 1, 0, 1, 2, 110), outcomes.RunPosition(0, 1, 1, 0, 0, 1, 110)]
    plants = [outcomes.PlantPosition(1, 0, 250)]
    slots, previous = [], bytes(32)
    for slot in range(2):
        start, place = START + 900 * slot, 4 * slot
        rows = [
            (1, 1, bytes(32), slot, 250_000, 250_000 * (slot + 1)),
            (2, 2, bytes(32), slot, 340_000, 340_000 * (slot + 1)),
            (3, 3, job, place, 160_000, 160_000 * (slot + 1)),
            (3, 4, job, place + 1, 1_800_000 - 900_000 * slot, 1_800_000 + 900_000 * slot),
            (3, 3, other, place + 2, 80_000, 80_000 * (slot + 1)),
            (4, 5, bytes(32), 2 * slot, 60_000, 60_000 * (slot + 1)),
            (4, 6, bytes(32), 2 * slot + 1, 20_000, 20_000 * (slot + 1)),
        ]
        made = [
            (
                seal(keys[meter], Reading(CHAIN, meter, kind, run, seq, start, start + 900, q, r)),
                0,
                records[meter],
            )
            for meter, kind, run, seq, q, r in rows
        ]
        draft = bundle.make_bundle(CHAIN, typed.feed_id("main"), slot, start, start + 900, made, [])
        readings = outcomes.slot_readings(draft.leaves(), start, start + 900, {2: 1, 4: 1}, {1: 1})
        packed = outcomes.slot_outcomes(1, 900, runs, plants, readings)[0]
        outcome = bundle.OutcomeEntry(1, 0, slot, packed)
        built = bundle.make_bundle(CHAIN, draft.feed_id, slot, start, start + 900, made, [outcome])
        report = built.report(keccak(b"policy"), previous, digest)
        previous = report.struct_hash()
        signed = typed.digest(typed.domain_separator(CHAIN, CONTRACT), previous)
        leaves = built.leaves()
        tree = merkle.MerkleTree.of(leaf.hash() for leaf in leaves)
        slots.append(
            {
                "report": pack.report_to_json(report),
                "signatures": join_signatures(
                    signed, [sign_digest(member, signed) for member in members[1:]]
                ),
                "runs": [asdict(run) for run in runs],
                "plants": [asdict(plant) for plant in plants],
                "readings": [
                    {
                        "meter_id": leaf.reading.meter_id,
                        "payload": entry.envelope.payload,
                        "signature": entry.envelope.signature,
                        "quality": entry.quality,
                        "x": built.devices[entry.device].x,
                        "y": built.devices[entry.device].y,
                        "evidence_hash": leaf.evidence_hash,
                        "proof": tree.proof(leaf.hash()),
                    }
                    for leaf, entry in zip(leaves, built.entries, strict=True)
                ],
                "outcome": {"slot": slot, "position": 0, "packed": packed, "proof": []},
            }
        )
    write(
        "pack.json",
        {
            "format": pack.FORMAT,
            "chain_id": CHAIN,
            "oracle": CONTRACT,
            "feed": "main",
            "members": [address_of(member) for member in members],
            "quorum": 3,
            "config_digest": digest,
            "agreement_id": job,
            "slots_due": 2,
            "slots": slots,
            "meters": {"sites": {2: 1, 4: 1}, "plants": {1: 1}},
            "devices": [
                {
                    "meter_id": meter,
                    "evidence_hash": document.hash(),
                    "measurement": dev_root.MEASUREMENTS[roles[meter]],
                    "attested_until": START + 86_400,
                    "recorded_at": START - 900,
                }
                for meter, document in documents.items()
            ],
            "evidence": {"0x" + item.hash().hex(): item.encode() for item in documents.values()},
            "collateral": {"0x" + sha256(collateral).hex(): collateral.decode()},
        },
    )


if __name__ == "__main__":
    made_leaves = reading_vectors()
    merkle_vectors([leaf.hash() for leaf in made_leaves])
    typed_vectors(made_leaves)
    outcome_vectors()
    publication_vectors()
    bundle_vectors()
    pack_vectors()
