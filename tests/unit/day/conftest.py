"""Small files in every format, written by `write`; the shared data where it is present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.day.writing import Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return put


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared data folder; the test is skipped where it is absent."""
    root = Path(os.environ.get("BITWATT_SHARED", Path(__file__).resolve().parents[4] / "shared"))
    if not (root / "data" / "gpu_jobs" / "philly_jobs.csv").is_file():
        pytest.skip(f"no shared data at {root}: set BITWATT_SHARED")
    return root / "data"
