"""Signed reports: what goes round between nodes, and what proves that a member signed two of one epoch."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.wire.errors import WireError
from oracle.wire.keys import address_of, sha256, sign_digest
from oracle.wire.signed import SignedReport, conflict, decode_equivocation, decode_signed_report
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
