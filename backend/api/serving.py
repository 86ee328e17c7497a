"""Puts a running service together: database, chain, indexer, web server; and takes it down in order."""

from __future__ import annotations

import gc
import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn

from backend.api.app import make_app
from backend.api.beside import siblings
from backend.chain.addressbook import load_book
from backend.chain.errors import FieldError
from backend.chain.rpc import Rpc
from backend.service import dev_chain, telemetry
from backend.service.context import ChainLink, Context
from backend.service.indexer.follow import Indexer
from backend.service.metrics import INDEXED_BLOCK, INDEXED_EVENTS, REORGS, TASK_SECONDS, TASK_STEPS
from backend.service.secrets import Vault
from backend.service.workers.tasks import possible, working
from backend.settings import Settings
from backend.store import migrate
from backend.store.engine import Store, make_engine

log = logging.getLogger(__name__)
_STOP_SECONDS = 10
_BACKLOG = 2048
_SWITCH_SECONDS = 0.001
"""The event loop gets its turn this soon while another thread computes."""


@contextmanager
def chain_link(settings: Settings, out: Path | None) -> Iterator[ChainLink]:
    """The chain to follow: the given RPC, a finished day's, or a fresh one for development."""
    with ExitStack() as stack:
        if out is not None:
            url, book = stack.enter_context(dev_chain.finished_day(out))
        elif settings.rpc_url is not None:
            if settings.address_book is None:
                raise FieldError(
                    "address book", None, "name the file that `bitwatt deploy` wrote with --book"
                )
            url, book = settings.rpc_url, load_book(settings.address_book)
        else:
            url, book = stack.enter_context(dev_chain.fresh_chain())
        yield ChainLink(book, url)


@contextmanager
def following(context: Context) -> Iterator[Indexer]:
    """The indexer in a thread of its own; it has caught up when the block begins."""
    link = context.chain
    stop = threading.Event()
    with Rpc(link.rpc_url) as rpc:
        indexer = Indexer(context.store, rpc, link.book, context.settings)

        def on_events(count: int, last: int) -> None:
            INDEXED_EVENTS.inc(count)
            INDEXED_BLOCK.set(last)
            context.hub.changed()

        def on_reorganised(fork: int) -> None:
            REORGS.inc()
            context.prices.forget()
            context.hub.reorganised(fork)

        indexer.on_events, indexer.on_reorganised = on_events, on_reorganised
        indexer.prepare()
        indexer.catch_up()
        thread = threading.Thread(target=indexer.run, args=(stop,), name="indexer", daemon=True)
        thread.start()
        try:
            yield indexer
        finally:
            stop.set()
            thread.join(timeout=_STOP_SECONDS)


def embedded(settings: Settings, folder: Path) -> Settings:
    """Settings for the embedded chain: its derived keys, and an archive that ends with it."""
    return settings.model_copy(update={"dev_keys": True, "archive": settings.archive or folder})


def count_step(task: str, seconds: float, failed: bool) -> None:
    """Counts a step of a background task."""
    TASK_STEPS.labels(task, str(failed).lower()).inc()
    TASK_SECONDS.labels(task).observe(seconds)


@contextmanager
def opened(
    settings: Settings, out: Path | None, *, index: bool = True, workers: bool = False, part: str = "api"
) -> Iterator[Context]:
    """A context with a migrated database, a chain that is followed, and background tasks."""
    with ExitStack() as stack:
        link = stack.enter_context(chain_link(settings, out))
        if settings.rpc_url is None and out is None:
            settings = embedded(settings, Path(stack.enter_context(TemporaryDirectory(prefix="bitwatt-"))))
        engine = make_engine(settings)
        stack.callback(engine.dispose)
        migrate.upgrade(engine)
        context = Context(settings, Store(engine), Vault(settings), link=link)
        stack.callback(context.close)
        stack.enter_context(telemetry.exporting(settings, part))
        if index:
            stack.enter_context(following(context))
        if workers:
            stack.enter_context(working(context, possible(settings), count_step))
        yield context


class _Server(uvicorn.Server):
    """Ends the event streams first, so that a shutdown need not wait for them; returns when it is done."""

    def __init__(self, config: uvicorn.Config, context: Context) -> None:
        super().__init__(config)
        self._context = context

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals end the server and are spent: uvicorn would raise them again, over our own clearing up."""
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: object) -> None:
        """SIGTERM or SIGINT: no new requests; running ones end."""
        self._context.hub.closing.set()
        super().handle_exit(sig, frame)  # type: ignore[arg-type]


def server_on(context: Context) -> uvicorn.Server:
    """The web server of this process, to be run on a socket."""
    config = uvicorn.Config(
        make_app(context),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # what is here now stays: no pause to look through it again
    return _Server(config, context)


def serve(context: Context, host: str, port: int, processes: int = 1) -> None:
    """Serves until SIGTERM or SIGINT, with `processes` - 1 more processes behind the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
        with siblings(context, listening, processes - 1):
            server_on(context).run(sockets=[listening])
