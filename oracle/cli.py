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


@meter.command()
def run_meter(
    fleet: Annotated[Path, typer.Option(help="fleet file", exists=True, dir_okay=False)],
    exit_when_done: Annotated[bool, typer.Option(help="end once everything is posted")] = False,
) -> None:
    """Run the meters of a fleet: sign a reading when each interval ends, post it to every node."""
    _run_agents(fleet, "meter", exit_when_done)


@workload.command()
def run_workload(
    fleet: Annotated[Path, typer.Option(help="fleet file", exists=True, dir_okay=False)],
    exit_when_done: Annotated[bool, typer.Option(help="end once everything is posted")] = False,
) -> None:
    """Run the workload agents of a fleet: sign energy and compute of each job, post them to every node."""
    _run_agents(fleet, "workload", exit_when_done)


def _run_agents(path: Path, role: str, exit_when_done: bool) -> None:
    import asyncio
    import logging

    from backend.chain.errors import ChainError
    from oracle.agents.agent import Agent
    from oracle.agents.drivers.source import SourceError
    from oracle.agents.fleet import FleetError, load_fleet

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(Agent(load_fleet(path), role).run(exit_when_done))
    except (FleetError, SourceError, ChainError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


@node.command()
def oracle_node(
    config: Annotated[Path, typer.Option(help="the node's JSON configuration", exists=True, dir_okay=False)],
    fault: Annotated[str, typer.Option(help="lie or stall; development chains only")] = "",
    verbose: Annotated[bool, typer.Option(help="log every step")] = False,
) -> None:
    """Run one node of the oracle committee."""
    import logging

    from backend.chain.errors import ChainError
    from oracle.node.config import ConfigError, load_config
    from oracle.node.service import serve

    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        serve(load_config(config, fault))
    except (ConfigError, ChainError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


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
