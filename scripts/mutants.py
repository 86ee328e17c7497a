"""Hand-made mutants of the contracts: each is one plausible mistake that the suite must notice.

Usage: mutants.py [--only NAME]. Works on a copy under .build/mutants; prints one line a mutant and exits 1 when one
survives, does not compile, or its text is not found (then the list is stale).
"""

# ruff: noqa: E501 (the mutated text stands as it is in the contracts)
from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / ".build" / "mutants"
LIB = "contracts/libraries/"

# name, file, text, replacement, test files that are run
MUTANTS: tuple[tuple[str, str, str, str, str], ...] = (
    ("anyone posts in the ledger", "contracts/Treasury.sol",
     "        require(isModule[msg.sender], NotModule(msg.sender));\n\n        int256 sum;", "        int256 sum;", "Treasury"),
    ("postings need not balance", "contracts/Treasury.sol",
     "        require(sum == 0, PostingsNotBalanced(sum));", "", "Treasury"),
    ("withdrawals need not mature", "contracts/Treasury.sol",
     "require(block.timestamp >= request.maturesAt", "require(block.timestamp >= 0", "Treasury"),
    ("a slot settles twice", LIB + "SettlementState.sol",
     "s.settled[key] = word | bit;", "s.settled[key] = word;", "SettleChunk"),
    ("a meter interval counts twice", LIB + "SettlementState.sol",
     "s.meterUsed[meterId][step >> 8] = word | bit;", "s.meterUsed[meterId][step >> 8] = word;", "MeterPool"),
    ("a missing plant is paid off at once", LIB + "PoolDesk.sol",
     "bool over = block.timestamp >= until;", "bool over = until != 1;", "MeterPool"),
    ("a plant that was metered is metered again", LIB + "MeterDesk.sol",
     "&& s.deliveredWh(c.batchId, p.slot, p.list[place].index) == SettlementState.MISSING", "", "MeterPool"),
    ("any failure is a contradiction", LIB + "RefundDesk.sol",
     "if (reason.length < 4) return false;", "if (reason.length >= 4) return true;", "RefundChunk"),
    ("a missing mark is a contradiction", LIB + "RefundDesk.sol",
     "if (!s.poolOf(batchId, slot, zoneId, GREEN).missing) return true;", "return true;", "RefundChunk"),
    ("a common run pays nothing for its energy", LIB + "GreenRun.sol",
     "grow(add(cell, 0xe0), power)", "grow(add(cell, 0xe0), 0)", "libraries/GreenRun"),
    ("pools need not balance", "contracts/BundleMarket.sol", "        b.requireBalanced();\n", "", "BatchEnd"),
    ("anyone clears proven chunks", "contracts/BundleMarket.sol",
     "require(msg.sender == optimistic, NotOptimistic(msg.sender));\n        return", "return", "Optimistic"),
    ("a quorum of one", "contracts/DeliveryOracle.sol",
     "require(n >= committee.quorum, QuorumMissing(n, committee.quorum));", "", "Oracle"),
    ("signers may repeat", "contracts/DeliveryOracle.sol",
     "require(signer > previous, SignersNotAscending(signer));", "", "Oracle"),
    ("a quorum rules on leaves", "contracts/DeliveryOracle.sol",
     "require(report.standing == Standing.Disputed, NotDisputed(ruling.feedId, ruling.start));", "", "LeafDispute"),
    ("an altered leaf is answered", LIB + "ReadingLib.sol",
     "if (sha256(payload(r, quality)) != r.payloadHash) return false;", "", "LeafDispute"),
    ("a bond returns at once", "contracts/DeliveryOracle.sol",
     "require(block.timestamp >= allowedAt, BondHeld(msg.sender, allowedAt));", "", "Governance"),
    ("a committee takes office at once", LIB + "CommitteeLib.sol",
     "require(block.timestamp >= s.nextAt, IDeliveryOracle.CommitteeTooEarly(s.nextAt));", "", "Governance"),
    ("a pause is prolonged", "contracts/Registry.sol",
     "require(block.timestamp >= allowedAt, PauseTooSoon(allowedAt));", "", "Governance"),
    ("a pause stops nothing", LIB + "OfferDesk.sol",
     "require(block.timestamp >= until, IBundleMarket.NewBatchesPaused(until));", "", "Governance"),
    ("anyone mints", "contracts/Certificates.sol",
     "require(msg.sender == settlement, NotSettlement(msg.sender));\n        require(accounts.length",
     "require(accounts.length", "Certificates"),
    ("a serial counts twice", "contracts/Certificates.sol",
     "        serialUsed[registry][serial] = true;\n", "", "PointsMarket"),
    ("an offer is overfilled", "contracts/PointsMarket.sol",
     "filledOf[offer.maker][offer.nonce] = filled + amount;", "filledOf[offer.maker][offer.nonce] = amount;",
     "PointsMarket"),
    ("costs round down", "contracts/PointsMarket.sol", "+ 999) / 1000", ") / 1000", "PointsMarket"),
    ("an expired offer fills", "contracts/PointsMarket.sol",
     "require(block.timestamp <= offer.expiry, OfferExpired(hash, offer.expiry));", "", "PointsMarket"),
    ("a worse solution replaces", "contracts/OptimisticMarket.sol",
     "require(welfare >= needed, NotBetter(welfare, needed));", "", "Optimistic"),
    ("final before the window ends", "contracts/OptimisticMarket.sol",
     "        require(block.timestamp >= until, WindowOpen(batchId, until));\n", "", "Optimistic"),
    ("a reserve leaves at once", "contracts/OptimisticMakers.sol",
     "require(block.timestamp >= r.maturesAt, ReleaseNotMature(r.maturesAt));", "", "Optimistic"),
    ("the challenger gets the whole bond", "contracts/OptimisticMarket.sol",
     "_pay(c.solver, challenger, bondMicro, bondMicro / 2);", "_pay(c.solver, challenger, bondMicro, bondMicro);",
     "Optimistic"),
    ("a later cancellation convicts", LIB + "MakerBook.sol",
     "if (cancelled != 0 && cancelled <= time) return true;", "if (cancelled != 0) return true;", "Challenges"),
    ("the rate is not checked", LIB + "FaultFinder.sol",
     "if (tally.zone == zone && tally.lanesAt > lanes) tally.broken = true;", "", "Challenges"),
    ("any bundle convicts", "contracts/Challenges.sol",
     "profit > int256(uint256(leaf.row.bestMilli))", "profit > 0", "Challenges"),
    ("a capacity is one too many", "contracts/Challenges.sol",
     "wrong = load > int256(uint256(", "wrong = load > 1 + int256(uint256(", "Challenges"),
)  # fmt: skip


