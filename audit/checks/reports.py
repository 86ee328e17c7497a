"""Reports: who signed them, that none is missing, and that each follows from its archived bundle."""

from __future__ import annotations

import hashlib
from collections import defaultdict

from eth_abi.abi import encode

from audit.checks.outcomes import rebuild_outcomes
from audit.eip712 import digest, domain_separator, keccak, recover
from audit.facts import Committee, Facts, Place, ReportFact
from audit.verdict import Result, Tally, check
from oracle.wire.bundle import OutcomeEntry, evidence_root, totals
from oracle.wire.errors import WireError
from oracle.wire.merkle import MerkleTree
from oracle.wire.reading import Leaf

WORD = bytes(32)
STATUS_TAG = 256
"""Sets a platform status apart from a measurement in the policy's hash chain."""


def signed_by_quorum(
    tally: Tally,
    facts: Facts,
    where: str,
    hashed: bytes,
    signatures: bytes | None,
    config: bytes,
    place: Place,
) -> None:
    """Distinct bonded members, at least a quorum, all on this very message."""
    tally.count()
    committee = committee_at(facts, place)
    if committee is None or signatures is None:
        tally.doubt(
            where, "committee and signatures", "the call or the view cannot be seen through this endpoint"
        )
        return
    if config != committee.digest:
        tally.fail(where, f"configDigest 0x{committee.digest.hex()}", config)
    if len(signatures) % 65:
        tally.fail(where, "signatures of 65 bytes", f"{len(signatures)} bytes")
        return
    domain = domain_separator("BitWatt Oracle", "1", facts.chain_id, facts.address("DeliveryOracle"))
    message = digest(domain, hashed)
    signers = [recover(message, signatures[at : at + 65]) for at in range(0, len(signatures), 65)]
    entitled = bonded(facts, place)
    good = {signer for signer in signers if signer in entitled}
    strangers = [signer or "nobody" for signer in signers if signer not in entitled]
    if strangers:
        tally.fail(where, "signatures of bonded committee members", f"also of {', '.join(strangers)}")
    if len(good) < committee.quorum:
        tally.fail(where, f"{committee.quorum} distinct members", f"{len(good)}: {', '.join(sorted(good))}")


def committee_at(facts: Facts, place: Place) -> Committee | None:
    """The committee in office at `place`: the last one installed before it; the view where no event tells."""
    latest = facts.views.committee
    if latest is None:
        return None
    installed = [
        event
        for event in facts.log("DeliveryOracle", "CommitteeInstalled")
        if (event.block, event.index) < (place.block, place.index)
    ]
    if not installed:
        return latest
    args = max(installed, key=lambda event: (event.block, event.index)).args
    members = tuple(member.lower() for member in args["members"])
    return Committee(members, args["quorum"], args["configDigest"], latest.bond_micro)


def bonded(facts: Facts, place: Place) -> set[str]:
    """Members whose signatures count at `place`: bonded (if a bond is asked) and not slashed before."""
    committee = committee_at(facts, place)
    if committee is None:
        return set()
    members = set(committee.members)
    if committee.bond_micro == 0:
        return members
    found: set[str] = set()
    moves = [*facts.log("DeliveryOracle", "Bonded"), *facts.log("DeliveryOracle", "Equivocated")]
    for event in sorted(moves, key=lambda event: (event.block, event.index)):
        if (event.block, event.index) < (place.block, place.index):
            member = event.args["member"].lower()
            found = found | {member} if event.name == "Bonded" else found - {member}
    return found & members


@check(
    "reports.committee",
    "DeliveryOracle.configDigest = keccak256(abi.encode(chainId, oracle, members, quorum))",
)
def committee_digest(facts: Facts) -> Result:
    tally = Tally()
    committee = facts.views.committee
    if committee is None:
        tally.doubt("committee", "members, quorum, configDigest", "no answer")
        return tally.result()
    types = ["uint256", "address", "address[]", "uint256"]
    values = [facts.chain_id, facts.address("DeliveryOracle"), list(committee.members), committee.quorum]
    tally.equal("configDigest", keccak(encode(types, values)), committee.digest)
    count, quorum_ = len(committee.members), committee.quorum
    tally.true(3 * (count - quorum_) < count, "committee", "quorum above two thirds", f"{quorum_} of {count}")
    return tally.result()


