"""`bitwatt serve` and `bitwatt reindex`."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

serve = typer.Typer(add_completion=False, rich_markup_mode=None)
reindex = typer.Typer(add_completion=False, rich_markup_mode=None)

Database = Annotated[str | None, typer.Option("--database-url", help="SQLite or PostgreSQL URL")]
RpcUrl = Annotated[
    str | None, typer.Option("--rpc", help="JSON-RPC URL of the chain; none = an embedded one")
]
Book = Annotated[Path | None, typer.Option("--book", help="address book of the deployment", dir_okay=False)]
ArchivePath = Annotated[Path | None, typer.Option("--archive", help="folder of the archive", file_okay=False)]
Out = Annotated[
    Path | None, typer.Option("--out", help="folder of a finished market day to open", file_okay=False)
]
_DIST = Path(__file__).resolve().parents[2] / "frontend" / "dist"


def settings_of(
    database: str | None,
    rpc: str | None,
    book: Path | None,
    archive: Path | None,
    out: Path | None,
    **more: Any,
) -> Any:
    """Settings from the environment, with what the command line says on top; exits on a wrong one."""
    from pydantic import ValidationError

    from backend.settings import Settings

    given = {"database_url": database, "rpc_url": rpc, "address_book": book, "archive": archive, **more}
    if out is not None:
        out = out.resolve()
        given["archive"] = archive or out / "archive"
        given["database_url"] = database or f"sqlite:///{out}/service.db"
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        for item in error.errors():
            field = ".".join(str(part) for part in item["loc"])
            typer.echo(f"bitwatt: {field + ': ' if field else ''}{item['msg']}", err=True)
        raise typer.Exit(2) from None


def _fail(error: Exception) -> typer.Exit:
    typer.echo(f"bitwatt: {error}", err=True)
    return typer.Exit(1)


@serve.command()
def serve_command(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on", min=0, max=65535)] = 8000,
    database_url: Database = None,
    rpc: RpcUrl = None,
    book: Book = None,
    archive: ArchivePath = None,
    out: Out = None,
    frontend: Annotated[Path | None, typer.Option(help="folder of the built web", file_okay=False)] = None,
    origin: Annotated[str | None, typer.Option(help="public origin; none = http://HOST:PORT")] = None,
    index: Annotated[
        bool, typer.Option("--index/--no-index", help="follow the chain in this process")
    ] = True,
    workers: Annotated[
        bool, typer.Option("--workers/--no-workers", help="run the background tasks in this process")
    ] = True,
    processes: Annotated[
        int,
        typer.Option(help="API processes behind the port; the first also indexes and works", min=1, max=64),
    ] = 1,
    demo_login: Annotated[bool, typer.Option(help="let anyone act as any account (dev chain only)")] = False,
    text_logs: Annotated[bool, typer.Option(help="logs for people instead of JSON")] = False,
    openapi: Annotated[bool, typer.Option(help="print the OpenAPI document and exit")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="say where it listens as JSON")] = False,
) -> None:
    """Serve API, event stream and web; with --out, a finished market day."""
    from sqlalchemy.exc import SQLAlchemyError

    from backend.api import logs, serving
    from backend.chain.anvil import free_port
    from backend.chain.errors import ChainError
    from backend.service.dev_chain import NotServable
    from backend.service.indexer.follow import WrongDatabase

    port = port or free_port()
    shown = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"  # nosec B104: compared, not bound
    web = frontend or (_DIST if (_DIST / "index.html").exists() else None)
    settings = settings_of(
        database_url, rpc, book, archive, out, frontend=web, public_origin=origin or shown,
        demo_login=demo_login or None, log_json=not text_logs,
    )  # fmt: skip
    if openapi:
        typer.echo(json.dumps(_document(settings), indent=1))
        return
    logs.configure(settings.log_level, settings.log_json)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # the embedded chain ends with us
    try:
        folder = out.resolve() if out else None
        with serving.opened(settings, folder, index=index, workers=workers) as context:
            place = {"url": shown, "rpc": context.chain.rpc_url, "database": settings.shown()["database_url"]}
            typer.echo(json.dumps(place) if as_json else f"BitWatt listens on {shown}", err=not as_json)
            sys.stdout.flush()
            serving.serve(context, host, port, processes)
    except (ChainError, NotServable, WrongDatabase, SQLAlchemyError, OSError) as error:
        raise _fail(error) from None


def _document(settings: Any) -> dict[str, Any]:
    from backend.api.app import make_app
    from backend.service.context import Context
    from backend.service.secrets import Vault
    from backend.store.engine import Store, make_engine

    memory = settings.model_copy(update={"database_url": "sqlite://", "frontend": None})
    return make_app(Context(memory, Store(make_engine(memory)), Vault(memory))).openapi()


@reindex.command()
def reindex_command(
    database_url: Database = None,
    rpc: RpcUrl = None,
    book: Book = None,
    archive: ArchivePath = None,
    out: Out = None,
    as_json: Annotated[bool, typer.Option("--json", help="the result as JSON")] = False,
) -> None:
    """Empty what chain and archive can fill and fill it again; signed messages that came by the API stay."""
    import time

    from sqlalchemy.exc import SQLAlchemyError

    from backend.api import logs, serving
    from backend.chain.errors import ChainError
    from backend.chain.rpc import Rpc
    from backend.service.dev_chain import NotServable
    from backend.service.indexer import follow
    from backend.service.readings import fill_all
    from backend.store import migrate
    from backend.store.engine import Store, make_engine

    settings = settings_of(database_url, rpc, book, archive, out)
    if rpc is None and settings.rpc_url is None and out is None:
        typer.echo("bitwatt: which chain? give --rpc and --book, or --out", err=True)
        raise typer.Exit(2)
    logs.configure("WARNING", as_json=False)
    try:
        engine = make_engine(settings)
        migrate.upgrade(engine)
        started = time.perf_counter()
        with serving.chain_link(settings, out.resolve() if out else None) as link, Rpc(link.rpc_url) as node:
            last = follow.reindex(Store(engine), node, link.book, settings)
            if settings.archive is not None:
                fill_all(Store(engine), settings.archive)
        seconds = round(time.perf_counter() - started, 3)
        engine.dispose()
    except (ChainError, NotServable, SQLAlchemyError, OSError) as error:
        raise _fail(error) from None
    if as_json:
        typer.echo(json.dumps({"last_block": last, "seconds": seconds}))
    else:
        typer.echo(f"indexed up to block {last} in {seconds} s")
