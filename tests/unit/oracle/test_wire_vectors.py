"""The frozen vectors: every implementation of the wire format must agree with them bit for bit."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from oracle.evidence.pack import open_pack
from oracle.wire import bundle, merkle, outcomes, publication, typed
from oracle.wire.errors import WireError
from oracle.wire.keys import DeviceKey, DevicePublicKey, recover, sha256
from oracle.wire.machine import decode_machine
from oracle.wire.pack import parse_pack
from oracle.wire.reading import (
    Leaf,
    Reading,
    decode_envelope,
    decode_reading,
    encode_envelope,
    open_envelope,
    seal,
)

START = 1_508_198_400
VECTORS = Path(__file__).parents[2] / "vectors"


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def reading_of(row: dict[str, Any]) -> Reading:
    values = {key: int(value) for key, value in row.items() if key != "agreement_id"}
    return Reading(agreement_id=unhex(row["agreement_id"]), **values)


@pytest.mark.parametrize("row", load("readings.json"))
def test_readings(row: dict[str, Any]) -> None:
    key = DeviceKey(int.from_bytes(unhex(row["secret"]), "big"))
    reading = reading_of(row["reading"])
    envelope = seal(key, reading)
    assert envelope.payload.hex() == row["payload"][2:]
    assert envelope.signature.hex() == row["signature"][2:]
    assert encode_envelope(envelope).hex() == row["envelope"][2:]
    assert decode_envelope(unhex(row["envelope"])) == envelope
    assert decode_reading(envelope.payload) == reading
    public = DevicePublicKey(unhex(row["x"]), unhex(row["y"]))
    assert open_envelope(envelope, public) == reading
    leaf = Leaf(reading, reading.quality, public.key_id, unhex(row["evidence_hash"]), envelope.payload_hash)
    assert leaf.encode().hex() == row["leaf_words"][2:]
    assert leaf.hash().hex() == row["leaf"][2:]


@pytest.mark.parametrize("row", load("merkle.json"))
def test_trees(row: dict[str, Any]) -> None:
    leaves = [unhex(leaf) for leaf in row["leaves"]]
    tree = merkle.MerkleTree.of(reversed(leaves))
    assert tree.root == unhex(row["root"])
    for leaf, proof in zip(leaves, row["proofs"], strict=True):
        assert [node.hex() for node in tree.proof(leaf)] == [node[2:] for node in proof]
        assert merkle.verify(tree.root, tree.proof(leaf), leaf)
    if row["multiproof"]:
        multi = row["multiproof"]
        proof = merkle.MultiProof(
            tuple(unhex(leaf) for leaf in multi["leaves"]),
            tuple(unhex(node) for node in multi["proof"]),
            tuple(multi["flags"]),
        )
        assert tree.multiproof(leaves[::2]) == proof
        assert proof.root() == tree.root


def test_openzeppelin_published_root() -> None:
    """The example of OpenZeppelin's merkle-tree documentation."""
    values = [
        ("0x1111111111111111111111111111111111111111", 5_000_000_000_000_000_000),
        ("0x2222222222222222222222222222222222222222", 2_500_000_000_000_000_000),
    ]
    leaves = [merkle.leaf_hash(bytes(12) + unhex(who) + amount.to_bytes(32, "big")) for who, amount in values]
    root = merkle.MerkleTree.of(leaves).root
    assert root.hex() == "d4dee0beab2d53f2cc83e567171bd2820e49898130a22622b10ead383e90bd77"


def struct_of(
    name: str, message: dict[str, Any]
) -> typed.Report | typed.Publication | typed.DeviceAttestation:
    values: list[Any] = [
        tuple(int(item) for item in value)
        if isinstance(value, list)
        else unhex(value)
        if isinstance(value, str) and value.startswith("0x")
        else int(value)
        for value in (message[field] for field in FIELDS[name])
    ]
    return {
        "Report": typed.Report,
        "Publication": typed.Publication,
        "DeviceAttestation": typed.DeviceAttestation,
    }[name](*values)


def names(kind: str) -> list[str]:
    return [part.split(" ")[1] for part in kind[kind.index("(") + 1 : -1].split(",")]


FIELDS = {
    "Report": names(typed.REPORT_TYPE),
    "Publication": names(typed.PUBLICATION_TYPE),
    "DeviceAttestation": names(typed.DEVICE_ATTESTATION_TYPE),
}


@pytest.mark.parametrize("name", ["Report", "Publication", "DeviceAttestation"])
def test_typed_data(name: str) -> None:
    table = load("typed.json")
    row = table["structs"][name]
    value = struct_of(name, row["message"])
    separator = typed.domain_separator(table["chain_id"], table["contract"])
    assert separator.hex() == row["domain_separator"][2:]
    assert value.struct_hash().hex() == row["struct_hash"][2:]
    digest = typed.digest(separator, value.struct_hash())
    assert digest.hex() == row["digest"][2:]
    assert recover(digest, unhex(row["signature"])) == table["signer"]


