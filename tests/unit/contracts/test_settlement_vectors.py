"""The vectors that DeliveryMath is tested with are what the auditor's arithmetic says today."""

from __future__ import annotations

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

VECTORS = Path(__file__).resolve().parents[2] / "vectors"


def test_the_vectors_are_the_auditors_arithmetic() -> None:
    spec = spec_from_file_location("generate_settlement", VECTORS / "generate_settlement.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    kept = json.loads((VECTORS / "settlement.json").read_text(encoding="utf-8"))
    assert module.document() == kept
    assert len(kept["payments"]["lanes"]) == module.CASES
