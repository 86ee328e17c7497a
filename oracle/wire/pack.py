"""The evidence of one agreement as one file: what anyone can check offline with nothing else at hand.

JSON, hexadecimal bytes. `meters` says which site or plant each meter measures. A slot holds the signed
report; the readings of the agreement, of the other jobs at its site, of the site and of the plants of its
zone with their Merkle paths; the runs at the site; what the plants had sold; the outcome that was settled. So
F2, F9 and F15 are computed again from readings. Beside the slots are the evidence documents of the devices,
with collateral and time.

What a file cannot prove by itself are the facts it takes from the chain (committee, runs, meters, sold):
`bitwatt evidence open --rpc` compares them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from oracle.wire import merkle
from oracle.wire.errors import SignatureError, WireError
from oracle.wire.keys import DevicePublicKey, keccak256, recover, sha256
from oracle.wire.outcomes import (
    Outcome,
    PlantPosition,
    RunPosition,
    agreement_id,
    outcome_leaf,
    slot_outcomes,
    slot_readings,
    unpack_outcomes,
)
from oracle.wire.reading import Leaf, decode_reading
from oracle.wire.typed import Report, digest, domain_separator, uint_word

FORMAT = "bitwatt/evidence-pack/2"
MAX_PACK_BYTES = 64 << 20
MAX_DEPTH = 32
MISSHAPEN = (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError, struct.error)
"""What values of another kind than a pack's lead to."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked: its place, what was checked, and what is wrong (empty: nothing)."""

    place: str
    what: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SlotResult:
    """What an agreement got in one slot, as the pack proves it."""

    start: int
    delivered_milli_lanes: int
    matched_wh: int
    actual: bool


def config_digest(chain_id: int, contract: str, members: list[str], quorum: int) -> bytes:
    """keccak256(abi.encode(chainId, oracle, members, quorum)), as the contract has it."""
    words = [uint_word(chain_id), _address(contract), uint_word(128), uint_word(quorum)]
    words += [uint_word(len(members)), *(_address(member) for member in members)]
    return keccak256(b"".join(words))


def _address(text: str) -> bytes:
    return bytes(12) + _bytes(text, 20)


def _bytes(text: object, size: int | None = None) -> bytes:
    if not isinstance(text, str) or not text.startswith("0x"):
        raise WireError("pack", f"{text!r} is no hexadecimal with 0x")
    try:
        data = bytes.fromhex(text[2:])
    except ValueError:
        raise WireError("pack", f"{text!r} is no hexadecimal") from None
    if size is not None and len(data) != size:
        raise WireError("pack", f"{len(data)} bytes where {size} are due")
    return data


def report_to_json(report: Report) -> dict[str, object]:
    """The report's fields, bytes as hexadecimal."""
    table: dict[str, object] = {}
    for item in fields(Report):
        value = getattr(report, item.name)
        table[item.name] = "0x" + value.hex() if isinstance(value, bytes) else value
    return table | {"totals": list(report.totals)}


def report_of_json(table: Mapping[str, Any]) -> Report:
    """Raises WireError for a field that is missing or of another kind."""
    values: dict[str, Any] = {}
    for item in fields(Report):
        value = table.get(item.name)
        if item.name == "totals":
            if not isinstance(value, list) or not all(type(total) is int for total in value):
                raise WireError("pack.report.totals", "is no list of integers")
            values[item.name] = tuple(value)
        elif item.type == "bytes":
            values[item.name] = _bytes(value, 32)
        elif type(value) is int:
            values[item.name] = value
        else:
            raise WireError(f"pack.report.{item.name}", f"{value!r} is no integer")
    return Report(**values)


def parse_pack(data: bytes) -> dict[str, Any]:
    """The JSON of a pack; raises WireError when it is too large, too deep or of another format."""
    if len(data) > MAX_PACK_BYTES:
        raise WireError("pack", f"{len(data)} bytes, at most {MAX_PACK_BYTES} are read")
    depth = deepest = 0
    for byte in data:
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    if deepest > MAX_DEPTH:
        raise WireError("pack", f"nested {deepest} deep, at most {MAX_DEPTH} is read")
    try:
        table = json.loads(data)
    except ValueError as error:
        raise WireError("pack", f"is no JSON: {error}") from None
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise WireError("pack.format", f"is not {FORMAT!r}")
    return table


def check_pack(pack: Mapping[str, Any]) -> tuple[list[Finding], list[SlotResult]]:
    """Every finding, good ones too, and what the agreement got; raises WireError when the shape is broken."""
    try:
        return _Checker(pack).run()
    except MISSHAPEN as error:
        if isinstance(error, WireError):
            raise
        raise WireError("pack", f"a part is missing or of another kind: {error!r}") from None


_TABLES = ("sites", "plants")


