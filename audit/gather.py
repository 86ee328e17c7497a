"""Brings chain and archive together into facts; decides nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from audit import assemble
from audit.abi import Call, Event
from audit.archive import Archive, Document, parse_json
from audit.bundle import Parsed, read_bundle
from audit.chain import Chain
from audit.checks.orders import signers_note
from audit.eip712 import STRUCTS, digest, domain_separator, recover, struct_hash
from audit.facts import Batch, BatchFiles, DeviceFact, Facts, Head, ReportFact, Views
from audit.memo import Memo
from audit.rpc import RpcError
from audit.views import read_views

CALLS_BEHIND = (
    ("BundleMarket", "PricesPosted"),
    ("BundleMarket", "ComputeOfferAdded"),
    ("BundleMarket", "PowerOfferAdded"),
    ("BundleMarket", "ChunkCleared"),
    ("DeliveryOracle", "ReportSubmitted"),
    ("DeliveryOracle", "Published"),
    ("DeliveryOracle", "DeviceAttested"),
    ("DeliveryOracle", "Ruled"),
    ("Settlement", "PoolMetered"),
    ("Settlement", "PlantMetered"),
)
MAGIC_1271 = "0x1626ba7e"
OUTSIDE = Document("readings", "", b"", "missing", found="outside the audited time")


@dataclass(frozen=True, slots=True)
class Progress:
    """Tells a progress bar what is being read; does nothing by default."""

    begin: Callable[[str, int], None] = lambda text, total: None
    step: Callable[[int], None] = lambda number: None


@dataclass(frozen=True, slots=True)
class Window:
    """Unix seconds [start, end) that the audit covers; None means open."""

    start: int | None = None
    end: int | None = None

    def overlaps(self, start: int, end: int) -> bool:
        """Whether [start, end) touches the window."""
        return (self.end is None or start < self.end) and (self.start is None or end > self.start)


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Reads in the order: events, calls behind them, archive, views at the head."""

    chain: Chain
    archive: Archive
    window: Window = field(default_factory=Window)
    progress: Progress = field(default_factory=Progress)
    memo: Memo = field(default_factory=Memo)

    def facts(self) -> Facts:
        """Everything there is to know."""
        chain = self.chain
        self.progress.begin("reading events", chain.head.number - chain.book.deploy_block + 1)
        events, odd = chain.events(self.progress.step)
        log = sort_out(events)
        calls = self._calls(log)
        self.progress.begin("reading views", 1)
        views = read_views(chain, log)
        book = chain.book
        facts = collect(
            book.chain_id,
            book.addresses,
            log,
            calls,
            self.archive,
            views,
            chain.head,
            self.window,
            self.progress,
        )
        known, unknown = self._contract_signatures(facts.batches)
        return replace(
            facts,
            odd_logs=tuple(odd),
            contract_signatures=known,
            unknown_signers=unknown,
            step=self.progress.step,
            memo=self.memo,
        )

    def _calls(self, log: assemble.Log) -> dict[str, Call]:
        hashes = list(dict.fromkeys(event.tx for key in CALLS_BEHIND for event in log.get(key, ())))
        self.progress.begin("reading transactions", len(hashes))
        return self.chain.transactions(hashes, self.progress.step)

    # --- signatures of contracts ---------------------------------------------------
    def _contract_signatures(
        self, batches: Iterable[Batch]
    ) -> tuple[dict[tuple[str, bytes], bool], frozenset[str]]:
        """EIP-1271 answers for signatures that no key made, asked at the block they were used in."""
        book = self.chain.book
        separator = domain_separator("BitWatt", "1", book.chain_id, book.addresses["BundleMarket"])
        known: dict[tuple[str, bytes], bool] = {}
        unknown: set[str] = set()
        groups = [
            items
            for batch in batches
            for items in (batch.compute_offers, batch.power_offers, *(chunk.orders for chunk in batch.chunks))
        ]
        self.progress.begin("reading signatures", sum(map(len, groups)))
        for items in groups:
            self.progress.step(len(items))
            messages = [
                digest(separator, item.together or struct_hash(STRUCTS[item.kind], item.terms))
                for item in items
            ]
            if self.memo.knows(signers_note(items, messages)):
                continue
            for item, message in zip(items, messages, strict=True):
                if recover(message, item.signature) == item.maker:
                    continue
                answer = self._is_valid_signature(item.maker, message, item.signature, item.place.block)
                if answer is None:
                    unknown.add(item.maker)
                else:
                    known[item.maker, message] = answer
        return known, frozenset(unknown)

    def _is_valid_signature(self, maker: str, message: bytes, signature: bytes, block: int) -> bool | None:
        padded = signature.ljust(-(-len(signature) // 32) * 32, b"\0")
        words = message + (64).to_bytes(32, "big") + len(signature).to_bytes(32, "big") + padded
        try:
            if self.chain.rpc.call("eth_getCode", maker, hex(block)) == "0x":
                return False
            request = {"to": maker, "data": MAGIC_1271 + words.hex()}
            answer = self.chain.rpc.call("eth_call", request, hex(block))
        except RpcError as error:
            return False if "revert" in str(error).lower() else None
        return str(answer)[:10] == MAGIC_1271


def sort_out(events: Iterable[Event]) -> dict[tuple[str, str], tuple[Event, ...]]:
    """Events by contract and name, in chain order."""
    found: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in events:
        found[event.contract, event.name].append(event)
    return {key: tuple(items) for key, items in found.items()}


def collect(
    chain_id: int,
    addresses: Mapping[str, str],
    log: assemble.Log,
    calls: Mapping[str, Call],
    archive: Archive,
    views: Views,
    head: Head,
    window: Window,
    progress: Progress,
) -> Facts:
    """Facts from decoded events and calls, views at the head, and the archive folder."""
    batches = tuple(batch for batch in assemble.batches(log, calls) if _inside(window, batch))
    return Facts(
        chain_id=chain_id,
        addresses=addresses,
        events=log,
        calls=calls,
        head=head,
        views=views,
        batches=batches,
        cancelled=assemble.cancelled(log),
        epochs=assemble.epochs(log),
        reports=_reports(log, calls, archive, window, progress),
        devices=_devices(log, calls, archive),
        publications=assemble.publications(log, calls),
        sites=assemble.assets(log, "SiteAdded", "siteId"),
        plants=assemble.assets(log, "PlantAdded", "plantId"),
        files={batch.id: _files(batch, archive) for batch in batches},
        archive=archive,
    )


def _inside(window: Window, batch: Batch) -> bool:
    return window.overlaps(batch.start, batch.start + batch.slots * batch.slot_seconds)


def _files(batch: Batch, archive: Archive) -> BatchFiles:
    book = archive.get("book", batch.header["bookHash"])
    solution = archive.get("solution", batch.header["solutionHash"])
    book_json, book_problem = _object(book)
    solution_json, solution_problem = _object(solution)
    return BatchFiles(book, solution, book_json, solution_json, book_problem, solution_problem)


def _reports(
    log: assemble.Log, calls: Mapping[str, Call], archive: Archive, window: Window, progress: Progress
) -> tuple[ReportFact, ...]:
    submitted = log.get(("DeliveryOracle", "ReportSubmitted"), ())
    progress.begin("reading bundles", len(submitted))
    found = []
    for event in submitted:
        report = assemble.report_of(event.args["report"])
        inside = window.overlaps(report.start, report.end)
        document = archive.get("readings", report.archive_hash) if inside else OUTSIDE
        readable = document.state in ("intact", "altered")
        bundle = read_bundle(document.content) if readable else Parsed(None)
        signatures = assemble.signatures_of(event, calls, "submit")
        place = assemble.place_of(event)
        found.append(ReportFact(report, signatures, place, document, bundle, inside))
        progress.step(1)
    return tuple(found)


def _devices(log: assemble.Log, calls: Mapping[str, Call], archive: Archive) -> tuple[DeviceFact, ...]:
    recorded = {
        (event.tx, event.args["meterId"]): event.args["device"]
        for event in log.get(("Registry", "DeviceRecorded"), ())
    }
    found = []
    for event in log.get(("DeliveryOracle", "DeviceAttested"), ()):
        meter = event.args["meterId"]
        call = calls.get(event.tx)
        sent = assemble.struct_of(call, "attestDevice")
        signatures = assemble.signatures_of(event, calls, "attestDevice")
        record = recorded.get((event.tx, meter), {})
        terms = {**(sent or {}), **record, "meterId": meter}
        document = archive.get("evidence", event.args["evidenceHash"])
        place = assemble.place_of(event)
        found.append(DeviceFact(terms, sent, signatures, place, document, bool(record)))
    return tuple(found)


def _object(document: Document) -> tuple[Mapping[str, Any], str]:
    if document.state not in ("intact", "altered"):
        return {}, ""
    value, problem = parse_json(document.content)
    if problem:
        return {}, problem
    return (value, "") if isinstance(value, dict) else ({}, "not a JSON object")
