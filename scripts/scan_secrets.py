"""Fails when a tracked file holds a key, token or password that detect-secrets knows the shape of.

Guesses by entropy and by words near a string are left out: hashes and test vectors are full of both. A test's
made-up secret is marked `pragma: allowlist secret` on its line.
"""

import subprocess
import sys
from pathlib import Path

from detect_secrets import SecretsCollection
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).resolve().parent.parent
GUESSES = {"Base64HighEntropyString", "HexHighEntropyString", "KeywordDetector"}
SKIPPED = (".lock", "package-lock.json", ".svg", ".png")


def main() -> int:
    """Prints each finding as file:line: kind; exit code 1 if there is any."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    names = [name for name in listed.stdout.decode().split("\0") if name and not name.endswith(SKIPPED)]
    kinds = [kind.__name__ for kind in get_mapping_from_secret_type_to_class().values()]
    plugins = [{"name": kind} for kind in kinds if kind not in GUESSES]
    found = SecretsCollection(root=str(ROOT))
    with transient_settings({"plugins_used": plugins}):
        for name in names:
            if (ROOT / name).is_file():
                found.scan_file(name)
    for name, secret in found:
        print(f"{name}:{secret.line_number}: {secret.type}")
    print(f"secrets: {len(names)} files, {len(plugins)} kinds, {len(list(found))} found")
    return 1 if len(list(found)) else 0


if __name__ == "__main__":
    sys.exit(main())