def int_keys(table: dict[str, Any]) -> dict[int, int]:
    return {int(key): int(value) for key, value in table.items()}


def test_outcomes() -> None:
    row = load("outcomes.json")
    packed = outcomes.slot_outcomes(
        row["batch_id"],
        row["slot_seconds"],
        [outcomes.RunPosition(**run) for run in row["runs"]],
        [outcomes.PlantPosition(**position) for position in row["positions"]],
        outcomes.SlotReadings(**{name: int_keys(table) for name, table in row["readings"].items()}),
    )
    assert {str(chunk): "0x" + data.hex() for chunk, data in packed.items()} == row["packed"]
    leaves = {
        chunk: outcomes.outcome_leaf(row["batch_id"], chunk, row["slot"], data)
        for chunk, data in packed.items()
    }
    assert {str(chunk): "0x" + leaf.hex() for chunk, leaf in leaves.items()} == row["leaves"]
    assert merkle.MerkleTree.of(leaves.values()).root == unhex(row["root"])


def test_publication() -> None:
    row = load("publication.json")
    carbon = publication.pack_carbon(row["table"])
    assert carbon == unhex(row["carbon"])
    assert publication.unpack_carbon(carbon, row["zones"], row["slots"]) == row["table"]
    digest = publication.publication_hash(
        row["start"], row["slot_seconds"], row["slots"], row["zones"], carbon
    )
    assert digest == unhex(row["hash"])


def test_bundle() -> None:
    row = load("bundle.json")
    data = unhex(row["bundle"])
    decoded = bundle.decode_bundle(data)
    assert bundle.encode_bundle(decoded) == data
    assert sha256(data) == unhex(row["archive_hash"])
    report = row["report"]
    made = decoded.report(
        unhex(report["policy_hash"]), unhex(report["prev_hash"]), unhex(report["config_digest"])
    )
    for name, value in report.items():
        have = getattr(made, name)
        want = tuple(value) if isinstance(value, list) else unhex(value) if isinstance(value, str) else value
        assert have == want, name
    assert made.struct_hash() == unhex(row["struct_hash"])
    assert decode_machine(decoded.machines[0].payload).milli_vcu == 500


def test_pack() -> None:
    """What a person gets in one file, opened as `bitwatt audit pack` and `bitwatt evidence open` do."""
    data = (VECTORS / "pack.json").read_bytes()
    verdict = open_pack(parse_pack(data))
    assert verdict["problems"] == []
    assert [slot["matched_wh"] for slot in verdict["slots"]] == [186, 186]
    assert [slot["delivered_milli_lanes"] for slot in verdict["slots"]] == [2000, 1000]


ALTERED = [
    (("slots", 0, "plants", 0, "sold_wh"), 400, "F2, F9 and F15"),
    (("slots", 1, "runs", 0, "lanes"), 1, "F2, F9 and F15"),
    (("meters", "sites"), {"2": 1}, "F2, F9 and F15"),  # the storage is left out
    (("slots", 0, "readings", 0, "quality"), 1, "it is in the report"),
    (("slots", 0, "readings", 0, "proof"), [], "it is in the report"),
    (("slots", 0, "outcome", "packed"), "0x" + "00" * 16, "the outcome is in the report"),
    (("slots", 1, "report", "prev_hash"), "0x" + "00" * 32, "it follows the report before"),
    (("slots", 1, "signatures"), "0x", "a quorum signed the report"),
    (("quorum",), 2, "two thirds"),
    (("devices", 0, "measurement"), "0x" + "00" * 32, "quote is genuine"),
    (("devices", 0, "recorded_at"), START + 90 * 86_400, "quote is genuine"),
    (("collateral",), {}, "collateral"),
    (("evidence",), {}, "the evidence of its key is here"),
]


@pytest.mark.parametrize(("path", "value", "problem"), ALTERED)
def test_an_altered_pack_says_what_does_not_hold(path: tuple[str, ...], value: Any, problem: str) -> None:
    pack = parse_pack((VECTORS / "pack.json").read_bytes())
    place: Any = pack
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert any(problem in text for text in open_pack(pack)["problems"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format":"bitwatt/evidence-pack/1"}',
        "[" * 40,
        '{"format":"bitwatt/evidence-pack/2"}',
    ],
)
def test_what_is_no_pack(text: str) -> None:
    with pytest.raises(WireError, match="pack"):
        open_pack(parse_pack(text.encode()))


@pytest.mark.parametrize("path", [path for path, _, _ in ALTERED])
def test_values_of_another_kind_are_findings_or_refused(path: tuple[str, ...]) -> None:
    for value in (None, -1, 1 << 70, 1.5, "", "0xzz", [], {}, True):
        pack = parse_pack((VECTORS / "pack.json").read_bytes())
        pack["slots"] = pack["slots"] if 1 in path else pack["slots"][:1]
        place: Any = pack
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        with contextlib.suppress(WireError):
            open_pack(pack)