def prepare() -> None:
    """A copy of the tree with its build, so that a mutant compiles only what it touches."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    for name in ("contracts", "out", "cache"):
        shutil.copytree(ROOT / name, COPY / name)
    (COPY / "tests").mkdir()
    for name in ("contracts", "vectors"):
        shutil.copytree(ROOT / "tests" / name, COPY / "tests" / name)
    shutil.copy(ROOT / "foundry.toml", COPY)
    (COPY / ".build").mkdir()
    (COPY / "node_modules").symlink_to(ROOT / "node_modules")
    (COPY / "scripts").symlink_to(ROOT / "scripts")
    (COPY / ".build" / "solcx").symlink_to(ROOT / ".build" / "solcx")


def run(tests: str) -> str:
    """passed, failed (a test noticed) or broken (forge did not get as far)."""
    command = ["forge", "test", "--match-path", f"tests/contracts/{tests}.t.sol"]
    done = subprocess.run(command, cwd=COPY, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return "passed"
    return "failed" if "Suite result: FAILED" in done.stdout else "broken"


def verdict(file: str, text: str, replacement: str, tests: str) -> str:
    """killed, survived, stale (the text is not there any more) or broken (it does not compile)."""
    target = COPY / file
    before = target.read_text(encoding="utf-8")
    if text not in before:
        return "stale"
    target.write_text(before.replace(text, replacement, 1), encoding="utf-8")
    try:
        return {"passed": "survived", "failed": "killed", "broken": "broken"}[run(tests)]
    finally:
        target.write_text(before, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutants of the contracts that the suite must kill.")
    parser.add_argument("--only", help="run the mutants whose name contains this")
    only = parser.parse_args().only
    prepare()
    chosen = [mutant for mutant in MUTANTS if not only or only in mutant[0]]
    for tests in dict.fromkeys(mutant[4] for mutant in chosen):
        if run(tests) != "passed":
            print(f"{tests} does not pass on the contracts as they are: mend that first")
            return 1
    alive = 0
    for name, file, text, replacement, tests in chosen:
        begun = time.monotonic()
        found = verdict(file, text, replacement, tests)
        alive += found != "killed"
        print(f"{found:9} {time.monotonic() - begun:5.0f} s  {name} ({file}, {tests})", flush=True)
    print(f"{len(chosen) - alive} of {len(chosen)} mutants killed")
    return 1 if alive or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