@check("reports.quorum", "EIP-712 BitWatt Oracle/1 Report; DeliveryOracle.submit")
def quorum(facts: Facts) -> Result:
    tally = Tally()
    for item in facts.reports:
        report = item.report
        signed_by_quorum(
            tally, facts, item.name(), report.struct_hash(), item.signatures, report.config_digest, item.place
        )
    return tally.result()


def feeds(facts: Facts) -> dict[bytes, list[ReportFact]]:
    """Reports by feed, in chain order."""
    found: dict[bytes, list[ReportFact]] = defaultdict(list)
    for item in sorted(facts.reports, key=lambda item: item.place):
        found[item.report.feed_id].append(item)
    return found


@check("reports.sequence", "DeliveryOracle: epoch = previous + 1, intervals follow each other, end is past")
def sequence(facts: Facts) -> Result:
    tally = Tally()
    for items in feeds(facts).values():
        for number, item in enumerate(items):
            report = item.report
            tally.equal(f"{item.name()} number", number, report.epoch)
            tally.true(
                report.end <= item.place.timestamp,
                item.name(),
                f"end before {item.place.timestamp}",
                report.end,
            )
            tally.true(
                report.start < report.end,
                item.name(),
                "a non-empty interval",
                f"[{report.start}, {report.end})",
            )
            if number:
                before = items[number - 1].report.end
                tally.true(report.start >= before, item.name(), f"start at or after {before}", report.start)
    return tally.result()


@check("reports.chain", "DeliveryOracle: prevHash = hashStruct of the previous report of the feed")
def chain(facts: Facts) -> Result:
    tally = Tally()
    for items in feeds(facts).values():
        previous = WORD
        for item in items:
            tally.equal(f"{item.name()} prevHash", previous, item.report.prev_hash)
            previous = item.report.struct_hash()
    return tally.result()


@check("reports.conflict", "DeliveryOracle: no two reports of one feed and epoch")
def conflict(facts: Facts) -> Result:
    tally = Tally()
    for items in feeds(facts).values():
        seen: dict[int, bytes] = {}
        for item in items:
            first = seen.setdefault(item.report.epoch, item.report.struct_hash())
            tally.equal(f"{item.name()} hash", first, item.report.struct_hash())
    return tally.result()


def inside(facts: Facts) -> list[ReportFact]:
    """Reports of the audited time, whose bundles were read."""
    return [item for item in facts.reports if item.inside]


@check("reports.archive", "Report.archiveHash = sha256 of readings/<hash>")
def archive(facts: Facts) -> Result:
    tally = Tally()
    for item in inside(facts):
        tally.count()
        document = item.document
        proves = f"{document.path} proving {item.name()}: sha256 {document.expected.hex()}"
        if document.state != "intact":
            tally.fail(proves, "intact", f"{document.state}, {document.found}")
        if item.bundle.problem and document.state in ("intact", "altered"):
            tally.fail(proves, "a well-formed bundle", item.bundle.problem)
        for damage in item.bundle.damage:
            tally.fail(f"{document.path} of {item.name()}", "every row readable", damage)
    return tally.result()


@check("reports.bundle", "bundle header = report: chain, feed, epoch, interval")
def bundle(facts: Facts) -> Result:
    tally = Tally()
    for item in inside(facts):
        report = item.report
        if item.bundle.header is not None:
            expected = (facts.chain_id, report.feed_id, report.epoch, report.start, report.end)
            names = ("chain id", "feed", "epoch", "start", "end")
            for name, due, found in zip(names, expected, item.bundle.header, strict=True):
                tally.equal(f"{item.document.path} of {item.name()} {name}", due, found)
    return tally.result()


def leaves_of(item: ReportFact) -> list[Leaf] | None:
    """The leaves a bundle gives, or None where a reading or a device of it cannot be read."""
    parsed = item.bundle
    leaves = []
    for entry in parsed.items:
        if entry.reading is None or entry.device >= len(parsed.devices):
            return None
        device = parsed.devices[entry.device]
        key_id = keccak(device.x + device.y)
        leaves.append(
            Leaf(entry.reading, entry.quality, key_id, device.evidence_hash, _sha256(entry.payload))
        )
    return None if parsed.problem else leaves


