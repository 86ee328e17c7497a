"""The fairness certificate: what nobody would rather have had, recomputed from the archived book."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from audit.checks.books import pairs
from audit.facts import Batch, BatchFiles, Facts
from audit.verdict import Result, Tally, check
from backend.market.certificate import shortfalls_of
from backend.market.check import check as check_solution
from backend.market.codec import book_from_json, solution_from_json
from backend.market.domain import Book, Solution
from backend.market.errors import MarketError


def solved(facts: Facts, tally: Tally) -> Iterator[tuple[Batch, BatchFiles, Book, Solution]]:
    """Book and solution of each batch as the market reads them; unreadable ones are findings."""
    for batch, files in pairs(facts):
        if not files.book_json or not files.solution_json:
            continue
        tally.count()
        try:
            book = book_from_json(files.book.content)
            solution = solution_from_json(files.solution.content)
        except (MarketError, ValueError, OverflowError, TypeError, AttributeError) as error:
            where = f"{files.book.path} and {files.solution.path} of batch {batch.id}"
            tally.fail(where, "a book and its solution", error)
            continue
        yield batch, files, book, solution


@check("clearing.feasible", "MECHANISM feasible, balanced, rational, bounded: integer check of the solution")
def feasible(facts: Facts) -> Result:
    tally = Tally()
    for batch, files, book, solution in solved(facts, tally):
        verdict = check_solution(book, solution)
        tally.count(len(book.orders) + len(book.compute_offers) + len(book.power_offers))
        for violation in verdict.violations:
            where = f"{files.solution.path} of batch {batch.id}: {violation.subject}"
            tally.fail(where, violation.rule, violation.detail)
    return tally.result()


@check(
    "clearing.certificate", "MECHANISM dual bound D and welfare W; BatchHeader.welfareMicro, dualBoundMicro"
)
def certificate(facts: Facts) -> Result:
    tally = Tally()
    for batch, files, book, solution in solved(facts, tally):
        verdict = check_solution(book, solution)
        found = verdict.certificate
        if found is None:
            tally.fail(f"{files.solution.path} of batch {batch.id}", "a solution with a certificate", "none")
            continue
        header = batch.header
        where = f"batch {batch.id} header"
        tally.equal(f"{where} welfareMicro", found.welfare_milli // 1000, header["welfareMicro"])
        tally.equal(f"{where} dualBoundMicro", -(-found.bound_milli // 1000), header["dualBoundMicro"])
        bounded = header["dualBoundMicro"] >= header["welfareMicro"]
        tally.true(bounded, where, "dual bound at least the welfare", header["dualBoundMicro"])
    return tally.result()


@check("clearing.unenvied", "MECHANISM: no participant has more than its best bundle at these prices")
def unenvied(facts: Facts) -> Result:
    tally = Tally()
    for batch, files, book, solution in solved(facts, tally):
        if check_solution(book, solution).certificate is None:
            continue
        missed = shortfalls_of(book, solution)
        total = -missed.indivisible_milli
        other = missed.assets
        for what, ids, best, got in (
            ("order", book.orders.id, missed.order_best, missed.order_got),
            (
                "compute offer",
                [offer.id for offer in book.sellers()],
                missed.offer_best,
                missed.offer_got,
            ),
            ("power offer", [offer.id for offer in book.power_offers], missed.power_best, missed.power_got),
            (
                "flexibility",
                [one.id for one in book.assets.flexibilities],
                np.array(other.flexibility_best, dtype=object),
                np.array(other.flexibility_got, dtype=object),
            ),
            (
                "storage",
                [one.id for one in book.assets.storages],
                np.array(other.storage_best, dtype=object),
                np.array(other.storage_got, dtype=object),
            ),
            (
                "line",
                [one.id for one in book.assets.lines],
                np.array(other.line_best, dtype=object),
                np.array(other.line_got, dtype=object),
            ),
        ):
            tally.count(len(ids))
            lost = best - got
            total += int(lost.sum()) if len(lost) else 0
            for at, amount in enumerate(lost.tolist()):
                if amount < 0:
                    where = f"{files.solution.path} of batch {batch.id}: {what} {ids[at]}"
                    tally.fail(where, f"at most its best of {int(best[at])} milli-micro", int(got[at]))
        declared = files.solution_json.get("certificate")
        if isinstance(declared, dict):
            gap = declared.get("bound_milli", 0) - declared.get("welfare_milli", 0)
            where = f"{files.solution.path} of batch {batch.id} declared gap"
            tally.equal(where, total, gap)
    return tally.result()


CHECKS = (feasible, certificate, unenvied)
