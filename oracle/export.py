"""Makes the evidence pack of one agreement from chain and archive, and compares one with the chain."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from backend.chain.addressbook import AddressBook
from backend.chain.rpc import Rpc
from oracle.archive import ArchiveError, ContentStore
from oracle.evidence.document import decode_document
from oracle.node.chain import ChainReader, OracleContract, submitted_report
from oracle.node.facts import PLANT, SITE_IMPORT, Batch, Facts, Run
from oracle.wire.bundle import Bundle, decode_bundle
from oracle.wire.errors import WireError
from oracle.wire.merkle import MerkleTree
from oracle.wire.outcomes import agreement_id as agreement_id_of
from oracle.wire.pack import FORMAT, config_digest, report_to_json
from oracle.wire.reading import Kind, Leaf
from oracle.wire.typed import Report, feed_id


class ExportError(Exception):
    """An agreement whose evidence cannot be gathered; says what is missing."""


def export_pack(
    rpc: Rpc,
    book: AddressBook,
    archive: ContentStore,
    agreement_id: int,
    feed: str = "main",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """The pack of an agreement, as JSON values; raises ExportError."""
    facts = Facts(feed_id(feed))
    for name, event in ChainReader(rpc, book).poll().events:
        facts.apply(name, event)
    batch = facts.batches.get(agreement_id >> 64)
    run = batch.run(agreement_id >> 32 & 0xFFFFFFFF, agreement_id & 0xFFFFFFFF) if batch else None
    if batch is None or run is None:
        raise ExportError(f"0x{agreement_id:x} is no agreement of a batch on this chain")
    contract = OracleContract(rpc, book, bytes(31) + b"\1")
    committee = contract.committee(facts.feed_id)
    evidence: dict[str, str] = {}
    meters: set[int] = set()
    slots = []
    total = run.end_slot - run.start_slot
    for number, (report, signatures, name) in enumerate(_reports(rpc, book, facts.feed_id, batch, run)):
        try:
            bundle = decode_bundle(archive.get("readings", report.archive_hash))
            entry = _slot(facts, batch, run, agreement_id, bundle, report)
            for row in entry["readings"]:
                meters.add(row["meter_id"])
                if row["evidence_hash"] not in evidence:
                    digest = bytes.fromhex(row["evidence_hash"][2:])
                    evidence[row["evidence_hash"]] = "0x" + archive.get("evidence", digest).hex()
        except (ArchiveError, WireError) as error:
            raise ExportError(f"slot {report.start}: {error}") from None
        entry |= {"signatures": "0x" + signatures.hex(), "transaction": name}
        slots.append(entry)
        progress(number + 1, total)
    if not slots:
        raise ExportError(f"no slot of 0x{agreement_id:x} is reported yet")
    return {
        "format": FORMAT,
        "chain_id": book.chain_id,
        "oracle": book["DeliveryOracle"].address,
        "feed": feed,
        "members": list(committee.members),
        "quorum": committee.quorum,
        "config_digest": "0x" + committee.config_digest.hex(),
        "agreement_id": f"0x{agreement_id:064x}",
        "slots_due": total,
        "slots": slots,
        "meters": {
            "sites": {str(meter): facts.site_of[meter] for meter in sorted(meters & facts.site_of.keys())},
            "plants": {str(meter): facts.plant_of[meter] for meter in sorted(meters & facts.plant_of.keys())},
        },
        "devices": _devices(rpc, book, evidence),
        "evidence": dict(sorted(evidence.items())),
        "collateral": _collateral(archive, evidence),
    }


def _devices(rpc: Rpc, book: AddressBook, evidence: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the registry recorded with these evidence documents, and when."""
    registry = book["Registry"]
    found = []
    for log in rpc.logs(
        [registry.address], ["0x" + registry.abi.topic("DeviceRecorded").hex()], book.deploy_block
    ):
        event = registry.abi.decode_log(log)
        if event is None:
            continue
        _, _, measurement, evidence_hash, attested_until, *_ = event.arguments["device"]
        if "0x" + evidence_hash.hex() in evidence:
            block = rpc.call("eth_getBlockByNumber", log["blockNumber"], False)
            found.append(
                {
                    "meter_id": event.arguments["meterId"],
                    "evidence_hash": "0x" + evidence_hash.hex(),
                    "measurement": "0x" + measurement.hex(),
                    "attested_until": attested_until,
                    "recorded_at": int(block["timestamp"], 16),
                }
            )
    return found


