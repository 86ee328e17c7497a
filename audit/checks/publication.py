"""The carbon table a batch was cleared with: published by the committee, unchanged on chain."""

from __future__ import annotations

from audit.archive import parse_json
from audit.checks.reports import signed_by_quorum
from audit.facts import Batch, Facts
from audit.verdict import Result, Tally, check
from oracle.wire.errors import WireError
from oracle.wire.publication import CarbonDocument, decode_carbon_document, publication_hash
from oracle.wire.typed import Publication


@check("publication.quorum", "EIP-712 Publication; DeliveryOracle.publish, event Published")
def quorum(facts: Facts) -> Result:
    tally = Tally()
    for item in facts.publications:
        where = f"publication for {item.terms['start']}"
        sent = item.sent
        if sent is None:
            tally.doubt(where, "the publication that was sent", "the call cannot be seen")
            continue
        tally.equal(f"{where} contentHash", sent["contentHash"], item.terms["contentHash"])
        hashed = Publication(sent["start"], sent["contentHash"], sent["configDigest"]).struct_hash()
        signed_by_quorum(tally, facts, where, hashed, item.signatures, sent["configDigest"], item.place)
    return tally.result()


@check("publication.carbon", "posted grid carbon hashes to BatchHeader.publicationHash = what was published")
def carbon(facts: Facts) -> Result:
    tally = Tally()
    published = {item.terms["start"]: item for item in facts.publications}
    for batch in facts.batches:
        where = f"batch {batch.id} carbon table"
        item = published.get(batch.start)
        if item is None or item.place > batch.place:
            tally.fail(where, f"a publication for {batch.start} before the batch was opened", "none")
        else:
            tally.equal(where, item.terms["contentHash"], batch.header["publicationHash"])
        if batch.prices is None:
            continue
        try:
            found = publication_hash(
                batch.start, batch.slot_seconds, batch.slots, batch.header["zones"], batch.prices.carbon_raw
            )
        except WireError as error:
            tally.fail(where, "a carbon section of the header's size", error)
            continue
        tally.equal(f"{where} as posted", batch.header["publicationHash"], found)
    return tally.result()


@check("publication.file", "archived publication document hashes to what was published, cell by cell")
def file(facts: Facts) -> Result:
    tally = Tally()
    if facts.archive is None:
        return tally.result()
    documents = {document.path: document for document in facts.archive.every("publication")}
    read: dict[str, CarbonDocument] = {}
    unread: dict[str, str] = {}
    for path, document in documents.items():
        _, problem = parse_json(document.content)
        try:
            if not problem:
                read[path] = decode_carbon_document(document.content)
        except WireError as error:
            problem = str(error)
        if problem:
            unread[path] = problem
    for batch in facts.batches:
        tally.count()
        due = batch.header["publicationHash"]
        mine = {path: table for path, table in read.items() if table.start == batch.start}
        if any(table.content_hash() == due for table in mine.values()):
            continue
        where = f"publication of batch {batch.id}: content hash 0x{due.hex()}"
        for path, table in mine.items():
            tally.fail(f"{path} proving the {where}", *_difference(batch, table))
        for path, problem in unread.items():
            tally.fail(f"{path}, which may prove the {where}", "a publication", problem)
        if not mine and not unread:
            tally.fail(f"publication/*.json proving the {where}", "in the archive", "absent")
    return tally.result()


def _difference(batch: Batch, table: CarbonDocument) -> tuple[str, str]:
    """The first cell that differs from the posted carbon section, as expected and found."""
    posted = batch.prices.grid_carbon.tolist() if batch.prices is not None else []
    for zone, (row, archived) in enumerate(zip(posted, table.grid_carbon, strict=False)):
        for slot, (one, other) in enumerate(zip(row, archived, strict=False)):
            if one != other:
                return f"{one} g/kWh in zone {zone} slot {slot}", f"{other} g/kWh"
    return f"{len(posted)} zones of {batch.slots} slots", "another size or interval"


CHECKS = (quorum, carbon, file)
