"""The auditor may share the wire format and the integer check with the rest, and nothing else of it."""

from __future__ import annotations

import ast
from pathlib import Path

import audit

ALLOWED = (
    "audit",
    "oracle.wire",
    "oracle.evidence",
    "backend.market.certificate",
    "backend.market.check",
    "backend.market.codec",
    "backend.market.domain",
    "backend.market.errors",
)
OURS = ("audit", "backend", "oracle", "bitwatt", "tests", "scripts")


def imported(path: Path) -> set[str]:
    """Modules of this distribution that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return {name for name in found if name.split(".")[0] in OURS}


def test_it_imports_wire_format_and_integer_check_only() -> None:
    folder = Path(audit.__file__).parent
    used = {name for path in folder.rglob("*.py") for name in imported(path)}
    strangers = {name for name in used if not any(name == ok or name.startswith(ok + ".") for ok in ALLOWED)}
    assert strangers == set()
    assert {"oracle.wire.outcomes", "backend.market.check"} <= used
