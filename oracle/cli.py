"""The console commands of the oracle: `meter`, `workload`, `oracle-node`, `evidence`."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

meter = typer.Typer(add_completion=False, rich_markup_mode=None)
workload = typer.Typer(add_completion=False, rich_markup_mode=None)
node = typer.Typer(add_completion=False, rich_markup_mode=None)
evidence = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


class EvidenceKind(StrEnum):
    """Kinds of evidence, as the command line names them."""

    sgx = "sgx"
    tdx = "tdx"
    nitro = "nitro"
    snp = "snp"
    nvgpu = "nvgpu"
    simulated = "simulated"


@evidence.callback()
def evidence_main() -> None:
    """Verify attestation evidence."""


@evidence.command("verify")
def evidence_verify(
    kind: Annotated[EvidenceKind, typer.Option(help="what the evidence claims to be")],
    evidence: Annotated[
        Path, typer.Option(help="quote, report or evidence document", exists=True, dir_okay=False)
    ],
    at: Annotated[str, typer.Option(help="unix seconds, or `signed`: the time the evidence itself states")],
    collateral: Annotated[
        Path | None, typer.Option(help="collateral file", exists=True, dir_okay=False)
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="JSON policy", exists=True, dir_okay=False)] = None,
    chain_id: Annotated[
        int | None, typer.Option(help="the chain it is for; documents name their own")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Verify evidence; exit 0 only when it is genuine and allowed by policy."""
    from oracle.evidence.command import judge

    verdict = judge(
        kind.value,
        evidence.read_bytes(),
        collateral.read_bytes() if collateral else None,
        at,
        chain_id,
        policy.read_bytes() if policy else None,
    )
    if as_json:
        print(json.dumps(verdict.to_json(), indent=1, sort_keys=True))
    else:
        print(verdict.to_text())
    sys.exit(0 if verdict.genuine and verdict.allowed else 1)
