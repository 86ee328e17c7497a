"""The carbon table a batch was cleared with: published by the committee, unchanged on chain."""

from __future__ import annotations

from audit.checks.reports import signed_by_quorum
from audit.facts import Facts
from audit.verdict import Result, Tally, check
from oracle.wire.errors import WireError
from oracle.wire.publication import publication_hash
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


CHECKS = (quorum, carbon)
