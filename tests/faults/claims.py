"""Lies that a solver of an optimistic batch may tell, each with the proof that convicts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from coincurve import PrivateKey

from backend.chain.claims import (
    Commitment,
    Entry,
    Facts,
    Step,
    pack_mark,
    read_marks,
    read_runs,
    sealed,
    steps_of,
)
from backend.chain.eip712 import order_digest, sign_order
from backend.chain.keccak import keccak
from backend.chain.packing import pack_runs

Lie = Callable[[Facts, Commitment], Commitment]


def _filled(made: Commitment) -> int:
    return next(n for n, row in enumerate(made.rows) if row.lanes >= 2 and len(made.entries[n].runs) > 13)


def _resealed(
    facts: Facts, made: Commitment, index: int, entry: Entry, steps: bool = True, **row: object
) -> Commitment:
    """The claim as a liar would post it: entry and row changed, hashes, sums and steps made to fit."""
    entries = [*made.entries[:index], entry, *made.entries[index + 1 :]]
    rows, welfare, best = [], 0, 0
    for n, (one, data) in enumerate(zip(made.rows, entries, strict=True)):
        marks = read_marks(data.marks)
        changed = replace(
            one,
            runs_hash=keccak(data.runs),
            marks_hash=keccak(data.marks),
            order_hash=order_digest(data.order, facts.domain),
            sig_hash=keccak(data.signature),
            cost_micro=sum(m[1] for m in marks),
            welfare_milli=sum(m[2] for m in marks),
        )
        changed = replace(changed, **row) if n == index else changed  # type: ignore[arg-type]
        welfare, best = welfare + changed.welfare_milli, best + changed.best_milli
        rows.append(replace(changed, cum_welfare=welfare, cum_best=best))
    return sealed(made.claim, rows, steps_of(facts, entries) if steps else made.steps, entries)


def _longer_run(facts: Facts, made: Commitment) -> Commitment:
    n = _filled(made)
    entry = made.entries[n]
    runs = read_runs(entry.runs)
    runs[0] = (*runs[0][:3], runs[0][3], runs[0][4] + 20, runs[0][5])
    return _resealed(facts, made, n, replace(entry, runs=pack_runs(runs)))


def _fewer_lanes(facts: Facts, made: Commitment) -> Commitment:
    return _resealed(facts, made, _filled(made), made.entries[_filled(made)], lanes=1)


def _other_signer(facts: Facts, made: Commitment) -> Commitment:
    entry = made.entries[3]
    forged = sign_order(entry.order, facts.domain, PrivateKey(b"\x77" * 32))
    return _resealed(facts, made, 3, replace(entry, signature=forged))


def _modest_best(facts: Facts, made: Commitment) -> Commitment:
    n = next(n for n, row in enumerate(made.rows) if row.best_milli > 0)
    return _resealed(facts, made, n, made.entries[n], best_milli=made.rows[n].best_milli - 1)


def _bold_sum(facts: Facts, made: Commitment) -> Commitment:
    rows = [replace(row, cum_welfare=row.cum_welfare + 7 * (n >= 20)) for n, row in enumerate(made.rows)]
    return sealed(made.claim, rows, made.steps, made.entries)


def _light_step(facts: Facts, made: Commitment) -> Commitment:
    steps = list(made.steps)
    steps[1] = replace(steps[1], load=steps[1].load - 1)
    return sealed(made.claim, made.rows, steps, made.entries)


def _crowded_offer(facts: Facts, made: Commitment) -> Commitment:
    n = _filled(made)
    entry = made.entries[n]
    runs = read_runs(entry.runs)
    runs[0] = (*runs[0][:5], 4_000_000)
    return _resealed(facts, made, n, replace(entry, runs=pack_runs(runs)))


def _swapped_rows(facts: Facts, made: Commitment) -> Commitment:
    rows, entries = list(made.rows), list(made.entries)
    rows[4], rows[5] = rows[5], rows[4]
    entries[4], entries[5] = entries[5], entries[4]
    return sealed(made.claim, rows, made.steps, entries)


def _swapped_steps(facts: Facts, made: Commitment) -> Commitment:
    steps = list(made.steps)
    steps[4], steps[5] = steps[5], steps[4]
    return sealed(made.claim, made.rows, steps, made.entries)


def _dropped_step(facts: Facts, made: Commitment) -> Commitment:
    return sealed(made.claim, made.rows, _loads_again(made.steps[:8] + made.steps[9:]), made.entries)


def _stray_step(facts: Facts, made: Commitment) -> Commitment:
    extra = replace(made.steps[8], key=made.steps[8].key | 9, delta=-3)
    steps = sorted([*made.steps, extra], key=lambda s: s.key)
    return sealed(made.claim, made.rows, _loads_again(steps), made.entries)


def _loads_again(steps: tuple[Step, ...] | list[Step]) -> list[Step]:
    made: list[Step] = []
    for step in steps:
        same = bool(made) and made[-1].key >> 72 == step.key >> 72
        made.append(replace(step, load=step.delta + (made[-1].load if same else 0)))
    return made


def _wrong_mark(facts: Facts, made: Commitment) -> Commitment:
    n = _filled(made)
    entry = made.entries[n]
    (zone, cost, welfare), *rest = read_marks(entry.marks)
    marks = b"".join(pack_mark(*m) for m in [(zone, cost - 1, welfare + 1000), *rest])
    return _resealed(facts, made, n, replace(entry, marks=marks))


LIES: tuple[tuple[Lie, str], ...] = (
    (_longer_run, "proveRun"),
    (_fewer_lanes, "proveOrder"),
    (_other_signer, "proveAuthority"),
    (_modest_best, "proveBetterBundle"),
    (_bold_sum, "proveRowSum"),
    (_light_step, "proveStepSum"),
    (_crowded_offer, "proveLoad"),
    (_swapped_rows, "proveRowOrder"),
    (_swapped_steps, "proveStepOrder"),
    (_dropped_step, "proveOmittedStep"),
    (_stray_step, "proveStrayStep"),
    (_wrong_mark, "provePriceRow"),
)
"""(the lie, the function of Challenges that proves it)."""
