"""One compiler, one bytecode: forge, ape and py-solc-x build the same contracts; a red test is seen."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOLCX = ROOT / ".build" / "solcx"
PROFILE = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
LIBRARIES = (
    "OfferDesk",
    "ReleaseDesk",
    "ClearDesk",
    "MeterDesk",
    "PoolDesk",
    "RefundDesk",
    "ReadingLib",
    "ProvenDesk",
    "ChunkOpening",
    "SellerBound",
    "MakerBook",
)
PRODUCT = {
    "BundleMarket",
    "Certificates",
    "Challenges",
    "DeliveryOracle",
    "DevToken",
    "FlexMarket",
    "OptimisticMarket",
    "PointsMarket",
    "Registry",
    "Settlement",
    "Treasury",
}
LIBRARY = "11" * 20
PLACEHOLDER = re.compile(r"__\$[0-9a-f]{34}\$__")
TRAILER = re.compile(r"fea2646970667358221220[0-9a-f]{64}64736f6c6343[0-9a-f]{6}0033")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not SOLCX.is_dir(), reason="the compiler shim is not installed: run `make build`"),
]


def environment() -> dict[str, str]:
    binaries = ROOT / "node_modules" / "@foundry-rs" / "forge-linux-amd64" / "bin"
    return {**os.environ, "SOLCX_BINARY_PATH": str(SOLCX), "PATH": f"{binaries}:{os.environ['PATH']}"}


def digest(code: str) -> str:
    """SHA-256 of bytecode, libraries linked to LIBRARY, without the CBOR trailers.

    ape has no setting for the trailers, and a trailer hashes source paths and settings, which differ between
    the three tools; forge and py-solc-x are asked for code without any.
    """
    code = TRAILER.sub("", PLACEHOLDER.sub(LIBRARY, code.removeprefix("0x")))
    return hashlib.sha256(code.encode()).hexdigest()


def sources() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "contracts").rglob("*.sol"))


@pytest.fixture(scope="module")
def by_forge() -> dict[str, str]:
    subprocess.run(["forge", "build", "--skip", "test"], cwd=ROOT, env=environment(), check=True)
    found = {}
    for source in sources():
        for path in (ROOT / "out" / Path(source).name).glob("*.json"):
            found[path.stem] = digest(json.loads(path.read_text())["deployedBytecode"]["object"])
    return found


def compare(expected: dict[str, str], actual: dict[str, str]) -> int:
    """Assert equal hashes and return how many contracts were compared."""
    ours = {name: found for name, found in actual.items() if name in expected}
    assert ours == {name: expected[name] for name in ours}
    assert set(ours) >= PRODUCT.union(LIBRARIES)
    return len(ours)


def test_py_solc_x_builds_the_same_bytecode(
    by_forge: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOLCX_BINARY_PATH", str(SOLCX))
    import solcx

    request: dict[str, Any] = {
        "language": "Solidity",
        "sources": {source: {"urls": [source]} for source in sources()},
        "settings": {
            "remappings": PROFILE["remappings"],
            "optimizer": {"enabled": PROFILE["optimizer"], "runs": PROFILE["optimizer_runs"]},
            "evmVersion": PROFILE["evm_version"],
            "viaIR": PROFILE["via_ir"],
            "metadata": {"bytecodeHash": "none", "appendCBOR": False},
            "outputSelection": {source: {"*": ["evm.deployedBytecode.object"]} for source in sources()},
        },
    }
    version = str(solcx.get_installed_solc_versions()[0])
    answer = solcx.compile_standard(request, solc_version=version, base_path=str(ROOT), allow_paths=str(ROOT))
    built = {
        name: digest(contract["evm"]["deployedBytecode"]["object"])
        for contracts in answer["contracts"].values()
        for name, contract in contracts.items()
    }
    assert compare(by_forge, built) == len(by_forge)


def test_ape_builds_the_same_bytecode(by_forge: dict[str, str], tmp_path: Path) -> None:
    """In a copy of the project with its settings file: ape writes caches beside the sources."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copytree(ROOT / "contracts", project / "contracts")
    shutil.copy(ROOT / "ape-config.yaml", project)
    (project / "node_modules").symlink_to(ROOT / "node_modules")
    target = tmp_path / "built.json"
    script = f"""
import json, sys, ape
from pathlib import Path
for name in {LIBRARIES}:
    ape.compilers.solidity.libraries[f"contracts/libraries/{{name}}.sol"] = {{name: "0x{LIBRARY}"}}
project = ape.Project(Path(sys.argv[1]))
built = {{name: kind.runtime_bytecode for name, kind in project.load_contracts().items()}}
codes = {{name: str(code.bytecode) for name, code in built.items() if code and code.bytecode}}
Path(sys.argv[2]).write_text(json.dumps(codes))
"""
    result = subprocess.run(
        [str(ROOT / ".venv" / "bin" / "python"), "-c", script, str(project), str(target)],
        cwd=project,
        env={**environment(), "HOME": str(tmp_path), "APE_DATA_FOLDER": str(tmp_path / "ape")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    built = {name: digest(code) for name, code in json.loads(target.read_text()).items()}
    compare(by_forge, built)


def test_a_failing_contract_test_turns_the_run_red(tmp_path: Path) -> None:
    """The command of `make test-contracts`, on a project whose one test fails, must not exit 0."""
    recipe = re.search(r"^test-contracts:.*\n\t@?(.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert recipe.group(1).startswith("forge test")
    for statement, red in (("assert(true);", False), ("assert(false);", True)):
        project = tmp_path / str(red)
        (project / "contracts").mkdir(parents=True)
        (project / "tests" / "contracts").mkdir(parents=True)
        config = (ROOT / "foundry.toml").read_text().replace(".build/solcx", str(SOLCX))
        (project / "foundry.toml").write_text(config)
        (project / "tests" / "contracts" / "Probe.t.sol").write_text(
            "// SPDX-License-Identifier: Apache-2.0\npragma solidity ^0.8.28;\n"
            f"contract ProbeTest {{ function test_probe() public pure {{ {statement} }} }}\n"
        )
        result = subprocess.run(
            ["bash", "-c", recipe.group(1)],
            cwd=project,
            env=environment(),
            capture_output=True,
            text=True,
        )
        assert (result.returncode != 0) == red, result.stdout + result.stderr
        assert "test_probe" in result.stdout, result.stdout + result.stderr