def _collateral(archive: ContentStore, evidence: Mapping[str, str]) -> dict[str, str]:
    """The collateral that evidence documents name, by its sha256."""
    names = {decode_document(bytes.fromhex(content[2:])).collateral_hash for content in evidence.values()}
    try:
        return {
            "0x" + name.hex(): archive.get("collateral", name).decode() for name in sorted(names) if any(name)
        }
    except ArchiveError as error:
        raise ExportError(str(error)) from None


def _reports(
    rpc: Rpc, book: AddressBook, feed: bytes, batch: Batch, run: Run
) -> Iterator[tuple[Report, bytes, str]]:
    """(report, signatures, transaction) of every slot of a run that is reported."""
    oracle = book["DeliveryOracle"]
    topics = ["0x" + oracle.abi.topic("ReportSubmitted").hex(), "0x" + feed.hex()]
    first = batch.start + run.start_slot * batch.slot_seconds
    stop = batch.start + run.end_slot * batch.slot_seconds
    for log in rpc.logs([oracle.address], topics, book.deploy_block):
        event = oracle.abi.decode_log(log)
        if event is None or not first <= event.arguments["report"][2] < stop:
            continue
        if signed := submitted_report(rpc, oracle.abi, log):
            yield signed.report, signed.signatures, str(log["transactionHash"])


def _slot(
    facts: Facts, batch: Batch, run: Run, agreement_id: int, bundle: Bundle, report: Report
) -> dict[str, Any]:
    leaves = bundle.leaves()
    tree = MerkleTree.of(leaf.hash() for leaf in leaves)
    offer = batch.offers[run.offer_index]
    slot = (report.start - batch.start) // batch.slot_seconds
    runs, plants = _terms(batch, slot, offer.site_id, offer.zone_id)
    jobs = {agreement_id_of(batch.batch_id, item["chunk_index"], item["run_index"]) for item in runs}
    readings = []
    for leaf, entry in zip(leaves, bundle.entries, strict=True):
        if not _belongs(facts, leaf, agreement_id, jobs, offer.site_id, offer.zone_id):
            continue
        device = bundle.devices[entry.device]
        readings.append(
            {
                "meter_id": leaf.reading.meter_id,
                "payload": "0x" + entry.envelope.payload.hex(),
                "signature": "0x" + entry.envelope.signature.hex(),
                "quality": entry.quality,
                "x": "0x" + device.x.hex(),
                "y": "0x" + device.y.hex(),
                "evidence_hash": "0x" + device.evidence_hash.hex(),
                "proof": ["0x" + node.hex() for node in tree.proof(leaf.hash())],
            }
        )
    outcomes = MerkleTree.of(item.leaf() for item in bundle.outcomes)
    mine = next(
        item
        for item in bundle.outcomes
        if (item.batch_id, item.chunk_index, item.slot) == (batch.batch_id, run.chunk_index, slot)
    )
    active = sorted(item.run_index for item in batch.active[slot] if item.chunk_index == run.chunk_index)
    return {
        "report": report_to_json(report),
        "runs": runs,
        "plants": plants,
        "readings": readings,
        "outcome": {
            "slot": slot,
            "position": active.index(run.run_index),
            "packed": "0x" + mine.packed.hex(),
            "proof": ["0x" + node.hex() for node in outcomes.proof(mine.leaf())],
        },
    }


