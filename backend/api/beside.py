"""API processes beside the first one, behind the same port: `bitwatt serve --processes N`.

The first process follows the chain and does the background tasks as asked; the others only answer requests.
One that ends is started again. They end with the first: when it is gone, their standard input is at its end.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from backend.service.context import Context

log = logging.getLogger(__name__)
_PAUSE_SECONDS = 1.0
_STOP_SECONDS = 15
_SECRETS = {"secret", "keystore_password"}
"""Settings that come from the environment alone, which the other processes share."""


class _Sibling(threading.Thread):
    """Keeps one process running until `stop` is set."""

    def __init__(self, number: int, given: str, fd: int, stop: threading.Event) -> None:
        super().__init__(name=f"api-{number}", daemon=True)
        self._given, self._fd, self._over = given, fd, stop
        self.process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        while not self._over.is_set():
            command = [sys.executable, "-m", "backend.api.beside", str(self._fd), self._given]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(self._fd,))
            code = self.process.wait()
            if not self._over.is_set():
                log.warning("%s ended with %d; it is started again", self.name, code)
                self._over.wait(_PAUSE_SECONDS)

    def end(self) -> None:
        """Lets the process finish what it does."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
        self.join(timeout=_STOP_SECONDS)
        if self.process is not None and self.process.poll() is None:
            self.process.kill()


@contextmanager
def siblings(context: Context, listening: socket.socket, count: int) -> Iterator[None]:
    """`count` more processes on a listening socket while the block runs."""
    if not count:
        yield
        return
    link = context.chain
    with TemporaryDirectory(prefix="bitwatt-api-") as folder:
        book = Path(folder) / "book.json"
        book.write_text(link.book.to_json(), encoding="utf-8")
        named = context.settings.model_fields_set - _SECRETS
        settings = json.loads(context.settings.model_dump_json(include=named))
        settings |= {"rpc_url": link.rpc_url, "address_book": str(book)}
        given = Path(folder) / "settings.json"
        given.write_text(json.dumps(settings), encoding="utf-8")
        os.set_inheritable(listening.fileno(), True)
        stop = threading.Event()
        running = [_Sibling(n, str(given), listening.fileno(), stop) for n in range(1, count + 1)]
        for each in running:
            each.start()
        try:
            yield
        finally:
            stop.set()
            for each in running:
                each.end()


def main(fd: int, given: str) -> None:
    """One such process."""
    from backend.api import logs, serving
    from backend.settings import Settings

    settings = Settings(**json.loads(Path(given).read_text(encoding="utf-8")))
    logs.configure(settings.log_level, settings.log_json)
    with (
        socket.socket(fileno=fd) as listening,
        serving.opened(settings, None, index=False) as context,
    ):
        server = serving.server_on(context)

        def end_with_parent() -> None:
            sys.stdin.buffer.read()
            server.handle_exit(0, None)

        threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
        server.run(sockets=[listening])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
