"""Runs the small market day as a process of its own, for tests that kill it: `day_runner.py OUT [RPC]`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))


def main() -> None:
    """Runs the day in OUT to its end."""
    from small_day import small_day

    from backend.day.driver import Options, run_day
    from backend.day.progress import Narrator

    rpc = sys.argv[2] if len(sys.argv) > 2 else None
    run_day(Options(Path(sys.argv[1]), 0, rpc, {"command": "small", "rpc": rpc}, small_day), Narrator())


if __name__ == "__main__":
    main()
