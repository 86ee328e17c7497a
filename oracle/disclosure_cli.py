"""`bitwatt disclosure`: commit to facts of an agreement, show some of them, verify what was shown."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from oracle.wire.disclosure import Commitment, opened, purpose_hash, purpose_text
from oracle.wire.errors import WireError

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)
JsonOption = Annotated[bool, typer.Option("--json", help="print machine-readable JSON")]
MAX_BYTES = 1_000_000


def _refuse(text: str) -> None:
    Console(stderr=True).print(f"bitwatt disclosure: {text}", markup=False, highlight=False)
    raise typer.Exit(1)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes()[:MAX_BYTES])
    except (ValueError, RecursionError) as error:
        _refuse(f"{path}: not JSON: {error}")


@app.command()
def commit(
    fields: Annotated[Path, typer.Argument(help="JSON object of texts", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option(help="file for the secret; must not exist. Keep it")],
    as_json: JsonOption = False,
) -> None:
    """Commit to every field under a salt of its own; prints the purpose to give when retiring."""
    values = _read(fields)
    if not isinstance(values, dict) or not all(isinstance(value, str | int) for value in values.values()):
        _refuse(f"{fields}: give one JSON object whose values are texts or integers")
    try:
        commitment = Commitment.of({str(name): str(value) for name, value in values.items()})
        root = commitment.root
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except WireError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{out}: {error.strerror}")
    with os.fdopen(descriptor, "w") as file:
        json.dump(commitment.to_json(), file, indent=1)
    told = {"purpose": purpose_text(root), "purpose_hash": "0x" + purpose_hash(root).hex()}
    print(json.dumps(told) if as_json else told["purpose"])


@app.command()
def show(
    secret: Annotated[Path, typer.Argument(help="what `commit` wrote", exists=True, dir_okay=False)],
    field: Annotated[list[str], typer.Option(help="a field to show, repeated")],
) -> None:
    """Print a disclosure of some fields; the others stay hidden."""
    try:
        print(json.dumps(Commitment.from_json(_read(secret)).show(field), indent=1))
    except WireError as error:
        _refuse(str(error))


@app.command()
def verify(
    disclosure: Annotated[Path, typer.Argument(help="what `show` printed", exists=True, dir_okay=False)],
    expected: Annotated[
        str | None, typer.Option("--purpose-hash", help="purposeHash of the event Retired on chain")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify shown fields against their root and the hash on chain; exit 1 if one does not fit."""
    try:
        root, values = opened(_read(disclosure))
    except WireError as error:
        _refuse(str(error))
    hashed = "0x" + purpose_hash(root).hex()
    if expected is not None and expected.lower() != hashed:
        _refuse(f"the disclosure belongs to purposeHash {hashed}, not to {expected}")
    if as_json:
        print(json.dumps({"purpose_hash": hashed, "fields": values}))
        return
    for name, value in values.items():
        Console().print(f"{name}: {value}", markup=False, highlight=False)
    if expected is None:
        Console().print(f"compare with the chain: purposeHash {hashed}", markup=False, highlight=False)
