"""The console command `bitwatt`: registers the sub-commands of every part."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import typer
from typer.core import TyperGroup
from typer.main import get_command

if TYPE_CHECKING:
    from typer._click.core import Command
    from typer._click.formatting import HelpFormatter

# name -> (module, attribute holding a Typer app, one-line help); imported only when the command is used
COMMANDS: dict[str, tuple[str, str, str]] = {
    "deploy": ("backend.chain.cli", "app", "deploy the contracts and write the address book"),
    "operator": ("backend.chain.operator_cli", "app", "pause batches, change committee or device policy"),
    "clear": ("backend.market.cli", "app", "clear a book of orders, or check a solution"),
    "bench": ("bitwatt.bench", "app", "measure, beside peers, with machine-readable figures"),
    "market-day": ("backend.day.cli", "market_day", "run a whole market day on given files"),
    "demo": ("backend.day.cli", "demo", "run the embedded market day"),
    "meter": ("oracle.cli", "meter", "run meters that sign readings"),
    "workload": ("oracle.cli", "workload", "run workload agents that sign delivered compute"),
    "oracle-node": ("oracle.cli", "node", "run one node of the oracle committee"),
    "evidence": ("oracle.cli", "evidence", "verify attestation evidence; export and open evidence packs"),
    "archive": ("oracle.cli", "archive", "look after the evidence archive"),
    "disclosure": ("oracle.disclosure_cli", "app", "commit to what need not be public, and show parts of it"),
    "audit": ("audit.cli", "app", "re-derive everything from chain and archive"),
    "wallet": ("bitwatt.client.cli", "wallet", "keys in encrypted files"),
    "order": ("bitwatt.client.cli", "order", "quote, place, list and cancel orders"),
    "offer": ("bitwatt.client.cli", "offer", "place, list and cancel offers of sites and plants"),
    "template": ("bitwatt.client.cli_templates", "template", "save, schedule and order bundles"),
    "account": ("bitwatt.client.cli_records", "account", "balances, payments, deposits, statements"),
    "certificate": ("bitwatt.client.cli_records", "certificate", "holdings, history and retirement"),
    "listing": ("bitwatt.client.cli_listings", "listing", "the secondary market of certificates and credits"),
    "what-if": ("bitwatt.client.cli_records", "what_if", "replay a batch under other circumstances"),
    "serve": ("backend.api.cli", "serve", "serve API, event stream and web"),
    "vpp": ("backend.vpp.cli", "app", "run a market day of virtual power plants, and audit it"),
    "forecast": ("backend.vpp.forecast_cli", "app", "forecast, and score forecasts on published series"),
    "scenario": ("backend.vpp.scenario_cli", "app", "run the eight reference projects"),
    "worker": ("backend.api.operations_cli", "worker", "run the background tasks on their own"),
    "intrusion": ("backend.api.intrusion_cli", "app", "read the access log for signs of penetration"),
    "backup": ("backend.api.operations_cli", "backup", "save database and archive"),
    "restore": ("backend.api.operations_cli", "restore", "bring a saved database and archive back"),
    "reindex": ("backend.api.cli", "reindex", "rebuild the service's tables from the chain"),
}


class LazyGroup(TyperGroup):
    """A command group that imports a sub-command's module on first use, so that `--help` stays quick."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Names of all sub-commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Command | None:  # type: ignore[override]
        """The sub-command called `cmd_name`, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = get_command(getattr(importlib.import_module(module), attribute))
        command.name = cmd_name
        return command

    def format_commands(self, ctx: typer.Context, formatter: HelpFormatter) -> None:  # type: ignore[override]
        """Lists the sub-commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def main() -> None:
    """BitWatt: compute and green power bought as one good, delivered, proven and settled."""
