"""The console command `bitwatt`: registers the sub-commands of every part."""

from __future__ import annotations

import importlib

import click
import typer
from typer.core import TyperGroup
from typer.main import get_command

# name -> (module, attribute, one-line help); a module is imported only when its command is used
COMMANDS: dict[str, tuple[str, str, str]] = {}


class LazyGroup(TyperGroup):
    """A command group that imports a sub-command's module on first use, so that `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all sub-commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The sub-command called `cmd_name`, or None."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, attribute, _ = entry
        return get_command(getattr(importlib.import_module(module), attribute))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the sub-commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[2]) for name, entry in COMMANDS.items()])


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def main() -> None:
    """BitWatt: compute and green power bought as one good, delivered, proven and settled."""
