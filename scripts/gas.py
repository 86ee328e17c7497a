"""Gas of a whole market day: prints the table, writes the snapshot, or with --check compares with it.

The figures come from tests/bench/Gas.t.sol, where each call is a transaction of its own on a second, equal
day: they hold the 21,000, the calldata and cold storage, and no first writes of accounts that already trade.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SNAPSHOT = ROOT / "tests" / "bench" / "gas.json"
MEASURED = ROOT / ".build" / "gas" / "gas.json"
TOLERANCE = 0.02
LEFT_OUT = (
    "Left out: first deposit and first use of an account; opening a batch, its price table and "
    "its offers (batch_setup, whatever the number of orders); turning accrued credits into ERC-1155 units "
    "(claim_first_each, whenever an account wants them). Orders are filled whole under queued nonces: a fill "
    "in part, or under a free nonce, writes one more word."
)
GOALS = {
    "lifecycle_per_order_n100": 27_000,
    "lifecycle_per_order_n100_10_per_maker": 16_000,
    "extra_slot": 4_000,
    "report_n4_q3": 90_000,
    "certificate_batch_each": 10_000,
    "retire": 60_000,
}
PEERS = (
    ("lifecycle_per_order_n100", "CoW settle, the swap of a trade alone", 58_900),
    ("lifecycle_per_order_n100", "Seaport, the swap of an order alone", 73_700),
    ("lifecycle_per_order_n100", "naive full lifecycle with one call an order", 309_000),
    ("report_n4_q3", "OCR2 transmit, n = 4", 91_000),
    ("certificate_batch_each", "Energy Web issue, a certificate", 493_000),
    ("certificate_batch_each", "EAS attest", 200_000),
    ("deposit", "Morpho supply", 61_000),
)


def measure() -> dict[str, int]:
    """Runs the benchmark; figures by name."""
    MEASURED.unlink(missing_ok=True)
    done = subprocess.run(
        ["forge", "test", "--silent"],
        cwd=ROOT,
        env={**os.environ, "FOUNDRY_PROFILE": "gas"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not MEASURED.exists():
        sys.exit(f"gas: the benchmark failed:\n{done.stdout}{done.stderr}")
    raw = {name: int(value) for name, value in json.loads(MEASURED.read_text()).items()}
    eight, one = raw["lifecycle_per_order_n100_8_slots"], raw["lifecycle_per_order_n100"]
    raw["extra_slot"] = (eight - one) // 7
    return dict(sorted(raw.items()))


def table(figures: dict[str, int]) -> str:
    """The figures, their goals, and what peers use for a part of it."""
    width = max(map(len, figures))
    lines = []
    for name, value in figures.items():
        goal = GOALS.get(name)
        mark = "" if goal is None else f"  goal {goal:>7,} {'met' if value <= goal else 'MISSED'}"
        lines.append(f"{name:<{width}} {value:>9,}{mark}")
    lines.append("")
    lines += [f"peer: {what}: {value:,} (against {name} {figures[name]:,})" for name, what, value in PEERS]
    return "\n".join([*lines, LEFT_OUT])


def regressions(figures: dict[str, int], kept: dict[str, int]) -> list[str]:
    """What is more than 2 % above the snapshot, missing from it, or no longer measured."""
    found = [f"{name}: measured, but not in the snapshot" for name in figures.keys() - kept.keys()]
    found += [f"{name}: in the snapshot, but not measured" for name in kept.keys() - figures.keys()]
    for name in sorted(figures.keys() & kept.keys()):
        if figures[name] > kept[name] * (1 + TOLERANCE):
            found.append(f"{name}: {figures[name]:,}, more than 2 % above {kept[name]:,}")
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the snapshot, write nothing")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    figures = measure()
    print(json.dumps({"figures": figures}, indent=2) if options.json else table(figures))
    if not options.check:
        SNAPSHOT.write_text(json.dumps({"figures": figures}, indent=2) + "\n")
        return
    problems = regressions(figures, json.loads(SNAPSHOT.read_text())["figures"])
    if problems:
        sys.exit("\n".join(["gas: worse than tests/bench/gas.json (make gas writes it anew):", *problems]))


if __name__ == "__main__":
    main()
