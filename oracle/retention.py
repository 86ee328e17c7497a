"""How long the archive keeps what: the rule, and `bitwatt archive prune` that applies it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from backend.chain.addressbook import AddressBook
from backend.chain.rpc import Rpc
from oracle.archive import ContentStore
from oracle.wire.bundle import decode_bundle
from oracle.wire.errors import WireError

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Reported:
    """A report on chain: the end of its epoch (unix seconds) and the sha256 of its bundle."""

    end: int
    archive_hash: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """What may go: bundles past their time, and bundles and evidence that nothing on chain needs any more."""

    expired: tuple[bytes, ...]
    orphans: tuple[bytes, ...]
    evidence: tuple[bytes, ...]

    def apply(self, archive: ContentStore) -> int:
        """Deletes what the plan names; returns how many files."""
        for kind, names in (("readings", (*self.expired, *self.orphans)), ("evidence", self.evidence)):
            for digest in names:
                archive.remove(kind, digest)
        return len(self.expired) + len(self.orphans) + len(self.evidence)


def recorded(rpc: Rpc, book: AddressBook) -> tuple[list[Reported], set[bytes]]:
    """The reports of every feed, and the evidence of every device that was ever recorded."""
    reports, evidence = [], set()
    names = {"DeliveryOracle": "ReportSubmitted", "Registry": "DeviceRecorded"}
    for contract, name in names.items():
        abi = book[contract].abi
        for log in rpc.logs([book[contract].address], ["0x" + abi.topic(name).hex()], book.deploy_block):
            event = abi.decode_log(log)
            if event is None:
                continue
            if name == "DeviceRecorded":
                evidence.add(event.arguments["device"][3])
            else:
                report = event.arguments["report"]
                reports.append(Reported(report[3], report[10]))
    return reports, evidence


def plan(
    archive: ContentStore,
    reports: Iterable[Reported],
    recorded_evidence: Iterable[bytes],
    now: int,
    keep_days: int,
) -> Plan:
    """Bundles of reports that ended more than `keep_days` ago go; so do old bundles of no report.

    A bundle that a younger report names as well stays. Evidence stays while a device on chain is recorded
    with it, or a bundle that stays holds a reading of it. Books, solutions, publications and collateral
    always stay: they are few, and the market's history stands on them.
    """
    known = list(reports)
    edge = now - keep_days * DAY_SECONDS
    kept = {report.archive_hash for report in known if report.end >= edge}
    named = {report.archive_hash for report in known}
    held = list(archive.digests("readings"))
    needed = set(recorded_evidence)
    orphans = []
    for digest in held:
        if digest in named and digest not in kept:
            continue
        try:
            bundle = decode_bundle(archive.get("readings", digest))
        except WireError:
            continue  # altered or foreign: the audit must see it
        if digest not in named and bundle.end < now - DAY_SECONDS:
            orphans.append(digest)  # a proposal that was not decided; a younger one may still be
        else:
            needed |= {device.evidence_hash for device in bundle.devices}
    return Plan(
        expired=tuple(digest for digest in held if digest in named and digest not in kept),
        orphans=tuple(orphans),
        evidence=tuple(digest for digest in archive.digests("evidence") if digest not in needed),
    )
