"""Signed reports: what goes round between nodes, and what proves that a member signed two of one epoch."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.node.witness import Witness
from oracle.wire.errors import WireError
from oracle.wire.keys import address_of, sha256, sign_digest
from oracle.wire.signed import Equivocation, SignedReport, conflict, decode_equivocation, decode_signed_report
from oracle.wire.typed import Report, digest, domain_separator, feed_id

SEPARATOR = domain_separator(31337, "0x" + "11" * 20)
WORDS = [sha256(bytes([n])) for n in range(7)]
REPORT = Report(feed_id("main"), 5, 900, 1800, WORDS[0], 3, (0,) * 8, *WORDS[1:7])
ONE, TWO = sha256(b"one"), sha256(b"two")


def signed(report: Report, *secrets: bytes) -> SignedReport:
    due = digest(SEPARATOR, report.struct_hash())
    return SignedReport(report, b"".join(sign_digest(secret, due) for secret in secrets))


OTHER = replace(REPORT, totals=(1,) * 8)


def test_it_comes_back_as_it_went() -> None:
    made = signed(REPORT, ONE, TWO)
    assert decode_signed_report(made.encode()) == made
    assert set(made.signers(SEPARATOR)) == {address_of(ONE), address_of(TWO)}
    assert not set(made.signers(domain_separator(1, "0x" + "11" * 20))) & {address_of(ONE)}


def test_two_reports_of_one_epoch_convict_who_signed_both() -> None:
    proofs = conflict(signed(REPORT, ONE, TWO), signed(OTHER, TWO), SEPARATOR)
    assert [proof.member for proof in proofs] == [address_of(TWO)]
    assert decode_equivocation(proofs[0].encode(), SEPARATOR) == proofs[0]


@pytest.mark.parametrize(
    "second",
    [
        signed(REPORT, ONE),  # the same report
        signed(replace(OTHER, epoch=6), ONE),  # of another epoch
        signed(replace(OTHER, feed_id=feed_id("other")), ONE),  # of another feed
        signed(OTHER, TWO),  # by another member
        SignedReport(OTHER, bytes(65)),
    ],
)
def test_what_is_no_equivocation(second: SignedReport) -> None:
    assert conflict(signed(REPORT, ONE), second, SEPARATOR) == []


class Chain:
    """A contract as the witness asks it; nothing else of the node is needed."""

    separator = SEPARATOR

    def __init__(self) -> None:
        self.proven: list[str] = []

    def signed_report(self, feed: bytes, epoch: int) -> SignedReport:
        return signed(REPORT, ONE, TWO)

    def prove_equivocation(self, proof: Equivocation) -> str:
        self.proven.append(proof.member)
        return "0x"


def witness(next_epoch: int) -> tuple[Witness, Chain, SimpleNamespace]:
    chain = Chain()
    facts = SimpleNamespace(next_epoch=next_epoch, report_hashes={5: REPORT.struct_hash()})
    committee = SimpleNamespace(members=(address_of(ONE), address_of(TWO)))
    node = SimpleNamespace(
        contract=chain, facts=facts, committee=committee, feed_id=REPORT.feed_id, counters=Counter()
    )
    return Witness(node), chain, facts  # type: ignore[arg-type]


def test_a_false_report_heard_before_the_true_one_stands_is_proven_once_it_does() -> None:
    heard, chain, facts = witness(5)
    assert heard.hear(signed(OTHER, TWO)) and not heard.hear(signed(OTHER, TWO))
    asyncio.run(heard.judge())
    assert chain.proven == [], "nothing stands on chain yet"
    facts.next_epoch = 6
    asyncio.run(heard.judge())
    heard.hear(signed(replace(OTHER, totals=(2,) * 8), TWO))
    asyncio.run(heard.judge())
    assert chain.proven == [address_of(TWO)], "once"


def test_a_flood_of_reports_is_not_kept() -> None:
    heard, chain, _ = witness(6)
    kept = [heard.hear(signed(replace(REPORT, count=n), ONE)) for n in range(50)]
    assert kept.count(True) == 2, "two convict"
    assert not heard.hear(signed(OTHER, sha256(b"a stranger")))
    assert not heard.hear(signed(replace(OTHER, epoch=6 + 97), TWO)), "too far ahead"
    asyncio.run(heard.judge())
    assert chain.proven == [address_of(ONE)]


@given(st.binary(max_size=200))
def test_rubbish_is_refused(data: bytes) -> None:
    for decode in (decode_signed_report, lambda found: decode_equivocation(found, SEPARATOR)):
        with pytest.raises(WireError):
            decode(data)


@pytest.mark.parametrize(
    "broken",
    [
        replace(REPORT, root=b"short"),
        replace(REPORT, totals=(1, 2)),
        replace(REPORT, epoch=b"\0" * 32),
    ],
)
def test_fields_of_another_kind_are_refused(broken: Report) -> None:
    with pytest.raises(WireError, match="report"):
        decode_signed_report(SignedReport(broken, b"").encode())
    with pytest.raises(WireError, match="signatures"):
        decode_signed_report(SignedReport(REPORT, bytes(64)).encode())
