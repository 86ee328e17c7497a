"""Fails when a dependency is not pinned by hash, or its licence is none that the product may ship with.

Works without a network, and so knows no advisories: whoever may ask an advisory service runs
`pip-audit --require-hashes -r requirements.lock` and `npm audit` beside it. What this holds: nothing is
installed but the very files that were locked, and no copyleft beyond LGPL and MPL comes in unnoticed.
"""

import json
import re
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-bootstrap.lock", "requirements-prove.lock")
FREE = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Python-2.0|MPL|Mozilla|LGPL|Zlib|CC0|0BSD|Unlicense"
    r"|Public Domain|EPL"
)
STRONG = re.compile(r"(?<!L)GPL|AGPL|Affero|SSPL|BUSL|Proprietary")
REVIEWED = {"atheris": "Apache-2.0", "memorystream": "MIT"}
"""Packages whose metadata name no licence: the licence in their files, read by a person."""


def unpinned(lock: Path) -> list[str]:
    """Requirements of a lock without a SHA-256."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock.read_text(encoding="utf-8"))
    lines = [entry for entry in entries if re.match(r"[A-Za-z0-9._-]+(\[[^]]*\])?==", entry)]
    return [
        f"{lock.name}: {entry.split()[0]} has no hash" for entry in lines if "--hash=sha256:" not in entry
    ]


def licence(package: metadata.Distribution) -> str:
    """What a Python package's metadata say."""
    about = package.metadata
    classifiers = [line for line in about.get_all("Classifier") or [] if line.startswith("License ::")]
    words = [about.get("License-Expression") or "", *classifiers, (about.get("License") or "")[:80]]
    return "; ".join(word for word in words if word)


def check(name: str, text: str) -> list[str]:
    """What is wrong with a package's licence."""
    text = REVIEWED.get(name.lower(), text)
    if STRONG.search(text) and " OR " not in text:
        return [f"{name}: licence {text!r} must not be linked in"]
    return [] if FREE.search(text) else [f"{name}: licence {text!r} is not known: read it and list it"]


def main() -> int:
    wrong = [line for name in LOCKS for line in unpinned(ROOT / name)]
    packages = {item.metadata["Name"]: item for item in metadata.distributions()}
    for name, package in packages.items():
        wrong += check(name, licence(package))
    modules = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for path, entry in modules.items():
        if path:
            name = path.rpartition("node_modules/")[2]
            wrong += [] if "integrity" in entry else [f"package-lock.json: {name} has no integrity"]
            wrong += check(name, entry.get("license") or "")
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"dependencies: {len(packages)} Python and {len(modules) - 1} Node packages, {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
