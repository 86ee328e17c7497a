"""docs/contracts is rendered from the interfaces as they are; every contract keeps its promise of size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backend.chain.deploy import ARTIFACTS, artifact

ROOT = Path(__file__).resolve().parents[3]


def test_the_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/write_contract_docs.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", sorted(ROOT.glob("contracts/**/*.sol")), ids=lambda path: path.name)
def test_no_contract_is_longer_than_a_newcomer_reads(path: Path) -> None:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    code = [line for line in lines if line and not line.startswith(("//", "/*", "*"))]
    assert len(code) <= 350


def test_every_contract_fits_the_chain() -> None:
    names = sorted(path.stem for path in ARTIFACTS.glob("*.json"))
    assert names
    for name in names:  # creation code is longer than what is kept
        assert len(artifact(name).code) // 2 <= 24_576 + 2_000, name