@check("reports.root", "standard Merkle tree of the 12-word leaves; Report.root, count")
def root(facts: Facts) -> Result:
    tally = Tally()
    for item in inside(facts):
        leaves = leaves_of(item)
        if leaves is None:
            _no_leaves(tally, item, "root")
            continue
        tally.equal(f"{item.name()} count", item.report.count, len(leaves))
        try:
            rebuilt = MerkleTree.of(leaf.hash() for leaf in leaves).root
        except WireError as error:
            tally.fail(f"{item.document.path} of {item.name()}", "distinct leaves", error)
            continue
        tally.equal(f"{item.name()} root over {item.document.path}", item.report.root, rebuilt)
    return tally.result()


@check("reports.totals", "Report.totals[kind] = sum of quantities / 1000, rounded down; evidenceRoot")
def report_totals(facts: Facts) -> Result:
    tally = Tally()
    for item in inside(facts):
        leaves = leaves_of(item)
        if leaves is None:
            _no_leaves(tally, item, "totals")
            continue
        for kind, (due, found) in enumerate(zip(totals(leaves), item.report.totals, strict=True)):
            tally.equal(f"{item.name()} total of kind {kind}", due, found)
        evidence = evidence_root(device.evidence_hash for device in item.bundle.devices)
        tally.equal(f"{item.name()} evidenceRoot", evidence, item.report.evidence_root)
    return tally.result()


def _no_leaves(tally: Tally, item: ReportFact, what: str) -> None:
    tally.count()
    text = f"{item.document.state}: {item.bundle.problem or item.document.found}"
    tally.fail(f"{item.name()} {what}", f"leaves from {item.document.path}", text)


@check(
    "reports.outcomes", "F2, F9, F15: outcomes rebuilt from readings by the shared rule; Report.outcomesRoot"
)
def outcomes(facts: Facts) -> Result:
    tally = Tally()
    for item in inside(facts):
        if item.document.state == "missing":
            continue
        rebuilt = rebuild_outcomes(facts, item)
        if rebuilt is None:
            continue
        archived = {(row.batch_id, row.chunk_index, row.slot): row.packed for row in item.bundle.outcomes}
        for key in sorted(rebuilt.keys() | archived.keys()):
            where = f"{item.name()} outcomes of batch {key[0]} chunk {key[1]} slot {key[2]}"
            tally.equal(f"{where} in {item.document.path}", rebuilt.get(key), archived.get(key))
        entries = (OutcomeEntry(*key, packed) for key, packed in rebuilt.items())
        tree = MerkleTree.of(entry.leaf() for entry in entries)
        tally.equal(f"{item.name()} outcomesRoot", item.report.outcomes_root, tree.root)
    return tally.result()


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@check("reports.policy", "Report.policyHash = Registry.policyHash at its block, a hash chain of its changes")
def policy(facts: Facts) -> Result:
    tally = Tally()
    steps: list[tuple[int, int, bytes]] = []
    hashed = WORD
    changes = [*facts.log("Registry", "MeasurementSet"), *facts.log("Registry", "TcbStatusSet")]
    for event in sorted(changes, key=lambda event: (event.block, event.index)):
        args = event.args
        values = [hashed, args.get("measurement"), args["evidenceKind"], args["allowed"]]
        if event.name == "TcbStatusSet":
            values[1:3] = [keccak(args["status"].encode()), STATUS_TAG + args["evidenceKind"]]
        hashed = keccak(encode(["bytes32", "bytes32", "uint256", "bool"], values))
        tally.equal(f"{event.name} in {event.tx}", hashed, args["policyHash"])
        steps.append((event.block, event.index, args["policyHash"]))
    for item in facts.reports:
        place = item.place.block, item.place.index
        held = [step[2] for step in steps if step[:2] < place]
        tally.equal(f"{item.name()} policyHash", held[-1] if held else WORD, item.report.policy_hash)
    return tally.result()


CHECKS = (
    policy,
    committee_digest,
    quorum,
    sequence,
    chain,
    conflict,
    archive,
    bundle,
    root,
    report_totals,
    outcomes,
)
