"""Writes ABI and bytecode of the product's contracts from forge's output into backend/chain/artifacts.

Usage: write_artifacts.py [FORGE_OUT] [TARGET]. Each file is {"contract", "abi", "bytecode", "links"}, keys
sorted, so that the same sources give the same bytes. "links" names the libraries a contract calls:
{name: [byte offsets]}; at each offset the bytecode holds 20 zero bytes for the library's address.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = (
    "OfferDesk",
    "ReleaseDesk",
    "ClearDesk",
    "MeterDesk",
    "RefundDesk",
    "PoolDesk",
    "ReadingLib",
    "ProvenDesk",
    "ChunkOpening",
    "SellerBound",
    "MakerBook",
)
CONTRACTS = (
    "DevToken",
    "Treasury",
    "Registry",
    "DeliveryOracle",
    "BundleMarket",
    "Certificates",
    "Settlement",
    "PointsMarket",
    "FlexMarket",
    "OptimisticMarket",
    "Challenges",
)
ADDRESS_BYTES = 20


def unlinked(bytecode: dict[str, Any]) -> tuple[str, dict[str, list[int]]]:
    """Bytecode with zeros for the library addresses, and where they go (byte offsets by library)."""
    code = bytecode["object"].removeprefix("0x")
    links: dict[str, list[int]] = {}
    for by_name in bytecode["linkReferences"].values():
        for name, places in by_name.items():
            links[name] = sorted(place["start"] for place in places)
            for start in links[name]:
                code = code[: 2 * start] + "0" * (2 * ADDRESS_BYTES) + code[2 * (start + ADDRESS_BYTES) :]
    return "0x" + code, links


def write(forge_out: Path, target: Path) -> None:
    """Write one JSON per contract; raises FileNotFoundError where forge has not built one."""
    target.mkdir(parents=True, exist_ok=True)
    for name in LIBRARIES + CONTRACTS:
        source = forge_out / f"{name}.sol" / f"{name}.json"
        built = json.loads(source.read_text())
        bytecode, links = unlinked(built["bytecode"])
        artifact = {"contract": name, "abi": built["abi"], "bytecode": bytecode, "links": links}
        (target / f"{name}.json").write_text(json.dumps(artifact, sort_keys=True, indent=1) + "\n")


if __name__ == "__main__":
    arguments = [Path(argument) for argument in sys.argv[1:]]
    write(
        arguments[0] if arguments else ROOT / "out",
        arguments[1] if len(arguments) > 1 else ROOT / "backend" / "chain" / "artifacts",
    )
