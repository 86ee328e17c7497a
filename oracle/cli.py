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
    register: Annotated[
        bool | None,
        typer.Option(help="measure this machine's VCU and register it; default: where no node knows it yet"),
    ] = None,
    exit_when_done: Annotated[bool, typer.Option(help="end once everything is posted")] = False,
) -> None:
    """Run the workload agents of a fleet: sign energy and compute of each job, post them to every node."""
    if register is not False:
        _register(fleet, again=register is True)
    _run_agents(fleet, "workload", exit_when_done)


def _register(path: Path, again: bool) -> None:
    from oracle.agents.drivers.source import SourceError
    from oracle.agents.fleet import FleetError, load_fleet
    from oracle.agents.register import register_machines

    try:
        for machine, answers in register_machines(load_fleet(path), again):
            print(f"meter {machine.meter_id}: {machine.compute_class}, {machine.milli_vcu / 1000:g} VCU")
            for node, problem in answers.items():
                if problem:
                    print(f"  {node}: {problem}", file=sys.stderr)
    except (FleetError, SourceError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


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
    fault: Annotated[str, typer.Option(help="lie, stall or equivocate; development chains only")] = "",
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


@evidence.command("export")
def evidence_export(
    agreement: Annotated[str, typer.Option(help="agreement id, decimal or 0x hexadecimal")],
    rpc: Annotated[str, typer.Option(help="JSON-RPC endpoint of the chain")],
    archive: Annotated[str, typer.Option(help="archive: a folder or s3://bucket/prefix")],
    out: Annotated[Path, typer.Option(help="the file to write", dir_okay=False)],
    book: Annotated[
        Path | None, typer.Option(help="address book; default: addresses.json in the archive")
    ] = None,
    feed: Annotated[str, typer.Option(help="the oracle's feed")] = "main",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Gather all evidence of one agreement in one file that is checked offline."""
    from backend.chain.addressbook import load_book
    from backend.chain.errors import ChainError
    from backend.chain.rpc import Rpc
    from oracle.archive import ArchiveError, open_archive
    from oracle.export import ExportError, export_pack

    try:
        number = int(agreement, 0)
        with Rpc(rpc) as client:
            addresses = load_book(book or Path(archive) / "addresses.json")
            pack = export_pack(client, addresses, open_archive(archive), number, feed)
        content = json.dumps(pack, indent=1).encode()
        out.write_bytes(content)
    except (ExportError, ArchiveError, ChainError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    summary = {"file": str(out), "bytes": len(content), "slots": len(pack["slots"]), "due": pack["slots_due"]}
    print(json.dumps(summary) if as_json else f"{out}: {len(content):,} bytes, {summary['slots']} slots")


@evidence.command("open")
def evidence_open(
    file: Annotated[Path, typer.Argument(help="evidence pack", exists=True, dir_okay=False)],
    rpc: Annotated[str | None, typer.Option(help="compare with this chain as well; needs --book")] = None,
    book: Annotated[Path | None, typer.Option(help="address book", exists=True, dir_okay=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Check an evidence pack offline; exit 1 if anything in it does not hold, 2 if it cannot be read."""
    from backend.chain.addressbook import load_book
    from backend.chain.errors import ChainError
    from backend.chain.rpc import Rpc
    from oracle.evidence.pack import open_pack, verdict_text
    from oracle.export import compare_with_chain
    from oracle.wire.errors import WireError
    from oracle.wire.pack import parse_pack

    if rpc and not book:
        raise typer.BadParameter("--rpc needs --book")
    try:
        pack = parse_pack(file.read_bytes())
        verdict = open_pack(pack)
        if rpc and book:
            with Rpc(rpc) as client:
                verdict["problems"] += compare_with_chain(pack, client, load_book(book))
    except (WireError, ChainError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(json.dumps(verdict, indent=1) if as_json else verdict_text(verdict))
    sys.exit(1 if verdict["problems"] else 0)


@evidence.command("slash")
def evidence_slash(
    proof: Annotated[str, typer.Argument(help="`proof` of a node's GET /equivocations, 0x hexadecimal")],
    rpc: Annotated[str, typer.Option(help="JSON-RPC endpoint of the chain")],
    book: Annotated[Path, typer.Option(help="address book", exists=True, dir_okay=False)],
    key: Annotated[Path, typer.Option(help="key of the sender, 64 hex digits", exists=True, dir_okay=False)],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Prove on chain that a member signed two reports of one epoch; half of its bond goes to the sender."""
    from backend.chain.addressbook import load_book
    from backend.chain.errors import ChainError
    from backend.chain.rpc import Rpc
    from oracle.node.chain import OracleContract
    from oracle.node.config import ConfigError, read_secret
    from oracle.wire.signed import decode_equivocation

    try:
        with Rpc(rpc) as client:
            contract = OracleContract(client, load_book(book), read_secret(key))
            found = decode_equivocation(bytes.fromhex(proof.removeprefix("0x")), contract.separator)
            transaction = contract.prove_equivocation(found)
    except (ValueError, ConfigError, ChainError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    told = {"member": found.member, "epoch": found.first.epoch, "transaction": transaction}
    print(json.dumps(told) if as_json else f"{found.member} is slashed for epoch {found.first.epoch}")


archive = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@archive.callback()
def archive_main() -> None:
    """Look after the archive."""


@archive.command("prune")
def archive_prune(
    location: Annotated[str, typer.Option("--archive", help="a folder or s3://bucket/prefix")],
    rpc: Annotated[str, typer.Option(help="JSON-RPC endpoint of the chain")],
    book: Annotated[Path, typer.Option(help="address book", exists=True, dir_okay=False)],
    keep_days: Annotated[int, typer.Option(help="days a bundle is kept after its epoch", min=1)] = 400,
    dry_run: Annotated[bool, typer.Option(help="say what would go, delete nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Delete bundles past their time, proposals that were never decided, and evidence that nobody needs."""
    from backend.chain.addressbook import load_book
    from backend.chain.errors import ChainError
    from backend.chain.rpc import Rpc
    from oracle.archive import ArchiveError, open_archive
    from oracle.retention import plan, recorded

    try:
        with Rpc(rpc) as client:
            reports, evidence_hashes = recorded(client, load_book(book))
            store = open_archive(location)
            made = plan(store, reports, evidence_hashes, client.timestamp(), keep_days)
        deleted = 0 if dry_run else made.apply(store)
    except (ArchiveError, ChainError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    counts = {"expired": len(made.expired), "orphans": len(made.orphans), "evidence": len(made.evidence)}
    counts["deleted"] = deleted
    print(json.dumps(counts) if as_json else ", ".join(f"{name} {value}" for name, value in counts.items()))
