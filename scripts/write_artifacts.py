"""Writes ABI and bytecode of the product's contracts from forge's output into backend/chain/artifacts.

Usage: write_artifacts.py [FORGE_OUT] [TARGET]. Each file is {"contract", "abi", "bytecode"}, keys sorted, so that
the same sources give the same bytes.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = (
    "DevToken",
    "Treasury",
    "Registry",
    "DeliveryOracle",
    "BundleMarket",
    "Certificates",
    "Settlement",
)


def write(forge_out: Path, target: Path) -> None:
    """Write one JSON per contract; raises FileNotFoundError where forge has not built one."""
    target.mkdir(parents=True, exist_ok=True)
    for name in CONTRACTS:
        source = forge_out / f"{name}.sol" / f"{name}.json"
        built = json.loads(source.read_text())
        artifact = {"contract": name, "abi": built["abi"], "bytecode": built["bytecode"]["object"]}
        (target / f"{name}.json").write_text(json.dumps(artifact, sort_keys=True, indent=1) + "\n")


if __name__ == "__main__":
    arguments = [Path(argument) for argument in sys.argv[1:]]
    write(
        arguments[0] if arguments else ROOT / "out",
        arguments[1] if len(arguments) > 1 else ROOT / "backend" / "chain" / "artifacts",
    )