def _belongs(facts: Facts, leaf: Leaf, agreement_id: int, jobs: set[int], site_id: int, zone_id: int) -> bool:
    """Whether a reading bears on an agreement: its own, the energy of its site's jobs, the site's meters, and
    the plants of its zone."""
    reading = leaf.reading
    if reading.kind == Kind.COMPUTE:
        return int.from_bytes(reading.agreement_id, "big") == agreement_id
    if reading.kind == Kind.JOB_IT_ENERGY:
        return int.from_bytes(reading.agreement_id, "big") in jobs
    device = facts.devices.get(reading.meter_id)
    if device is None:
        return False
    if device.asset_kind == SITE_IMPORT:
        return device.asset_id == site_id
    asset = facts.asset(device)
    return device.asset_kind == PLANT and asset is not None and asset.zone_id == zone_id


def compare_with_chain(pack: Mapping[str, Any], rpc: Rpc, book: AddressBook) -> list[str]:
    """What the chain says otherwise than a pack; empty when it says the same."""
    problems = []
    contract = OracleContract(rpc, book, bytes(31) + b"\1")
    committee = contract.committee(feed_id(str(pack["feed"])))
    if str(pack["oracle"]).lower() != book["DeliveryOracle"].address.lower():
        problems.append(f"the oracle is {book['DeliveryOracle'].address}, not {pack['oracle']}")
    members = [str(member).lower() for member in pack["members"]]
    due = config_digest(int(pack["chain_id"]), str(pack["oracle"]), members, int(pack["quorum"]))
    if committee.config_digest != due:
        problems.append("the committee is another one")
    on_chain = {}
    for log in rpc.logs(
        [book["DeliveryOracle"].address],
        ["0x" + book["DeliveryOracle"].abi.topic("ReportSubmitted").hex()],
        book.deploy_block,
    ):
        event = book["DeliveryOracle"].abi.decode_log(log)
        if event is not None:
            on_chain[event.arguments["report"][2]] = event.arguments["report"]
    for entry in pack["slots"]:
        start, table = entry["report"]["start"], entry["report"]
        found = on_chain.get(start)
        if (
            found is None
            or "0x" + found[4].hex() != table["root"]
            or "0x" + found[7].hex() != table["outcomes_root"]
        ):
            problems.append(f"the report of slot {start} is another one on chain")
    return problems + _other_facts(pack, rpc, book)


def _other_facts(pack: Mapping[str, Any], rpc: Rpc, book: AddressBook) -> list[str]:
    """Where runs, sold power or meters of a pack are not those of the chain."""
    facts = Facts(feed_id(str(pack["feed"])))
    for name, event in ChainReader(rpc, book).poll().events:
        facts.apply(name, event)
    number = int(str(pack["agreement_id"]), 16)
    batch = facts.batches.get(number >> 64)
    run = batch.run(number >> 32 & 0xFFFFFFFF, number & 0xFFFFFFFF) if batch else None
    if batch is None or run is None:
        return [f"{pack['agreement_id']} is no agreement on chain"]
    problems = []
    offer = batch.offers[run.offer_index]
    for entry in pack["slots"]:
        report = entry["report"]
        slot = batch.slot_of(report["start"], report["end"])
        runs, plants = _terms(batch, -1 if slot is None else slot, offer.site_id, offer.zone_id)
        if runs != entry["runs"]:
            problems.append(f"the runs of slot {report['start']} are others on chain")
        if plants != entry["plants"]:
            problems.append(f"what the plants sold in slot {report['start']} is another amount on chain")
    for name, table in (("sites", facts.site_of), ("plants", facts.plant_of)):
        for meter, asset in pack["meters"][name].items():
            if table.get(int(meter)) != asset:
                problems.append(f"meter {meter} measures another asset on chain")
    return problems


def _terms(
    batch: Batch, slot: int, site_id: int, zone_id: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The runs at a site and what the green plants of a zone sold, in a slot."""
    runs = [dataclasses.asdict(item) for item in batch.positions(slot) if item.site_id == site_id]
    if slot < 0:
        return runs, []
    plants = [dataclasses.asdict(item) for item in batch.plants(slot) if item.zone_id == zone_id]
    return runs, plants