class _Checker:
    """One pass over a pack."""

    def __init__(self, pack: Mapping[str, Any]) -> None:
        self.pack = pack
        self.members = [str(member).lower() for member in pack["members"]]
        self.quorum = int(pack["quorum"])
        self.agreement = _bytes(pack["agreement_id"], 32)
        self.config = config_digest(pack["chain_id"], pack["oracle"], self.members, self.quorum)
        self.separator = domain_separator(pack["chain_id"], pack["oracle"])
        self.site_of, self.plant_of = (
            {int(k): int(v) for k, v in pack["meters"][n].items()} for n in _TABLES
        )
        self.findings: list[Finding] = []
        self.results: list[SlotResult] = []

    def note(self, place: str, what: str, good: bool, problem: str) -> None:
        self.findings.append(Finding(place, what, "" if good else problem))

    def run(self) -> tuple[list[Finding], list[SlotResult]]:
        members = len(self.members)
        enough = 3 * self.quorum > 2 * members and len(set(self.members)) == members
        self.note("committee", "a quorum is more than two thirds", enough, f"{self.quorum} of {members}")
        for name, content in self.pack["evidence"].items():
            found = sha256(_bytes(content))
            self.note(
                f"evidence {name[:18]}", "the document has its hash", found == _bytes(name, 32), found.hex()
            )
        previous: Report | None = None
        for entry in self.pack["slots"]:
            previous = self._slot(entry, previous)
        return self.findings, self.results

    def _slot(self, entry: Mapping[str, Any], previous: Report | None) -> Report:
        report = report_of_json(entry["report"])
        place = f"slot {report.start}"
        signatures = _bytes(entry["signatures"])
        due = digest(self.separator, report.struct_hash())
        signers = set()
        for at in range(0, len(signatures), 65):
            try:
                signers.add(recover(due, signatures[at : at + 65]))
            except SignatureError:
                continue
        signed = len(signers & set(self.members)) >= self.quorum
        self.note(
            place,
            "a quorum signed the report",
            signed,
            f"{len(signers & set(self.members))} of {self.quorum}",
        )
        self.note(
            place, "the report names this committee", report.config_digest == self.config, "another one"
        )
        if previous is not None and previous.epoch + 1 == report.epoch:
            self.note(
                place, "it follows the report before", report.prev_hash == previous.struct_hash(), "prev_hash"
            )
        leaves = [self._leaf(place, number, row, report) for number, row in enumerate(entry["readings"])]
        outcome = self._due(entry, report, leaves)
        self._outcome(place, entry["outcome"], report, outcome, not any(leaf.quality for leaf in leaves))
        return report

    def _due(self, entry: Mapping[str, Any], report: Report, leaves: list[Leaf]) -> Outcome:
        """F2, F9 and F15 over the readings of the slot."""
        number = int.from_bytes(self.agreement, "big")
        runs = [RunPosition(**{key: int(value) for key, value in run.items()}) for run in entry["runs"]]
        plants = [PlantPosition(**{key: int(value) for key, value in row.items()}) for row in entry["plants"]]
        readings = slot_readings(leaves, report.start, report.end, self.site_of, self.plant_of)
        runs.sort(key=lambda run: (run.chunk_index, run.run_index))
        chunk = [run for run in runs if run.chunk_index == number >> 32 & 0xFFFFFFFF]
        place = [agreement_id(number >> 64, run.chunk_index, run.run_index) for run in chunk].index(number)
        packed = slot_outcomes(number >> 64, report.end - report.start, runs, plants, readings)
        return unpack_outcomes(packed[number >> 32 & 0xFFFFFFFF])[place]

    def _leaf(self, place: str, number: int, row: Mapping[str, Any], report: Report) -> Leaf:
        """Checks one reading."""
        payload, signature = _bytes(row["payload"]), _bytes(row["signature"], 64)
        key = DevicePublicKey(_bytes(row["x"], 32), _bytes(row["y"], 32))
        evidence, where = _bytes(row["evidence_hash"], 32), f"{place} reading {number}"
        reading = decode_reading(payload)
        leaf = Leaf(reading, int(row["quality"]), key.key_id, evidence, sha256(payload))
        path = [_bytes(node, 32) for node in row["proof"]]
        self.note(
            where, "the device signed it", key.verify(payload, signature), "its signature does not hold"
        )
        inside = merkle.verify(report.root, path, leaf.hash())
        self.note(where, "it is in the report", inside, "its path does not lead to the root")
        self.note(
            where, "it is for this chain", reading.chain_id == self.pack["chain_id"], str(reading.chain_id)
        )
        known = row["evidence_hash"] in self.pack["evidence"]
        self.note(where, "the evidence of its key is here", known, "the document is missing")
        return leaf

    def _outcome(
        self, place: str, row: Mapping[str, Any], report: Report, due: Outcome, actual: bool
    ) -> None:
        packed, number = _bytes(row["packed"]), int.from_bytes(self.agreement, "big")
        batch, chunk, run = number >> 64, number >> 32 & 0xFFFFFFFF, number & 0xFFFFFFFF
        leaf = outcome_leaf(batch, chunk, int(row["slot"]), packed)
        path = [_bytes(node, 32) for node in row["proof"]]
        inside = merkle.verify(report.outcomes_root, path, leaf)
        self.note(place, "the outcome is in the report", inside, "its path does not lead to the root")
        outcomes = unpack_outcomes(packed)
        place_in = int(row["position"])
        good = 0 <= place_in < len(outcomes)
        self.note(
            place, f"the outcome holds run {run}", good, f"{len(outcomes)} outcomes, position {place_in}"
        )
        outcome = outcomes[place_in] if good else Outcome(0, 0)
        self.note(place, "F2, F9 and F15 give this outcome", outcome == due, f"{outcome} where {due} is due")
        result = SlotResult(report.start, outcome.delivered_milli_lanes, outcome.matched_wh, actual)
        self.results.append(result)
