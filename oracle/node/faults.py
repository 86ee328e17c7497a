"""Faults to order, on development chains only: a member that lies, stalls, or signs two reports."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from oracle.node.node import Draft, Node
from oracle.node.peers import Answer
from oracle.wire.bundle import decode_bundle, encode_bundle
from oracle.wire.keys import sha256, sign_digest
from oracle.wire.outcomes import Outcome, pack_outcome, unpack_outcomes
from oracle.wire.signed import SignedReport
from oracle.wire.typed import digest

STALL_SECONDS = 3600.0
SHOW_SECONDS = 30.0


def corrupted(node: Node, draft: Draft) -> Draft:
    """The report of a liar: everything delivered in full, one reading left out."""
    bundle = decode_bundle(draft.bundle)
    false = tuple(
        replace(
            entry, packed=b"".join(pack_outcome(_inflated(item)) for item in unpack_outcomes(entry.packed))
        )
        for entry in bundle.outcomes
    )
    lie = replace(bundle, epoch=bundle.epoch, outcomes=false)
    encoded = encode_bundle(lie)
    report = replace(
        draft.report,
        outcomes_root=sha256(encoded),
        archive_hash=sha256(encoded),
        totals=tuple(total + 1 for total in draft.report.totals),
    )
    return Draft(report, digest(node.contract.separator, report.struct_hash()), encoded)


def equivocate(node: Node, draft: Draft) -> None:
    """Signs a second report of the epoch, with a Wh more in it, and shows it to everybody."""
    report = replace(draft.report, totals=tuple(total + 1 for total in draft.report.totals))
    signature = sign_digest(node.secret, digest(node.contract.separator, report.struct_hash()))
    news = SignedReport(report, signature).encode()
    node.peers.run(node.peers.tell_all("/peer/news", news, SHOW_SECONDS))


def _inflated(outcome: Outcome) -> Outcome:
    return Outcome(outcome.delivered_milli_lanes + 1000, outcome.matched_wh + 1000)


async def false_answer(node: Node, body: bytes) -> Answer | None:
    """What a faulty member answers its peers; None for an honest one."""
    if node.config.fault == "lie":
        return Answer("vote", sign_digest(node.secret, sha256(body)))
    if node.config.fault == "stall":
        await asyncio.sleep(STALL_SECONDS)
    return None
