"""Carbon statements and synergy indices published in the archive, derived again from the chain."""

from __future__ import annotations

from typing import Any

from audit.archive import Document, parse_json
from audit.facts import Facts
from audit.statement import FORMAT, statement
from audit.verdict import Result, Tally, check

FIGURES = ("load_wh", "matched_wh", "location_mg", "market_mg", "avoided_mg", "cfe_ppm")
KIND = "statement"


@check("carbon.statement", "F9, F10 both methods: every published statement/<hash> as re-derived from chain")
def published(facts: Facts) -> Result:
    tally = Tally()
    for document, claim in _claims(facts, tally):
        if _partly(facts):
            tally.doubt(
                document.path, "every batch of its period audited", "a part of the time was asked for"
            )
            continue
        due = statement(facts, claim["start"], claim["end"], claim["account"], claim["residual_g_per_kwh"])
        for name in FIGURES:
            tally.equal(f"{document.path} {name}", due[name], claim.get(name))
    return tally.result()


@check("synergy.index", "F14: every published synergy index and its five dimensions as re-derived")
def index(facts: Facts) -> Result:
    tally = Tally()
    for document, claim in _claims(facts, Tally()):
        told = claim.get("synergy")
        if claim["account"] is not None or told is None or _partly(facts):
            continue
        due = statement(facts, claim["start"], claim["end"], None, claim["residual_g_per_kwh"])["synergy"]
        for name, value in due.items():
            found = told.get(name) if isinstance(told, dict) else told
            tally.equal(f"{document.path} synergy {name}", value, found)
    return tally.result()


def _partly(facts: Facts) -> bool:
    """Whether something was settled of a batch that is not audited."""
    audited = {batch.id for batch in facts.batches}
    return any(event.args["batchId"] not in audited for event in facts.log("Settlement", "SlotSettled"))


def _claims(facts: Facts, tally: Tally) -> list[tuple[Document, dict[str, Any]]]:
    """Published statements that can be read; the others are findings."""
    found = []
    for document in facts.archive.every(KIND) if facts.archive is not None else ():
        value, problem = parse_json(document.content) if document.content else (None, document.found)
        if problem or not isinstance(value, dict) or not _readable(value):
            tally.count()
            tally.fail(document.path, f"a {FORMAT} object", problem or str(value)[:120])
        elif value["chain_id"] != facts.chain_id:
            tally.equal(f"{document.path} chain_id", facts.chain_id, value["chain_id"])
        else:
            found.append((document, value))
    return found


def _readable(value: dict[str, Any]) -> bool:
    if value.get("format") != FORMAT:
        return False
    numbers = all(type(value.get(name)) is int for name in ("chain_id", "start", "end", "residual_g_per_kwh"))
    account = value.get("account", 0)
    return numbers and value["residual_g_per_kwh"] >= 0 and (account is None or isinstance(account, str))


CHECKS = (published, index)
