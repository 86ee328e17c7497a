"""`make fuzz`: coverage-guided fuzzing of every parser, one process and time share each.

Usage: campaign.py [--seconds TOTAL] [--target NAME] [--out DIR]. An input that breaks a parser is kept in
DIR; give it to `campaign.py --replay FILE --target NAME`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import atheris

INSTRUMENTED = ["oracle", "audit", "backend.market.codec", "backend.day.sources"]


def fuzz(name: str, corpus: Path, seconds: int) -> None:
    """Fuzzes one target in this process; does not return (libFuzzer ends the process)."""
    with atheris.instrument_imports(include=INSTRUMENTED):
        from targets import TARGETS
    target = next(target for target in TARGETS if target.name == name)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)

    def one(data: bytes) -> None:
        with contextlib.suppress(target.refuses):
            target.parse(data)

    flags = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=3000", "-max_len=65536"]
    kept = f"-artifact_prefix={corpus.parent}/{corpus.name}-"
    atheris.Setup([sys.argv[0], *flags, kept, str(corpus)], one)
    atheris.Fuzz()


def replay(name: str, file: Path) -> None:
    """Gives one input to one target and lets its error through."""
    from targets import TARGETS

    target = next(target for target in TARGETS if target.name == name)
    try:
        print("taken:", str(target.parse(file.read_bytes()))[:200])
    except target.refuses as error:
        print("refused:", error)


def main() -> int:
    """Runs the campaign; exit code 1 when any parser broke."""
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=int, default=660)
    options.add_argument("--target")
    options.add_argument("--out", type=Path, default=Path("runs/fuzz"))
    options.add_argument("--child", action="store_true")
    options.add_argument("--replay", type=Path)
    given = options.parse_args()
    if given.replay:
        replay(given.target, given.replay)
        return 0
    if given.child:
        fuzz(given.target, given.out / given.target.replace(" ", "-"), given.seconds)
        return 0
    from targets import TARGETS

    names = [given.target] if given.target else [target.name for target in TARGETS]
    share = max(5, given.seconds // len(names))
    given.out.mkdir(parents=True, exist_ok=True)
    broken = []
    for name in names:
        command = [sys.executable, __file__, "--child", "--target", name]
        command += ["--seconds", str(share), "--out", str(given.out)]
        with (given.out / f"{name.replace(' ', '-')}.log").open("wb") as log:
            code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
        print(f"fuzz: {name}: {share} s, {'ok' if code == 0 else 'BROKEN, see ' + log.name}", flush=True)
        if code:
            broken.append(name)
    print(
        json.dumps({"figures": {"targets": len(names), "broken": len(broken), "seconds": share * len(names)}})
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
