"""The ground: contracts that exist and name each other, logs that decode, files that are what they say."""

from __future__ import annotations

from audit.archive import KINDS
from audit.facts import Facts
from audit.verdict import Result, Tally, check

WIRES = {
    "registry": "Registry",
    "treasury": "Treasury",
    "oracle": "DeliveryOracle",
    "market": "BundleMarket",
    "certificates": "Certificates",
    "settlement": "Settlement",
    "token": "DevToken",
}


@check("book.contracts", "addresses.json: chain id, code at every address, contracts that name each other")
def contracts(facts: Facts) -> Result:
    tally = Tally()
    views = facts.views
    tally.equal("chain_id", facts.chain_id, views.chain_id)
    for name, size in views.code_bytes.items():
        address = facts.addresses[name]
        tally.true(size > 0, f"contracts.{name}.address {address}", "a contract", "no code at this address")
    for wire, address in views.wiring.items():
        name = WIRES[wire.split(".")[1]]
        if name in facts.addresses:
            tally.equal(f"{wire} against contracts.{name}.address", address, facts.addresses[name])
    return tally.result()


@check("book.abi", "published ABIs: every log of the contracts decodes")
def abi(facts: Facts) -> Result:
    tally = Tally()
    tally.count(sum(len(events) for events in facts.events.values()))
    for text in facts.odd_logs:
        tally.fail("log", "an event of the published ABI", text)
    return tally.result()


@check("archive.names", "archive: every file hashes to the SHA-256 in its name")
def names(facts: Facts) -> Result:
    tally = Tally()
    if facts.archive is None:
        return tally.result()
    for kind in KINDS:
        for document in facts.archive.every(kind):
            tally.count()
            if document.state != "intact":
                due = f"sha256 {document.expected.hex()}" if document.expected else "a name of 64 hex digits"
                tally.fail(document.path, due, document.found)
    return tally.result()


CHECKS = (contracts, abi, names)
